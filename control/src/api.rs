//! The objects that `control` reads, as Kubernetes writes them and as we use them.
//!
//! `meta`, `channel`, `subscription` and `core` hold the exact serde shapes; [`decode`](crate::api::decode::decode)
//! turns them into checked types in which durations are durations and every required field is there. Nothing here
//! reads files or knows where an object came from, except for the [`Source`] that problems are reported with.
//! Source: control-plane spec 1.1 to 1.4.

pub mod channel;
pub mod core;
pub mod decode;
pub mod delivery;
pub mod duration;
pub mod meta;
pub mod policy;
pub mod subscription;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use self::channel::Channel;
use self::core::{ConfigMap, Secret};
use self::meta::Meta;
use self::subscription::Subscription;

/// The kinds that `control` acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `ConfigMap` of the core group.
    ConfigMap,
    /// `KafkaChannel` of `messaging.knative.dev`.
    KafkaChannel,
    /// `Secret` of the core group.
    Secret,
    /// `Subscription` of `messaging.knative.dev`.
    Subscription,
}

impl Kind {
    /// The name as it stands in an object's `kind`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::KafkaChannel => "KafkaChannel",
            Self::Secret => "Secret",
            Self::Subscription => "Subscription",
        }
    }

    /// The kind of a document, by API group (without version) and kind; `None` for kinds that are not ours.
    #[must_use]
    pub fn of(group: &str, kind: &str) -> Option<Self> {
        match (group, kind) {
            ("", "ConfigMap") => Some(Self::ConfigMap),
            ("", "Secret") => Some(Self::Secret),
            ("messaging.knative.dev", "KafkaChannel") => Some(Self::KafkaChannel),
            ("messaging.knative.dev", "Subscription") => Some(Self::Subscription),
            _ => None,
        }
    }

    /// The versions of the group that we read.
    #[must_use]
    pub fn versions(self) -> &'static [&'static str] {
        match self {
            Self::KafkaChannel => &["v1beta1", "v1"],
            Self::ConfigMap | Self::Secret | Self::Subscription => &["v1"],
        }
    }
}

/// What tells one object from all others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Kind, without the version: v1 and v1beta1 of a name are the same object.
    pub kind: Kind,
    /// Never empty: objects without a namespace are in `default`.
    pub namespace: String,
    /// Unique in kind and namespace.
    pub name: String,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}

/// Where an object came from, so that a problem can point at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// Path as a person would write it; empty when the object came from an API server.
    pub file: String,
    /// 1-based line where the document starts; 0 when unknown.
    pub line: u64,
    /// Lines of fields, by path (`spec.delivery.retry`).
    pub lines: Arc<BTreeMap<String, u64>>,
}

impl Source {
    /// Line of the field or, when it is absent, of the nearest parent that is there.
    #[must_use]
    pub fn line_of(&self, field: &str) -> u64 {
        let mut path = field;
        loop {
            if let Some(line) = self.lines.get(path) {
                return *line;
            }
            match path.rfind(['.', '[']).and_then(|end| path.get(..end)) {
                Some(parent) => path = parent,
                None => return self.line,
            }
        }
    }

    /// `file:line`, or a text that says where else the object came from.
    #[must_use]
    pub fn place(&self) -> String {
        if self.file.is_empty() { "the API server".to_owned() } else { format!("{}:{}", self.file, self.line) }
    }
}

/// One checked object.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// A channel.
    Channel(Box<Channel>),
    /// A subscription.
    Subscription(Box<Subscription>),
    /// A ConfigMap of any name.
    ConfigMap(ConfigMap),
    /// A Secret of any name.
    Secret(Secret),
}

impl Object {
    /// The object's metadata.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        match self {
            Self::Channel(object) => &object.meta,
            Self::Subscription(object) => &object.meta,
            Self::ConfigMap(object) => &object.meta,
            Self::Secret(object) => &object.meta,
        }
    }

    /// The object's kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Channel(_) => Kind::KafkaChannel,
            Self::Subscription(_) => Kind::Subscription,
            Self::ConfigMap(_) => Kind::ConfigMap,
            Self::Secret(_) => Kind::Secret,
        }
    }

    /// Kind, namespace and name.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let meta = self.meta();
        Identity { kind: self.kind(), namespace: meta.namespace.clone(), name: meta.name.clone() }
    }
}

/// An object and the place it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Sourced {
    /// The checked object.
    pub object: Object,
    /// Its file and lines.
    pub source: Source,
}

/// Something a person should look at. It never stops the objects that are fine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// File; empty when the object came from an API server.
    pub file: String,
    /// 1-based line; `None` when unknown.
    pub line: Option<u64>,
    /// `Kind namespace/name`; `None` when the document is too broken to tell.
    pub object: Option<String>,
    /// Path of the field, or the key of a property; `None` when the whole document is meant.
    pub field: Option<String>,
    /// What is wrong and what happens because of it.
    pub message: String,
}

impl Problem {
    /// A problem with one field of an object; an empty `field` means the object as a whole.
    #[must_use]
    pub fn with_field(source: &Source, object: &Identity, field: &str, message: impl Into<String>) -> Self {
        let line = source.line_of(field);
        Self {
            file: source.file.clone(),
            line: (line > 0).then_some(line),
            object: Some(object.to_string()),
            field: (!field.is_empty()).then(|| field.to_owned()),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.as_str(), self.line) {
            ("", _) => {}
            (file, Some(line)) => write!(f, "{file}:{line}: ")?,
            (file, None) => write!(f, "{file}: ")?,
        }
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_field_is_reported_at_its_nearest_parent() {
        let lines = BTreeMap::from([("spec".to_owned(), 4), ("spec.list[0]".to_owned(), 6)]);
        let source = Source { file: "a.yaml".to_owned(), line: 2, lines: Arc::new(lines) };
        assert_eq!(source.line_of("spec.list[0].uid"), 6);
        assert_eq!(source.line_of("spec.subscriber.uri"), 4);
        assert_eq!(source.line_of("metadata.name"), 2);
    }
}
