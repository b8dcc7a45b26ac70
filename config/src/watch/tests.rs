//! Watching real directories, changed as the kubelet and people change them.
//!
//! Everything waits for a condition; the long limits are only reached by failures.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

/// What a callback that reads `file` has seen, with the number of calls.
struct Seen {
    calls: Arc<Mutex<usize>>,
    contents: Receiver<String>,
    _watch: Watch,
}

/// Watches `watched` and reads `file` at every call.
fn reading(watched: &Path, file: &Path, reread_every: Duration) -> Seen {
    reading_after(Duration::from_millis(20), watched, file, reread_every)
}

fn reading_after(settle: Duration, watched: &Path, file: &Path, reread_every: Duration) -> Seen {
    let settings = WatchSettings { settle, reread_every };
    let (sender, contents) = channel();
    let calls = Arc::new(Mutex::new(0));
    let (counter, file) = (Arc::clone(&calls), file.to_owned());
    let mut last = None;
    let watch = watch(vec![watched.to_owned()], settings, move || {
        *counter.lock().unwrap() += 1;
        let content = fs::read_to_string(&file).unwrap_or_else(|_| "(missing)".to_owned());
        if last.as_ref() != Some(&content) {
            last = Some(content.clone());
            // The test may have ended already.
            drop(sender.send(content));
        }
    })
    .unwrap();
    Seen { calls, contents, _watch: watch }
}

impl Seen {
    #[track_caller]
    fn becomes(&self, expected: &str) {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.contents.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(content) if content == expected => return,
                Ok(_) => {}
                Err(error) => panic!("{expected:?} never seen: {error}"),
            }
        }
    }

    fn calls(&self) -> usize {
        *self.calls.lock().unwrap()
    }
}

const NEVER: Duration = Duration::ZERO;

/// Replaces the content of a mount as the kubelet does.
fn kubelet_update(mount: &Path, version: &str, content: &str) {
    let old = fs::read_link(mount.join("..data")).ok();
    fs::create_dir(mount.join(version)).unwrap();
    fs::write(mount.join(version).join("data"), content).unwrap();
    symlink(version, mount.join("..data_tmp")).unwrap();
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    match old {
        Some(old) => fs::remove_dir_all(mount.join(old)).unwrap(),
        None => symlink("..data/data", mount.join("data")).unwrap(),
    }
}

#[test]
fn every_update_of_a_config_map_is_seen() {
    let mount = tempfile::tempdir().unwrap();
    kubelet_update(mount.path(), "..1", "one");
    let file = mount.path().join("data");
    let seen = reading(&file, &file, NEVER);
    seen.becomes("one");
    for (version, content) in [("..2", "two"), ("..3", "three"), ("..4", "four")] {
        kubelet_update(mount.path(), version, content);
        seen.becomes(content);
    }
}

#[test]
fn a_directory_can_be_watched_as_well_as_a_file_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("authentication-oidc");
    let seen = reading(directory.path(), &file, NEVER);
    seen.becomes("(missing)");
    fs::write(&file, "enabled").unwrap();
    seen.becomes("enabled");
    fs::remove_file(&file).unwrap();
    seen.becomes("(missing)");
}

#[test]
fn a_file_replaced_by_renaming_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("data");
    fs::write(&file, "one").unwrap();
    let seen = reading(&file, &file, NEVER);
    seen.becomes("one");
    for content in ["two", "three"] {
        fs::write(directory.path().join(".data.new"), content).unwrap();
        fs::rename(directory.path().join(".data.new"), &file).unwrap();
        seen.becomes(content);
    }
}

#[test]
fn a_file_whose_directory_appears_late_is_found() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("not/yet/data");
    let seen = reading(&file, &file, NEVER);
    seen.becomes("(missing)");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "one").unwrap();
    seen.becomes("one");
    fs::write(&file, "two").unwrap();
    seen.becomes("two");
}

#[test]
fn a_watched_directory_that_appears_late_is_found() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("features");
    let file = directory.join("authentication-oidc");
    let seen = reading(&directory, &file, NEVER);
    seen.becomes("(missing)");
    fs::create_dir(&directory).unwrap();
    fs::write(&file, "enabled").unwrap();
    seen.becomes("enabled");
    fs::write(&file, "disabled").unwrap();
    seen.becomes("disabled");
}

#[test]
fn a_directory_that_is_removed_and_made_again_is_watched_again() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("config");
    let file = directory.join("data");
    fs::create_dir(&directory).unwrap();
    fs::write(&file, "one").unwrap();
    for watched in [&file, &directory] {
        let seen = reading(watched, &file, NEVER);
        // Several times, as the operating system may or may not give the new directory the inode of the old one.
        for content in ["two", "three", "four"] {
            fs::remove_dir_all(&directory).unwrap();
            seen.becomes("(missing)");
            fs::create_dir(&directory).unwrap();
            fs::write(&file, "first").unwrap();
            seen.becomes("first");
            fs::write(&file, content).unwrap();
            seen.becomes(content);
        }
    }
}

#[test]
fn a_directory_that_is_made_again_at_once_is_watched_again() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("config");
    let file = directory.join("data");
    fs::create_dir(&directory).unwrap();
    fs::write(&file, "0").unwrap();
    let seen = reading(&file, &file, NEVER);
    seen.becomes("0");
    for round in 1..6 {
        // Most file systems give the new directory the inode of the old one.
        fs::remove_dir_all(&directory).unwrap();
        fs::create_dir(&directory).unwrap();
        fs::write(&file, round.to_string()).unwrap();
        seen.becomes(&round.to_string());
        fs::write(&file, format!("{round} again")).unwrap();
        seen.becomes(&format!("{round} again"));
    }
}

#[test]
fn a_directory_that_is_replaced_in_one_go_is_watched_again() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("config");
    let file = directory.join("data");
    fs::create_dir(&directory).unwrap();
    fs::write(&file, "0").unwrap();
    let seen = reading(&file, &file, NEVER);
    seen.becomes("0");
    for round in 1..4 {
        let (old, new) = (parent.path().join(format!("old{round}")), parent.path().join(format!("new{round}")));
        fs::create_dir(&new).unwrap();
        fs::write(new.join("data"), round.to_string()).unwrap();
        fs::rename(&directory, &old).unwrap();
        fs::rename(&new, &directory).unwrap();
        seen.becomes(&round.to_string());
        fs::write(&file, format!("{round} again")).unwrap();
        seen.becomes(&format!("{round} again"));
    }
}

#[test]
fn a_directory_above_that_is_replaced_is_noticed_without_an_event() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("etc/config/data");
    fs::create_dir_all(root.path().join("etc/config")).unwrap();
    fs::create_dir_all(root.path().join("other/config")).unwrap();
    fs::write(&file, "one").unwrap();
    fs::write(root.path().join("other/config/data"), "two").unwrap();
    let seen = reading(&file, &file, NEVER);
    seen.becomes("one");
    fs::rename(root.path().join("etc"), root.path().join("gone")).unwrap();
    fs::rename(root.path().join("other"), root.path().join("etc")).unwrap();
    seen.becomes("two");
}

#[test]
fn a_change_that_no_event_tells_of_is_seen_at_the_next_re_read() {
    let (directory, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = elsewhere.path().join("data");
    fs::write(&file, "one").unwrap();
    let seen = reading(&directory.path().join("absent"), &file, Duration::from_millis(100));
    seen.becomes("one");
    fs::write(&file, "two").unwrap();
    seen.becomes("two");
}

#[test]
fn reading_the_files_does_not_cause_further_calls() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("data");
    fs::write(&file, "one").unwrap();
    let seen = reading(&file, &file, NEVER);
    seen.becomes("one");
    // Two changes, each with its call: had reading caused calls, there would be many more between them.
    for content in ["two", "three"] {
        fs::write(&file, content).unwrap();
        seen.becomes(content);
        thread::sleep(Duration::from_millis(200));
    }
    assert!(seen.calls() <= 8, "{} calls", seen.calls());
}

#[test]
fn a_burst_of_changes_is_one_call() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("data");
    fs::write(&file, "begin").unwrap();
    let seen = reading_after(Duration::from_millis(300), &file, &file, NEVER);
    seen.becomes("begin");
    let before = seen.calls();
    for number in 0..200 {
        fs::write(&file, number.to_string()).unwrap();
    }
    fs::write(&file, "end").unwrap();
    seen.becomes("end");
    assert!(seen.calls() - before <= 20, "{} calls", seen.calls() - before);
}

#[test]
fn a_directory_that_is_never_quiet_does_not_hold_calls_back() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("data");
    let noise = directory.path().join("noise");
    let seen = reading(&file, &file, NEVER);
    seen.becomes("(missing)");
    let quiet = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&quiet);
    let noisy = thread::spawn(move || {
        while !ended.load(Ordering::Acquire) {
            fs::write(&noise, "x").unwrap();
            thread::sleep(Duration::from_millis(2));
        }
    });
    fs::write(&file, "one").unwrap();
    seen.becomes("one");
    quiet.store(true, Ordering::Release);
    noisy.join().unwrap();
}

#[test]
fn dropping_the_watch_ends_its_thread_and_its_calls() {
    let directory = tempfile::tempdir().unwrap();
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let watch = watch(vec![directory.path().to_owned()], WatchSettings::default(), move || {
        let _ = &held;
    })
    .unwrap();
    drop(watch);
    // The callback is gone, and so is its share.
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn a_callback_may_drop_its_own_watch() {
    let directory = tempfile::tempdir().unwrap();
    let slot = Arc::new(Mutex::new(None::<Watch>));
    let alive = Arc::new(());
    let (inner, held) = (Arc::clone(&slot), Arc::clone(&alive));
    let settings = WatchSettings { settle: Duration::from_millis(5), reread_every: Duration::from_millis(10) };
    let watch = watch(vec![directory.path().to_owned()], settings, move || {
        let _ = &held;
        drop(inner.lock().unwrap().take());
    })
    .unwrap();
    *slot.lock().unwrap() = Some(watch);
    let deadline = Instant::now() + LIMIT;
    while Arc::strong_count(&alive) > 1 {
        assert!(Instant::now() < deadline, "the thread goes on");
        thread::sleep(Duration::from_millis(5));
    }
}
