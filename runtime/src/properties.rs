//! Follows a properties file while the process runs: what is new is handed on, what is wrong is logged once.

use millrace_config::properties::file::{Look, PropertiesFile};
use millrace_config::properties::{Properties, PropertyErrors};
use tracing::error;

/// Settings of what the file says now, if it says something else than before. A file that is bad or gone keeps what it
/// said. Blocks.
pub fn changed<S>(
    file: &mut PropertiesFile,
    settings: impl FnOnce(&Properties) -> Result<S, PropertyErrors>,
) -> Option<S> {
    match file.settings(settings) {
        Look::Unchanged => None,
        Look::Changed(settings) => Some(settings),
        Look::Bad(problem) => {
            let path = file.path().display();
            error!(%path, error = problem, "Properties refused, the previous ones stay in force");
            None
        }
    }
}
