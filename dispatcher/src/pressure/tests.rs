//! Waiting and waking, with paused time.

use std::sync::Arc;

use millrace_runtime::metrics::Metrics;
use millrace_runtime::metrics::family::OwnerLabels;

use super::*;
use crate::metrics::Role;
use crate::metrics::pressure::PressureFamilies;

const NO_PATIENCE: Patience = waits(Duration::ZERO);

const fn waits(left: Duration) -> Patience {
    Patience { left, in_place: true }
}

fn settings(max: u32) -> PressureSettings {
    let bounds = Bounds { max, wire: max };
    PressureSettings { adaptive: true, bounds, rate: None, attempt_timeout: Duration::from_secs(5) }
}

fn pressure(settings: PressureSettings) -> (Arc<Pressure>, Metrics) {
    let metrics = Metrics::new();
    let series = PressureFamilies::register(&metrics).unwrap().egress(&OwnerLabels::new());
    let of_role = series.role(Role::Subscriber);
    // Keeps the series alive as long as the process of the test.
    std::mem::forget(series);
    (Arc::new(Pressure::new("http://s/", settings, of_role)), metrics)
}

fn report(reached: bool) -> Report {
    let signal = Some(if reached { Signal::Answered } else { Signal::TimedOut });
    Report { signal, reached: Some(reached), first_attempt: true, took: Duration::from_millis(100) }
}

/// Fails for as long and as often as a plain outage does.
async fn take_down(pressure: &Pressure, stopping: &CancellationToken) {
    for _ in 0..=60 {
        tokio::time::advance(Duration::from_millis(500)).await;
        pressure.admit(Turn::First, &mut waits(Duration::ZERO), stopping).await.unwrap().report(report(false));
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_attempts_than_allowed_are_under_way_and_stopping_ends_the_wait_at_once() {
    let (pressure, metrics) = pressure(settings(2));
    let stopping = CancellationToken::new();
    let (mut first, mut second, mut third) = (NO_PATIENCE, NO_PATIENCE, NO_PATIENCE);
    let one = pressure.admit(Turn::First, &mut first, &stopping).await.unwrap();
    let _two = pressure.admit(Turn::First, &mut second, &stopping).await.unwrap();
    {
        let waiting = pressure.admit(Turn::First, &mut third, &stopping);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert!(
            metrics.text().contains("millrace_dispatcher_waiting_attempts{reason=\"limit\",role=\"subscriber\"} 1")
        );
        drop(one);
        let _three = waiting.await.unwrap();
    }
    let _three = pressure.admit(Turn::First, &mut third, &stopping).await.unwrap();
    let waiting = pressure.admit(Turn::First, &mut first, &stopping);
    tokio::pin!(waiting);
    assert!(futures_util::poll!(&mut waiting).is_pending());
    stopping.cancel();
    assert_eq!(waiting.await.map(drop), Err(NotAdmitted::Stopping));
}

#[tokio::test(start_paused = true)]
async fn a_target_with_time_to_spare_is_allowed_more_and_an_overwhelmed_one_less() {
    let (pressure, metrics) = pressure(settings(1000));
    let stopping = CancellationToken::new();
    let limit = |limit: u32| format!("millrace_dispatcher_concurrency_limit{{role=\"subscriber\"}} {limit}\n");
    assert!(metrics.text().contains(&limit(50)));
    let mut patience: Vec<_> = (0..50).map(|_| NO_PATIENCE).collect();
    let mut under_way = Vec::new();
    for patience in &mut patience {
        under_way.push(pressure.admit(Turn::First, patience, &stopping).await.unwrap());
    }
    let mut one_more = NO_PATIENCE;
    let waiting = pressure.admit(Turn::First, &mut one_more, &stopping);
    tokio::pin!(waiting);
    assert!(futures_util::poll!(&mut waiting).is_pending());
    under_way.drain(..25).for_each(|admitted| admitted.report(report(true)));
    assert!(metrics.text().contains(&limit(100)), "{}", metrics.text());
    drop(under_way);
    drop(waiting.await);
    for _ in 0..5 {
        // It answered a moment ago, so it is overwhelmed and not out of order.
        let refused = Report { signal: Some(Signal::Refused), reached: Some(true), ..report(true) };
        pressure.admit(Turn::First, &mut waits(Duration::ZERO), &stopping).await.unwrap().report(refused);
    }
    assert!(metrics.text().contains(&limit(70)), "{}", metrics.text());
    let mut patience: Vec<_> = (0..70).map(|_| NO_PATIENCE).collect();
    let mut under_way = Vec::new();
    for patience in &mut patience {
        under_way.push(pressure.admit(Turn::First, patience, &stopping).await.unwrap());
    }
    let mut another = NO_PATIENCE;
    let waiting = pressure.admit(Turn::First, &mut another, &stopping);
    tokio::pin!(waiting);
    assert!(futures_util::poll!(&mut waiting).is_pending(), "the permits have followed the limit");
}

#[tokio::test(start_paused = true)]
async fn while_the_target_is_down_events_wait_as_long_as_their_patience_lasts() {
    let (pressure, metrics) = pressure(settings(1000));
    let stopping = CancellationToken::new();
    take_down(&pressure, &stopping).await;
    assert!(metrics.text().contains("millrace_dispatcher_breaker_state{role=\"subscriber\"} 1"));
    assert!(metrics.text().contains("millrace_dispatcher_breaker_opened_total{role=\"subscriber\"} 1"));
    let began = Instant::now();
    let mut patience = waits(Duration::from_millis(600));
    drop(pressure.admit(Turn::First, &mut patience, &stopping).await.unwrap());
    assert_eq!((began.elapsed(), patience.left), (Duration::from_millis(600), Duration::ZERO));
    drop(pressure.admit(Turn::First, &mut patience, &stopping).await.unwrap());
    assert_eq!(began.elapsed(), Duration::from_millis(600), "without patience nobody waits");
}

#[tokio::test(start_paused = true)]
async fn one_looks_after_a_second_and_its_answer_frees_everybody_at_once() {
    let (pressure, metrics) = pressure(settings(1000));
    let stopping = CancellationToken::new();
    take_down(&pressure, &stopping).await;
    let (mut one, mut two) = (waits(Duration::from_secs(600)), waits(Duration::from_secs(600)));
    let began = Instant::now();
    let looking = pressure.admit(Turn::First, &mut one, &stopping).await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    assert!(metrics.text().contains("millrace_dispatcher_breaker_state{role=\"subscriber\"} 2"));
    let waiting = pressure.admit(Turn::First, &mut two, &stopping);
    tokio::pin!(waiting);
    assert!(futures_util::poll!(&mut waiting).is_pending());
    looking.report(report(true));
    drop(waiting.await.unwrap());
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    assert!(metrics.text().contains("millrace_dispatcher_breaker_state{role=\"subscriber\"} 0"));
    assert!(metrics.text().contains("reason=\"breaker\",role=\"subscriber\"} 0"), "{}", metrics.text());
}

#[tokio::test(start_paused = true)]
async fn a_look_that_is_cut_off_leaves_it_to_the_next_and_stopping_ends_the_wait() {
    let (pressure, _metrics) = pressure(settings(1000));
    let stopping = CancellationToken::new();
    take_down(&pressure, &stopping).await;
    let (mut one, mut two) = (waits(Duration::from_secs(600)), waits(Duration::from_secs(600)));
    let looking = pressure.admit(Turn::First, &mut one, &stopping).await.unwrap();
    let began = Instant::now();
    {
        let waiting = pressure.admit(Turn::First, &mut two, &stopping);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(looking);
        waiting.await.unwrap().report(report(false));
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    let waiting = pressure.admit(Turn::First, &mut two, &stopping);
    tokio::pin!(waiting);
    assert!(futures_util::poll!(&mut waiting).is_pending());
    stopping.cancel();
    assert_eq!(waiting.await.map(drop), Err(NotAdmitted::Stopping));
}

#[tokio::test(start_paused = true)]
async fn attempts_start_no_oftener_than_the_rate_allows() {
    let (pressure, _metrics) = pressure(PressureSettings { rate: Some(Rate { per_second: 10 }), ..settings(1000) });
    let stopping = CancellationToken::new();
    let began = Instant::now();
    for _ in 0..30 {
        drop(pressure.admit(Turn::First, &mut waits(Duration::ZERO), &stopping).await.unwrap());
    }
    let took = began.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_millis(2_100)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn without_adaptation_the_bound_is_the_limit_whatever_happens() {
    let (pressure, metrics) = pressure(PressureSettings { adaptive: false, ..settings(300) });
    let stopping = CancellationToken::new();
    for _ in 0..1_000 {
        pressure.admit(Turn::First, &mut waits(Duration::ZERO), &stopping).await.unwrap().report(report(false));
    }
    assert!(metrics.text().contains("millrace_dispatcher_concurrency_limit{role=\"subscriber\"} 300\n"));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_refuses_everything_is_not_throttled_below_the_start_but_one_that_answers_in_between_is() {
    let (pressure, _metrics) = pressure(settings(1000));
    let stopping = CancellationToken::new();
    let refused = Report { signal: Some(Signal::Refused), reached: Some(true), ..report(true) };
    let refuse = async || {
        for _ in 0..500 {
            pressure.admit(Turn::First, &mut waits(Duration::ZERO), &stopping).await.unwrap().report(refused);
        }
    };
    refuse().await;
    assert_eq!(pressure.view().limit, 50);
    pressure.admit(Turn::First, &mut waits(Duration::ZERO), &stopping).await.unwrap().report(report(true));
    refuse().await;
    assert_eq!(pressure.view().limit, 1);
    tokio::time::advance(Duration::from_secs(6)).await;
    refuse().await;
    assert_eq!(pressure.view().limit, 1, "only answers raise it");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_wait_in_place_is_told_when_to_ask_again() {
    let (pressure, _metrics) = pressure(settings(1000));
    let stopping = CancellationToken::new();
    take_down(&pressure, &stopping).await;
    let mut elsewhere = Patience { left: Duration::from_secs(600), in_place: false };
    let down = pressure.admit(Turn::First, &mut elsewhere, &stopping).await.map(drop);
    assert_eq!(down, Err(NotAdmitted::Down { ask_again_in: Duration::from_secs(1) }));
    tokio::time::advance(Duration::from_secs(1)).await;
    let looking = pressure.admit(Turn::First, &mut elsewhere, &stopping).await.unwrap();
    let down = pressure.admit(Turn::First, &mut elsewhere, &stopping).await.map(drop);
    assert_eq!(down, Err(NotAdmitted::Down { ask_again_in: Duration::from_secs(5) }), "until the look is given up");
    looking.report(report(true));
    assert!(pressure.admit(Turn::First, &mut elsewhere, &stopping).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_behind_one_first_attempt_for_the_rate() {
    let (pressure, _metrics) = pressure(PressureSettings { rate: Some(Rate { per_second: 1 }), ..settings(1000) });
    let (stopping, began) = (CancellationToken::new(), Instant::now());
    let ask = async |turn: Turn| {
        drop(pressure.admit(turn, &mut waits(Duration::ZERO), &stopping).await.unwrap());
        began.elapsed().as_secs()
    };
    assert_eq!(ask(Turn::First).await, 0);
    let firsts = futures_util::future::join_all((0..5).map(|_| ask(Turn::First)));
    let (firsts, retry) = tokio::join!(firsts, ask(Turn::Retry));
    assert_eq!((firsts, retry), (vec![1, 3, 4, 5, 6], 2));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_wait_in_place_waits_only_where_few_do() {
    let (pressure, _metrics) = pressure(settings(2));
    let stopping = CancellationToken::new();
    let ask = async |turn: Turn| {
        let mut elsewhere = Patience { left: Duration::ZERO, in_place: false };
        pressure.admit(turn, &mut elsewhere, &stopping).await
    };
    let under_way = [ask(Turn::First).await.unwrap(), ask(Turn::First).await.unwrap()];
    let mut waiting: Vec<_> = (0..2).map(|_| Box::pin(ask(Turn::First))).collect();
    for one in &mut waiting {
        assert!(futures_util::poll!(one).is_pending());
    }
    assert_eq!(ask(Turn::First).await.map(drop), Err(NotAdmitted::Crowded));
    let mut retry = Box::pin(ask(Turn::Retry));
    assert!(futures_util::poll!(&mut retry).is_pending(), "there is room for some retries more");
    drop(under_way);
    for one in waiting {
        drop(one.await.unwrap());
    }
    drop(retry.await.unwrap());
    assert!(ask(Turn::First).await.is_ok());
}
