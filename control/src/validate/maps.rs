//! The ConfigMaps whose content somebody reads: where Kafka is, tuning, observability, contracts. Those of logging and
//! leader election are in `logs`.
//!
//! Features are read elsewhere, because they decide about other objects.
//! Source: control-plane spec 2.1, 4.4 and 4.5.

use std::collections::BTreeMap;

use millrace_config::observability::{Observability, ObservabilityError};

use super::{Report, Severity, Text, contract, identity, properties};
use crate::api::core::ConfigMap;
use crate::api::{Kind, Problem};
use crate::files::{LOGGING, OBSERVABILITY};
use crate::index::{Entry, Index};
use crate::kafka_access::{self, AccessError, split_servers};

/// What control calls the maps unless it is told otherwise by its environment.
const CHANNEL_CONFIG: &str = "kafka-channel-config";
const ELECTION: &str = "config-kafka-leader-election";
const CONTROLLER_LOGGING: &str = "config-logging";
const CONTRACTS: &str = "kafka-channel-channels-subscriptions";
const DISPATCHER_CONTRACT: &str = "kafka-channel-dispatcher-";
const TUNING: (&str, &str) = ("config-kafka-", "-data-plane");

impl Report {
    /// A map of any name; most hold nothing that we read.
    pub(super) fn config_map(&mut self, entry: &Entry<ConfigMap>, index: &Index, texts: &[Text]) {
        let name = entry.object.meta.name.as_str();
        let (prefix, suffix) = TUNING;
        if name.starts_with(prefix) && name.ends_with(suffix) {
            self.tuning(entry, texts);
        } else if name == CHANNEL_CONFIG {
            self.channel_config(entry, index);
        } else if name == OBSERVABILITY {
            self.observability(entry);
        } else if name == LOGGING {
            self.logback(entry);
        } else if name == CONTROLLER_LOGGING {
            self.zap(entry);
        } else if name == ELECTION {
            self.election(entry);
        } else if name == CONTRACTS || shard(name).is_some() || name.starts_with(DISPATCHER_CONTRACT) {
            let key = shard(name).map_or_else(|| "data".to_owned(), |number| format!("data-{number}"));
            let bytes = entry.object.data.get(&key).map(Vec::as_slice).unwrap_or_default();
            let object = identity(Kind::ConfigMap, &entry.object.meta).to_string();
            let line = Some(entry.source.line_of(&format!("binaryData.{key}"))).filter(|line| *line > 0);
            let found = contract::problems(bytes, &entry.source.file, Some(&object));
            self.add(Severity::Error, found.into_iter().map(|problem| Problem { line, ..problem }));
        }
    }

    fn tuning(&mut self, entry: &Entry<ConfigMap>, texts: &[Text]) {
        let object = identity(Kind::ConfigMap, &entry.object.meta);
        for (key, bytes) in entry.object.data.iter().filter(|(key, _)| *key != "_example") {
            let field = format!("data.{key}");
            let Some(found) = properties::check(key, bytes) else {
                let message = "is none of the data plane's files; nobody reads it";
                self.add(Severity::Warning, [Problem::with_field(&entry.source, &object, &field, message)]);
                continue;
            };
            for (severity, line, property, message) in found {
                let path = property.as_ref().map_or_else(|| field.clone(), |property| format!("{field}: {property}"));
                let mut problem = Problem::with_field(&entry.source, &object, &path, message);
                let start = entry.source.line_of(&field);
                problem.line = line
                    .and_then(|line| inside(texts, &entry.source.file, start, bytes, line))
                    .or((start > 0).then_some(start));
                self.add(severity, [problem]);
            }
        }
    }

    fn channel_config(&mut self, entry: &Entry<ConfigMap>, index: &Index) {
        let object = identity(Kind::ConfigMap, &entry.object.meta);
        let problem = |field: &str, message: String| Problem::with_field(&entry.source, &object, field, message);
        // Whether the Secret is there can only be told in the cluster, so credentials are left alone, as with an embedded broker.
        match kafka_access::find(index, CHANNEL_CONFIG, None, true) {
            Ok(_)
            | Err(
                AccessError::NoConfigMap(_)
                | AccessError::NoSecret(_)
                | AccessError::UnreadableSecret { .. }
                | AccessError::Secret { .. },
            ) => {}
            Err(AccessError::NoServers(_)) => {
                self.add(Severity::Error, [problem("data.bootstrap.servers", "missing or empty".to_owned())]);
            }
            Err(AccessError::NotANumber { key, found, config_map: _ }) => {
                let message = format!("must be a number, found {found:?}");
                self.add(Severity::Error, [problem(&format!("data.{key}"), message)]);
            }
        }
        for server in split_servers(entry.object.text("bootstrap.servers").unwrap_or_default()) {
            let port = server.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
            if port.is_none_or(|port| port == 0) {
                let message = format!("{server:?} is not host:port");
                self.add(Severity::Error, [problem("data.bootstrap.servers", message)]);
            }
        }
        if entry.object.text("auth.secret.ref.name").is_some_and(|name| name.trim().is_empty()) {
            let message = "is there but empty: no channel becomes ready; remove the key for a Kafka without a login";
            self.add(Severity::Error, [problem("data.auth.secret.ref.name", message.to_owned())]);
        }
    }

    fn observability(&mut self, entry: &Entry<ConfigMap>) {
        let object = identity(Kind::ConfigMap, &entry.object.meta);
        let text = |key: &String| Some((key.clone(), entry.object.text(key)?.to_owned()));
        let values: BTreeMap<String, String> = entry.object.data.keys().filter_map(text).collect();
        let problem =
            |key: &str, message: &str| Problem::with_field(&entry.source, &object, &format!("data.{key}"), message);
        match Observability::from_values(&values) {
            Ok(found) => {
                let warnings = found.warnings.iter().map(|warning| problem(&warning.key, &warning.reason));
                self.add(Severity::Warning, warnings);
            }
            Err(ObservabilityError::Values(values)) => {
                // Each begins with its key.
                let split = |text: &String| {
                    let (key, reason) = text.split_once(": ").unwrap_or(("", text));
                    problem(key, reason)
                };
                self.add(Severity::Error, values.iter().map(split));
            }
            Err(ObservabilityError::Directory(error)) => {
                self.add(Severity::Error, [problem("", &error.to_string())]);
            }
        }
    }
}

/// The number of a shard of the contract.
fn shard(name: &str) -> Option<u32> {
    name.strip_prefix(CONTRACTS)?.strip_prefix('-')?.parse().ok()
}

/// The line of the file for a line of a text block inside it: the block may begin on the key's line or on the next.
fn inside(texts: &[Text], file: &str, start: u64, bytes: &[u8], line: usize) -> Option<u64> {
    let wanted = String::from_utf8_lossy(bytes).lines().nth(line - 1)?.trim().to_owned();
    let content = &texts.iter().find(|text| text.file == file)?.content;
    let from = usize::try_from(start).ok()?.saturating_sub(1);
    let found = content.lines().enumerate().skip(from).find(|(_, found)| found.trim() == wanted);
    found.and_then(|(index, _)| u64::try_from(index + 1).ok())
}
