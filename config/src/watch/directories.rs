//! The directories behind watched paths, and the operating system's watches on them.
//!
//! Directories may be missing, appear, vanish and be replaced by others of the same name. Whenever that happens the
//! operating system's watcher is made anew: a watcher that still has the end of an old directory to report would take
//! the new one of the same name for it. The only file that uses `notify`'s watcher.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, io};

use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::Wake;

/// How often a missing directory is looked for.
const MISSING_EVERY: Duration = Duration::from_millis(250);

/// How often existing ones are checked for having been replaced where no event tells, such as in a directory above.
const PRESENT_EVERY: Duration = Duration::from_secs(1);

/// Device and inode.
type Identity = (u64, u64);

pub(super) struct Directories {
    paths: Vec<PathBuf>,
    wake: Wake,
    watcher: RecommendedWatcher,
    /// The directories of the last look.
    seen: BTreeMap<PathBuf, Identity>,
    /// Set when a watched directory itself went away. Another one with the same inode may be in its place.
    lost: Arc<AtomicBool>,
    /// Whether something is missing that should be watched.
    missing: bool,
    /// Whether a directory is there but could not be watched.
    failed: bool,
}

impl Directories {
    pub(super) fn new(paths: Vec<PathBuf>, wake: Wake) -> notify::Result<Self> {
        // Events name absolute paths, to which these are compared.
        let paths = paths.into_iter().map(|path| std::path::absolute(&path).unwrap_or(path)).collect();
        let lost = Arc::new(AtomicBool::new(false));
        let seen = BTreeMap::new();
        let watcher = watcher(&wake, &lost, &seen)?;
        Ok(Self { paths, wake, watcher, seen, lost, missing: true, failed: false })
    }

    /// How long may pass until the next [`Directories::arm`].
    pub(super) fn check_every(&self) -> Duration {
        if self.missing { MISSING_EVERY } else { PRESENT_EVERY }
    }

    /// Watches what is there. Returns whether a directory appeared, vanished or was replaced since the last time, or can
    /// be watched again after a failure.
    pub(super) fn arm(&mut self) -> bool {
        let wanted: BTreeSet<PathBuf> = self.paths.iter().map(|path| directory(path)).collect();
        let present: BTreeMap<PathBuf, Identity> =
            wanted.iter().filter_map(|path| identity(path).map(|identity| (path.clone(), identity))).collect();
        // A path that is nothing yet may become a directory of its own.
        self.missing = present.len() < wanted.len() || !self.paths.iter().all(|path| path.exists());
        let changed = self.lost.swap(false, Ordering::AcqRel) || present != self.seen;
        if !changed && !self.failed {
            return false;
        }
        let had_failed = self.failed;
        self.failed = self.watch_anew(&present).is_err_and(|error| {
            // Once for each trouble; until it is over, only the regular re-reading tells of changes.
            if !had_failed {
                tracing::warn!(%error, "Cannot watch directories, trying again");
            }
            true
        });
        self.seen = present;
        changed || (had_failed && !self.failed)
    }

    fn watch_anew(&mut self, present: &BTreeMap<PathBuf, Identity>) -> notify::Result<()> {
        self.watcher = watcher(&self.wake, &self.lost, present)?;
        // All are tried, so that one that is not readable does not keep the others from being watched.
        let mut result = Ok(());
        for path in present.keys() {
            let watched = self.watcher.watch(path, RecursiveMode::NonRecursive);
            result = result.and(watched);
        }
        result
    }
}

fn watcher(
    wake: &Wake,
    lost: &Arc<AtomicBool>,
    directories: &BTreeMap<PathBuf, Identity>,
) -> notify::Result<RecommendedWatcher> {
    let (wake, lost) = (wake.clone(), Arc::clone(lost));
    let directories: BTreeSet<PathBuf> = directories.keys().cloned().collect();
    notify::recommended_watcher(move |event: notify::Result<Event>| {
        if is_change(&event) {
            if is_end(&event, &directories) {
                lost.store(true, Ordering::Release);
            }
            wake.wake();
        }
    })
}

/// Whether a watched directory itself is gone from its place, or the watcher is in trouble.
fn is_end(event: &notify::Result<Event>, directories: &BTreeSet<PathBuf>) -> bool {
    match event {
        Ok(event) => {
            matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)))
                && event.paths.iter().any(|path| directories.contains(path))
        }
        Err(_) => true,
    }
}

/// Reading causes events too; taking those for changes would never end. Nor is it one when a mount's next version is being
/// prepared: files would be read for nothing just before they change.
fn is_change(event: &notify::Result<Event>) -> bool {
    match event {
        Ok(event) => {
            let prepares = !event.paths.is_empty() && event.paths.iter().all(|path| is_preparation(path));
            !matches!(event.kind, EventKind::Access(_)) && !prepares
        }
        // Events were lost: better to look.
        Err(_) => true,
    }
}

/// The kubelet's own names begin with two dots: a folder for each version, `..data_tmp`, and `..data`, which is what everybody
/// reads through.
fn is_preparation(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.starts_with(b"..") && name != b"..data"
}

/// The directory itself, or the one that a file is in.
fn directory(path: &Path) -> PathBuf {
    if path.is_dir() {
        return path.to_owned();
    }
    match path.parent() {
        Some(parent) => parent.to_owned(),
        None => path.to_owned(),
    }
}

fn identity(path: &Path) -> Option<Identity> {
    match fs::metadata(path) {
        Ok(metadata) => Some((metadata.dev(), metadata.ino())),
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::debug!(path = %path.display(), %error, "cannot look at directory");
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, CreateKind, RenameMode};

    use super::*;

    #[track_caller]
    fn check(kind: EventKind, paths: &[&str], expected: bool) {
        let event = paths.iter().fold(Event::new(kind), |event, path| event.add_path(PathBuf::from(path)));
        assert_eq!(is_change(&Ok(event)), expected, "{kind:?} {paths:?}");
    }

    #[test]
    fn the_steps_before_a_mount_is_replaced_are_no_change_and_the_last_one_is() {
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::Both));
        check(EventKind::Create(CreateKind::Folder), &["/m/..2026_01_02"], false);
        check(EventKind::Create(CreateKind::Any), &["/m/..data_tmp"], false);
        check(renamed, &["/m/..data_tmp", "/m/..data"], true);
        check(EventKind::Create(CreateKind::Any), &["/m/data"], true);
        check(EventKind::Create(CreateKind::Any), &["/m/.hidden"], true);
        check(EventKind::Other, &[], true);
    }

    #[test]
    fn reading_is_no_change() {
        check(EventKind::Access(AccessKind::Read), &["/m/data"], false);
    }
}
