//! Reads a file, and tells whether its content is another than the last time.

use std::hash::{DefaultHasher, Hasher as _};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// A file that is read again and again.
#[derive(Debug)]
pub struct ChangedFile {
    path: PathBuf,
    /// Hash and length of the content last seen.
    last: Option<(u64, usize)>,
}

/// What reading a file again gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileState {
    /// As the last time.
    Unchanged,
    /// Another content, or the first one.
    Changed(Vec<u8>),
    /// There is no such file.
    Missing,
}

impl ChangedFile {
    /// Nothing seen yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), last: None }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file. A file that was missing counts as changed when it is back, whatever is in it. Blocks.
    ///
    /// # Errors
    /// When the file exists but cannot be read.
    pub fn read(&mut self) -> io::Result<FileState> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.last = None;
                return Ok(FileState::Missing);
            }
            Err(error) => return Err(error),
        };
        let seen = Some((hash(&bytes), bytes.len()));
        if seen == self.last {
            return Ok(FileState::Unchanged);
        }
        self.last = seen;
        Ok(FileState::Changed(bytes))
    }

    /// Makes the next reading count as changed: for a content that could not be applied and is to be tried again.
    pub fn forget(&mut self) {
        self.last = None;
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_content_counts_as_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        let mut file = ChangedFile::new(&path);
        assert_eq!(file.read().unwrap(), FileState::Missing);
        fs::write(&path, "one").unwrap();
        assert_eq!(file.read().unwrap(), FileState::Changed(b"one".to_vec()));
        fs::write(&path, "one").unwrap();
        assert_eq!(file.read().unwrap(), FileState::Unchanged);
        fs::write(&path, "two").unwrap();
        assert_eq!(file.read().unwrap(), FileState::Changed(b"two".to_vec()));
    }

    #[test]
    fn an_empty_file_is_not_a_missing_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        fs::write(&path, "").unwrap();
        let mut file = ChangedFile::new(&path);
        assert_eq!(file.read().unwrap(), FileState::Changed(Vec::new()));
        assert_eq!(file.read().unwrap(), FileState::Unchanged);
    }

    #[test]
    fn a_file_that_comes_back_or_is_forgotten_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        fs::write(&path, "one").unwrap();
        let mut file = ChangedFile::new(&path);
        let changed = FileState::Changed(b"one".to_vec());
        assert_eq!(file.read().unwrap(), changed);
        fs::remove_file(&path).unwrap();
        assert_eq!(file.read().unwrap(), FileState::Missing);
        fs::write(&path, "one").unwrap();
        assert_eq!(file.read().unwrap(), changed);
        file.forget();
        assert_eq!(file.read().unwrap(), changed);
    }
}
