//! Decides whether OpenSSL and zlib come from the system or are built from source.
//!
//! librdkafka needs both. Where their headers are missing, a build would end in a compiler or linker error after a
//! minute; so a tiny program is compiled first, and `--features vendored` is added when that fails.

use crate::step::{Failure, Step, root};

const PROBE: &str = "\
#include <openssl/ssl.h>
#include <zlib.h>
int main(void) { return SSL_library_init() > 5 || zlibVersion() == 0; }
";

/// The arguments every building command gets: none, or `--features vendored`.
///
/// # Errors
/// When there is no C compiler, or when building from source lacks perl or make.
pub(crate) fn arguments() -> Result<Vec<String>, Failure> {
    if !Step::new(compiler()).args(["--version"]).succeeds() {
        return Err(Failure::new(format!(
            "no C compiler: `{}` does not run. Install one (Debian, Ubuntu: apt-get install build-essential; \
             Fedora: dnf install gcc gcc-c++ make) or set CC",
            compiler()
        )));
    }
    let vendored = match std::env::var("MILLRACE_VENDORED").as_deref() {
        Ok("1") => true,
        Ok("0") => false,
        Ok(_) | Err(_) => !system_libraries_usable()?,
    };
    if !vendored {
        return Ok(Vec::new());
    }
    println!("OpenSSL or zlib headers are not usable here: both are built from source (--features vendored)");
    check_tools_for_vendored()?;
    Ok(vec!["--features".into(), "vendored".into()])
}

fn system_libraries_usable() -> Result<bool, Failure> {
    let folder = root().join("target/xtask");
    let source = folder.join("probe.c");
    let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&source, PROBE));
    written.map_err(|error| Failure::new(format!("cannot write {}: {error}", source.display())))?;
    let (source, program) = (source.display().to_string(), folder.join("probe").display().to_string());
    let builds = Step::new(compiler()).args([&source, "-o", &program, "-lssl", "-lcrypto", "-lz"]).succeeds();
    Ok(builds && openssl_can_be_found())
}

/// The build script of `openssl-sys` asks pkg-config, or these variables; headers alone are not enough for it.
fn openssl_can_be_found() -> bool {
    let named = ["OPENSSL_DIR", "OPENSSL_LIB_DIR"].iter().any(|name| std::env::var_os(name).is_some());
    named || Step::new("pkg-config").args(["--exists", "openssl"]).succeeds()
}

fn check_tools_for_vendored() -> Result<(), Failure> {
    let mut missing = Vec::new();
    // OpenSSL's own configure script uses these modules; Fedora's plain perl package lacks some.
    if !Step::new("perl").args(["-MFindBin", "-MIPC::Cmd", "-MFile::Compare", "-e", "1"]).succeeds() {
        missing
            .push("perl with its core modules (Debian, Ubuntu: apt-get install perl; Fedora: dnf install perl-core)");
    }
    if !Step::new("make").args(["--version"]).succeeds() {
        missing.push("make (Debian, Ubuntu: apt-get install make; Fedora: dnf install make)");
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "building OpenSSL from source needs {}.\nOr install the headers instead (Debian, Ubuntu: apt-get install \
         libssl-dev zlib1g-dev pkg-config; Fedora: dnf install openssl-devel zlib-devel pkgconf)",
        missing.join(" and ")
    )))
}

fn compiler() -> String {
    std::env::var("CC").unwrap_or_else(|_| "cc".into())
}
