//! The rules of the source tree that no compiler checks: module docs, file length, import fences, unsafe, orphans.
//!
//! Pure: files in, violations out. `tests/tidy` reads the tree and fails on what is found here. Source: the rules at the
//! end of section 2 of the design, restated in ARCHITECTURE.md.

pub mod fences;
pub mod modules;
pub mod source;

use std::fmt;

use modules::Kind;
use source::Code;

/// Longest file, in lines, test blocks apart.
pub const MAX_LINES: usize = 300;

/// One file of the tree.
#[derive(Debug, Clone)]
pub struct File {
    /// Relative to the workspace, with `/`.
    pub path: String,
    /// Its whole text.
    pub text: String,
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The file.
    pub path: String,
    /// The line, from 1; 0 when the rule is about the whole file.
    pub line: usize,
    /// What is wrong and what would be right.
    pub rule: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.path, self.line, self.rule)
    }
}

/// Checks all `.rs` and `Cargo.toml` files of the workspace.
#[must_use]
pub fn check(files: &[File]) -> Vec<Violation> {
    let kinds = modules::kinds(files);
    let mut found = Vec::new();
    for file in files {
        if file.path.ends_with("Cargo.toml") {
            found.extend(fences::manifest(file));
            continue;
        }
        let kind = kinds.get(&file.path).copied();
        let code = Code::of(&file.text);
        found.extend(opens_with_doc(file));
        found.extend(reachable(file, kind));
        found.extend(fences::unsafe_code(file, &code));
        if kind != Some(Kind::Test) {
            let code = code.without_tests();
            found.extend(short_enough(file, &code));
            found.extend(fences::imports(file, &code));
        }
    }
    found.sort_by(|a, b| (&a.path, a.line, &a.rule).cmp(&(&b.path, b.line, &b.rule)));
    found
}

fn opens_with_doc(file: &File) -> Option<Violation> {
    let first = file.text.lines().next().unwrap_or_default();
    (!first.starts_with("//!")).then(|| file.violation(1, "the file does not open with `//!`: say what it does"))
}

fn reachable(file: &File, kind: Option<Kind>) -> Option<Violation> {
    if file.path.ends_with("/mod.rs") {
        return Some(file.violation(0, "mod.rs: use foo.rs beside foo/"));
    }
    kind.is_none().then(|| file.violation(0, "no `mod` reaches this file"))
}

fn short_enough(file: &File, code: &Code) -> Option<Violation> {
    let lines = code.kept_lines();
    (lines >= MAX_LINES)
        .then(|| file.violation(0, format!("{lines} lines without tests; fewer than {MAX_LINES} are allowed")))
}

impl File {
    fn violation(&self, line: usize, rule: impl Into<String>) -> Violation {
        Violation { path: self.path.clone(), line, rule: rule.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into() }
    }

    /// Checks one product file reached from its crate's root.
    #[track_caller]
    fn check_product(path: &str, text: &str, expected: &[&str]) {
        let name = path.rsplit('/').next().unwrap().trim_end_matches(".rs");
        let root = format!("{}/lib.rs", path.rsplit_once('/').unwrap().0);
        check_tree(&[file(&root, &format!("//! Root.\nmod {name};\n")), file(path, text)], expected);
    }

    #[track_caller]
    fn check_tree(files: &[File], expected: &[&str]) {
        let found: Vec<String> = check(files).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found:?} does not contain {expected:?}");
        }
    }

    #[test]
    fn a_tidy_file_passes() {
        check_product("ingress/src/routes.rs", "//! Routes.\nfn f() {}\n", &[]);
    }

    #[test]
    fn a_file_without_module_doc_is_found() {
        check_product("ingress/src/routes.rs", "fn f() {}\n", &["routes.rs:1: the file does not open with `//!`"]);
    }

    #[test]
    fn a_long_file_is_found() {
        let long = format!("//! Long.\n{}", "fn f() {}\n".repeat(299));
        check_product("ingress/src/routes.rs", &long, &["300 lines without tests"]);
    }

    #[test]
    fn test_blocks_do_not_count_as_length() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    fn f() {}\n".repeat(400));
        check_product("ingress/src/routes.rs", &format!("//! Short.\n{tests}"), &[]);
    }

    #[test]
    fn an_orphan_is_found() {
        let files = [file("event/src/lib.rs", "//! Root.\n"), file("event/src/lost.rs", "//! Lost.\n")];
        check_tree(&files, &["event/src/lost.rs:0: no `mod` reaches this file"]);
    }

    #[test]
    fn a_mod_rs_is_found() {
        let files = [file("event/src/lib.rs", "//! Root.\nmod a;\n"), file("event/src/a/mod.rs", "//! A.\n")];
        check_tree(&files, &["event/src/a/mod.rs:0: mod.rs"]);
    }

    #[test]
    fn an_import_of_rdkafka_outside_its_rooms_is_found() {
        let text = "//! X.\nuse rdkafka::ClientConfig;\n";
        check_product("ingress/src/handler.rs", text, &["handler.rs:2: rdkafka"]);
        check_product("dispatcher/src/partition.rs", text, &["partition.rs:2: rdkafka"]);
        check_product("config/src/watch.rs", text, &["watch.rs:2: rdkafka"]);
        check_product("ingress/src/producer.rs", text, &[]);
        check_product("dispatcher/src/committer.rs", text, &[]);
        check_product("control/src/topics.rs", text, &[]);
    }

    #[test]
    fn test_code_may_import_rdkafka_anywhere() {
        check_product(
            "ingress/src/handler.rs",
            "//! X.\n#[cfg(test)]\nmod tests {\n    use rdkafka::ClientConfig;\n}\n",
            &[],
        );
    }

    #[test]
    fn an_import_of_arc_swap_outside_the_snapshot_is_found() {
        let text = "//! X.\ntype T = arc_swap::ArcSwap<u8>;\n";
        check_product("ingress/src/routes.rs", text, &["routes.rs:2: arc_swap"]);
        check_product("config/src/snapshot.rs", text, &[]);
    }

    #[test]
    fn reading_a_variable_outside_the_env_module_is_found() {
        check_product(
            "runtime/src/logging.rs",
            "//! X.\nfn f() { std::env::var(\"A\"); }\n",
            &["logging.rs:2: environment"],
        );
        check_product(
            "runtime/src/logging.rs",
            "//! X.\nuse std::env::{self, var_os};\n",
            &["logging.rs:2: environment"],
        );
        check_product("config/src/env.rs", "//! X.\nfn f() { std::env::var(\"A\"); }\n", &[]);
    }

    #[test]
    fn arguments_may_be_read_by_mains_and_by_the_command() {
        let text = "//! X.\nfn f() { std::env::args_os(); }\n";
        check_product("control/src/app.rs", text, &["app.rs:2: arguments"]);
        check_product("cli/src/demo.rs", text, &[]);
        check_tree(&[file("control/src/main.rs", text)], &[]);
    }

    #[test]
    fn one_role_importing_another_is_found() {
        let text = "//! X.\nuse millrace_dispatcher::app;\n";
        check_product("ingress/src/routes.rs", text, &["routes.rs:2: millrace_dispatcher"]);
        check_product("cli/src/roles.rs", text, &[]);
        let manifest = "[dependencies]\nmillrace-ingress = { workspace = true }\n";
        check_tree(&[file("control/Cargo.toml", manifest)], &["control/Cargo.toml:2: millrace-ingress"]);
    }

    #[test]
    fn the_settings_crate_must_not_depend_on_tokio() {
        let manifest = "[dependencies]\ntokio = { workspace = true }\n[dev-dependencies]\ntokio = \"1\"\n";
        check_tree(&[file("config/Cargo.toml", manifest)], &["config/Cargo.toml:2: tokio"]);
    }

    #[test]
    fn unsafe_code_is_found_in_tests_too() {
        let text = "//! X.\nfn f() { unsafe { g() } }\n";
        check_product("event/src/json.rs", text, &["json.rs:2: unsafe"]);
        check_product("event/src/tests.rs", text, &["tests.rs:2: unsafe"]);
        let main = file("cli/src/main.rs", "//! Main.\nmod dev;\n");
        let dev = file("cli/src/dev.rs", "//! Dev.\nmod broker;\n");
        check_tree(&[main, dev, file("cli/src/dev/broker.rs", text)], &[]);
    }

    #[test]
    fn a_counting_allocator_of_a_test_may_be_unsafe() {
        let text = "//! X.\nunsafe impl GlobalAlloc for Counting {}\n";
        check_tree(&[file("event/tests/allocations.rs", text)], &[]);
        check_product("event/src/json.rs", text, &["json.rs:2: unsafe"]);
    }

    #[test]
    fn words_in_comments_and_strings_do_not_count() {
        check_product(
            "event/src/json.rs",
            "//! rdkafka, unsafe.\nconst A: &str = \"arc_swap unsafe\"; // rdkafka\n",
            &[],
        );
    }
}
