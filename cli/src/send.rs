//! `millrace send URL`: posts CloudEvents and says what became of them.
//!
//! Only the arguments, the event made from them, and the words for the answer; `post` does the posting.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use millrace_event::{Data, Event, EventError};
use millrace_runtime::clock;
use reqwest::Url;
use uuid::Uuid;

use crate::console::{Console, millis, one_line};
use crate::post::{Answer, Mode, PostError, Poster};

const EXAMPLES: &str = "\
Examples (URL is a channel's, such as http://127.0.0.1:8080/default/orders):
  millrace send URL --data '{\"hello\":\"world\"}'
  millrace send URL --type order.placed --subject 42 --data-file order.json
  echo hello | millrace send URL --data -
  millrace send URL --extension partitionkey=customer-7 --count 100
  millrace send URL --data '{}' --structured

The exit status is 0 if every event was accepted (2xx).";

/// More than any Kafka broker takes in one record as it is shipped.
const MOST_DATA_BYTES: u64 = 64 * 1024 * 1024;
/// A command that runs longer tells how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Posts a CloudEvent
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SendArgs {
    /// Where to: the URL of a channel
    #[arg(value_parser = url)]
    url: Url,
    /// Type of the event
    #[arg(long = "type", value_name = "TYPE", default_value = "dev.millrace.send", value_parser = not_empty)]
    ty: String,
    /// Source of the event: a URI or a path
    #[arg(long, value_name = "URI", default_value = "/millrace/send", value_parser = not_empty)]
    source: String,
    /// Id of the event, with --count followed by -1, -2, ... [default: a random UUID for each]
    #[arg(long, value_parser = not_empty)]
    id: Option<String>,
    /// Subject of the event
    #[arg(long)]
    subject: Option<String>,
    /// Data as it stands; `-` reads standard input
    #[arg(long, value_name = "TEXT", conflicts_with = "data_file")]
    data: Option<String>,
    /// Data from a file; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    data_file: Option<PathBuf>,
    /// Media type of the data [default: application/json if it is JSON, else text/plain or application/octet-stream]
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// An extension attribute; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = extension)]
    extension: Vec<(String, String)>,
    /// Send the whole event as JSON (structured mode) instead of attributes as headers (binary mode)
    #[arg(long)]
    structured: bool,
    /// Send so many events, one after the other
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("cannot read the data from {from}")]
    Data { from: String, source: std::io::Error },
    #[error("the data from {from} is larger than {MOST_DATA_BYTES} bytes")]
    TooLarge { from: String },
    #[error("this is no CloudEvent")]
    Event(#[source] EventError),
    #[error(transparent)]
    Post(#[from] PostError),
}

fn extension(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("write it as NAME=VALUE, such as partitionkey=customer-7".to_owned()),
    }
}

fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("must not be empty: every CloudEvent has one".to_owned()) } else { Ok(text.to_owned()) }
}

fn url(text: &str) -> Result<Url, String> {
    match (Url::parse(text), text.split_once("://")) {
        (Ok(url), _) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        (_, Some((scheme, _))) if !matches!(scheme, "http" | "https") => {
            Err("must begin with http:// or https://: events are posted over HTTP".to_owned())
        }
        (_, Some(_)) => Err("is no URL: write http://HOST:PORT/NAMESPACE/CHANNEL".to_owned()),
        // `localhost:8080/x` would be a URL of the scheme `localhost`.
        (_, None) => Err(format!("has no scheme: write http://{text}")),
    }
}

/// Posts the events, one after the other.
///
/// # Errors
/// When there is no event to send or no answer. An answer that is no success is the exit status 1.
pub(crate) async fn run(args: SendArgs, console: Console) -> Result<ExitCode, SendError> {
    let data = read_data(&args)?;
    let poster = Poster::new()?;
    let mode = if args.structured { Mode::Structured } else { Mode::Binary };
    let (mut refused, mut next_progress, mut shown) = (0_u32, PROGRESS_EVERY, 0_u32);
    let started = std::time::Instant::now();
    for number in 1..=args.count {
        let event = build(&args, number, data.as_deref()).map_err(SendError::Event)?;
        let posting = poster.post(&args.url, &event, mode);
        let answer = while_telling(posting, PROGRESS_EVERY, |waited| tell_waiting(&args.url, waited)).await?;
        let is_accepted = (200..300).contains(&answer.status);
        refused += u32::from(!is_accepted);
        // A person reads the first lines; of many more, how far it is.
        if shown < 20 {
            shown += 1;
            console.line(&answer_line(&console, &event.id, &answer));
        }
        if args.count > 20 && (started.elapsed() >= next_progress || number == args.count) {
            next_progress = started.elapsed() + PROGRESS_EVERY;
            let accepted = number - refused;
            console.line(&format!("{number} of {} sent, {accepted} accepted, {refused} refused", args.count));
        }
    }
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Waits and tells about it, after the first pause and then less and less often.
async fn while_telling<T>(work: impl Future<Output = T>, first: Duration, mut tell: impl FnMut(Duration)) -> T {
    let (started, mut pause) = (tokio::time::Instant::now(), first);
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(pause, &mut work).await {
            Ok(done) => return done,
            Err(_) => tell(started.elapsed()),
        }
        pause = (pause * 2).min(first * 10);
    }
}

/// On standard error: standard output holds the answers alone.
fn tell_waiting(url: &Url, waited: Duration) {
    let seconds = waited.as_secs();
    let line = format!("waiting for the answer of {url}, {seconds} s so far; Kafka may be slow or away");
    let console = Console::stderr();
    console.line(&console.paint().faint(&line));
}

/// Blocks, which disturbs nobody: nothing else runs yet.
fn read_data(args: &SendArgs) -> Result<Option<Vec<u8>>, SendError> {
    let is_stdin =
        args.data.as_deref() == Some("-") || args.data_file.as_deref().is_some_and(|file| file.as_os_str() == "-");
    if is_stdin {
        return bounded(std::io::stdin(), "standard input").map(Some);
    }
    if let Some(text) = &args.data {
        return Ok(Some(text.clone().into_bytes()));
    }
    let Some(path) = &args.data_file else { return Ok(None) };
    let from = path.display().to_string();
    let file = std::fs::File::open(path).map_err(|source| SendError::Data { from: from.clone(), source })?;
    bounded(file, &from).map(Some)
}

fn bounded(reader: impl Read, from: &str) -> Result<Vec<u8>, SendError> {
    let mut bytes = Vec::new();
    let read = reader.take(MOST_DATA_BYTES + 1).read_to_end(&mut bytes);
    let read = read.map_err(|source| SendError::Data { from: from.to_owned(), source })?;
    if u64::try_from(read).unwrap_or(u64::MAX) > MOST_DATA_BYTES {
        return Err(SendError::TooLarge { from: from.to_owned() });
    }
    Ok(bytes)
}

/// The event with this number, counted from 1.
fn build<'a>(args: &'a SendArgs, number: u32, data: Option<&'a [u8]>) -> Result<Event<'a>, EventError> {
    let id = match &args.id {
        None => Uuid::new_v4().to_string(),
        Some(id) if args.count == 1 => id.clone(),
        Some(id) => format!("{id}-{number}"),
    };
    let mut event = Event::new(id, &*args.source, &*args.ty)?;
    event.subject = args.subject.as_deref().map(Into::into);
    event.time = Some(millrace_event::time::from_unix_millis(clock::now_millis()).into());
    for (name, value) in &args.extension {
        event.extensions.set(name.as_str(), value.as_str())?;
    }
    if let Some(data) = data {
        let is_json = serde_json::from_slice::<&serde_json::value::RawValue>(data).is_ok();
        let guessed = match (is_json, std::str::from_utf8(data)) {
            (true, _) => "application/json",
            (false, Ok(_)) => "text/plain",
            (false, Err(_)) => "application/octet-stream",
        };
        event.data_content_type = Some(args.content_type.as_deref().unwrap_or(guessed).into());
        event.data = Data::Binary(data.into());
    } else {
        event.data_content_type = args.content_type.as_deref().map(Into::into);
    }
    Ok(event)
}

fn answer_line(console: &Console, id: &str, answer: &Answer) -> String {
    let paint = console.paint();
    let time = millis(answer.elapsed.as_secs_f64() * 1000.0);
    let status = answer.status.to_string();
    if (200..300).contains(&answer.status) {
        return format!("{} accepted  {time:>8}  {}", paint.good(&status), one_line(id));
    }
    let refused = format!("{} refused   {time:>8}  {}", paint.bad(&status), one_line(id));
    match reason(answer) {
        Some(reason) => format!("{refused}\n    {}", one_line(&reason)),
        None => refused,
    }
}

/// What the answer says about itself, or what its status usually means.
fn reason(answer: &Answer) -> Option<String> {
    if let Ok(problem) = serde_json::from_str::<serde_json::Value>(&answer.body) {
        let member = |name: &str| problem.get(name).and_then(serde_json::Value::as_str).filter(|text| !text.is_empty());
        match (member("title"), member("detail")) {
            (Some(title), Some(detail)) => return Some(format!("{title}: {detail}")),
            (Some(text), None) | (None, Some(text)) => return Some(text.to_owned()),
            (None, None) => {}
        }
    }
    let body = answer.body.trim();
    if !body.is_empty() {
        return Some(body.to_owned());
    }
    let usual = match answer.status {
        404 => "no channel has this URL: `millrace dev` prints those there are",
        401 => "the channel wants a token",
        403 => "a policy of the channel forbids this event",
        413 => "the event is too large",
        429 | 503 => "Kafka cannot take it at the moment: try again later",
        _ => return None,
    };
    Some(usual.to_owned())
}

#[cfg(test)]
mod tests;
