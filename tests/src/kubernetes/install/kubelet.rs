//! What a kubelet does: it tells how pods are, and keeps their mounts as the ConfigMaps are.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use super::{CONTRACT, SYSTEM};
use crate::folder::Mount;
use crate::kubernetes::objects::Objects;

/// Writes a pod of the data plane as its kubelet would.
///
/// # Panics
/// When the server refuses it.
pub fn write_pod(admin: &Objects, app: &str, name: &str, ready: bool) {
    write_pod_at(admin, app, name, "127.0.0.1", ready);
}

/// As [`write_pod`], with an address of its own.
///
/// # Panics
/// When the server refuses it.
pub fn write_pod_at(admin: &Objects, app: &str, name: &str, address: &str, ready: bool) {
    let labels = json!({"app": app});
    let metadata = json!({"namespace": SYSTEM, "name": name, "labels": labels});
    let spec = json!({"containers": [{"name": "c", "image": "none"}]});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
    admin.try_apply(&pod).unwrap_or_else(|refused| panic!("{refused}"));
    let ready = if ready { "True" } else { "False" };
    let status = json!({
        "phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": ready}]
    });
    let _ = admin.patch_status(["v1", "Pod", SYSTEM, name], &status);
}

pub(super) fn contract_of(map: &Value) -> Option<Vec<u8>> {
    decode(map["binaryData"]["data"].as_str()?)
}

/// Base64, as the API has it: no blanks, padded.
fn decode(text: &str) -> Option<Vec<u8>> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        bits = bits << 6 | u32::from(value(byte)?);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// Copies the contract into the mount whenever it changed, until it is stopped.
pub(super) fn copy_contract(kubeconfig: &Path, mount: Mount, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    let objects = Objects::new(kubeconfig);
    let path = format!("/api/v1/namespaces/{SYSTEM}/configmaps/{CONTRACT}");
    thread::spawn(move || {
        let mut last = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            // While the server is away, mounts stay as they are.
            let map: Option<Value> = objects.try_text(&path).ok().and_then(|text| serde_json::from_str(&text).ok());
            if let Some(bytes) = map.as_ref().and_then(contract_of)
                && bytes != last
            {
                mount.swap(&[("data", &bytes)]);
                last = bytes;
            }
            thread::sleep(Duration::from_millis(20));
        }
    })
}
