//! What guards a target, and what is read out of the header. Everything that needs keys is shown over sockets.

use std::collections::BTreeMap;

use millrace_config::contract::{ContentMode, EventPolicy, FilterSpec};

use super::*;

#[track_caller]
fn check_header(values: &[&str], expected: Result<&str, &str>) {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let found = bearer_token(&headers).map_err(|refused| format!("{refused:?}"));
    assert_eq!(found, expected.map_err(str::to_owned), "{values:?}");
}

#[test]
fn a_bearer_token_comes_alone_and_in_any_case() {
    check_header(&["Bearer a.b.c"], Ok("a.b.c"));
    check_header(&["bEARER   a.b.c"], Ok("a.b.c"));
    for value in ["", "Bearer", "Bearer ", "Bearer   ", "Basic dXNlcjpwYXNz", "Tokenx abc", "Bearer\u{e9}", "a.b.c"] {
        check_header(&[value], Err("NoToken"));
    }
    check_header(&[], Err("NoToken"));
    check_header(&["Bearer a.b.c", "Bearer a.b.c"], Err("TwoTokens"));
    check_header(&["Bearer a.b.c", ""], Err("TwoTokens"));
}

fn ingress(audience: Option<&str>, policies: Vec<EventPolicy>) -> Ingress {
    Ingress {
        content_mode: ContentMode::Binary,
        path: Some("/a".to_owned()),
        host: None,
        audience: audience.map(str::to_owned),
        policies,
    }
}

#[test]
fn only_a_target_with_an_audience_is_guarded() {
    assert!(Guard::compile(&ingress(None, vec![EventPolicy::default()])).unwrap().is_none());
    assert!(Guard::compile(&ingress(Some("a"), Vec::new())).unwrap().is_some());
    let bad = FilterSpec::All(vec![FilterSpec::Exact(BTreeMap::new()), FilterSpec::CeSql("(((".to_owned())]);
    let bad = EventPolicy { token_matchers: Vec::new(), filters: vec![bad] };
    assert!(Guard::compile(&ingress(None, vec![bad])).is_err());
}

#[tokio::test]
async fn while_no_keys_are_known_a_guarded_target_takes_nothing() {
    let guard = Guard::compile(&ingress(Some("a"), vec![EventPolicy::default()])).unwrap().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer a.b.c"));
    let refused = guard.check(&Tokens::default(), &headers).await.unwrap_err();
    assert!(matches!(refused, Rejection::TokensNotChecked));
    let refused = guard.check(&Tokens::default(), &HeaderMap::new()).await.unwrap_err();
    assert!(matches!(refused, Rejection::NoToken));
}
