//! Reads the files of the objects folder.
//!
//! Not recursive, sorted by name, bounded in size. A file that cannot be read is a bad document like any other: it is
//! reported, and what it held before stays in force. Blocks.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::documents::Scan;

/// Larger files are refused: an API server would not take objects of that size either.
const LARGEST_FILE: u64 = 8 * 1024 * 1024;

/// Reads all `*.yaml`, `*.yml` and `*.json` files of the folder. Hidden files are left out: editors and mounts keep
/// theirs there.
///
/// # Errors
/// When the folder itself cannot be read.
pub(crate) fn read(folder: &Path) -> io::Result<Scan> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if is_ours(&path) {
            paths.push(path);
        }
    }
    paths.sort();
    let mut scan = Scan::default();
    for path in paths {
        let file = path.display().to_string();
        match text(&path) {
            Ok(text) => scan.add_text(&file, &text),
            // It went away while we looked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => scan.add_unreadable(&file, None, None, format!("the file cannot be read: {error}")),
        }
    }
    Ok(scan)
}

fn is_ours(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    !hidden && matches!(extension.as_deref(), Some("yaml" | "yml" | "json")) && !path.is_dir()
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = fs::File::open(path)?.take(LARGEST_FILE + 1).read_to_string(&mut text)?;
    if u64::try_from(read).is_ok_and(|read| read > LARGEST_FILE) {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 8 MiB"));
    }
    Ok(text)
}
