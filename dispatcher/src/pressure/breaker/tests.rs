//! When it opens, when it does not, and who looks; and seeded runs in which time passes and targets go and come.

use super::*;

const DOWN: Finding = Finding::Down { first_attempt: true, probe: false };
const AGAIN: Finding = Finding::Down { first_attempt: false, probe: false };
const LOOKED: Finding = Finding::Down { first_attempt: false, probe: true };
const LIMIT: u64 = 5_000;

/// A breaker after these findings, each at its time.
fn after(findings: impl IntoIterator<Item = (u64, Finding)>) -> Breaker {
    findings.into_iter().fold(Breaker::CLOSED, |breaker, (now, finding)| breaker.after(finding, now).0)
}

fn outage() -> Breaker {
    after((0..=60).map(|n| (n * 500, DOWN)))
}

#[test]
fn a_plain_outage_opens_it() {
    assert_eq!(outage().phase, Phase::Open);
    assert_eq!(outage().admit(30_001, LIMIT).1, Admission::WaitUntil { millis: 31_000 });
}

#[test]
fn an_outage_that_is_short_or_of_few_attempts_or_few_events_does_not() {
    let short = after((0..10_000).map(|n| (n * 2, DOWN)));
    let few_attempts = after((0..49).map(|n| (n * 10_000, DOWN)));
    let few_events = after((0..10_000).map(|n| (n * 1_000, if n < 19 { DOWN } else { AGAIN })));
    for breaker in [short, few_attempts, few_events] {
        assert_eq!(breaker.phase, Phase::Closed);
        assert_eq!(breaker.admit(1_000_000_000, LIMIT).1, Admission::Go);
    }
}

#[test]
fn any_answer_ends_what_was_counted() {
    let nearly = after((0..60).map(|n| (n * 500, DOWN)));
    assert!(!nearly.is_quiet());
    let (answered, change) = nearly.after(Finding::Reached, 29_999);
    assert_eq!((answered, change), (Breaker::CLOSED, Change::None));
    assert_eq!(answered.after(DOWN, 30_001).0.phase, Phase::Closed);
}

#[test]
fn one_looks_while_the_others_wait_and_its_answer_frees_them() {
    let (breaker, first) = outage().admit(31_000, LIMIT);
    assert_eq!((breaker.phase, first), (Phase::Probing, Admission::Probe));
    assert_eq!(breaker.admit(31_001, LIMIT).1, Admission::WaitUntil { millis: 36_000 });
    assert_eq!(breaker.after(Finding::Reached, 31_200), (Breaker::CLOSED, Change::Closed));
}

#[test]
fn the_pauses_between_looks_double_up_to_half_a_minute() {
    let (mut breaker, mut now, mut pauses) = (outage(), 30_000, Vec::new());
    for _ in 0..7 {
        let Admission::WaitUntil { millis } = breaker.admit(now, LIMIT).1 else { panic!("nobody waits at {now}") };
        pauses.push(millis - now);
        now = millis;
        breaker = breaker.admit(now, LIMIT).0;
        let (next, change) = breaker.after(LOOKED, now);
        assert_eq!(change, Change::StillDown);
        breaker = next;
    }
    assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
}

#[test]
fn attempts_that_began_before_it_opened_change_nothing_but_by_an_answer() {
    assert_eq!(outage().after(DOWN, 30_500), (outage(), Change::None));
    assert_eq!(outage().after(Finding::Reached, 30_500), (Breaker::CLOSED, Change::Closed));
}

#[test]
fn a_look_that_was_stopped_or_lost_leaves_the_way_to_the_next() {
    let looking = outage().admit(31_000, LIMIT).0;
    assert_eq!(looking.probe_abandoned(31_500).admit(31_500, LIMIT).1, Admission::Probe);
    assert_eq!(looking.admit(36_000, LIMIT).1, Admission::Probe, "the time of the first one is over");
    assert_eq!(Breaker::CLOSED.probe_abandoned(1), Breaker::CLOSED);
}

#[test]
fn every_state_fits_into_its_word() {
    for state in [Breaker::CLOSED, outage(), outage().admit(31_000, LIMIT).0] {
        assert_eq!(Breaker::unpack(state.pack()), state);
    }
}

/// Whatever happens: nobody waits for longer than the longest pause or the time of one look, a target that answers is
/// pressed at once, and a closed breaker has seen an answer or no plain outage.
#[test]
fn it_never_holds_anybody_for_longer_than_one_look() {
    for seed in 0..2_000_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = |bound: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % bound
        };
        let (mut breaker, mut now, mut down_until) = (Breaker::CLOSED, 0, 0);
        for _ in 0..500 {
            now += random(3_000);
            if random(50) == 0 {
                down_until = now + random(300_000);
            }
            let (next, admission) = breaker.admit(now, LIMIT);
            breaker = next;
            let probe = match admission {
                Admission::WaitUntil { millis } => {
                    assert!(
                        millis > now && millis - now <= LONGEST_PAUSE_MILLIS,
                        "seed {seed} at {now}: until {millis}"
                    );
                    continue;
                }
                Admission::Go => false,
                Admission::Probe => true,
            };
            if probe && random(10) == 0 {
                breaker = breaker.probe_abandoned(now);
                continue;
            }
            let finding = if now < down_until {
                Finding::Down { first_attempt: random(2) == 0, probe }
            } else {
                Finding::Reached
            };
            breaker = breaker.after(finding, now).0;
            assert!(finding != Finding::Reached || breaker.is_quiet(), "seed {seed} at {now}");
            assert_eq!(Breaker::unpack(breaker.pack()), breaker, "seed {seed} at {now}");
        }
    }
}
