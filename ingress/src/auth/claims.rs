//! The claims of a token: those that decide about the token itself, and all of them flattened for event policies.
//!
//! Names of nested objects are joined with dots, arrays become several values, every value is text. Source: spec ingress
//! 5.3 and 5.4, section 11 for `null`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::token::TokenError;

/// How far our clock and the issuer's may be apart (design row 16).
const SKEW: Duration = Duration::from_secs(60);

/// What a token says.
#[derive(Debug, PartialEq)]
pub(crate) struct Claims {
    values: BTreeMap<String, Vec<String>>,
    /// Seconds since 1970, as all times of tokens.
    expires: f64,
    not_before: Option<f64>,
}

impl Claims {
    /// Reads a token's payload.
    ///
    /// # Errors
    ///
    /// When it is no object, a claim is `null`, there is no expiry, or its times contradict each other.
    pub(super) fn read(payload: &[u8]) -> Result<Self, TokenError> {
        let claims: Map<String, Value> = serde_json::from_slice(payload).map_err(|_| TokenError::Malformed)?;
        let time = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or(TokenError::Malformed),
        };
        let expires = time("exp")?.ok_or(TokenError::NoExpiry)?;
        let (not_before, issued) = (time("nbf")?, time("iat")?);
        if [not_before, issued].into_iter().flatten().any(|begin| expires < begin) {
            return Err(TokenError::Times);
        }
        // A list with something else in it is not one of audiences; a text that happens to equal it must not count.
        let audience = claims.get("aud").ok_or(TokenError::Audience)?;
        let is_audience = match audience {
            Value::String(_) => true,
            Value::Array(list) => list.iter().all(Value::is_string),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
        };
        if !is_audience || !claims.get("iss").is_some_and(Value::is_string) {
            return Err(TokenError::Malformed);
        }
        let mut values = BTreeMap::new();
        flatten_object(None, &claims, &mut values)?;
        Ok(Self { values, expires, not_before })
    }

    /// All values of a claim, by its flattened name; `None` when the token does not have it.
    pub(super) fn get(&self, name: &str) -> Option<&[String]> {
        self.values.get(name).map(Vec::as_slice)
    }

    /// # Errors
    ///
    /// When the token is of another issuer.
    pub(super) fn check_issuer(&self, issuer: &str) -> Result<(), TokenError> {
        self.check("iss", issuer, TokenError::Issuer)
    }

    /// # Errors
    ///
    /// When the token is not for this audience.
    pub(super) fn check_audience(&self, audience: &str) -> Result<(), TokenError> {
        self.check("aud", audience, TokenError::Audience)
    }

    fn check(&self, name: &str, expected: &str, error: TokenError) -> Result<(), TokenError> {
        let has = self.get(name).is_some_and(|values| values.iter().any(|value| value == expected));
        if has { Ok(()) } else { Err(error) }
    }

    /// `now` is the time since 1970.
    ///
    /// # Errors
    ///
    /// When the token has expired or is not valid yet.
    pub(super) fn check_time(&self, now: Duration) -> Result<(), TokenError> {
        if self.expires <= now.saturating_sub(SKEW).as_secs_f64() {
            return Err(TokenError::Expired);
        }
        if self.not_before.is_some_and(|begin| begin > (now + SKEW).as_secs_f64()) {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }
}

type Values = BTreeMap<String, Vec<String>>;

fn flatten_object(prefix: Option<&str>, object: &Map<String, Value>, values: &mut Values) -> Result<(), TokenError> {
    for (name, value) in object {
        let name = match prefix {
            Some(prefix) => format!("{prefix}.{name}"),
            None => name.clone(),
        };
        flatten(name, value, values)?;
    }
    Ok(())
}

/// Of several values for one name the last one counts, as for the peer.
fn flatten(name: String, value: &Value, values: &mut Values) -> Result<(), TokenError> {
    match value {
        Value::Object(object) => flatten_object(Some(&name), object, values)?,
        Value::Array(list) => {
            let mut texts = Vec::with_capacity(list.len());
            for item in list {
                match item {
                    Value::Object(object) => flatten_object(Some(&name), object, values)?,
                    Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                        texts.push(text(item)?);
                    }
                }
            }
            values.insert(name, texts);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            values.insert(name, vec![text(value)?]);
        }
    }
    Ok(())
}

fn text(value: &Value) -> Result<String, TokenError> {
    match value {
        Value::Null => Err(TokenError::NullClaim),
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Ok(value.to_string()),
    }
}

#[cfg(test)]
mod tests;
