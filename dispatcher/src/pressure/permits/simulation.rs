//! Thousands of random crowds before one number of permits: who comes, gives up, ends, and how many may be out, in all
//! orders. Time does not matter here. A failure names its seed; each rare state has to occur.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::testing::Random;

type Asking<'a> = Pin<Box<dyn Future<Output = Option<Permit<'a>>> + 'a>>;

struct Waiter<'a> {
    number: u64,
    turn: Turn,
    asking: Asking<'a>,
    /// First attempts that were let through while this one waited.
    overtaken: usize,
    /// How many more retries may be let through before it; known once it is the first of the first attempts.
    retries_before: Option<usize>,
}

#[derive(Debug, Default)]
struct Sometimes {
    retry_past_a_long_line: usize,
    first_past_a_retry: usize,
    head_gave_up: usize,
    fewer_than_out: usize,
}

struct Crowd<'a> {
    seed: u64,
    random: Random,
    permits: &'a Permits,
    allowed: u32,
    out: Vec<Permit<'a>>,
    waiting: Vec<Waiter<'a>>,
    number: u64,
}

impl<'a> Crowd<'a> {
    fn step(&mut self, sometimes: &mut Sometimes) {
        match self.random.below(100) {
            0..35 => self.come(Turn::First),
            35..55 => self.come(Turn::Retry),
            55..90 => self.end_one(),
            90..96 => self.give_up(sometimes),
            _ => self.resize(sometimes),
        }
        let (mut firsts, mut retries) = (0, 0);
        while let Some(turn) = self.let_one_through(sometimes) {
            match turn {
                Turn::First => firsts += 1,
                Turn::Retry => retries += 1,
            }
        }
        self.check(firsts, retries, sometimes);
        let due = usize::try_from(self.allowed).unwrap();
        assert!(self.waiting.is_empty() || self.out.len() >= due, "seed {}: a permit lies idle", self.seed);
    }

    fn come(&mut self, turn: Turn) {
        self.number += 1;
        match self.permits.try_take() {
            Some(permit) => self.out.push(permit),
            None => self.waiting.push(Waiter {
                number: self.number,
                turn,
                asking: Box::pin(self.permits.take(turn)),
                overtaken: 0,
                retries_before: None,
            }),
        }
    }

    fn end_one(&mut self) {
        if !self.out.is_empty() {
            let which = self.random.below(self.out.len().try_into().unwrap());
            self.out.swap_remove(usize::try_from(which).unwrap());
        }
    }

    fn give_up(&mut self, sometimes: &mut Sometimes) {
        if !self.waiting.is_empty() {
            let which = self.random.below(self.waiting.len().try_into().unwrap());
            let gone = self.waiting.remove(usize::try_from(which).unwrap());
            sometimes.head_gave_up += usize::from(gone.retries_before.is_some());
        }
    }

    fn resize(&mut self, sometimes: &mut Sometimes) {
        let to = 1 + u32::try_from(self.random.below(8)).unwrap();
        sometimes.fewer_than_out += usize::from(usize::try_from(to).unwrap() < self.out.len());
        self.permits.resize(self.allowed, to);
        self.allowed = to;
    }

    /// Looks at all who wait, in the order in which they came.
    fn let_one_through(&mut self, sometimes: &mut Sometimes) -> Option<Turn> {
        let mut context = Context::from_waker(Waker::noop());
        let through = self.waiting.iter_mut().position(|waiter| match waiter.asking.as_mut().poll(&mut context) {
            Poll::Ready(permit) => {
                self.out.push(permit.unwrap());
                true
            }
            Poll::Pending => false,
        });
        let through = self.waiting.remove(through?);
        let before = |other: &&Waiter<'_>| other.number < through.number;
        let alike = |other: &Waiter<'_>| other.turn == through.turn;
        assert!(!self.waiting.iter().filter(before).any(alike), "seed {}: {:?} out of turn", self.seed, through.turn);
        let line = self.waiting.iter().filter(before).count();
        sometimes.retry_past_a_long_line += usize::from(through.turn == Turn::Retry && line > 3);
        Some(through.turn)
    }

    /// So many were let through, and all who still wait had to wait for them.
    fn check(&mut self, firsts: usize, retries: usize, sometimes: &mut Sometimes) {
        let waiting = self.waiting.iter().filter(|waiter| waiter.turn == Turn::Retry).count();
        let mut head = true;
        for waiter in &mut self.waiting {
            match waiter.turn {
                Turn::Retry => {
                    waiter.overtaken += firsts;
                    sometimes.first_past_a_retry += firsts;
                    assert!(waiter.overtaken <= 1, "seed {}: first attempts before a retry that is due", self.seed);
                }
                Turn::First if head => {
                    head = false;
                    let before = match waiter.retries_before {
                        Some(before) => before.checked_sub(retries),
                        None => Some(waiting),
                    };
                    assert!(before.is_some(), "seed {}: a first attempt waits for later retries", self.seed);
                    waiter.retries_before = before;
                }
                Turn::First => {}
            }
        }
    }
}

#[test]
fn a_retry_lets_one_first_attempt_pass_and_a_first_attempt_no_more_retries_than_were_there() {
    let mut sometimes = Sometimes::default();
    for seed in 0..2_000 {
        let permits = Permits::new(3);
        let random = Random(seed);
        let (out, waiting) = (Vec::new(), Vec::new());
        let mut crowd = Crowd { seed, random, permits: &permits, allowed: 3, out, waiting, number: 0 };
        for _ in 0..200 {
            crowd.step(&mut sometimes);
        }
    }
    let Sometimes { retry_past_a_long_line, first_past_a_retry, head_gave_up, fewer_than_out } = sometimes;
    for (what, times) in [
        ("a retry passed a long line", retry_past_a_long_line),
        ("a first attempt passed a retry", first_past_a_retry),
        ("the head of the line gave up", head_gave_up),
        ("fewer were allowed than were out", fewer_than_out),
    ] {
        assert!(times > 100, "{what} only {times} times");
    }
}
