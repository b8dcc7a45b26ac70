//! What each of the contract's maps holds: what the watch shows, or what was written since and is not shown yet.
//!
//! Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millrace_config::contract::shards::MOST_SHARDS;
use tokio::time::Instant;

use crate::kubernetes::objects::MapObject;

/// How long the watch may take to show a map that we made. After that it counts as deleted since.
const LAG: Duration = Duration::from_secs(10);
/// How long the watch may show an older version than we wrote. After that the server has lost ours.
const LONGEST_LAG: Duration = Duration::from_mins(5);

/// The contract's maps as the watch shows them.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) main: Option<Arc<MapObject>>,
    /// By number; also those that are not ours.
    pub(crate) shards: BTreeMap<u32, Arc<MapObject>>,
}

/// What a write of ours left.
#[derive(Debug, Clone)]
struct Left {
    /// Of the map since; for one that was deleted, the last that it had.
    version: String,
    /// Digest and bytes; `None`: it was deleted.
    content: Option<(String, usize)>,
    at: Instant,
}

/// What was written.
#[derive(Debug, Default)]
pub(super) struct Held(BTreeMap<u32, Left>);

impl Held {
    /// Notes a write that the server confirmed.
    pub(super) fn note(&mut self, number: u32, version: String, content: Option<(String, usize)>, at: Instant) {
        self.0.insert(number, Left { version, content, at });
    }

    /// Whether the watch does not show our last write of this map yet.
    fn lags(&self, number: u32, shown: Option<&str>, now: Instant) -> Option<&Left> {
        let limit = if shown.is_some() { LONGEST_LAG } else { LAG };
        let left = self.0.get(&number).filter(|left| now.saturating_duration_since(left.at) < limit)?;
        let lags = match (shown, &left.content) {
            (None, content) => content.is_some(),
            (Some(shown), Some(_)) => older(shown, &left.version),
            (Some(shown), None) => shown == left.version || older(shown, &left.version),
        };
        lags.then_some(left)
    }

    /// Whether the watch does not show our last write of the main map yet.
    pub(super) fn main_lags(&self, found: &Found, now: Instant) -> bool {
        self.lags(0, found.main.as_ref().map(|map| map.version.as_str()), now).is_some()
    }

    /// The version of a map, for the next write; `None`: there is none.
    pub(super) fn version(&self, number: u32, found: &Found, now: Instant) -> Option<String> {
        let shown = if number == 0 { found.main.as_ref() } else { found.shards.get(&number) };
        let shown = shown.map(|map| map.version.as_str());
        match self.lags(number, shown, now) {
            Some(left) => left.content.as_ref().map(|_| left.version.clone()),
            None => shown.map(str::to_owned),
        }
    }

    /// Digest and size of each shard's map that is ours.
    pub(super) fn shards(&self, found: &Found, now: Instant) -> BTreeMap<u32, (String, usize)> {
        let one = |number: u32| {
            let shown = found.shards.get(&number);
            if let Some(left) = self.lags(number, shown.map(|map| map.version.as_str()), now) {
                return left.content.clone();
            }
            let shard = shown?.shard.as_ref().filter(|shard| shard.is_ours)?;
            Some((shard.digest.clone(), shard.bytes.len()))
        };
        (1..=MOST_SHARDS).filter_map(|number| Some((number, one(number)?))).collect()
    }
}

/// Versions are numbers in every server that there is; where they were not, none is older.
fn older(version: &str, than: &str) -> bool {
    match (version.parse::<u64>(), than.parse::<u64>()) {
        (Ok(version), Ok(than)) => version < than,
        (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(version: &str) -> Found {
        let map = MapObject { version: version.to_owned(), ..MapObject::default() };
        Found { main: Some(Arc::new(map)), ..Found::default() }
    }

    fn wrote(exists: bool, at: Instant) -> Held {
        let mut held = Held::default();
        held.note(0, "7".to_owned(), exists.then(|| (String::new(), 1)), at);
        held
    }

    #[track_caller]
    fn check(exists: bool, found: &Found, expected: Option<&str>) {
        let now = Instant::now();
        assert_eq!(wrote(exists, now).version(0, found, now).as_deref(), expected);
    }

    #[test]
    fn what_was_written_counts_until_the_watch_has_caught_up() {
        check(true, &shown("6"), Some("7"));
        check(true, &shown("7"), Some("7"));
        check(true, &shown("9"), Some("9"));
        check(true, &Found::default(), Some("7"));
        // It was deleted: what the watch still shows is gone, what it shows later was made by somebody else.
        check(false, &shown("7"), None);
        check(false, &shown("9"), Some("9"));
        check(false, &Found::default(), None);
    }

    #[test]
    fn a_write_that_the_watch_never_shows_is_forgotten() {
        let now = Instant::now();
        let held = wrote(true, now);
        assert!(held.main_lags(&Found::default(), now));
        assert_eq!(held.version(0, &Found::default(), now + LAG), None);
        assert!(!held.main_lags(&Found::default(), now + LAG));
        assert_eq!(held.version(0, &shown("6"), now + LAG).as_deref(), Some("7"));
        assert_eq!(held.version(0, &shown("6"), now + LONGEST_LAG).as_deref(), Some("6"));
    }
}
