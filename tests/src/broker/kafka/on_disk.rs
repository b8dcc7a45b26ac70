//! A real Kafka of a test's own whose records are where the test says, such as on a small file system.

use std::path::Path;

use super::Kafka;
use super::settings::Security;

/// One of its own; `None` when Java or Maven is missing.
///
/// # Panics
/// When it cannot be started, or something is missing with `CI=true`.
#[must_use]
pub fn start_unless_missing(records: &Path) -> Option<Kafka> {
    // The last of two lines with one key counts.
    let settings = format!("log.dirs={}\n", records.display());
    let security = Security { listeners: String::new(), behind: None, settings };
    Kafka::start_with(&["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"], &[], &security)
}
