//! The certificate of a TLS server, from a directory in which Kubernetes or a person replaces it at any time.
//!
//! A pair is used only as a whole: the key must fit the certificate. What cannot be used changes nothing and is logged
//! once. Knows no sockets: whoever serves asks [`Certificates`] at each handshake.
//!
//! Source: spec ingress 6; rustls for what keys it takes (PKCS#8, PKCS#1, SEC1).

use std::hash::{DefaultHasher, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use millrace_config::snapshot::Snapshot;
use millrace_config::watch::{self, Watch, WatchError, WatchSettings};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tracing::{info, warn};

use crate::startup::with_causes;

pub mod verify;

/// The certificate chain, as PEM.
const CERTIFICATE: &str = "tls.crt";
/// Its private key, as PEM.
const KEY: &str = "tls.key";

/// Why a pair of files is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file is there and cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No PEM, or not of what is needed.
    #[error("no usable PEM in {path}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The key is of no kind that is supported, or belongs to another certificate.
    #[error("{certificate} and {key} make no certificate")]
    Pair {
        /// The chain.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// What is wrong with them.
        source: rustls::Error,
    },
}

/// The certificate in force, if there is one. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Certificates(Snapshot<Option<Arc<CertifiedKey>>>);

impl Certificates {
    /// Whether there is one.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.0.load().is_some()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().as_ref().clone()
    }
}

/// Keeps [`Certificates`] as the files in a directory are.
#[derive(Debug)]
pub struct CertificateFiles {
    directory: PathBuf,
    certificates: Certificates,
    /// Hash of the content last looked at, good or bad.
    seen: Option<u64>,
    /// What was last complained of.
    complaint: Option<String>,
}

impl CertificateFiles {
    /// Reads the files. Absent ones, or one without the other, are no certificate and no error. Blocks.
    ///
    /// # Errors
    /// When there are files that cannot be used.
    pub fn open(directory: &Path) -> Result<Self, CertificateError> {
        let certificates = Certificates::default();
        let mut files = Self { directory: directory.to_owned(), certificates, seen: None, complaint: None };
        files.read()?;
        Ok(files)
    }

    /// What the files say, now and later.
    #[must_use]
    pub fn certificates(&self) -> Certificates {
        self.certificates.clone()
    }

    /// Looks again whenever the files may have changed, on a thread of its own. The directory need not exist yet.
    /// `on_change` is told after each change whether there is a certificate; it must not block.
    ///
    /// # Errors
    /// When the operating system has no watcher or no thread to give.
    pub fn watch(
        mut self,
        settings: WatchSettings,
        on_change: impl Fn(bool) + Send + 'static,
    ) -> Result<Watch, WatchError> {
        let directory = self.directory.clone();
        watch::watch(vec![directory], settings, move || {
            if self.look() {
                on_change(self.certificates.is_present());
            }
        })
    }

    /// True when another certificate, or none, is in force.
    fn look(&mut self) -> bool {
        let was_present = self.certificates.is_present();
        match self.read() {
            Ok(false) => false,
            Ok(true) => {
                self.complaint = None;
                match (was_present, self.certificates.is_present()) {
                    (true, true) => info!("Succeeded to update TLS key pair"),
                    (false, true) => info!(path = %self.directory.display(), "TLS key pair found"),
                    (_, false) => info!(path = %self.directory.display(), "TLS key pair is gone"),
                }
                true
            }
            Err(error) => {
                let complaint = with_causes(&error);
                if self.complaint.as_ref() != Some(&complaint) {
                    let instead = if was_present { "the previous one stays in force" } else { "there is none" };
                    warn!(error = complaint, "TLS key pair cannot be used, {instead}");
                    self.complaint = Some(complaint);
                }
                false
            }
        }
    }

    /// True when something else is in force than before.
    fn read(&mut self) -> Result<bool, CertificateError> {
        let (certificate_path, key_path) = (self.directory.join(CERTIFICATE), self.directory.join(KEY));
        let (certificate, key) = (read(&certificate_path)?, read(&key_path)?);
        let (Some(certificate), Some(key)) = (certificate, key) else {
            self.seen = None;
            let was_present = self.certificates.is_present();
            self.certificates.0.publish(None);
            return Ok(was_present);
        };
        let seen = Some(hash(&certificate, &key));
        if seen == self.seen {
            return Ok(false);
        }
        // Bad content is remembered too: it is not tried again until it is another one.
        self.seen = seen;
        let certified = certify((&certificate_path, &certificate), (&key_path, &key))?;
        self.certificates.0.publish(Some(Arc::new(certified)));
        Ok(true)
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, CertificateError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        // Not a directory: the parent is a file. Either way there is no such file.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(CertificateError::Read { path: path.to_owned(), source }),
    }
}

fn hash(certificate: &[u8], key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_usize(certificate.len());
    hasher.write(certificate);
    hasher.write(key);
    hasher.finish()
}

fn certify(
    (certificate, chain): (&Path, &[u8]),
    (key, private): (&Path, &[u8]),
) -> Result<CertifiedKey, CertificateError> {
    let no_pem = |path: &Path| {
        let path = path.to_owned();
        move |source| CertificateError::Pem { path, source }
    };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(no_pem(certificate))?;
    if chain.is_empty() {
        return Err(no_pem(certificate)(pem::Error::NoItemsFound));
    }
    let private = PrivateKeyDer::from_pem_slice(private).map_err(no_pem(key))?;
    let pair = CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider());
    pair.map_err(|source| CertificateError::Pair { certificate: certificate.to_owned(), key: key.to_owned(), source })
}

/// What two files say now, for a server that never looks again. Blocks.
///
/// # Errors
/// When they are missing or cannot be used.
pub fn certified(certificate: &Path, key: &Path) -> Result<Certificates, CertificateError> {
    let read = |path: &Path| fs::read(path).map_err(|source| CertificateError::Read { path: path.to_owned(), source });
    let pair = certify((certificate, &read(certificate)?), (key, &read(key)?))?;
    Ok(Certificates(Snapshot::new(Some(Arc::new(pair)))))
}

#[cfg(test)]
mod tests;
