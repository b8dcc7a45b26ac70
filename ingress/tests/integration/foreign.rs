//! Events from the CloudEvents SDKs of JavaScript and Python, sent into ingress in every mode.
//!
//! The packages are installed under `target/` by the test itself. Where that cannot be done the test says so and is
//! skipped; with `CI=true` that is a failure. Source: proof, section 3.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use millrace_config::env::{Env, ProcessEnv};
use tokio::process::Command;

use super::harness::*;

const JAVASCRIPT: &str = r#"
const { CloudEvent, HTTP } = require("cloudevents");
const event = (id, data, datacontenttype) => new CloudEvent({
  id, type: "com.example.sent", source: "/sdk/js", subject: "a subject", time: "2026-01-02T03:04:05.678Z",
  partitionkey: "key", truth: "yes", data, datacontenttype,
});
const send = async (headers, body) => {
  const answer = await fetch(process.argv[2], { method: "POST", headers, body });
  if (answer.status !== 202) throw new Error(`${answer.status} ${await answer.text()}`);
};
(async () => {
  const json = (id) => event(id, { greeting: "gr\u00fc\u00dfe" }, "application/json");
  const binary = HTTP.binary(json("binary"));
  await send(binary.headers, binary.body);
  const structured = HTTP.structured(json("structured"));
  await send(structured.headers, structured.body);
  const batch = JSON.stringify([json("batch-0"), json("batch-1")]);
  await send({ "content-type": "application/cloudevents-batch+json" }, batch);
  const text = HTTP.binary(event("text", "just text", "text/plain"));
  await send(text.headers, text.body);
})().catch((error) => { console.error(error); process.exit(1); });
"#;

const PYTHON: &str = r#"
import sys
import urllib.request
from datetime import datetime, timezone
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

def event(id, data, content_type):
    return CloudEvent(attributes={
        "id": id, "type": "com.example.sent", "source": "/sdk/py", "specversion": "1.0", "subject": "gr\u00fc\u00dfe 100% \U0001f600",
        "time": datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=timezone.utc), "datacontenttype": content_type,
        "partitionkey": "key", "truth": "yes",
    }, data=data)

def send(headers, body):
    body = body.encode() if isinstance(body, str) else body
    request = urllib.request.Request(sys.argv[1], data=body, headers=dict(headers), method="POST")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 202, answer.status

def json(id):
    return event(id, {"greeting": "gr\u00fc\u00dfe"}, "application/json")

binary = to_binary_event(json("binary"))
send(binary.headers, binary.body)
structured = to_structured_event(json("structured"))
send(structured.headers, structured.body)
elements = [to_structured_event(json(f"batch-{number}")).body for number in range(2)]
elements = [element.encode() if isinstance(element, str) else element for element in elements]
send({"content-type": "application/cloudevents-batch+json"}, b"[" + b",".join(elements) + b"]")
text = to_binary_event(event("text", "just text", "text/plain"))
send(text.headers, text.body)
"#;

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/foreign").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs a program to its end; what it said when it failed.
pub(crate) async fn run(program: &mut Command) -> Result<(), String> {
    let running = program.stdin(Stdio::null()).kill_on_drop(true).output();
    // A registry may be slow; nothing else here is.
    let ended = tokio::time::timeout(std::time::Duration::from_secs(120), running).await;
    let output = ended.map_err(|_| "it takes too long".to_owned())?.map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Says why a test does nothing; in CI that is not accepted.
pub(crate) fn skip(what: &str, reason: &str) {
    eprintln!("SKIPPED: {what}: {reason}");
    assert!(ProcessEnv.get("CI").as_deref() != Some("true"), "CI must have {what}: {reason}");
}

async fn check_sent(broker: &Broker, source: &str, subject: &str) {
    let records = broker.read("orders", 5);
    for id in ["binary", "structured", "batch-0", "batch-1", "text"] {
        let record = records.iter().find(|record| record.header("ce_id") == Some(id)).unwrap();
        let (value, content_type) = match id {
            "text" => ("just text".to_owned(), "text/plain"),
            _ => (String::from_utf8(record.value.clone().unwrap()).unwrap(), "application/json"),
        };
        assert_eq!(String::from_utf8(record.value.clone().unwrap()).unwrap(), value, "{id}");
        if id != "text" {
            let data: serde_json::Value = serde_json::from_str(&value).unwrap();
            assert_eq!(data, serde_json::json!({"greeting": "grüße"}), "{id}");
        }
        assert_eq!(record.key.as_deref(), Some(&b"key"[..]), "{id}");
        for (name, expected) in [
            ("ce_specversion", "1.0"),
            ("ce_type", "com.example.sent"),
            ("ce_source", source),
            ("ce_subject", subject),
            ("ce_time", "2026-01-02T03:04:05.678Z"),
            ("ce_truth", "yes"),
        ] {
            assert_eq!(record.header(name), Some(expected), "{name} of {id}");
        }
        assert!(record.header("content-type").unwrap().starts_with(content_type), "{id}");
    }
}

#[tokio::test]
async fn the_sdk_of_javascript_is_understood_in_every_mode() {
    let folder = folder("js");
    if !folder.join("node_modules/cloudevents").exists() {
        let mut install = Command::new("npm");
        install.args(["install", "--no-audit", "--no-fund", "cloudevents@10"]).arg("--prefix").arg(&folder);
        if let Err(reason) = run(&mut install).await {
            return skip("the npm package cloudevents", &reason);
        }
    }
    let (_harness, broker, running) = one_target().await;
    std::fs::write(folder.join("send.js"), JAVASCRIPT).unwrap();
    let url = format!("http://{}/ns/name", running.address());
    run(Command::new("node").arg("send.js").arg(url).current_dir(&folder)).await.unwrap();
    check_sent(&broker, "/sdk/js", "a subject").await;
}

#[tokio::test]
async fn the_sdk_of_python_is_understood_in_every_mode() {
    let folder = folder("python");
    if !folder.join("cloudevents").exists() {
        let mut install = Command::new("python3");
        install.args(["-m", "pip", "install", "-q", "cloudevents>=2.2,<3", "--target"]).arg(&folder);
        if let Err(reason) = run(&mut install).await {
            return skip("the PyPI package cloudevents", &reason);
        }
    }
    let (_harness, broker, running) = one_target().await;
    std::fs::write(folder.join("send.py"), PYTHON).unwrap();
    let url = format!("http://{}/ns/name", running.address());
    run(Command::new("python3").arg("send.py").arg(url).env("PYTHONPATH", &folder).current_dir(&folder)).await.unwrap();
    check_sent(&broker, "/sdk/py", "grüße 100% 😀").await;
}
