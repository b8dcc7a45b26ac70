//! The contract file as a data plane follows it: which content counts as new, and what a bad file changes (nothing).
//!
//! A file that is an index counts with the shards beside it, and only when all of them are those that it means.
//!
//! Blocks while reading. Decides nothing about when to read: `watch` does.
//! Source: spec ingress 3.3, dispatcher 1.3. The generation alone decides whether a file is new, as control planes rely on
//! it; a file that failed to parse never counts as seen.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::shards::{self, ShardError};
use super::{Contract, ParseError, parse};

/// One contract file, and what was last seen of it.
#[derive(Debug)]
pub struct ContractFile {
    path: PathBuf,
    generation: Option<u64>,
    /// The last bad content's complaint, so that it is reported once and not at every re-read.
    complaint: Option<String>,
    incomplete: bool,
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
    /// It is an index whose shards cannot be used.
    #[error("contract file {path} and its shards are not usable together")]
    Shards {
        /// The file.
        path: PathBuf,
        /// Which shard, and why.
        #[source]
        source: ShardError,
    },
}

impl ContractFileError {
    /// Whether there is no such file, as before the control plane has written the first one.
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Read { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Parse { .. } | Self::Shards { .. } => false,
        }
    }

    /// Whether only shards have yet to arrive, or the index that goes with those that are there: the usual short moment
    /// while a mount is refreshed, and trouble when it lasts.
    pub fn is_incomplete(&self) -> bool {
        match self {
            Self::Read { .. } | Self::Parse { .. } => false,
            Self::Shards { source, .. } => source.is_incomplete(),
        }
    }
}

impl ContractFile {
    /// Nothing is read yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), generation: None, complaint: None, incomplete: false }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the last reading found an index with shards that do not go with it: a newer contract than the one in force
    /// waits for them.
    pub fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// Reads the file and says whether it holds something new.
    pub fn read(&mut self) -> Reading {
        let mut found = self.look();
        if found.as_ref().is_err_and(ContractFileError::is_incomplete) {
            // A mount that was refreshed between two files is whole now.
            found = self.look();
        }
        self.incomplete = found.as_ref().is_err_and(ContractFileError::is_incomplete);
        match found {
            Ok(found) => {
                self.complaint = None;
                let Some(contract) = found else { return Reading::Unchanged };
                self.generation = Some(contract.generation);
                Reading::New(contract)
            }
            Err(ContractFileError::Parse { source: ParseError::Empty, .. }) => Reading::Empty,
            Err(error) => self.bad(error),
        }
    }

    /// What the files hold now; `None` for the generation that was seen last.
    fn look(&self) -> Result<Option<Contract>, ContractFileError> {
        let path = || self.path.clone();
        let bytes = fs::read(&self.path).map_err(|source| ContractFileError::Read { path: path(), source })?;
        let Some(index) = shards::index(&bytes) else {
            let contract = parse(&bytes).map_err(|source| ContractFileError::Parse { path: path(), source })?;
            return Ok(Some(contract).filter(|contract| self.generation != Some(contract.generation)));
        };
        if self.generation == Some(index.generation) {
            return Ok(None);
        }
        let contract = shards::assemble(index, |number| fs::read(shards::file_of(&self.path, number)));
        let contract = contract.map_err(|source| ContractFileError::Shards { path: path(), source })?;
        Ok(Some(parse::check(contract)))
    }

    fn bad(&mut self, error: ContractFileError) -> Reading {
        // The outer text is the same for every content.
        let complaint = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        if self.complaint.as_ref() == Some(&complaint) {
            return Reading::Unchanged;
        }
        self.complaint = Some(complaint);
        Reading::Bad(error)
    }
}

#[cfg(test)]
mod tests;
