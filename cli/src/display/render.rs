//! A received event as text for a person.
//!
//! Pure. Texts of the event are cleaned of anything that could change the terminal.

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use cloudevents::binding::http::to_event;
use cloudevents::{AttributesReader, Data, Event};
use percent_encoding::percent_decode_str;

use crate::console::{Paint, many_lines, one_line};

/// Characters of data that are printed; a screen is not a file.
const MOST_DATA: usize = 4000;

pub(super) struct Received {
    event: Event,
    is_structured: bool,
}

/// Understands a request as the CloudEvents SDK does.
///
/// # Errors
/// When it is no event.
pub(super) fn read(headers: &HeaderMap, body: Bytes) -> Result<Received, cloudevents::message::Error> {
    let content_type = headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes().to_ascii_lowercase());
    let is_structured = content_type.is_some_and(|value| value.starts_with(b"application/cloudevents"));
    Ok(Received { event: to_event(headers, body.into())?, is_structured })
}

pub(super) fn refusal(paint: Paint, path: &str, error: &cloudevents::message::Error) -> String {
    format!("{} {}  no CloudEvent: {}", paint.bad("400"), one_line(path), one_line(&error.to_string()))
}

impl Received {
    /// Source and id: what makes an event this event.
    pub(super) fn identity(&self) -> String {
        format!("{} {}", self.event.source(), self.event.id())
    }

    pub(super) fn text(&self, paint: Paint, path: &str, attempt: u32, status: u16) -> String {
        let shown = status.to_string();
        let shown = if (200..300).contains(&status) { paint.good(&shown) } else { paint.bad(&shown) };
        let mode = if self.is_structured { "structured" } else { "binary" };
        let again = if attempt > 1 { paint.odd(&format!("  attempt {attempt}")) } else { String::new() };
        let mut lines = vec![format!("{shown} {}  {mode}{again}", paint.strong(&one_line(path)))];
        let mut attribute = |name: &str, value: &str| {
            let value = if self.is_structured { value.into() } else { percent_decode_str(value).decode_utf8_lossy() };
            lines.push(format!("    {} {}", paint.faint(&format!("{:22}", one_line(name))), one_line(&value)));
        };
        attribute("id", self.event.id());
        attribute("source", self.event.source());
        attribute("type", self.event.ty());
        if let Some(subject) = self.event.subject() {
            attribute("subject", subject);
        }
        if let Some(time) = self.event.time() {
            attribute("time", &time.to_rfc3339());
        }
        if let Some(schema) = self.event.dataschema() {
            attribute("dataschema", schema.as_str());
        }
        if let Some(content_type) = self.event.datacontenttype() {
            attribute("datacontenttype", content_type);
        }
        let mut extensions: Vec<(&str, String)> =
            self.event.iter_extensions().map(|(name, value)| (name, value.to_string())).collect();
        extensions.sort();
        for (name, value) in &extensions {
            attribute(name, value);
        }
        if let Some(data) = self.event.data() {
            lines.push(indented(&data_text(data)));
        }
        lines.join("\n")
    }
}

fn data_text(data: &Data) -> String {
    match data {
        Data::Binary(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => format!("({} bytes that are no text)", bytes.len()),
        },
        Data::String(text) => text.clone(),
        Data::Json(json) => json.to_string(),
    }
}

fn indented(text: &str) -> String {
    let shown: String = many_lines(text.trim_end()).chars().take(MOST_DATA).collect();
    let rest = text.trim_end().chars().count().saturating_sub(MOST_DATA);
    let more = if rest > 0 { format!("\n    ... and {rest} more characters") } else { String::new() };
    let lines: Vec<String> = shown.lines().map(|line| format!("    {line}")).collect();
    format!("{}{more}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let parse = |(name, value): &(&'static str, &'static str)| {
            (axum::http::HeaderName::from_static(name), axum::http::HeaderValue::from_static(value))
        };
        pairs.iter().map(parse).collect()
    }

    const BINARY: &[(&str, &str)] = &[
        ("ce-specversion", "1.0"),
        ("ce-id", "order-1"),
        ("ce-source", "/demo"),
        ("ce-type", "order.placed"),
        ("ce-city", "Z%C3%BCrich"),
        ("content-type", "application/json"),
    ];

    #[test]
    fn a_binary_event_is_shown_with_all_its_attributes() {
        let received = read(&headers(BINARY), Bytes::from_static(b"{\"n\":1}\n")).unwrap();
        let expected = "\
202 /plain  binary
    id                     order-1
    source                 /demo
    type                   order.placed
    datacontenttype        application/json
    city                   Zürich
    {\"n\":1}";
        assert_eq!(received.text(Paint::PLAIN, "/plain", 1, 202), expected);
        assert_eq!(received.identity(), "/demo order-1");
    }

    #[test]
    fn a_structured_event_is_shown_alike() {
        let body = r#"{"specversion":"1.0","id":"a","source":"/s","type":"t","data":{"n":1},
                       "datacontenttype":"application/json"}"#;
        let headers = headers(&[("content-type", "application/cloudevents+json")]);
        let text = read(&headers, Bytes::from_static(body.as_bytes())).unwrap().text(Paint::PLAIN, "/", 3, 503);
        assert!(text.starts_with("503 /  structured  attempt 3\n"), "{text}");
        assert!(text.ends_with("    {\"n\":1}"), "{text}");
    }

    #[test]
    fn what_is_no_event_is_refused_with_a_reason() {
        let error = read(&headers(&[("content-type", "text/plain")]), Bytes::from_static(b"hello")).err().unwrap();
        assert!(refusal(Paint::PLAIN, "/a", &error).starts_with("400 /a  no CloudEvent: "));
    }

    #[test]
    fn data_cannot_change_the_terminal_and_is_cut() {
        let received = read(&headers(BINARY), Bytes::from_static(b"\x1b[2Jboo")).unwrap();
        assert!(!received.text(Paint::PLAIN, "/", 1, 202).contains('\u{1b}'));
        let long = "x".repeat(MOST_DATA + 5);
        assert!(indented(&long).ends_with("... and 5 more characters"));
        assert_eq!(data_text(&Data::Binary(vec![0xff, 0xfe])), "(2 bytes that are no text)");
    }
}
