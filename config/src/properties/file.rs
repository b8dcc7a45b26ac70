//! The properties files, as they change while the process runs.
//!
//! Compares what a file says, not when it was written: a ConfigMap's mount touches files without changing them.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::{Properties, PropertyErrors, grammar};

/// One properties file and what it said last.
#[derive(Debug)]
pub struct PropertiesFile {
    path: PathBuf,
    current: Properties,
    /// Said once, not with every look.
    complaint: Option<String>,
}

/// What a look at the file found.
#[derive(Debug, PartialEq)]
pub enum Look<S> {
    /// It says what it said before, or has the same trouble as before.
    Unchanged,
    /// It says something else.
    Changed(S),
    /// New trouble; what the file said before stays in force.
    Bad(String),
}

impl PropertiesFile {
    /// `current` is what the process started with.
    pub fn new(path: PathBuf, current: Properties) -> Self {
        Self { path, current, complaint: None }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file. One that has gone keeps what it said: a mount being replaced must not reset every setting. Blocks.
    pub fn look(&mut self) -> Look<Properties> {
        let read = match fs::read(&self.path) {
            Ok(bytes) => grammar::parse(&bytes).map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Look::Unchanged,
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

    /// As [`Self::look`], with settings made of what the file says. Values that make no sense are told once. Blocks.
    pub fn settings<S>(&mut self, settings: impl FnOnce(&Properties) -> Result<S, PropertyErrors>) -> Look<S> {
        match self.look() {
            Look::Unchanged => Look::Unchanged,
            Look::Changed(properties) => match settings(&properties) {
                Ok(settings) => Look::Changed(settings),
                Err(errors) => Look::Bad(errors.to_string()),
            },
            Look::Bad(problem) => Look::Bad(problem),
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

    #[test]
    fn a_file_that_has_gone_keeps_what_it_said_and_bad_values_are_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("producer.properties");
        let mut file = PropertiesFile::new(path.clone(), Properties::from_iter([("acks", "1")]));
        assert_eq!(file.look(), Look::Unchanged, "there is no file");
        let mut acks = || match file.settings(crate::properties::kafka::producer) {
            Look::Unchanged => "unchanged".to_owned(),
            Look::Changed(settings) => settings.client["acks"].clone(),
            Look::Bad(problem) => problem,
        };
        std::fs::write(&path, "acks=all\n").unwrap();
        assert_eq!(acks(), "all");
        std::fs::write(&path, "acks=some\n").unwrap();
        assert!(acks().starts_with("acks:"));
        assert_eq!(acks(), "unchanged");
    }
}
