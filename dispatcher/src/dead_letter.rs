//! Sends an event that its subscriber did not take to the dead letter sink, with why it comes there.
//!
//! Source: dispatcher spec 4.5. Any 2xx of the sink counts, whatever its body: a sink that answers with text has
//! taken the event (dispatcher spec R11).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use millrace_event::{Event, EventError};
use tracing::debug;

use crate::delivery::{Origin, Undelivered, deliver};
use crate::metrics::Role;
use crate::outcome::{EXTENSION_PREFIX, Failure};
use crate::pipeline::Pipeline;
use crate::route::Route;
use crate::sender::ERROR_BODY_BYTES;
use crate::slot::Slot;

/// Delivers the annotated event to the sink, with the sink's own budget of retries.
///
/// # Errors
///
/// The sink's last failure, or that the delivery was abandoned.
pub(crate) async fn send(
    pipeline: &Pipeline,
    route: &Route,
    event: &Event<'_>,
    body: &Bytes,
    origin: Origin<'_>,
    failure: &Failure,
    slot: &mut Slot,
) -> Result<(), Undelivered> {
    let letter = annotate(event, &pipeline.egress.destination.text, failure)
        .map_err(|error| Undelivered::Failed(Failure::Unsendable(error.to_string())))?;
    deliver(pipeline, Role::DeadLetterSink, route, &letter, body, origin, slot).await?;
    Ok(())
}

/// A copy of the event in specversion 1.0 with the error extensions.
///
/// # Errors
///
/// When the event has as many extensions as an event may have.
fn annotate<'a>(event: &Event<'a>, destination: &str, failure: &Failure) -> Result<Event<'a>, EventError> {
    let mut letter = event.clone();
    letter.to_version_10();
    letter.extensions.set("knativeerrordest", destination.to_owned())?;
    let Failure::Status { status, headers, body } = failure else {
        return Ok(letter);
    };
    letter.extensions.set("knativeerrorcode", status.as_u16().to_string())?;
    for (name, value) in headers.iter() {
        let Some(suffix) = name.as_str().strip_prefix(EXTENSION_PREFIX) else { continue };
        // A header name may hold characters that an extension name may not.
        let suffix: String = suffix.chars().filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit()).collect();
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        if let Err(error) = letter.extensions.set(suffix, value) {
            debug!(%error, "response header is not kept in the dead letter");
        }
    }
    // After the headers, so that none of them can replace it.
    let beginning = body.get(..ERROR_BODY_BYTES).unwrap_or(body);
    if !beginning.is_empty() {
        letter.extensions.set("knativeerrordata", STANDARD.encode(beginning))?;
    }
    Ok(letter)
}

#[cfg(test)]
mod tests {
    //! The extensions of a dead letter.

    use http::{HeaderMap, StatusCode};
    use millrace_event::{Event, SpecVersion};

    use super::*;

    fn event() -> Event<'static> {
        Event { spec_version: SpecVersion::V03, ..Event::new("1", "/s", "t").unwrap() }
    }

    fn status(body: &'static [u8], headers: &[(&'static str, &'static str)]) -> Failure {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Failure::Status {
            status: StatusCode::SERVICE_UNAVAILABLE,
            headers: Box::new(map),
            body: Bytes::from_static(body),
        }
    }

    #[track_caller]
    fn check(failure: &Failure, name: &str, expected: Option<&str>) {
        let letter = annotate(&event(), "http://subscriber/", failure).unwrap();
        assert_eq!(letter.extensions.get(name).map(ToString::to_string).as_deref(), expected, "{name}");
    }

    #[test]
    fn every_dead_letter_names_the_subscriber_and_is_version_1() {
        let letter = annotate(&event(), "http://subscriber/", &Failure::Connect("refused".into())).unwrap();
        assert_eq!(letter.spec_version, SpecVersion::V10);
        check(&Failure::Connect("refused".into()), "knativeerrordest", Some("http://subscriber/"));
        check(&Failure::Connect("refused".into()), "knativeerrorcode", None);
        check(&Failure::Connect("refused".into()), "knativeerrordata", None);
    }

    #[test]
    fn an_answer_gives_its_code_and_the_beginning_of_its_body() {
        check(&status(b"no room", &[]), "knativeerrorcode", Some("503"));
        check(&status(b"no room", &[]), "knativeerrordata", Some("bm8gcm9vbQ=="));
        check(&status(b"", &[]), "knativeerrordata", None);
    }

    #[test]
    fn a_long_body_is_cut_before_it_is_encoded() {
        let long: &'static [u8] = Box::leak(vec![b'x'; 5000].into_boxed_slice());
        check(&status(long, &[]), "knativeerrordata", Some(&STANDARD.encode(&long[..1024])));
    }

    #[test]
    fn kne_headers_become_extensions_but_never_replace_the_data() {
        let headers =
            [("kne-kind", "Quota"), ("Kne-Error-Kind", "odd"), ("kne-knativeerrordata", "forged"), ("kne--", "x")];
        let failure = status(b"no room", &headers);
        check(&failure, "kind", Some("Quota"));
        check(&failure, "errorkind", Some("odd"));
        check(&failure, "knativeerrordata", Some("bm8gcm9vbQ=="));
    }
}
