//! When a guarded connection closes itself, with paused time.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

const LOOK: Duration = Duration::from_secs(1);

fn guarded(limits: Limits) -> (Guarded<DuplexStream>, DuplexStream) {
    let (ours, theirs) = duplex(1024);
    (Guarded::new(ours, limits), theirs)
}

/// Reads until the connection closes itself; how long that takes.
async fn closes_after(stream: &mut Guarded<DuplexStream>) -> Duration {
    let began = Instant::now();
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn any_traffic_puts_the_idle_time_out_off() {
    let (mut stream, mut other) = guarded(Limits { idle: Some(Duration::from_secs(10)), ..Limits::default() });
    tokio::time::advance(Duration::from_secs(9)).await;
    stream.write_u8(1).await.unwrap();
    tokio::time::advance(Duration::from_secs(9)).await;
    other.write_u8(1).await.unwrap();
    stream.read_u8().await.unwrap();
    assert_eq!(closes_after(&mut stream).await.as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn reading_and_writing_have_their_own_time_outs() {
    let limits = Limits { read_idle: Some(Duration::from_secs(10)), ..Limits::default() };
    let (mut stream, _other) = guarded(limits);
    tokio::time::advance(Duration::from_secs(6)).await;
    stream.write_u8(1).await.unwrap();
    assert_eq!(closes_after(&mut stream).await.as_secs(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_unused_connection_is_closed_when_the_server_would_close_it() {
    let (mut stream, mut other) = guarded(Limits { look_every: Some(LOOK), ..Limits::default() });
    stream.write_u8(1).await.unwrap();
    other.write_u8(1).await.unwrap();
    stream.read_u8().await.unwrap();
    let handle = stream.handle.clone();
    let request = handle.headed(Some(Duration::from_secs(5)));
    handle.answered(request);
    let after = closes_after(&mut stream).await;
    assert!((Duration::from_secs(5)..=Duration::from_secs(6)).contains(&after), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_in_use_is_not_closed_on_the_word_of_an_earlier_answer() {
    let (mut stream, mut other) = guarded(Limits { look_every: Some(LOOK), ..Limits::default() });
    let handle = stream.handle.clone();
    stream.write_u8(1).await.unwrap();
    other.write_u8(1).await.unwrap();
    stream.read_u8().await.unwrap();
    let request = handle.headed(Some(Duration::from_secs(5)));
    // The next request is on its way before the sender of the first has heard the end of its answer.
    stream.write_u8(2).await.unwrap();
    handle.answered(request);
    let waited = tokio::time::timeout(Duration::from_secs(60), stream.read_u8()).await;
    assert!(waited.is_err(), "it waits for the second answer: {waited:?}");
}

#[tokio::test(start_paused = true)]
async fn what_comes_before_a_head_is_counted_for_each_request_alone() {
    let (mut stream, mut other) = guarded(Limits { http1: true, ..Limits::default() });
    let handle = stream.handle.clone();
    let chunk = vec![0; 1024];
    let mut read = vec![0; 1024];
    for _ in 0..3 {
        stream.write_u8(1).await.unwrap();
        for _ in 0..200 {
            other.write_all(&chunk).await.unwrap();
            stream.read_exact(&mut read).await.unwrap();
        }
        handle.headed(None);
        for _ in 0..200 {
            other.write_all(&chunk).await.unwrap();
            stream.read_exact(&mut read).await.unwrap();
        }
    }
}
