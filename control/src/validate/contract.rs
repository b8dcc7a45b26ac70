//! Contract files, as the data planes would take them.

use millrace_config::contract::{self, ParseError, Refusal, shards};
use serde_json::Value;

use super::{Report, Severity, Text};
use crate::api::Problem;

/// JSON that is no Kubernetes object and has a member that only contracts have.
pub(super) fn is_contract(text: &str) -> bool {
    let Ok(Value::Object(members)) = serde_json::from_str(text) else { return false };
    !members.contains_key("kind")
        && ["resources", "generation", "trustBundles"].iter().any(|member| members.contains_key(*member))
}

impl Report {
    /// A file that is a contract.
    pub(super) fn contract_file(&mut self, text: &Text) {
        let found = problems(text.content.as_bytes(), &text.file, None);
        if found.is_empty() {
            self.good += 1;
        }
        let lined = found.into_iter().map(|mut problem| {
            // Most contracts are one line, but people print them with many.
            let uid = problem.object.as_deref().and_then(|object| object.split_once(' ')).map(|(_, uid)| uid);
            let at = uid.and_then(|uid| text.content.lines().position(|line| line.contains(uid)));
            problem.line = problem.line.or_else(|| at.and_then(|at| u64::try_from(at + 1).ok()));
            problem
        });
        self.add(Severity::Error, lined);
    }
}

/// What a data plane would refuse. `object` names the object that holds the contract.
pub(super) fn problems(bytes: &[u8], file: &str, object: Option<&str>) -> Vec<Problem> {
    let problem = |object: Option<String>, line: Option<u64>, field: Option<String>, message: String| Problem {
        file: file.to_owned(),
        line,
        object,
        field,
        message,
    };
    let own = object.map(str::to_owned);
    // Whether it goes with its shards can only be told where all of them are.
    if shards::index(bytes).is_some() {
        return Vec::new();
    }
    match contract::parse(bytes) {
        Ok(contract) => contract
            .refused
            .iter()
            .map(|Refusal { uid, entry, error }| {
                let entry = format!("{} {uid}", entry.as_str());
                let named = own.as_ref().map_or_else(|| entry.clone(), |own| format!("{own}: {entry}"));
                problem(Some(named), None, None, error.to_string())
            })
            .collect(),
        // What a fresh ConfigMap holds.
        Err(ParseError::Empty) => Vec::new(),
        Err(ParseError::Json { line, column: _, field, message }) => {
            // Inside an object the line of the JSON says nothing about the file.
            let line = u64::try_from(line).ok().filter(|_| own.is_none());
            vec![problem(own, line, Some(field), message)]
        }
    }
}
