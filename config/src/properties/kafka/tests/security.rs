//! TLS and SASL properties of a file.

use super::*;

/// The librdkafka keys about security, as sorted `key=value`, and the warnings.
fn read(entries: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let settings = consumer_of(entries).unwrap();
    let security = settings.security.iter().map(|(key, value)| format!("{key}={value}")).collect();
    (security, texts(&settings.warnings))
}

#[track_caller]
fn check(entries: &[(&str, &str)], expected: &[&str]) {
    assert_eq!(read(entries), (expected.iter().map(|it| (*it).to_owned()).collect(), Vec::new()));
}

#[track_caller]
fn check_ignored(entries: &[(&str, &str)], key: &str, reason: &str) {
    assert_eq!(read(entries), (Vec::new(), vec![format!("{key}: ignored: {reason}")]));
}

#[test]
fn trust_and_key_stores_in_pem_are_used() {
    check(&[("ssl.truststore.location", "/etc/ca.pem")], &["ssl.ca.location=/etc/ca.pem"]);
    check(&[("ssl.truststore.type", "PEM"), ("ssl.truststore.location", "/etc/ca")], &["ssl.ca.location=/etc/ca"]);
    check(&[("ssl.truststore.type", "PEM"), ("ssl.truststore.certificates", "CERTS")], &["ssl.ca.pem=CERTS"]);
    check(
        &[("ssl.keystore.type", "PEM"), ("ssl.keystore.location", "/k"), ("ssl.key.password", "p")],
        &["ssl.certificate.location=/k", "ssl.key.location=/k", "ssl.key.password=p"],
    );
    check(
        &[("ssl.keystore.certificate.chain", "C"), ("ssl.keystore.key", "K")],
        &["ssl.certificate.pem=C", "ssl.key.pem=K"],
    );
}

#[test]
fn key_stores_in_pkcs_12_need_their_password() {
    let location = ("ssl.keystore.location", "/k.p12");
    check(&[location, ("ssl.keystore.password", "p")], &["ssl.keystore.location=/k.p12", "ssl.keystore.password=p"]);
    check_ignored(&[location], "ssl.keystore.location", "ssl.keystore.password is missing");
}

#[test]
fn javas_own_stores_cannot_be_read() {
    let reason = "only PEM trust stores and PEM or PKCS#12 key stores can be read, not JKS";
    check_ignored(&[("ssl.truststore.location", "/t.jks")], "ssl.truststore.location", reason);
    check_ignored(
        &[("ssl.keystore.type", "JKS"), ("ssl.keystore.location", "/k.p12"), ("ssl.keystore.password", "p")],
        "ssl.keystore.location",
        reason,
    );
}

#[test]
fn host_names_are_verified_unless_an_empty_algorithm_says_otherwise() {
    const KEY: &str = "ssl.endpoint.identification.algorithm";
    check(&[], &[]);
    check(&[(KEY, "HTTPS")], &["ssl.endpoint.identification.algorithm=https"]);
    check(&[(KEY, "")], &["ssl.endpoint.identification.algorithm=none"]);
    assert!(consumer_of(&[(KEY, "ldaps")]).is_err());
}

#[test]
fn cipher_suites_must_have_openssl_names() {
    check(&[("ssl.cipher.suites", "ECDHE-RSA-AES256-GCM-SHA384")], &["ssl.cipher.suites=ECDHE-RSA-AES256-GCM-SHA384"]);
    check(&[("ssl.cipher.suites", "")], &[]);
    assert_eq!(read(&[("ssl.cipher.suites", "TLS_AES_256_GCM_SHA384")]).1.len(), 1);
}

#[test]
fn no_warning_and_no_debug_text_repeats_a_secret() {
    let settings = consumer_of(&[
        ("sasl.jaas.config", r#"x.PlainLoginModule required username="alice" password="hunter2"#),
        ("ssl.keystore.password", "hunter2"),
        ("ssl.key.password", "hunter2"),
        ("ssl.truststore.password", "hunter2"),
    ])
    .unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert!(!texts(&settings.warnings).concat().contains("hunter2"));
}

#[test]
fn the_contract_decides_about_protocol_and_mechanism() {
    check(&[("security.protocol", "PLAINTEXT")], &[]);
    check_ignored(&[("security.protocol", "SASL_SSL")], "security.protocol", "the contract decides");
    check_ignored(&[("sasl.mechanism", "PLAIN")], "sasl.mechanism", "the contract decides");
}

#[test]
fn javas_security_machinery_has_one_warning_a_key() {
    for key in [
        "ssl.protocol",
        "ssl.provider",
        "ssl.enabled.protocols",
        "ssl.keymanager.algorithm",
        "ssl.trustmanager.algorithm",
        "ssl.secure.random.implementation",
        "ssl.truststore.password",
        "sasl.client.callback.handler.class",
        "sasl.login.callback.handler.class",
        "sasl.jaas.config",
        "sasl.login.class",
        "sasl.login.refresh.buffer.seconds",
        "sasl.login.refresh.min.period.seconds",
        "sasl.login.refresh.window.factor",
        "sasl.login.refresh.window.jitter",
        "sasl.kerberos.service.name",
        "sasl.kerberos.kinit.cmd",
        "sasl.kerberos.min.time.before.relogin",
        "sasl.kerberos.ticket.renew.jitter",
        "security.providers",
    ] {
        let (security, warnings) = read(&[(key, "x")]);
        assert_eq!((security.len(), warnings.len()), (0, 1), "{key}");
        assert!(warnings[0].starts_with(&format!("{key}: ignored: ")), "{}", warnings[0]);
    }
}
