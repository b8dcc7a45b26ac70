//! Tests of the generation rule and of repairs.

use std::fs;

use tempfile::TempDir;

use super::*;

const FRESH: u64 = 1_700_000_000_000;

fn contract(uids: &[&str]) -> wire::Contract {
    let resources =
        uids.iter().map(|uid| wire::Resource { uid: (*uid).to_owned(), ..wire::Resource::default() }).collect();
    wire::Contract { resources, ..wire::Contract::default() }
}

fn folder(content: Option<&str>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    if let Some(content) = content {
        fs::write(&path, content).unwrap();
    }
    (folder, path)
}

/// The generation after publishing one resource over `content`.
#[track_caller]
fn check(content: Option<&str>, expected: u64) {
    let (_folder, path) = folder(content);
    let mut publisher = Publisher::new(path.clone());
    let published = publisher.publish(&contract(&["a"]), FRESH).unwrap();
    assert_eq!(published.generation, expected, "{content:?}");
    assert!(published.resources.contains_key("a"));
    let written = wire::from_json(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(written.generation, expected);
}

#[test]
fn the_generation_continues_from_the_file() {
    check(None, 1);
    check(Some(""), 1);
    check(Some("\n"), 1);
    check(Some("{}"), 1);
    check(Some(r#"{"generation":"41"}"#), 42);
    check(Some(r#"{"generation":41,"resources":[{"uid":"b"}]}"#), 42);
}

#[test]
fn a_corrupt_file_is_repaired_with_a_generation_that_readers_have_not_seen() {
    check(Some(r#"{"generation":"41","resources":[{"uid":"#), 42);
    check(Some(r#"{"generation": 41 oops"#), 42);
    check(Some("corrupt"), FRESH + 1);
    let (_folder, path) = folder(None);
    let mut publisher = Publisher::new(path.clone());
    publisher.publish(&contract(&["a"]), FRESH).unwrap();
    fs::write(&path, "corrupt").unwrap();
    assert_eq!(publisher.publish(&contract(&["a"]), FRESH).unwrap().generation, 2);
}

#[test]
fn equal_content_is_not_written_again_even_when_its_text_differs() {
    let text = "{ \"resources\" : [ { \"uid\" : \"a\" } ], \"generation\" : \"7\" }";
    let (_folder, path) = folder(Some(text));
    let mut publisher = Publisher::new(path.clone());
    for _ in 0..3 {
        assert_eq!(publisher.publish(&contract(&["a"]), FRESH).unwrap().generation, 7);
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn every_change_gets_the_next_generation() {
    let (_folder, path) = folder(None);
    let mut publisher = Publisher::new(path);
    let changes = [&["a"][..], &["a", "b"], &["b", "a"], &[], &[]];
    let generations: Vec<u64> =
        changes.iter().map(|uids| publisher.publish(&contract(uids), FRESH).unwrap().generation).collect();
    assert_eq!(generations, [1, 2, 3, 4, 4]);
}

#[test]
fn an_empty_contract_is_written_for_a_new_installation() {
    let (_folder, path) = folder(None);
    assert_eq!(Publisher::new(path.clone()).publish(&contract(&[]), FRESH).unwrap().generation, 1);
    assert!(path.exists());
}

#[test]
fn a_file_that_was_deleted_comes_back_with_a_new_generation() {
    let (_folder, path) = folder(Some(r#"{"generation":"5","resources":[{"uid":"a"}]}"#));
    let mut publisher = Publisher::new(path.clone());
    assert_eq!(publisher.current().unwrap().generation, 5);
    fs::remove_file(&path).unwrap();
    assert_eq!(publisher.publish(&contract(&["a"]), FRESH).unwrap().generation, 6);
}

#[test]
fn a_failed_write_is_told_and_the_generation_is_not_used_up() {
    let (folder, path) = folder(None);
    let mut publisher = Publisher::new(path.clone());
    fs::create_dir(&path).unwrap();
    assert!(publisher.publish(&contract(&["a"]), FRESH).is_err());
    fs::remove_dir(&path).unwrap();
    assert_eq!(publisher.publish(&contract(&["a"]), FRESH).unwrap().generation, 1);
    drop(folder);
}
