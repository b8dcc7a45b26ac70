//! The object that is created, how often, and what trouble costs.

use std::collections::BTreeSet;

use tempfile::TempDir;

use super::*;
use crate::testing::ApiServer;

const PATH: &str = "/apis/eventing.knative.dev/v1beta2/namespaces/shop/eventtypes";

struct Fixture {
    api: ApiServer,
    types: EventTypes,
    metrics: Metrics,
    drain: Drain,
    reference: Reference,
    _folder: TempDir,
}

fn fixture() -> Fixture {
    let (api, folder, metrics) = (ApiServer::start(), TempDir::new().unwrap(), Metrics::new());
    let cluster = Cluster::of_kubeconfig(api.kubeconfig(folder.path()), Duration::from_secs(10));
    let drain = Drain::new(Duration::from_secs(5));
    let types = EventTypes::new(cluster, drain.clone(), &metrics).unwrap();
    let reference = Reference {
        uuid: "u-1".to_owned(),
        namespace: "shop".to_owned(),
        name: "Orders".to_owned(),
        kind: "KafkaChannel".to_owned(),
        group_version: "messaging.knative.dev/v1beta1".to_owned(),
        version: String::new(),
    };
    Fixture { api, types, metrics, drain, reference, _folder: folder }
}

impl Fixture {
    fn see(&self, ty: &str, schema: Option<&str>) {
        self.types.seen(&Sighting { reference: &self.reference, ty, source: "/shop", schema });
    }

    fn posts(&self) -> usize {
        self.api.count("POST", PATH)
    }

    fn counted(&self, outcome: &str, number: usize) -> bool {
        let text = self.metrics.text();
        text.contains(&format!("millrace_event_types_total{{outcome=\"{outcome}\"}} {number}\n"))
    }

    async fn until(&self, what: &str, mut reached: impl FnMut(&Self) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(20), async {
            while !reached(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(waited.await.is_ok(), "{what}: {} requests, {}", self.posts(), self.metrics.text());
    }
}

#[tokio::test]
async fn the_object_is_the_one_of_the_spec() {
    let it = fixture();
    it.see("order.created", Some("http://schema"));
    it.until("created", |it| it.counted("created", 1)).await;
    // Type, source, namespace and name, one after the other.
    let name = format!("et-orders-{}", hex_of("order.created/shopshopOrders"));
    let object = it.api.object(&format!("{PATH}/{name}")).unwrap();
    let expected = json!({
        "apiVersion": "eventing.knative.dev/v1beta2",
        "kind": "EventType",
        "metadata": {
            "name": name, "namespace": "shop",
            "ownerReferences": [{
                "apiVersion": "messaging.knative.dev/v1beta1", "kind": "KafkaChannel", "name": "Orders", "uid": "u-1",
            }],
        },
        "spec": {
            "type": "order.created", "source": "/shop", "schema": "http://schema",
            "reference": {
                "apiVersion": "messaging.knative.dev/v1beta1", "kind": "KafkaChannel", "name": "Orders",
                "namespace": "shop",
            },
            "description": "Event Type auto-created by controller",
        },
    });
    assert_eq!(object, expected);
    assert!(object_of(&it, None)["spec"].get("schema").is_none());
}

fn object_of(it: &Fixture, schema: Option<&str>) -> Value {
    object(&Sighting { reference: &it.reference, ty: "t", source: "/s", schema })
}

fn hex_of(text: &str) -> String {
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn names_are_lower_case_and_cut() {
    let mut it = fixture();
    it.reference.name = "Ä".repeat(300);
    let name = object_of(&it, None)["metadata"]["name"].as_str().unwrap().to_owned();
    assert_eq!(name.chars().count(), 253);
    assert!(name.starts_with("et-ää"));
    // The well-known digest of "abc" shows that this is MD5.
    assert_eq!(hex_of("abc"), "900150983cd24fb0d6963f7d28e17f72");
}

#[tokio::test]
async fn a_type_is_created_once_however_many_events_it_has() {
    let it = fixture();
    for _ in 0..10_000 {
        it.see("a", None);
        it.see("b", None);
    }
    it.until("created", |it| it.counted("created", 2)).await;
    assert_eq!(it.posts(), 2);
    assert!(it.counted("dropped", 0));
}

#[tokio::test]
async fn one_that_exists_is_as_good() {
    let (it, other) = (fixture(), fixture());
    it.see("a", None);
    it.until("created", |it| it.counted("created", 1)).await;
    let object = object(&Sighting { reference: &it.reference, ty: "a", source: "/shop", schema: None });
    other.api.put(&format!("{PATH}/{}", object["metadata"]["name"].as_str().unwrap()), object.clone());
    other.see("a", None);
    other.until("found", |it| it.counted("existed", 1)).await;
    assert!(other.counted("failed", 0));
}

#[tokio::test]
async fn a_failure_is_counted_and_the_next_event_tries_again() {
    let it = fixture();
    it.api.fail(PATH, 403);
    it.see("a", None);
    it.until("failed", |it| it.counted("failed", 1)).await;
    it.api.heal();
    it.until("created", |it| {
        it.see("a", None);
        it.counted("created", 1)
    })
    .await;
}

#[tokio::test]
async fn what_does_not_fit_the_queue_is_dropped_and_counted_and_an_end_is_not_held_up() {
    let it = fixture();
    it.api.hang(PATH);
    for number in 0..2000 {
        it.see(&format!("type-{number}"), None);
    }
    let dropped = it.types.0.counters.dropped.as_ref().unwrap().get();
    assert!((1700..=1744).contains(&dropped), "{dropped}");
    let begun = Instant::now();
    assert!(it.drain.finish().await);
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[test]
fn the_table_knows_what_it_was_told_and_never_grows() {
    let places: Vec<_> = std::iter::repeat_with(AtomicU64::default).take(ROWS * WAYS).collect();
    let row = |n: u64| 7 + n * ROWS as u64;
    assert!(place_for(&places, row(0)).is_some());
    assert!(place_for(&places, row(0)).is_none(), "known by now");
    for n in 1..100 {
        assert!(place_for(&places, row(n)).is_some());
    }
    let used: BTreeSet<_> =
        places.iter().map(|place| place.load(Ordering::Relaxed)).filter(|mark| *mark != 0).collect();
    assert_eq!(used.len(), WAYS);
}

#[test]
fn nothing_is_made_before_a_type_is_seen() {
    assert!(fixture().types.0.at_work.get().is_none());
}
