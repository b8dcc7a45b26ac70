//! Which target a request is for: by path, else by host.
//!
//! Everything is compared to the letter: no percent-decoding, no normalisation, no case folding, and the `Host` header
//! with its port. Source: spec ingress 1.3.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::request::Parts;
use http::{StatusCode, Version};
use millrace_config::contract::{ContentMode, Resource};
use millrace_config::snapshot::Snapshot;
use millrace_event::Event;
use millrace_runtime::event_types::{EventTypes, Sighting};

use crate::auth::Guard;
use crate::error::Rejection;
use crate::handler::trace::TraceHeader;
use crate::metrics::TargetSeries;
use crate::producer::admission::{Admission, Share};
use crate::producer::{Begun, Delivered, Outgoing, ProduceError, Producer};

/// Where events of one resource go. Never changed: an update makes a new one.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) resource: Arc<Resource>,
    pub(crate) content_mode: ContentMode,
    /// Present: only requests with a token that satisfies it may pass.
    pub(crate) guard: Option<Guard>,
    /// The properties' `max.request.size`.
    pub(crate) max_body_bytes: usize,
    /// What `Retry-After` says when Kafka cannot take an event.
    pub(crate) retry_after: Duration,
    pub(crate) producer: Arc<Producer>,
    pub(crate) share: Arc<Share>,
    /// Learns the types of events; `None` when the contract does not ask for it.
    pub(crate) event_types: Option<EventTypes>,
    pub(crate) series: TargetSeries,
}

impl Target {
    /// Where its events are stored.
    pub(crate) fn topic(&self) -> &str {
        self.resource.topic()
    }

    /// Takes a place for a body of `bytes` before it is read.
    pub(crate) fn admit(&self, bytes: usize) -> Result<Admission, Rejection> {
        self.share.admit(bytes).map_err(|_| self.overloaded())
    }

    /// The refusal when there is no place.
    pub(crate) fn overloaded(&self) -> Rejection {
        Rejection::Overloaded { topic: self.topic().to_owned(), retry_after: self.retry_after }
    }

    /// Puts an event on its way to the target's topic.
    pub(crate) fn begin(
        &self,
        event: &Event<'_>,
        trace: &[TraceHeader<'_>],
        admission: Admission,
    ) -> Result<Begun, ProduceError> {
        let outgoing = Outgoing { topic: self.topic(), content_mode: self.content_mode, event, trace };
        self.producer.begin(&outgoing, admission)
    }

    /// Waits until the topic has the event.
    pub(crate) async fn finish(&self, begun: Begun) -> Result<Delivered, ProduceError> {
        self.producer.finish(begun, self.topic()).await
    }

    /// An event is stored: its type may be new. Never waits.
    pub(crate) fn learn(&self, event: &Event<'_>) {
        if let Some(event_types) = &self.event_types {
            let (reference, schema) = (&self.resource.reference, event.data_schema.as_deref());
            event_types.seen(&Sighting { reference, ty: &event.ty, source: &event.source, schema });
        }
    }

    pub(crate) fn measure(&self, event_type: &str, status: StatusCode, elapsed: Duration) {
        self.series.observe(&self.resource.reference, event_type, status, elapsed);
    }
}

/// All routes; replaced as a whole. Requests under way keep the target they found.
pub(crate) type Routes = Snapshot<Table<Target>>;

/// What leads where.
#[derive(Debug)]
pub(crate) struct Table<T> {
    by_path: HashMap<String, Arc<T>>,
    by_host: HashMap<String, Arc<T>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { by_path: HashMap::new(), by_host: HashMap::new() }
    }
}

impl<T> Table<T> {
    /// Adds a target unless its path or its host already leads elsewhere. True when it was added.
    pub(crate) fn add(&mut self, path: Option<&str>, host: Option<&str>, target: &Arc<T>) -> bool {
        let taken = path.is_some_and(|path| self.by_path.contains_key(path))
            || host.is_some_and(|host| self.by_host.contains_key(host));
        if taken {
            return false;
        }
        if let Some(path) = path {
            self.by_path.insert(path.to_owned(), Arc::clone(target));
        }
        if let Some(host) = host {
            self.by_host.insert(host.to_owned(), Arc::clone(target));
        }
        true
    }

    /// The target of a request.
    ///
    /// # Errors
    ///
    /// `NoRoute`, or `NoHost` when only a host could have decided and HTTP/1.1 requires one.
    pub(crate) fn resolve(&self, head: &Parts) -> Result<Arc<T>, Rejection> {
        let path = head.uri.path();
        // One slash only: "/a//" means "/a/".
        let path = path.strip_suffix('/').unwrap_or(path);
        if let Some(target) = self.by_path.get(path) {
            return Ok(Arc::clone(target));
        }
        // The host counts for any path that leads nowhere, not only for "/": the peer's tests pin it.
        match host(head) {
            Some(host) => {
                let target = std::str::from_utf8(host).ok().and_then(|host| self.by_host.get(host));
                target.map(Arc::clone).ok_or(Rejection::NoRoute)
            }
            None if head.version == Version::HTTP_11 => Err(Rejection::NoHost),
            None => Err(Rejection::NoRoute),
        }
    }
}

/// The raw `Host` header on HTTP/1; `:authority` on HTTP/2, else its `host` header.
fn host(head: &Parts) -> Option<&[u8]> {
    let authority = match head.version {
        Version::HTTP_2 => head.uri.authority().map(|authority| authority.as_str().as_bytes()),
        _ => None,
    };
    authority.or_else(|| head.headers.get(HOST).map(http::HeaderValue::as_bytes))
}

#[cfg(test)]
mod tests;
