//! What some installations have beside the usual: features, a certificate of the ingress, rights for tokens.

use std::path::PathBuf;

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use super::{DATA_PLANE, SYSTEM, apply_deploy};
use crate::folder::Mount;
use crate::kubernetes::Cluster;
use crate::kubernetes::objects::Objects;
use crate::plane::Plane;
use crate::process::Program;

/// The Secret with the certificate of the ingress.
const TLS_SECRET: &str = "kafka-channel-ingress-server-tls";

/// More than the usual.
#[derive(Debug, Default)]
pub struct Extras<'a> {
    /// Values of `config-features`, for control and the data plane. With tokens among them, all rights for tokens are there.
    pub features: &'a [(&'a str, &'a str)],
    /// Mounted by the ingress, and in its Secret for control.
    pub certificate: Option<&'a Certificate>,
}

/// A certificate for 127.0.0.1, which is its own authority.
#[derive(Debug)]
pub struct Certificate {
    /// PEM.
    pub certificate: String,
    key: String,
    folder: tempfile::TempDir,
}

impl Certificate {
    /// A new one.
    ///
    /// # Panics
    /// When the file system refuses.
    #[must_use]
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let parameters = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]);
        let certificate = parameters.expect("names are good").self_signed(&key).expect("it can be signed");
        let folder = tempfile::Builder::new().prefix("millrace-test-").tempdir().expect("a temporary folder");
        Self { certificate: certificate.pem(), key: key.serialize_pem(), folder }
    }

    fn mounted(&self) -> PathBuf {
        let files = [("tls.crt", self.certificate.as_bytes()), ("tls.key", self.key.as_bytes())];
        Mount::new(self.folder.path().join("tls"), &files).path().to_owned()
    }
}

impl Default for Certificate {
    fn default() -> Self {
        Self::new()
    }
}

impl Extras<'_> {
    pub(super) fn apply(&self, admin: &Objects) {
        set_features(admin, self.features);
        if self.features.contains(&("authentication-oidc", "enabled")) {
            apply_deploy(admin, &["components/oidc/token-creator.yaml", "components/identities/identity-creator.yaml"]);
        }
        if let Some(certificate) = self.certificate {
            let metadata = json!({"namespace": SYSTEM, "name": TLS_SECRET});
            let data = json!({"ca.crt": certificate.certificate, "tls.crt": certificate.certificate});
            let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data});
            admin.try_apply(&secret).unwrap_or_else(|refused| panic!("{refused}"));
        }
    }

    /// The ingress with the rights of the data plane's account.
    pub(super) fn ingress(&self, cluster: &Cluster, plane: &Plane) -> Program {
        let program = plane.ingress_program().env("KUBECONFIG", cluster.service_account(SYSTEM, DATA_PLANE));
        match self.certificate {
            Some(certificate) => program.env("MILLRACE_TLS_PATH", certificate.mounted()),
            None => program,
        }
    }
}

/// Writes `config-features`, unless there is nothing to say.
///
/// # Panics
/// When the server refuses it.
pub fn set_features(admin: &Objects, features: &[(&str, &str)]) {
    if features.is_empty() {
        return;
    }
    let data: serde_json::Map<String, Value> =
        features.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let metadata = json!({"namespace": SYSTEM, "name": "config-features"});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data});
    admin.try_apply(&map).unwrap_or_else(|refused| panic!("{refused}"));
}
