//! Thousands of random lives of one partition: deliveries that fail and wait, commits that are refused, crashes, clean
//! and unclean hand-overs, in all orders, with invented time.
//!
//! Checked at every step are the proof's invariants I1 (no loss), I3 (order) and I4 (commits), and that a restart sends
//! nothing again that a commit has said to be finished. A failure names its seed; each rare state has to occur.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::*;
use crate::offsets::metadata::{self, Scope};
use crate::testing::Random;

const RECORDS: usize = 60;
const STEPS: usize = 600;
const SLOTS: usize = 6;

/// How often rare things happened in all lives together.
#[derive(Debug, Default)]
struct Sometimes {
    crash_with_finished_beyond: usize,
    crash_with_parked: usize,
    revoked_with_in_flight: usize,
    cut_at_revocation: usize,
    lost_partition: usize,
    refused_commit: usize,
    passed_over: usize,
    gap: usize,
    held_behind_its_key: usize,
    repeated_delivery: usize,
}

struct Life {
    seed: u64,
    order: Order,
    random: Random,
    now: Instant,
    /// Offset and key of every record; some offsets have none.
    log: Vec<(i64, Option<u64>)>,
    /// Index of the next record to read.
    position: usize,
    window: Window<()>,
    /// Started and not ended.
    in_flight: Vec<Item<()>>,
    /// What the broker has.
    committed: (i64, String),
    /// Finished according to a commit that the broker took.
    told: BTreeSet<i64>,
    /// Taken by the subscriber, in the order of first success.
    delivered: BTreeSet<i64>,
}

fn scope() -> Scope {
    Scope { cluster: "c".into(), group: "g".into(), topic: "t".into(), partition: 0 }
}

impl Life {
    fn new(seed: u64, order: Order) -> Self {
        let mut random = Random(seed);
        let mut offset = 0;
        let mut record = || {
            offset += 1 + i64::try_from(random.below(8).saturating_sub(5)).unwrap();
            let key = Some(random.below(6)).filter(|key| *key > 0);
            (offset, key)
        };
        let log = (0..RECORDS).map(|_| record()).collect();
        Self {
            seed,
            order,
            random,
            now: Instant::now(),
            log,
            position: 0,
            window: Window::new(order, Ranges::default(), true),
            in_flight: Vec::new(),
            committed: (0, String::new()),
            told: BTreeSet::new(),
            delivered: BTreeSet::new(),
        }
    }

    fn step(&mut self, sometimes: &mut Sometimes) {
        self.now += Duration::from_millis(self.random.below(20));
        self.window.wake(self.now);
        match self.random.below(100) {
            0..30 => self.read(sometimes),
            30..60 => self.start(sometimes),
            60..80 => self.end_one(true),
            80..90 => self.end_one(false),
            90..96 => self.commit(sometimes),
            96..97 => self.crash(sometimes),
            97..99 => self.hand_over(sometimes),
            _ => self.lose(sometimes),
        }
    }

    fn read(&mut self, sometimes: &mut Sometimes) {
        let Some((offset, key)) = self.log.get(self.position).copied() else { return };
        if !self.window.may_receive() {
            return;
        }
        self.position += 1;
        let ready = self.window.ready.len();
        match self.window.receive(offset, key, ()) {
            Received::Next { skipped } => {
                sometimes.gap += usize::from(skipped > 0);
                sometimes.held_behind_its_key += usize::from(self.window.ready.len() == ready);
            }
            Received::Finished { .. } => {
                sometimes.passed_over += 1;
                assert!(self.delivered.contains(&offset), "seed {}: {offset} is passed over, undelivered", self.seed);
            }
            Received::Repeated => panic!("seed {}: {offset} is repeated", self.seed),
        }
    }

    fn start(&mut self, sometimes: &mut Sometimes) {
        if self.in_flight.len() == SLOTS {
            return;
        }
        let Some(item) = self.window.start() else { return };
        let key_of = |offset: i64| self.log.iter().find(|record| record.0 == offset).and_then(|record| record.1);
        let key = key_of(item.offset);
        let precedes = |offset: i64, other: Option<u64>| match self.order {
            Order::Partition => offset < item.offset,
            Order::Key => offset < item.offset && key.is_some() && key == other,
            Order::Unordered => false,
        };
        let early: Vec<_> =
            self.log.iter().filter(|(at, other)| precedes(*at, *other) && !self.delivered.contains(at)).collect();
        assert!(early.is_empty(), "seed {}: {} starts before {early:?}", self.seed, item.offset);
        assert!(!self.told.contains(&item.offset), "seed {}: {} is sent again", self.seed, item.offset);
        sometimes.repeated_delivery += usize::from(self.delivered.contains(&item.offset));
        self.in_flight.push(item);
    }

    fn end_one(&mut self, success: bool) {
        if self.in_flight.is_empty() {
            return;
        }
        let index = usize::try_from(self.random.below(self.in_flight.len() as u64)).unwrap();
        let item = self.in_flight.swap_remove(index);
        if success {
            self.delivered.insert(item.offset);
            self.window.finished(item.offset, item.key);
        } else {
            let due = self.now + Duration::from_millis(self.random.below(300));
            self.window.park(item, due);
        }
    }

    fn commit(&mut self, sometimes: &mut Sometimes) {
        let Some(next) = self.window.committable() else { return };
        let undelivered = self.log.iter().map(|(offset, _)| *offset).find(|offset| !self.delivered.contains(offset));
        let lowest = undelivered.unwrap_or(i64::MAX);
        assert!(next.offset <= lowest, "seed {}: {} is committed, {lowest} undelivered", self.seed, next.offset);
        if self.random.below(5) == 0 {
            sometimes.refused_commit += 1;
            return;
        }
        let text = metadata::write(&scope(), next.offset, &next.finished);
        self.told = self.log.iter().map(|(offset, _)| *offset).filter(|offset| *offset < next.offset).collect();
        for (start, end) in metadata::read(&scope(), next.offset, &text).iter() {
            self.told.extend(self.log.iter().map(|(offset, _)| *offset).filter(|offset| (start..end).contains(offset)));
        }
        let early: Vec<_> = self.told.difference(&self.delivered).collect();
        assert!(early.is_empty(), "seed {}: {early:?} are called finished", self.seed);
        self.committed = (next.offset, text);
    }

    /// The next owner knows the commit and nothing else.
    fn start_over(&mut self) {
        let (offset, text) = &self.committed;
        self.window = Window::new(self.order, metadata::read(&scope(), *offset, text), true);
        self.position = self.log.partition_point(|record| record.0 < *offset);
        self.in_flight.clear();
    }

    fn crash(&mut self, sometimes: &mut Sometimes) {
        sometimes.crash_with_finished_beyond += usize::from(!self.committed.1.is_empty());
        sometimes.crash_with_parked += usize::from(!self.window.parked.is_empty());
        self.receive_in_vain();
        self.start_over();
    }

    /// A cut request may have reached its subscriber or not.
    fn receive_in_vain(&mut self) {
        for item in std::mem::take(&mut self.in_flight) {
            if self.random.below(2) == 0 {
                self.delivered.insert(item.offset);
            }
        }
    }

    /// A revocation: nothing new starts, some of what is in flight ends in time, progress is committed, the rest is cut.
    fn hand_over(&mut self, sometimes: &mut Sometimes) {
        sometimes.revoked_with_in_flight += usize::from(!self.in_flight.is_empty());
        for _ in 0..self.random.below(SLOTS as u64 + 2) {
            let success = self.random.below(4) > 0;
            self.end_one(success);
        }
        sometimes.cut_at_revocation += usize::from(!self.in_flight.is_empty());
        self.commit(sometimes);
        self.receive_in_vain();
        self.start_over();
    }

    /// The group gave the partition away without asking: results that come later count for nothing.
    fn lose(&mut self, sometimes: &mut Sometimes) {
        sometimes.lost_partition += 1;
        self.receive_in_vain();
        self.start_over();
    }

    /// With nothing going wrong any more, everything is delivered and committed.
    fn finish(&mut self, sometimes: &mut Sometimes) {
        for _ in 0..20 * RECORDS {
            self.now += Duration::from_secs(1);
            self.window.wake(self.now);
            self.read(sometimes);
            self.start(sometimes);
            self.end_one(true);
        }
        let all: BTreeSet<i64> = self.log.iter().map(|(offset, _)| *offset).collect();
        assert_eq!(self.delivered, all, "seed {}", self.seed);
        let last = all.last().unwrap() + 1;
        while self.committed != (last, String::new()) {
            assert!(self.window.committable().is_some(), "seed {}: {:?} is committed", self.seed, self.committed);
            self.commit(sometimes);
        }
    }
}

fn live(seeds: RangeInclusive<u64>, order: Order) -> Sometimes {
    let mut sometimes = Sometimes::default();
    for seed in seeds {
        let mut life = Life::new(seed, order);
        for _ in 0..STEPS {
            life.step(&mut sometimes);
        }
        life.finish(&mut sometimes);
    }
    sometimes
}

#[track_caller]
fn check_reached(rare: &[(&str, usize)]) {
    let never: BTreeMap<_, _> = rare.iter().filter(|(_, count)| *count == 0).copied().collect();
    assert!(never.is_empty(), "never reached: {never:?}");
}

#[test]
fn an_unordered_partition_loses_nothing_and_repeats_nothing_that_was_told() {
    let sometimes = live(1..=2000, Order::Unordered);
    check_reached(&[
        ("a crash with records finished beyond the commit", sometimes.crash_with_finished_beyond),
        ("a crash with parked records", sometimes.crash_with_parked),
        ("a revocation with records in flight", sometimes.revoked_with_in_flight),
        ("a cut at a revocation", sometimes.cut_at_revocation),
        ("a lost partition", sometimes.lost_partition),
        ("a refused commit", sometimes.refused_commit),
        ("a finished record passed over", sometimes.passed_over),
        ("a gap", sometimes.gap),
        ("a repeated delivery", sometimes.repeated_delivery),
    ]);
}

#[test]
fn a_partition_ordered_by_key_keeps_the_order_of_each_key_through_everything() {
    let sometimes = live(1..=2000, Order::Key);
    check_reached(&[
        ("a record behind its key", sometimes.held_behind_its_key),
        ("a crash with records finished beyond the commit", sometimes.crash_with_finished_beyond),
        ("a crash with parked records", sometimes.crash_with_parked),
        ("a cut at a revocation", sometimes.cut_at_revocation),
        ("a finished record passed over", sometimes.passed_over),
        ("a repeated delivery", sometimes.repeated_delivery),
    ]);
}

#[test]
fn an_ordered_partition_keeps_its_order_through_everything() {
    let sometimes = live(1..=1000, Order::Partition);
    check_reached(&[
        ("a crash with parked records", sometimes.crash_with_parked),
        ("a revocation with records in flight", sometimes.revoked_with_in_flight),
        ("a repeated delivery", sometimes.repeated_delivery),
    ]);
}
