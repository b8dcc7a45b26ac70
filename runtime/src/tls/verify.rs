//! How the certificate of a server that we call is checked, where the usual way does not do.
//!
//! A certificate that the contract or a kubeconfig itself names is trusted as it is: also one that is marked as an authority's, as
//! `openssl req -x509` makes them, which rustls takes from nobody. Name, validity and key are checked all the same.
//! `trustAll=true` accepts any certificate; `verifyHost=false` accepts a trusted certificate for another host. The
//! handshake's signatures are always checked: whoever answers holds the key of the certificate shown.
//! Source: dispatcher spec 3.4, and 9.4 (Vert.x options of these names).

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

/// What rustls says of an authority's certificate that a server shows as its own; it has no name of its own for it.
pub(crate) const AUTHORITY_AS_SERVER: &str = "CaUsedAsEndEntity";

/// Checks what the operator and the contract ask for.
#[derive(Debug)]
pub struct Verifier {
    provider: Arc<CryptoProvider>,
    /// Absent: any certificate will do.
    chain: Option<Arc<WebPkiServerVerifier>>,
    /// Trusted as they are.
    given: Vec<CertificateDer<'static>>,
    any_host: bool,
}

impl Verifier {
    /// Accepts any certificate.
    #[must_use]
    pub fn trusting_all(provider: Arc<CryptoProvider>) -> Self {
        Self { provider, chain: None, given: Vec::new(), any_host: true }
    }

    /// Accepts certificates that `chain` trusts, and those of `given`; with `any_host` for whatever host.
    #[must_use]
    pub fn trusting(
        provider: Arc<CryptoProvider>,
        chain: Arc<WebPkiServerVerifier>,
        given: Vec<CertificateDer<'static>>,
        any_host: bool,
    ) -> Self {
        Self { provider, chain: Some(chain), given, any_host }
    }

    fn verify(
        &self,
        chain: &WebPkiServerVerifier,
        (end_entity, intermediates): (&CertificateDer<'_>, &[CertificateDer<'_>]),
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // Said after the validity was found good, and before the name was looked at.
            Err(Error::InvalidCertificate(CertificateError::Other(error)))
                if error.to_string() == AUTHORITY_AS_SERVER && self.given.iter().any(|given| given == end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match self.verify(chain, (end_entity, intermediates), server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.any_host => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
