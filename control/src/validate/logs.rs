//! The ConfigMaps of logging and leader election.
//!
//! Source: control-plane spec 4.5 and 7.2.

use serde_json::Value;

use super::{Report, Severity, identity};
use crate::api::core::ConfigMap;
use crate::api::{Kind, Problem};
use crate::election;
use crate::index::Entry;

/// The key that data planes read.
const LOGBACK: &str = "config.xml";
/// Levels of the logger in Knative's controllers.
const ZAP: [&str; 7] = ["debug", "info", "warn", "error", "dpanic", "panic", "fatal"];

impl Report {
    /// The data plane's levels, in logback's format.
    pub(super) fn logback(&mut self, entry: &Entry<ConfigMap>) {
        for key in entry.object.data.keys().filter(|key| !matches!(key.as_str(), LOGBACK | "_example")) {
            let problem = about(entry, key, format!("nobody reads it; levels are in {LOGBACK}"));
            self.add(Severity::Warning, [problem]);
        }
        let Some(text) = entry.object.text(LOGBACK) else {
            let problem = about(entry, LOGBACK, "missing; everything is logged from INFO on".to_owned());
            return self.add(Severity::Warning, [problem]);
        };
        let problems = millrace_runtime::logging::logback_problems(text);
        self.add(Severity::Error, problems.into_iter().map(|problem| about(entry, LOGBACK, problem)));
    }

    /// The levels of Knative's controllers; ours go by `MILLRACE_LOG`.
    pub(super) fn zap(&mut self, entry: &Entry<ConfigMap>) {
        for key in entry.object.data.keys() {
            let text = entry.object.text(key).unwrap_or_default().trim();
            if key == "zap-logger-config" && serde_json::from_str::<Value>(text).is_err() {
                self.add(Severity::Error, [about(entry, key, "is not JSON".to_owned())]);
            }
            if key.starts_with("loglevel.") && !ZAP.contains(&text) {
                self.add(Severity::Error, [about(entry, key, format!("{text:?} is none of {}", ZAP.join(", ")))]);
            }
        }
    }

    /// Who of several controllers is active.
    pub(super) fn election(&mut self, entry: &Entry<ConfigMap>) {
        let problems = election::problems(|key| entry.object.text(key).map(str::to_owned));
        self.add(Severity::Error, problems.into_iter().map(|(key, message)| about(entry, &key, message)));
    }
}

fn about(entry: &Entry<ConfigMap>, key: &str, message: String) -> Problem {
    let object = identity(Kind::ConfigMap, &entry.object.meta);
    Problem::with_field(&entry.source, &object, &format!("data.{key}"), message)
}
