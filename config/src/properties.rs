//! The four properties files: tuning for Kafka and HTTP, in the names that Java's Kafka clients and Vert.x use.
//!
//! [`grammar`] reads the text; the other modules turn keys into checked settings. A key that has no effect is warned
//! about once, by name and with the reason; a value that makes no sense is an error that names its key. Values are
//! never repeated in messages where they could be secrets.
//!
//! Files are read at start, and followed while the process runs ([`mod@file`]). Keys that begin with `millrace.` are
//! ours; Java processes ignore them.

mod draft;
pub mod file;
pub mod grammar;
pub mod http_client;
pub mod http_server;
pub mod kafka;
mod socket;
mod vertx;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::{fs, io};

pub use grammar::PropertiesError;
pub use socket::SocketSettings;

/// Keys and values of one file. Values are verbatim: blanks at their end are kept.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// Nothing set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a key, verbatim. An empty value is not an absent one.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Sets a key; a previous value is replaced.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.insert(key.into(), value.into());
    }

    /// All keys and values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads a file. A missing one gives the defaults, as it does for the peer, and is logged as an error because it
    /// is most often a wrong mount. Blocks.
    ///
    /// # Errors
    /// When the file exists but cannot be read, or is not in the format; the line is named.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        match fs::read(path) {
            Ok(bytes) => grammar::parse(&bytes).map_err(|source| ReadError::Syntax { path: path.to_owned(), source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::error!(path = %path.display(), "Properties file is missing, defaults are used");
                Ok(Self::new())
            }
            Err(source) => Err(ReadError::File { path: path.to_owned(), source }),
        }
    }
}

/// Shows keys only: values may be passwords.
impl fmt::Debug for Properties {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Properties {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(entries: T) -> Self {
        Self(entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

/// A properties file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It could not be read.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not in the format.
    #[error("cannot read {path}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        source: PropertiesError,
    },
}

/// A key that does not do what its writer may expect. Worth one line in the log at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The key as in the file.
    pub key: String,
    /// What happens instead, and why.
    pub reason: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.key, self.reason)
    }
}

/// A value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct PropertyError {
    /// The key as in the file.
    pub key: String,
    /// What is wrong, with the values that would be right.
    pub problem: String,
}

/// Every value of a file that cannot be used; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyErrors(pub Vec<PropertyError>);

impl fmt::Display for PropertyErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(formatter, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for PropertyErrors {}
