//! Folders of files as a process sees them in a cluster: a ConfigMap mount with the kubelet's symlink swap, and plain
//! folders with atomic renames.
//!
//! Must not know what the files mean.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

static VERSIONS: AtomicU64 = AtomicU64::new(1);

/// A ConfigMap mounted as a volume: `..data` is a symlink to a folder of this version, each key a symlink through it.
#[derive(Debug, Clone)]
pub struct Mount {
    path: PathBuf,
}

impl Mount {
    /// Creates the folder with these keys.
    ///
    /// # Panics
    /// When the file system refuses.
    pub fn new(path: impl Into<PathBuf>, files: &[(&str, &[u8])]) -> Self {
        let mount = Self { path: path.into() };
        fs::create_dir_all(&mount.path).expect("cannot create the mount");
        mount.swap(files);
        mount
    }

    /// The mounted folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of one key's file.
    #[must_use]
    pub fn file(&self, key: &str) -> PathBuf {
        self.path.join(key)
    }

    /// Replaces all keys at once, in the order of steps that the kubelet uses: new folder, `..data_tmp`, rename over
    /// `..data`, links of new keys, removal of links and folder of the old version. Gives the moment before the renaming.
    ///
    /// # Panics
    /// When the file system refuses.
    pub fn swap(&self, files: &[(&str, &[u8])]) -> Instant {
        let version = format!("..2026_01_01_{}", VERSIONS.fetch_add(1, Ordering::Relaxed));
        let folder = self.path.join(&version);
        fs::create_dir(&folder).expect("cannot create the version's folder");
        for (key, content) in files {
            fs::write(folder.join(key), content).expect("cannot write a key");
        }
        let (data, next) = (self.path.join("..data"), self.path.join("..data_tmp"));
        let old = fs::read_link(&data).ok();
        symlink(&version, &next).expect("cannot create ..data_tmp");
        let moment = Instant::now();
        fs::rename(&next, &data).expect("cannot rename over ..data");
        for (key, _) in files {
            let link = self.path.join(key);
            if fs::symlink_metadata(&link).is_err() {
                symlink(Path::new("..data").join(key), link).expect("cannot link a key");
            }
        }
        self.remove_links_to_nothing();
        if let Some(old) = old {
            fs::remove_dir_all(self.path.join(old)).expect("cannot remove the old version");
        }
        moment
    }

    fn remove_links_to_nothing(&self) {
        for entry in fs::read_dir(&self.path).expect("the mount exists") {
            let path = entry.expect("the mount can be listed").path();
            if fs::metadata(&path).is_err() {
                fs::remove_file(&path).expect("cannot remove the link of a removed key");
            }
        }
    }
}

/// Writes a file so that a reader sees the old or the new bytes, never a part: temporary file, then rename.
///
/// # Panics
/// When the file system refuses.
pub fn replace(path: &Path, content: &[u8]) {
    let hidden = format!(
        ".{}.{}",
        path.file_name().map_or("file".into(), |name| name.to_string_lossy()),
        VERSIONS.fetch_add(1, Ordering::Relaxed)
    );
    let temporary = path.with_file_name(hidden);
    fs::write(&temporary, content).expect("cannot write the temporary file");
    fs::rename(&temporary, path).expect("cannot rename the temporary file");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_changes_removes_and_adds_keys() {
        let folder = tempfile::tempdir().unwrap();
        let mount = Mount::new(folder.path().join("m"), &[("a", b"1"), ("gone", b"x")]);
        assert_eq!(fs::read(mount.file("a")).unwrap(), b"1");
        mount.swap(&[("a", b"2"), ("new", b"3")]);
        assert_eq!(fs::read(mount.file("a")).unwrap(), b"2");
        assert_eq!(fs::read(mount.file("new")).unwrap(), b"3");
        assert!(fs::symlink_metadata(mount.file("gone")).is_err());
        let versions = fs::read_dir(mount.path())
            .unwrap()
            .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())));
        assert_eq!(versions.count(), 1);
    }

    #[test]
    fn a_replaced_file_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        replace(&folder.path().join("f"), b"1");
        replace(&folder.path().join("f"), b"2");
        assert_eq!(fs::read(folder.path().join("f")).unwrap(), b"2");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
