//! Sources of tokens for OAUTHBEARER, in the texts that people paste into their files.

use crate::contract::credentials::{MskIam, TokenEndpoint, Unsecured};

use super::*;

const LOGIN: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required";
const HANDLER: &str = "sasl.login.callback.handler.class";
const URL: (&str, &str) = ("sasl.oauthbearer.token.endpoint.url", "https://id.example.com/token");

fn read(entries: &[(&str, &str)]) -> (Option<TokenSource>, Vec<String>) {
    let (produced, consumed) = (producer_of(entries).unwrap(), consumer_of(entries).unwrap());
    assert_eq!(produced.tokens, consumed.tokens);
    assert!(!produced.client.keys().chain(produced.security.keys()).any(|key| key.contains("oauth")));
    (produced.tokens, texts(&produced.warnings))
}

#[track_caller]
fn check(entries: &[(&str, &str)], expected: TokenSource) {
    assert_eq!(read(entries), (Some(expected), Vec::new()));
}

#[track_caller]
fn check_none(entries: &[(&str, &str)], key: &str, reason: &str) {
    let (source, warnings) = read(entries);
    assert_eq!(source, None);
    assert!(warnings.iter().any(|it| it.starts_with(&format!("{key}: ")) && it.contains(reason)), "{warnings:?}");
}

fn endpoint(scope: Option<&str>) -> TokenSource {
    TokenSource::Endpoint(TokenEndpoint {
        url: URL.1.to_owned(),
        client_id: "me".to_owned(),
        client_secret: "s3cret".to_owned(),
        scope: scope.map(str::to_owned),
        principal_claim: "sub".to_owned(),
    })
}

#[test]
fn an_oauth_server_is_named_as_in_java_or_as_in_librdkafka() {
    let jaas = format!(r#"{LOGIN} clientId="me" clientSecret="s3cret" scope="kafka";"#);
    let handler = "org.apache.kafka.common.security.oauthbearer.secured.OAuthBearerLoginCallbackHandler";
    check(&[URL, (HANDLER, handler), ("sasl.jaas.config", &jaas)], endpoint(Some("kafka")));
    let handler = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler";
    let own = [
        ("sasl.oauthbearer.client.credentials.client.id", "me"),
        ("sasl.oauthbearer.client.credentials.client.secret", "s3cret"),
        ("sasl.oauthbearer.scope", "kafka"),
    ];
    check(&[&[URL, (HANDLER, handler)], &own[..]].concat(), endpoint(Some("kafka")));
    check(&[URL, ("sasl.oauthbearer.client.id", "me"), ("sasl.oauthbearer.client.secret", "s3cret")], endpoint(None));
}

#[test]
fn a_token_may_be_in_a_file_that_others_renew() {
    for url in ["file:/var/run/token", "file:///var/run/token"] {
        let expected = TokenSource::File { path: "/var/run/token".into(), principal_claim: "azp".to_owned() };
        check(&[(URL.0, url), ("sasl.oauthbearer.sub.claim.name", "azp")], expected);
    }
}

#[test]
fn the_classes_of_amazon_msk_are_recognised() {
    let class = "software.amazon.msk.auth.iam.IAMOAuthBearerLoginCallbackHandler";
    check(&[(HANDLER, class)], TokenSource::MskIam(MskIam::default()));
    check(&[(HANDLER, class), ("sasl.jaas.config", &format!("{LOGIN};"))], TokenSource::MskIam(MskIam::default()));
    let jaas = format!(r#"{LOGIN} awsRoleArn="arn:r" awsRoleSessionName="s" awsStsRegion="eu-west-1";"#);
    let role = MskIam {
        region: Some("eu-west-2".to_owned()),
        role_arn: Some("arn:r".to_owned()),
        session_name: Some("s".to_owned()),
        external_id: None,
        sts_region: Some("eu-west-1".to_owned()),
    };
    let entries = [(HANDLER, class), ("sasl.jaas.config", &jaas), ("millrace.aws.region", "eu-west-2")];
    check(&entries, TokenSource::MskIam(role));
    let (source, warnings) =
        read(&[("sasl.jaas.config", "software.amazon.msk.auth.iam.IAMLoginModule required awsProfileName=\"x\";")]);
    assert_eq!(source, Some(TokenSource::MskIam(MskIam::default())));
    assert_eq!(warnings, ["sasl.jaas.config: options without effect: awsProfileName"]);
}

#[test]
fn unsecured_tokens_are_made_of_javas_options_or_of_librdkafkas() {
    let me = |scope: &[&str], seconds| {
        TokenSource::Unsecured(Unsecured {
            principal: "me".to_owned(),
            scope: scope.iter().map(|&it| it.to_owned()).collect(),
            lifetime: Duration::from_secs(seconds),
            ..Unsecured::default()
        })
    };
    let switch = ("enable.sasl.oauthbearer.unsecure.jwt", "true");
    check(&[switch, ("sasl.oauthbearer.config", "principal=me scope=a,b lifeSeconds=60")], me(&["a", "b"], 60));
    let jaas = format!(r#"{LOGIN} unsecuredLoginStringClaim_sub="me" unsecuredLoginListClaim_scope="|a|b";"#);
    check(&[("sasl.jaas.config", &jaas)], me(&["a", "b"], 3600));
    check_none(&[switch], "sasl.oauthbearer.config", "principal is missing");
    assert_eq!(read(&[("sasl.oauthbearer.config", "principal=me")]), (None, Vec::new()));
}

#[test]
fn a_source_with_a_mistake_is_none_and_says_why() {
    let jaas = ("sasl.jaas.config", &*format!("{LOGIN};"));
    check_none(&[URL], URL.0, "clientId and clientSecret are missing");
    check_none(&[(URL.0, "id.example.com")], URL.0, "neither an http");
    check_none(&[jaas], jaas.0, "gives no tokens");
    check_none(&[(HANDLER, "com.example.Handler")], HANDLER, "Java classes cannot be loaded");
    check_none(&[(HANDLER, "org.apache.kafka.common.security.oauthbearer.X")], URL.0, "missing");
    check_none(&[("sasl.jaas.config", "x.PlainLoginModule required;")], jaas.0, "come from the contract's Secret");
    check_none(&[("sasl.login.read.timeout.ms", "1")], "sasl.login.read.timeout.ms", "a limit of 10 s");
}

#[test]
fn no_warning_and_no_debug_text_repeats_a_password_for_tokens() {
    let jaas = format!(r#"{LOGIN} clientId="me" clientSecret="hunter2" extension_x="hunter2";"#);
    let settings = producer_of(&[URL, ("sasl.jaas.config", &jaas)]).unwrap();
    assert!(settings.tokens.is_some());
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert!(!texts(&settings.warnings).concat().contains("hunter2"));
}
