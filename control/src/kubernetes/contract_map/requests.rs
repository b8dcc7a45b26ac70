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
/// Bytes of these lines. The API server takes 256 KiB of annotations in all, and refuses the whole write beyond.
const MOST_LEAVING: usize = 200 * 1024;
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
                let lines: Vec<String> = next.leaving.iter().map(line).collect();
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

fn line(key: &GroupKey) -> String {
    format!("{} {} {}", key.topic.servers, key.topic.topic, key.group)
}

/// As many of the groups that leave as the annotation takes. Those that are in it stay first, since this is the only place
/// that knows them; the process remembers the others until they move up.
pub(super) fn remembered(written: &BTreeSet<GroupKey>, leaving: &BTreeSet<GroupKey>) -> BTreeSet<GroupKey> {
    let mut bytes = 0;
    let fits = |key: &&GroupKey| {
        bytes += line(key).len() + 1;
        bytes <= MOST_LEAVING
    };
    written.intersection(leaving).chain(leaving.difference(written)).take_while(fits).cloned().collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(numbers: std::ops::Range<u32>) -> BTreeSet<GroupKey> {
        let topic = TopicKey { servers: "k:9092".to_owned(), topic: "knative-messaging-kafka.ns.orders".to_owned() };
        let group = |number| format!("kafka.ns.orders.00000000-0000-0000-0000-{number:012}");
        numbers.map(|number| GroupKey { topic: topic.clone(), group: group(number) }).collect()
    }

    fn annotation(leaving: &BTreeSet<GroupKey>) -> String {
        let next = Box::new(InForce { leaving: leaving.clone(), ..InForce::default() });
        let (_, _, metadata) = Target::Main { bytes: Vec::new(), size: 0, next }.parts();
        metadata["annotations"][LEAVING].as_str().unwrap().to_owned()
    }

    #[test]
    fn groups_beyond_what_annotations_take_move_up_when_others_are_deleted() {
        let mut leaving = groups(0..5000);
        let mut written = BTreeSet::new();
        let mut rounds = 0;
        while !leaving.is_empty() {
            written = remembered(&written, &leaving);
            let bytes = annotation(&written).len();
            assert!(bytes <= MOST_LEAVING && !written.is_empty(), "{bytes}");
            assert!(written.len() == leaving.len() || bytes > MOST_LEAVING - 200, "{bytes}");
            leaving = leaving.difference(&written).cloned().collect();
            rounds += 1;
        }
        assert!(rounds > 1);
    }

    #[test]
    fn groups_that_are_written_are_not_displaced_by_others() {
        let written = remembered(&BTreeSet::new(), &groups(4000..5000));
        assert_eq!(written, groups(4000..5000), "all of them fit");
        let more = remembered(&written, &groups(0..5000));
        assert!(more.is_superset(&written) && more.len() > written.len() && more.len() < 5000);
        assert_eq!(remembered(&more, &groups(0..10)), groups(0..10));
    }
}
