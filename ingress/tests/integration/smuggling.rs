//! Requests that two parsers could read in two ways, each with an event hidden behind it.
//!
//! For every one of them: one refusal, the end of the connection, nothing stored. And next to them what merely looks odd
//! and has one meaning, which is served. Sources for the kinds: RFC 9112, and the categories of published test suites for
//! request smuggling.

use super::harness::*;

/// The request behind the one that is tried.
fn hidden() -> String {
    request("/ns/name", &[("ce-id", "evil")], "evil")
}

/// A POST whose lines after those of the event are `framing`, with `body` behind it.
fn framed(framing: &str, body: &str) -> String {
    format!(
        "POST /ns/name HTTP/1.1\r\nHost: localhost\r\nce-specversion: 1.0\r\nce-id: evil\r\nce-source: /test\r\n\
         ce-type: t\r\n{framing}\r\n\r\n{body}"
    )
}

fn lengths() -> Vec<String> {
    let values = [
        "+5",
        "-5",
        "5 5",
        "5,5",
        "5, 6",
        "0x5",
        "5;",
        "5.0",
        "5e0",
        "\"5\"",
        "five",
        "",
        "5\u{b}",
        "5\t5",
        "_5",
        "1_0",
        "99999999999999999999999",
        "18446744073709551616",
        "-0",
        "0 5",
        "5 ,5",
        "\u{660}",
    ];
    let mut lines: Vec<String> = values.iter().map(|value| format!("Content-Length: {value}")).collect();
    let whole = [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 0\r\nContent-Length: 5",
        "Content-Length: 5\r\ncontent-length: 6",
        "Content-Length : 5",
        "Content-Length\t: 5",
        " Content-Length: 5",
        "\tContent-Length: 5",
        "Content-Length: 5\r\n 5",
        "Content-Length:\r\n 5",
        "Content-Length\r\n: 5",
        "Content Length: 5",
        "Content-Length: 5\rX: y",
        "Content-Length: 5\0",
        "Content-Length\0: 5",
        "X: y\nContent-Length: 5",
        "X: y\n\nContent-Length: 5",
        "X: y\rContent-Length: 5",
        "X: y\0z",
        "X\u{1}: y",
        "X: y\u{7f}z\r\nContent-Length: +5",
        "X: y\r\n\tz\r\nContent-Length: 5",
        ": y\r\nContent-Length: 5",
        "X y\r\nContent-Length: 5",
        "X(): y\r\nContent-Length: 5",
        "X@Y: z\r\nContent-Length: 5",
        "Host: other\r\nContent-Length: 5",
        "Host: localhost\r\nContent-Length: 5",
        "host: \r\nContent-Length: 5",
    ];
    lines.extend(whole.iter().map(|line| (*line).to_owned()));
    lines
}

fn codings() -> Vec<String> {
    let both = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "content-length: 5\r\ntransfer-encoding: chunked",
        "Content-Length: 5\r\nX: y\r\nTRANSFER-ENCODING: CHUNKED",
        "Content-Length: 5\r\nTransfer-Encoding: identity",
        "Content-Length: 5\r\nTransfer-Encoding: chunked, identity",
        "Content-Length: 5\r\nTransfer-Encoding:\r\n chunked",
        "Content-Length: 5\r\nTransfer-Encoding : chunked",
        "Content-Length: 5\r\n Transfer-Encoding: chunked",
        "Content-Length: 5\r\nX: y\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Content-Length: 5\r\nTransfer-Encoding: xchunked",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\0",
        "Content-Length: 5\r\nTransfer-Encoding: \"chunked\"",
        "Content-Length: 5\r\nTransfer-Encoding",
        "Content-Length: 5\r\nTransfer-Encoding chunked",
        "Content-Length: 5\r\nTransfer\u{b}Encoding: chunked\r\nTransfer-Encoding: chunked",
    ];
    let values = [
        "identity",
        "gzip",
        "gzip, chunked",
        "chunked, chunked",
        "chunked, gzip",
        "chunked;q=1",
        "chunked ,",
        ",chunked",
        "chunked,",
        "x, chunked",
        "xchunked",
        "chunkedx",
        "chunk",
        "chun ked",
        "\"chunked\"",
        "'chunked'",
        "chunked\0",
        "chunked\u{b}",
        "\u{b}chunked",
        "",
        "trailers",
        "[chunked]",
        "deflate",
        "none",
        "chunked identity",
    ];
    let mut lines: Vec<String> = values.iter().map(|value| format!("Transfer-Encoding: {value}")).collect();
    let whole = [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: chun\r\n ked",
        "Transfer-Encoding: chunked\rX: y",
    ];
    lines.extend(both.iter().chain(&whole).map(|line| (*line).to_owned()));
    lines
}

fn chunked_bodies() -> Vec<String> {
    let bodies = [
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5h\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5\0\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "five\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\r\n\r\n",
        "\u{660}\r\n\r\n",
        "5_\r\nhello\r\n0\r\n\r\n",
        "5.\r\nhello\r\n0\r\n\r\n",
        "1e1\rx\nhello\r\n0\r\n\r\n",
    ];
    bodies.iter().map(|body| framed("Transfer-Encoding: chunked", body)).collect()
}

fn request_lines() -> Vec<String> {
    let lines = [
        "POST  /ns/name HTTP/1.1",
        "POST /ns/name  HTTP/1.1",
        "POST\t/ns/name HTTP/1.1",
        "POST /ns/name\tHTTP/1.1",
        " POST /ns/name HTTP/1.1",
        "POST /ns/name HTTP/1.1 ",
        "POST /ns name HTTP/1.1",
        "POST /ns/name",
        "POST",
        "POST /ns/name HTTP/1.1\0",
        "POST /ns\0/name HTTP/1.1",
        "PO\0ST /ns/name HTTP/1.1",
        "P(ST /ns/name HTTP/1.1",
        "POST /ns/name HTTP/1.2",
        "POST /ns/name HTTP/2.0",
        "POST /ns/name HTTP/0.9",
        "POST /ns/name HTTP/1.10",
        "POST /ns/name HTTP/11",
        "POST /ns/name http/1.1",
        "POST /ns/name HTTPS/1.1",
        "POST /ns/name HTTP/1,1",
        "POST /ns/name HTTP/1.1\rX: y",
        "POST /ns/name HTTP/1.1\nX: y",
        "POST /ns/name HTTP/",
        "POST ns/name HTTP/1.1",
        "POST \\ns\\name HTTP/1.1",
        "POST /ns/name\u{7f} HTTP/1.1",
        "\0POST /ns/name HTTP/1.1",
        "POST /ns/name HTTP/1.1X",
    ];
    let rest = framed("Content-Length: 5", "hello");
    let rest = rest.strip_prefix("POST /ns/name HTTP/1.1").unwrap().to_owned();
    lines.iter().map(|line| format!("{line}{rest}")).collect()
}

fn refused() -> Vec<String> {
    let mut all: Vec<String> = lengths().iter().map(|line| framed(line, "hello")).collect();
    all.extend(codings().iter().map(|line| framed(line, "5\r\nhello\r\n0\r\n\r\n")));
    all.extend(chunked_bodies());
    all.extend(request_lines());
    let old = framed("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n").replace("HTTP/1.1", "HTTP/1.0");
    all.extend([old, "\u{0}\u{1}\u{2}\r\n\r\n".to_owned(), "{\"specversion\":\"1.0\"}\r\n\r\n".to_owned()]);
    all
}

/// Everything that is said until the connection ends, as statuses.
async fn statuses(running: &millrace_ingress::app::Running, bytes: &str) -> Vec<u16> {
    let mut client = Client::connect(running.address()).await;
    client.write(bytes).await;
    // A server that waits for more is a failure of its own: no more comes.
    client.finish().await;
    client.ended().await;
    let said = String::from_utf8_lossy(&client.received).into_owned();
    said.split("HTTP/1.1 ").skip(1).filter_map(|rest| rest.split(' ').next()?.parse().ok()).collect()
}

#[tokio::test]
async fn an_ambiguous_request_is_refused_once_and_what_is_behind_it_never_runs() {
    let (_harness, broker, running) = one_target().await;
    let mut good = Client::connect(running.address()).await;
    let attacks = refused();
    assert!(attacks.len() >= 150, "{}", attacks.len());
    let mut wrong = Vec::new();
    for attack in &attacks {
        let found = statuses(&running, &format!("{attack}{}", hidden())).await;
        if !matches!(found.as_slice(), [400 | 414 | 431 | 501]) {
            wrong.push((attack.clone(), found));
        }
        assert_eq!(good.ask(event("/ns/name")).await.status, 202);
    }
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), attacks.len());
    let records = broker.read("orders", attacks.len());
    assert!(records.iter().all(|record| record.header("ce_id") == Some("1")));
    assert_eq!(good.ask(request("/ns/name", &[("ce-id", "last")], "")).await.status, 202);
    assert_eq!(broker.read("orders", attacks.len() + 1).len(), attacks.len() + 1);
}

#[tokio::test]
async fn what_looks_odd_and_has_one_meaning_is_served() {
    let (_harness, broker, running) = one_target().await;
    let chunked = |coding: &str, body: &str| framed(&format!("Transfer-Encoding:{coding}"), body);
    let requests = [
        chunked(" chunked", "5\r\nhello\r\n0\r\n\r\n"),
        chunked("Chunked ", "5;name=value\r\nhello\r\n0\r\n\r\n"),
        chunked("\tchunked", "00005\r\nhello\r\n000\r\nTrailer: x\r\n\r\n"),
        chunked("chunked", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        framed("Content-Length:5", "hello"),
        framed("content-length: \t5 ", "hello"),
        framed("Content-Length: 5\r\nContent-Length: 5", "hello"),
        framed("Content-Length: 0005", "hello"),
        format!("\r\n{}", framed("Content-Length: 5", "hello")),
        framed("Content-Length: 5", "hello").replace("/ns/name", "http://elsewhere/ns/name"),
        framed("Content-Length: 5\r\nX:", "hello"),
    ];
    for request in &requests {
        let mut client = Client::connect(running.address()).await;
        assert_eq!(client.ask(request).await.status, 202, "{request:?}");
        // And the connection goes on where the request ended.
        assert_eq!(client.ask(event("/unknown")).await.status, 404, "{request:?}");
    }
    for record in broker.read("orders", requests.len()) {
        assert_eq!(record.value.as_deref(), Some(&b"hello"[..]));
    }
}
