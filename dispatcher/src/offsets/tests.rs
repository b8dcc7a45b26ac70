//! What a tracker promises, as tables and as a seeded simulation.

use super::ranges::Ranges;
use super::{Received, Tracker};
use crate::testing::Random;

#[track_caller]
fn check(received: &[i64], finished: &[i64], expected: Option<i64>) {
    let mut tracker = Tracker::default();
    for offset in received {
        assert!(matches!(tracker.received(*offset), Received::Next { .. }), "offset {offset} was refused");
    }
    for offset in finished {
        tracker.finished(*offset);
    }
    assert_eq!(tracker.committable(), expected, "received {received:?}, finished {finished:?}");
}

#[test]
fn nothing_is_committable_before_the_first_record() {
    check(&[], &[], None);
}

#[test]
fn the_oldest_unfinished_record_is_where_a_restart_begins() {
    check(&[5, 6, 7], &[], Some(5));
    check(&[5, 6, 7], &[6, 7], Some(5));
    check(&[5, 6, 7], &[5, 7], Some(6));
    check(&[0, 1, 2, 3, 4, 5, 6, 7], &[5, 2, 0, 7, 1, 3, 4], Some(6));
}

#[test]
fn the_offset_after_the_newest_is_committed_when_all_is_finished() {
    check(&[5, 6, 7], &[7, 5, 6], Some(8));
    check(&[i64::from(i32::MAX), i64::from(i32::MAX) + 1], &[2_147_483_647, 2_147_483_648], Some(2_147_483_649));
}

#[test]
fn offsets_without_records_hold_nothing_back() {
    check(&[3, 9, 20], &[3], Some(9));
    check(&[3, 9, 20], &[3, 9, 20], Some(21));
}

#[test]
fn a_jump_counts_the_offsets_it_passes_over() {
    let mut tracker = Tracker::default();
    assert_eq!(tracker.received(100), Received::Next { skipped: 0 });
    assert_eq!(tracker.received(101), Received::Next { skipped: 0 });
    assert_eq!(tracker.received(1_000_000_101), Received::Next { skipped: 999_999_999 });
}

#[test]
fn a_record_that_comes_twice_is_told_apart() {
    let mut tracker = Tracker::default();
    tracker.received(7);
    assert_eq!(tracker.received(7), Received::Repeated);
    assert_eq!(tracker.received(3), Received::Repeated);
    assert_eq!(tracker.open(), 1);
}

#[test]
fn finishing_an_unknown_or_already_finished_record_changes_nothing() {
    check(&[5, 6], &[4, 99, 5, 5], Some(6));
}

#[test]
fn a_commit_never_passes_an_unfinished_record_in_any_order_of_completion() {
    for seed in 0..2_000_u64 {
        let mut random = Random(seed);
        let mut tracker = Tracker::default();
        let mut unfinished = Vec::new();
        let mut next = 0_i64;
        for _ in 0..60 {
            if unfinished.is_empty() || random.below(3) > 0 {
                next += 1 + i64::try_from(random.below(3)).unwrap();
                tracker.received(next);
                unfinished.push(next);
            } else {
                let index = usize::try_from(random.below(unfinished.len() as u64)).unwrap();
                tracker.finished(unfinished.swap_remove(index));
            }
            let expected = unfinished.iter().min().copied().or_else(|| (next > 0).then_some(next + 1));
            assert_eq!(tracker.committable(), expected, "seed {seed}");
            assert_eq!(tracker.unfinished(), unfinished.len(), "seed {seed}");
            assert_eq!(tracker.blocks, tracker.finished_beyond().len(), "seed {seed}");
        }
    }
}

#[track_caller]
fn ranges(pairs: &[(i64, i64)]) -> Ranges {
    let mut ranges = Ranges::default();
    ranges.extend(pairs.iter().copied());
    ranges
}

#[test]
fn what_is_finished_beyond_the_committed_offset_is_told_as_ranges() {
    let mut tracker = Tracker::default();
    for offset in [10, 11, 12, 13, 20, 21, 30] {
        tracker.received(offset);
    }
    for offset in [11, 13, 20, 30] {
        tracker.finished(offset);
    }
    assert_eq!(tracker.committable(), Some(10));
    // Between 13 and 20 there is no record.
    assert_eq!(tracker.finished_beyond(), ranges(&[(11, 12), (13, 21), (30, 31)]));
    tracker.finished(10);
    assert_eq!(tracker.committable(), Some(12));
    assert_eq!(tracker.finished_beyond(), ranges(&[(13, 21), (30, 31)]));
}

#[test]
fn what_was_finished_before_the_assignment_is_passed_over_and_told_on_until_it_is_passed() {
    let mut tracker = Tracker::resume(ranges(&[(11, 13), (15, 16), (100, 200)]));
    assert_eq!(tracker.received(10), Received::Next { skipped: 0 });
    assert_eq!(tracker.received(11), Received::Finished { skipped: 0 });
    assert_eq!(tracker.finished_beyond(), ranges(&[(11, 13), (15, 16), (100, 200)]));
    assert_eq!(tracker.received(13), Received::Next { skipped: 1 });
    tracker.finished(10);
    assert_eq!(tracker.committable(), Some(13));
    assert_eq!(tracker.received(15), Received::Finished { skipped: 1 });
    tracker.finished(13);
    assert_eq!(tracker.committable(), Some(16));
    assert_eq!(tracker.received(150), Received::Finished { skipped: 134 });
    assert_eq!(tracker.committable(), Some(151), "nothing is open, so the commit moves on without a delivery");
    assert_eq!(tracker.finished_beyond(), ranges(&[(151, 200)]));
}

#[test]
fn a_window_that_metadata_cannot_tell_is_full_until_its_oldest_record_is_finished() {
    let mut tracker = Tracker::default();
    for offset in 0..30_000 {
        tracker.received(offset);
    }
    assert!(!tracker.is_full(0), "nothing is finished: there is nothing to tell");
    assert!(tracker.is_full(30_000), "all of them may finish in any order");
    for offset in (1..30_000).step_by(2) {
        tracker.finished(offset);
    }
    assert!(tracker.is_full(0));
    for offset in (0..12_000).step_by(2) {
        tracker.finished(offset);
    }
    assert!(!tracker.is_full(10_000), "one bit for each of 18,000 offsets always fits");
}
