//! What the metadata of a commit says, to whom, and how long it gets.

use super::*;
use crate::testing::Random;

fn scope() -> Scope {
    Scope { cluster: "c".into(), group: "billing".into(), topic: "orders".into(), partition: 3 }
}

fn ranges(pairs: impl IntoIterator<Item = (i64, i64)>) -> Ranges {
    let mut ranges = Ranges::default();
    ranges.extend(pairs);
    ranges
}

#[track_caller]
fn check_round_trip(base: i64, pairs: &[(i64, i64)]) -> String {
    let finished = ranges(pairs.iter().copied());
    let text = write(&scope(), base, &finished);
    assert!(text.len() <= MAX_BYTES, "{} bytes", text.len());
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
    assert_eq!(read(&scope(), base, &text), finished, "{text}");
    text
}

#[test]
fn a_commit_with_nothing_beyond_it_has_no_metadata() {
    assert_eq!(write(&scope(), 7, &Ranges::default()), "");
    assert_eq!(read(&scope(), 7, ""), Ranges::default());
}

#[test]
fn what_is_finished_comes_back() {
    check_round_trip(0, &[(1, 2)]);
    check_round_trip(7, &[(8, 9), (11, 500), (501, 502)]);
    check_round_trip(i64::from(u32::MAX), &[(i64::from(u32::MAX) + 5, i64::from(u32::MAX) + 6)]);
    check_round_trip(i64::MAX - 9, &[(i64::MAX - 3, i64::MAX)]);
}

#[test]
fn a_long_run_is_a_few_bytes_and_a_ragged_window_one_bit_an_offset() {
    assert_eq!(check_round_trip(10, &[(11, 1_000_000_000)]).len(), 19);
    let ragged: Vec<_> = (0..12_000).map(|index| (2 * index + 1, 2 * index + 2)).collect();
    assert!(check_round_trip(0, &ragged).len() > 4000);
}

#[test]
fn metadata_of_another_commit_group_partition_or_cluster_says_nothing() {
    let text = check_round_trip(7, &[(8, 9)]);
    let others = [
        Scope { cluster: "d".into(), ..scope() },
        Scope { group: "shipping".into(), ..scope() },
        Scope { topic: "parcels".into(), ..scope() },
        Scope { partition: 4, ..scope() },
    ];
    for other in others {
        assert!(read(&other, 7, &text).is_empty(), "{other:?}");
    }
    assert!(read(&scope(), 6, &text).is_empty(), "somebody reset the offset and left the metadata");
}

#[test]
fn foreign_and_damaged_metadata_says_nothing() {
    let text = check_round_trip(7, &[(8, 9), (20, 40)]);
    for foreign in ["checkpoint-42", "mr1:", "mr1:AAAA", "mr1:!!!!", "mr2:QvIqHwABkZPr3AM", "\u{0}\u{fffd}"] {
        assert!(read(&scope(), 7, foreign).is_empty(), "{foreign}");
    }
    for index in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        let damaged = String::from_utf8(bytes).unwrap();
        assert!(read(&scope(), 7, &damaged).is_empty(), "{damaged}");
        assert!(read(&scope(), 7, text.get(..index).unwrap()).is_empty(), "cut after {index}");
    }
}

#[test]
fn any_body_with_a_right_checksum_is_read_without_a_panic() {
    for seed in 0..20_000 {
        let mut random = Random(seed);
        let base = [0, 7, i64::MAX - 2, i64::MAX][usize::try_from(random.below(4)).unwrap()];
        let (form, length) = (u8::try_from(random.below(3)).unwrap(), random.below(40));
        let body: Vec<u8> = (0..length).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
        let mut bytes = checksum(&scope(), base, form, &body).to_le_bytes().to_vec();
        bytes.push(form);
        bytes.extend(&body);
        let finished = read(&scope(), base, &format!("{PREFIX}{}", BASE64.encode(bytes)));
        let rising = finished.iter().zip(finished.iter().skip(1)).all(|((_, end), (start, _))| end < start);
        assert!(rising && finished.iter().all(|(start, end)| base <= start && start < end), "seed {seed}");
    }
}

#[test]
fn any_set_is_told_from_its_beginning_within_the_limit_and_whole_if_it_fits() {
    let (mut whole, mut cut) = (0, 0);
    for seed in 0..600 {
        let mut random = Random(seed);
        let (most_apart, longest) = (1 + random.below(300), 1 + random.below(300));
        let base = i64::try_from(random.below(1 << 40)).unwrap();
        let mut finished = Ranges::default();
        let mut at = base;
        for _ in 0..random.below(4000) {
            let start = at + 1 + i64::try_from(random.below(most_apart)).unwrap();
            at = start + 1 + i64::try_from(random.below(longest)).unwrap();
            finished.push(start, at);
        }
        let text = write(&scope(), base, &finished);
        assert!(text.len() <= MAX_BYTES, "seed {seed}: {} bytes", text.len());
        let told = read(&scope(), base, &text);
        let end = told.end().unwrap_or(base);
        let until = |(start, stop): (i64, i64)| (start < end).then_some((start, stop.min(end)));
        assert_eq!(told, ranges(finished.iter().filter_map(until)), "seed {seed}: more or less than was finished");
        if fits(at - base, finished.len()) {
            assert_eq!(told, finished, "seed {seed}");
        }
        if told == finished { whole += 1 } else { cut += 1 }
    }
    assert!(whole > 50 && cut > 50, "sometimes whole ({whole}), sometimes cut ({cut})");
}
