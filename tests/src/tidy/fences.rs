//! Which crates and features of Rust may be used where.
//!
//! A fence that moves is a decision: change it here and in ARCHITECTURE.md together.

use super::source::{Code, has_word};
use super::{File, Violation};

/// The folders of the product; the fences do not bind the harness and its programs.
const PRODUCT: [&str; 7] = ["config/", "event/", "runtime/", "ingress/", "dispatcher/", "control/", "cli/"];

const RDKAFKA: [&str; 8] = [
    "ingress/src/producer",
    "dispatcher/src/consumer",
    "dispatcher/src/committer",
    "dispatcher/src/reply/topic",
    "dispatcher/src/undelivered",
    "control/src/topics",
    "control/src/offsets",
    "cli/src/dev/broker",
];

/// The embedded brokers of `millrace dev` and of the harness, and tokens for admin clients, need functions that rdkafka
/// does not wrap.
const UNSAFE: [&str; 3] =
    ["cli/src/dev/broker", "tests/src/broker/embedded.rs", "dispatcher/src/reply/topic/tokens.rs"];

const ROLES: [&str; 3] = ["ingress", "dispatcher", "control"];

/// Imports of client libraries, of other roles and of the environment.
#[must_use]
pub fn imports(file: &File, code: &Code) -> Vec<Violation> {
    if !PRODUCT.iter().any(|folder| file.path.starts_with(folder)) {
        return Vec::new();
    }
    let within = |rooms: &[&str]| rooms.iter().any(|room| file.path.starts_with(room));
    let main = file.path.ends_with("/main.rs") || file.path.starts_with("cli/");
    let mut found = Vec::new();
    for (number, line) in code.lines() {
        if (has_word(line, "rdkafka") || has_word(line, "rdkafka_sys")) && !within(&RDKAFKA) {
            found.push(file.violation(number, format!("rdkafka may be used only in {}", RDKAFKA.join(", "))));
        }
        if has_word(line, "arc_swap") && !within(&["config/src/snapshot"]) {
            found.push(file.violation(number, "arc_swap may be used only in config/src/snapshot"));
        }
        if uses_env(line, &["var", "var_os", "vars", "vars_os", "set_var", "remove_var"])
            && !within(&["config/src/env"])
        {
            found.push(file.violation(number, "environment variables are read only in config/src/env"));
        }
        if uses_env(line, &["args", "args_os"]) && !main {
            found.push(file.violation(number, "arguments are read only by a main and by cli"));
        }
        for role in ROLES {
            let krate = format!("millrace_{role}");
            if has_word(line, &krate) && !within(&[&format!("{role}/"), "cli/"]) {
                found.push(file.violation(number, format!("{krate} may be imported only by cli")));
            }
        }
    }
    found
}

/// `unsafe` in product and test code; a counting allocator of a test is the one exception.
#[must_use]
pub fn unsafe_code(file: &File, code: &Code) -> Vec<Violation> {
    let test = file.path.contains("/tests/") || file.path.ends_with("/tests.rs");
    let allocator = test && code.mentions("GlobalAlloc");
    if allocator || UNSAFE.iter().any(|room| file.path.starts_with(room)) {
        return Vec::new();
    }
    let lines = code.lines().filter(|(_, line)| has_word(line, "unsafe"));
    lines
        .map(|(number, _)| file.violation(number, format!("unsafe may be used only in {}", UNSAFE.join(", "))))
        .collect()
}

/// Dependencies that a crate must not have.
#[must_use]
pub fn manifest(file: &File) -> Vec<Violation> {
    let (mut found, mut section) = (Vec::new(), "");
    let folder = file.path.split('/').next().unwrap_or_default();
    for (index, line) in file.text.lines().enumerate() {
        if line.starts_with('[') {
            section = line.trim();
        }
        let Some((name, _)) = line.split_once([' ', '.', '=']).filter(|_| section == "[dependencies]") else {
            continue;
        };
        let role = name.strip_prefix("millrace-").filter(|role| ROLES.contains(role));
        if role.is_some() && ["config", "event", "runtime"].iter().chain(&ROLES).any(|krate| *krate == folder) {
            found.push(file.violation(index + 1, format!("{name} may be a dependency only of cli")));
        }
        if folder == "config" && name == "tokio" {
            found.push(file.violation(index + 1, "tokio: config holds no process logic"));
        }
    }
    found
}

/// Whether a line names one of these functions of `std::env`, by path or in a `use`.
fn uses_env(line: &str, functions: &[&str]) -> bool {
    line.split("env::").skip(1).any(|after| {
        let listed = after.strip_prefix('{').and_then(|list| list.split('}').next());
        match listed {
            Some(list) => functions.iter().any(|function| has_word(list, function)),
            None => functions.contains(
                &after.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap_or_default(),
            ),
        }
    })
}
