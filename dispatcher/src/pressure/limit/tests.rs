//! The rules one by one, and simulated targets: seeded, with injected time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;
use crate::testing::Random;

const BOUNDS: Bounds = Bounds { max: 1000, wire: 1000 };
const STEADY: Latencies = Latencies { micros: 100_000, before_micros: 100_000, silent: false };

/// Takes in `count` attempts of the present epoch; returns the last step.
#[track_caller]
fn take(level: &mut Level, count: u32, signal: Signal, latencies: Latencies) -> Step {
    let mut last = Step::Counted;
    for _ in 0..count {
        let (next, step) = level.after(level.epoch, signal, latencies, BOUNDS);
        *level = next;
        last = step;
    }
    last
}

fn crowded(level: Level) -> Level {
    Level { crowded: true, ..level }
}

#[test]
fn it_starts_small_but_not_above_its_bound() {
    assert_eq!(Level::new(BOUNDS).allowed, 50);
    assert_eq!(Level::new(Bounds { max: 7, wire: 7 }).allowed, 7);
}

#[test]
fn it_doubles_when_somebody_waits_and_answers_are_no_slower() {
    let mut level = crowded(Level::new(BOUNDS));
    assert_eq!(take(&mut level, 24, Signal::Answered, STEADY), Step::Counted);
    assert_eq!(take(&mut level, 1, Signal::Answered, STEADY), Step::Doubled);
    assert_eq!((level.allowed, level.epoch, level.samples), (100, 1, 0));
}

#[test]
fn it_stays_when_nobody_waits() {
    let mut level = Level::new(BOUNDS);
    assert_eq!(take(&mut level, 25, Signal::Answered, STEADY), Step::Stayed);
    assert_eq!((level.allowed, level.epoch), (50, 0));
}

#[test]
fn a_doubling_that_only_made_answers_slower_is_taken_back_and_tried_again_later() {
    let mut level = crowded(Level::new(BOUNDS));
    take(&mut level, 25, Signal::Answered, STEADY);
    level = crowded(level);
    let slower = Latencies { micros: 141_000, before_micros: 100_000, silent: false };
    assert_eq!(take(&mut level, 50, Signal::Answered, slower), Step::Halved);
    assert_eq!(level.allowed, 50);
    for _ in 0..HOLD_WINDOWS {
        level = crowded(level);
        assert_eq!(take(&mut level, 25, Signal::Answered, STEADY), Step::Stayed);
    }
    level = crowded(level);
    assert_eq!(take(&mut level, 25, Signal::Answered, STEADY), Step::Doubled);
}

#[test]
fn quick_answers_are_never_called_slow() {
    let mut level = crowded(Level::new(BOUNDS));
    take(&mut level, 25, Signal::Answered, STEADY);
    level = crowded(level);
    let quick = Latencies { micros: 20_000, before_micros: 100, silent: false };
    assert_eq!(take(&mut level, 50, Signal::Answered, quick), Step::Doubled);
}

#[test]
fn one_burst_of_refusals_is_one_step_down() {
    let mut level = Level::new(BOUNDS);
    let old = level.epoch;
    assert_eq!(take(&mut level, 2, Signal::Refused, STEADY), Step::Reduced);
    assert_eq!(level.allowed, 35);
    let (next, step) = level.after(old, Signal::Refused, STEADY, BOUNDS);
    assert_eq!((next, step), (level, Step::Stale));
}

#[test]
fn refusals_may_take_it_to_one_and_time_outs_only_to_its_start() {
    let mut level = Level { allowed: 800, ..Level::new(BOUNDS) };
    for _ in 0..1000 {
        take(&mut level, 1, Signal::TimedOut, STEADY);
    }
    assert_eq!(level.allowed, 50);
    for _ in 0..100 {
        take(&mut level, 1, Signal::Refused, STEADY);
    }
    assert_eq!(level.allowed, 1);
    take(&mut level, 1, Signal::TimedOut, STEADY);
    assert_eq!(level.allowed, 1, "a time-out never raises it");
}

#[test]
fn a_target_that_refuses_everything_gets_as_many_at_a_time_as_at_the_start() {
    let silent = Latencies { silent: true, ..Latencies::default() };
    let mut level = Level { allowed: 800, ..Level::new(BOUNDS) };
    take(&mut level, 1000, Signal::Refused, silent);
    assert_eq!(level.allowed, 50);
    let mut level = Level { allowed: 3, ..Level::new(BOUNDS) };
    take(&mut level, 100, Signal::Refused, silent);
    assert_eq!(level.allowed, 3, "a refusal never raises it");
}

#[test]
fn a_step_down_begins_at_what_connections_allow() {
    let bounds = Bounds { max: 1000, wire: 100 };
    let mut level = Level { allowed: 1000, ..Level::new(bounds) };
    let mut step = Step::Counted;
    while step == Step::Counted {
        (level, step) = level.after(level.epoch, Signal::Refused, STEADY, bounds);
    }
    assert_eq!((level.allowed, step), (70, Step::Reduced));
}

#[test]
fn now_and_then_a_refusal_changes_nothing() {
    let mut level = Level { allowed: 1000, ..Level::new(BOUNDS) };
    for _ in 0..100 {
        take(&mut level, 40, Signal::Refused, STEADY);
        assert_ne!(take(&mut level, 460, Signal::Answered, STEADY), Step::Reduced);
    }
    assert_eq!(level.allowed, 1000);
}

#[test]
fn it_comes_back_by_an_eighth_at_a_time() {
    let mut level = Level { allowed: 80, recovering: true, crowded: true, ..Level::new(BOUNDS) };
    assert_eq!(take(&mut level, 40, Signal::Answered, STEADY), Step::Recovered);
    assert_eq!(level.allowed, 90);
    let mut level = Level { allowed: 1, recovering: true, crowded: true, ..Level::new(BOUNDS) };
    assert_eq!(take(&mut level, 1, Signal::Answered, STEADY), Step::Recovered);
    assert_eq!(level.allowed, 2);
}

#[test]
fn every_level_fits_into_its_word() {
    for level in [
        Level::new(BOUNDS),
        Level {
            allowed: MAX_ALLOWED,
            epoch: EPOCHS - 1,
            samples: MAX_SAMPLES,
            troubled: u8::MAX,
            crowded: true,
            recovering: true,
            hold: HOLD_WINDOWS,
        },
    ] {
        assert_eq!(Level::unpack(level.pack()), level);
    }
}

/// A target: how long an attempt takes and what comes of it, with so many under way.
type Target = fn(&mut Random, u32) -> (u64, Signal);

/// When it ends, which it is, the epoch it began in, how long it took, and what came of it.
type UnderWay = (u64, u64, u16, u64, u8);

struct Run {
    level: Level,
    ended: u64,
    refused: u64,
    /// When the level first reached its bound.
    full_at_micros: Option<u64>,
    /// The sum of levels over attempts, for the average.
    levels: u64,
}

/// Sends as much as the level allows, always with somebody waiting, for `micros` of simulated time.
fn simulate(seed: u64, micros: u64, target: Target) -> Run {
    let mut random = Random(seed);
    let mut run = Run { level: Level::new(BOUNDS), ended: 0, refused: 0, full_at_micros: None, levels: 0 };
    let mut under_way: BinaryHeap<Reverse<UnderWay>> = BinaryHeap::new();
    let (mut now, mut number, mut took_sum, mut before) = (0, 0, 0, 0);
    let mut answered = None;
    while now < micros {
        let demand = u32::try_from(under_way.len()).unwrap();
        for extra in demand..run.level.allowed.min(1000) {
            let (took, signal) = target(&mut random, extra + 1);
            number += 1;
            under_way.push(Reverse((now + took, number, run.level.epoch, took, signal as u8)));
        }
        run.level.crowded = run.level.allowed < 1000;
        let Some(Reverse((at, _number, epoch, took, signal))) = under_way.pop() else { break };
        let signal = [Signal::Answered, Signal::Refused, Signal::TimedOut][usize::from(signal)];
        now = at;
        run.ended += 1;
        run.refused += u64::from(signal == Signal::Refused);
        run.levels += u64::from(run.level.allowed);
        if signal == Signal::Answered {
            answered = Some(now);
            took_sum += if epoch == run.level.epoch { took } else { 0 };
        }
        let silent = answered.is_none_or(|at| now - at > 5 * SECOND);
        let micros = took_sum / run.level.answered_with(signal);
        let (next, step) = run.level.after(epoch, signal, Latencies { micros, before_micros: before, silent }, BOUNDS);
        match step {
            Step::Counted | Step::Stale => {}
            Step::Doubled => (before, took_sum) = (micros, 0),
            Step::Stayed | Step::Halved | Step::Recovered | Step::Reduced => (before, took_sum) = (0, 0),
        }
        run.level = next;
        if next.allowed == 1000 && run.full_at_micros.is_none() {
            run.full_at_micros = Some(now);
        }
    }
    run
}

const SECOND: u64 = 1_000_000;

#[test]
fn a_steady_target_of_100_ms_is_pressed_in_full_within_a_second() {
    for seed in 0..15 {
        let run = simulate(seed, 5 * SECOND, |random, _under_way| (95_000 + random.below(10_000), Signal::Answered));
        let full_at = run.full_at_micros.unwrap_or(u64::MAX);
        assert!(full_at < SECOND, "seed {seed}: full after {full_at} us");
        assert_eq!(run.level.allowed, 1000, "seed {seed}");
        assert!(run.ended > 42_000, "seed {seed}: {} attempts in 5 s", run.ended);
    }
}

#[test]
fn a_target_whose_answers_vary_widely_is_still_pressed_nearly_in_full() {
    let mut poorest = u64::MAX;
    for seed in 0..15 {
        let run = simulate(seed, 10 * SECOND, |random, _under_way| (10_000 + random.below(190_000), Signal::Answered));
        poorest = poorest.min(run.ended);
    }
    // 1000 at a time of 105 ms each are 95,000.
    assert!(poorest > 72_000, "{poorest} attempts in 10 s");
}

#[test]
fn a_target_that_refuses_more_than_it_can_take_is_soon_sent_about_that_much() {
    for seed in 0..60 {
        let run = simulate(seed, 60 * SECOND, |random, under_way| {
            if under_way > 20 { (2_000, Signal::Refused) } else { (80_000 + random.below(40_000), Signal::Answered) }
        });
        let average = run.levels / run.ended;
        assert!((10..=24).contains(&average), "seed {seed}: {average} at a time");
        assert!(run.refused * 5 < run.ended, "seed {seed}: {} of {} refused", run.refused, run.ended);
    }
}

#[test]
fn a_target_that_queues_is_not_sent_more_than_helps() {
    for seed in 0..20 {
        // 60 at a time take 100 ms; more only wait for each other.
        let run = simulate(seed, 60 * SECOND, |random, under_way| {
            let crowd = u64::from(under_way.max(60));
            (crowd * 100_000 / 60 + random.below(5_000), Signal::Answered)
        });
        let average = run.levels / run.ended;
        assert!(average <= 250, "seed {seed}: {average} at a time");
        assert!(run.ended > 28_000, "seed {seed}: {} attempts in 60 s", run.ended);
    }
}

#[test]
fn a_hung_target_holds_no_more_than_at_the_start_and_no_fewer() {
    for seed in 0..50 {
        let run = simulate(seed, 60 * SECOND, |_random, _under_way| (SECOND, Signal::TimedOut));
        assert_eq!(run.level.allowed, 50, "seed {seed}");
    }
}
