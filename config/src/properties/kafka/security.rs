//! TLS and SASL properties of a file.
//!
//! Protocol and mechanism always come from the contract's Secret. What remains is how TLS is done; `tokens` has where tokens
//! come from. Java's key store formats are only partly known to OpenSSL. Values here are secrets: no message has them.

use std::collections::BTreeMap;

use super::super::draft::Draft;

const JSSE: &str = "ignored: OpenSSL does this, not Java's security providers";
const KERBEROS: &str = "ignored: the contract has no way to ask for Kerberos";
const JAAS: &str = "ignored: Java classes cannot be loaded";
const CONTRACT: &str = "ignored: the contract decides";
const FORMAT: &str = "ignored: only PEM trust stores and PEM or PKCS#12 key stores can be read, not JKS";

/// Without effect whatever the value.
const IGNORED: &[(&str, &str)] = &[
    ("ssl.protocol", JSSE),
    ("ssl.provider", JSSE),
    ("ssl.enabled.protocols", JSSE),
    ("ssl.keymanager.algorithm", JSSE),
    ("ssl.trustmanager.algorithm", JSSE),
    ("ssl.secure.random.implementation", JSSE),
    ("ssl.engine.factory.class", JSSE),
    ("ssl.truststore.password", "ignored: PEM trust stores have no password"),
    ("sasl.mechanism", CONTRACT),
    ("sasl.kerberos.service.name", KERBEROS),
    ("sasl.kerberos.kinit.cmd", KERBEROS),
    ("sasl.kerberos.min.time.before.relogin", KERBEROS),
    ("sasl.kerberos.ticket.renew.jitter", KERBEROS),
    ("sasl.kerberos.ticket.renew.window.factor", KERBEROS),
    ("sasl.login.class", JAAS),
    ("sasl.login.refresh.buffer.seconds", JAAS),
    ("sasl.login.refresh.min.period.seconds", JAAS),
    ("sasl.login.refresh.window.factor", JAAS),
    ("sasl.login.refresh.window.jitter", JAAS),
];

/// librdkafka keys, to be used beside credentials that use TLS or SASL.
pub(super) fn read(draft: &mut Draft<'_>) -> BTreeMap<String, String> {
    let mut security = BTreeMap::new();
    if draft.trimmed("security.protocol").is_some_and(|protocol| !protocol.eq_ignore_ascii_case("PLAINTEXT")) {
        draft.warn("security.protocol", CONTRACT);
    }
    for (key, reason) in IGNORED {
        if draft.text(key).is_some() {
            draft.warn(key, *reason);
        }
    }
    trust_store(draft, &mut security);
    key_store(draft, &mut security);
    host_verification(draft, &mut security);
    cipher_suites(draft, &mut security);
    security
}

/// What a file's type key or name says it is.
#[derive(PartialEq, Eq)]
enum Format {
    Pem,
    Pkcs12,
    Other,
}

fn format(draft: &mut Draft<'_>, type_key: &'static str, location: Option<&str>) -> Format {
    let name = match draft.trimmed(type_key) {
        Some(named) => named.to_ascii_lowercase(),
        None => location
            .and_then(|location| location.rsplit_once('.'))
            .map(|(_, extension)| extension.to_ascii_lowercase())
            .unwrap_or_default(),
    };
    match name.as_str() {
        "pem" | "crt" | "cer" => Format::Pem,
        "pkcs12" | "p12" | "pfx" => Format::Pkcs12,
        _ => Format::Other,
    }
}

fn trust_store(draft: &mut Draft<'_>, security: &mut BTreeMap<String, String>) {
    let location = draft.text("ssl.truststore.location");
    let format = format(draft, "ssl.truststore.type", location);
    if let Some(certificates) = draft.text("ssl.truststore.certificates") {
        security.insert("ssl.ca.pem".to_owned(), certificates.to_owned());
    }
    match location {
        Some(location) if format == Format::Pem => {
            security.insert("ssl.ca.location".to_owned(), location.to_owned());
        }
        Some(_) => draft.warn("ssl.truststore.location", FORMAT),
        None => {}
    }
}

fn key_store(draft: &mut Draft<'_>, security: &mut BTreeMap<String, String>) {
    let location = draft.text("ssl.keystore.location");
    let password = draft.text("ssl.keystore.password");
    let format = format(draft, "ssl.keystore.type", location);
    for (key, librdkafka) in [
        ("ssl.keystore.certificate.chain", "ssl.certificate.pem"),
        ("ssl.keystore.key", "ssl.key.pem"),
        ("ssl.key.password", "ssl.key.password"),
    ] {
        if let Some(value) = draft.text(key) {
            security.insert(librdkafka.to_owned(), value.to_owned());
        }
    }
    match (location, format, password) {
        (None, _, _) => {}
        (Some(location), Format::Pem, _) => {
            security.insert("ssl.certificate.location".to_owned(), location.to_owned());
            security.insert("ssl.key.location".to_owned(), location.to_owned());
        }
        (Some(location), Format::Pkcs12, Some(password)) => {
            security.insert("ssl.keystore.location".to_owned(), location.to_owned());
            security.insert("ssl.keystore.password".to_owned(), password.to_owned());
        }
        // librdkafka refuses a key store without a password.
        (Some(_), Format::Pkcs12, None) => {
            draft.warn("ssl.keystore.location", "ignored: ssl.keystore.password is missing");
        }
        (Some(_), Format::Other, _) => draft.warn("ssl.keystore.location", FORMAT),
    }
}

fn host_verification(draft: &mut Draft<'_>, security: &mut BTreeMap<String, String>) {
    const KEY: &str = "ssl.endpoint.identification.algorithm";
    // Java switches verification off with an empty value.
    if let Some(algorithm) = draft.choice(KEY, &[("https", "https"), ("none", "none"), ("", "none")]) {
        security.insert(KEY.to_owned(), algorithm.to_owned());
    }
}

fn cipher_suites(draft: &mut Draft<'_>, security: &mut BTreeMap<String, String>) {
    const KEY: &str = "ssl.cipher.suites";
    match draft.text(KEY) {
        // A name of Java's would make every connection fail.
        Some(suites) if suites.contains('_') => {
            draft.warn(KEY, "ignored: OpenSSL has other names for cipher suites, such as ECDHE-RSA-AES256-GCM-SHA384");
        }
        Some(suites) if !suites.trim().is_empty() => {
            security.insert(KEY.to_owned(), suites.to_owned());
        }
        Some(_) | None => {}
    }
}
