//! librdkafka consumer to pooled HTTP client: every record is posted once, with its headers unread.
//!
//! The consumer has its own thread, as in Millrace; a bounded channel lies between.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

const QUEUE: usize = 1000;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The broker's host:port.
    #[arg(long)]
    bootstrap: String,
    /// What is read, from its beginning.
    #[arg(long)]
    topic: String,
    /// The consumer group.
    #[arg(long)]
    group: String,
    /// Where all records go.
    #[arg(long)]
    url: Uri,
    /// Most requests at a time; the shipped pool size.
    #[arg(long, default_value_t = 100)]
    in_flight: usize,
}

type HttpClient = Client<HttpConnector, Full<Bytes>>;

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: HttpClient = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(args.in_flight)
        .build(connector);
    let (queue, mut requests) = mpsc::channel(QUEUE);
    let consumer: BaseConsumer = settings(&args.bootstrap, &args.group).create()?;
    consumer.subscribe(&[&args.topic])?;
    let url = args.url.clone();
    std::thread::spawn(move || consume(&consumer, &url, &queue));
    println!("{{\"message\":\"Dispatcher started\"}}");
    let (permits, mut sends) = (Arc::new(Semaphore::new(args.in_flight)), JoinSet::new());
    while let Some(request) = requests.recv().await {
        let permit = Arc::clone(&permits).acquire_owned().await?;
        let client = client.clone();
        sends.spawn(async move {
            // A failed one is missing at the subscriber, which counts.
            if let Ok(response) = client.request(request).await {
                response.into_body().collect().await.ok();
            }
            drop(permit);
        });
        while sends.try_join_next().is_some() {}
    }
    Ok(())
}

fn consume(consumer: &BaseConsumer, url: &Uri, queue: &mpsc::Sender<Request<Full<Bytes>>>) {
    loop {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        if queue.blocking_send(request(url, &message)).is_err() {
            return;
        }
    }
}

fn request(url: &Uri, message: &BorrowedMessage<'_>) -> Request<Full<Bytes>> {
    let mut request = Request::post(url.clone());
    for header in message.headers().into_iter().flat_map(Headers::iter) {
        request = request.header(header.key, header.value.unwrap_or_default());
    }
    let body = Bytes::copy_from_slice(message.payload().unwrap_or_default());
    request.body(Full::new(body)).expect("the runner writes records whose headers are HTTP headers")
}

fn settings(bootstrap: &str, group: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("group.id", group).set("auto.offset.reset", "earliest");
    config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
    config.set("enable.metrics.push", "false").set("fetch.queue.backoff.ms", "20");
    config.set("queued.max.messages.kbytes", "4096");
    config
}
