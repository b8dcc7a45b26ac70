//! What ingress shows of itself at `/debug/routes`: every entry of the contract, where it leads, and why not.

use axum::routing::get;
use axum::{Json, Router};
use millrace_config::contract::{ContentMode, Resource};
use millrace_config::snapshot::Snapshot;
use serde::Serialize;

use crate::producer::contact::Contact;

/// The contract in force, as far as ingress is concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// Absent before the first contract.
    pub(crate) generation: Option<u64>,
    pub(crate) targets: Vec<TargetReport>,
}

/// One entry of the contract.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TargetReport {
    pub(crate) uid: String,
    /// `in force`, `older version in force`, `waits for its Secret` or `refused`.
    pub(crate) state: &'static str,
    /// Why what the contract says now is not in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bootstrap_servers: Option<String>,
    /// Whether the brokers are there: `not reached yet`, `reached`, `reported down` or `away, events are refused`. As it
    /// is when the page is asked for; absent for entries that accept nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) brokers: Option<Contact>,
    /// Whether events need a token.
    pub(crate) guarded: bool,
}

impl TargetReport {
    /// The parts that come from the resource.
    pub(crate) fn of(resource: &Resource) -> Self {
        let ingress = resource.ingress.as_ref();
        Self {
            uid: resource.uid.clone(),
            path: ingress.and_then(|ingress| ingress.path.clone()),
            host: ingress.and_then(|ingress| ingress.host.clone()),
            topic: Some(resource.topic().to_owned()),
            content_mode: ingress.map(|ingress| match ingress.content_mode {
                ContentMode::Binary => "binary",
                ContentMode::Structured => "structured",
            }),
            bootstrap_servers: Some(resource.bootstrap_servers.clone()),
            guarded: ingress.is_some_and(|ingress| ingress.audience.is_some()),
            ..Self::default()
        }
    }

    /// An entry of which nothing but its uid can be used. The uid may be empty, if that is the problem.
    pub(crate) fn refused(uid: String, reason: String) -> Self {
        Self { uid, state: "refused", reason: Some(reason), ..Self::default() }
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
