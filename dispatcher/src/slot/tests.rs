//! What the bounds let through, with paused time.

use std::time::Duration;

use super::*;

#[tokio::test]
async fn the_bound_on_records_holds_the_next_one_back() {
    let slots = Slots::new(2, 1024 * 1024, 0);
    let stopping = CancellationToken::new();
    let first = slots.try_take(10, &stopping).unwrap();
    let _second = slots.try_take(10, &stopping).unwrap();
    assert!(slots.try_take(10, &stopping).is_none());
    drop(first);
    assert!(slots.try_take(10, &stopping).is_some());
}

#[tokio::test]
async fn the_bound_on_bytes_holds_the_next_one_back_but_never_the_only_one() {
    let slots = Slots::new(100, 4096, 0);
    let stopping = CancellationToken::new();
    let whole = slots.try_take(1_000_000, &stopping).unwrap();
    assert!(slots.try_take(1, &stopping).is_none());
    drop(whole);
    let _some = slots.try_take(3000, &stopping).unwrap();
    assert!(slots.try_take(3000, &stopping).is_none());
    assert!(slots.try_take(1024, &stopping).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_waiting_retry_frees_its_slot() {
    let slots = Slots::new(1, 1024 * 1024, 0);
    let stopping = CancellationToken::new();
    let mut waiting = slots.try_take(10, &stopping).unwrap();
    let pause = waiting.pause(Duration::from_secs(60));
    tokio::pin!(pause);
    assert!(futures_util::poll!(&mut pause).is_pending());
    let other = slots.try_take(10, &stopping).expect("the pausing record holds no slot");
    tokio::time::advance(Duration::from_secs(61)).await;
    assert!(futures_util::poll!(&mut pause).is_pending(), "no attempt without a slot");
    drop(other);
    assert_eq!(pause.await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_waits_for_bytes_keeps_no_retry_from_its_slot() {
    let slots = Slots::new(1, 1024, 0);
    let stopping = CancellationToken::new();
    let mut retrying = slots.try_take(1024, &stopping).unwrap();
    let next = slots.clone().take(1024, stopping.clone());
    tokio::pin!(next);
    {
        let pause = retrying.pause(Duration::from_secs(1));
        tokio::pin!(pause);
        assert!(futures_util::poll!(&mut pause).is_pending());
        assert!(futures_util::poll!(&mut next).is_pending(), "the retrying record holds all bytes");
        let again = tokio::time::timeout(Duration::from_secs(60), pause).await;
        assert_eq!(again, Ok(Ok(())), "the other record holds the only slot while it waits");
    }
    drop(retrying);
    assert!(tokio::time::timeout(Duration::from_secs(60), next).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_a_pause_at_once() {
    let slots = Slots::new(1, 1024, 0);
    let stopping = CancellationToken::new();
    let mut slot = slots.try_take(10, &stopping).unwrap();
    stopping.cancel();
    assert_eq!(slot.pause(Duration::from_secs(600)).await, Err(Stopping));
}

#[tokio::test]
async fn a_few_slots_are_kept_for_records_whose_pause_is_over() {
    let slots = Slots::new(8, 1024 * 1024, 0);
    let stopping = CancellationToken::new();
    let all: Vec<_> = std::iter::from_fn(|| slots.try_take(10, &stopping)).collect();
    let kept: Vec<_> = std::iter::from_fn(|| slots.try_take_reserved(&stopping)).collect();
    assert_eq!((all.len(), kept.len()), (8, 2));
    drop(kept);
    assert!(slots.try_take(10, &stopping).is_none(), "only for those");
    assert!(slots.try_take_reserved(&stopping).is_some());
}
