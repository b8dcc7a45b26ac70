//! What is a token and what is not; whether it is genuine is shown over sockets with a real issuer's keys.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::auth::trust::Tokens;

fn encode(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

#[track_caller]
fn check(text: &str, expected: Result<(Algorithm, Option<&str>), TokenError>) {
    let parsed = Token::parse(text);
    let parsed = parsed.as_ref().map(|token| (token.algorithm, token.kid.as_deref())).map_err(|error| *error);
    assert_eq!(parsed, expected, "{text}");
}

#[test]
fn a_token_has_three_parts_and_a_signature_of_a_private_key() {
    let header = |header: Value| format!("{}.e30.AA", encode(&header));
    check(&header(json!({"alg": "RS256", "kid": "k"})), Ok((Algorithm::RS256, Some("k"))));
    check(&header(json!({"alg": "EdDSA", "typ": "at+jwt", "jwk": 7, "x5u": []})), Ok((Algorithm::EdDSA, None)));
    for algorithm in ["none", "None", "HS256", "HS384", "HS512", "rs256", "ES512", "ES256K", "RSA-OAEP", "dir", ""] {
        check(&header(json!({"alg": algorithm})), Err(TokenError::Algorithm));
    }
    check(&header(json!({"alg": "RS256", "crit": []})), Err(TokenError::Critical));
    for broken in [json!({}), json!({"alg": 7}), json!([]), json!({"alg": "RS256", "kid": 7})] {
        check(&header(broken), Err(TokenError::Malformed));
    }
    let good = encode(&json!({"alg": "RS256"}));
    for broken in ["", ".", "..", "a", "a.b", "a.b.c.d", &format!("{good}.e30."), &format!("{good}.AA"), "=.e30.AA"] {
        check(broken, Err(TokenError::Malformed));
    }
    check(&"a".repeat(MAX_TOKEN_BYTES + 1), Err(TokenError::TooLong));
}

/// Something that looks like a token often enough to get far.
fn nearly_a_token() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just(json!(null)),
        any::<i64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        "[ -~]{0,9}".prop_map(|text| json!(text)),
        Just(json!("RS256")),
        Just(json!(["a", {"b": {}}])),
    ];
    let name = prop_oneof![Just("alg"), Just("kid"), Just("exp"), Just("nbf"), Just("aud"), Just("iss"), Just("x")];
    let object = proptest::collection::vec((name, value), 0..7)
        .prop_map(|pairs| encode(&pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()));
    let part = prop_oneof![4 => object, 1 => any::<String>(), 1 => "[A-Za-z0-9_=-]{0,40}"];
    proptest::collection::vec(part, 1..5).prop_map(|parts| parts.join("."))
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in prop_oneof![any::<String>(), nearly_a_token()]) {
        let tokens = Tokens::default();
        let keys = r#"{"keys":[{"kty":"RSA","n":"AA","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}"#;
        tokens.renew("i".to_owned(), super::super::keys::Keys::read(keys.as_bytes()).unwrap(), std::time::Instant::now());
        if let Ok(token) = Token::parse(&text) {
            drop(token.unverified_claims());
            prop_assert!(token.verify(&tokens.trust().unwrap()).is_err());
        }
    }
}
