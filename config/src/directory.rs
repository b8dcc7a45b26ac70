//! Reads a directory with one file for each key, which is how Kubernetes mounts a ConfigMap.
//!
//! Values are trimmed: they are typed by people, and editors end files with a line break.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Values of a ConfigMap are smaller: the API server allows 1 MiB for all of them together.
const MAX_VALUE_BYTES: u64 = 1024 * 1024;

/// A directory or a file in it could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}")]
pub struct DirectoryError {
    /// The directory or file.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// All values by key, trimmed. Keys beginning with a dot are skipped (Kubernetes keeps its versions there), and so are
/// directories. `None` when the directory does not exist. Blocks.
///
/// # Errors
/// When the directory or a file in it exists but cannot be read, is not UTF-8, or is larger than 1 MiB.
pub fn read(directory: &Path) -> Result<Option<BTreeMap<String, String>>, DirectoryError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| DirectoryError { path, source }
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(directory)(error)),
    };
    let mut values = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(failed(directory))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if name.starts_with('.') {
            continue;
        }
        if let Some(value) = value(&path).map_err(failed(&path))? {
            values.insert(name.to_owned(), value);
        }
    }
    Ok(Some(values))
}

/// `None` for directories and for files that vanished since they were listed.
fn value(path: &Path) -> io::Result<Option<String>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if file.metadata()?.is_dir() {
        return Ok(None);
    }
    let mut text = String::new();
    // One byte more than allowed, to tell "full" from "too long".
    let read = file.take(MAX_VALUE_BYTES + 1).read_to_string(&mut text)?;
    if u64::try_from(read).is_ok_and(|read| read > MAX_VALUE_BYTES) {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
    }
    Ok(Some(text.trim().to_owned()))
}

#[cfg(test)]
mod tests;
