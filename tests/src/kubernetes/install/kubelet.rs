//! What a kubelet does: it tells how pods are, and copies the contract's ConfigMaps into the folder that they mount.
//!
//! Every map is fetched by itself, after the others or before, so that maps of one contract may arrive in two swaps. The
//! folder is what `deploy/base` projects: the keys of all maps beside one another.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use super::{CONTRACT, SYSTEM};
use crate::folder::Mount;
use crate::kubernetes::objects::Objects;

/// How many shards a contract may have; as many are mounted.
pub const MOST_SHARDS: u32 = 16;
const PAUSE: Duration = Duration::from_millis(20);

/// Version and keys of one map.
type Known = (String, Vec<(String, Vec<u8>)>);

/// The names of the maps that a pod of the data plane mounts, the contract's first.
#[must_use]
pub fn mounted_maps() -> Vec<String> {
    let shards = (1..=MOST_SHARDS).map(|number| format!("{CONTRACT}-{number}"));
    [CONTRACT.to_owned()].into_iter().chain(shards).collect()
}

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
    let sources: Vec<Value> =
        mounted_maps().iter().map(|name| json!({"configMap": {"name": name, "optional": true}})).collect();
    let volumes = json!([{"name": "contract", "projected": {"sources": sources}}]);
    let spec = json!({"containers": [{"name": "c", "image": "none"}], "volumes": volumes});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
    admin.try_apply(&pod).unwrap_or_else(|refused| panic!("{refused}"));
    let ready = if ready { "True" } else { "False" };
    let status = json!({
        "phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": ready}]
    });
    let _ = admin.patch_status(["v1", "Pod", SYSTEM, name], &status);
}

/// Keeps the mount up to date until it is stopped.
pub(super) fn follow(kubeconfig: &Path, mount: Mount, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    let objects = Objects::new(kubeconfig);
    thread::spawn(move || {
        let mut known: BTreeMap<String, Known> = BTreeMap::new();
        while !stop.load(Ordering::Relaxed) {
            // While the server is away, mounts stay as they are.
            if let Ok(changed) = refresh(&objects, &mut known)
                && changed
            {
                let files = known.values().flat_map(|(_, files)| files);
                let files: Vec<(&str, &[u8])> = files.map(|(key, bytes)| (key.as_str(), bytes.as_slice())).collect();
                mount.swap(&files);
            }
            thread::sleep(PAUSE);
        }
    })
}

/// Fetches what changed; true when something did.
fn refresh(objects: &Objects, known: &mut BTreeMap<String, Known>) -> Result<bool, String> {
    let path = format!("/api/v1/namespaces/{SYSTEM}/configmaps");
    let mut versions = objects.versions(&path)?;
    let names = mounted_maps();
    versions.retain(|name, _| names.contains(name));
    // Only shards are optional: without the main map a volume stays as it is.
    if !versions.contains_key(CONTRACT) {
        return Ok(false);
    }
    let before = known.len();
    known.retain(|name, _| versions.contains_key(name));
    let mut changed = known.len() != before;
    for (name, version) in versions {
        if known.get(&name).is_some_and(|(known, _)| *known == version) {
            continue;
        }
        let text = objects.try_text(&format!("{path}/{name}"))?;
        let map: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let found = map["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        known.insert(name, (found, files(&map)));
        changed = true;
    }
    Ok(changed)
}

/// The keys of a map with binary content.
#[must_use]
pub fn files(map: &Value) -> Vec<(String, Vec<u8>)> {
    let keys = map["binaryData"].as_object().into_iter().flatten();
    keys.filter_map(|(key, value)| Some((key.clone(), decode(value.as_str()?)?))).collect()
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

/// Base64, as the API has it.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = usize::try_from(bits >> (18 - 6 * place) & 63).unwrap_or_default();
            text.push(if place > chunk.len() { '=' } else { char::from(DIGITS[digit]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_any_length_is_read_back() {
        for text in ["", "a", "ab", "abc", "abcd"] {
            assert_eq!(decode(&encode(text.as_bytes())).as_deref(), Some(text.as_bytes()));
        }
        assert_eq!(encode(b"ab"), "YWI=");
    }
}
