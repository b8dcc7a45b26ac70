//! The files that the data plane has mounted beside the contract: properties, features, observability, logging.
//!
//! Pure: says which bytes belong into which file; writing is the directory shell's job. A properties file with a bad
//! value is reported and not written, so that the last good one stays.
//! Source: control-plane spec 4.3 to 4.5.

use std::collections::BTreeMap;

use millrace_config::properties::{Properties, PropertyErrors, Warning, grammar, http_client, http_server, kafka};

use crate::api::core::ConfigMap;
use crate::api::{Identity, Kind, Problem};
use crate::features::FEATURES;
use crate::index::{Entry, Index};

/// Name of core Eventing's observability map.
pub const OBSERVABILITY: &str = "config-observability";
/// Name of the data plane's logging map.
pub const LOGGING: &str = "kafka-config-logging";

/// One properties file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertiesFile {
    /// What a new installation gets.
    pub default: &'static str,
    /// What the file should hold; `None` when the user's text is bad, and the file then stays as it is.
    pub wanted: Option<Vec<u8>>,
}

/// All files, by folder and name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// The four properties files.
    pub properties: BTreeMap<&'static str, PropertiesFile>,
    /// One file a key of `config-features`.
    pub features: BTreeMap<String, Vec<u8>>,
    /// One file a key of `config-observability`.
    pub observability: BTreeMap<String, Vec<u8>>,
    /// One file a key of `kafka-config-logging`.
    pub logging: BTreeMap<String, Vec<u8>>,
}

type Check = fn(&Properties) -> Result<Vec<Warning>, PropertyErrors>;

/// Name, what upstream ships (with `enable.idempotence=true`, see the design's table), and who reads it.
const PROPERTIES: [(&str, &str, Check); 4] = [
    (
        "config-kafka-channel-producer.properties",
        include_str!("defaults/config-kafka-channel-producer.properties"),
        |properties| kafka::producer(properties).map(|settings| settings.warnings),
    ),
    (
        "config-kafka-channel-consumer.properties",
        include_str!("defaults/config-kafka-channel-consumer.properties"),
        |properties| kafka::consumer(properties).map(|settings| settings.warnings),
    ),
    (
        "config-kafka-channel-webclient.properties",
        include_str!("defaults/config-kafka-channel-webclient.properties"),
        |properties| http_client::http_client(properties).map(|settings| settings.warnings),
    ),
    (
        "config-kafka-channel-httpserver.properties",
        include_str!("defaults/config-kafka-channel-httpserver.properties"),
        |properties| http_server::http_server(properties).map(|settings| settings.warnings),
    ),
];

/// Collects the files; keys that the data plane cannot use are added to `problems`.
#[must_use]
pub fn build(index: &Index, data_plane_config: &str, problems: &mut Vec<Problem>) -> Files {
    let entry = index.config_maps.get(data_plane_config);
    let properties = PROPERTIES
        .iter()
        .map(|(name, default, check)| {
            let wanted = match entry.and_then(|entry| Some((entry, entry.object.data.get(*name)?))) {
                Some((entry, bytes)) => checked(entry, name, default, bytes, *check, problems),
                None => Some(default.as_bytes().to_vec()),
            };
            (*name, PropertiesFile { default, wanted })
        })
        .collect();
    if let Some(entry) = entry {
        let known = |key: &str| key == "_example" || PROPERTIES.iter().any(|(name, _, _)| *name == key);
        for key in entry.object.data.keys().filter(|key| !known(key)) {
            problems.push(problem(entry, &format!("data.{key}"), "is none of the data plane's files; it is ignored"));
        }
    }
    let all = |name: &str| index.config_maps.get(name).map(|entry| entry.object.data.clone()).unwrap_or_default();
    Files { properties, features: all(FEATURES), observability: all(OBSERVABILITY), logging: all(LOGGING) }
}

/// The user's bytes if the data plane can use them.
fn checked(
    entry: &Entry<ConfigMap>,
    name: &str,
    default: &str,
    bytes: &[u8],
    check: Check,
    problems: &mut Vec<Problem>,
) -> Option<Vec<u8>> {
    let properties = match grammar::parse(bytes) {
        Ok(properties) => properties,
        Err(error) => {
            let message = format!("{error}; the last good file stays");
            problems.push(problem(entry, &format!("data.{name}"), &message));
            return None;
        }
    };
    match check(&properties) {
        Ok(warnings) => {
            let shipped = shipped(default);
            for Warning { key, reason } in warnings {
                // What upstream ships is no news: only what the user changed is.
                if properties.get(&key) != shipped.get(&key) {
                    problems.push(problem(entry, &format!("data.{name}: {key}"), &reason));
                }
            }
            Some(bytes.to_vec())
        }
        Err(PropertyErrors(errors)) => {
            for error in errors {
                let message = format!("{}; the last good file stays", error.problem);
                problems.push(problem(entry, &format!("data.{name}: {}", error.key), &message));
            }
            None
        }
    }
}

fn shipped(default: &str) -> Properties {
    grammar::parse(default.as_bytes()).expect("the shipped files are in the format, as a test shows")
}

fn problem(entry: &Entry<ConfigMap>, field: &str, message: &str) -> Problem {
    let meta = &entry.object.meta;
    let identity = Identity { kind: Kind::ConfigMap, namespace: meta.namespace.clone(), name: meta.name.clone() };
    let mut problem = Problem::with_field(&entry.source, &identity, field, message);
    // Keys of a ConfigMap contain dots, so a property inside one is no path that the lines know.
    let key = field.split_once(": ").map_or(field, |(key, _)| key);
    problem.line = Some(entry.source.line_of(key)).filter(|line| *line > 0);
    problem
}

#[cfg(test)]
mod tests;
