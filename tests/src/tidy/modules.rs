//! Which files the compiler reaches, and which of them only in tests.
//!
//! Follows `mod name;` from every root that cargo finds by itself. Inline modules that contain `mod name;` are not
//! followed, and a file reached only that way is reported as an orphan: do not write such modules.

use std::collections::{BTreeMap, BTreeSet};

use super::File;
use super::source::Code;

/// In which builds a file takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// In the product, or in a program of ours.
    Product,
    /// Only when tests, benches or examples are built.
    Test,
}

/// The kind of every file that is reached; the others are orphans.
#[must_use]
pub fn kinds(files: &[File]) -> BTreeMap<String, Kind> {
    let sources: BTreeMap<&str, &str> = files.iter().map(|file| (file.path.as_str(), file.text.as_str())).collect();
    let mut kinds = BTreeMap::new();
    let mut open: Vec<(String, Kind)> =
        sources.keys().filter_map(|path| Some(((*path).to_owned(), root(path)?))).collect();
    let roots: BTreeSet<String> = open.iter().map(|(path, _)| path.clone()).collect();
    while let Some((path, kind)) = open.pop() {
        // Reached in both ways is reached in the product.
        let known = kinds.get(&path).copied();
        if known == Some(kind) || known == Some(Kind::Product) {
            continue;
        }
        let Some(text) = sources.get(path.as_str()) else { continue };
        for declared in declared(text) {
            let kind = if declared.test { Kind::Test } else { kind };
            open.extend(candidates(&path, roots.contains(&path), &declared).into_iter().map(|found| (found, kind)));
        }
        kinds.insert(path, kind);
    }
    kinds
}

fn root(path: &str) -> Option<Kind> {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        [.., "src", "lib.rs" | "main.rs"] | [.., "src", "bin", _] | [.., "build.rs"] => Some(Kind::Product),
        [.., "tests" | "benches" | "examples" | "fuzz_targets", file]
            if file.ends_with(".rs") && !parts.contains(&"src") =>
        {
            Some(Kind::Test)
        }
        [.., "tests" | "benches" | "examples", _, "main.rs"] if !parts.contains(&"src") => Some(Kind::Test),
        _ => None,
    }
}

#[derive(Debug)]
struct Declared {
    name: String,
    path: Option<String>,
    test: bool,
}

/// The `mod name;` lines with their attributes.
fn declared(text: &str) -> Vec<Declared> {
    let code = Code::of(text);
    let mut found = Vec::new();
    let mut attributes: Vec<&str> = Vec::new();
    // The path of a `#[path]` is a string, so attributes come from the text and the rest from the code.
    for ((_, line), original) in code.lines().zip(text.lines()) {
        let (line, original) = (line.trim(), original.trim());
        if line.starts_with("#[") {
            attributes.push(original);
        } else if let Some(name) = module_name(line) {
            let path =
                attributes.iter().find_map(|attribute| attribute.strip_prefix("#[path = \"")?.strip_suffix("\"]"));
            let test = attributes.iter().any(|attribute| attribute.starts_with("#[cfg(test)]"));
            found.push(Declared { name: name.to_owned(), path: path.map(str::to_owned), test });
            attributes.clear();
        } else if !line.is_empty() {
            attributes.clear();
        }
    }
    found
}

fn module_name(line: &str) -> Option<&str> {
    let line = line.strip_suffix(';')?;
    let line = line.strip_prefix("pub").map_or(line, |rest| {
        rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(rest, |(_, rest)| rest)
    });
    line.trim().strip_prefix("mod ").map(str::trim)
}

/// The files that a declaration may mean; `mod.rs` is among them so that it is reported as such and not as an orphan.
fn candidates(from: &str, is_root: bool, declared: &Declared) -> Vec<String> {
    let (folder, file) = from.rsplit_once('/').unwrap_or(("", from));
    if let Some(path) = &declared.path {
        return vec![format!("{folder}/{path}")];
    }
    let stem = file.trim_end_matches(".rs");
    let folder = if is_root || stem == "mod" { folder.to_owned() } else { format!("{folder}/{stem}") };
    vec![format!("{folder}/{}.rs", declared.name), format!("{folder}/{}/mod.rs", declared.name)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[(&str, &str)], path: &str, expected: Option<Kind>) {
        let files: Vec<File> =
            files.iter().map(|(path, text)| File { path: (*path).into(), text: (*text).into() }).collect();
        assert_eq!(kinds(&files).get(path).copied(), expected);
    }

    #[test]
    fn modules_are_followed_into_folders() {
        let files = [("a/src/lib.rs", "pub mod b;"), ("a/src/b.rs", "pub(crate) mod c;"), ("a/src/b/c.rs", "")];
        check(&files, "a/src/b/c.rs", Some(Kind::Product));
    }

    #[test]
    fn a_module_under_cfg_test_is_test_code_with_all_below_it() {
        let files = [("a/src/lib.rs", "#[cfg(test)]\nmod t;"), ("a/src/t.rs", "mod u;"), ("a/src/t/u.rs", "")];
        check(&files, "a/src/t/u.rs", Some(Kind::Test));
    }

    #[test]
    fn a_module_with_a_path_is_followed() {
        let files = [("a/src/lib.rs", "#[path = \"odd/b.rs\"]\nmod b;"), ("a/src/odd/b.rs", "")];
        check(&files, "a/src/odd/b.rs", Some(Kind::Product));
    }

    #[test]
    fn a_declaration_in_a_comment_reaches_nothing() {
        check(&[("a/src/lib.rs", "// mod b;\n/*\nmod b;\n*/"), ("a/src/b.rs", "")], "a/src/b.rs", None);
    }

    #[test]
    fn integration_tests_are_roots() {
        check(&[("a/tests/x.rs", "")], "a/tests/x.rs", Some(Kind::Test));
        let files = [("a/tests/x/main.rs", "mod y;"), ("a/tests/x/y.rs", "")];
        check(&files, "a/tests/x/y.rs", Some(Kind::Test));
    }
}
