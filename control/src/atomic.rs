//! Writes a file so that readers see the old bytes or the new ones, never a part.
//!
//! A temporary file in the same folder, then a rename. Does nothing when the bytes are already there: watchers of the
//! folder are not woken for nothing.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Writes the file and says whether it had to. Creates the folder. Blocks until the bytes are on disk.
///
/// # Errors
/// When the folder or file cannot be written; the old file is still there then.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // One writer a folder: the name needs no more than being no name of a real file. The dot hides it from readers.
    let temporary = folder.join(format!(".{name}.new"));
    let result = write_and_rename(&temporary, path, bytes);
    if result.is_err() {
        fs::remove_file(&temporary).ok();
    }
    result.map(|()| true)
}

fn write_and_rename(temporary: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(temporary)?;
    file.write_all(bytes)?;
    // Without this, a power cut after the rename could leave an empty file.
    file.sync_all()?;
    drop(file);
    fs::rename(temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        assert!(write(&path, b"one").unwrap());
        assert!(write(&path, b"two").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path().join("a")).unwrap().count(), 1);
    }

    #[test]
    fn equal_bytes_are_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        assert!(write(&path, b"one").unwrap());
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        assert!(!write(&path, b"one").unwrap());
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
    }

    #[test]
    fn a_file_that_cannot_be_written_keeps_its_old_bytes() {
        let folder = tempfile::tempdir().unwrap();
        // A folder where the file should be: the rename fails.
        let path = folder.path().join("a");
        fs::create_dir_all(path.join("inside")).unwrap();
        assert!(write(&path, b"one").is_err());
        assert!(path.join("inside").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
