//! `KN_VERIFY_CORRELATION_ID`: whether an event answers a request of this replica of a Knative RequestReply.
//!
//! A reply id is `id:sealed:index`, where `sealed` is the id encrypted with a key that only RequestReply has. The function
//! exists only in the dispatcher. Any failure means that the id is not genuine, so it never errs by itself. It never
//! waits either: who gives the Secrets keeps them at hand.
//! Sources: Knative Eventing, package `requestreply`; dispatcher spec 6.3. Keys are the decoded bytes of the Secret, as in
//! Knative's own planes (the Java plane takes their base64 text). The base64 of `sealed` may be of either alphabet, with
//! or without padding, because those planes do not agree.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// In upper case; the language ignores the case of functions.
pub(super) const FUNCTION: &str = "KN_VERIFY_CORRELATION_ID";

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// The decoded data of one Secret. Keys of RequestReply are called `<namespace>.<name>.<anything>`.
pub type SecretData = BTreeMap<String, Vec<u8>>;

/// The Secrets of the process's own namespace.
pub trait ReplySecrets: fmt::Debug + Send + Sync {
    /// What is known of a Secret; `None` if nothing is. Called for every event, so it must not wait.
    fn data(&self, secret: &str) -> Option<Arc<SecretData>>;
}

/// Where the function looks. Two are the same if they are one object.
#[derive(Debug, Clone)]
pub(super) struct Secrets(pub(super) Arc<dyn ReplySecrets>);

impl PartialEq for Secrets {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Secrets {}

/// The function's arguments.
pub(super) struct ReplyId<'e> {
    pub(super) text: Cow<'e, str>,
    /// Of the RequestReply.
    pub(super) name: Cow<'e, str>,
    pub(super) namespace: Cow<'e, str>,
    pub(super) secret: Cow<'e, str>,
    /// Of the replica that asks.
    pub(super) pod_index: i32,
    pub(super) replicas: i32,
}

impl ReplyId<'_> {
    pub(super) fn is_genuine(&self, secrets: &Secrets) -> bool {
        self.check(secrets).unwrap_or(false)
    }

    fn check(&self, secrets: &Secrets) -> Option<bool> {
        let mut parts = self.text.split(':');
        let (id, sealed, index) = (parts.next()?, parts.next()?, parts.next()?);
        let is_ours =
            parts.next().is_none() && index.parse::<i32>().ok()?.checked_rem(self.replicas)? == self.pod_index;
        if !is_ours {
            return None;
        }
        let sealed = decode(sealed)?;
        let data = secrets.0.data(&self.secret)?;
        let mut keys = data.iter().filter(|(name, _)| self.owns(name));
        Some(keys.any(|(_, key)| opens(key, &sealed, id.as_bytes())))
    }

    fn owns(&self, key_name: &str) -> bool {
        let rest = key_name.strip_prefix(&*self.namespace).and_then(|rest| rest.strip_prefix('.'));
        rest.and_then(|rest| rest.strip_prefix(&*self.name)).is_some_and(|rest| rest.starts_with('.'))
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    GeneralPurpose::new(alphabet, LENIENT).decode(text).ok()
}

/// Whether `sealed`, a nonce with what was encrypted under it, is `id`. Anything wrong is a no.
fn opens(key: &[u8], sealed: &[u8], id: &[u8]) -> bool {
    open(key, sealed).is_some_and(|opened| opened == id)
}

fn open(key: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let algorithm = match key.len() {
        16 => &AES_128_GCM,
        24 => &AES_192_GCM,
        32 => &AES_256_GCM,
        _ => return None,
    };
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
    let mut buffer = sealed.to_vec();
    let opened = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::empty(), &mut buffer).ok()?;
    Some(opened.to_vec())
}

#[cfg(test)]
mod tests;
