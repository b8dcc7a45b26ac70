//! What a window lets start, as tables.

mod simulation;

use std::time::Duration;

use super::*;

const NONE: Option<u64> = None;

fn window(order: Order) -> Window<()> {
    Window::new(order, Ranges::default(), true)
}

/// Starts everything that may start and gives the offsets.
fn started(window: &mut Window<()>) -> Vec<i64> {
    std::iter::from_fn(|| window.start()).map(|item| item.offset).collect()
}

#[test]
fn an_ordered_partition_takes_the_next_record_when_the_one_before_is_finished() {
    let mut window = window(Order::Partition);
    assert!(window.may_receive());
    window.receive(0, Some(1), ());
    assert!(!window.may_receive(), "even with another key");
    let item = window.start().unwrap();
    let due = Instant::now();
    window.park(item, due);
    assert!(!window.may_receive(), "it waits for its retry");
    window.wake(due);
    assert_eq!(started(&mut window), [0]);
    window.finished(0, NONE);
    assert!(window.may_receive());
}

#[test]
fn records_of_a_key_follow_one_another_and_others_do_not_wait() {
    let mut window = window(Order::Key);
    for (offset, key) in [(0, Some(1)), (1, Some(1)), (2, Some(2)), (3, None), (4, Some(1)), (5, None)] {
        window.receive(offset, key, ());
    }
    assert_eq!(started(&mut window), [0, 2, 3, 5]);
    window.finished(2, Some(2));
    assert_eq!(started(&mut window), [0_i64; 0]);
    window.finished(0, Some(1));
    assert_eq!(started(&mut window), [1]);
    window.receive(6, Some(2), ());
    assert_eq!(started(&mut window), [6], "nothing of this key is under way any more");
    window.finished(1, Some(1));
    assert_eq!(started(&mut window), [4]);
}

#[test]
fn a_parked_record_holds_its_own_key_only() {
    let mut window = window(Order::Key);
    for (offset, key) in [(0, Some(1)), (1, Some(1)), (2, Some(2))] {
        window.receive(offset, key, ());
    }
    let failing = window.start().unwrap();
    let due = Instant::now() + Duration::from_secs(60);
    window.park(failing, due);
    assert_eq!(started(&mut window), [2]);
    window.finished(2, Some(2));
    window.wake(due - Duration::from_millis(1));
    assert_eq!((window.next_due(), started(&mut window)), (Some(due), vec![]));
    window.wake(due);
    assert_eq!((window.next_due(), started(&mut window)), (None, vec![0]));
    window.finished(0, Some(1));
    assert_eq!(started(&mut window), [1]);
}

#[test]
fn records_that_are_due_again_take_turns_with_those_that_have_not_started() {
    let mut window = window(Order::Unordered);
    for offset in 0..3 {
        window.receive(offset, NONE, ());
    }
    let due = Instant::now();
    for _ in 0..3 {
        let item = window.start().unwrap();
        window.park(item, due);
    }
    window.wake(due);
    assert!(window.may_receive(), "they do not keep others from being read");
    for offset in 3..7 {
        window.receive(offset, NONE, ());
    }
    assert_eq!(window.start_due().unwrap().offset, 0, "there may be a slot for those only");
    assert_eq!(started(&mut window), [1, 3, 2, 4, 5, 6]);
}

#[test]
fn keys_do_not_matter_where_order_does_not() {
    let mut window = window(Order::Unordered);
    for offset in 0..3 {
        window.receive(offset, Some(1), ());
    }
    assert_eq!(started(&mut window), [0, 1, 2]);
}

#[test]
fn nothing_more_is_read_than_the_metadata_can_tell() {
    let mut window = window(Order::Unordered);
    let mut offset = 0;
    while window.may_receive() {
        window.receive(offset, NONE, ());
        let item = window.start().unwrap();
        if offset > 0 && offset % 2 == 0 {
            window.finished(item.offset, NONE);
        }
        offset += 1;
    }
    assert!((20_000..30_000).contains(&offset), "{offset}");
    window.finished(0, NONE);
    for odd in (1..5000).step_by(2) {
        window.finished(odd, NONE);
    }
    assert!(window.may_receive());
}

#[test]
fn without_metadata_only_the_number_of_records_is_bounded() {
    let mut window = Window::new(Order::Unordered, Ranges::default(), false);
    let mut offset = 0;
    while window.may_receive() {
        window.receive(offset, NONE, ());
        let item = window.start().unwrap();
        if offset % 2 == 1 {
            window.finished(item.offset, NONE);
        }
        offset += 1;
    }
    assert_eq!(offset, i64::try_from(OPEN_RECORDS).unwrap());
    assert_eq!(window.committable().unwrap().finished, Ranges::default());
}
