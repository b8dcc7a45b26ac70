//! Tokens from their first use to their end, with a stand-in API server; and deliveries that carry them.

use millrace_runtime::testing::ApiServer;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::dispatch::{Dispatched, dispatch};
use crate::outcome::Outcome;
use crate::testing::{Script, Subscriber, keyed_record, shared_in};

const TOKENS: &str = "/api/v1/namespaces/shop/serviceaccounts/";

struct Fixture {
    api: ApiServer,
    cluster: Cluster,
    tokens: Tokens,
    _folder: TempDir,
}

fn fixture() -> Fixture {
    let (api, folder) = (ApiServer::start(), TempDir::new().unwrap());
    let cluster = Cluster::of_kubeconfig(api.kubeconfig(folder.path()), Duration::from_secs(10));
    let tokens = Tokens::new(cluster.clone(), Drain::new(Duration::from_secs(5)));
    Fixture { api, cluster, tokens, _folder: folder }
}

impl Fixture {
    fn authorization(&self, audience: &str) -> Authorization {
        self.tokens.authorization("shop", Some("sender"), Some(audience))
    }

    fn fetches(&self) -> usize {
        self.api.count("POST", TOKENS)
    }
}

async fn text(authorization: &Authorization) -> String {
    authorization.header().await.unwrap().unwrap().to_str().unwrap().to_owned()
}

#[tokio::test]
async fn all_attempts_share_one_token_and_one_fetch() {
    let it = fixture();
    let (one, other) = (it.authorization("sink"), it.authorization("sink"));
    let many = (0..1000).map(|_| text(&one)).chain((0..10).map(|_| text(&other)));
    let many = futures_util::future::join_all(many).await;
    assert!(many.iter().all(|header| header == "Bearer sender-1"), "{many:?}");
    assert_eq!(it.fetches(), 1);
    assert_eq!(text(&it.authorization("another")).await, "Bearer sender-2", "an audience has a token of its own");
    assert!(!format!("{one:?} {:?}", one.header().await).contains("sender-1"), "no text shows a token");
}

#[tokio::test]
async fn a_target_without_audience_needs_no_token_and_one_with_needs_an_account() {
    let it = fixture();
    let open = it.tokens.authorization("shop", Some("sender"), None);
    assert!(open.header().await.unwrap().is_none());
    let error = it.tokens.authorization("shop", None, Some("sink")).header().await.unwrap_err();
    assert!(matches!(error, Failure::NoServiceAccount { .. }) && !error.retryable(), "{error}");
    assert_eq!(it.fetches(), 0);
}

#[tokio::test]
async fn a_failed_fetch_is_retryable_and_shared_by_all_who_wait() {
    let it = fixture();
    it.api.fail(TOKENS, 500);
    let authorization = it.authorization("sink");
    let many = futures_util::future::join_all((0..100).map(|_| authorization.header())).await;
    assert!(many.iter().all(|result| result.as_ref().is_err_and(Failure::retryable)));
    assert_eq!(it.fetches(), 1);
    it.api.heal();
    tokio::time::timeout(Duration::from_secs(10), async {
        while authorization.header().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_token_is_renewed_while_it_is_good_and_never_sent_after_its_end() {
    let it = fixture();
    it.api.token_life(Duration::from_secs(2));
    let authorization = it.authorization("sink");
    let begun = Instant::now();
    let mut seen = vec![text(&authorization).await];
    // In the last fifth of its life, but for the margin, the old one is still given while the new one is fetched.
    while seen.len() < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let header = text(&authorization).await;
        if seen.last() != Some(&header) {
            seen.push(header);
        }
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
    assert_eq!(seen, ["Bearer sender-1", "Bearer sender-2", "Bearer sender-3"]);
    assert!(begun.elapsed() >= Duration::from_secs(3), "renewed at four fifths of its life, not before");
    it.api.fail(TOKENS, 500);
    let ended = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match authorization.header().await {
                Ok(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(error) => return error,
            }
        }
    });
    assert!(matches!(ended.await.unwrap(), Failure::Token(_)));
}

#[tokio::test]
async fn a_token_that_has_ended_already_is_no_token() {
    let it = fixture();
    it.api.token_life(Duration::ZERO);
    let error = it.authorization("sink").header().await.unwrap_err();
    assert!(error.to_string().contains("has ended"), "{error}");
}

#[tokio::test]
async fn routes_that_went_leave_no_token_behind() {
    let it = fixture();
    for number in 0..100 {
        drop(it.authorization(&format!("sink-{number}")));
    }
    assert_eq!(it.tokens.0.bearers.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_not_with_every_event() {
    let it = fixture();
    let authorization = it.authorization("sink");
    let first = authorization.header().await.unwrap().unwrap();
    authorization.refused(&first);
    let second = authorization.header().await.unwrap().unwrap();
    assert_eq!(second, "Bearer sender-2");
    authorization.refused(&first);
    authorization.refused(&second);
    assert_eq!(authorization.header().await.unwrap().unwrap(), "Bearer sender-2");
}

/// Roles with audiences of their own.
const EGRESS: &str = r#","destinationAudience":"to-subscriber","replyUrl":"URL/reply","replyUrlAudience":"to-reply",
    "oidcServiceAccountName":"sender",
    "egressConfig":{"deadLetter":"URL/dead","deadLetterAudience":"to-dead"}"#;

struct Bench {
    shared: crate::partition::Shared,
    subscriber: Subscriber,
}

impl Bench {
    async fn new(it: &Fixture, egress: &str) -> Self {
        let subscriber = Subscriber::start().await;
        let shared = shared_in(&it.cluster, &subscriber.url, egress, "millrace.undelivered=drop\n");
        Self { shared, subscriber }
    }

    async fn dispatch(&self, offset: i64) -> Dispatched {
        let slots = self.shared.slots.clone();
        let mut slot = slots.take(1, CancellationToken::new()).await.unwrap();
        dispatch(&self.shared.pipeline.load(), &keyed_record(offset, None), &mut slot).await
    }

    fn tokens(&self, path: &str) -> Vec<String> {
        let tokens = |arrival: &crate::testing::Arrival| {
            arrival.headers.get("authorization").map_or("", |value| value.to_str().unwrap()).to_owned()
        };
        self.subscriber.arrivals(path).iter().map(tokens).collect()
    }
}

#[tokio::test]
async fn subscriber_reply_and_dead_letter_each_get_a_token_for_their_audience() {
    let it = fixture();
    let bench = Bench::new(&it, EGRESS).await;
    let event = ["ce-specversion", "ce-id", "ce-source", "ce-type"].into_iter().zip(["1.0", "r", "/r", "reply"]);
    bench.subscriber.answer("/subscriber", &[Script { headers: event.collect(), ..Script::status(200) }]);
    bench.subscriber.answer("/reply", &[Script::status(400)]);
    assert_eq!(bench.dispatch(1).await, Dispatched::Finished(Outcome::DeadLettered));
    let sent = ["/subscriber", "/reply", "/dead"].map(|path| bench.tokens(path));
    assert_eq!(sent, [["Bearer sender-1"], ["Bearer sender-2"], ["Bearer sender-3"]].map(|one| one.map(str::to_owned)));
    let audiences: Vec<_> = it.api.seen().iter().map(|seen| seen.body["spec"]["audiences"][0].to_string()).collect();
    assert_eq!(audiences, [r#""to-subscriber""#, r#""to-reply""#, r#""to-dead""#]);
}

#[tokio::test]
async fn without_an_audience_no_token_is_sent() {
    let it = fixture();
    let bench = Bench::new(&it, r#","discardReply":{},"oidcServiceAccountName":"sender""#).await;
    assert_eq!(bench.dispatch(1).await, Dispatched::Finished(Outcome::Delivered));
    assert_eq!((bench.tokens("/subscriber"), it.fetches()), (vec![String::new()], 0));
}

#[tokio::test]
async fn without_a_service_account_nothing_is_sent_and_nothing_is_retried() {
    let it = fixture();
    let egress = r#","discardReply":{},"destinationAudience":"sink",
        "egressConfig":{"deadLetter":"URL/dead","retry":5,"backoffDelay":"60000"}"#;
    let bench = Bench::new(&it, egress).await;
    assert_eq!(bench.dispatch(1).await, Dispatched::Finished(Outcome::DeadLettered));
    assert!(bench.tokens("/subscriber").is_empty());
    let letter = bench.subscriber.arrivals("/dead").remove(0);
    assert!(letter.headers.contains_key("ce-knativeerrordest") && !letter.headers.contains_key("ce-knativeerrorcode"));
}

#[tokio::test]
async fn a_token_that_cannot_be_had_is_retried_like_a_failed_request() {
    let it = fixture();
    it.api.fail(TOKENS, 503);
    let egress = r#","discardReply":{},"destinationAudience":"sink","oidcServiceAccountName":"sender",
        "egressConfig":{"retry":100,"backoffPolicy":"Linear","backoffDelay":"1"}"#;
    let bench = Bench::new(&it, egress).await;
    let (dispatched, ()) = tokio::join!(bench.dispatch(1), async {
        while it.fetches() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        it.api.heal();
    });
    assert_eq!(dispatched, Dispatched::Finished(Outcome::Delivered));
    assert_eq!(bench.tokens("/subscriber"), ["Bearer sender-1"]);
}

#[tokio::test]
async fn a_401_costs_the_event_its_delivery_and_the_next_one_has_another_token() {
    let it = fixture();
    let egress = r#","discardReply":{},"destinationAudience":"sink","oidcServiceAccountName":"sender",
        "egressConfig":{"retry":3,"deadLetter":"URL/dead"}"#;
    let bench = Bench::new(&it, egress).await;
    bench.subscriber.answer("/subscriber", &[Script::status(401), Script::status(202)]);
    assert_eq!(bench.dispatch(1).await, Dispatched::Finished(Outcome::DeadLettered));
    assert_eq!(bench.dispatch(2).await, Dispatched::Finished(Outcome::Delivered));
    assert_eq!(bench.tokens("/subscriber"), ["Bearer sender-1", "Bearer sender-2"]);
}

#[tokio::test]
async fn a_reply_makes_its_event_type_known() {
    let it = fixture();
    let bench = Bench::new(&it, r#","replyUrl":"URL/reply""#).await;
    let event = ["ce-specversion", "ce-id", "ce-source", "ce-type"].into_iter().zip(["1.0", "r", "/r", "reply"]);
    bench.subscriber.answer("/subscriber", &[Script { headers: event.collect(), ..Script::status(200) }]);
    assert_eq!(bench.dispatch(1).await, Dispatched::Finished(Outcome::Delivered));
    let created = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match it.api.seen().pop() {
                Some(seen) => return seen,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    });
    let created = created.await.unwrap();
    assert_eq!(created.path, "/apis/eventing.knative.dev/v1beta2/namespaces/shop/eventtypes");
    let spec = &created.body["spec"];
    assert_eq!((&spec["type"], &spec["reference"]["name"]), (&"reply".into(), &"billing".into()));
}
