//! Turns a destination into the URL that events are sent to.
//!
//! Pure: knows the objects of the index and the naming rules of a cluster, asks no network.
//! Source: control-plane spec 1.3 and 2.5c; Knative's URI resolver.

pub mod references;

use crate::api::meta::{Destination, KReference};
use crate::index::{Index, is_kafka_channel};

/// Where channels are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressing {
    /// By their Services, under the cluster's domain.
    Cluster {
        /// Such as `cluster.local`.
        domain: String,
    },
    /// All at one ingress, by path: what a laptop without cluster names needs.
    Ingress {
        /// Without a slash at its end.
        url: String,
    },
}

/// Longest name of a Service.
const LONGEST_SERVICE: usize = 63;

/// The Service of a channel; long channel names lose the suffix, as upstream does it.
#[must_use]
pub fn channel_service(channel: &str) -> String {
    let name = format!("{channel}-kn-channel");
    if name.len() > LONGEST_SERVICE { channel.to_owned() } else { name }
}

/// The host name of a channel, with the cluster's domain.
#[must_use]
pub fn channel_host(namespace: &str, channel: &str, domain: &str) -> String {
    format!("{}.{namespace}.svc.{domain}", channel_service(channel))
}

impl Addressing {
    /// The cluster's domain; the usual one where there may be no cluster.
    #[must_use]
    pub fn domain(&self) -> &str {
        match self {
            Self::Cluster { domain } => domain,
            Self::Ingress { .. } => DEFAULT_DOMAIN,
        }
    }

    /// The URL to which events for a channel are posted.
    #[must_use]
    pub fn channel_url(&self, namespace: &str, channel: &str) -> String {
        match self {
            Self::Cluster { domain } => format!("http://{}", channel_host(namespace, channel, domain)),
            Self::Ingress { url } => format!("{url}/{namespace}/{channel}"),
        }
    }
}

/// A destination that can be sent to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address {
    /// Absolute http or https URL, as written where it was written.
    pub url: String,
    /// PEM; empty for none.
    pub ca_certs: String,
    /// OIDC audience; empty for none.
    pub audience: String,
}

/// Why a destination cannot be sent to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Neither an object nor a URI.
    #[error("neither ref nor uri is set")]
    Empty,
    /// A URI that is not absolute, without an object it could be relative to.
    #[error("uri {0:?} is not an absolute http or https URL")]
    NotAbsolute(String),
    /// An absolute URI together with an object.
    #[error("uri {0:?} must be relative when ref is set")]
    AbsoluteWithReference(String),
    /// A channel that is not there.
    #[error("KafkaChannel {namespace}/{name} does not exist")]
    NoSuchChannel {
        /// Of the reference.
        namespace: String,
        /// Of the reference.
        name: String,
    },
    /// An object of the cluster that has no address to send to.
    #[error("{kind} {namespace}/{name} {message}")]
    Object {
        /// Of the reference.
        kind: String,
        /// Of the reference.
        namespace: String,
        /// Of the reference.
        name: String,
        /// Why not.
        message: String,
    },
    /// A kind whose address only a cluster could tell.
    #[error("the address of a {kind} ({api_version}) cannot be found out here; give its uri instead")]
    UnknownKind {
        /// Of the reference.
        kind: String,
        /// Of the reference.
        api_version: String,
    },
}

/// Finds the address of a destination.
///
/// # Errors
/// A reason that a person can act on.
pub fn resolve(
    destination: &Destination,
    namespace: &str,
    index: &Index,
    addressing: &Addressing,
) -> Result<Address, ResolveError> {
    let uri = destination.uri.as_deref().filter(|uri| !uri.is_empty());
    let bare = |url: String| Address { url, ca_certs: String::new(), audience: String::new() };
    let found = match (&destination.reference, uri) {
        (None, None) => return Err(ResolveError::Empty),
        (None, Some(uri)) if is_absolute(uri) => bare(uri.to_owned()),
        (None, Some(uri)) => return Err(ResolveError::NotAbsolute(uri.to_owned())),
        (Some(reference), None) => reference_address(reference, namespace, index, addressing)?,
        (Some(_), Some(uri)) if uri.contains("://") => {
            return Err(ResolveError::AbsoluteWithReference(uri.to_owned()));
        }
        (Some(reference), Some(uri)) => {
            let base = reference_address(reference, namespace, index, addressing)?;
            Address { url: join(&base.url, uri), ..base }
        }
    };
    // What the destination says itself wins over what its object says.
    let own = |own: &Option<String>, found: String| own.clone().filter(|own| !own.is_empty()).unwrap_or(found);
    Ok(Address {
        ca_certs: own(&destination.ca_certs, found.ca_certs),
        audience: own(&destination.audience, found.audience),
        url: found.url,
    })
}

/// Whether a URI is one that events can be posted to.
#[must_use]
pub fn is_absolute(uri: &str) -> bool {
    uri.parse::<http::Uri>().is_ok_and(|uri| {
        let scheme = uri.scheme_str().unwrap_or_default();
        (scheme == "http" || scheme == "https") && uri.host().is_some_and(|host| !host.is_empty())
    })
}

fn reference_address(
    reference: &KReference,
    parent_namespace: &str,
    index: &Index,
    addressing: &Addressing,
) -> Result<Address, ResolveError> {
    let domain = addressing.domain();
    match index.references.address(reference, parent_namespace, domain) {
        Some(found) => found,
        None => reference_url(reference, parent_namespace, index, addressing).map(|url| Address {
            url,
            ca_certs: String::new(),
            audience: String::new(),
        }),
    }
}

/// Without a cluster: by the rules for names alone.
fn reference_url(
    reference: &KReference,
    parent_namespace: &str,
    index: &Index,
    addressing: &Addressing,
) -> Result<String, ResolveError> {
    let namespace = reference.namespace.as_deref().filter(|name| !name.is_empty()).unwrap_or(parent_namespace);
    let group = reference.api_group();
    if is_kafka_channel(&reference.kind, group) {
        return match index.channel(namespace, &reference.name) {
            Some(_) => Ok(addressing.channel_url(namespace, &reference.name)),
            None => Err(ResolveError::NoSuchChannel { namespace: namespace.to_owned(), name: reference.name.clone() }),
        };
    }
    if reference.kind == "Service" && group.is_empty() {
        return Ok(format!("http://{}.{namespace}.svc.{}", reference.name, addressing.domain()));
    }
    Err(ResolveError::UnknownKind { kind: reference.kind.clone(), api_version: reference.api_version.clone() })
}

/// The domain of a cluster that sets no other.
pub const DEFAULT_DOMAIN: &str = "cluster.local";

/// A relative URI against an address, by the rules of RFC 3986 for a base of scheme, host and path.
fn join(base: &str, relative: &str) -> String {
    let (scheme, rest) = base.split_once("://").unwrap_or(("http", base));
    let (host, base_path) = match rest.split_once('/') {
        Some((host, path)) => (host, format!("/{path}")),
        None => (rest, "/".to_owned()),
    };
    if relative.starts_with('?') || relative.starts_with('#') {
        let path = if rest.contains('/') { base_path.as_str() } else { "" };
        return format!("{scheme}://{host}{path}{relative}");
    }
    let (path, tail) = match relative.find(['?', '#']) {
        Some(at) => (relative.get(..at).unwrap_or_default(), relative.get(at..).unwrap_or_default()),
        None => (relative, ""),
    };
    let merged = if path.starts_with('/') {
        path.to_owned()
    } else {
        let folder = base_path.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/{path}")
    };
    format!("{scheme}://{host}{}{tail}", without_dots(&merged))
}

/// Removes `.` and `..` segments; `..` at the root stays at the root.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests;
