//! How often attempts to one subscriber may start.
//!
//! Pure: a bucket of tokens that hold one second's worth, as the one number at which it would be full again. Whoever takes
//! a token that is not there yet is told how long to wait for it, and keeps its place.
//! Source: dispatcher spec 2.3, the evident intent of `enableRateLimiter`, which the peer does not carry out.

use std::time::Duration;

/// Attempts a second; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) per_second: u32,
}

const SECOND: u64 = 1_000_000_000;

impl Rate {
    /// Takes a token at `now_nanos`. `full_at` is the state, 0 at first: the time at which the bucket is full again. Returns
    /// the state after it and how long to wait.
    pub(crate) fn take(self, full_at: u64, now_nanos: u64) -> (u64, Duration) {
        let token = SECOND / u64::from(self.per_second.max(1));
        let full_at = full_at.max(now_nanos).saturating_add(token);
        // The bucket is empty when a whole second is missing.
        let wait = full_at.saturating_sub(now_nanos).saturating_sub(SECOND.max(token));
        (full_at, Duration::from_nanos(wait))
    }
}

#[cfg(test)]
mod tests {
    //! The tokens of a second, with injected time.

    use super::*;

    /// Takes tokens one after another, each when the one before was granted; returns when each was granted.
    fn taken(per_second: u32, count: usize) -> Vec<u64> {
        let (rate, mut full_at, mut now) = (Rate { per_second }, 0, 0);
        let mut at = Vec::new();
        for _ in 0..count {
            let (next, wait) = rate.take(full_at, now);
            full_at = next;
            now += u64::try_from(wait.as_nanos()).unwrap();
            at.push(now);
        }
        at
    }

    #[test]
    fn a_second_s_worth_goes_at_once_and_the_rest_at_the_rate() {
        let at = taken(10, 30);
        assert_eq!(at[9], 0, "the bucket is full at first");
        assert_eq!(at[10], SECOND / 10);
        assert_eq!(at[29], 2 * SECOND);
    }

    #[test]
    fn the_bucket_never_holds_more_than_a_second_s_worth() {
        let rate = Rate { per_second: 4 };
        let mut full_at = 0;
        for _ in 0..4 {
            full_at = rate.take(full_at, 0).0;
        }
        let later = 3600 * SECOND;
        let waits: Vec<_> = (0..6)
            .map(|_| {
                let (next, wait) = rate.take(full_at, later);
                full_at = next;
                wait
            })
            .collect();
        assert_eq!(waits[3], Duration::ZERO);
        assert_eq!(waits[4], Duration::from_millis(250));
        assert_eq!(waits[5], Duration::from_millis(500), "everybody keeps the place taken");
    }

    #[test]
    fn one_a_second_is_one_a_second() {
        assert_eq!(taken(1, 4), [0, SECOND, 2 * SECOND, 3 * SECOND]);
    }
}
