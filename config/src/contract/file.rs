//! The contract file as a data plane follows it: which content counts as new, and what a bad file changes (nothing).
//!
//! Blocks while reading. Decides nothing about when to read: `watch` does.
//! Source: spec ingress 3.3, dispatcher 1.3. The generation alone decides whether a file is new, as control planes rely on
//! it; a file that failed to parse never counts as seen.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Contract, ParseError, parse};

/// One contract file, and what was last seen of it.
#[derive(Debug)]
pub struct ContractFile {
    path: PathBuf,
    generation: Option<u64>,
    /// The last bad content's complaint, so that it is reported once and not at every re-read.
    complaint: Option<String>,
}

/// What a look at the file found.
#[derive(Debug)]
pub enum Reading {
    /// A contract to put in force.
    New(Contract),
    /// Nothing to do: the same generation as before, or the same trouble as before.
    Unchanged,
    /// The file has no bytes: a new installation's ConfigMap. Before the first contract this is a contract without
    /// resources; afterwards the last contract stays in force.
    Empty,
    /// The file is bad, missing or unreadable: the last contract stays in force. Reported once.
    Bad(ContractFileError),
}

/// Why a contract file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContractFileError {
    /// It cannot be read.
    #[error("contract file {path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is no contract.
    #[error("contract file {path} is not usable")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        #[source]
        source: ParseError,
    },
}

impl ContractFileError {
    /// Whether there is no such file, as before the control plane has written the first one.
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Read { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Parse { .. } => false,
        }
    }
}

impl ContractFile {
    /// Nothing is read yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), generation: None, complaint: None }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file and says whether it holds something new.
    pub fn read(&mut self) -> Reading {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(source) => {
                let complaint = source.to_string();
                return self.bad(complaint, ContractFileError::Read { path: self.path.clone(), source });
            }
        };
        match parse(&bytes) {
            Ok(contract) if self.generation == Some(contract.generation) => {
                self.complaint = None;
                Reading::Unchanged
            }
            Ok(contract) => {
                self.complaint = None;
                self.generation = Some(contract.generation);
                Reading::New(contract)
            }
            Err(ParseError::Empty) => Reading::Empty,
            Err(source) => {
                let complaint = source.to_string();
                self.bad(complaint, ContractFileError::Parse { path: self.path.clone(), source })
            }
        }
    }

    fn bad(&mut self, complaint: String, error: ContractFileError) -> Reading {
        if self.complaint.as_ref() == Some(&complaint) {
            return Reading::Unchanged;
        }
        self.complaint = Some(complaint);
        Reading::Bad(error)
    }
}

#[cfg(test)]
mod tests {
    //! Which content counts as new.

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
}
