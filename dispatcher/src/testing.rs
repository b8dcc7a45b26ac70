//! A scripted subscriber and records, for this crate's unit tests only.

pub(crate) mod wire;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use millrace_config::contract::{DeliveryOrder, parse};
use millrace_config::env::{AwsEnv, DispatcherEnv, MetricsEnv};
use millrace_config::properties::{grammar, http_client, kafka};
use millrace_config::snapshot::Snapshot;
use millrace_runtime::cluster::Cluster;
use millrace_runtime::drain::Drain;
use millrace_runtime::event_types::EventTypes;
use millrace_runtime::kafka_tokens::KafkaTokens;
use millrace_runtime::metrics::Metrics;
use millrace_runtime::secrets::Secrets;
use millrace_runtime::telemetry::Tracer;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::egress::Common;
use crate::metrics::DispatcherMetrics;
use crate::partition::Shared;
use crate::pipeline::{Links, Pipeline, PipelineSettings};
use crate::record::Record;
use crate::reply::producers::Producers;
use crate::reply::topic::RecordProducer;
use crate::reply::topic::tokens::TokenContext;
use crate::reply_keys::ReplyKeys;
use crate::sender::token::Tokens;
use crate::slot::Slots;
use crate::window::Order;

/// What a subscriber received.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) path: String,
    pub(crate) id: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) at: Instant,
}

/// One scripted answer.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) body: &'static str,
    /// Waits until this semaphore has a permit before answering.
    pub(crate) gate: Option<Arc<tokio::sync::Semaphore>>,
    /// Waits so long before answering.
    pub(crate) takes: Duration,
}

impl Script {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: "", gate: None, takes: Duration::ZERO }
    }
}

/// Listens on a port of its own; ends with its value.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) url: String,
    state: Arc<Scripts>,
    server: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Scripts {
    arrivals: Mutex<Vec<Arrival>>,
    /// Answers by path, used up from the front; the last one stays.
    answers: Mutex<HashMap<String, Vec<Script>>>,
    changed: tokio::sync::Notify,
}

impl Subscriber {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Scripts::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(receive).with_state(Arc::clone(&state));
        #[expect(clippy::disallowed_methods, reason = "ended by Drop")]
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, state, server }
    }

    pub(crate) fn answer(&self, path: &str, scripts: &[Script]) {
        self.state.answers.lock().unwrap().insert(path.to_owned(), scripts.to_vec());
    }

    pub(crate) fn arrivals(&self, path: &str) -> Vec<Arrival> {
        self.state.arrivals.lock().unwrap().iter().filter(|arrival| arrival.path == path).cloned().collect()
    }

    /// Waits until `path` has received `count` requests.
    pub(crate) async fn wait(&self, path: &str, count: usize) -> Vec<Arrival> {
        let waited = tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                let changed = self.state.changed.notified();
                let arrivals = self.arrivals(path);
                if arrivals.len() >= count {
                    return arrivals;
                }
                changed.await;
            }
        });
        match waited.await {
            Ok(arrivals) => arrivals,
            Err(_elapsed) => panic!("{path} received {} of {count} requests", self.arrivals(path).len()),
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(State(state): State<Arc<Scripts>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let id = headers.get("ce-id").map(|id| id.to_str().unwrap().to_owned()).unwrap_or_default();
    let path = uri.path().to_owned();
    let script = {
        let mut answers = state.answers.lock().unwrap();
        let scripts = answers.entry(path.clone()).or_insert_with(|| vec![Script::status(202)]);
        if scripts.len() > 1 { scripts.remove(0) } else { scripts[0].clone() }
    };
    state.arrivals.lock().unwrap().push(Arrival { path, id, headers, body, at: Instant::now() });
    state.changed.notify_waiters();
    if let Some(gate) = script.gate {
        gate.acquire().await.unwrap().forget();
    }
    tokio::time::sleep(script.takes).await;
    let mut response = (StatusCode::from_u16(script.status).unwrap(), script.body).into_response();
    response.headers_mut().remove("content-type");
    for (name, value) in script.headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

/// A binary-mode record with id `event-<offset>`.
pub(crate) fn keyed_record(offset: i64, key: Option<&str>) -> Record {
    let mut builder = Record::builder("orders".into(), 0, offset, 256);
    let id = format!("event-{offset}");
    for (name, value) in [("ce_specversion", "1.0"), ("ce_id", &id), ("ce_source", "/shop"), ("ce_type", "order")] {
        builder.header(name, Some(value.as_bytes()));
    }
    builder.header("content-type", Some(b"text/plain"));
    builder.key(key.map(str::as_bytes));
    builder.value(Some(b"payload"));
    builder.build()
}

/// As when no variable is set.
pub(crate) fn metrics_env() -> MetricsEnv {
    DispatcherEnv::read_anyway(&BTreeMap::new()).0.metrics
}

/// What partitions of an egress to `subscriber` share. `egress` is JSON inside an egress that otherwise has uid, group,
/// reference and destination; `URL` in it is the subscriber's.
pub(crate) fn shared(subscriber: &Subscriber, egress: &str, properties: &str) -> Shared {
    shared_to(&subscriber.url, egress, properties)
}

/// As [`shared`], for whatever listens at `url`.
pub(crate) fn shared_to(url: &str, egress: &str, properties: &str) -> Shared {
    shared_in(&no_cluster(), url, egress, properties)
}

/// As [`shared`] without properties, and with somewhere for spans to go.
pub(crate) fn shared_with(tracer: Option<Tracer>, subscriber: &Subscriber, egress: &str) -> Shared {
    let mut common = common(&no_cluster());
    common.metrics.tracer = tracer;
    shared_by(common, no_brokers(), &subscriber.url, egress, "")
}

/// As [`shared`], with brokers for what is stored.
pub(crate) fn shared_storing(
    producer: RecordProducer,
    subscriber: &Subscriber,
    egress: &str,
    properties: &str,
) -> Shared {
    shared_by(common(&no_cluster()), producer, &subscriber.url, egress, properties)
}

fn no_brokers() -> RecordProducer {
    RecordProducer::new(&BTreeMap::new(), TokenContext::default(), Duration::ZERO)
}

/// A cluster that is not there.
pub(crate) fn no_cluster() -> Cluster {
    Cluster::of_kubeconfig(Path::new("/nowhere/kubeconfig"), Duration::from_secs(1))
}

/// What egresses share in a process whose cluster is this one.
pub(crate) fn common(cluster: &Cluster) -> Common {
    let (metrics, drain) = (Metrics::new(), Drain::new(Duration::from_secs(10)));
    let kafka_tokens = KafkaTokens::new(AwsEnv::default(), drain.clone());
    Common {
        secrets: Secrets::new(cluster.clone()),
        producers: Producers::new(kafka_tokens.clone()),
        kafka_tokens,
        tokens: Tokens::new(cluster.clone(), drain.clone()),
        reply_keys: ReplyKeys::new(cluster.clone(), "system", drain.clone()),
        event_types: EventTypes::new(cluster.clone(), drain, &metrics).unwrap(),
        metrics: DispatcherMetrics::register(&metrics, &metrics_env()).unwrap(),
    }
}

/// As [`shared_to`], with a cluster that has tokens and takes `EventType` objects.
pub(crate) fn shared_in(cluster: &Cluster, url: &str, egress: &str, properties: &str) -> Shared {
    shared_by(common(cluster), no_brokers(), url, egress, properties)
}

fn shared_by(common: Common, producer: RecordProducer, url: &str, egress: &str, properties: &str) -> Shared {
    let egress = egress.replace("URL", url);
    let contract = format!(
        r#"{{"generation":"1","resources":[{{"uid":"r","topics":["orders"],"bootstrapServers":"127.0.0.1:1",
        "reference":{{"namespace":"shop","name":"orders","kind":"KafkaChannel"}},
        "featureFlags":{{"enableEventTypeAutocreate":true}},
        "cloudEventOverrides":{{"extensions":{{"team":"blue"}}}},
        "egresses":[{{"uid":"e","consumerGroup":"billing","destination":"{url}/subscriber",
        "reference":{{"namespace":"shop","name":"billing","kind":"Subscription"}}{egress}}}]}}]}}"#
    );
    let contract = parse(contract.as_bytes()).unwrap();
    assert!(contract.refused.is_empty(), "{:?}", contract.refused);
    let resource = &contract.resources[0];
    let egress = &resource.egresses[0];
    let properties = grammar::parse(properties.as_bytes()).unwrap();
    let settings = PipelineSettings {
        consumer: kafka::consumer(&properties).unwrap(),
        client: http_client::http_client(&properties).unwrap(),
    };
    let Common { tokens, reply_keys, event_types, metrics, .. } = common;
    let producer = Arc::new(producer);
    let links = Links { producer, tokens, reply_keys, event_types, metrics: metrics.egress(egress) };
    Shared {
        pipeline: Snapshot::new(Pipeline::build(resource, egress, &[], &settings, links).unwrap()),
        slots: Slots::new(
            settings.consumer.in_flight_max,
            settings.consumer.in_flight_bytes,
            settings.consumer.waiting_bytes,
        ),
        order: match egress.order {
            DeliveryOrder::Ordered if settings.consumer.ordered_by_key => Order::Key,
            DeliveryOrder::Ordered => Order::Partition,
            DeliveryOrder::Unordered => Order::Unordered,
        },
        commit_metadata: settings.consumer.commit_metadata,
    }
}

/// A small generator (splitmix64), so that a seed repeats a run exactly.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
