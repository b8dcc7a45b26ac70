//! `millrace display`: a subscriber that prints what it receives.
//!
//! Any path, both content modes. It reads events with the CloudEvents SDK, not with our codec: what it shows is what
//! any other subscriber would understand. It can be slow or fail on purpose, to watch retries and dead letters.

mod render;

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use clap::Args;
use tokio::net::TcpListener;

use crate::console::Console;
use crate::dev::ports::PortError;
use crate::dev::signals::Signals;

const EXAMPLES: &str = "\
Examples:
  millrace display                            at http://127.0.0.1:9000/
  millrace display --port 9001 --status 500   refuse everything
  millrace display --fail-first 2             refuse twice, then accept
  millrace display --delay 500                answer half a second late

It takes any path. Name it in a Subscription as
  subscriber: {uri: \"http://127.0.0.1:9000/\"}";

const LARGEST_BODY: usize = 64 * 1024 * 1024;
/// Events whose attempts are counted. Beyond it the oldest is forgotten and would fail first again.
const REMEMBERED: usize = 10_000;
/// After a signal, requests that are being answered get this long.
const DRAIN: Duration = Duration::from_secs(5);

/// Receives CloudEvents and prints them
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DisplayArgs {
    /// Port to listen on; 0 for any free one
    #[arg(long, default_value_t = 9000)]
    port: u16,
    /// Address to listen on; 0.0.0.0 for every interface
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,
    /// Status to answer with
    #[arg(long, value_name = "CODE", default_value_t = 202, value_parser = clap::value_parser!(u16).range(200..=599))]
    status: u16,
    /// Answer 503 to the first N attempts of each event
    #[arg(long, value_name = "N", default_value_t = 0)]
    fail_first: u32,
    /// Answer so many milliseconds late
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay: u64,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DisplayError {
    #[error(transparent)]
    Port(#[from] PortError),
    #[error("cannot handle signals")]
    Signals(#[source] std::io::Error),
    #[error("{status} is no status that can be answered: use one from 200 to 599")]
    Status { status: u16 },
}

struct Display {
    console: Console,
    status: StatusCode,
    fail_first: u32,
    delay: Duration,
    attempts: Mutex<Attempts>,
}

/// How often each event was tried.
#[derive(Default)]
struct Attempts {
    by_event: HashMap<String, u32>,
    order: VecDeque<String>,
}

impl Attempts {
    /// Counts one more; 1 is the first.
    fn count(&mut self, event: &str) -> u32 {
        if let Some(count) = self.by_event.get_mut(event) {
            *count = count.saturating_add(1);
            return *count;
        }
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_event.remove(&oldest);
        }
        self.order.push_back(event.to_owned());
        self.by_event.insert(event.to_owned(), 1);
        1
    }
}

/// Prints until a signal comes.
///
/// # Errors
/// When the port cannot be opened.
pub(crate) async fn run(args: DisplayArgs, console: Console) -> Result<ExitCode, DisplayError> {
    let status = StatusCode::from_u16(args.status).map_err(|_| DisplayError::Status { status: args.status })?;
    let mut signals = Signals::new().map_err(DisplayError::Signals)?;
    let opened = TcpListener::bind((args.address, args.port)).await;
    let listener = opened.map_err(|source| PortError::new(args.port, "--port", source))?;
    let address = listener.local_addr().map_err(|source| PortError::new(args.port, "--port", source))?;
    let url = console.paint().name(&format!("http://{address}/"));
    console.line(&format!("Listening at {url}  (Ctrl-C ends it)"));
    let display = Arc::new(Display {
        console,
        status,
        fail_first: args.fail_first,
        delay: Duration::from_millis(args.delay),
        attempts: Mutex::default(),
    });
    let router = Router::new().fallback(receive).layer(DefaultBodyLimit::max(LARGEST_BODY)).with_state(display);
    let stop = tokio_util::sync::CancellationToken::new();
    let mut serving = std::pin::pin!(
        axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned()).into_future()
    );
    tokio::select! {
        () = signals.next() => stop.cancel(),
        // `axum::serve` never ends by itself.
        _ = &mut serving => {}
    }
    // A connection that stays busy beyond this is cut.
    drop(tokio::time::timeout(DRAIN, serving).await);
    Ok(ExitCode::SUCCESS)
}

async fn receive(
    State(display): State<Arc<Display>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    if method != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED;
    }
    let received = match render::read(&headers, body) {
        Ok(received) => received,
        Err(error) => {
            display.console.line(&render::refusal(display.console.paint(), uri.path(), &error));
            return StatusCode::BAD_REQUEST;
        }
    };
    let attempt = {
        let mut attempts = display.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.count(&format!("{} {}", uri.path(), received.identity()))
    };
    tokio::time::sleep(display.delay).await;
    let status = if attempt <= display.fail_first { StatusCode::SERVICE_UNAVAILABLE } else { display.status };
    display.console.line(&received.text(display.console.paint(), uri.path(), attempt, status.as_u16()));
    // The body stays empty: a subscriber that answers with something that is no event has failed.
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_counted_for_each_event() {
        let mut attempts = Attempts::default();
        assert_eq!([attempts.count("a"), attempts.count("b"), attempts.count("a")], [1, 1, 2]);
    }

    #[test]
    fn the_memory_of_attempts_is_bounded() {
        let mut attempts = Attempts::default();
        for number in 0..=REMEMBERED {
            assert_eq!(attempts.count(&number.to_string()), 1);
        }
        assert_eq!(attempts.by_event.len(), REMEMBERED);
        assert_eq!(attempts.count("0"), 1);
    }
}
