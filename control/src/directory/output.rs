//! Writes everything but the contract into the state folder: properties, features, observability, logging, status.
//!
//! Every write is atomic and left out when nothing changed. Blocks.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::api::Problem;
use crate::atomic;
use crate::files::Files;
use crate::status::{ChannelStatus, SubscriptionStatus};

/// Where things are in a state folder. Other processes are started with these paths.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

/// `status.json`.
#[derive(Debug, Serialize)]
pub struct Status<'a> {
    /// Of the contract in force; 0 before there is one.
    pub generation: u64,
    /// By namespace and name.
    pub channels: &'a [ChannelStatus],
    /// By channel; those without one last.
    pub subscriptions: &'a [SubscriptionStatus],
    /// Sorted by place.
    pub problems: &'a [Problem],
}

impl Layout {
    /// The layout below a state folder.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The contract's file.
    #[must_use]
    pub fn contract(&self) -> PathBuf {
        self.root.join("contract").join("data")
    }

    /// Makes the folders, so that others can watch them before anything is in them.
    ///
    /// # Errors
    /// When one cannot be made.
    pub(crate) fn create(&self) -> io::Result<()> {
        for folder in ["contract", "config", "features", "observability"] {
            fs::create_dir_all(self.root.join(folder))?;
        }
        Ok(())
    }

    /// Writes the files for the data plane.
    ///
    /// # Errors
    /// The first file that could not be written; the others were attempted.
    pub(crate) fn write_files(&self, files: &Files) -> io::Result<()> {
        let mut result = Ok(());
        for (name, file) in &files.properties {
            let path = self.root.join("config").join(name);
            let bytes = match &file.wanted {
                Some(bytes) => bytes.as_slice(),
                None if path.exists() => continue,
                // There is no last good file, and a process without its file would not start.
                None => file.default.as_bytes(),
            };
            result = result.and(atomic::write(&path, bytes).map(|_| ()));
        }
        for (name, wanted) in
            [("features", &files.features), ("observability", &files.observability), ("logging", &files.logging)]
        {
            let folder = self.root.join(name);
            if !wanted.is_empty() || folder.exists() {
                result = result.and(write_folder(&folder, wanted));
            }
        }
        result
    }

    /// Writes `status.json`.
    ///
    /// # Errors
    /// When it could not be written.
    pub(crate) fn write_status(&self, status: &Status<'_>) -> io::Result<()> {
        let mut bytes = serde_json::to_vec_pretty(status)?;
        bytes.push(b'\n');
        atomic::write(&self.root.join("status.json"), &bytes).map(|_| ())
    }
}

/// Makes the folder hold exactly these files. Hidden ones are left alone.
fn write_folder(folder: &Path, wanted: &BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    let mut result = Ok(());
    for (name, bytes) in wanted {
        result = result.and(atomic::write(&folder.join(name), bytes).map(|_| ()));
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && !wanted.contains_key(&name) && entry.file_type()?.is_file() {
            result = result.and(fs::remove_file(entry.path()));
        }
    }
    result
}
