//! The W3C trace context (level 2): which span of which trace something belongs to.
//!
//! Pure but for the random numbers of new spans.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::OnceLock;

const SAMPLED: u8 = 1;
/// Length of `version-traceid-parentid-flags`.
const LENGTH: usize = 55;

/// A span's place in its trace. Ids are never all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Of the whole trace.
    pub trace_id: [u8; 16],
    /// Of the span.
    pub span_id: [u8; 8],
    /// As they came.
    pub flags: u8,
}

impl TraceContext {
    /// Reads a `traceparent`: lower-case hex, ids that are not zero; a later version may say more.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (head, rest) = value.split_at_checked(LENGTH)?;
        let mut parts = head.split(|byte| *byte == b'-');
        let version = hex::<1>(parts.next()?)?;
        let (trace_id, span_id, flags) = (hex(parts.next()?)?, hex(parts.next()?)?, hex::<1>(parts.next()?)?);
        let more = !rest.is_empty();
        let is_version = match version {
            [0] => !more,
            [0xff] => false,
            _later => !more || rest.starts_with(b"-"),
        };
        let is_valid = is_version && parts.next().is_none() && trace_id != [0; 16] && span_id != [0; 8];
        let [flags] = flags;
        is_valid.then_some(Self { trace_id, span_id, flags })
    }

    /// Whether whoever began the trace wants it recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// A new span of the same trace.
    #[must_use]
    pub fn child(&self) -> Self {
        // Randomly keyed for each thread and different at each call: no lock, no call of the system.
        let random = RandomState::new().build_hasher().finish();
        Self { span_id: random.max(1).to_be_bytes(), ..*self }
    }

    /// The span of one piece of work: the same however often this process takes the work up.
    #[must_use]
    pub fn child_for(&self, work: &impl Hash) -> Self {
        // Keyed for each process, so that work done again by another one is another span.
        static KEYS: OnceLock<RandomState> = OnceLock::new();
        let random = KEYS.get_or_init(RandomState::new).hash_one((self.trace_id, self.span_id, work));
        Self { span_id: random.max(1).to_be_bytes(), ..*self }
    }

    /// The `traceparent` for what this span sends.
    #[must_use]
    pub fn traceparent(&self) -> String {
        let trace = u128::from_be_bytes(self.trace_id);
        let span = u64::from_be_bytes(self.span_id);
        format!("00-{trace:032x}-{span:016x}-{:02x}", self.flags)
    }
}

/// Exactly `N` bytes in lower-case hex.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(*pair.first()?)? * 16 + digit(*pair.last()?)?;
    }
    Some(bytes)
}

fn digit(letter: u8) -> Option<u8> {
    match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_and_written() {
        let context = TraceContext::parse(PARENT.as_bytes()).unwrap();
        assert_eq!(context.traceparent(), PARENT);
        assert!(context.is_sampled());
        assert!(!TraceContext::parse(PARENT.replace("-01", "-00").as_bytes()).unwrap().is_sampled());
        let later = TraceContext::parse(format!("cc{}-more", PARENT.split_at(2).1).as_bytes()).unwrap();
        assert_eq!(later.traceparent(), PARENT);
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        let (zero_trace, zero_span) = ("0".repeat(32), "0".repeat(16));
        for bad in [
            "",
            "00",
            PARENT.trim_end_matches("-01"),
            &PARENT.to_uppercase(),
            &PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &zero_trace),
            &PARENT.replace("00f067aa0ba902b7", &zero_span),
            &format!("{PARENT}-more"),
            &format!("{PARENT}x"),
            &PARENT.replacen("00", "ff", 1),
            &PARENT.replacen("00-", "ccx", 1),
            &format!("cc{}more", PARENT.split_at(2).1),
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_child_is_another_span_of_the_same_trace() {
        let parent = TraceContext::parse(PARENT.as_bytes()).unwrap();
        let ids: std::collections::BTreeSet<_> = (0..1000).map(|_| parent.child().span_id).collect();
        assert_eq!(ids.len(), 1000);
        assert_eq!(parent.child_for(&("orders", 7)), parent.child_for(&("orders", 7)));
        assert_ne!(parent.child_for(&("orders", 7)), parent.child_for(&("orders", 8)));
        assert_ne!(parent.child_for(&7), TraceContext { trace_id: [1; 16], ..parent }.child_for(&7));
        let child = parent.child();
        assert_eq!((child.trace_id, child.flags), (parent.trace_id, parent.flags));
    }
}
