//! The public keys of an issuer: what a JWK set (RFC 7517) says, and which of them may have signed a token.
//!
//! Pure. Only public keys that verify signatures are taken; a shared secret in a set is not one of them. A key that goes
//! from the set is kept for a while: tokens that it signed before are good until they expire. Source: spec ingress 5.2,
//! `proof` R24.

use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::token::Token;

/// Keys beyond this are left out, so that a token without `kid` cannot cost more than that many checks.
const MAX_KEYS: usize = 32;
/// How long a key is accepted after it went from the set: as long as tokens of service accounts usually live.
const RETIRED_FOR: Duration = Duration::from_secs(60 * 60);

/// Why a document is no set of keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    #[error("not a JWK set")]
    Parse(#[source] serde_json::Error),
    #[error("no key in it can verify a signature")]
    NoKey,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

#[derive(Clone, Debug)]
struct Key {
    jwk: Jwk,
    decoding: DecodingKey,
    kind: Kind,
    /// When the set was first seen without it.
    retired: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// All keys of an issuer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys(Vec<Key>);

impl Keys {
    /// Reads a JWK set. Keys of other kinds or for other uses are skipped.
    ///
    /// # Errors
    ///
    /// When it is no set, or has no key that can be used: such a set cannot be meant.
    pub(crate) fn read(document: &[u8]) -> Result<Self, KeysError> {
        let document: Document = serde_json::from_slice(document).map_err(KeysError::Parse)?;
        // One key that is not understood must not cost the others.
        let keys = document.keys.into_iter().filter_map(Key::read).take(MAX_KEYS);
        let keys: Vec<_> = keys.collect();
        if keys.is_empty() { Err(KeysError::NoKey) } else { Ok(Self(keys)) }
    }

    /// These keys, and for a while those that are no longer among them.
    #[must_use]
    pub(crate) fn after(mut self, before: &Self, now: Instant) -> Self {
        for key in &before.0 {
            let retired = *key.retired.as_ref().unwrap_or(&now);
            let is_back = self.0.iter().any(|current| current.jwk == key.jwk);
            if !is_back && now.saturating_duration_since(retired) < RETIRED_FOR && self.0.len() < 2 * MAX_KEYS {
                self.0.push(Key { retired: Some(retired), ..key.clone() });
            }
        }
        self
    }

    /// Whether both are the same keys in the same order.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.0.iter().map(|key| &key.jwk).eq(other.0.iter().map(|key| &key.jwk))
    }

    /// Keys that may have signed a token: those with its `kid`, or all when it names none, of the kind that its
    /// algorithm asks for.
    pub(super) fn candidates(&self, token: &Token<'_>) -> impl Iterator<Item = &DecodingKey> {
        let is_named = |key: &&Key| token.kid.is_none() || key.jwk.common.key_id == token.kid;
        let fits = |key: &&Key| key.fits(token.algorithm);
        self.0.iter().filter(is_named).filter(fits).map(|key| &key.decoding)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Key {
    fn read(value: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_))) {
            return None;
        }
        let kind = kind(&jwk.algorithm)?;
        let decoding = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { jwk, decoding, kind, retired: None })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        let fits = match self.kind {
            Kind::Rsa => algorithm.family() == AlgorithmFamily::Rsa,
            Kind::P256 => algorithm == Algorithm::ES256,
            Kind::P384 => algorithm == Algorithm::ES384,
            Kind::Ed25519 => algorithm == Algorithm::EdDSA,
        };
        fits && self.jwk.common.key_algorithm.is_none_or(|said| said == KeyAlgorithm::from(algorithm))
    }
}

/// What is not named here, secrets above all, is not taken.
fn kind(key: &AlgorithmParameters) -> Option<Kind> {
    if let AlgorithmParameters::RSA(_) = key {
        return Some(Kind::Rsa);
    }
    if let AlgorithmParameters::OctetKeyPair(key) = key {
        return (key.curve == EllipticCurve::Ed25519).then_some(Kind::Ed25519);
    }
    let AlgorithmParameters::EllipticCurve(key) = key else { return None };
    let curves = [(EllipticCurve::P256, Kind::P256), (EllipticCurve::P384, Kind::P384)];
    curves.into_iter().find(|(curve, _)| *curve == key.curve).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests;
