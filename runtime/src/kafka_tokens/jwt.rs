//! What a token says of itself, and tokens without a signature.
//!
//! Nothing is verified here: that is for brokers. A text that is no JWT may still be a token.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millrace_config::contract::credentials::Unsecured;
use serde_json::{Map, Value, json};

use super::Token;

/// What a JWT claims; `None` if the text is none.
pub(super) fn claims(token: &str) -> Option<Map<String, Value>> {
    let mut parts = token.split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    match serde_json::from_slice(&payload).ok()? {
        Value::Object(claims) => Some(claims),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    }
}

/// When a JWT runs out, in milliseconds since the Unix epoch.
pub(super) fn expires_ms(claims: &Map<String, Value>) -> Option<i64> {
    let seconds = claims.get("exp")?;
    // Some issuers write fractions; what is cut off is less than a second.
    let whole = seconds.as_i64().or_else(|| seconds.as_f64().and_then(|exp| format!("{exp:.0}").parse().ok()))?;
    whole.checked_mul(1000)
}

/// A token that only a broker in a test believes.
pub(super) fn unsecured(what: &Unsecured, now: Duration) -> Token {
    let end = now + what.lifetime;
    let mut claims = Map::new();
    claims.insert(what.principal_claim.clone(), json!(what.principal));
    claims.insert("iat".to_owned(), json!(now.as_secs()));
    claims.insert("exp".to_owned(), json!(end.as_secs()));
    if !what.scope.is_empty() {
        claims.insert(what.scope_claim.clone(), json!(what.scope));
    }
    let encoded = |text: String| URL_SAFE_NO_PAD.encode(text);
    let value =
        format!("{}.{}.", encoded(json!({"alg": "none"}).to_string()), encoded(Value::Object(claims).to_string()));
    let expires_ms = i64::try_from(end.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000);
    Token { value, principal: what.principal.clone(), expires_ms }
}
