//! Which payloads are claims, and how they are flattened.

use serde_json::json;

use super::*;

fn read(claims: &Value) -> Result<Claims, TokenError> {
    Claims::read(claims.to_string().as_bytes())
}

fn with(extra: Value) -> Value {
    let mut claims = json!({"iss": "i", "aud": "a", "exp": 1000});
    claims.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    claims
}

#[track_caller]
fn check_flat(extra: Value, name: &str, expected: Option<&[&str]>) {
    let claims = read(&with(extra)).unwrap();
    let found = claims.get(name).map(|values| values.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(found.as_deref(), expected, "{name}");
}

#[test]
fn nested_objects_are_joined_with_dots_and_everything_is_text() {
    check_flat(json!({"sub": "me"}), "sub", Some(&["me"]));
    check_flat(json!({"admin": true}), "admin", Some(&["true"]));
    check_flat(json!({"level": 3}), "level", Some(&["3"]));
    check_flat(json!({"a": {"b": {"c": "d"}}}), "a.b.c", Some(&["d"]));
    check_flat(json!({"kubernetes.io": {"namespace": "shop"}}), "kubernetes.io.namespace", Some(&["shop"]));
    check_flat(json!({"a": {"b": "c"}}), "a", None);
    check_flat(json!({}), "sub", None);
}

#[test]
fn arrays_are_several_values_and_objects_in_them_are_flattened_too() {
    check_flat(json!({"groups": ["a", 1, false]}), "groups", Some(&["a", "1", "false"]));
    check_flat(json!({"groups": []}), "groups", Some(&[]));
    check_flat(json!({"groups": ["a", {"name": "b"}]}), "groups", Some(&["a"]));
    check_flat(json!({"groups": ["a", {"name": "b"}]}), "groups.name", Some(&["b"]));
    check_flat(json!({"groups": [["a", "b"]]}), "groups", Some(&[r#"["a","b"]"#]));
}

#[test]
fn what_is_not_a_usable_set_of_claims_is_refused() {
    let check = |claims: Value, expected: TokenError| assert_eq!(read(&claims), Err(expected), "{claims}");
    check(json!([]), TokenError::Malformed);
    check(json!({"iss": "i", "aud": "a"}), TokenError::NoExpiry);
    check(json!({"iss": "i", "exp": 1}), TokenError::Audience);
    check(json!({"aud": "a", "exp": 1}), TokenError::Malformed);
    for audience in [json!(7), json!(["a", 7]), json!({"a": "a"}), json!(null), json!([["a"]]), json!([{"a": "a"}])] {
        check(with(json!({"aud": audience})), TokenError::Malformed);
    }
    check(with(json!({"iss": ["i"]})), TokenError::Malformed);
    for time in [json!("1"), json!(null), json!([1])] {
        for name in ["exp", "nbf", "iat"] {
            check(with(json!({name: time})), TokenError::Malformed);
        }
    }
    check(with(json!({"nbf": 1001})), TokenError::Times);
    check(with(json!({"iat": 1001})), TokenError::Times);
    for null in [json!({"x": null}), json!({"x": {"y": null}}), json!({"x": [null]}), json!({"x": [{"y": null}]})] {
        check(with(null), TokenError::NullClaim);
    }
}

#[test]
fn times_are_compared_with_a_minutes_skew() {
    let check = |extra: Value, now: u64, expected: Result<(), TokenError>| {
        assert_eq!(read(&with(extra)).unwrap().check_time(Duration::from_secs(now)), expected, "{now}");
    };
    check(json!({}), 0, Ok(()));
    check(json!({}), 1059, Ok(()));
    check(json!({}), 1060, Err(TokenError::Expired));
    check(json!({"nbf": 500}), 440, Ok(()));
    check(json!({"nbf": 500}), 439, Err(TokenError::NotYetValid));
    check(json!({"exp": 1e300}), u64::MAX / 2, Ok(()));
    check(json!({"exp": -5}), 0, Err(TokenError::Expired));
}
