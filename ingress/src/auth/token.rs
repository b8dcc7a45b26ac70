//! One signed token (RFC 7515, RFC 7519): its parts, and whether a key of the issuer has signed it.
//!
//! Pure, and never panics on any text. Only `alg`, `kid` and `crit` of the header count: keys that a token brings along
//! (`jwk`, `jku`, `x5u`, `x5c`) are never looked at. Source: spec ingress 5.3, design row 16.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::Value;

use super::claims::Claims;
use super::trust::Trust;

/// Longer tokens are refused unread. Tokens of service accounts have about 1.2 KiB.
pub(crate) const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Why a token does not count. Says nothing of its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the token is longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    #[error("the token is not a signed JWT")]
    Malformed,
    #[error("the token's algorithm is not accepted")]
    Algorithm,
    #[error("the token asks for an extension that is not understood")]
    Critical,
    #[error("the token is signed with a key that the issuer does not publish")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token is of another issuer")]
    Issuer,
    #[error("the token is not for this audience")]
    Audience,
    #[error("the token never expires")]
    NoExpiry,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token's times contradict each other")]
    Times,
    #[error("the token has a claim without a value")]
    NullClaim,
}

/// What counts of a token's header. Whatever else is in it is skipped.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

/// A token in its parts, not verified.
#[derive(Debug)]
pub(crate) struct Token<'a> {
    /// Header and payload as they were signed.
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
}

impl<'a> Token<'a> {
    /// # Errors
    ///
    /// When the text is not a signed token, or is signed in a way that is not accepted.
    pub(crate) fn parse(text: &'a str) -> Result<Self, TokenError> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        // Five parts are an encrypted token; no signature is none, whatever `alg` says.
        if payload.contains('.') || signature.is_empty() {
            return Err(TokenError::Malformed);
        }
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| TokenError::Malformed)?;
        if header.crit.is_some() {
            return Err(TokenError::Critical);
        }
        let algorithm = algorithm(&header.alg).ok_or(TokenError::Algorithm)?;
        Ok(Self { signed, payload, signature, algorithm, kid: header.kid })
    }

    /// The claims as the token has them, signed or not: good for refusing early, never for letting pass.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub(crate) fn unverified_claims(&self) -> Result<Claims, TokenError> {
        Claims::read(&decode(self.payload)?)
    }

    /// The claims, if a key of the issuer has signed them and they name it. Audience and times are not looked at.
    ///
    /// # Errors
    ///
    /// `UnknownKey` when the issuer is not known to have the token's key, else what is wrong.
    pub(crate) fn verify(&self, trust: &Trust) -> Result<Claims, TokenError> {
        let mut candidates = trust.keys().candidates(self).peekable();
        if candidates.peek().is_none() {
            return Err(TokenError::UnknownKey);
        }
        // The set of keys is bounded, and so is this work.
        let genuine = candidates.any(|key| {
            let verified = jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), key, self.algorithm);
            verified.unwrap_or(false)
        });
        if !genuine {
            return Err(TokenError::Signature);
        }
        let claims = self.unverified_claims()?;
        claims.check_issuer(trust.issuer())?;
        Ok(claims)
    }
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)
}

/// Signatures of a private key only: with `none` or a shared secret everybody who knows the public key could sign.
fn algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" => Algorithm::EdDSA,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
