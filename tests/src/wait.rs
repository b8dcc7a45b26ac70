//! Waits for conditions, never for durations.
//!
//! Each wait is bounded and its failure says what was waited for and what was seen last.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(5);

/// Waits until `condition` holds.
///
/// # Panics
/// When `timeout` passes first; the message contains `what`.
#[track_caller]
pub fn wait_until(what: &str, timeout: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(what, timeout, || if condition() { Ok(()) } else { Err("the condition does not hold") });
}

/// Waits until `attempt` gives a value.
///
/// # Panics
/// When `timeout` passes first; the message contains `what` and the last error, which should say what was seen.
#[track_caller]
pub fn wait_for<T, E: Display>(what: &str, timeout: Duration, mut attempt: impl FnMut() -> Result<T, E>) -> T {
    let started = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(seen) if started.elapsed() > timeout => panic!("waited {timeout:?} for {what}; last seen: {seen}"),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_comes_true_ends_the_wait() {
        let mut calls = 0;
        wait_until("three calls", Duration::from_secs(5), || {
            calls += 1;
            calls == 3
        });
        assert_eq!(calls, 3);
    }

    #[test]
    fn a_wait_that_ends_in_vain_says_what_was_seen_last() {
        let waited = std::panic::catch_unwind(|| {
            wait_for::<(), _>("the moon", Duration::from_millis(20), || Err("only clouds"));
        });
        let message = *waited.unwrap_err().downcast::<String>().unwrap();
        assert_eq!(message, "waited 20ms for the moon; last seen: only clouds");
    }
}
