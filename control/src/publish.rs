//! Puts the contract into its file.
//!
//! Written only when its content changed, with the next generation, atomically. The generation continues from the
//! file, because readers ignore a contract whose generation is the one they saw last. A file that cannot be read is
//! repaired: everything in it can be made again from the objects.
//! Source: control-plane spec 0.2.

use std::io;
use std::path::{Path, PathBuf};

use millrace_config::contract::{shards, wire, write};
use tracing::warn;

use crate::atomic;
use crate::reconcile::observed::Published;

/// The contract's file.
#[derive(Debug)]
pub struct Publisher {
    path: PathBuf,
    /// The highest generation that this process saw or wrote.
    generation: u64,
}

/// What is in the place of the contract.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Existing {
    /// Nothing yet: no file, or one without a byte, as in a new installation.
    Nothing,
    /// A contract.
    Contract(wire::Contract),
    /// An index: the contract is in several ConfigMaps. Never in a folder, where a file has no limit.
    Index(wire::Index),
    /// Not a contract; with its generation, if that much can be read, and what is wrong.
    Corrupt(Option<u64>, String),
}

impl Publisher {
    /// A publisher for the file, which need not exist. Nothing is read yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, generation: 0 }
    }

    /// The contract in force. A file that is no contract counts as empty. Blocks.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn current(&mut self) -> io::Result<Published> {
        let published = match self.read()? {
            Existing::Contract(contract) => Published::from(&contract),
            Existing::Nothing | Existing::Index(_) | Existing::Corrupt(..) => Published::default(),
        };
        self.generation = self.generation.max(published.generation);
        Ok(published)
    }

    /// Writes the contract if its content differs from the file's, and says what is in force now. The generation of
    /// `wanted` is ignored. `fresh` is a generation that no reader saw yet, for a corrupt file whose own is lost.
    /// Blocks.
    ///
    /// # Errors
    /// When the file cannot be read or written; the one in force stays.
    pub fn publish(&mut self, wanted: &wire::Contract, fresh: u64) -> io::Result<Published> {
        let existing = self.read()?;
        let base = match &existing {
            Existing::Contract(contract) if write::same_content(contract, wanted) => {
                self.generation = contract.generation;
                return Ok(Published::from(contract));
            }
            Existing::Contract(contract) => contract.generation,
            Existing::Index(index) => index.generation,
            Existing::Nothing => self.generation,
            Existing::Corrupt(generation, error) => {
                warn!(path = %self.path.display(), error, "Contract file is corrupt and is written anew");
                generation.unwrap_or(if self.generation > 0 { self.generation } else { fresh })
            }
        };
        let mut next = wanted.clone();
        next.generation = write::next_generation(base);
        atomic::write(&self.path, &write::to_json(&next))?;
        self.generation = next.generation;
        Ok(Published::from(&next))
    }

    fn read(&self) -> io::Result<Existing> {
        read(&self.path)
    }
}

fn read(path: &Path) -> io::Result<Existing> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Existing::Nothing),
        Err(error) => return Err(error),
    };
    Ok(parse(&bytes))
}

/// What these bytes are.
pub(crate) fn parse(bytes: &[u8]) -> Existing {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Existing::Nothing;
    }
    if let Some(index) = shards::index(bytes) {
        return Existing::Index(index);
    }
    match wire::from_json(bytes) {
        Ok(contract) => Existing::Contract(contract),
        Err(error) => Existing::Corrupt(salvage(bytes), error.to_string()),
    }
}

/// The generation of a file that was cut off or edited badly: the number after the field's name.
fn salvage(bytes: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(bytes);
    let (_, after) = text.split_once("\"generation\"")?;
    let number = after.trim_start().strip_prefix(':')?.trim_start();
    let digits: String = number.strip_prefix('"').unwrap_or(number).chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests;
