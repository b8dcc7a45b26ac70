//! Turns one document into a checked object.
//!
//! Says which field is wrong, and which fields are unknown. An unknown field is reported and otherwise ignored: a
//! typo must be seen, but it must not take a working channel down. Pure; lines are added by the caller.
//! Source: control-plane spec 1.1, 1.2 and 1.9.

mod wording;

use serde::de::DeserializeOwned;
use serde_ignored::Path;
use serde_json::Value;

use super::meta::{DEFAULT_NAMESPACE, FieldError};
use super::{Identity, Kind, Object, channel, core, subscription};

/// What a document turned out to be.
#[derive(Debug)]
pub enum Decoded {
    /// A good object.
    Object {
        /// Checked.
        object: Box<Object>,
        /// Paths of fields that we do not know.
        unknown: Vec<String>,
    },
    /// An object of ours with wrong fields.
    Bad {
        /// `None` when the name cannot be read.
        identity: Option<Identity>,
        /// At least one.
        errors: Vec<FieldError>,
    },
    /// A kind that we do not handle, as `kind (apiVersion)`.
    Foreign(String),
}

/// Reads a document.
#[must_use]
pub fn decode(document: &Value) -> Decoded {
    let text = |field: &str| document.get(field).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let missing: Vec<FieldError> = [("apiVersion", api_version), ("kind", kind)]
        .into_iter()
        .filter(|(_, value)| value.is_empty())
        .map(|(field, _)| FieldError::new(field, "required"))
        .collect();
    if !missing.is_empty() {
        return Decoded::Bad { identity: None, errors: missing };
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let Some(kind) = Kind::of(group, kind) else {
        return Decoded::Foreign(format!("{kind} ({api_version})"));
    };
    let identity = identity_of(kind, document);
    if !kind.versions().contains(&version) {
        let message = format!("{api_version} is not a version of {} that is handled here", kind.as_str());
        return Decoded::Bad { identity, errors: vec![FieldError::new("apiVersion", message)] };
    }
    let result =
        match kind {
            Kind::KafkaChannel => typed(document)
                .and_then(|(doc, unknown)| Ok((Object::Channel(Box::new(channel::check(&doc)?)), unknown))),
            Kind::Subscription => typed(document)
                .and_then(|(doc, unknown)| Ok((Object::Subscription(Box::new(subscription::check(&doc)?)), unknown))),
            Kind::ConfigMap => typed(document)
                .and_then(|(doc, unknown)| Ok((Object::ConfigMap(core::check_config_map(&doc)?), unknown))),
            Kind::Secret => {
                typed(document).and_then(|(doc, unknown)| Ok((Object::Secret(core::check_secret(&doc)?), unknown)))
            }
        };
    match result {
        Ok((object, unknown)) => Decoded::Object { object: Box::new(object), unknown },
        Err(mut errors) => {
            if kind == Kind::Secret {
                redact(&mut errors);
            }
            for error in &mut errors {
                error.message = wording::readable(&error.message);
            }
            Decoded::Bad { identity, errors }
        }
    }
}

/// serde quotes the value it could not take; that of a Secret is a credential.
fn redact(errors: &mut [FieldError]) {
    for error in errors.iter_mut().filter(|error| error.message.starts_with("invalid ")) {
        error.message = "has the wrong type".to_owned();
    }
}

/// The identity as far as a document tells it, even when other fields are wrong.
fn identity_of(kind: Kind, document: &Value) -> Option<Identity> {
    let meta = document.get("metadata")?;
    let name = meta.get("name")?.as_str().filter(|name| !name.is_empty())?.to_owned();
    let namespace = match meta.get("namespace").and_then(Value::as_str) {
        Some(namespace) if !namespace.is_empty() => namespace.to_owned(),
        Some(_) | None => DEFAULT_NAMESPACE.to_owned(),
    };
    Some(Identity { kind, namespace, name })
}

/// Deserialises, with the path of the first wrong field and the paths of all unknown ones.
fn typed<T: DeserializeOwned>(document: &Value) -> Result<(T, Vec<String>), Vec<FieldError>> {
    let mut unknown = Vec::new();
    let mut note = |path: Path<'_>| unknown.push(path_text(&path));
    let deserializer = serde_ignored::Deserializer::new(document, &mut note);
    let result = serde_path_to_error::deserialize(deserializer);
    result.map(|value| (value, unknown)).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { path };
        vec![FieldError::new(field, error.into_inner().to_string())]
    })
}

/// `spec.subscribers[0].uid`; the layers that Rust's `Option` adds are left out.
fn path_text(path: &Path<'_>) -> String {
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", path_text(parent)),
        Path::Map { parent, key } => {
            let parent = path_text(parent);
            if parent.is_empty() { key.clone() } else { format!("{parent}.{key}") }
        }
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => path_text(parent),
    }
}

#[cfg(test)]
mod tests;
