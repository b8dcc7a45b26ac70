//! Reply ids, genuine and not.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

use super::super::{EvaluationError, Expression};
use super::{ReplySecrets, SecretData};
use crate::Event;

const KEY: [u8; 32] = [7; 32];

#[derive(Debug)]
struct Fixed(Arc<SecretData>);

impl ReplySecrets for Fixed {
    fn data(&self, secret: &str) -> Option<Arc<SecretData>> {
        (secret == "keys").then(|| Arc::clone(&self.0))
    }
}

fn secrets(data: &[(&str, &[u8])]) -> Arc<dyn ReplySecrets> {
    let data: BTreeMap<_, _> = data.iter().map(|(name, key)| ((*name).to_owned(), key.to_vec())).collect();
    Arc::new(Fixed(Arc::new(data)))
}

fn sealed(id: &str, key: &[u8]) -> Vec<u8> {
    let algorithm = match key.len() {
        16 => &AES_128_GCM,
        24 => &AES_192_GCM,
        _ => &AES_256_GCM,
    };
    // The second byte makes `_` and `-` of the url-safe alphabet likely; the values have no other meaning.
    let nonce = [0xff, 0xef, 0xbe, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    let mut bytes = id.as_bytes().to_vec();
    let key = LessSafeKey::new(UnboundKey::new(algorithm, key).unwrap());
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut bytes).unwrap();
    [&nonce[..], &bytes].concat()
}

fn reply(id: &str, key: &[u8], index: i32) -> String {
    format!("{id}:{}:{index}", BASE64_STANDARD.encode(sealed(id, key)))
}

/// Asks with pod 1 of 3 and the Secret `keys`, for `ns.rr`.
#[track_caller]
fn check(reply_id: &str, secrets: &Arc<dyn ReplySecrets>, expected: bool) {
    check_call("replyid, 'rr', 'ns', 'keys', 1, 3", reply_id, secrets, expected);
}

#[track_caller]
fn check_call(arguments: &str, reply_id: &str, secrets: &Arc<dyn ReplySecrets>, expected: bool) {
    let mut event = Event::new("1", "/s", "t").unwrap();
    event.extensions.set("replyid", reply_id.to_owned()).unwrap();
    let text = format!("kn_verify_correlation_id({arguments})");
    let expression = Expression::compile(&text, Some(secrets)).unwrap();
    let evaluation = expression.evaluate(&event);
    assert_eq!((evaluation.value, evaluation.error), (expected.into(), None), "{text} {reply_id}");
}

#[test]
fn an_id_that_was_sealed_with_a_key_of_the_request_reply_is_genuine() {
    let known = secrets(&[("ns.rr.key-0", &[1; 16]), ("ns.rr.key-1", &KEY)]);
    for index in [1, 4, 301] {
        check(&reply("abc", &KEY, index), &known, true);
    }
    check(&reply("abc", &[1; 16], 1), &known, true);
    check(&reply("abc", &[5; 24], 1), &secrets(&[("ns.rr.x", &[5; 24])]), true);
    check(&reply("", &KEY, 1), &known, true);
}

#[test]
fn the_base64_may_be_of_either_alphabet_with_or_without_padding() {
    let known = secrets(&[("ns.rr.k", &KEY)]);
    let bytes = sealed("abcd", &KEY);
    for text in [BASE64_STANDARD.encode(&bytes), BASE64_URL_SAFE.encode(&bytes)] {
        check(&format!("abcd:{text}:1"), &known, true);
        check(&format!("abcd:{}:1", text.trim_end_matches('=')), &known, true);
    }
}

#[test]
fn everything_else_is_not_genuine() {
    let known = secrets(&[("ns.rr.k", &KEY)]);
    let good = reply("abc", &KEY, 1);
    check(&good, &known, true);
    check(&good.replace("abc", "abd"), &known, false);
    for index in [0, 2, 3, -1] {
        check(&reply("abc", &KEY, index), &known, false);
    }
    for broken in ["", "abc", "abc:def", "abc:def:x", "abc:def:1", "abc:====:1", "abc::1", "::1", "a:b:c:1"] {
        check(broken, &known, false);
    }
    check(&format!("{good}:1"), &known, false);
    check(&reply("abc", &[8; 32], 1), &known, false);
}

#[test]
fn only_keys_of_the_request_reply_in_the_named_secret_count() {
    for name in ["ns.rr", "ns.rr2.k", "ns2.rr.k", "rr.k", "k", "xns.rr.k"] {
        check(&reply("abc", &KEY, 1), &secrets(&[(name, &KEY)]), false);
    }
    let known = secrets(&[("ns.rr.k", &KEY)]);
    check_call("replyid, 'rr', 'ns', 'others', 1, 3", &reply("abc", &KEY, 1), &known, false);
    check_call("replyid, 'rr', 'ns', 'keys', 1, 0", &reply("abc", &KEY, 1), &known, false);
    for wrong_length in [0, 15, 31, 33] {
        check(&reply("abc", &KEY, 1), &secrets(&[("ns.rr.k", &vec![7; wrong_length])]), false);
    }
}

#[test]
fn errors_in_arguments_are_errors() {
    let known = secrets(&[]);
    let event = Event::new("1", "/s", "t").unwrap();
    for (arguments, error) in [
        ("replyid, 'rr', 'ns', 'keys', 1, 3", EvaluationError::MissingAttribute),
        ("id, 'rr', 'ns', 'keys', 'x', 3", EvaluationError::Cast),
        ("id, 'rr', 'ns', 'keys', 1", EvaluationError::MissingFunction),
    ] {
        let text = format!("KN_VERIFY_CORRELATION_ID({arguments})");
        let expression = Expression::compile(&text, Some(&known)).unwrap();
        assert_eq!(expression.evaluate(&event).error, Some(error), "{text}");
    }
}
