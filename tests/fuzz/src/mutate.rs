//! Makes a new input out of known ones.

use std::ops::Range;

use crate::random::Random;

/// Longest input. Bounds of the product that are larger have tests of their own.
const MAX_BYTES: usize = 8 * 1024;

/// Most changes at once.
const MAX_CHANGES: usize = 6;

/// Longest piece that is repeated or removed.
const MAX_PIECE: usize = 64;

/// Bytes at which parsers turn.
const EDGES: &[u8] = b"\0\x01\t\n\r \"%'()*,-./0179:;<=>?AZ[\\]_`az{|}~\x7f\x80\xc0\xed\xef\xf4\xff";

/// An example or a known input, with some changes.
pub(crate) fn mutate(random: &mut Random, known: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut input = random.choose(known).cloned().unwrap_or_default();
    for _ in 0..=random.below(MAX_CHANGES) {
        change(random, &mut input, known, words);
        input.truncate(MAX_BYTES);
    }
    input
}

fn change(random: &mut Random, input: &mut Vec<u8>, known: &[Vec<u8>], words: &[&str]) {
    match random.below(9) {
        0 => {
            let (at, bit) = (random.below(input.len()), random.below(8));
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
        1 => {
            let (at, new) = (random.below(input.len()), *random.choose(EDGES).unwrap_or(&0));
            if let Some(byte) = input.get_mut(at) {
                *byte = new;
            }
        }
        2 => {
            let new = [random.byte()];
            insert(random, input, &new);
        }
        3 => {
            let gone = piece(random, input);
            input.drain(gone);
        }
        4 => {
            let copied = input.get(piece(random, input)).unwrap_or_default().repeat(1 + random.below(4));
            insert(random, input, &copied);
        }
        // Deep nesting and long runs.
        5 => {
            let repeated = vec![*random.choose(EDGES).unwrap_or(&0); random.below(300)];
            insert(random, input, &repeated);
        }
        6 => {
            let other = random.choose(known).cloned().unwrap_or_default();
            let end = random.below(other.len() + 1);
            let at = random.below(input.len() + 1);
            input.truncate(at);
            input.extend_from_slice(other.get(end..).unwrap_or_default());
        }
        7 => {
            let word = random.choose(words).copied().unwrap_or_default();
            insert(random, input, word.as_bytes());
        }
        _ => {
            let replaced = piece(random, input);
            let word = random.choose(words).copied().unwrap_or_default();
            input.splice(replaced, word.bytes());
        }
    }
}

fn insert(random: &mut Random, input: &mut Vec<u8>, new: &[u8]) {
    let at = random.below(input.len() + 1);
    input.splice(at..at, new.iter().copied());
}

fn piece(random: &mut Random, input: &[u8]) -> Range<usize> {
    let start = random.below(input.len() + 1);
    let length = random.below(MAX_PIECE.min(input.len() - start) + 1);
    start..start + length
}
