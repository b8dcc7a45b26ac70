//! Decides what follows a failed delivery attempt.
//!
//! Pure: no clock, no network, no random source (the caller hands in a fraction for the jitter).
//! Source: dispatcher spec 5 for the formulas; design rows 6 and 7 for cap, jitter, `Retry-After` and the
//! immediate retry with a delay of 0.

use std::time::Duration;

use millrace_config::contract::BackoffPolicy;

/// How often and when an event is sent again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RetryPolicy {
    /// Attempts after the first one; 0 means a single attempt.
    pub(crate) retries: u32,
    /// How the pauses grow.
    pub(crate) backoff_policy: BackoffPolicy,
    /// Base of the pauses; zero retries at once.
    pub(crate) backoff_delay: Duration,
    /// No pause is longer than this, before jitter.
    pub(crate) max_delay: Duration,
    /// The largest part of a pause that is added at random; 0 means exact pauses.
    pub(crate) jitter: f64,
    /// The longest `Retry-After` that is waited for; a longer one is cut to this.
    pub(crate) retry_after_max: Duration,
}

impl RetryPolicy {
    /// All pauses that an event can have, together and without jitter, but no more than `limit`.
    pub(crate) fn all_pauses(&self, limit: Duration) -> Duration {
        let mut sum = Duration::ZERO;
        for n in 1..=self.retries {
            let pause = backoff(self, n).min(self.max_delay);
            sum = sum.saturating_add(pause);
            // Without pauses the sum would never grow.
            if sum >= limit || pause.is_zero() {
                break;
            }
        }
        sum.min(limit)
    }
}

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// Send again after this pause.
    RetryAfter(Duration),
    /// No further attempt is due.
    GiveUp,
}

/// A failed attempt as far as the decision needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FailedAttempt {
    /// 1 for the first attempt.
    pub(crate) number: u32,
    /// Whether another attempt may help at all.
    pub(crate) retryable: bool,
    /// What the receiver asked for, if it did.
    pub(crate) retry_after: Option<Duration>,
}

/// `jitter` is a fraction between 0 and 1 of the policy's jitter.
pub(crate) fn next_step(policy: &RetryPolicy, failed: FailedAttempt, jitter: f64) -> NextStep {
    if !failed.retryable || failed.number > policy.retries {
        return NextStep::GiveUp;
    }
    let pause = backoff(policy, failed.number).min(policy.max_delay);
    let asked = failed.retry_after.unwrap_or(Duration::ZERO).min(policy.retry_after_max);
    let pause = pause.max(asked);
    NextStep::RetryAfter(pause.saturating_add(pause.mul_f64(policy.jitter.clamp(0.0, 1.0) * jitter.clamp(0.0, 1.0))))
}

/// The pause before retry `n` (1-based): `delay * n` or `delay * 2^n`, saturating instead of overflowing.
fn backoff(policy: &RetryPolicy, n: u32) -> Duration {
    match policy.backoff_policy {
        BackoffPolicy::Linear => policy.backoff_delay.saturating_mul(n),
        BackoffPolicy::Exponential => policy.backoff_delay.saturating_mul(2_u32.checked_pow(n).unwrap_or(u32::MAX)),
    }
}

/// A number between 0 and 1 that differs between records and attempts but repeats for the same one.
///
/// Spreading retries needs no real randomness, and this needs no state that tasks would share.
pub(crate) fn spread(partition: i32, offset: i64, attempt: u32) -> f64 {
    let mut mixed = (offset.unsigned_abs() ^ (u64::from(partition.unsigned_abs()) << 40) ^ (u64::from(attempt) << 56))
        .wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let top = u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(u32::MAX);
    f64::from(top) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    //! The pauses of the specification, and what stays bounded.

    use super::*;

    fn policy(backoff_policy: BackoffPolicy, retries: u32, delay_ms: u64) -> RetryPolicy {
        RetryPolicy {
            retries,
            backoff_policy,
            backoff_delay: Duration::from_millis(delay_ms),
            max_delay: Duration::from_secs(600),
            jitter: 0.1,
            retry_after_max: Duration::from_secs(60),
        }
    }

    #[track_caller]
    fn check(policy: &RetryPolicy, number: u32, retry_after: Option<u64>, expected: Option<u64>) {
        let failed = FailedAttempt { number, retryable: true, retry_after: retry_after.map(Duration::from_secs) };
        let expected = expected.map_or(NextStep::GiveUp, |ms| NextStep::RetryAfter(Duration::from_millis(ms)));
        assert_eq!(next_step(policy, failed, 0.0), expected);
    }

    #[test]
    fn exponential_pauses_start_at_twice_the_delay() {
        let policy = policy(BackoffPolicy::Exponential, 5, 200);
        for (number, ms) in [(1, 400), (2, 800), (3, 1600), (4, 3200), (5, 6400)] {
            check(&policy, number, None, Some(ms));
        }
        check(&policy, 6, None, None);
    }

    #[test]
    fn linear_pauses_grow_by_the_delay() {
        let policy = policy(BackoffPolicy::Linear, 3, 100);
        for (number, ms) in [(1, 100), (2, 200), (3, 300)] {
            check(&policy, number, None, Some(ms));
        }
        check(&policy, 4, None, None);
    }

    #[test]
    fn without_retries_the_first_failure_is_final() {
        check(&policy(BackoffPolicy::Linear, 0, 100), 1, None, None);
    }

    #[test]
    fn the_pauses_of_an_event_together_are_bounded() {
        let all = |policy: &RetryPolicy| policy.all_pauses(Duration::from_secs(600));
        assert_eq!(all(&policy(BackoffPolicy::Linear, 3, 100)), Duration::from_millis(600));
        assert_eq!(all(&policy(BackoffPolicy::Exponential, 2, 200)), Duration::from_millis(1200));
        assert_eq!(all(&policy(BackoffPolicy::Linear, 0, 100)), Duration::ZERO);
        assert_eq!(all(&policy(BackoffPolicy::Linear, u32::MAX, 0)), Duration::ZERO);
        assert_eq!(all(&policy(BackoffPolicy::Exponential, u32::MAX, 1)), Duration::from_secs(600));
    }

    #[test]
    fn a_delay_of_zero_retries_at_once() {
        check(&policy(BackoffPolicy::Exponential, 2, 0), 1, None, Some(0));
        check(&policy(BackoffPolicy::Exponential, 2, 0), 2, None, Some(0));
    }

    #[test]
    fn pauses_are_capped_and_never_overflow() {
        check(&policy(BackoffPolicy::Exponential, u32::MAX, 1_000), 4_000_000_000, None, Some(600_000));
        check(&policy(BackoffPolicy::Linear, u32::MAX, u64::MAX), 4_000_000_000, None, Some(600_000));
    }

    #[test]
    fn retry_after_lengthens_a_pause_up_to_its_limit_and_never_shortens_one() {
        let policy = policy(BackoffPolicy::Linear, 9, 2_000);
        check(&policy, 1, Some(5), Some(5_000));
        check(&policy, 4, Some(5), Some(8_000));
        check(&policy, 1, Some(86_400), Some(60_000));
    }

    #[test]
    fn a_failure_that_cannot_be_cured_is_not_retried() {
        let failed = FailedAttempt { number: 1, retryable: false, retry_after: None };
        assert_eq!(next_step(&policy(BackoffPolicy::Linear, 9, 1), failed, 0.0), NextStep::GiveUp);
    }

    #[test]
    fn jitter_adds_at_most_a_tenth() {
        let policy = policy(BackoffPolicy::Linear, 9, 1_000);
        let failed = FailedAttempt { number: 1, retryable: true, retry_after: None };
        assert_eq!(next_step(&policy, failed, 1.0), NextStep::RetryAfter(Duration::from_millis(1_100)));
        for offset in 0..1_000 {
            let fraction = spread(3, offset, 1);
            assert!((0.0..=1.0).contains(&fraction), "offset {offset} gave {fraction}");
        }
        assert_ne!(spread(0, 1, 1), spread(0, 2, 1));
        assert_ne!(spread(0, 1, 1), spread(0, 1, 2));
    }
}
