//! The state folder: what a cluster would mount into the pods, as plain files of this machine.
//!
//! `dev` only makes the folders; control writes the files. A temporary folder is removed at the end, one that the user
//! named is kept.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Made before any process starts, so that every watcher finds its folder.
const FOLDERS: &[&str] = &["contract", "config", "features", "observability", "health"];

#[derive(Debug, thiserror::Error)]
#[error("cannot prepare the state folder {}: choose another with --state DIR", path.display())]
pub(crate) struct StateError {
    path: PathBuf,
    source: std::io::Error,
}

pub(crate) struct StateFolder {
    root: PathBuf,
    /// Removes the folder when dropped.
    _temporary: Option<TempDir>,
}

impl StateFolder {
    /// Prepares the given folder, or a temporary one.
    ///
    /// # Errors
    /// When a folder cannot be made.
    pub(crate) fn prepare(chosen: Option<&Path>) -> Result<Self, StateError> {
        let (root, temporary) = match chosen {
            Some(path) => (path.to_owned(), None),
            None => {
                let made = tempfile::Builder::new().prefix("millrace-dev-").tempdir();
                let folder = made.map_err(|source| StateError { path: PathBuf::from("(temporary)"), source })?;
                (folder.path().to_owned(), Some(folder))
            }
        };
        let failed = |path: &Path, source| StateError { path: path.to_owned(), source };
        for name in FOLDERS {
            let folder = root.join(name);
            std::fs::create_dir_all(&folder).map_err(|source| failed(&folder, source))?;
        }
        // Children get absolute names, whatever their working folder will be.
        let root = root.canonicalize().map_err(|source| failed(&root, source))?;
        let state = Self { root, _temporary: temporary };
        state.forget_status()?;
        Ok(state)
    }

    /// An older run's status would be taken for this run's.
    fn forget_status(&self) -> Result<(), StateError> {
        match std::fs::remove_file(self.status()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(StateError { path: self.status(), source }),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn contract(&self) -> PathBuf {
        self.root.join("contract").join("data")
    }

    /// `part` is one of producer, consumer, webclient and httpserver.
    pub(crate) fn properties(&self, part: &str) -> PathBuf {
        self.root.join("config").join(format!("config-kafka-channel-{part}.properties"))
    }

    pub(crate) fn features(&self) -> PathBuf {
        self.root.join("features")
    }

    pub(crate) fn observability(&self) -> PathBuf {
        self.root.join("observability")
    }

    pub(crate) fn health(&self, role: &str) -> PathBuf {
        self.root.join("health").join(role)
    }

    pub(crate) fn status(&self) -> PathBuf {
        self.root.join("status.json")
    }

    /// What the data planes read at their start; they would run without it, but with other settings than the user's.
    pub(crate) fn missing(&self) -> Vec<PathBuf> {
        let properties = ["producer", "consumer", "webclient", "httpserver"].map(|part| self.properties(part));
        let files = properties.into_iter().chain([self.contract(), self.status()]);
        files.filter(|file| !file.exists()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_folder_is_removed_at_the_end() {
        let state = StateFolder::prepare(None).unwrap();
        let root = state.root().to_owned();
        assert!(root.join("contract").is_dir());
        drop(state);
        assert!(!root.exists());
    }

    #[test]
    fn a_chosen_folder_is_kept_but_its_old_status_is_not() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("status.json"), "{}").unwrap();
        let state = StateFolder::prepare(Some(folder.path())).unwrap();
        assert!(!state.status().exists());
        let root = state.root().to_owned();
        drop(state);
        assert!(root.join("contract").is_dir());
    }

    #[test]
    fn what_control_has_not_written_yet_is_missing() {
        let state = StateFolder::prepare(None).unwrap();
        assert_eq!(state.missing().len(), 6);
        std::fs::write(state.contract(), "").unwrap();
        assert_eq!(state.missing().len(), 5);
    }
}
