//! What a tracker promises, as tables and as a seeded simulation.

use super::{Received, Tracker};

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
        }
    }
}

/// A small generator (splitmix64), so that a seed repeats a run exactly.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
