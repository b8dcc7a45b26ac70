//! A contract in several files: an index in the contract's place, and shards with the resources beside it.
//!
//! The files of one set arrive together or one by one, in any order, because each comes from a ConfigMap of its own. The
//! index therefore names each shard with the digest of its bytes: a set is used when every shard is the one that the index
//! means, or not at all. Pure: files are read by a function that the caller gives.
//!
//! The peer has nothing like it. A contract that fits into one ConfigMap has the peer's form and no index.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest as hash};

use super::error::ParseError;
use super::wire::{self, Contract, Index, Shard, Value as _};

/// How many shards there may be, numbered from 1: those of the contract in force, and as many of the next one.
pub const MOST_SHARDS: u32 = 16;
/// For people who look into the index, and a text so that others refuse it.
const NOTICE: &str = "in the files that shards names; a reader that does not know them must not use this file";
/// Numbers that a reader accepts: room for a writer that has more of them.
const LARGEST_NUMBER: u32 = 99;
const OPENING: &[u8] = b"{\"resources\":[";
const CLOSING: &[u8] = b"]}";
/// What a shard has besides its resources, in bytes.
pub const FRAME: usize = OPENING.len() + CLOSING.len();

/// Why a set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// There is no such file, or not yet.
    #[error("shard {number} is not there")]
    Missing {
        /// Which.
        number: u32,
    },
    /// It belongs to another set: one of the two files is older.
    #[error("shard {number} has another content than the index says")]
    Other {
        /// Which.
        number: u32,
    },
    /// It cannot be read.
    #[error("shard {number} cannot be read")]
    Read {
        /// Which.
        number: u32,
        /// What the system said.
        source: io::Error,
    },
    /// It is what the index means, and no list of resources.
    #[error("shard {number} is not usable")]
    Parse {
        /// Which.
        number: u32,
        /// What is wrong with it, and where.
        source: ParseError,
    },
    /// Not from 1 to 99, or named twice.
    #[error("the index names a shard {number} that cannot be, or names it twice")]
    Number {
        /// Which.
        number: u32,
    },
}

impl ShardError {
    /// Whether files that have yet to arrive can mend it.
    pub fn is_incomplete(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::Other { .. } => true,
            Self::Read { .. } | Self::Parse { .. } | Self::Number { .. } => false,
        }
    }
}

/// The index in a file; `None` when it is none, but a contract or nothing of both.
pub fn index(bytes: &[u8]) -> Option<Index> {
    // A contract ends this at its first resource.
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let index = Index::read(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    (!index.shards.is_empty()).then_some(index)
}

/// The file of an index.
pub fn index_to_json(generation: u64, shards: Vec<Shard>, trust_bundles: Vec<String>) -> Vec<u8> {
    let index = Index { generation, notice: NOTICE.to_owned(), shards, trust_bundles };
    let mut bytes = Vec::new();
    index
        .write(&mut serde_json::Serializer::new(&mut bytes))
        .expect("writing to memory cannot fail, and every key of an index is a text");
    bytes
}

/// The file of a shard, made of resources in the form of [`super::write::resource_to_json`]. It has [`FRAME`] bytes and a
/// comma after each resource but the last besides them.
pub fn shard_to_json<'a>(resources: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = OPENING.to_vec();
    for (place, resource) in resources.into_iter().enumerate() {
        if place > 0 {
            bytes.push(b',');
        }
        bytes.extend_from_slice(resource);
    }
    bytes.extend_from_slice(CLOSING);
    bytes
}

/// How an index says which bytes it means.
pub fn digest(bytes: &[u8]) -> String {
    hash(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The file of a shard, beside that of the contract: `data-1` beside `data`.
pub fn file_of(contract: &Path, number: u32) -> PathBuf {
    let mut name = contract.file_name().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    contract.with_file_name(name)
}

/// Puts a contract together, or says why this is not possible now.
///
/// # Errors
/// When a shard is missing, is not the one that the index means, or cannot be used.
pub fn assemble(index: Index, mut read: impl FnMut(u32) -> io::Result<Vec<u8>>) -> Result<Contract, ShardError> {
    let mut seen = BTreeSet::new();
    let mut contract =
        Contract { generation: index.generation, trust_bundles: index.trust_bundles, ..Contract::default() };
    for Shard { number, sha256 } in index.shards {
        if !(1..=LARGEST_NUMBER).contains(&number) || !seen.insert(number) {
            return Err(ShardError::Number { number });
        }
        let bytes = read(number).map_err(|source| {
            let is_missing = source.kind() == io::ErrorKind::NotFound;
            if is_missing { ShardError::Missing { number } } else { ShardError::Read { number, source } }
        })?;
        if digest(&bytes) != sha256 {
            return Err(ShardError::Other { number });
        }
        contract.resources.extend(resources(&bytes).map_err(|source| ShardError::Parse { number, source })?);
    }
    Ok(contract)
}

/// The resources in a shard.
///
/// # Errors
/// As [`wire::from_json`].
pub fn resources(bytes: &[u8]) -> Result<Vec<wire::Resource>, ParseError> {
    wire::from_json(bytes).map(|contract| contract.resources)
}

#[cfg(test)]
mod tests;
