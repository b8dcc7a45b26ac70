//! A partition with real deliveries to a scripted subscriber, and no Kafka.

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use bytes::Bytes;

use super::task::Work;
use super::*;
use crate::offsets::metadata;
use crate::outcome::Failure;
use crate::slot::Attempts;
use crate::slot::later::Later;
use crate::slot::room::{self, Room};
use crate::testing::{Script, Subscriber, keyed_record, shared};
use crate::window::Window;

struct Bench {
    pipeline: Snapshot<Pipeline>,
    slots: Slots,
    sender: mpsc::Sender<Record>,
    progress: Arc<Progress>,
    stopping: CancellationToken,
    task: JoinHandle<()>,
}

impl Bench {
    fn start(subscriber: &Subscriber, order: &str, egress: &str, properties: &str) -> Self {
        Self::resume(subscriber, order, egress, properties, Ranges::default())
    }

    fn resume(subscriber: &Subscriber, order: &str, egress: &str, properties: &str, finished: Ranges) -> Self {
        let shared = shared(subscriber, &format!(r#","deliveryOrder":"{order}"{egress}"#), properties);
        Self::of(shared, finished)
    }

    fn of(shared: Shared, finished: Ranges) -> Self {
        let (slots, pipeline) = (shared.slots.clone(), shared.pipeline.clone());
        let (sender, records) = mpsc::channel(QUEUED_RECORDS);
        let progress = Arc::new(Progress::new(std::thread::current()));
        let stopping = CancellationToken::new();
        let partition = Partition {
            shared,
            scope: scope(),
            finished,
            records,
            progress: Arc::clone(&progress),
            stopping: stopping.clone(),
        };
        #[expect(clippy::disallowed_methods, reason = "the test waits for it")]
        let task = tokio::spawn(partition.run());
        Self { pipeline, slots, sender, progress, stopping, task }
    }

    async fn send(&self, offsets: impl IntoIterator<Item = i64>) {
        for offset in offsets {
            self.send_keyed(offset, None).await;
        }
    }

    async fn send_keyed(&self, offset: i64, key: Option<&str>) {
        let record = keyed_record(offset, key);
        self.progress.queued(record.size_bytes());
        self.sender.send(record).await.unwrap();
    }

    async fn wait_until(&self, condition: impl Fn(&Pipeline) -> bool) {
        let reached = tokio::time::timeout(Duration::from_secs(10), async {
            while !condition(&self.pipeline.load()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        assert!(reached.await.is_ok(), "{:?}", self.pipeline.load().subscriber.pressure.view());
    }

    async fn wait_for_commit(&self, offset: i64) {
        let reached = tokio::time::timeout(Duration::from_secs(10), async {
            while self.progress.committable() != Some(offset) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        assert!(reached.await.is_ok(), "committable is {:?}, not {offset}", self.progress.committable());
    }
}

fn scope() -> Scope {
    Scope { cluster: "c".into(), group: "billing".into(), topic: "orders".into(), partition: 0 }
}

const DROP: &str = "millrace.undelivered=drop\n";

#[tokio::test]
async fn an_event_arrives_with_its_attributes_extensions_and_bytes() {
    let subscriber = Subscriber::start().await;
    let bench = Bench::start(&subscriber, "UNORDERED", "", "");
    bench.send([7]).await;
    let arrival = subscriber.wait("/subscriber", 1).await.remove(0);
    let header = |name: &str| arrival.headers.get(name).map(|value| value.to_str().unwrap());
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-id", "event-7"),
        ("ce-source", "/shop"),
        ("ce-type", "order"),
        ("content-type", "text/plain"),
        ("ce-knativekafkapartition", "0"),
        ("ce-knativekafkaoffset", "7"),
        ("ce-team", "blue"),
        ("prefer", "reply"),
        ("kn-namespace", "shop"),
        ("content-length", "7"),
    ] {
        assert_eq!(header(name), Some(value), "{name}");
    }
    assert_eq!(arrival.body.as_ref(), b"payload");
    bench.wait_for_commit(8).await;
}

#[tokio::test]
async fn ordered_records_wait_for_the_one_before() {
    let subscriber = Subscriber::start().await;
    let gate = Arc::new(Semaphore::new(0));
    subscriber.answer("/subscriber", &[Script { gate: Some(Arc::clone(&gate)), ..Script::status(200) }]);
    let bench = Bench::start(&subscriber, "ORDERED", "", "");
    bench.send(0..5).await;
    for count in 1..=5 {
        let arrivals = subscriber.wait("/subscriber", count).await;
        assert_eq!(arrivals.len(), count, "the next record was sent before this one was answered");
        assert_eq!(arrivals[count - 1].id, format!("event-{}", count - 1));
        gate.add_permits(1);
        bench.wait_for_commit(i64::try_from(count).unwrap()).await;
    }
}

#[tokio::test]
async fn unordered_records_are_sent_together_and_committed_in_order() {
    let subscriber = Subscriber::start().await;
    let gate = Arc::new(Semaphore::new(0));
    subscriber
        .answer("/subscriber", &[Script { gate: Some(Arc::clone(&gate)), ..Script::status(200) }, Script::status(200)]);
    let bench = Bench::start(&subscriber, "UNORDERED", "", "maxPoolSize=100");
    bench.send(0..20).await;
    subscriber.wait("/subscriber", 20).await;
    let held = subscriber.arrivals("/subscriber")[0].id.clone();
    let held: i64 = held.strip_prefix("event-").unwrap().parse().unwrap();
    bench.wait_for_commit_or_none(held).await;
    gate.add_permits(1);
    bench.wait_for_commit(20).await;
}

impl Bench {
    /// With everything but `held` finished, exactly `held` is where a restart begins, and all it sends.
    async fn wait_for_commit_or_none(&self, held: i64) {
        let settled = tokio::time::timeout(Duration::from_secs(10), async {
            while self.progress.open() != 1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        assert!(settled.await.is_ok(), "{} records are open", self.progress.open());
        let commit = self.progress.commit().unwrap();
        let finished: Vec<_> = metadata::read(&scope(), commit.offset, &commit.metadata).iter().collect();
        let beyond = if held == 19 { vec![] } else { vec![(held + 1, 20)] };
        assert_eq!((commit.offset, finished), (held, beyond));
    }
}

#[tokio::test]
async fn no_more_than_the_allowed_number_is_in_flight() {
    let subscriber = Subscriber::start().await;
    let gate = Arc::new(Semaphore::new(0));
    subscriber.answer("/subscriber", &[Script { gate: Some(Arc::clone(&gate)), ..Script::status(200) }]);
    let bench = Bench::start(&subscriber, "UNORDERED", "", "millrace.in.flight.max=3\nmaxPoolSize=100");
    bench.send(0..10).await;
    for finished in 0..7 {
        let arrivals = subscriber.wait("/subscriber", finished + 3).await;
        assert_eq!(arrivals.len(), finished + 3);
        gate.add_permits(1);
    }
    gate.add_permits(3);
    bench.wait_for_commit(10).await;
}

#[tokio::test]
async fn a_failed_attempt_is_repeated_until_it_succeeds() {
    let subscriber = Subscriber::start().await;
    subscriber.answer("/subscriber", &[Script::status(503), Script::status(429), Script::status(200)]);
    let config = r#","egressConfig":{"retry":3,"backoffPolicy":"Linear","backoffDelay":"1"}"#;
    let bench = Bench::start(&subscriber, "ORDERED", config, DROP);
    bench.send([0]).await;
    bench.wait_for_commit(1).await;
    assert_eq!(subscriber.arrivals("/subscriber").len(), 3);
}

#[tokio::test]
async fn what_the_subscriber_refuses_goes_to_the_dead_letter_sink() {
    let subscriber = Subscriber::start().await;
    subscriber.answer("/subscriber", &[Script { body: "no room", ..Script::status(500) }]);
    // A body that is no event does not matter there.
    subscriber.answer("/dead", &[Script { body: "thanks", ..Script::status(200) }]);
    let config = r#","egressConfig":{"deadLetter":"URL/dead","retry":2,"backoffDelay":"0"}"#;
    let bench = Bench::start(&subscriber, "ORDERED", config, DROP);
    bench.send([4]).await;
    bench.wait_for_commit(5).await;
    assert_eq!(subscriber.arrivals("/subscriber").len(), 3);
    let letter = subscriber.arrivals("/dead").remove(0);
    assert_eq!(letter.id, "event-4");
    assert_eq!(letter.headers["ce-knativeerrordest"], format!("{}/subscriber", subscriber.url));
    assert_eq!(letter.headers["ce-knativeerrorcode"], "500");
    assert_eq!(letter.headers["ce-knativeerrordata"], "bm8gcm9vbQ==");
    assert_eq!(letter.body.as_ref(), b"payload");
}

#[tokio::test]
async fn a_status_that_cannot_heal_is_not_retried() {
    let subscriber = Subscriber::start().await;
    subscriber.answer("/subscriber", &[Script::status(400)]);
    let config = r#","egressConfig":{"deadLetter":"URL/dead","retry":5,"backoffDelay":"1"}"#;
    let bench = Bench::start(&subscriber, "ORDERED", config, DROP);
    bench.send([0]).await;
    bench.wait_for_commit(1).await;
    assert_eq!(subscriber.arrivals("/subscriber").len(), 1);
    assert_eq!(subscriber.arrivals("/dead").len(), 1);
}

#[tokio::test]
async fn an_attempt_without_an_answer_ends_at_its_time_limit() {
    let subscriber = Subscriber::start().await;
    let gate = Arc::new(Semaphore::new(0));
    subscriber
        .answer("/subscriber", &[Script { gate: Some(Arc::clone(&gate)), ..Script::status(200) }, Script::status(200)]);
    let config = r#","egressConfig":{"retry":1,"backoffDelay":"1","timeout":"50"}"#;
    let bench = Bench::start(&subscriber, "ORDERED", config, DROP);
    bench.send([0]).await;
    bench.wait_for_commit(1).await;
    assert_eq!(subscriber.arrivals("/subscriber").len(), 2);
}

#[tokio::test]
async fn a_reply_goes_to_its_url_and_a_malformed_one_to_the_dead_letter_sink() {
    let subscriber = Subscriber::start().await;
    let event = vec![("ce-specversion", "1.0"), ("ce-id", "answer"), ("ce-source", "/r"), ("ce-type", "reply")];
    subscriber.answer(
        "/subscriber",
        &[
            Script { headers: event, body: "hello", ..Script::status(200) },
            Script { body: "just text", ..Script::status(200) },
        ],
    );
    let config = r#","replyUrl":"URL/reply","egressConfig":{"deadLetter":"URL/dead"}"#;
    let bench = Bench::start(&subscriber, "ORDERED", config, DROP);
    bench.send([0, 1]).await;
    bench.wait_for_commit(2).await;
    let reply = subscriber.arrivals("/reply").remove(0);
    assert_eq!((reply.id.as_str(), reply.body.as_ref()), ("answer", &b"hello"[..]));
    assert_eq!(subscriber.arrivals("/dead").remove(0).id, "event-1");
    assert_eq!(subscriber.arrivals("/subscriber").len(), 2, "a failed reply does not call the subscriber again");
}

#[tokio::test]
async fn stopping_finishes_what_is_sent_and_starts_nothing_new() {
    let subscriber = Subscriber::start().await;
    let gate = Arc::new(Semaphore::new(0));
    subscriber.answer("/subscriber", &[Script { gate: Some(Arc::clone(&gate)), ..Script::status(200) }]);
    let bench = Bench::start(&subscriber, "ORDERED", "", "");
    bench.send(0..3).await;
    subscriber.wait("/subscriber", 1).await;
    bench.stopping.cancel();
    gate.add_permits(10);
    tokio::time::timeout(Duration::from_secs(10), bench.task).await.expect("the partition stops").unwrap();
    assert_eq!(bench.progress.committable(), Some(1));
    assert_eq!(subscriber.arrivals("/subscriber").len(), 1);
}

#[tokio::test]
async fn stopping_abandons_a_record_that_waits_for_a_retry() {
    let subscriber = Subscriber::start().await;
    subscriber.answer("/subscriber", &[Script::status(503)]);
    let config = r#","egressConfig":{"retry":5,"backoffPolicy":"Linear","backoffDelay":"600000"}"#;
    let bench = Bench::start(&subscriber, "UNORDERED", config, DROP);
    bench.send([0]).await;
    subscriber.wait("/subscriber", 1).await;
    bench.stopping.cancel();
    tokio::time::timeout(Duration::from_secs(10), bench.task).await.expect("the partition stops").unwrap();
    assert_eq!(bench.progress.committable(), None, "the record was not finished");
}

#[tokio::test]
async fn a_record_that_is_no_event_is_passed_over() {
    let subscriber = Subscriber::start().await;
    let bench = Bench::start(&subscriber, "ORDERED", "", "");
    let mut plain = Record::builder("orders".into(), 0, 0, 16);
    plain.value(Some(b"plain"));
    let plain = plain.build();
    bench.progress.queued(plain.size_bytes());
    bench.sender.send(plain).await.unwrap();
    bench.send([1]).await;
    bench.wait_for_commit(2).await;
    assert_eq!(subscriber.arrivals("/subscriber").len(), 1);
}

#[tokio::test]
async fn a_filter_decides_what_is_sent() {
    let subscriber = Subscriber::start().await;
    let filter = r#","dialectedFilter":[{"suffix":{"attributes":{"id":"-3"}}}]"#;
    let bench = Bench::start(&subscriber, "UNORDERED", filter, "");
    bench.send(0..5).await;
    bench.wait_for_commit(5).await;
    let ids: Vec<_> = subscriber.arrivals("/subscriber").into_iter().map(|arrival| arrival.id).collect();
    assert_eq!(ids, ["event-3"]);
}

#[tokio::test]
async fn records_that_a_commit_called_finished_are_not_sent_again() {
    let subscriber = Subscriber::start().await;
    let mut finished = Ranges::default();
    finished.extend([(11, 13), (15, 16)]);
    let bench = Bench::resume(&subscriber, "UNORDERED", "", "", finished);
    bench.send(10..16).await;
    bench.wait_for_commit(16).await;
    let mut ids: Vec<_> = subscriber.arrivals("/subscriber").into_iter().map(|arrival| arrival.id).collect();
    ids.sort();
    assert_eq!(ids, ["event-10", "event-13", "event-14"]);
}

#[tokio::test]
async fn a_failing_key_holds_its_own_successors_only() {
    let subscriber = Subscriber::start().await;
    let gate = Arc::new(Semaphore::new(0));
    subscriber
        .answer("/subscriber", &[Script { gate: Some(Arc::clone(&gate)), ..Script::status(200) }, Script::status(200)]);
    let bench = Bench::start(&subscriber, "ORDERED", "", "millrace.ordered.by=key");
    bench.send_keyed(0, Some("a")).await;
    subscriber.wait("/subscriber", 1).await;
    for (offset, key) in [(1, Some("a")), (2, Some("b")), (3, None), (4, Some("b")), (5, Some("a"))] {
        bench.send_keyed(offset, key).await;
    }
    let ids =
        |arrivals: Vec<crate::testing::Arrival>| arrivals.into_iter().map(|arrival| arrival.id).collect::<Vec<_>>();
    let mut others = ids(subscriber.wait("/subscriber", 4).await);
    others.sort();
    assert_eq!(others, ["event-0", "event-2", "event-3", "event-4"]);
    gate.add_permits(1);
    bench.wait_for_commit(6).await;
    assert_eq!(ids(subscriber.arrivals("/subscriber"))[4..], ["event-1", "event-5"]);
}

#[tokio::test]
async fn retries_that_were_parked_go_on_counting_where_they_were() {
    let subscriber = Subscriber::start().await;
    subscriber.answer("/subscriber", &[Script::status(503)]);
    let config = r#","egressConfig":{"deadLetter":"URL/dead","retry":3,"backoffPolicy":"Linear","backoffDelay":"20"}"#;
    let bench = Bench::start(&subscriber, "UNORDERED", config, DROP);
    bench.send(0..3).await;
    bench.wait_for_commit(3).await;
    assert_eq!(subscriber.arrivals("/subscriber").len(), 12);
    assert_eq!(subscriber.arrivals("/dead").len(), 3);
}

#[tokio::test]
async fn a_partition_whose_deliveries_hang_leaves_slots_to_others() {
    let subscriber = Subscriber::start().await;
    let gate = Arc::new(Semaphore::new(0));
    subscriber.answer("/subscriber", &[Script { gate: Some(Arc::clone(&gate)), ..Script::status(200) }]);
    let bench = Bench::start(&subscriber, "UNORDERED", "", "millrace.in.flight.max=8\nmaxPoolSize=100");
    let neighbour = bench.slots.join();
    bench.send(0..20).await;
    subscriber.wait("/subscriber", 4).await;
    assert!(neighbour.may_start(0, 0) && neighbour.may_start(3, 0) && !neighbour.may_start(4, 0));
    drop(neighbour);
    gate.add_permits(20);
    bench.wait_for_commit(20).await;
}

/// So few bytes that two records which keep theirs while they wait let nothing else pass.
const NO_ROOM_IN_FLIGHT: &str = "millrace.in.flight.bytes=2048\n";
const LONG_PAUSE: &str = r#""retry":3,"backoffPolicy":"Linear","backoffDelay":"600000""#;
const SHORT_PAUSE: &str = r#""retry":3,"backoffPolicy":"Linear","backoffDelay":"20""#;

fn refusing(times: usize) -> Vec<Script> {
    let mut scripts = vec![Script::status(400); times];
    scripts.push(Script::status(202));
    scripts
}

#[tokio::test]
async fn events_whose_dead_letter_sink_is_away_hold_back_no_others() {
    let subscriber = Subscriber::start().await;
    subscriber.answer("/subscriber", &refusing(50));
    subscriber.answer("/dead", &[Script::status(503)]);
    let egress = format!(r#","egressConfig":{{"deadLetter":"URL/dead",{LONG_PAUSE}}}"#);
    let bench = Bench::start(&subscriber, "UNORDERED", &egress, NO_ROOM_IN_FLIGHT);
    bench.send(0..100).await;
    subscriber.wait("/subscriber", 100).await;
    bench.wait_until(|pipeline| pipeline.live.parked() == 50).await;
    assert_eq!(subscriber.arrivals("/dead").len(), 50);
    let next = bench.pipeline.load().live.next_retry_ms().unwrap();
    assert!(next > millrace_runtime::clock::now_millis() + 590_000);
    bench.stopping.cancel();
    tokio::time::timeout(Duration::from_secs(10), bench.task).await.expect("the partition stops").unwrap();
    assert_eq!(bench.progress.open(), 50, "whoever reads on sends them again");
}

#[tokio::test]
async fn events_whose_dead_letter_sink_hangs_leave_slots_to_others() {
    let subscriber = Subscriber::start().await;
    let gate = Arc::new(Semaphore::new(0));
    subscriber.answer("/subscriber", &refusing(200));
    subscriber.answer("/dead", &[Script { gate: Some(Arc::clone(&gate)), ..Script::status(200) }]);
    // 50 under way and as many that wait for their turn; more only by parking.
    let properties = "millrace.in.flight.max=110\nmaxPoolSize=100\n";
    let bench = Bench::start(&subscriber, "UNORDERED", r#","egressConfig":{"deadLetter":"URL/dead"}"#, properties);
    bench.send(0..260).await;
    subscriber.wait("/subscriber", 260).await;
    assert_eq!(subscriber.arrivals("/dead").len(), 50);
    gate.add_permits(1000);
    bench.wait_for_commit(260).await;
    assert_eq!(subscriber.arrivals("/dead").len(), 200);
}

#[tokio::test]
async fn a_dead_letter_that_was_parked_goes_on_where_it_was() {
    let subscriber = Subscriber::start().await;
    let refusal = Script { body: "no room", headers: vec![("kne-kind", "Quota")], ..Script::status(400) };
    subscriber.answer("/subscriber", &[refusal, Script::status(202)]);
    subscriber.answer("/dead", &[Script::status(503), Script::status(503), Script::status(200)]);
    let egress = format!(r#","egressConfig":{{"deadLetter":"URL/dead",{SHORT_PAUSE}}}"#);
    let bench = Bench::start(&subscriber, "ORDERED", &egress, DROP);
    bench.send([0, 1]).await;
    bench.wait_for_commit(2).await;
    let (arrivals, letters) = (subscriber.arrivals("/subscriber"), subscriber.arrivals("/dead"));
    assert_eq!((arrivals.len(), letters.len()), (2, 3), "the subscriber is not asked again");
    assert!(arrivals[1].at > letters[2].at, "its successor waits for it");
    for letter in &letters {
        assert_eq!(letter.headers["ce-knativeerrorcode"], "400");
        assert_eq!(letter.headers["ce-knativeerrordata"], "bm8gcm9vbQ==");
        assert_eq!(letter.headers["ce-kind"], "Quota");
        assert_eq!(letter.headers["ce-knativeerrordest"], format!("{}/subscriber", subscriber.url));
        assert_eq!(letter.body.as_ref(), b"payload");
    }
}

#[tokio::test]
async fn a_dead_letter_sink_has_all_its_attempts_also_when_they_wait_in_between() {
    let subscriber = Subscriber::start().await;
    subscriber.answer("/subscriber", &refusing(3));
    subscriber.answer("/dead", &[Script::status(503)]);
    let egress = format!(r#","egressConfig":{{"deadLetter":"URL/dead",{SHORT_PAUSE}}}"#);
    let bench = Bench::start(&subscriber, "UNORDERED", &egress, DROP);
    bench.send(0..3).await;
    bench.wait_for_commit(3).await;
    assert_eq!((subscriber.arrivals("/subscriber").len(), subscriber.arrivals("/dead").len()), (3, 12));
}

#[tokio::test]
async fn a_reply_that_was_parked_is_sent_as_it_came_and_the_subscriber_is_not_asked_again() {
    let subscriber = Subscriber::start().await;
    let event = vec![
        ("ce-specversion", "1.0"),
        ("ce-id", "answer"),
        ("ce-source", "/r"),
        ("ce-type", "reply"),
        ("content-type", "text/plain"),
        ("x-other", "not part of the event"),
    ];
    subscriber.answer("/subscriber", &[Script { headers: event, body: "hello", ..Script::status(200) }]);
    subscriber.answer("/reply", &[Script::status(503), Script::status(500), Script::status(202)]);
    let egress = format!(r#","replyUrl":"URL/reply","egressConfig":{{{SHORT_PAUSE}}}"#);
    let bench = Bench::start(&subscriber, "ORDERED", &egress, DROP);
    bench.send([0]).await;
    bench.wait_for_commit(1).await;
    assert_eq!(subscriber.arrivals("/subscriber").len(), 1);
    let replies = subscriber.arrivals("/reply");
    assert_eq!(replies.len(), 3);
    for reply in replies {
        assert_eq!((reply.id.as_str(), reply.body.as_ref()), ("answer", &b"hello"[..]));
        assert_eq!(reply.headers["content-type"], "text/plain");
    }
}

#[tokio::test]
async fn replies_whose_target_is_away_hold_back_no_other_events() {
    let subscriber = Subscriber::start().await;
    let event = vec![("ce-specversion", "1.0"), ("ce-id", "answer"), ("ce-source", "/r"), ("ce-type", "reply")];
    let mut scripts = vec![Script { headers: event, body: "hello", ..Script::status(200) }; 20];
    scripts.push(Script::status(202));
    subscriber.answer("/subscriber", &scripts);
    subscriber.answer("/reply", &[Script::status(503)]);
    let egress = format!(r#","replyUrl":"URL/reply","egressConfig":{{{LONG_PAUSE}}}"#);
    let bench = Bench::start(&subscriber, "UNORDERED", &egress, NO_ROOM_IN_FLIGHT);
    bench.send(0..60).await;
    subscriber.wait("/subscriber", 60).await;
    bench.wait_until(|pipeline| pipeline.live.parked() == 20).await;
}

#[tokio::test]
async fn blocked_records_hold_back_no_others_where_order_does_not_matter() {
    let subscriber = Subscriber::start().await;
    subscriber.answer("/subscriber", &refusing(20));
    let properties = format!("{NO_ROOM_IN_FLIGHT}millrace.undelivered=block\n");
    let bench = Bench::start(&subscriber, "UNORDERED", "", &properties);
    bench.send(0..60).await;
    subscriber.wait("/subscriber", 60).await;
    bench.wait_until(|pipeline| pipeline.live.parked() == 20).await;
}

#[tokio::test]
async fn a_hundred_thousand_waiting_records_cost_what_their_room_counts() {
    const RECORDS: usize = 100_000;
    let share = Room::new(usize::MAX).share();
    let mut window = Window::new(Order::Unordered, Ranges::default(), true);
    let before = resident_bytes();
    let mut counted = 0;
    for offset in 0..i64::try_from(RECORDS).unwrap() {
        let record = keyed_record(offset, None);
        let later = (offset % 2 == 0).then(refused);
        let size_bytes = record.size_bytes() + later.as_ref().map_or(0, Later::size_bytes);
        counted += size_bytes;
        let work = Work { record, attempts: Attempts::default(), place: None };
        window.receive(offset, None, work);
        let mut item = window.start().unwrap();
        let place = Some(share.enter(size_bytes));
        item.work =
            Work { record: item.work.record.shrunk(), attempts: Attempts { later, ..Attempts::default() }, place };
        window.park(item, Instant::now() + Duration::from_secs(offset.unsigned_abs() % 600));
    }
    let cost = resident_bytes().saturating_sub(before);
    let counted = counted + RECORDS * room::OVERHEAD_BYTES;
    eprintln!("{} bytes a waiting record, counted as {}", cost / RECORDS, counted / RECORDS);
    // Other tests run beside this one.
    assert!(cost < counted + 16 * 1024 * 1024, "{cost} bytes, counted as {counted}");
    assert_eq!(window.committable().unwrap().unfinished, RECORDS);
}

/// What waits with a record whose dead letter sink is away.
fn refused() -> Later {
    let (status, body) = (http::StatusCode::BAD_REQUEST, Bytes::copy_from_slice(&[b'x'; 200]));
    Later::DeadLetter(Arc::new(Failure::Status { status, headers: Box::default(), body }))
}

fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test]
async fn a_retry_that_is_due_gets_the_next_place_however_many_first_attempts_wait() {
    let subscriber = Subscriber::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Script { gate: Some(Arc::clone(&gate)), ..Script::status(200) };
    subscriber.answer("/subscriber", &[Script::status(500), held]);
    let egress = r#","egressConfig":{"retry":3,"backoffPolicy":"Linear","backoffDelay":"100"}"#;
    let properties = "maxPoolSize=100\nmillrace.retry.jitter=0\n";
    let bench = Bench::start(&subscriber, "UNORDERED", egress, properties);
    bench.send([0]).await;
    subscriber.wait("/subscriber", 1).await;
    // 50 are under way, as many as the adaptive limit begins with; the others wait for their turn.
    bench.send(1..200).await;
    subscriber.wait("/subscriber", 51).await;
    // The one whose pause is over; those that have not started wait outside.
    bench.wait_until(|pipeline| pipeline.subscriber.pressure.view().waiting == 1).await;
    gate.add_permits(2);
    let arrivals = subscriber.wait("/subscriber", 53).await;
    let ids: Vec<_> = arrivals[51..].iter().map(|arrival| arrival.id.as_str()).collect();
    // At most one first attempt stood before it.
    assert!(ids.contains(&"event-0"), "{ids:?}");
    gate.add_permits(1000);
    bench.wait_for_commit(200).await;
}

/// The peer's retry contract, for more events than the adaptive limit begins with.
#[tokio::test]
async fn many_events_to_a_subscriber_that_refuses_all_have_their_attempts_on_time() {
    const EVENTS: usize = 200;
    let subscriber = Subscriber::start().await;
    let took = Duration::from_millis(50);
    subscriber.answer("/subscriber", &[Script { takes: took, ..Script::status(503) }]);
    let egress = r#","egressConfig":{"retry":3,"backoffPolicy":"Linear","backoffDelay":"100","deadLetter":"URL/dead"}"#;
    let properties = "maxPoolSize=100\nmillrace.retry.jitter=0\n";
    let bench = Bench::start(&subscriber, "UNORDERED", egress, properties);
    let began = std::time::Instant::now();
    bench.send(0..200).await;
    subscriber.wait("/dead", EVENTS).await;
    // One at a time they would take 40 s; the pauses and four rounds for each attempt 1.4 s.
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let arrivals = subscriber.arrivals("/subscriber");
    for offset in 0..EVENTS {
        let id = format!("event-{offset}");
        let at: Vec<_> = arrivals.iter().filter(|arrival| arrival.id == id).map(|arrival| arrival.at).collect();
        assert_eq!(at.len(), 4, "{id}");
        for (number, pair) in (1..).zip(at.windows(2)) {
            let pause = pair[1] - pair[0];
            assert!(pause >= took + Duration::from_millis(100) * number, "{id}: {pause:?} before retry {number}");
        }
    }
}

/// The peer has at least `max.poll.records` in flight, 50.
#[tokio::test]
async fn a_first_burst_to_a_slow_subscriber_is_sent_at_least_as_fast_as_by_the_peer() {
    let subscriber = Subscriber::start().await;
    subscriber.answer("/subscriber", &[Script { takes: Duration::from_secs(1), ..Script::status(202) }]);
    let bench = Bench::start(&subscriber, "UNORDERED", "", "maxPoolSize=100\n");
    let began = std::time::Instant::now();
    bench.send(0..200).await;
    let sent_within = |limit: Duration| {
        subscriber.arrivals("/subscriber").iter().filter(|arrival| arrival.at - began < limit).count()
    };
    bench.wait_for_commit(200).await;
    assert!(sent_within(Duration::from_millis(900)) >= 50);
    assert!(began.elapsed() < Duration::from_millis(3900), "{:?}: the peer takes four rounds", began.elapsed());
}

#[tokio::test]
async fn a_partition_starts_no_more_than_its_subscriber_takes_at_a_time() {
    let subscriber = Subscriber::start().await;
    let gate = Arc::new(Semaphore::new(0));
    subscriber.answer("/subscriber", &[Script { gate: Some(Arc::clone(&gate)), ..Script::status(200) }]);
    let bench = Bench::start(&subscriber, "UNORDERED", "", "millrace.in.flight.max=10\nmaxPoolSize=4");
    bench.send(0..20).await;
    subscriber.wait("/subscriber", 4).await;
    let neighbour = bench.slots.join();
    assert!(neighbour.may_start(6, 0) && !neighbour.may_start(7, 0), "four of ten slots are taken");
    drop(neighbour);
    gate.add_permits(20);
    bench.wait_for_commit(20).await;
}

#[tokio::test]
async fn room_that_others_make_is_used_while_the_own_deliveries_hang() {
    let subscriber = Subscriber::start().await;
    let gate = Arc::new(Semaphore::new(0));
    subscriber.answer("/subscriber", &[Script { gate: Some(Arc::clone(&gate)), ..Script::status(200) }]);
    let bench = Bench::start(&subscriber, "UNORDERED", "", "maxPoolSize=4");
    let neighbours: Vec<_> = (0..3).map(|_| bench.slots.join()).collect();
    let pipeline = bench.pipeline.load();
    let taken: Vec<_> = (0..3).map(|_| pipeline.subscriber.sender.try_connection().unwrap()).collect();
    bench.send(0..2).await;
    subscriber.wait("/subscriber", 1).await;
    let held_back = || neighbours.iter().all(|other| !other.may_send(1, &pipeline.subscriber));
    assert!(held_back() && subscriber.arrivals("/subscriber").len() == 1);
    drop(taken);
    subscriber.wait("/subscriber", 2).await;
    gate.add_permits(2);
    bench.wait_for_commit(2).await;
}
