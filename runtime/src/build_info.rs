//! What this binary was built from.

/// The package version all crates of the workspace share, such as `0.1.0`.
#[must_use]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// `release` or `debug`: a debug build explains a slow measurement.
#[must_use]
pub fn profile() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}

/// The commit the build was told of through `MILLRACE_GIT_COMMIT`; absent when it was told nothing.
#[must_use]
pub fn commit() -> Option<&'static str> {
    option_env!("MILLRACE_GIT_COMMIT")
}

/// One line for `--version`: version, profile and, where known, the commit.
#[must_use]
pub fn summary() -> String {
    match commit() {
        Some(commit) => format!("{} ({}, {commit})", version(), profile()),
        None => format!("{} ({})", version(), profile()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_the_version_and_the_profile() {
        assert!(summary().starts_with(version()));
        assert!(summary().contains(profile()));
    }
}
