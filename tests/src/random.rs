//! Numbers that look random and are the same for the same seed on every machine, and the seed of a test run.
//!
//! SplitMix64: one addition and three multiplications a number.

/// A sequence of numbers.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The sequence of the run's seed: `MILLRACE_TEST_SEED`, or 1. Printed, so that a failure tells it.
    #[must_use]
    pub fn of_this_run() -> Self {
        let seed = std::env::var("MILLRACE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
        eprintln!("MILLRACE_TEST_SEED={seed}");
        Self::new(seed)
    }

    /// The next number.
    #[must_use]
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `bound`; 0 if that is 0.
    #[must_use]
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number().checked_rem(bound).unwrap_or_default()
    }

    /// Whether it is one of `share` in a hundred.
    #[must_use]
    pub fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    /// One of `items`.
    ///
    /// # Panics
    /// When there are none.
    #[must_use]
    pub fn choose<'i, T>(&mut self, items: &'i [T]) -> &'i T {
        let bound = u64::try_from(items.len()).unwrap_or(u64::MAX);
        let index = usize::try_from(self.below(bound)).expect("less than a length");
        items.get(index).expect("there is something to choose from")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again_and_another_seed_others() {
        let of = |seed| {
            let mut random = Random::new(seed);
            [random.below(1000), random.below(1000), random.below(1000)]
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert!((0..1000).map(|_| Random::new(3).below(7)).all(|number| number < 7));
    }
}
