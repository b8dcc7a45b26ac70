//! The properties files, as they change while the process runs.
//!
//! Compares what a file says, not when it was written: a ConfigMap's mount touches files without changing them.

use std::path::PathBuf;

use millrace_config::properties::{Properties, grammar};
use millrace_runtime::startup::with_causes;

/// One properties file and what it said last.
#[derive(Debug)]
pub(super) struct PropertiesFile {
    path: PathBuf,
    current: Properties,
    /// Said once, not with every look.
    complaint: Option<String>,
}

/// What a look at the file found.
#[derive(Debug, PartialEq)]
pub(super) enum Look {
    Unchanged,
    Changed(Properties),
    /// New trouble; what the file said before stays in force.
    Bad(String),
}

impl PropertiesFile {
    /// `current` is what the process started with.
    pub(super) fn new(path: PathBuf, current: Properties) -> Self {
        Self { path, current, complaint: None }
    }

    pub(super) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Reads the file. One that has gone keeps what it said: a mount being replaced must not reset every setting.
    pub(super) fn look(&mut self) -> Look {
        let read = match std::fs::read(&self.path) {
            Ok(bytes) => grammar::parse(&bytes).map_err(|error| with_causes(&error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Look::Unchanged,
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok(properties) if properties == self.current => {
                self.complaint = None;
                Look::Unchanged
            }
            Ok(properties) => {
                self.complaint = None;
                self.current = properties.clone();
                Look::Changed(properties)
            }
            Err(complaint) if self.complaint.as_ref() == Some(&complaint) => Look::Unchanged,
            Err(complaint) => {
                self.complaint = Some(complaint.clone());
                Look::Bad(complaint)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_content_is_a_change_and_trouble_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("producer.properties");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        let mut file = PropertiesFile::new(path.clone(), Properties::from_iter([("acks", "all")]));
        assert_eq!(file.look(), Look::Unchanged);
        write("acks=all\n# a comment\n");
        assert_eq!(file.look(), Look::Unchanged);
        write("acks=1\n");
        assert_eq!(file.look(), Look::Changed(Properties::from_iter([("acks", "1")])));
        assert_eq!(file.look(), Look::Unchanged);
        write("acks=\\uZZZZ\n");
        assert!(matches!(file.look(), Look::Bad(_)));
        assert_eq!(file.look(), Look::Unchanged);
        write("acks=1\n");
        assert_eq!(file.look(), Look::Unchanged);
    }
}
