//! Spans: what was done, for how long, under which trace.
//!
//! A span ends when it is dropped, so that one whose work was given up is not lost. It never waits and never fails: at the
//! bound of the queue it is dropped and counted.

use std::borrow::Cow;
use std::hash::Hash;
use std::time::Duration;

use prometheus::IntCounter;
use tokio::sync::mpsc;

use super::context::TraceContext;
use crate::clock;

/// What a span is to the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Answers a request.
    Server,
    /// Waits for an answer.
    Client,
    /// Hands a record to Kafka.
    Producer,
    /// Handles a record of Kafka.
    Consumer,
}

/// A span that has ended.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) context: TraceContext,
    pub(super) parent: [u8; 8],
    pub(super) name: Cow<'static, str>,
    pub(super) kind: Kind,
    /// Since 1970, as `end`.
    pub(super) start: Duration,
    pub(super) end: Duration,
    pub(super) attributes: Vec<(&'static str, String)>,
    pub(super) error: Option<String>,
}

/// Takes the spans of the process. Clones are the same.
#[derive(Clone, Debug)]
pub struct Tracer {
    pub(super) queue: mpsc::Sender<Span>,
    pub(super) dropped: IntCounter,
}

/// A span that goes on until this is dropped.
#[derive(Debug)]
pub struct OpenSpan {
    // Boxed, so that waiting for an answer does not carry it about; taken only by `drop`.
    span: Option<Box<Span>>,
    tracer: Tracer,
}

impl Tracer {
    /// Begins a span under a parent of another process or of this one; `None` when its trace is not to be recorded.
    #[must_use]
    pub fn begin(&self, parent: &TraceContext, name: impl Into<Cow<'static, str>>, kind: Kind) -> Option<OpenSpan> {
        parent.is_sampled().then(|| self.open(parent, parent.child(), name.into(), kind))
    }

    /// As [`Tracer::begin`] for work that may be put aside and taken up again: `work` tells it from all other work under
    /// this parent. Of the spans of one piece of work all but the last are to be discarded.
    #[must_use]
    pub fn take_up(
        &self,
        parent: &TraceContext,
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
        work: &impl Hash,
    ) -> Option<OpenSpan> {
        parent.is_sampled().then(|| self.open(parent, parent.child_for(work), name.into(), kind))
    }

    fn open(&self, parent: &TraceContext, context: TraceContext, name: Cow<'static, str>, kind: Kind) -> OpenSpan {
        let start = clock::since_epoch();
        let span = Span {
            context,
            parent: parent.span_id,
            name,
            kind,
            start,
            end: start,
            attributes: Vec::with_capacity(8),
            error: None,
        };
        OpenSpan { span: Some(Box::new(span)), tracer: self.clone() }
    }
}

impl OpenSpan {
    /// Where this span is in its trace: the parent of whatever it causes.
    #[must_use]
    pub fn context(&self) -> TraceContext {
        self.span.as_ref().expect("only drop takes the span").context
    }

    /// Begins a span under this one.
    #[must_use]
    pub fn child(&self, name: impl Into<Cow<'static, str>>, kind: Kind) -> Option<Self> {
        self.tracer.begin(&self.context(), name, kind)
    }

    /// The work began this long ago.
    pub fn began(&mut self, ago: Duration) {
        if let Some(span) = &mut self.span {
            span.start = clock::since_epoch().saturating_sub(ago);
        }
    }

    /// Ends the span without a trace of it: its work was put aside.
    pub fn discard(mut self) {
        self.span = None;
    }

    /// Adds an attribute. Each name may be set once.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        if let Some(span) = &mut self.span {
            span.attributes.push((name, value.into()));
        }
    }

    /// Marks the span as failed.
    pub fn fail(&mut self, reason: impl Into<String>) {
        if let Some(span) = &mut self.span {
            span.error = Some(reason.into());
        }
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        let Some(mut span) = self.span.take() else { return };
        // A clock that was set back must not make a span end before it began.
        span.end = clock::since_epoch().max(span.start);
        if self.tracer.queue.try_send(*span).is_err() {
            self.tracer.dropped.inc();
        }
    }
}
