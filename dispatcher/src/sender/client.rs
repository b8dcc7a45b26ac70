//! Builds the HTTP client of a sender from the web client properties: pool, time-outs, TLS.
//!
//! Which HTTP client is used only this file and `pool` know. It never follows redirects, never uses a proxy and never
//! retries a request of which a byte was written.
//! Source: dispatcher spec 3.3, 3.4, 9.4; design row 17 (system roots).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Uri, Version};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use millrace_config::properties::http_client::HttpClientSettings;
use millrace_runtime::startup::with_causes;
use millrace_runtime::tls::verify::Verifier;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::answer::{AnswerBody, Answers};
use super::connect::{Tcp, Within};
use super::guard::Handle;
use super::pool::Pool;
use crate::outcome::{Answer, Failure};

/// Bytes of a header line that is as short as headers in use are; shorter ones have a place as long as others are longer.
const SHORTEST_HEADER: usize = 16;

/// The certificates of authorities that a role trusts, besides the system's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TrustedRoots {
    /// PEM texts, each with one or more certificates.
    pub(crate) bundles: Vec<String>,
}

/// Why no client could be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("CA certificates are not valid PEM: {0}")]
    Pem(String),
    #[error("CA certificate is not usable: {0}")]
    Certificate(String),
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// The client of one target.
#[derive(Debug)]
pub(crate) enum Client {
    /// What nearly all subscribers in a cluster speak.
    Http1(Pool),
    /// In clear text, known beforehand.
    Http2(Uri, legacy::Client<Tcp, Full<Bytes>>),
    /// Whatever the handshake says.
    Tls(Uri, legacy::Client<Within<HttpsConnector<Tcp>>, Full<Bytes>>),
}

impl Client {
    /// A client for the scheme of `target`.
    ///
    /// # Errors
    ///
    /// When TLS is needed and cannot be set up.
    pub(crate) fn new(target: &Uri, settings: &HttpClientSettings, roots: &TrustedRoots) -> Result<Self, ClientError> {
        let connector = Tcp::new(settings);
        if target.scheme() != Some(&Scheme::HTTPS) {
            return Ok(if settings.http2 && !settings.use_alpn {
                Self::Http2(target.clone(), pool(settings).build(connector))
            } else {
                Self::Http1(Pool::new(target, settings, http1_builder(settings)))
            });
        }
        let config = tls_config(settings, roots)?;
        let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
        let connector = if settings.http2 {
            builder.enable_all_versions().wrap_connector(connector)
        } else {
            builder.enable_http1().wrap_connector(connector)
        };
        Ok(Self::Tls(target.clone(), pool(settings).build(Within::new(connector, settings))))
    }

    /// Sends a request and reads its answer, all within `timeout`. Says which version of HTTP it came in, if that is not
    /// known beforehand.
    ///
    /// # Errors
    ///
    /// When there is no connection, it breaks, or the time is over, and as [`Answers::read`].
    pub(super) async fn exchange(
        &self,
        mut request: Request<Full<Bytes>>,
        (answers, wanted): (Answers, AnswerBody),
        timeout: Duration,
        seen: impl FnOnce(Version),
    ) -> Result<Answer, Failure> {
        let sent = match self {
            Self::Http1(pool) => return pool.exchange(request, answers, wanted, timeout).await,
            Self::Http2(target, client) => {
                *request.uri_mut() = target.clone();
                client.request(request)
            }
            Self::Tls(target, client) => {
                *request.uri_mut() = target.clone();
                client.request(request)
            }
        };
        let exchange = async {
            let mut response = sent.await.map_err(|error| {
                if error.is_connect() {
                    Failure::Connect(with_causes(&error))
                } else {
                    Failure::Transport(with_causes(&error))
                }
            })?;
            seen(response.version());
            let handle = response.extensions_mut().remove::<Handle>();
            answers.read(response, wanted, handle.as_ref()).await
        };
        // Boxed, since few need it: what most deliveries carry along is small.
        tokio::time::timeout(timeout, Box::pin(exchange)).await.map_err(|_elapsed| Failure::TimedOut(timeout))?
    }
}

fn http1_builder(settings: &HttpClientSettings) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_headers(max_headers(settings)).max_buf_size(max_buffer_bytes(settings));
    builder
}

/// The peer bounds their bytes only; hyper's own limit of 100 would fail answers that it takes.
fn max_headers(settings: &HttpClientSettings) -> usize {
    settings.max_header_size / SHORTEST_HEADER
}

/// At least the smallest that hyper allows; the header limit of the properties lies above it.
fn max_buffer_bytes(settings: &HttpClientSettings) -> usize {
    (settings.max_header_size + settings.max_initial_line_length).max(8192)
}

fn pool(settings: &HttpClientSettings) -> legacy::Builder {
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(if settings.http2 { settings.http2_keep_alive_timeout } else { settings.keep_alive_timeout })
        .pool_max_idle_per_host(if settings.keep_alive { settings.max_pool_size } else { 0 })
        .http2_only(settings.http2 && !settings.use_alpn)
        .http2_initial_connection_window_size(settings.http2_connection_window)
        .http2_max_header_list_size(u32::try_from(settings.max_header_size).unwrap_or(u32::MAX))
        .http1_max_headers(max_headers(settings))
        .http1_max_buf_size(max_buffer_bytes(settings));
    builder
}

fn tls_config(settings: &HttpClientSettings, roots: &TrustedRoots) -> Result<ClientConfig, ClientError> {
    let mut store = if settings.system_roots { system_roots().clone() } else { RootCertStore::empty() };
    let mut given = Vec::new();
    for bundle in &roots.bundles {
        for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            let certificate = certificate.map_err(|error| ClientError::Pem(error.to_string()))?;
            store.add(certificate.clone()).map_err(|error| ClientError::Certificate(error.to_string()))?;
            given.push(certificate);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Tls(error.to_string()))?;
    let verifier = if settings.trust_all {
        Verifier::trusting_all(provider)
    } else if given.is_empty() && settings.verify_host {
        return Ok(builder.with_root_certificates(store).with_no_client_auth());
    } else {
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider))
            .build()
            .map_err(|error| ClientError::Tls(error.to_string()))?;
        Verifier::trusting(provider, chain, given, !settings.verify_host)
    };
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

/// The machine's certificate authorities, read at the first need: most clusters deliver over plain HTTP.
fn system_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut store = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in found.errors {
            tracing::warn!(%error, "a system CA certificate cannot be read");
        }
        store.add_parsable_certificates(found.certs);
        store
    })
}
