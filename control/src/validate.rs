//! What is wrong with files of objects, before anybody applies them.
//!
//! Uses the very code that reads the objects of a running installation: the decoder, the index, the parsers of features
//! and of the data plane's files, and the contract's parser. Pure: texts in, findings out. What only a cluster can know
//! (whether a channel or a Secret that is referred to exists) is not looked at.
//! Source: control-plane spec 1 and 4.

mod contract;
mod logs;
mod maps;
mod properties;

use std::fmt;

use serde::Serialize;

use crate::api::delivery::Delivery;
use crate::api::meta::Meta;
use crate::api::{Identity, Kind, Problem, Source, Sourced};
use crate::directory::documents::Scan;
use crate::features::{self, Flags};
use crate::index::{Entry, Index};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The object, or a part of it, would not work as it is written.
    Error,
    /// Worth a look; the rest works.
    Warning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where it is, and what is wrong.
    #[serde(flatten)]
    pub problem: Problem,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { file, line, object, field, message } = &self.problem;
        f.write_str(file)?;
        if let Some(line) = line {
            write!(f, ":{line}")?;
        }
        f.write_str(match self.severity {
            Severity::Error => ": error: ",
            Severity::Warning => ": warning: ",
        })?;
        for part in [object, field].into_iter().flatten() {
            write!(f, "{part}: ")?;
        }
        f.write_str(message)
    }
}

/// One file, as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// As a person wrote its path.
    pub file: String,
    /// Its content.
    pub content: String,
}

/// What was found in all files together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order of files and lines.
    pub findings: Vec<Finding>,
    /// How many files were looked at.
    pub files: usize,
    /// How many objects, properties files and contracts are without an error of their own.
    pub good: usize,
}

impl Report {
    /// How many findings are of this severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// Checks files that belong together: an object that is there twice is found, and features decide what is allowed.
#[must_use]
pub fn check(texts: &[Text], system_namespace: &str) -> Report {
    let mut report = Report { files: texts.len(), ..Report::default() };
    let mut scan = Scan::default();
    for text in texts {
        if text.file.ends_with(".properties") {
            report.properties_file(text);
        } else if contract::is_contract(&text.content) {
            report.contract_file(text);
        } else {
            scan.add_text(&text.file, &text.content);
        }
    }
    let foreign: Vec<Problem> = scan.foreign_problems().collect();
    report.add(Severity::Warning, foreign);
    // Unknown fields are refused by an API server, and by upstream's webhook.
    report.add(Severity::Error, scan.problems);
    report.good += scan.objects.len();
    report.objects(scan.objects, texts, system_namespace);
    report.findings.sort_by(|a, b| {
        let place = |finding: &Finding| (finding.problem.file.clone(), finding.problem.line, finding.severity);
        place(a).cmp(&place(b))
    });
    report
}

impl Report {
    fn add(&mut self, severity: Severity, problems: impl IntoIterator<Item = Problem>) {
        self.findings.extend(problems.into_iter().map(|problem| Finding { severity, problem }));
    }

    fn objects(&mut self, objects: Vec<Sourced>, texts: &[Text], system_namespace: &str) {
        let mut index = Index::build(objects, system_namespace);
        self.add(Severity::Error, std::mem::take(&mut index.problems));
        let mut problems = Vec::new();
        let flags = features::read(&index, &mut problems);
        self.add(Severity::Error, problems);
        for entry in index.config_maps.values() {
            self.config_map(entry, &index, texts);
        }
        for Entry { object, source } in index.channels.values() {
            self.allowed(object.delivery.as_ref(), &flags, source, &identity(Kind::KafkaChannel, &object.meta));
        }
        for Entry { object, source } in index.subscriptions.values() {
            self.allowed(object.delivery.as_ref(), &flags, source, &identity(Kind::Subscription, &object.meta));
        }
    }

    /// Fields of a delivery that a feature has to allow. The defaults apply where no `config-features` is among the
    /// files.
    fn allowed(&mut self, delivery: Option<&Delivery>, flags: &Flags, source: &Source, object: &Identity) {
        let Some(delivery) = delivery else { return };
        let forbidden = [
            (delivery.timeout.is_some() && !flags.delivery_timeout, "timeout", "delivery-timeout is disabled"),
            (
                delivery.retry_after_max.is_some() && !flags.delivery_retry_after,
                "retryAfterMax",
                "delivery-retryafter is not enabled",
            ),
        ];
        let forbidden = forbidden.into_iter().filter(|(forbidden, _, _)| *forbidden);
        let problem = |(_, field, why): (bool, &str, &str)| {
            let message = format!("not allowed: the feature {why} in config-features");
            Problem::with_field(source, object, &format!("spec.delivery.{field}"), message)
        };
        self.add(Severity::Error, forbidden.map(problem));
    }
}

fn identity(kind: Kind, meta: &Meta) -> Identity {
    Identity { kind, namespace: meta.namespace.clone(), name: meta.name.clone() }
}

#[cfg(test)]
mod tests;
