//! A closed-loop HTTP load on kept connections: prepared bytes out, the status line checked, nothing else.
//!
//! Cheap on purpose, since it shares a processor with the broker.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::raw_http::request;

/// Bytes of an event's data.
pub const BODY_BYTES: usize = 1024;
const ID_DIGITS: usize = 12;

/// What a load did.
#[derive(Debug, Clone, Default)]
pub struct Done {
    /// Events that were answered with 202.
    pub accepted: usize,
    /// From the first to the last request.
    pub elapsed: Duration,
    /// Sorted.
    pub latencies: Vec<Duration>,
}

impl Done {
    /// Events in a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
    pub fn rate(&self) -> f64 {
        self.accepted as f64 / self.elapsed.as_secs_f64()
    }

    /// A latency by its share in a thousand, in microseconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "latencies of a benchmark are far below 2^52")]
    pub fn per_mille(&self, share: usize) -> f64 {
        let index = (self.latencies.len() * share / 1000).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(index).map_or(0.0, |latency| latency.as_micros() as f64)
    }
}

/// What a request looks like.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// One JSON document instead of headers and data.
    pub structured: bool,
    /// Bytes of the event's data.
    pub data_bytes: usize,
}

impl Shape {
    /// Binary mode with [`BODY_BYTES`] of data.
    pub const USUAL: Self = Self { structured: false, data_bytes: BODY_BYTES };
}

/// Headers of every event, id apart.
#[must_use]
pub fn attributes() -> Vec<(&'static str, &'static str)> {
    vec![
        ("specversion", "1.0"),
        ("source", "/bench/generator"),
        ("type", "dev.millrace.bench.order.created"),
        ("subject", "orders/0123456789"),
        ("time", "2026-03-04T05:06:07.891Z"),
        ("dataschema", "http://example.com/schemas/order.json"),
        ("region", "eu-central-1"),
        ("tenant", "tenant-0042"),
    ]
}

/// Posts on so many connections for this long; ids are numbers from `first_id`.
///
/// # Errors
/// When a connection breaks or an answer is not 202.
pub fn run(
    address: SocketAddr,
    (path, shape): (&str, Shape),
    connections: usize,
    duration: Duration,
    first_id: usize,
) -> anyhow::Result<Done> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (started, mut tasks) = (Instant::now(), JoinSet::new());
        for number in 0..connections {
            let ids = (first_id + number..).step_by(connections);
            tasks.spawn(connection(address, prepared(path, shape), ids, started + duration));
        }
        let mut done = Done::default();
        while let Some(finished) = tasks.join_next().await {
            done.latencies.extend(finished.context("a connection's task")??);
        }
        done.elapsed = started.elapsed();
        done.accepted = done.latencies.len();
        done.latencies.sort_unstable();
        Ok(done)
    })
}

async fn connection(
    address: SocketAddr,
    (mut bytes, position): (Vec<u8>, usize),
    ids: impl Iterator<Item = usize>,
    end: Instant,
) -> anyhow::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address).await.context("cannot connect")?;
    stream.set_nodelay(true)?;
    let (mut buffer, mut latencies) = (vec![0; 4096], Vec::new());
    for id in ids {
        let sent = Instant::now();
        if sent >= end {
            break;
        }
        put_id(&mut bytes, position, id)?;
        stream.write_all(&bytes).await?;
        read_accepted(&mut stream, &mut buffer).await?;
        latencies.push(sent.elapsed());
    }
    Ok(latencies)
}

/// The bytes of a request and where its id is.
pub(super) fn prepared(path: &str, shape: Shape) -> (Vec<u8>, usize) {
    let place = "#".repeat(ID_DIGITS);
    let bytes = if shape.structured {
        let mut event = json!({"id": place});
        if let Some(members) = event.as_object_mut() {
            members.extend(attributes().iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
            members.insert("datacontenttype".to_owned(), json!("application/json"));
        }
        // Put in as it stands: parsing a document of many KiB here would only reorder it.
        let text = event.to_string();
        let head = text.strip_suffix('}').unwrap_or(&text);
        let body = format!("{head},\"data\":{}}}", String::from_utf8_lossy(&data(shape.data_bytes)));
        let headers = [("content-type".to_owned(), "application/cloudevents+json".to_owned())];
        request("POST", "bench", path, &headers, body.as_bytes())
    } else {
        let mut headers =
            vec![("content-type".to_owned(), "application/json".to_owned()), ("ce-id".to_owned(), place.clone())];
        headers.extend(attributes().iter().map(|(name, value)| (format!("ce-{name}"), (*value).to_owned())));
        request("POST", "bench", path, &headers, &data(shape.data_bytes))
    };
    let position = bytes.windows(ID_DIGITS).position(|window| window == place.as_bytes()).unwrap_or_default();
    (bytes, position)
}

/// Puts an id into a prepared request.
pub(super) fn put_id(bytes: &mut [u8], position: usize, id: usize) -> anyhow::Result<()> {
    let place = bytes.get_mut(position..position + ID_DIGITS).context("the id has its place")?;
    place.copy_from_slice(format!("{id:0ID_DIGITS$}").as_bytes());
    Ok(())
}

/// A JSON document of exactly [`BODY_BYTES`].
#[must_use]
pub fn body() -> Vec<u8> {
    data(BODY_BYTES)
}

/// A JSON document of exactly so many bytes.
fn data(bytes: usize) -> Vec<u8> {
    let (start, end) = ("{\"order\":\"", "\"}");
    format!("{start}{}{end}", "x".repeat(bytes.saturating_sub(start.len() + end.len()))).into_bytes()
}

async fn read_accepted(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<()> {
    let mut filled = 0;
    loop {
        let room = buffer.get_mut(filled..).filter(|room| !room.is_empty()).context("the answer's head is too long")?;
        let count = stream.read(room).await?;
        if count == 0 {
            bail!("the connection was closed");
        }
        filled += count;
        let head = buffer.get(..filled).unwrap_or_default();
        if head.ends_with(b"\r\n\r\n") {
            if head.starts_with(b"HTTP/1.1 202") {
                return Ok(());
            }
            bail!("not accepted: {}", String::from_utf8_lossy(head));
        }
    }
}
