//! Which claims a policy names.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;

fn attributes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn exact(pairs: &[(&str, &str)]) -> TokenMatcher {
    TokenMatcher::Exact(attributes(pairs))
}

fn prefix(pairs: &[(&str, &str)]) -> TokenMatcher {
    TokenMatcher::Prefix(attributes(pairs))
}

#[track_caller]
fn check(matchers: &[TokenMatcher], expected: bool) {
    let claims = json!({
        "iss": "i", "aud": ["a", "b"], "exp": 1, "sub": "system:serviceaccount:shop:sender",
        "kubernetes.io": {"namespace": "shop"}, "empty": [],
    });
    let claims = Claims::read(claims.to_string().as_bytes()).unwrap();
    let policy = EventPolicy { token_matchers: matchers.to_vec(), filters: Vec::new() };
    assert_eq!(Policy::compile(&policy).unwrap().names(&claims), expected, "{matchers:?}");
}

#[test]
fn exact_matchers_want_a_value_of_the_claim_to_be_equal() {
    check(&[exact(&[("sub", "system:serviceaccount:shop:sender")])], true);
    check(&[exact(&[("sub", "system:serviceaccount:shop:")])], false);
    check(&[exact(&[("sub", "System:serviceaccount:shop:sender")])], false);
    check(&[exact(&[("aud", "b")])], true);
    check(&[exact(&[("sub", "")])], false);
    check(&[exact(&[("kubernetes.io.namespace", "shop")])], true);
    check(&[exact(&[("absent", "")])], false);
}

#[test]
fn prefix_matchers_want_a_value_to_begin_so_and_an_empty_prefix_only_a_value() {
    check(&[prefix(&[("sub", "system:serviceaccount:shop:")])], true);
    check(&[prefix(&[("sub", "system:serviceaccount:other:")])], false);
    check(&[prefix(&[("sub", "")])], true);
    check(&[prefix(&[("absent", "")])], false);
    check(&[prefix(&[("empty", "")])], false);
}

#[test]
fn every_attribute_of_a_matcher_must_match_and_any_matcher_suffices() {
    check(&[exact(&[("aud", "a"), ("kubernetes.io.namespace", "shop")])], true);
    check(&[exact(&[("aud", "a"), ("kubernetes.io.namespace", "other")])], false);
    check(&[exact(&[("aud", "x")]), prefix(&[("sub", "system:")])], true);
    check(&[exact(&[])], true);
    check(&[prefix(&[])], true);
    check(&[], false);
}
