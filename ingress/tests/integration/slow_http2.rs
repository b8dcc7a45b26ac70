//! HTTP/2 clients that let the server wait: for their preface, for the rest of a head, or for anything at all.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;

use super::harness::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
/// HEADERS of stream 1: POST to "/ns/name" as http, and neither the end of the headers nor of the stream.
const BEGUN: &[u8] = b"\0\0\x0c\x01\0\0\0\0\x01\x83\x86\x04\x08/ns/name";
/// HEADERS of stream 3: GET of "/" as http, whole.
const WHOLE: &[u8] = b"\0\0\x03\x01\x05\0\0\0\x03\x82\x86\x84";

/// Single bytes that follow.
type Drops = Box<dyn Iterator<Item = u8> + Send>;

async fn configured(http: &str) -> (Harness, Broker, std::net::SocketAddr, millrace_ingress::app::Running) {
    let (harness, broker, _) = one_target().await;
    harness.write("config/httpserver.properties", &format!("host=127.0.0.1\n{http}\n"));
    let running = harness.ready().await;
    (harness, broker, running.address(), running)
}

/// Sends `begin` and then single bytes of `drops` until the server has had enough. How long that took.
async fn drip(client: &mut Client, begin: &[u8], drops: impl IntoIterator<Item = u8>) -> Duration {
    let begun = Instant::now();
    client.write(begin).await;
    for drop in drops {
        if client.stream.write_all(&[drop]).await.is_err() || begun.elapsed() > LIMIT {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    client.ended().await;
    begun.elapsed()
}

#[tokio::test]
async fn an_http_2_client_that_drips_its_preface_or_a_head_is_sent_away() {
    let (_harness, broker, address, _running) = configured("millrace.ingress.header.timeout.ms=600").await;
    let mut idle = Client::connect(address).await;
    idle.write([PREFACE, SETTINGS].concat()).await;
    let endless = || std::iter::repeat(b"\0\0\x01\x09\0\0\0\0\x01\x82".iter().copied()).flatten();
    let opened = [PREFACE, SETTINGS].concat();
    let head = [&opened, BEGUN].concat();
    let asking = request(
        "/unknown",
        &[("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")],
        "",
    );
    // All in one piece with the request that upgrades, so that nothing of it comes by the socket alone.
    let upgraded = [asking.as_bytes(), &opened, BEGUN].concat();
    let cases: [(&str, &[u8], Drops); 5] = [
        ("half a preface", &PREFACE[..12], Box::new(std::iter::empty())),
        ("a preface and no settings", PREFACE, Box::new(SETTINGS[..5].iter().copied())),
        ("a head that goes on and on", &head, Box::new(endless())),
        ("a head of which nothing more comes", &head, Box::new(std::iter::empty())),
        ("the same after an upgrade", &upgraded, Box::new(endless())),
    ];
    for (what, begin, drops) in cases {
        let taken = drip(&mut Client::connect(address).await, begin, drops).await;
        assert!(taken < Duration::from_secs(10), "{what}: {taken:?}");
        assert!(taken > Duration::from_millis(500), "{what}: {taken:?}");
    }
    // Who has begun nothing may stay, and is served.
    idle.write(WHOLE).await;
    let answered = until("an answer on the idle connection", async || {
        let mut bytes = [0; 1024];
        let count = tokio::io::AsyncReadExt::read(&mut idle.stream, &mut bytes).await.unwrap();
        assert!(count > 0, "the connection was closed");
        // HEADERS of stream 3.
        bytes[..count].windows(6).any(|part| part[0] == 1 && part[2..] == [0, 0, 0, 3]).then_some(())
    });
    answered.await;
    assert_eq!(broker.read("orders", 0).len(), 0);
}

#[tokio::test]
async fn an_idle_http_2_connection_is_closed_after_the_idle_time() {
    let (_harness, _broker, address, _running) = configured("idleTimeout=1").await;
    let mut client = Client::connect(address).await;
    let begun = Instant::now();
    client.write([PREFACE, SETTINGS].concat()).await;
    client.ended().await;
    let taken = begun.elapsed();
    assert!(taken > Duration::from_millis(900) && taken < Duration::from_secs(10), "{taken:?}");
}
