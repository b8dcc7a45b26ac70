//! What is fuzzed.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Something that reads inputs from outside.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// As in `cargo xtask fuzz NAME`.
    pub name: &'static str,
    /// Reads one input and panics if something does not hold that must hold of all inputs.
    pub check: fn(&[u8]) -> Outcome,
    /// Inputs to begin with; each shows something that others do not.
    pub examples: &'static [&'static str],
    /// What mutations insert besides single bytes.
    pub words: &'static [&'static str],
}

/// What came of an input, as far as it tells inputs apart. One with a new outcome is kept and mutated further, so an
/// outcome should have some hundred values: kinds of errors and sizes, not texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Outcome(u64);

impl Outcome {
    /// The outcome that `what` stands for.
    pub fn of(what: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        Self(hasher.finish())
    }
}
