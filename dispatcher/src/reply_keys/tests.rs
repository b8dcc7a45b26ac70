//! Filters that verify reply ids, with a stand-in API server: first use, trouble, rotation, bounds.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use millrace_runtime::testing::{ApiServer, secret_path};
use tempfile::TempDir;

use super::*;
use crate::dispatch::{Dispatched, dispatch};
use crate::outcome::Outcome;
use crate::partition::Shared;
use crate::record::Record;
use crate::testing::{Subscriber, shared_in};

/// What AES-256-GCM makes of `abc` with [`KEY`] and a nonce of twelve ones, behind that nonce. Made with another
/// implementation (pyca/cryptography).
const SEALED: &str = "0101010101010101010101011783eaec6dea3b04f316b3f5c0d4445fbd4377";
const KEY: [u8; 32] = [7; 32];
const FILTER: &str = r#","dialectedFilter":[{"cesql":{"expression":
    "KN_VERIFY_CORRELATION_ID(replyid, 'rr', 'ns', 'keys', 1, 3)"}}]"#;

struct Fixture {
    api: ApiServer,
    shared: Shared,
    subscriber: Subscriber,
    _folder: TempDir,
}

/// Secrets are those of the namespace `system`, see `testing`.
async fn fixture() -> Fixture {
    let (api, folder) = (ApiServer::start(), TempDir::new().unwrap());
    let cluster = Cluster::of_kubeconfig(api.kubeconfig(folder.path()), Duration::from_secs(10));
    let subscriber = Subscriber::start().await;
    let shared = shared_in(&cluster, &subscriber.url, FILTER, "");
    Fixture { api, shared, subscriber, _folder: folder }
}

fn reply(offset: i64) -> Record {
    let mut builder = Record::builder("orders".into(), 0, offset, 256);
    let bytes: Vec<u8> = (0..SEALED.len()).step_by(2).map(hex).collect();
    let id = format!("abc:{}:4", BASE64_STANDARD.encode(bytes));
    let headers = [("ce_specversion", "1.0"), ("ce_id", "1"), ("ce_source", "/s"), ("ce_type", "t")];
    for (name, value) in headers.into_iter().chain([("ce_replyid", id.as_str())]) {
        builder.header(name, Some(value.as_bytes()));
    }
    builder.build()
}

fn hex(at: usize) -> u8 {
    u8::from_str_radix(SEALED.get(at..at + 2).unwrap(), 16).unwrap()
}

impl Fixture {
    fn with_keys(self, key: [u8; 32]) -> Self {
        self.api.secret("system", "keys", [("ns.rr.key", key)]);
        self
    }

    async fn dispatch(&self, stopping: &CancellationToken) -> Dispatched {
        let mut slot = self.shared.slots.clone().take(1, stopping.clone()).await.unwrap();
        dispatch(&self.shared.pipeline.load(), &reply(1), &mut slot).await
    }

    #[track_caller]
    fn check(&self, dispatched: Dispatched, outcome: Outcome, reads: usize) {
        assert_eq!(dispatched, Dispatched::Finished(outcome));
        assert_eq!(self.api.count("GET", &secret_path("system", "keys")), reads, "Secret read");
    }

    async fn seen_reading(&self) {
        let seen = async {
            while self.api.count("GET", &secret_path("system", "keys")) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), seen).await.unwrap();
    }
}

#[tokio::test]
async fn the_first_reply_waits_for_its_secret_and_all_others_use_that_reading() {
    let it = fixture().await.with_keys(KEY);
    let stopping = CancellationToken::new();
    let many = futures_util::future::join_all((0..100).map(|_| it.dispatch(&stopping))).await;
    assert!(many.iter().all(|one| *one == Dispatched::Finished(Outcome::Delivered)), "{many:?}");
    it.check(it.dispatch(&stopping).await, Outcome::Delivered, 1);
    assert_eq!(it.subscriber.arrivals("/subscriber").len(), 101);
}

#[tokio::test]
async fn a_reply_that_was_sealed_with_another_key_or_without_any_secret_is_filtered_out() {
    let it = fixture().await.with_keys([8; 32]);
    it.check(it.dispatch(&CancellationToken::new()).await, Outcome::Filtered, 1);
    let it = fixture().await;
    it.check(it.dispatch(&CancellationToken::new()).await, Outcome::Filtered, 1);
}

#[tokio::test]
async fn while_the_api_server_is_away_replies_wait_and_none_is_filtered_out() {
    let it = fixture().await.with_keys(KEY);
    it.api.fail("/api/v1/namespaces/system", 500);
    let stopping = CancellationToken::new();
    let waiting = it.dispatch(&stopping);
    tokio::pin!(waiting);
    tokio::select! {
        ended = &mut waiting => panic!("{ended:?}"),
        () = it.seen_reading() => {}
    }
    it.api.heal();
    let dispatched = tokio::time::timeout(RETRY_PAUSE * 3, waiting).await.unwrap();
    it.check(dispatched, Outcome::Delivered, 2);
}

#[tokio::test]
async fn a_partition_that_stops_does_not_wait_for_a_secret() {
    let it = fixture().await;
    it.api.hang("/api/v1/namespaces/system");
    let stopping = CancellationToken::new();
    let stop = async {
        it.seen_reading().await;
        stopping.cancel();
    };
    let (dispatched, ()) = tokio::join!(it.dispatch(&stopping), stop);
    assert_eq!(dispatched, Dispatched::Abandoned);
}

/// A store whose readings can be made older than they are.
fn keys(it: &Fixture) -> ReplyKeys {
    let cluster = Cluster::of_kubeconfig(it.api.kubeconfig(it._folder.path()), Duration::from_secs(10));
    ReplyKeys::new(cluster, "system", Drain::new(Duration::from_secs(5)))
}

async fn read(keys: &ReplyKeys, secret: &str) -> Arc<SecretData> {
    let mut read = keys.0.read.subscribe();
    loop {
        if let Some(data) = keys.data(secret) {
            return data;
        }
        tokio::time::timeout(Duration::from_secs(10), read.changed()).await.unwrap().unwrap();
    }
}

fn age(keys: &ReplyKeys, secret: &str, by: Duration) {
    let known = Arc::clone(&keys.0.known.load()[secret]);
    let data = Arc::clone(&(*known.reading.load()).as_ref().unwrap().data);
    known.reading.publish(Some(Reading { data, at: Instant::now().checked_sub(by).unwrap() }));
}

#[tokio::test]
async fn a_reading_is_renewed_in_the_background_and_not_used_when_it_is_old() {
    let it = fixture().await.with_keys(KEY);
    let keys = keys(&it);
    read(&keys, "keys").await;
    it.api.secret("system", "keys", [("ns.rr.next", [9; 32])]);
    age(&keys, "keys", FRESH);
    let mut renewed = keys.0.read.subscribe();
    assert!(keys.data("keys").unwrap().contains_key("ns.rr.key"), "used once more");
    renewed.changed().await.unwrap();
    assert!(keys.data("keys").unwrap().contains_key("ns.rr.next"));
    age(&keys, "keys", STALE);
    assert!(keys.data("keys").is_none());
    read(&keys, "keys").await;
    it.api.fail("/api/v1/namespaces/system", 500);
    age(&keys, "keys", STALE);
    assert!(read(&keys, "keys").await.contains_key("ns.rr.next"), "what is known counts while nothing else can be had");
}

#[tokio::test]
async fn names_that_events_make_up_are_bounded() {
    let it = fixture().await;
    let keys = keys(&it);
    for number in 0..SECRETS * 2 {
        assert!(read(&keys, &format!("made-up-{number}")).await.is_empty());
    }
    assert!(read(&keys, "Not a name!/..").await.is_empty());
    assert_eq!(keys.0.known.load().len(), SECRETS);
}
