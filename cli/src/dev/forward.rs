//! A fixed port for the embedded broker: takes connections there and passes their bytes to the broker's own port.
//!
//! Knows nothing of Kafka. Loopback only.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections at a time. Further ones wait in the system's backlog until one ends.
const MOST_CONNECTIONS: usize = 1024;

/// The running forwarder.
pub(crate) struct Forward {
    port: u16,
    tasks: TaskTracker,
}

impl Forward {
    /// The port that was really opened.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns when every connection has ended after the token was cancelled.
    pub(crate) async fn ended(self) {
        self.tasks.wait().await;
    }
}

/// Starts to forward; port 0 takes any free one.
///
/// # Errors
/// When the port cannot be opened.
pub(crate) async fn start(port: u16, to: SocketAddr, stop: CancellationToken) -> std::io::Result<Forward> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let port = listener.local_addr()?.port();
    let tasks = TaskTracker::new();
    tasks.spawn(accept(listener, to, stop, tasks.clone()));
    tasks.close();
    Ok(Forward { port, tasks })
}

async fn accept(listener: TcpListener, to: SocketAddr, stop: CancellationToken, tasks: TaskTracker) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = stop.cancelled() => return,
            next = next => next,
        };
        match accepted {
            Ok((client, _)) => {
                let stop = stop.clone();
                tasks.spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = pass(client, to) => {}
                    }
                    drop(place);
                });
            }
            // Out of descriptors, most likely: they come back when connections end.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
}

async fn pass(mut client: TcpStream, to: SocketAddr) {
    let Ok(mut broker) = TcpStream::connect(to).await else { return };
    // Without it small requests wait for acknowledgements, 40 ms each. Where it fails, only speed is lost.
    drop(client.set_nodelay(true));
    drop(broker.set_nodelay(true));
    // An error is one side going away, which ends the other: just what a broker's connection would do.
    drop(tokio::io::copy_bidirectional(&mut client, &mut broker).await);
}
