//! hyper server to `ThreadedProducer`: the body becomes the value, `ce-` headers become record headers unread.
//!
//! The record's headers are part of the least work, since every event has them; validation is not.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The broker's host:port.
    #[arg(long)]
    bootstrap: String,
    /// Where all events go.
    #[arg(long)]
    topic: String,
}

struct Acknowledge;

impl ClientContext for Acknowledge {}

impl ProducerContext for Acknowledge {
    type DeliveryOpaque = Box<oneshot::Sender<bool>>;

    fn delivery(&self, result: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        // A request whose client has gone waits no more.
        waiting.send(result.is_ok()).ok();
    }
}

type Producer = ThreadedProducer<Acknowledge>;

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let producer: Arc<Producer> = Arc::new(settings(&args.bootstrap).create_with_context(Acknowledge)?);
    let topic: Arc<str> = args.topic.into();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{{\"message\":\"Receiver started\",\"port\":{}}}", listener.local_addr()?.port());
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (producer, topic) = (Arc::clone(&producer), Arc::clone(&topic));
        let service = service_fn(move |request| handle(Arc::clone(&producer), Arc::clone(&topic), request));
        connections.spawn(async move {
            // A connection ends as its client likes.
            Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await.ok();
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn handle(
    producer: Arc<Producer>,
    topic: Arc<str>,
    request: Request<Incoming>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let status = match body.collect().await {
        Ok(body) => produce(&producer, &topic, &head.headers, &body.to_bytes()).await,
        Err(_) => 400,
    };
    let mut response = Response::new(Empty::new());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    Ok(response)
}

async fn produce(producer: &Producer, topic: &str, headers: &HeaderMap, body: &[u8]) -> u16 {
    let (acknowledge, acknowledged) = oneshot::channel();
    let record = BaseRecord::<[u8], [u8], _>::with_opaque_to(topic, Box::new(acknowledge));
    match producer.send(record.payload(body).headers(record_headers(headers))) {
        Ok(()) if acknowledged.await == Ok(true) => 202,
        Ok(()) | Err(_) => 503,
    }
}

fn record_headers(headers: &HeaderMap) -> OwnedHeaders {
    let mut record = OwnedHeaders::new_with_capacity(headers.len());
    for (name, value) in headers {
        let key = match name.as_str() {
            "content-type" => "content-type",
            name if name.starts_with("ce-") => name,
            _ => continue,
        };
        record = record.insert(Header { key, value: Some(value.as_bytes()) });
    }
    record
}

fn settings(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    // The shipped producer file of Knative's channel, as Millrace translates it.
    config.set("bootstrap.servers", bootstrap).set("acks", "all").set("enable.idempotence", "true");
    config.set("linger.ms", "0").set("sticky.partitioning.linger.ms", "50").set("batch.size", "16384");
    config.set("max.in.flight.requests.per.connection", "5").set("partitioner", "murmur2_random");
    config.set("queue.buffering.max.kbytes", "32768").set("message.max.bytes", "1048576");
    config.set("enable.metrics.push", "false");
    config
}
