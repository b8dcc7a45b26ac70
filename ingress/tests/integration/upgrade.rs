//! `Upgrade: h2c`, spoken in frames: the client is ours, because few others still upgrade.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::harness::*;

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;

struct Frame {
    kind: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn preface() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])].concat()
}

async fn next_frame(client: &mut Client) -> Frame {
    within("a frame", async {
        let mut head = [0; 9];
        client.stream.read_exact(&mut head).await.unwrap();
        let length = head[..3].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let mut payload = vec![0; length];
        client.stream.read_exact(&mut payload).await.unwrap();
        Frame { kind: head[3], stream: u32::from_be_bytes(head[5..].try_into().unwrap()), payload }
    })
    .await
}

/// The answer on `stream`: its HEADERS.
async fn answer_on(client: &mut Client, stream: u32) -> Vec<u8> {
    loop {
        let frame = next_frame(client).await;
        assert!(frame.kind != 3 && frame.kind != 7, "stream or connection refused: {:?}", frame.payload);
        if frame.kind == HEADERS && frame.stream == stream {
            return frame.payload;
        }
    }
}

const ASKING: [(&str, &str); 3] =
    [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")];

/// Indexed: `:status: 200`.
const OK: &[u8] = &[0x88];

async fn upgraded(client: &mut Client, request: String) {
    let answer = client.ask(request).await;
    assert_eq!((answer.status, answer.header("upgrade")), (101, Some("h2c")));
    client.stream.write_all(&preface()).await.unwrap();
}

#[tokio::test]
async fn the_request_that_upgrades_is_answered_on_the_first_stream_and_others_follow() {
    let (_harness, broker, running) = one_target().await;
    let mut client = Client::connect(running.address()).await;
    let body = "x".repeat(20_000);
    let subject = "s".repeat(300);
    let headers = [&ASKING[..], &[("ce-id", "first"), ("ce-subject", &subject)]].concat();
    upgraded(&mut client, request("/ns/name", &headers, &body)).await;
    answer_on(&mut client, 1).await;
    let record = broker.read("orders", 1).remove(0);
    assert_eq!((record.header("ce_id"), record.value.as_ref().map(Vec::len)), (Some("first"), Some(20_000)));
    assert_eq!(record.headers.iter().filter(|(name, _)| name.starts_with("ce_")).count(), 5);
    // GET, http, and "/readyz" in full: indexed fields 2 and 6, and a literal of field 4.
    let probe = [&[0x82, 0x86, 0x04, 7][..], b"/readyz"].concat();
    client.stream.write_all(&frame(HEADERS, 5, 3, &probe)).await.unwrap();
    assert_eq!(answer_on(&mut client, 3).await.first(), OK.first());
}

#[tokio::test]
async fn a_request_without_a_body_upgrades_as_well() {
    let (_harness, _broker, running) = one_target().await;
    let lines: String = ASKING.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut client = Client::connect(running.address()).await;
    upgraded(&mut client, format!("GET /readyz HTTP/1.1\r\nHost: x\r\n{lines}\r\n")).await;
    assert_eq!(answer_on(&mut client, 1).await.first(), OK.first());
    drop(client);
    // The upgraded connection is over, and nothing waits for it.
    assert!(running.drain().await);
}

#[tokio::test]
async fn an_upgrade_that_does_not_suit_is_served_as_http_1() {
    let (harness, _broker, running) = one_target().await;
    let [connection, upgrade, settings] = ASKING;
    for headers in [
        vec![connection, upgrade, ("HTTP2-Settings", "%%%")],
        vec![connection, upgrade, ("HTTP2-Settings", "AAMA")],
        vec![connection, upgrade],
        vec![connection, upgrade, settings, settings],
        vec![("Connection", "Upgrade"), upgrade, settings],
        vec![connection, ("Upgrade", "websocket"), settings],
    ] {
        let mut client = Client::connect(running.address()).await;
        for _ in 0..2 {
            assert_eq!(client.ask(request("/ns/name", &headers, "x")).await.status, 202, "{headers:?}");
        }
    }
    let large = request("/ns/name", &ASKING, &"x".repeat(40_000));
    assert_eq!(ask(running.address(), large).await.status, 202);
    harness.write("config/httpserver.properties", "host=127.0.0.1\nhttp2ClearTextEnabled=false\n");
    let running = harness.ready().await;
    assert_eq!(ask(running.address(), request("/ns/name", &ASKING, "x")).await.status, 202);
}
