//! The files in `deploy/`, read by the very code that reads them in a cluster. Needs no cluster and no kustomize.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail like tests; the lint spares only functions marked as tests"
)]

mod config;
mod dashboards;
mod workloads;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// A folder or file below `deploy/`.
fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The documents of a file.
fn documents(path: &Path) -> Vec<Value> {
    let found: Vec<Value> = serde_saphyr::from_multiple(&read(path))
        .unwrap_or_else(|error| panic!("{} is not YAML: {error}", path.display()));
    assert!(!found.is_empty(), "{} is empty", path.display());
    found
}

/// All files below a folder with this ending.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// All documents of a folder whose `kind` is this.
fn of_kind(folder: &str, kind: &str) -> Vec<Value> {
    let all = files(&deploy(folder), ".yaml").into_iter().flat_map(|path| documents(&path));
    all.filter(|document| document["kind"] == kind).collect()
}

#[test]
fn every_file_is_yaml_and_belongs_to_a_kustomization() {
    let all = files(&deploy(""), ".yaml");
    assert!(all.len() > 30, "only {} files were found", all.len());
    for path in &all {
        let documents = documents(path);
        let folder = path.parent().unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        // Examples are for people, and for `millrace dev`.
        if name == "kustomization.yaml" || folder.starts_with(deploy("examples")) {
            continue;
        }
        let kustomization = self::documents(&folder.join("kustomization.yaml")).remove(0);
        let listed = kustomization["resources"].as_array().unwrap().iter().any(|resource| resource == name);
        assert!(listed, "{} is in no kustomization", path.display());
        for document in documents {
            for field in ["/apiVersion", "/kind", "/metadata/name"] {
                assert!(document.pointer(field).is_some_and(Value::is_string), "{}: {field}", path.display());
            }
        }
    }
}

#[test]
fn every_kustomization_names_things_that_are_there() {
    for path in files(&deploy(""), "kustomization.yaml") {
        let kustomization = documents(&path).remove(0);
        for list in ["resources", "components"] {
            for entry in kustomization[list].as_array().into_iter().flatten() {
                let target = path.parent().unwrap().join(entry.as_str().unwrap());
                let there = target.is_file() || target.join("kustomization.yaml").is_file();
                assert!(there, "{}: {entry} is not there", path.display());
            }
        }
    }
}
