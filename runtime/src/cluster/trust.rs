//! A client for an API server that shows the very certificate that its configuration trusts.
//!
//! Such certificates say of themselves that they are an authority's (`openssl req -x509` makes them so), and rustls takes
//! none of these from a server; Java and Go do. Used only when a server was found to show one. Certificates of
//! authorities are read once here, not again when they change, as the usual client does.
//! Source: dispatcher spec 10 and ingress spec 4.1 for what must be reachable; rustls for what it refuses.

use std::sync::Arc;

use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use kube::{Client, Config};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::CertificateDer;
use tower::{BoxError, ServiceBuilder};

use super::ClusterError;
use super::connection::reason;
use crate::tls::verify::{AUTHORITY_AS_SERVER, Verifier};

/// Whether a call that failed for `error` may succeed with [`client`]. Nothing of the request was sent then.
pub(super) fn may_help(config: &Config, error: &ClusterError) -> bool {
    let refused = matches!(error, ClusterError::Unreachable { reason, .. } if reason.contains(AUTHORITY_AS_SERVER));
    let usual = config.proxy_url.is_none() && config.tls_server_name.is_none() && !config.accept_invalid_certs;
    refused && usual && config.root_cert.is_some()
}

/// As the usual client, but for certificates that are `root_cert` themselves. Their names and validity count as ever.
pub(super) fn client(config: &Config) -> Result<Client, ClusterError> {
    let unusable = |reason| ClusterError::Configuration { reason };
    let given: Vec<_> = config.root_cert.iter().flatten().cloned().map(CertificateDer::from).collect();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(given.iter().cloned());
    let mut tls = config.rustls_client_config().map_err(|error| unusable(reason(&error)))?;
    let provider = Arc::clone(tls.crypto_provider());
    let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| unusable(reason(&error)))?;
    let verifier = Verifier::trusting(provider, chain, given, false);
    tls.dangerous().set_certificate_verifier(Arc::new(verifier));
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(config.connect_timeout);
    let https = HttpsConnector::from((http, Arc::new(tls)));
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(|error| unusable(reason(&error)))?)
        .layer(config.extra_headers_layer().map_err(|error| unusable(reason(&error)))?)
        .map_err(BoxError::from)
        .service(legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(https));
    Ok(Client::new(service, config.default_namespace.clone()))
}
