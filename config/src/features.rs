//! Switches of the installation: the directory that the `config-features` ConfigMap is mounted at.
//!
//! Values are trimmed, unlike in the peer, where a trailing line break turns a feature off (design row 25).

use std::collections::BTreeMap;
use std::path::Path;

use crate::directory::{self, DirectoryError};

/// The features as they were when read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Features {
    values: BTreeMap<String, String>,
    present: bool,
}

impl Features {
    /// Reads the directory. If there is none, every feature is off; see [`Features::is_present`]. Blocks.
    ///
    /// # Errors
    /// When the directory or a file in it exists but cannot be read.
    pub fn read(directory: &Path) -> Result<Self, DirectoryError> {
        Ok(match directory::read(directory)? {
            Some(values) => Self { values, present: true },
            None => Self::default(),
        })
    }

    /// Whether the directory existed. If not, it may still appear: it should be watched.
    pub fn is_present(&self) -> bool {
        self.present
    }

    /// The trimmed value of a feature, such as `default-authorization-mode`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Whether a feature has the value `enabled`, in any case.
    pub fn is_enabled(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("enabled"))
    }

    /// Whether tokens can be checked: the feature `authentication-oidc`.
    pub fn authentication_oidc(&self) -> bool {
        self.is_enabled("authentication-oidc")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[track_caller]
    fn check(content: &str, expected: bool) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("authentication-oidc"), content).unwrap();
        assert_eq!(Features::read(directory.path()).unwrap().authentication_oidc(), expected, "{content:?}");
    }

    #[test]
    fn a_trailing_line_break_does_not_turn_a_feature_off() {
        check("enabled", true);
        check("Enabled\n", true);
        check(" ENABLED \r\n", true);
    }

    #[test]
    fn anything_but_enabled_is_off() {
        check("disabled", false);
        check("true", false);
        check("", false);
        check("enabled please", false);
    }

    #[test]
    fn without_the_directory_every_feature_is_off() {
        let directory = tempfile::tempdir().unwrap();
        let features = Features::read(&directory.path().join("absent")).unwrap();
        assert!(!features.is_present());
        assert!(!features.authentication_oidc());
        assert!(Features::read(directory.path()).unwrap().is_present());
    }

    #[test]
    fn a_feature_can_be_read_by_name() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("default-authorization-mode"), "Deny-All\n").unwrap();
        let features = Features::read(directory.path()).unwrap();
        assert_eq!(features.get("default-authorization-mode"), Some("Deny-All"));
        assert_eq!(features.get("absent"), None);
    }
}
