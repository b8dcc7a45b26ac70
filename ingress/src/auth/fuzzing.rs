//! What the fuzzer feeds: the readers of tokens, claims and policies, without sockets, an issuer or a clock.
//!
//! For `tests/fuzz` only; nothing in the product calls it. Source: spec ingress 5.3 to 5.5.

use std::time::{Duration, Instant};

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use millrace_config::contract::Ingress;
use millrace_event::Event;

use super::claims::Claims;
use super::keys::Keys;
use super::token::{Token, TokenError};
use super::trust::Tokens;
use super::{Guard, Permit, bearer_token};

/// The key of the example in RFC 7515, appendix A.3, so that one genuine signature is known.
const KEYS: &[u8] = br#"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

/// What came of the value of an `Authorization` header: what its claims came to when they were only read, and what its
/// verification came to. The texts come from a closed set.
///
/// The issuer is one that no token names, so verification succeeds for none.
pub fn token(header: &[u8]) -> (Result<(), String>, Result<(), String>) {
    let refused = |reason: &str| (Err(reason.to_owned()), Err(reason.to_owned()));
    let Ok(value) = HeaderValue::from_bytes(header) else { return refused("no header") };
    let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
    let Ok(text) = bearer_token(&headers) else { return refused("no token") };
    let token = match Token::parse(text) {
        Ok(token) => token,
        Err(error) => return refused(&error.to_string()),
    };
    let tokens = Tokens::default();
    let Ok(keys) = Keys::read(KEYS) else { return refused("no keys") };
    tokens.renew(String::new(), keys, Instant::now());
    let Some(trust) = tokens.trust() else { return refused("no trust") };
    let valid = |claims: Claims| {
        claims.check_audience("a")?;
        claims.check_time(Duration::from_secs(1))
    };
    let read = token.unverified_claims().and_then(valid);
    let verified = token.verify(&trust).map(drop);
    let text = |result: Result<(), TokenError>| result.map_err(|error| error.to_string());
    (text(read), text(verified))
}

/// What came of an event for a target with policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// A filter is not understood.
    NotCompiled,
    /// These are no claims of a token.
    NoClaims,
    /// No policy names the sender.
    NotNamed,
    /// Policies do, but none lets the event pass.
    NotPassed,
    /// The event may be sent.
    Passed,
}

/// Whether the bearer of these claims may send an event to a target. A target without an audience has no guard: anybody.
#[must_use]
pub fn policies(ingress: &Ingress, claims: &[u8], event: &Event<'_>) -> Verdict {
    let guard = match Guard::compile(ingress) {
        Err(_) => return Verdict::NotCompiled,
        Ok(None) => return Verdict::Passed,
        Ok(Some(guard)) => guard,
    };
    let Ok(claims) = Claims::read(claims) else { return Verdict::NoClaims };
    match guard.permit(&claims) {
        Err(_) => Verdict::NotNamed,
        Ok(permit) if Permit::check(&permit, event).is_ok() => Verdict::Passed,
        Ok(_) => Verdict::NotPassed,
    }
}
