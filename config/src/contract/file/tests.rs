//! Which content counts as new.

use super::super::{wire, write};
use super::*;

struct Folder {
    file: ContractFile,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

fn folder() -> Folder {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    Folder { file: ContractFile::new(&path), path, _folder: folder }
}

impl Folder {
    #[track_caller]
    fn check(&mut self, content: &str, expected: &str) {
        fs::write(&self.path, content).unwrap();
        let found = match self.file.read() {
            Reading::New(contract) => format!("new {}", contract.generation),
            Reading::Unchanged => "unchanged".to_owned(),
            Reading::Empty => "empty".to_owned(),
            Reading::Bad(_) => "bad".to_owned(),
        };
        assert_eq!(found, expected, "{content}");
    }
}

#[test]
fn any_other_generation_is_new_and_the_same_one_is_not() {
    let mut folder = folder();
    folder.check(r#"{"generation":"7"}"#, "new 7");
    folder.check(r#"{"generation":"7","trustBundles":["x"]}"#, "unchanged");
    folder.check(r#"{"generation":"3"}"#, "new 3");
    folder.check("{}", "new 0");
    folder.check("{}", "unchanged");
}

#[test]
fn only_a_file_that_is_not_there_is_missing() {
    let mut folder = folder();
    fs::create_dir(&folder.path).unwrap();
    assert!(matches!(folder.file.read(), Reading::Bad(error) if !error.is_missing()));
    fs::remove_dir(&folder.path).unwrap();
    fs::write(&folder.path, "{").unwrap();
    assert!(matches!(folder.file.read(), Reading::Bad(error) if !error.is_missing()));
}

#[test]
fn trouble_is_reported_once_and_never_counts_as_seen() {
    let mut folder = folder();
    let Reading::Bad(missing) = folder.file.read() else { panic!("there is no file yet") };
    assert!(missing.is_missing());
    assert!(matches!(folder.file.read(), Reading::Unchanged));
    folder.check(r#"{"generation":"#, "bad");
    folder.check(r#"{"generation":"#, "unchanged");
    folder.check("", "empty");
    folder.check(r#"{"generation":"1"}"#, "new 1");
    folder.check(r#"{"generation":"#, "bad");
    folder.check(r#"{"generation":"1"}"#, "unchanged");
}

/// An index and its shards as files beside one another.
struct Set {
    index: Vec<u8>,
    shards: Vec<Vec<u8>>,
}

fn set(generation: u64, uids: &[&str]) -> Set {
    let of = |uid: &&str| {
        let resource = wire::Resource {
            uid: (*uid).to_owned(),
            topics: vec!["t".to_owned()],
            bootstrap_servers: "k:9092".to_owned(),
            ..wire::Resource::default()
        };
        shards::shard_to_json([write::resource_to_json(&resource).as_slice()])
    };
    let shards: Vec<Vec<u8>> = uids.iter().map(of).collect();
    let named = (1_u32..).zip(&shards).map(|(number, bytes)| wire::Shard { number, sha256: shards::digest(bytes) });
    Set { index: shards::index_to_json(generation, named.collect(), Vec::new()), shards }
}

impl Folder {
    fn put(&self, number: u32, bytes: &[u8]) {
        fs::write(shards::file_of(&self.path, number), bytes).unwrap();
    }

    #[track_caller]
    fn check_index(&mut self, index: &[u8], expected: &str) {
        self.check(std::str::from_utf8(index).unwrap(), expected);
    }
}

#[test]
fn an_index_counts_once_all_its_shards_are_there() {
    let mut folder = folder();
    folder.check(r#"{"generation":"6"}"#, "new 6");
    let Set { index, shards } = set(7, &["a", "b"]);
    folder.put(1, &shards[0]);
    folder.check_index(&index, "bad");
    assert!(folder.file.is_incomplete());
    folder.check_index(&index, "unchanged");
    assert!(folder.file.is_incomplete());
    folder.put(2, &shards[1]);
    folder.check_index(&index, "new 7");
    assert!(!folder.file.is_incomplete());
    // What is in force needs no file any more.
    folder.put(2, b"older");
    folder.check_index(&index, "unchanged");
    assert!(!folder.file.is_incomplete());
}

#[test]
fn shards_of_another_set_are_waited_for_and_every_complaint_is_reported_once() {
    let mut folder = folder();
    let (old, new) = (set(7, &["a", "b"]), set(8, &["a", "c"]));
    folder.put(1, &old.shards[0]);
    folder.put(2, &old.shards[1]);
    folder.check_index(&new.index, "bad");
    folder.check_index(&new.index, "unchanged");
    folder.put(1, b"{}");
    folder.check_index(&new.index, "bad");
    folder.put(1, &new.shards[0]);
    folder.put(2, &new.shards[1]);
    folder.check_index(&new.index, "new 8");
    // Back in one file: shards that are left over do not matter.
    folder.check(r#"{"generation":"9"}"#, "new 9");
    assert!(!folder.file.is_incomplete());
}

#[test]
fn a_bad_index_or_shard_is_no_matter_of_waiting() {
    let mut folder = folder();
    let Set { index, shards } = set(7, &["a"]);
    folder.put(1, &shards[0]);
    folder.check_index(&index[..index.len() - 3], "bad");
    assert!(!folder.file.is_incomplete());
    folder.check_index(&index, "new 7");
}
