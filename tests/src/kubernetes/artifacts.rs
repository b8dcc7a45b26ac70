//! Gets the two programs of an API server into a cache folder under `target/`.
//!
//! kube-apiserver is built with Go from Kubernetes' own module (`tests/kube-apiserver`): about four minutes once, then
//! kept until that module changes. etcd is the one on PATH, else the content of Debian's package `etcd-server`, unpacked
//! without installing it. Must leave either a whole program or none: both are made under another name and renamed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The module that makes the API server buildable.
const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kube-apiserver");
const CACHE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/kubernetes");

/// The API server's program, built now unless it is there.
///
/// # Errors
/// The reason in words, when Go is missing or the build fails.
pub(super) fn api_server() -> Result<PathBuf, String> {
    let sources = sources()?;
    let cache = cache()?;
    let (program, recorded) = (cache.join("kube-apiserver"), cache.join("kube-apiserver.sources"));
    if program.is_file() && fs::read_to_string(&recorded).is_ok_and(|found| found == sources) {
        return Ok(program);
    }
    if !runs("go", "version") {
        return Err("go is not installed".to_owned());
    }
    eprintln!("building Kubernetes' API server with Go, once (about four minutes) ...");
    let work = tempfile::tempdir_in(&cache).map_err(|error| format!("no temporary folder: {error}"))?;
    let built = work.path().join("kube-apiserver");
    build(&sources, &built)?;
    // The old record goes first, so that a record never describes another program.
    fs::remove_file(&recorded).ok();
    fs::rename(&built, &program).map_err(|error| format!("cannot rename to {}: {error}", program.display()))?;
    fs::write(&recorded, sources).map_err(|error| format!("cannot write {}: {error}", recorded.display()))?;
    Ok(program)
}

fn build(sources: &str, program: &Path) -> Result<(), String> {
    let version = version(sources)?;
    let parts: Vec<&str> = version.trim_start_matches('v').split('.').collect();
    let [major, minor, _] = parts[..] else { return Err(format!("{version} is no version of Kubernetes")) };
    // Knative's processes refuse a server that does not tell its version.
    let stamp = [("gitVersion", version.as_str()), ("gitMajor", major), ("gitMinor", minor)]
        .map(|(name, value)| format!("-X k8s.io/component-base/version.{name}={value}"))
        .join(" ");
    let mut go = Command::new("nice");
    go.args(["go", "build", "-trimpath", "-buildvcs=false", "-ldflags", &format!("-s -w {stamp}"), "-o"]);
    // One processor is left to the tests that run beside it.
    go.arg(program).arg(".").current_dir(MODULE).env("GOMAXPROCS", "1");
    go.env("GOFLAGS", "-mod=readonly").stdin(Stdio::null());
    output(go, "go build").map(|_| ())
}

/// What decides about the program: the files of the module.
fn sources() -> Result<String, String> {
    let read = |name: &str| {
        let file = Path::new(MODULE).join(name);
        fs::read_to_string(&file).map_err(|error| format!("cannot read {}: {error}", file.display()))
    };
    Ok(["go.mod", "go.sum", "main.go"].into_iter().map(read).collect::<Result<Vec<_>, _>>()?.concat())
}

fn version(sources: &str) -> Result<String, String> {
    let line = sources.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "));
    line.map(|version| version.trim().to_owned()).ok_or_else(|| "go.mod does not require k8s.io/kubernetes".to_owned())
}

/// etcd's program.
///
/// # Errors
/// The reason in words, when it is neither on PATH nor can be had with apt-get.
pub(super) fn etcd() -> Result<PathBuf, String> {
    if runs("etcd", "--version") {
        return Ok(PathBuf::from("etcd"));
    }
    let unpacked = cache()?.join("etcd");
    let program = unpacked.join("usr/bin/etcd");
    if program.is_file() {
        return Ok(program);
    }
    if !runs("apt-get", "--version") || !runs("dpkg-deb", "--version") {
        return Err("etcd is not installed, and without apt-get it cannot be had".to_owned());
    }
    eprintln!("getting etcd from Debian's package etcd-server, once ...");
    let work = tempfile::tempdir_in(cache()?).map_err(|error| format!("no temporary folder: {error}"))?;
    let download = || {
        let mut apt = Command::new("apt-get");
        apt.args(["-q", "download", "etcd-server"]).current_dir(work.path()).stdin(Stdio::null());
        output(apt, "apt-get download etcd-server")
    };
    if download().is_err() {
        // The lists of a fresh machine are empty; only root can fill them.
        let mut update = Command::new("apt-get");
        update.args(["-q", "update"]).stdin(Stdio::null());
        output(update, "apt-get update")?;
        download()?;
    }
    let content = work.path().join("content");
    let package = fs::read_dir(work.path()).ok().into_iter().flatten().filter_map(Result::ok);
    let package = package.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|found| found == "deb"));
    let mut unpack = Command::new("dpkg-deb");
    unpack.arg("-x").arg(package.ok_or("apt-get downloaded nothing")?).arg(&content).stdin(Stdio::null());
    output(unpack, "dpkg-deb -x")?;
    // Another process may have been faster; its program is as good.
    match fs::rename(&content, &unpacked) {
        Err(error) if !program.is_file() => Err(format!("cannot rename to {}: {error}", unpacked.display())),
        Ok(()) | Err(_) => Ok(program),
    }
}

fn cache() -> Result<PathBuf, String> {
    let folder = Path::new(CACHE);
    fs::create_dir_all(folder).map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    folder.canonicalize().map_err(|error| format!("cannot find {}: {error}", folder.display()))
}

fn output(mut command: Command, shown: &str) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{shown} does not start: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{shown} failed ({}): {}", output.status, said.lines().take(20).collect::<Vec<_>>().join("\n")))
}

fn runs(program: &str, argument: &str) -> bool {
    let output = Command::new(program).arg(argument).stdin(Stdio::null()).output();
    output.is_ok_and(|output| output.status.success())
}
