//! Packs the relative relocations of the programs: one bit for most of them instead of 24 bytes, all of which are read, and
//! so resident, in every process from its start.
//!
//! Run for each package with a program that serves events. Only where the C library of this machine can load the result
//! (glibc 2.36 or later): elsewhere the program is linked as usual. Must not decide anything else.

use std::process::Command;

/// The first glibc that knows packed relocations.
const FIRST: (u32, u32) = (2, 36);

fn main() {
    println!("cargo:rerun-if-changed=../runtime/relocations/build.rs");
    if glibc().is_some_and(|version| version >= FIRST) {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Absent with another C library, and where there is no way to tell.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
