//! Feeds one target with inputs until a limit, or until one of them makes it panic.

use std::any::Any;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::mutate::mutate;
use crate::random::Random;
use crate::target::Target;

/// Most inputs that are kept for mutation. Beyond it, a new one takes the place of an old one.
const MAX_KNOWN: usize = 4096;

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub enum Limit {
    /// After so many mutated inputs. The same seed does the same then.
    Inputs(u64),
    /// After this time.
    Time(Duration),
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// How many inputs, the examples included.
    pub inputs: u64,
    /// How many different outcomes.
    pub outcomes: usize,
    /// The longest that one input took.
    pub slowest: Duration,
}

/// An input that made a target panic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crash {
    /// The input.
    pub input: Vec<u8>,
    /// What the panic said.
    pub message: String,
}

/// Runs the examples as they are, and then mutations of them.
///
/// # Errors
/// With the first input that makes the target panic.
pub fn run(target: &Target, seed: u64, limit: Limit) -> Result<Report, Crash> {
    let mut random = Random::new(seed);
    let mut known: Vec<Vec<u8>> = target.examples.iter().map(|example| example.as_bytes().to_vec()).collect();
    let mut seen = HashSet::new();
    let mut report = Report { inputs: 0, outcomes: 0, slowest: Duration::ZERO };
    let mut feed = |input: &[u8], report: &mut Report| -> Result<bool, Crash> {
        let begin = Instant::now();
        let is_new = seen.insert(check(target, input)?);
        report.slowest = report.slowest.max(begin.elapsed());
        report.inputs += 1;
        report.outcomes = seen.len();
        Ok(is_new)
    };
    for example in &known {
        feed(example, &mut report)?;
    }
    let (begin, examples) = (Instant::now(), report.inputs);
    loop {
        let is_over = match limit {
            Limit::Inputs(count) => report.inputs - examples >= count,
            Limit::Time(time) => begin.elapsed() >= time,
        };
        if is_over {
            return Ok(report);
        }
        let input = mutate(&mut random, &known, target.words);
        if feed(&input, &mut report)? {
            keep(&mut random, &mut known, input);
        }
    }
}

/// Runs one input.
///
/// # Errors
/// If it makes the target panic.
pub fn replay(target: &Target, input: &[u8]) -> Result<(), Crash> {
    check(target, input).map(|_outcome| ())
}

fn check(target: &Target, input: &[u8]) -> Result<crate::target::Outcome, Crash> {
    // Targets keep nothing between inputs, so there is nothing that a panic could leave half done.
    catch_unwind(AssertUnwindSafe(|| (target.check)(input)))
        .map_err(|panic| Crash { input: input.to_vec(), message: message(panic.as_ref()) })
}

fn keep(random: &mut Random, known: &mut Vec<Vec<u8>>, input: Vec<u8>) {
    if known.len() < MAX_KNOWN {
        known.push(input);
        return;
    }
    let place = random.below(known.len());
    if let Some(old) = known.get_mut(place) {
        *old = input;
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a text").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Outcome;

    fn finds_the_word(input: &[u8]) -> Outcome {
        let found = input.iter().zip(b"bug!").take_while(|(byte, wanted)| byte == wanted).count();
        assert!(found < 4, "found it");
        Outcome::of(found)
    }

    const TARGET: Target = Target { name: "word", check: finds_the_word, examples: &["b"], words: &[] };

    #[test]
    fn outcomes_lead_step_by_step_to_an_input_that_no_single_mutation_makes() {
        let crash = run(&TARGET, 1, Limit::Inputs(1_000_000)).unwrap_err();
        assert!(crash.input.starts_with(b"bug!"));
        assert_eq!(crash.message, "found it");
        assert_eq!(replay(&TARGET, &crash.input), Err(crash));
        assert_eq!(replay(&TARGET, b"bug"), Ok(()));
    }

    #[test]
    fn the_same_seed_does_the_same() {
        let target = Target { examples: &["x"], ..TARGET };
        let outcomes = |seed| run(&target, seed, Limit::Inputs(500)).unwrap().outcomes;
        assert_eq!(outcomes(3), outcomes(3));
        let crash = || run(&TARGET, 1, Limit::Inputs(1_000_000)).unwrap_err();
        assert_eq!(crash(), crash());
    }

    #[test]
    fn a_limit_of_time_ends_a_run() {
        let target = Target { examples: &[], ..TARGET };
        assert!(run(&target, 1, Limit::Time(Duration::ZERO)).is_ok());
    }
}
