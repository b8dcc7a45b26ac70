//! Clients that mean harm: floods, drips and lies, each beside a good one that must not notice.
//!
//! After each: the good client was always served, nothing of the others was stored, memory is where it was.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::harness::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// What a good client puts up with on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// Resident memory that an attack may cost.
const ROOM_KIB: u64 = 32 * 1024;
/// And what one open connection may cost that has sent part of a head, in a build without optimisation: hyper's buffer is
/// 8 KiB of it.
const CONNECTION_KIB: u64 = 40;
/// Connections at a time, and one after the other.
const OPEN: usize = 5000;
const IN_TURN: usize = 5000;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// HPACK: POST, http, and "/ns/name" in full, with an event's headers. All literal.
fn head() -> Vec<u8> {
    let mut block = vec![0x83, 0x86, 0x04, 8];
    block.extend_from_slice(b"/ns/name");
    for (name, value) in [("ce-specversion", "1.0"), ("ce-id", "evil"), ("ce-source", "/x"), ("ce-type", "t")] {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// Events on one connection until told to stop; each must be stored, and soon.
async fn be_good(address: std::net::SocketAddr, stop: CancellationToken) -> usize {
    let mut client = Client::connect(address).await;
    let mut sent = 0;
    while !stop.is_cancelled() {
        let begun = Instant::now();
        assert_eq!(client.ask(event("/ns/name")).await.status, 202);
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
        sent += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sent
}

/// Writes until the server has had enough or `limit` is over. True when the server ended the connection.
async fn pour(client: &mut Client, limit: Duration, mut next: impl FnMut() -> Option<Vec<u8>>) -> bool {
    let pouring = async {
        while let Some(bytes) = next() {
            if client.stream.write_all(&bytes).await.is_err() {
                return true;
            }
        }
        false
    };
    tokio::time::timeout(limit, pouring).await.unwrap_or(false)
}

/// Runs an attack beside a good client, and checks what must hold after it.
async fn beside_a_good_client(broker: &Broker, address: std::net::SocketAddr, attack: impl Future<Output = ()>) {
    let stop = CancellationToken::new();
    let mut good = JoinSet::new();
    good.spawn(be_good(address, stop.clone()));
    attack.await;
    stop.cancel();
    let sent = good.join_next().await.unwrap().unwrap();
    assert!(sent > 0);
    let records = broker.read("orders", sent);
    assert!(records.iter().all(|record| record.header("ce_id") == Some("1")), "an event of the attacker was stored");
}

fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn floods_end_their_connection_and_cost_little_memory() {
    let broker = Broker::with_topic("orders");
    let harness = super::process::harness_with_target(&broker);
    let mut process = super::process::spawn(&harness);
    let port = process.line("Receiver started").await["port"].as_u64().unwrap();
    let address = ([127, 0, 0, 1], u16::try_from(port).unwrap()).into();
    until_status(address, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", 200).await;
    until_status(address, &event("/ns/name"), 202).await;
    let (id, soon) = (process.child.id().unwrap(), Duration::from_secs(3));
    let before = resident_kib(id);
    beside_a_good_client(
        &broker,
        address,
        Box::pin(async {
            // Rapid reset: requests that are taken back at once.
            let mut client = Client::connect(address).await;
            client.write(PREFACE).await;
            let mut stream = 1;
            let ended = pour(&mut client, soon, || {
                let pair = [frame(1, 4, stream, &head()), frame(3, 0, stream, &[0, 0, 0, 8])].concat();
                stream += 2;
                (stream < 200_000).then_some(pair)
            });
            assert!(ended.await, "rapid reset");
            // A head that never ends.
            let mut client = Client::connect(address).await;
            client.write(PREFACE).await;
            client.write(frame(1, 0, 1, &head())).await;
            let mut frames = 0;
            let ended = pour(&mut client, soon, || {
                frames += 1;
                (frames < 100_000).then(|| frame(9, 0, 1, &[0; 1024]))
            });
            assert!(ended.await, "CONTINUATION");
            // Frames that want an answer each, of which none is read: the server stops reading or ends it.
            for (kind, payload) in [(4, &[][..]), (6, &[7; 8])] {
                let mut client = Client::connect(address).await;
                client.write(PREFACE).await;
                let mut frames = 0;
                pour(&mut client, soon, || {
                    frames += 1;
                    (frames < 2000).then(|| frame(kind, 0, 0, payload).repeat(100))
                })
                .await;
            }
            // One long header, named in full once and by one byte thousands of times after that.
            let mut client = Client::connect(address).await;
            client.write(PREFACE).await;
            let mut bomb = head();
            bomb.extend_from_slice(&[0x40, 1, b'x', 127, 0xa1, 0x1e]);
            bomb.extend_from_slice(&[b'y'; 4000]);
            bomb.extend_from_slice(&[0xbe; 10_000]);
            client.write(frame(1, 5, 1, &bomb)).await;
            flood_with_heads(address).await;
        }),
    )
    .await;
    let after = resident_kib(id);
    println!("floods: {before} KiB grew to {after} KiB");
    assert!(after - before < ROOM_KIB, "{before} KiB grew to {after} KiB");
    beside_a_good_client(&broker, address, Box::pin(hold_open(address))).await;
    let crowded = resident_kib(id);
    println!("{OPEN} open connections: {after} KiB grew to {crowded} KiB");
    assert!(crowded - after < OPEN as u64 * CONNECTION_KIB, "{after} KiB grew to {crowded} KiB");
}

/// HTTP/1: more headers, a longer line, more connections in turn than any client needs.
async fn flood_with_heads(address: std::net::SocketAddr) {
    let many = event("/ns/name").replace("ce-id: 1", &format!("ce-id: evil{}", "\r\na: b".repeat(100_000)));
    for (request, status) in [(many, 431), (event(&long_path(1 << 20)).replace("ce-id: 1", "ce-id: evil"), 414)] {
        let mut client = Client::connect(address).await;
        client.write(request).await;
        assert_eq!(client.answer().await.status, status);
        client.closed().await;
    }
    for _ in 0..IN_TURN {
        let mut client = Client::connect(address).await;
        client.write("POST /ns/name HTTP/1.1\r\nHost: x\r\nce-id: evil\r\n").await;
    }
}

/// Many connections at a time, each with a part of a head.
async fn hold_open(address: std::net::SocketAddr) {
    let mut open = Vec::new();
    for _ in 0..OPEN {
        let mut client = Client::connect(address).await;
        client.write("POST /ns/name HTTP/1.1\r\nHost: x\r\nce-id: evil\r\n").await;
        open.push(client);
    }
}

#[tokio::test]
async fn slow_clients_are_given_up_and_hold_nobody_up() {
    let (harness, broker, _) = one_target().await;
    harness.write(
        "config/httpserver.properties",
        "host=127.0.0.1\nmillrace.ingress.header.timeout.ms=800\nmillrace.ingress.body.timeout.ms=800\n\
         idleTimeout=2\nidleTimeoutUnit=SECONDS\n",
    );
    let running = harness.ready().await;
    let address = running.address();
    beside_a_good_client(
        &broker,
        address,
        Box::pin(async {
            let mut slow = JoinSet::new();
            for number in 0..2000 {
                slow.spawn(async move {
                    let mut client = Client::connect(address).await;
                    let whole = request("/ns/name", &[("ce-id", "evil")], &"x".repeat(1000));
                    let (begin, bytes) = match number % 3 {
                        // A head, and a body, by single bytes.
                        0 => ("", whole.into_bytes()),
                        1 => {
                            let (head, body) = whole.split_at(whole.len() - 1000);
                            client.write(head).await;
                            ("", body.as_bytes().to_vec())
                        }
                        // Nothing at all.
                        _ => ("", Vec::new()),
                    };
                    client.write(begin).await;
                    let mut bytes = bytes.into_iter();
                    let begun = Instant::now();
                    while let Some(byte) = bytes.next()
                        && client.stream.write_all(&[byte]).await.is_ok()
                        && begun.elapsed() < LIMIT
                    {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                    client.ended().await;
                    begun.elapsed()
                });
            }
            // Asks and asks, and never reads: in the end the server does not read either, and then ends it.
            let mut deaf = Client::connect(address).await;
            let asking = event("/unknown").replace("ce-id: 1", "ce-id: evil").repeat(100);
            let ended = pour(&mut deaf, Duration::from_secs(10), || Some(asking.clone().into_bytes())).await;
            assert!(ended, "a client that never reads");
            for taken in slow.join_all().await {
                assert!(taken < Duration::from_secs(20), "{taken:?}");
            }
        }),
    )
    .await;
}

#[tokio::test]
async fn bodies_that_lie_are_refused_before_they_are_buffered() {
    let (_harness, broker, running) = one_target().await;
    let address = running.address();
    beside_a_good_client(
        &broker,
        address,
        Box::pin(async {
            let head =
                |framing: &str| request("/ns/name", &[("ce-id", "evil")], "").replace("Content-Length: 0", framing);
            // 100 MiB announced: refused before any of it is sent.
            let mut client = Client::connect(address).await;
            client.write(head("Content-Length: 104857600")).await;
            assert_eq!(client.answer().await.status, 413);
            // 100 MiB in chunks: refused on the way.
            let mut client = Client::connect(address).await;
            client.write(head("Transfer-Encoding: chunked")).await;
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(65_536));
            let mut chunks = 0;
            pour(&mut client, Duration::from_secs(10), || {
                chunks += 1;
                (chunks <= 1600).then(|| chunk.clone().into_bytes())
            })
            .await;
            client.ended().await;
            let said = String::from_utf8_lossy(&client.received).into_owned();
            assert!(said.starts_with("HTTP/1.1 413 ") || said.is_empty(), "{said}");
            // Less than was announced, and the end.
            for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
                let mut client = Client::connect(address).await;
                client.write(head(framing) + "5\r\nhel").await;
                client.finish().await;
                client.ended().await;
                let said = String::from_utf8_lossy(&client.received).into_owned();
                assert!(!said.contains(" 202 "), "{framing}: {said}");
            }
        }),
    )
    .await;
}
