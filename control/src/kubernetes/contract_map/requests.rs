//! The requests that write the contract's maps, and what came of them.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use kube::Client;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::in_force::InForce;
use crate::kubernetes::FIELD_MANAGER;
use crate::kubernetes::objects::{MapObject, SHARD_LABEL};
use crate::reconcile::observed::{GroupKey, TopicKey};

/// Groups to delete, a line each: servers, topic and group, with blanks between them.
const LEAVING: &str = "millrace.dev/groups-to-delete";
const LIMIT: Duration = Duration::from_secs(15);

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) target: Target,
    /// Of the map as it was seen; `None`: it is made.
    pub(super) version: Option<String>,
}

/// Which map, and what becomes of it.
#[derive(Debug, Clone)]
pub(super) enum Target {
    Main { bytes: Vec<u8>, size: usize, next: Box<InForce> },
    Shard { number: u32, bytes: Vec<u8>, digest: String },
    Gone { number: u32 },
}

impl Target {
    /// 0 for the main map.
    pub(super) fn number(&self) -> u32 {
        match self {
            Self::Main { .. } => 0,
            Self::Shard { number, .. } | Self::Gone { number } => *number,
        }
    }

    fn parts(&self) -> (String, Option<&[u8]>, Value) {
        match self {
            Self::Main { bytes, next, .. } => {
                let lines = next.leaving.iter();
                let lines = lines.map(|key| format!("{} {} {}", key.topic.servers, key.topic.topic, key.group));
                let lines: Vec<String> = lines.collect();
                let annotation = if lines.is_empty() { Value::Null } else { json!(lines.join("\n")) };
                ("data".to_owned(), Some(bytes), json!({"annotations": {LEAVING: annotation}}))
            }
            Self::Shard { number, bytes, .. } => {
                (format!("data-{number}"), Some(bytes), json!({"labels": {SHARD_LABEL: "true"}}))
            }
            Self::Gone { .. } => (String::new(), None, json!({})),
        }
    }
}

/// Sends it, and gives the version of the map afterwards; empty for one that is gone.
pub(super) async fn send(
    client: Client,
    namespace: &str,
    contract: &str,
    write: &Write,
) -> Result<String, kube::Error> {
    let name = match write.target.number() {
        0 => contract.to_owned(),
        number => format!("{contract}-{number}"),
    };
    let folder = format!("/api/v1/namespaces/{namespace}/configmaps");
    let (key, bytes, mut metadata) = write.target.parts();
    let body = |metadata: Value| match bytes {
        Some(bytes) => json!({"metadata": metadata, "binaryData": {&key: STANDARD.encode(bytes)}}),
        None => json!({"preconditions": metadata}),
    };
    let (method, content_type, path) = match (&write.version, bytes) {
        (version, None) => {
            if let Some(version) = version {
                metadata["resourceVersion"] = json!(version);
            }
            ("DELETE", "application/json", format!("{folder}/{name}"))
        }
        (Some(version), Some(_)) => {
            metadata["resourceVersion"] = json!(version);
            ("PATCH", "application/merge-patch+json", format!("{folder}/{name}"))
        }
        (None, Some(_)) => {
            metadata["name"] = json!(name);
            metadata["namespace"] = json!(namespace);
            // In a new object, null is no way to say that there is none.
            if metadata["annotations"][LEAVING].is_null()
                && let Some(fields) = metadata.as_object_mut()
            {
                fields.remove("annotations");
            }
            ("POST", "application/json", folder)
        }
    };
    let path = if bytes.is_some() { format!("{path}?fieldManager={FIELD_MANAGER}") } else { path };
    let request = Request::builder().method(method).uri(path).header("content-type", content_type);
    let request = request.body(body(metadata).to_string().into_bytes()).map_err(kube::Error::HttpError)?;
    let answer = timeout(LIMIT, client.request::<Value>(request)).await;
    let answer = answer.unwrap_or_else(|_| Err(kube::Error::Service("no answer in time".into())))?;
    Ok(answer["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned())
}

/// The groups that are remembered on the main map.
pub(super) fn leaving_of(map: &MapObject) -> BTreeSet<GroupKey> {
    let text = map.map.meta.annotations.get(LEAVING).map(String::as_str).unwrap_or_default();
    let groups = text.lines().filter_map(|line| {
        let mut parts = line.split(' ');
        let (servers, topic, group) = (parts.next()?, parts.next()?, parts.next()?);
        let topic = TopicKey { servers: servers.to_owned(), topic: topic.to_owned() };
        Some(GroupKey { topic, group: group.to_owned() })
    });
    groups.collect()
}
