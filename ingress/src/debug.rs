//! What ingress shows of itself at `/debug/routes`: every entry of the contract, where it leads, and why not.

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use millrace_config::contract::{ContentMode, Resource};
use millrace_config::snapshot::Snapshot;
use serde::{Serialize, Serializer};

use crate::producer::contact::Contact;

/// The contract in force, as far as ingress is concerned.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// Absent before the first contract.
    pub(crate) generation: Option<u64>,
    pub(crate) targets: Vec<TargetReport>,
}

/// One entry of the contract. Shows what the resource says only when it is shown: with thousands of resources, copies of
/// it would be most of what the process holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TargetReport {
    pub(crate) entry: Named,
    /// `in force`, `older version in force`, `waits for its Secret` or `refused`.
    pub(crate) state: &'static str,
    /// Why what the contract says now is not in force.
    pub(crate) reason: Option<String>,
    /// Whether the brokers are there; absent for entries that accept nothing.
    pub(crate) brokers: Option<Contact>,
}

/// What an entry is known by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Named {
    Resource(Arc<Resource>),
    /// Nothing but the uid can be used, which may be empty, if that is the problem.
    Uid(String),
}

/// As the page has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    uid: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bootstrap_servers: Option<&'a str>,
    /// `not reached yet`, `reached`, `reported down` or `away, events are refused`, as it is when the page is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    brokers: Option<&'a Contact>,
    /// Whether events need a token.
    guarded: bool,
}

impl TargetReport {
    /// An entry of which nothing but its uid can be used.
    pub(crate) fn refused(uid: String, reason: String) -> Self {
        Self { entry: Named::Uid(uid), state: "refused", reason: Some(reason), brokers: None }
    }

    pub(crate) fn uid(&self) -> &str {
        match &self.entry {
            Named::Resource(resource) => &resource.uid,
            Named::Uid(uid) => uid,
        }
    }

    /// Absent when only the uid is known.
    pub(crate) fn resource(&self) -> Option<&Resource> {
        match &self.entry {
            Named::Resource(resource) => Some(resource),
            Named::Uid(_) => None,
        }
    }
}

impl Serialize for TargetReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let resource = self.resource();
        let ingress = resource.and_then(|resource| resource.ingress.as_ref());
        let shown = Shown {
            uid: self.uid(),
            state: self.state,
            reason: self.reason.as_deref(),
            path: ingress.and_then(|ingress| ingress.path.as_deref()),
            host: ingress.and_then(|ingress| ingress.host.as_deref()),
            topic: resource.map(Resource::topic),
            content_mode: ingress.map(|ingress| match ingress.content_mode {
                ContentMode::Binary => "binary",
                ContentMode::Structured => "structured",
            }),
            bootstrap_servers: resource.map(|resource| resource.bootstrap_servers.as_str()),
            brokers: self.brokers.as_ref(),
            guarded: ingress.is_some_and(|ingress| ingress.audience.is_some()),
        };
        shown.serialize(serializer)
    }
}

/// The pages of ingress on the admin port.
pub(crate) fn routes(report: Snapshot<Report>) -> Router {
    Router::new().route(
        "/debug/routes",
        get(move || async move {
            let report = report.load();
            Json(Report::clone(&report))
        }),
    )
}
