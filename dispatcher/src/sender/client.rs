//! Builds the HTTP client of a sender from the web client properties: pool, time-outs, TLS.
//!
//! The only file that knows which HTTP client is used. It never follows redirects, never uses a proxy and never
//! retries a request of which a byte was written.
//! Source: dispatcher spec 3.3, 3.4, 9.4; design row 17 (system roots).

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
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

use super::connect::{Tcp, Within};
use crate::outcome::Failure;

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

/// A pooled client for one scheme.
#[derive(Clone, Debug)]
pub(crate) enum Client {
    Plain(legacy::Client<Tcp, Full<Bytes>>),
    Tls(legacy::Client<Within<HttpsConnector<Tcp>>, Full<Bytes>>),
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
            return Ok(Self::Plain(pool(settings).build(connector)));
        }
        let config = tls_config(settings, roots)?;
        let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
        let connector = if settings.http2 {
            builder.enable_all_versions().wrap_connector(connector)
        } else {
            builder.enable_http1().wrap_connector(connector)
        };
        Ok(Self::Tls(pool(settings).build(Within::new(connector, settings))))
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    ///
    /// When there is no connection, or it breaks before the head is complete.
    pub(crate) async fn request(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        let result = match self {
            Self::Plain(client) => client.request(request).await,
            Self::Tls(client) => client.request(request).await,
        };
        result.map_err(|error| {
            if error.is_connect() {
                Failure::Connect(with_causes(&error))
            } else {
                Failure::Transport(with_causes(&error))
            }
        })
    }
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
        // The peer bounds their bytes only; hyper's own limit of 100 would fail answers that it takes.
        .http1_max_headers(settings.max_header_size / SHORTEST_HEADER)
        // The smallest that hyper allows; the header limit of the properties lies above it.
        .http1_max_buf_size((settings.max_header_size + settings.max_initial_line_length).max(8192));
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
