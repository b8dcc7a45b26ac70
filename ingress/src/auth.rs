//! Decides whether a request may send to a target that has an audience.
//!
//! Fails closed: tokens are not verified here yet, so a guarded target takes no event at all. What a sender without a
//! token is told is already what it will be told then. Source: spec ingress 5.3, design row 16.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::error::Rejection;

const SCHEME: &str = "Bearer ";

/// Passes requests to targets without an audience; policies count only where there is one.
///
/// # Errors
///
/// `NoToken` when there is no bearer token, otherwise `TokensNotChecked`.
pub(crate) fn check(audience: Option<&str>, headers: &HeaderMap) -> Result<(), Rejection> {
    if audience.is_none() {
        return Ok(());
    }
    match bearer_token(headers) {
        Some(_) => Err(Rejection::TokensNotChecked),
        None => Err(Rejection::NoToken),
    }
}

/// The text after the scheme, which may be written in any case (RFC 9110).
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_at_checked(SCHEME.len())?;
    (scheme.eq_ignore_ascii_case(SCHEME) && !token.trim().is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check_authorization(value: Option<&str>, expected: &str) {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        let refused = check(Some("audience"), &headers).unwrap_err();
        assert_eq!(format!("{refused:?}"), expected, "{value:?}");
    }

    #[test]
    fn a_target_without_an_audience_needs_no_token() {
        assert!(check(None, &HeaderMap::new()).is_ok());
    }

    #[test]
    fn a_guarded_target_asks_for_a_bearer_token() {
        for value in [None, Some(""), Some("Bearer"), Some("Bearer "), Some("Basic dXNlcjpwYXNz"), Some("Tokenx abc")] {
            check_authorization(value, "NoToken");
        }
    }

    #[test]
    fn no_token_opens_a_guarded_target_while_tokens_cannot_be_checked() {
        for value in ["Bearer a.b.c", "bearer a.b.c"] {
            check_authorization(Some(value), "TokensNotChecked");
        }
    }
}
