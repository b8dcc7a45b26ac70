//! When a reading starts, and what is answered while it runs. The API server is a stand-in.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use millrace_config::contract::Reference;
use millrace_runtime::cluster::Cluster;
use millrace_runtime::testing::{ApiServer, secret_path};
use tempfile::TempDir;

use super::*;

fn auth(name: &str) -> Auth {
    Auth::Secret(Reference { namespace: "ns".to_owned(), name: name.to_owned(), ..Reference::default() })
}

struct Fixture {
    api: ApiServer,
    vault: Vault,
    drain: Drain,
    read: Receiver<()>,
    _folder: TempDir,
}

/// Readings run on the runtime of the test, whose thread must not block: see [`wait`].
fn fixture() -> Fixture {
    let (api, folder) = (ApiServer::start(), TempDir::new().unwrap());
    let cluster = Cluster::of_kubeconfig(api.kubeconfig(folder.path()), Duration::from_secs(10));
    let (wake, read) = channel();
    let drain = Drain::new(Duration::from_secs(5));
    let reader = Reader::new(Secrets::new(cluster), drain.clone());
    let vault = Vault::new(reader, move || wake.send(()).unwrap_or_default());
    Fixture { api, vault, drain, read, _folder: folder }
}

fn wait(read: &Receiver<()>) {
    tokio::task::block_in_place(|| read.recv_timeout(Duration::from_secs(10)).expect("a reading ends"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_is_started_once_and_answered_when_it_ends() {
    let it = fixture();
    it.api.secret("ns", "s", [("protocol", "PLAINTEXT")]);
    let since = Instant::now();
    for _ in 0..3 {
        assert!(matches!(it.vault.find(&auth("s"), since), Found::Reading));
    }
    wait(&it.read);
    assert!(matches!(it.vault.find(&auth("s"), since), Found::Credentials(_)));
    assert_eq!(it.api.count("GET", &secret_path("ns", "s")), 1);
    assert!(matches!(it.vault.find(&auth("s"), Instant::now()), Found::Reading), "what came later reads again");
}

#[tokio::test(flavor = "multi_thread")]
async fn forgotten_secrets_are_not_kept() {
    let it = fixture();
    it.api.secret("ns", "s", [("protocol", "PLAINTEXT")]);
    let since = Instant::now();
    it.vault.find(&auth("s"), since);
    wait(&it.read);
    it.vault.forget_others([&auth("s")].into_iter());
    assert!(matches!(it.vault.find(&auth("s"), since), Found::Credentials(_)));
    it.vault.forget_others(std::iter::empty());
    assert!(lock(&it.vault.known).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_does_not_wait_for_a_reading_that_hangs() {
    let it = fixture();
    it.api.hang(&secret_path("ns", "s"));
    assert!(matches!(it.vault.find(&auth("s"), Instant::now()), Found::Reading));
    let begun = Instant::now();
    assert!(it.drain.finish().await);
    assert!(begun.elapsed() < Duration::from_secs(4));
}
