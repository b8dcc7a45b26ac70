//! Brings Kafka's answer for one record back to the request that waits for it.
//!
//! librdkafka carries one opaque value with each record. Here it is a slot that is used again and again: after warm-up no
//! record takes anything from the heap for it.

use std::cell::RefCell;
use std::error::Error;
use std::future::poll_fn;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::thread::AccessError;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use millrace_runtime::kafka_tokens::{Keeper, TokenError};
use millrace_runtime::metrics::kafka_producer::ProducerSeries;
use millrace_runtime::throttle::Throttle;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use tracing::{debug, error, info, warn};

use super::admission::Admission;
use super::contact::Contact;

/// Where Kafka stored a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// What travels with a record through librdkafka.
#[derive(Debug, Default)]
pub(super) struct Slot {
    answer: OnceLock<Result<Delivered, KafkaError>>,
    waker: AtomicWaker,
    // Held until Kafka has answered, also when the client that sent the event has gone.
    admission: Option<Admission>,
}

/// The waiting end of a slot.
#[derive(Debug)]
pub(super) struct Receipt(Option<Arc<Slot>>);

/// The time is over; the record may still be stored later.
#[derive(Debug)]
pub(super) struct TimedOut;

thread_local! {
    /// Slots nobody uses. Each thread has its own, so that taking one needs no lock; a request that ends on another
    /// thread than it began on merely moves its slot.
    static SPARE: RefCell<Vec<Arc<Slot>>> = const { RefCell::new(Vec::new()) };
}

/// Slots that one thread keeps; what is beyond goes back to the heap.
const SPARE_SLOTS: usize = 1024;

impl Slot {
    /// A slot for one record; from the heap only if this thread has no spare one.
    pub(super) fn open(admission: Admission) -> (Arc<Self>, Receipt) {
        let mut slot = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
        // Only what nobody else holds is spare, see `Receipt::drop`.
        if let Some(slot) = Arc::get_mut(&mut slot) {
            slot.admission = Some(admission);
        }
        (Arc::clone(&slot), Receipt(Some(slot)))
    }

    /// Kafka has answered.
    fn settle(self: Arc<Self>, answer: Result<Delivered, KafkaError>) {
        // The place is free before the request goes on, so that a client's next event finds it.
        if let Some(admission) = &self.admission {
            admission.release();
        }
        // Each record is answered once; a second answer would have nobody to go to.
        drop(self.answer.set(answer));
        let waker = self.waker.take();
        // Before the request is woken, so that it is the last to hold the slot and can keep it for the next one.
        drop(self);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Receipt {
    /// Waits for Kafka's answer, at most for `limit`. Dropping the future gives up the answer, not the record.
    /// After `TimedOut` it may be called again.
    pub(super) async fn wait(&mut self, limit: Duration) -> Result<Result<Delivered, KafkaError>, TimedOut> {
        let answer = poll_fn(|context| {
            let Some(slot) = &self.0 else { return Poll::Pending };
            slot.waker.register(context.waker());
            slot.answer.get().map_or(Poll::Pending, |answer| Poll::Ready(answer.clone()))
        });
        tokio::time::timeout(limit, answer).await.map_err(|_| TimedOut)
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        let Some(mut slot) = self.0.take() else { return };
        let Some(unused) = Arc::get_mut(&mut slot) else { return };
        *unused = Slot::default();
        let keep = |spare: &RefCell<Vec<Arc<Slot>>>| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_SLOTS {
                spare.push(slot);
            }
        };
        // A thread that is ending keeps nothing.
        match SPARE.try_with(keep) {
            Ok(()) | Err(AccessError { .. }) => {}
        }
    }
}

/// How often one kind of trouble is logged while it lasts; librdkafka reports it several times a second.
const REPEAT: Duration = Duration::from_secs(30);

/// What librdkafka calls back, on the producer's own polling thread. Nothing here may block.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) bootstrap_servers: String,
    pub(super) contact: Contact,
    troubles: Throttle<Option<RDKafkaErrorCode>>,
    /// Absent when nobody wants metrics of clients.
    series: Option<ProducerSeries>,
    /// Absent when the brokers want no tokens.
    tokens: Option<Arc<Keeper>>,
}

impl Context {
    pub(super) fn new(bootstrap_servers: &str, series: Option<ProducerSeries>, tokens: Option<Arc<Keeper>>) -> Self {
        let (bootstrap_servers, troubles) = (bootstrap_servers.to_owned(), Throttle::new(REPEAT));
        Self { bootstrap_servers, contact: Contact::default(), troubles, series, tokens }
    }
}

// librdkafka retries by itself, and each event that fails has its own answer: what it calls errors are warnings here.
impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    // Waits only for the very first token, without which nothing is on its way.
    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let token = self.tokens.as_ref().ok_or(TokenError::NotYet)?.token()?;
        Ok(OAuthToken { token: token.value, principal_name: token.principal, lifetime_ms: token.expires_ms })
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let bootstrap = &self.bootstrap_servers;
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                error!(target: "librdkafka", bootstrap, facility, "{message}");
            }
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
                warn!(target: "librdkafka", bootstrap, facility, "{message}");
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                info!(target: "librdkafka", bootstrap, facility, "{message}");
            }
            RDKafkaLogLevel::Debug => debug!(target: "librdkafka", bootstrap, facility, "{message}"),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        if let Some(series) = &self.series {
            series.told(statistics);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if code(&error) == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.contact.lost();
        }
        if self.troubles.is_news(code(&error), Instant::now()) {
            warn!(bootstrap = self.bootstrap_servers, %error, reason, "Kafka client reports a problem");
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Arc<Slot>;

    fn delivery(&self, result: &DeliveryResult<'_>, slot: Arc<Slot>) {
        let answer = match result {
            Ok(record) => {
                if self.contact.reached(self.contact.look()) {
                    info!(bootstrap = self.bootstrap_servers, "Kafka brokers are back, events are accepted");
                }
                Ok(Delivered { partition: record.partition(), offset: record.offset() })
            }
            Err((error, _)) => {
                if let Some(series) = &self.series {
                    series.failed();
                }
                Err(error.clone())
            }
        };
        // Nobody may wait any more, when the client went away or its time was over; the record is stored all the same.
        slot.settle(answer);
    }
}

/// What librdkafka's error says about one record.
pub(super) fn code(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    error.rdkafka_error_code()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> Admission {
        let limits = super::super::admission::Limits { records: 8, bytes: 8 };
        super::super::admission::Share::of(&super::super::admission::Budget::new(limits)).admit(1).unwrap()
    }

    const STORED: Delivered = Delivered { partition: 1, offset: 2 };

    #[tokio::test]
    async fn a_slot_is_used_again_once_nobody_holds_it() {
        let (slot, mut receipt) = Slot::open(admission());
        let first = Arc::as_ptr(&slot);
        slot.settle(Ok(STORED));
        assert_eq!(receipt.wait(Duration::ZERO).await.unwrap().unwrap(), STORED);
        drop(receipt);
        let (slot, mut receipt) = Slot::open(admission());
        assert_eq!(Arc::as_ptr(&slot), first);
        // Nothing of the record before is left in it.
        assert!(receipt.wait(Duration::ZERO).await.is_err());
        // Its client is gone and Kafka has not answered: it belongs to librdkafka still.
        drop(receipt);
        let (other, _receipt) = Slot::open(admission());
        assert_ne!(Arc::as_ptr(&other), first);
        slot.settle(Ok(STORED));
    }

    #[tokio::test]
    async fn an_answer_from_another_thread_wakes_the_request() {
        let (slot, mut receipt) = Slot::open(admission());
        let answering = std::thread::spawn(move || slot.settle(Err(KafkaError::Canceled)));
        let answer = receipt.wait(Duration::from_secs(30)).await.unwrap();
        assert_eq!(answer, Err(KafkaError::Canceled));
        answering.join().unwrap();
    }

    #[test]
    fn lasting_trouble_is_logged_once_in_a_while_for_each_kind() {
        let context = Context::new("localhost:1", None, None);
        let (down, transport) =
            (Some(RDKafkaErrorCode::AllBrokersDown), Some(RDKafkaErrorCode::BrokerTransportFailure));
        let start = Instant::now();
        assert!(context.troubles.is_news(down, start));
        assert!(context.troubles.is_news(transport, start));
        assert!(!context.troubles.is_news(down, start + REPEAT / 2));
        assert!(context.troubles.is_news(down, start + REPEAT));
    }
}
