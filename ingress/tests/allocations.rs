//! What a binary event takes from the heap on its way through ingress, by who takes it.
//!
//! hyper, tokio and the Kafka client allocate for themselves; that is their business. Ours is to take nothing once warm.
//! Every allocation is traced back to the first crate that is not a mere container, so a new one names its place.
//! Source: issue 4, "counted in a test".

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]
#![expect(unsafe_code, reason = "counting allocations needs an allocator of one's own")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

#[path = "integration/broker.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod broker;
#[path = "integration/harness.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod harness;

use harness::*;

struct Counting;

static ARMED: AtomicBool = AtomicBool::new(false);
static TRACES: Mutex<Vec<String>> = Mutex::new(Vec::new());

thread_local! {
    static TRACING: Cell<bool> = const { Cell::new(false) };
}

fn note() {
    if !ARMED.load(Ordering::Relaxed) {
        return;
    }
    // Tracing allocates too, and threads end.
    let entered = TRACING.try_with(|tracing| !tracing.replace(true)).unwrap_or(false);
    if entered {
        let trace = Backtrace::force_capture().to_string();
        TRACES.lock().unwrap().push(trace);
        TRACING.with(|tracing| tracing.set(false));
    }
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Crates that allocate only because somebody asks them to.
const CONTAINERS: [&str; 6] = ["bytes-", "smallvec-", "http-1", "futures-util-", "hashbrown-", "indexmap-"];
/// The name of everything of ours.
const OURS: &str = "ours";

/// Whose code asked: the folder of the first file up the stack that is no container's. Files tell more than the names of
/// functions, of which inlined ones have no crate.
fn taker(trace: &str) -> (String, String) {
    for file in trace.lines().filter_map(|line| line.trim().strip_prefix("at ")) {
        let krate = match file.split_once("/registry/src/") {
            // The C library's own start of threads is the last file of every stack.
            _ if file.contains("/rustc/")
                || file.contains("nptl")
                || file.contains("sysdeps")
                || file.contains("tests/allocations.rs:") =>
            {
                continue;
            }
            Some((_, in_registry)) => in_registry.split('/').nth(1).unwrap_or_default(),
            // The client is the test's.
            None if file.contains("tests/") => "test",
            None => OURS,
        };
        if !CONTAINERS.iter().any(|container| krate.starts_with(container)) {
            return (krate.to_owned(), file.to_owned());
        }
    }
    (String::new(), String::new())
}

#[tokio::test]
async fn a_binary_event_takes_nothing_from_the_heap_that_is_ours() {
    const EVENTS: usize = 20;
    let (_harness, _broker, running) = one_target().await;
    let headers = [
        ("content-type", "application/json"),
        ("ce-subject", "a subject"),
        ("ce-time", "2026-01-02T03:04:05Z"),
        ("ce-partitionkey", "key"),
        ("ce-comexampleextension", "value"),
    ];
    let request = request("/ns/name", &headers, &"x".repeat(1024));
    let mut client = Client::connect(running.address()).await;
    // Warm: slots, buffers, metric series, the topic's metadata.
    for _ in 0..200 {
        assert_eq!(client.ask(&request).await.status, 202);
    }
    ARMED.store(true, Ordering::Relaxed);
    for _ in 0..EVENTS {
        assert_eq!(client.ask(&request).await.status, 202);
    }
    ARMED.store(false, Ordering::Relaxed);
    let traces = std::mem::take(&mut *TRACES.lock().unwrap());
    let (mut takers, mut files) = (BTreeMap::<String, usize>::new(), BTreeMap::<String, usize>::new());
    let mut ours = Vec::new();
    // Files are looked at on threads of their own, now and then.
    let watching = |trace: &String| trace.contains("/src/watch") || trace.contains("notify::");
    for trace in traces.iter().filter(|trace| !watching(trace)) {
        let (krate, file) = taker(trace);
        *files.entry(format!("{krate} {}", file.rsplit("/src/").next().unwrap_or(&file))).or_default() += 1;
        if krate.is_empty() {
            println!("UNKNOWN {trace}");
        }
        if krate == OURS {
            ours.push(format!("{file}\n{trace}"));
        }
        *takers.entry(krate).or_default() += 1;
    }
    println!("allocations for {EVENTS} events: {takers:?}, by place: {files:#?}");
    // A stack without a file would hide its taker.
    assert!(!takers.contains_key(""), "{takers:?}");
    // The method works only if it sees what is certainly there.
    assert!(takers.keys().any(|krate| krate.starts_with("rdkafka-")), "{takers:?}");
    assert!(ours.is_empty(), "{} for {EVENTS} events, the first: {}", ours.len(), ours[0]);
}
