//! Applies the rules of `millrace_tests::tidy` to the workspace.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail like tests; the lint spares only functions marked as tests"
)]

use std::fs;
use std::path::Path;

use millrace_tests::tidy::{self, File};

#[test]
fn the_source_tree_keeps_its_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    collect(root, root, &mut files);
    let sources = files.iter().filter(|file| file.path.ends_with(".rs")).count();
    assert!(sources > 50, "only {sources} source files were found below {}", root.display());
    let found = tidy::check(&files);
    let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{} rules are broken:\n{}", found.len(), shown.join("\n"));
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                collect(root, &path, files);
            }
        } else if name.ends_with(".rs") || name == "Cargo.toml" {
            let relative = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            files.push(File { path: relative, text: fs::read_to_string(&path).unwrap() });
        }
    }
}
