//! Reading directories as Kubernetes lays them out.

use std::os::unix::fs::symlink;

use super::*;

#[test]
fn a_mounted_config_map_gives_its_keys_and_not_the_versions_behind_them() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir(root.join("..2026_01_01")).unwrap();
    fs::write(root.join("..2026_01_01/metrics-protocol"), "prometheus\n").unwrap();
    symlink("..2026_01_01", root.join("..data")).unwrap();
    symlink("..data/metrics-protocol", root.join("metrics-protocol")).unwrap();
    fs::create_dir(root.join("lost+found")).unwrap();

    let values = read(root).unwrap().unwrap();
    assert_eq!(values, BTreeMap::from([("metrics-protocol".to_owned(), "prometheus".to_owned())]));
}

#[test]
fn a_key_whose_file_is_gone_is_absent() {
    let directory = tempfile::tempdir().unwrap();
    symlink("..data/gone", directory.path().join("gone")).unwrap();
    assert_eq!(read(directory.path()).unwrap(), Some(BTreeMap::new()));
}

#[test]
fn a_missing_directory_is_not_an_empty_one() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(read(&directory.path().join("absent")).unwrap(), None);
    assert_eq!(read(directory.path()).unwrap(), Some(BTreeMap::new()));
}

#[test]
fn a_file_that_is_too_large_or_not_text_is_named() {
    for content in [vec![b'x'; 1024 * 1024 + 1], vec![0xff, 0xfe]] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("bad"), content).unwrap();
        let error = read(directory.path()).unwrap_err();
        assert_eq!(error.path, directory.path().join("bad"));
    }
}

#[test]
fn a_file_of_exactly_the_largest_size_is_read() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("big"), vec![b'x'; 1024 * 1024]).unwrap();
    assert_eq!(read(directory.path()).unwrap().unwrap().get("big").map(String::len), Some(1024 * 1024));
}
