//! Which keys of a set are taken, and how long they are kept.

use serde_json::json;

use super::*;

/// Coordinates of no key: reading does not look at them.
fn ec(kid: &str) -> Value {
    json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": "AA", "y": "AA"})
}

fn read(keys: &[Value]) -> Result<Keys, KeysError> {
    Keys::read(json!({"keys": keys, "more": 1}).to_string().as_bytes())
}

fn names(keys: &Keys) -> Vec<&str> {
    keys.0.iter().map(|key| key.jwk.common.key_id.as_deref().unwrap()).collect()
}

#[test]
fn keys_that_cannot_verify_a_signature_are_skipped() {
    let keys = read(&[
        json!("no key"),
        json!({"kty": "oct", "kid": "secret", "k": "AA"}),
        json!({"kty": "new", "kid": "new"}),
        json!({"kty": "EC", "crv": "P-521", "kid": "p521", "x": "AA", "y": "AA"}),
        json!({"kty": "EC", "crv": "secp256k1", "kid": "k1", "x": "AA", "y": "AA"}),
        json!({"kty": "RSA", "use": "enc", "kid": "enc", "n": "AA", "e": "AQAB"}),
        json!({"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"}),
        json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "rsa", "n": "AA", "e": "AQAB"}),
        ec("ec"),
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "AA"}),
    ]);
    assert_eq!(names(&keys.unwrap()), ["rsa", "ec", "ed"]);
}

#[test]
fn a_set_without_a_usable_key_is_a_mistake() {
    assert!(matches!(read(&[]), Err(KeysError::NoKey)));
    assert!(matches!(read(&[json!({"kty": "oct", "k": "AA"})]), Err(KeysError::NoKey)));
    assert!(matches!(Keys::read(b"[]"), Err(KeysError::Parse(_))));
    assert!(matches!(Keys::read(b"{}"), Err(KeysError::Parse(_))));
}

#[test]
fn a_set_is_bounded() {
    let many: Vec<_> = (0..1000).map(|number| ec(&number.to_string())).collect();
    assert_eq!(read(&many).unwrap().len(), MAX_KEYS);
}

#[test]
fn a_key_that_went_is_kept_for_an_hour_and_one_that_comes_back_is_current() {
    let start = Instant::now();
    let (old, new) = (read(&[ec("old")]).unwrap(), read(&[ec("new")]).unwrap());
    let both = new.clone().after(&old, start);
    assert_eq!(names(&both), ["new", "old"]);
    assert!(!both.is_same(&new) && both.is_same(&both.clone()));
    let later = new.clone().after(&both, start + RETIRED_FOR - Duration::from_secs(1));
    assert_eq!(names(&later), ["new", "old"]);
    assert_eq!(names(&new.clone().after(&later, start + RETIRED_FOR)), ["new"]);
    let back = old.after(&both, start + RETIRED_FOR / 2);
    assert_eq!(names(&back), ["old", "new"]);
    assert_eq!(names(&new.after(&back, start + RETIRED_FOR + RETIRED_FOR / 4)), ["new", "old"]);
}

#[test]
fn a_key_serves_only_the_algorithms_of_its_kind() {
    let check = |key: Value, expected: &[Algorithm]| {
        let keys = read(&[key]).unwrap();
        let all = [AlgorithmFamily::Rsa, AlgorithmFamily::Ec, AlgorithmFamily::Ed, AlgorithmFamily::Hmac];
        let fitting = all.iter().flat_map(|family| family.algorithms()).filter(|algorithm| keys.0[0].fits(**algorithm));
        assert_eq!(fitting.copied().collect::<Vec<_>>(), expected);
    };
    check(ec("p256"), &[Algorithm::ES256]);
    check(json!({"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}), &[Algorithm::ES384]);
    check(json!({"kty": "OKP", "crv": "Ed25519", "x": "AA"}), &[Algorithm::EdDSA]);
    check(json!({"kty": "RSA", "alg": "RS256", "n": "AA", "e": "AQAB"}), &[Algorithm::RS256]);
    let rsa = json!({"kty": "RSA", "n": "AA", "e": "AQAB"});
    check(rsa, AlgorithmFamily::Rsa.algorithms());
    // An algorithm that does not go with the kind of key, or is not known, serves nothing.
    check(json!({"kty": "RSA", "alg": "ES256", "n": "AA", "e": "AQAB"}), &[]);
    check(json!({"kty": "RSA", "alg": "XS999", "n": "AA", "e": "AQAB"}), &[]);
}
