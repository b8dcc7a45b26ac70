//! Certificates as cert-manager, OpenSSL and half-finished copies leave them.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SignatureAlgorithm};

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

fn pair_of(algorithm: &'static SignatureAlgorithm) -> (String, KeyPair) {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key)
}

fn pair() -> (String, String) {
    let (certificate, key) = pair_of(&PKCS_ECDSA_P256_SHA256);
    (certificate, key.serialize_pem())
}

fn write(directory: &Path, (certificate, key): &(String, String)) {
    fs::write(directory.join(CERTIFICATE), certificate).unwrap();
    fs::write(directory.join(KEY), key).unwrap();
}

fn in_force(certificates: &Certificates) -> Option<Vec<u8>> {
    certificates.0.load().as_ref().as_ref().map(|key| key.end_entity_cert().unwrap().to_vec())
}

fn der(certificate: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap().to_vec()
}

/// The key within a PKCS#8 document, which begins after `header` bytes: PKCS#1 for RSA, SEC1 for curves.
fn unwrapped(key: &KeyPair, label: &str, header: usize) -> String {
    let der = key.serialize_der();
    let body = pem_lines(&der[header..]);
    format!("-----BEGIN {label}-----\n{body}-----END {label}-----\n")
}

fn pem_lines(der: &[u8]) -> String {
    der.chunks(48).map(|chunk| base64(chunk) + "\n").collect()
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let index = usize::try_from(bits >> (18 - 6 * place) & 63).unwrap();
            text.push(if place > group.len() { '=' } else { char::from(ALPHABET[index]) });
        }
    }
    text
}

#[test]
fn keys_may_be_written_in_each_of_the_three_ways() {
    let (certificate, key) = pair_of(&PKCS_RSA_SHA256);
    let (curve_certificate, curve_key) = pair_of(&PKCS_ECDSA_P256_SHA256);
    for (certificate, key) in [
        (&certificate, key.serialize_pem()),
        (&certificate, unwrapped(&key, "RSA PRIVATE KEY", 26)),
        (&curve_certificate, curve_key.serialize_pem()),
        (&curve_certificate, unwrapped(&curve_key, "EC PRIVATE KEY", 29)),
    ] {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &(certificate.clone(), key));
        let files = CertificateFiles::open(directory.path()).unwrap();
        assert_eq!(in_force(&files.certificates()), Some(der(certificate)));
    }
}

#[test]
fn one_file_without_the_other_is_no_certificate_and_no_error() {
    let directory = tempfile::tempdir().unwrap();
    let present = |directory: &Path| CertificateFiles::open(directory).unwrap().certificates().is_present();
    assert!(!present(&directory.path().join("absent")));
    assert!(!present(directory.path()));
    fs::write(directory.path().join(CERTIFICATE), pair().0).unwrap();
    assert!(!present(directory.path()));
}

#[test]
fn what_is_wrong_with_the_files_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = pair();
    let check = |certificate: &str, key: &str, expected: &str| {
        write(directory.path(), &(certificate.to_owned(), key.to_owned()));
        let error = with_causes(&CertificateFiles::open(directory.path()).map(drop).unwrap_err());
        assert!(error.contains(expected), "{error}");
    };
    check("", &key, "tls.crt");
    check("nonsense", &key, "tls.crt");
    check(&certificate, "", "tls.key");
    check(&certificate, &certificate, "tls.key");
    check(&certificate, &pair().1, "make no certificate");
    let (half, _) = certificate.split_at(certificate.len() / 2);
    check(half, &key, "tls.crt");
}

#[test]
fn a_new_pair_comes_into_force_and_half_of_one_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (pair(), pair());
    write(directory.path(), &first);
    let mut files = CertificateFiles::open(directory.path()).unwrap();
    let certificates = files.certificates();
    assert!(!files.look());
    fs::write(directory.path().join(CERTIFICATE), &second.0).unwrap();
    assert!(!files.look());
    let complaint = files.complaint.clone();
    assert!(complaint.as_ref().is_some_and(|complaint| complaint.contains("make no certificate")), "{complaint:?}");
    assert!(!files.look());
    assert_eq!(in_force(&certificates), Some(der(&first.0)));
    fs::write(directory.path().join(KEY), &second.1).unwrap();
    assert!(files.look());
    assert_eq!((in_force(&certificates), files.complaint), (Some(der(&second.0)), None));
}

#[test]
fn watching_tells_of_files_that_come_and_go() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("receiver-tls-secret");
    let files = CertificateFiles::open(&directory).unwrap();
    let (sender, told) = channel();
    let sender = Mutex::new(sender);
    let settings = WatchSettings { settle: Duration::from_millis(20), reread_every: Duration::ZERO };
    let certificates = files.certificates();
    let watch = files.watch(settings, move |present| sender.lock().unwrap().send(present).unwrap()).unwrap();
    fs::create_dir(&directory).unwrap();
    write(&directory, &pair());
    assert_eq!(told.recv_timeout(LIMIT), Ok(true));
    fs::remove_file(directory.join(KEY)).unwrap();
    assert_eq!(told.recv_timeout(LIMIT), Ok(false));
    assert!(!certificates.is_present());
    drop(watch);
}
