//! How much one producer, and one target of it, may have under way: records and bytes, from before a request's body is
//! read until Kafka has answered for the record.
//!
//! A target may use as much as is still free for everybody. So one target alone gets half of the limit, two troubled
//! ones a third each, and something is always left for the others: one channel's trouble is its own. At the bound a
//! request is refused at once, never queued.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Bounds of one producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

/// What one producer has under way, over all its targets.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    used: Usage,
}

/// What one target has under way.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    used: Usage,
}

#[derive(Debug, Default)]
struct Usage {
    records: AtomicUsize,
    bytes: AtomicUsize,
}

/// One record's place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    share: Arc<Share>,
    bytes: usize,
    released: AtomicBool,
}

/// There is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Budget {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, used: Usage::default() })
    }

    #[cfg(test)]
    fn records(&self) -> usize {
        self.used.records.load(Ordering::Relaxed)
    }
}

impl Share {
    pub(crate) fn of(budget: &Arc<Budget>) -> Arc<Self> {
        Arc::new(Self { budget: Arc::clone(budget), used: Usage::default() })
    }

    /// Takes a place for a record of `bytes`.
    pub(crate) fn admit(self: &Arc<Self>, bytes: usize) -> Result<Admission, Full> {
        let limits = self.budget.limits;
        take(&self.budget.used.records, &self.used.records, 1, limits.records)?;
        let mut admission = Admission { share: Arc::clone(self), bytes: 0, released: AtomicBool::new(false) };
        admission.grow(bytes)?;
        Ok(admission)
    }
}

impl Admission {
    /// Makes room for `more` bytes of the same record.
    pub(crate) fn grow(&mut self, more: usize) -> Result<(), Full> {
        let share = &self.share;
        take(&share.budget.used.bytes, &share.used.bytes, more, share.budget.limits.bytes)?;
        self.bytes += more;
        Ok(())
    }
}

impl Admission {
    /// Gives the place back. Once only, however often it is called.
    pub(crate) fn release(&self) {
        if self.released.swap(true, Ordering::Relaxed) {
            return;
        }
        for usage in [&self.share.used, &self.share.budget.used] {
            usage.records.fetch_sub(1, Ordering::Relaxed);
            usage.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.release();
    }
}

/// Adds `amount` to both counts, or to neither. Two threads may both be refused where one would have fitted.
fn take(total: &AtomicUsize, own: &AtomicUsize, amount: usize, limit: usize) -> Result<(), Full> {
    let total_after = total.fetch_add(amount, Ordering::Relaxed) + amount;
    let own_after = own.fetch_add(amount, Ordering::Relaxed) + amount;
    let free = limit.saturating_sub(total_after);
    // The first of a target always fits while there is room at all, or a limit of one would admit nothing.
    let fair = own_after <= free || own_after == amount;
    if total_after <= limit && fair {
        return Ok(());
    }
    total.fetch_sub(amount, Ordering::Relaxed);
    own.fetch_sub(amount, Ordering::Relaxed);
    Err(Full)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(records: usize, bytes: usize) -> Arc<Budget> {
        Budget::new(Limits { records, bytes })
    }

    fn fill(share: &Arc<Share>, bytes: usize) -> Vec<Admission> {
        std::iter::from_fn(|| share.admit(bytes).ok()).collect()
    }

    #[test]
    fn one_target_alone_gets_half_and_leaves_room_for_another() {
        let budget = budget(100, 1_000_000);
        let (stuck, healthy) = (Share::of(&budget), Share::of(&budget));
        let held = fill(&stuck, 10);
        assert_eq!(held.len(), 50);
        assert_eq!(fill(&healthy, 10).len(), 25);
        drop(held);
        assert_eq!(fill(&stuck, 10).len(), 50);
    }

    #[test]
    fn bytes_are_bounded_as_records_are() {
        let budget = budget(1000, 100);
        let share = Share::of(&budget);
        assert_eq!(fill(&share, 10).len(), 5);
        let mut growing = share.admit(10).unwrap();
        assert!(growing.grow(30).is_ok());
        assert_eq!(growing.grow(30), Err(Full));
    }

    #[test]
    fn what_was_refused_takes_nothing() {
        let budget = budget(10, 100);
        let share = Share::of(&budget);
        let first = share.admit(90).unwrap();
        assert!(share.admit(90).is_err());
        assert_eq!(budget.records(), 1);
        drop(first);
        assert_eq!(budget.records(), 0);
        assert!(share.admit(90).is_ok());
    }

    #[test]
    fn a_record_larger_than_half_the_bytes_still_fits_when_it_is_alone() {
        assert!(Share::of(&budget(10, 100)).admit(100).is_ok());
        assert!(Share::of(&budget(10, 100)).admit(101).is_err());
        assert!(Share::of(&budget(1, 100)).admit(1).is_ok());
    }
}
