//! Secrets as people write them, and the client properties they become.

use super::super::{Reference, SecretFields};
use super::*;

fn secret(entries: &[(&str, &str)]) -> SecretData {
    entries.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect()
}

/// The properties, as sorted `key=value`, or the error.
fn outcome(entries: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let credentials = Credentials::from_secret(&secret(entries)).map_err(|error| error.to_string())?;
    Ok(credentials.client_properties().iter().map(|(key, value)| format!("{key}={value}")).collect())
}

#[track_caller]
fn check(entries: &[(&str, &str)], expected: &[&str]) {
    assert_eq!(outcome(entries), Ok(expected.iter().map(|it| (*it).to_owned()).collect()));
}

#[track_caller]
fn check_refused(entries: &[(&str, &str)], expected: &str) {
    assert_eq!(outcome(entries), Err(expected.to_owned()));
}

const USER: [(&str, &str); 2] = [("user", "u"), ("password", "p")];

fn and<'a>(first: &[(&'a str, &'a str)], second: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [first, second].concat()
}

#[test]
fn plain_text_needs_nothing_and_uses_nothing() {
    check(&[("protocol", "PLAINTEXT")], &["security.protocol=plaintext"]);
    check(&and(&[("protocol", "PLAINTEXT"), ("ca.crt", "CA")], &USER), &["security.protocol=plaintext"]);
}

#[test]
fn the_protocol_must_be_one_of_four_words() {
    check_refused(&[], "no security protocol specified: key protocol is missing");
    for found in ["", "ssl", "SSL\n", "TLS"] {
        let expected = format!("protocol {found:?} is not one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL");
        check_refused(&[("protocol", found)], &expected);
    }
}

#[test]
fn tls_needs_a_client_certificate_unless_it_is_skipped() {
    let pair = [("user.crt", "CRT"), ("user.key", "KEY")];
    check(
        &and(&[("protocol", "SSL"), ("ca.crt", "CA")], &pair),
        &["security.protocol=ssl", "ssl.ca.pem=CA", "ssl.certificate.pem=CRT", "ssl.key.pem=KEY"],
    );
    let missing = "protocol SSL needs user.crt and user.key";
    check_refused(&[("protocol", "SSL")], missing);
    check_refused(&[("protocol", "SSL"), ("user.crt", "CRT"), ("user.key", " \n")], missing);
    check_refused(&[("protocol", "SSL"), ("user.skip", "yes")], missing);
    check(&[("protocol", "SSL"), ("user.skip", "True")], &["security.protocol=ssl"]);
    // Skipping does not hide a certificate that is there.
    check(
        &and(&[("protocol", "SSL"), ("user.skip", "true")], &pair),
        &["security.protocol=ssl", "ssl.certificate.pem=CRT", "ssl.key.pem=KEY"],
    );
}

#[test]
fn passwords_go_with_plain_unless_another_mechanism_is_named() {
    let plain = ["sasl.mechanism=PLAIN", "sasl.password=p", "sasl.username=u", "security.protocol=sasl_plaintext"];
    check(&and(&[("protocol", "SASL_PLAINTEXT")], &USER), &plain);
    check(&and(&[("protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "")], &USER), &plain);
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        check(
            &and(&[("protocol", "SASL_SSL"), ("sasl.mechanism", mechanism)], &USER),
            &[
                &format!("sasl.mechanism={mechanism}"),
                "sasl.password=p",
                "sasl.username=u",
                "security.protocol=sasl_ssl",
            ],
        );
    }
}

#[test]
fn an_unknown_mechanism_is_named_and_never_becomes_plain() {
    for found in ["SCRAM-SHA-513", "plain", "SCRAM-SHA-512\n", "GSSAPI"] {
        let expected =
            format!("sasl.mechanism {found:?} is not one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER");
        check_refused(&and(&[("protocol", "SASL_SSL"), ("sasl.mechanism", found)], &USER), &expected);
    }
}

#[test]
fn user_and_password_are_needed_but_for_tokens_inside_tls() {
    for protocol in ["SASL_PLAINTEXT", "SASL_SSL"] {
        let expected = format!("protocol {protocol} needs user and password");
        check_refused(&[("protocol", protocol), ("user", "u")], &expected);
        check_refused(&[("protocol", protocol), ("user", " "), ("password", "p")], &expected);
    }
    let tokens = ("sasl.mechanism", "OAUTHBEARER");
    check(&[("protocol", "SASL_SSL"), tokens], &["sasl.mechanism=OAUTHBEARER", "security.protocol=sasl_ssl"]);
    check_refused(&[("protocol", "SASL_PLAINTEXT"), tokens], "protocol SASL_PLAINTEXT needs user and password");
    check(
        &and(&[("protocol", "SASL_PLAINTEXT"), tokens], &USER),
        &["sasl.mechanism=OAUTHBEARER", "security.protocol=sasl_plaintext"],
    );
}

#[test]
fn values_are_used_without_trimming_or_quoting() {
    check(
        &[("protocol", "SASL_PLAINTEXT"), ("user", " u\n"), ("password", "a\"b\\c ")],
        &["sasl.mechanism=PLAIN", "sasl.password=a\"b\\c ", "sasl.username= u\n", "security.protocol=sasl_plaintext"],
    );
}

#[test]
fn values_that_are_no_texts_are_refused() {
    let mut data = secret(&[("protocol", "SASL_PLAINTEXT"), ("user", "u")]);
    data.insert("password".to_owned(), vec![0xff]);
    let error = Credentials::from_secret(&data).unwrap_err();
    assert_eq!(error, CredentialsError::NotText { field: "password".to_owned() });
    check_refused(
        &[("protocol", "SASL_PLAINTEXT"), ("user", "u"), ("password", "p\0q")],
        "the value of password contains a NUL character",
    );
}

fn multi(protocol: SecurityProtocol, secrets: &[&[(&str, SecretField)]]) -> MultiSecret {
    let secrets = secrets
        .iter()
        .map(|fields| SecretFields {
            reference: Reference::default(),
            fields: fields.iter().map(|(key, field)| ((*key).to_owned(), *field)).collect(),
        })
        .collect();
    MultiSecret { protocol, secrets }
}

#[test]
fn fields_are_collected_from_several_secrets_under_any_key() {
    let multi = multi(
        SecurityProtocol::SaslSsl,
        &[
            &[("saslType", SecretField::SaslMechanism), ("name", SecretField::User), ("gone", SecretField::CaCrt)],
            &[("pw", SecretField::Password), ("arn", SecretField::RoleArn)],
        ],
    );
    let secrets = [secret(&[("saslType", "SCRAM-SHA-512"), ("name", "u")]), secret(&[("pw", "p"), ("arn", "x")])];
    let properties = Credentials::from_secrets(&multi, &secrets).unwrap().client_properties();
    let expected = [
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.password", "p"),
        ("sasl.username", "u"),
        ("security.protocol", "sasl_ssl"),
    ];
    assert_eq!(properties, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
}

#[test]
fn several_secrets_are_validated_like_one() {
    let nothing = multi(SecurityProtocol::Plaintext, &[]);
    assert_eq!(Credentials::from_secrets(&nothing, &[]), Ok(Credentials::plaintext()));
    // This format cannot say that the client certificate is skipped.
    let ca = multi(SecurityProtocol::Ssl, &[&[("ca", SecretField::CaCrt)]]);
    let missing = CredentialsError::Missing { protocol: "SSL", field: "user.crt and user.key" };
    assert_eq!(Credentials::from_secrets(&ca, &[secret(&[("ca", "CA")])]), Err(missing));
    let unread = CredentialsError::Count { expected: 1, found: 0 };
    assert_eq!(Credentials::from_secrets(&ca, &[]), Err(unread));
}

#[test]
fn debug_texts_and_errors_show_no_secret() {
    let entries = [("protocol", "SASL_SSL"), ("user", "alice"), ("password", "hunter2"), ("ca.crt", "PEMTEXT")];
    let debug = format!("{:?}", Credentials::from_secret(&secret(&entries)).unwrap());
    for hidden in ["alice", "hunter2", "PEMTEXT"] {
        assert!(!debug.contains(hidden), "{debug}");
    }
    assert!(debug.contains("SASL_SSL") && debug.contains("PLAIN"), "{debug}");
}

fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[track_caller]
fn check_applied(entries: &[(&str, &str)], expected: &[(&str, &str)]) {
    let file = map(&[
        ("ssl.ca.location", "/ca.pem"),
        ("ssl.cipher.suites", "X"),
        ("ssl.keystore.location", "/k.p12"),
        ("ssl.keystore.password", "kp"),
        ("ssl.key.password", "pp"),
        ("sasl.username", "file"),
        ("sasl.password", "file"),
    ]);
    let mut client = map(&[("linger.ms", "0")]);
    Credentials::from_secret(&secret(entries)).unwrap().apply(&mut client, &file);
    let mut expected = map(expected);
    expected.insert("linger.ms".to_owned(), "0".to_owned());
    assert_eq!(client, expected);
}

#[test]
fn security_properties_of_the_file_count_only_where_the_protocol_uses_them() {
    check_applied(&[("protocol", "PLAINTEXT")], &[("security.protocol", "plaintext")]);
    check_applied(
        &[("protocol", "SASL_PLAINTEXT"), ("user", "u"), ("password", "p")],
        &[
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "u"),
            ("sasl.password", "p"),
        ],
    );
    check_applied(
        &[("protocol", "SSL"), ("user.skip", "true")],
        &[
            ("security.protocol", "ssl"),
            ("ssl.ca.location", "/ca.pem"),
            ("ssl.cipher.suites", "X"),
            ("ssl.keystore.location", "/k.p12"),
            ("ssl.keystore.password", "kp"),
            ("ssl.key.password", "pp"),
        ],
    );
}

#[test]
fn certificates_of_the_secret_replace_those_of_the_file() {
    check_applied(
        &[("protocol", "SSL"), ("ca.crt", "CA"), ("user.crt", "CRT"), ("user.key", "KEY")],
        &[
            ("security.protocol", "ssl"),
            ("ssl.ca.pem", "CA"),
            ("ssl.certificate.pem", "CRT"),
            ("ssl.key.pem", "KEY"),
            ("ssl.cipher.suites", "X"),
            ("ssl.key.password", "pp"),
        ],
    );
    check_applied(
        &[("protocol", "SASL_SSL"), ("sasl.mechanism", "OAUTHBEARER"), ("ca.crt", "CA")],
        &[
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", "OAUTHBEARER"),
            ("ssl.ca.pem", "CA"),
            ("ssl.cipher.suites", "X"),
            ("ssl.keystore.location", "/k.p12"),
            ("ssl.keystore.password", "kp"),
            ("ssl.key.password", "pp"),
        ],
    );
}

#[track_caller]
fn check_tokens(entries: &[(&str, &str)], file: Option<&TokenSource>, expected: Result<Option<TokenSource>, &str>) {
    let more = [("protocol", "SASL_SSL"), ("sasl.mechanism", "OAUTHBEARER")];
    let found = Credentials::from_secret(&secret(&[&more[..], entries].concat()));
    let found = found.and_then(|credentials| credentials.token_source(file)).map_err(|error| error.to_string());
    match expected {
        Ok(expected) => assert_eq!(found, Ok(expected)),
        Err(expected) => assert!(found.clone().is_err_and(|error| error.contains(expected)), "{found:?}"),
    }
}

#[test]
fn tokens_without_a_source_are_refused_before_a_client_waits_for_them() {
    check_tokens(&[], None, Err("needs a source of tokens"));
    assert_eq!(Credentials::plaintext().token_source(None), Ok(None));
    let file = TokenSource::Unsecured(Unsecured { principal: "me".to_owned(), ..Unsecured::default() });
    check_tokens(&[], Some(&file), Ok(Some(file.clone())));
    let password = secret(&[("protocol", "SASL_SSL"), ("user", "u"), ("password", "p")]);
    assert_eq!(Credentials::from_secret(&password).unwrap().token_source(Some(&file)), Ok(None));
}

#[test]
fn a_secret_can_ask_for_tokens_of_amazon_msk_and_the_file_wins() {
    let msk = |role: Option<&str>, region: Option<&str>| MskIam {
        role_arn: role.map(str::to_owned),
        region: region.map(str::to_owned),
        ..MskIam::default()
    };
    let provider = [("tokenProvider", "MSKAccessTokenProvider"), ("awsRegion", "eu-west-1")];
    check_tokens(&provider, None, Ok(Some(TokenSource::MskIam(msk(None, Some("eu-west-1"))))));
    let role = [("tokenProvider", "MSKRoleAccessTokenProvider"), ("roleARN", "arn:x")];
    check_tokens(&role, None, Ok(Some(TokenSource::MskIam(msk(Some("arn:x"), None)))));
    let file = TokenSource::MskIam(msk(Some("arn:file"), None));
    check_tokens(&role, Some(&file), Ok(Some(file.clone())));
    check_tokens(&[("tokenProvider", "MSKRoleAccessTokenProvider")], None, Err("needs roleARN"));
    check_tokens(&[("tokenProvider", "Other")], None, Err("not one of MSKAccessTokenProvider"));
}
