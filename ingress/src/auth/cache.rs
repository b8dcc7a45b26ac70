//! Remembers tokens that were found genuine, because checking a signature costs more than the rest of a request.
//!
//! Holds digests, never tokens. A fixed number of places, each replaced as a whole: no lock, and only genuine tokens get
//! in, so senders of forged ones cannot fill it. Audience, times and policies are looked at for every request.

use std::sync::Arc;

use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::jwk::ThumbprintHash;
use millrace_config::snapshot::Snapshot;

use super::claims::Claims;

/// A newer token takes the place of an older one.
const PLACES: usize = 256;

#[derive(Debug)]
struct Genuine {
    digest: Vec<u8>,
    /// Of the trust that it was verified with.
    revision: u64,
    claims: Arc<Claims>,
}

/// The places.
#[derive(Debug)]
pub(super) struct Cache(Vec<Snapshot<Option<Genuine>>>);

impl Cache {
    pub(super) fn new() -> Self {
        Self((0..PLACES).map(|_| Snapshot::default()).collect())
    }

    /// The claims of a token that was verified with the keys of this revision.
    pub(super) fn get(&self, token: &str, revision: u64) -> Option<Arc<Claims>> {
        let digest = digest(token)?;
        let place = self.place(&digest)?.load();
        let genuine = place.as_ref().as_ref()?;
        (genuine.revision == revision && genuine.digest == digest).then(|| Arc::clone(&genuine.claims))
    }

    pub(super) fn put(&self, token: &str, revision: u64, claims: &Arc<Claims>) {
        let Some(digest) = digest(token) else { return };
        let Some(place) = self.place(&digest) else { return };
        place.publish(Some(Genuine { digest, revision, claims: Arc::clone(claims) }));
    }

    fn place(&self, digest: &[u8]) -> Option<&Snapshot<Option<Genuine>>> {
        let first = digest.first().copied()?;
        self.0.get(usize::from(first))
    }
}

/// SHA-256: nobody can make two tokens with one digest.
fn digest(token: &str) -> Option<Vec<u8>> {
    (DEFAULT_PROVIDER.key_utils.compute_digest)(token.as_bytes(), ThumbprintHash::SHA256).ok()
}
