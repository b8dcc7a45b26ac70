//! HTTP/2: in clear text where it is asked for, over TLS where the server agrees.

use std::sync::atomic::AtomicUsize;

use futures_util::future::join_all;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::*;

/// Holds every request until `gate` has a permit.
struct Http2 {
    url: String,
    certificate: String,
    accepted: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
    task: JoinHandle<()>,
}

impl Http2 {
    /// With `alpn` over TLS.
    async fn start(alpn: Option<&[&str]>) -> Self {
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let acceptor = alpn.map(|names| {
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der()));
            let mut config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![signed.cert.der().clone()], key)
                .unwrap();
            config.alpn_protocols = names.iter().map(|name| name.as_bytes().to_vec()).collect();
            TlsAcceptor::from(Arc::new(config))
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{}/", listener.local_addr().unwrap().port());
        let (accepted, requests, gate) = (Arc::default(), Arc::default(), Arc::new(Semaphore::new(0)));
        let (counted, seen, held) = (Arc::clone(&accepted), Arc::clone(&requests), Arc::clone(&gate));
        #[expect(clippy::disallowed_methods, reason = "ended by Drop")]
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _address) = listener.accept().await.unwrap();
                let (seen, held, acceptor) = (Arc::clone(&seen), Arc::clone(&held), acceptor.clone());
                AtomicUsize::fetch_add(&counted, 1, Ordering::SeqCst);
                connections.spawn(async move {
                    let service = service_fn(move |_request| {
                        let (seen, held) = (Arc::clone(&seen), Arc::clone(&held));
                        async move {
                            AtomicUsize::fetch_add(&seen, 1, Ordering::SeqCst);
                            held.acquire().await.unwrap().forget();
                            Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(Bytes::new())))
                        }
                    });
                    let server = auto::Builder::new(TokioExecutor::new());
                    // Clients come and go as they like.
                    match acceptor {
                        None => drop(server.serve_connection(TokioIo::new(stream), service).await),
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                drop(server.serve_connection(TokioIo::new(stream), service).await);
                            }
                        }
                    }
                });
            }
        });
        Self { url, certificate: signed.cert.pem(), accepted, requests, gate, task }
    }

    fn sender(&self, properties: &str) -> Sender {
        let settings = http_client::http_client(&grammar::parse(properties.as_bytes()).unwrap()).unwrap();
        let roots = TrustedRoots { bundles: vec![self.certificate.clone()] };
        Sender::new(&self.url.parse().unwrap(), &settings, &roots).unwrap()
    }

    async fn send(&self, sender: &Sender) -> Result<Answer, Failure> {
        let answer = AnswerBody::Ignored;
        let connection = sender.connection().await?;
        connection.attempt(Outgoing { headers: HeaderMap::new(), body: Bytes::new(), answer }, TIMEOUT).await
    }

    /// Sends `count` requests at a time and lets them be answered once `held` of them are held.
    async fn send_many(&self, sender: &Sender, count: usize, held: usize) {
        let before = self.requests.load(Ordering::SeqCst);
        let answering = async {
            while self.requests.load(Ordering::SeqCst) < before + held {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            self.gate.add_permits(count);
        };
        let (results, ()) = tokio::join!(join_all((0..count).map(|_| self.send(sender))), answering);
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn in_clear_text_all_requests_share_one_connection() {
    let server = Http2::start(None).await;
    let sender = server.sender("protocolVersion=HTTP_2\nmaxPoolSize=1");
    server.send_many(&sender, 20, 20).await;
    assert_eq!(server.accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_multiplexing_limit_bounds_requests_at_a_time() {
    let server = Http2::start(None).await;
    let sender = server.sender("protocolVersion=HTTP_2\nhttp2MultiplexingLimit=3");
    let held: Vec<_> = std::iter::from_fn(|| sender.try_connection()).collect();
    assert_eq!(held.len(), 3);
}

#[tokio::test]
async fn over_tls_requests_share_a_connection_once_the_server_has_agreed() {
    let server = Http2::start(Some(&["h2", "http/1.1"])).await;
    let sender = server.sender("protocolVersion=HTTP_2\nuseAlpn=true\nmaxPoolSize=1");
    server.send_many(&sender, 1, 1).await;
    server.send_many(&sender, 20, 20).await;
    assert_eq!(server.accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_server_that_does_not_agree_gets_http_1_within_the_bounds_of_the_pool() {
    for (alpn, properties) in [
        (&["http/1.1"][..], "protocolVersion=HTTP_2\nuseAlpn=true\nmaxPoolSize=2"),
        (&["h2", "http/1.1"][..], "maxPoolSize=2"),
        (&["h2", "http/1.1"][..], "useAlpn=true\nmaxPoolSize=2"),
    ] {
        let server = Http2::start(Some(alpn)).await;
        let sender = server.sender(properties);
        server.send_many(&sender, 2, 2).await;
        server.send_many(&sender, 10, 2).await;
        assert_eq!(server.accepted.load(Ordering::SeqCst), 2, "{properties}");
    }
}
