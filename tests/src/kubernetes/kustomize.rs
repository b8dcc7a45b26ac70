//! `kustomize build`, by whatever is there: kustomize or kubectl on PATH, else kustomize built with Go into `target/`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PACKAGE: &str = "sigs.k8s.io/kustomize/kustomize/v5@v5.7.1";
const TARGET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/kubernetes");

/// The objects that a folder with a `kustomization.yaml` makes, as YAML; `None` means: skip the test.
///
/// # Panics
/// When the folder cannot be built, or nothing can build it with `CI=true`.
#[must_use]
pub fn build(folder: &Path) -> Option<String> {
    let mut command = match program() {
        Ok(command) => command,
        Err(reason) => {
            let ci = std::env::var("CI").is_ok_and(|value| value == "true");
            assert!(!ci, "kustomize is required with CI=true: {reason}");
            eprintln!("SKIPPED: no kustomize: {reason}");
            return None;
        }
    };
    let output = command.arg(folder).stdin(Stdio::null()).output().expect("a program that was just there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} cannot be built: {said}", folder.display());
    assert!(said.is_empty(), "{}: {said}", folder.display());
    Some(String::from_utf8(output.stdout).expect("YAML is text"))
}

fn program() -> Result<Command, String> {
    let with = |program: &Path, argument: &str| {
        let mut command = Command::new(program);
        command.arg(argument);
        command
    };
    if runs(with(Path::new("kustomize"), "version")) {
        return Ok(with(Path::new("kustomize"), "build"));
    }
    if runs(with(Path::new("kubectl"), "kustomize").arg("--help")) {
        return Ok(with(Path::new("kubectl"), "kustomize"));
    }
    let built = built()?;
    Ok(with(&built, "build"))
}

fn built() -> Result<PathBuf, String> {
    let program = Path::new(TARGET).join("kustomize");
    if program.is_file() {
        return Ok(program);
    }
    std::fs::create_dir_all(TARGET).map_err(|error| format!("cannot create {TARGET}: {error}"))?;
    let folder = Path::new(TARGET).canonicalize().map_err(|error| format!("cannot find {TARGET}: {error}"))?;
    eprintln!("building kustomize with Go, once (about a minute) ...");
    let mut go = Command::new("go");
    go.args(["install", PACKAGE]).env("GOBIN", &folder).stdin(Stdio::null());
    let output = go.output().map_err(|error| format!("neither kustomize nor kubectl nor go is there ({error})"))?;
    if output.status.success() { Ok(program) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn runs(mut command: impl std::borrow::BorrowMut<Command>) -> bool {
    let output = command.borrow_mut().stdin(Stdio::null()).output();
    output.is_ok_and(|output| output.status.success())
}
