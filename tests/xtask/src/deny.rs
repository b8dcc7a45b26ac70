//! `cargo xtask deny`: checks licences, sources and duplicate versions with cargo-deny, and gets the tool itself.
//!
//! Advisories need a database from outside. They are checked when it can be fetched and reported as skipped otherwise,
//! so that a machine without network beyond the package registries can still run everything else.

use crate::step::{Failure, Step, cargo, root};

const VERSION: &str = "0.20.2";

/// # Errors
/// When the tool cannot be installed, or a rule of `deny.toml` is broken.
pub(crate) fn run() -> Result<(), Failure> {
    let tool = tool()?;
    Step::new(&tool).args(["--workspace", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"]).run()?;
    if Step::new(&tool).args(["--workspace", "fetch", "db"]).succeeds() {
        Step::new(&tool).args(["--workspace", "check", "--disable-fetch", "advisories"]).run()
    } else {
        println!("advisories: SKIPPED, the advisory database cannot be fetched from this machine");
        Ok(())
    }
}

/// The path of cargo-deny under `target/tools`, installed there when absent.
fn tool() -> Result<String, Failure> {
    let folder = root().join("target/tools");
    let tool = folder.join("bin/cargo-deny").display().to_string();
    let version = Step::new(&tool).args(["--version"]);
    if version.succeeds() {
        return Ok(tool);
    }
    let (folder, build) = (folder.display().to_string(), folder.join("build").display().to_string());
    cargo(["install", "--quiet", "--locked", "--debug", "--root", &folder, "--target-dir", &build])
        .args([format!("cargo-deny@{VERSION}")])
        .run()?;
    // Only the program is needed; its build folder is several hundred MiB.
    if let Err(error) = std::fs::remove_dir_all(&build) {
        println!("cannot remove {build}: {error}");
    }
    Ok(tool)
}
