//! A metric family whose series belong to owners, such as one channel or one subscription.
//!
//! The registry of the `prometheus` crate insists on one set of label names for each metric name and never forgets a
//! series by itself. The peer's label *names* depend on the owner (`kn_kafkachannel_name`, `kn_broker_name`), and its
//! series go when the owner goes. So a family is one collector that keeps its owners' series and writes them all.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntGauge, Opts};

use super::OTHER;

/// Label sets one owner may have in one family. Beyond that the first label, the open-ended one, says `other`.
pub const MAX_SERIES_PER_OWNER: usize = 200;

/// What a family is made of.
pub trait Instrument: Clone + Send + Sync + 'static {
    /// Suffixes of the metric names this instrument writes; the empty one for the name itself.
    const SUFFIXES: &'static [&'static str] = &[""];

    /// A new instrument with all its labels.
    ///
    /// # Errors
    ///
    /// When a name or a label name is not a valid one.
    fn create(name: &str, help: &str, labels: HashMap<String, String>) -> Result<Self, prometheus::Error>;

    /// Its present values, one family for each suffix.
    fn collect(&self) -> Vec<MetricFamily>;
}

impl Instrument for IntCounter {
    fn create(name: &str, help: &str, labels: HashMap<String, String>) -> Result<Self, prometheus::Error> {
        IntCounter::with_opts(Opts::new(name, help).const_labels(labels))
    }

    fn collect(&self) -> Vec<MetricFamily> {
        Collector::collect(self)
    }
}

impl Instrument for IntGauge {
    fn create(name: &str, help: &str, labels: HashMap<String, String>) -> Result<Self, prometheus::Error> {
        IntGauge::with_opts(Opts::new(name, help).const_labels(labels))
    }

    fn collect(&self) -> Vec<MetricFamily> {
        Collector::collect(self)
    }
}

/// Labels of an owner, such as `kn_kafkachannel_name=orders`; sorted, so that equal owners compare equal.
pub type OwnerLabels = BTreeMap<String, String>;

/// All series of one metric name; clones share them.
pub struct Family<I: Instrument> {
    shared: Arc<Shared<I>>,
}

struct Shared<I: Instrument> {
    name: String,
    help: String,
    labels: Vec<&'static str>,
    descriptions: Vec<Desc>,
    owners: RwLock<BTreeMap<OwnerLabels, Weak<Series<I>>>>,
}

/// The series of one owner. They are written as long as somebody holds this.
pub struct Series<I: Instrument> {
    family: Arc<Shared<I>>,
    owner: OwnerLabels,
    hasher: RandomState,
    // Keyed by the hash of the label values, as the prometheus crate does: a 64-bit hash with random keys does not
    // collide within a few hundred entries, and a look-up allocates nothing.
    instruments: RwLock<HashMap<u64, I, BuildHasherDefault<Hashed>>>,
}

/// Hashes what is a hash already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Never for the keys above, which are whole numbers.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl<I: Instrument> Clone for Family<I> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<I: Instrument> std::fmt::Debug for Family<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Family").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

impl<I: Instrument> std::fmt::Debug for Series<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Series").field("family", &self.family.name).field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl<I: Instrument> Family<I> {
    /// A family nobody has registered yet; `Metrics::family` makes and registers one.
    ///
    /// `labels` are those that vary from event to event. The first one is the open-ended one (the event type, say): it
    /// turns to `other` when an owner's label sets become too many.
    ///
    /// # Errors
    ///
    /// When the name is not a valid metric name.
    pub fn new(name: &str, help: &str, labels: &[&'static str]) -> Result<Self, prometheus::Error> {
        let descriptions = I::SUFFIXES
            .iter()
            .map(|suffix| Desc::new(format!("{name}{suffix}"), help.to_owned(), Vec::new(), HashMap::new()))
            .collect::<Result<_, _>>()?;
        let shared = Shared {
            name: name.to_owned(),
            help: help.to_owned(),
            labels: labels.to_vec(),
            descriptions,
            owners: RwLock::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The series of one owner: the ones already there when somebody still holds them, new ones otherwise.
    ///
    /// They are removed from the output when the last holder drops them.
    #[must_use]
    pub fn series(&self, owner: OwnerLabels) -> Arc<Series<I>> {
        let mut owners = self.shared.owners.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = owners.get(&owner).and_then(Weak::upgrade) {
            return series;
        }
        owners.retain(|_, series| series.strong_count() > 0);
        let series = Arc::new(Series {
            family: Arc::clone(&self.shared),
            owner: owner.clone(),
            hasher: RandomState::new(),
            instruments: RwLock::default(),
        });
        owners.insert(owner, Arc::downgrade(&series));
        series
    }
}

impl<I: Instrument> Series<I> {
    /// The instrument for these values of the family's varying labels, in the family's order.
    ///
    /// Takes a shared lock and allocates only for a label set seen for the first time. Absent when the family was given
    /// an invalid label name, which is our own mistake and not worth an event.
    #[must_use]
    pub fn with(&self, values: &[&str]) -> Option<I> {
        if let Some(found) = self.find(values) {
            return Some(found);
        }
        let full = self.instruments.read().unwrap_or_else(PoisonError::into_inner).len() >= MAX_SERIES_PER_OWNER;
        match values.split_first() {
            Some((first, rest)) if full && *first != OTHER => {
                let mut capped = vec![OTHER];
                capped.extend_from_slice(rest);
                self.find(&capped).or_else(|| self.add(&capped))
            }
            Some(_) | None => self.add(values),
        }
    }

    fn find(&self, values: &[&str]) -> Option<I> {
        let key = self.hasher.hash_one(values);
        self.instruments.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    fn add(&self, values: &[&str]) -> Option<I> {
        let mut labels: HashMap<String, String> = self.owner.clone().into_iter().collect();
        for (name, value) in self.family.labels.iter().zip(values) {
            labels.insert((*name).to_owned(), (*value).to_owned());
        }
        let made = I::create(&self.family.name, &self.family.help, labels).ok()?;
        let mut instruments = self.instruments.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have been first: its instrument stays, or counts would be lost.
        Some(instruments.entry(self.hasher.hash_one(values)).or_insert(made).clone())
    }
}

impl Series<IntGauge> {
    /// Sets the gauge of these label values, if there is one ([`Series::with`]).
    pub fn set(&self, values: &[&str], value: i64) {
        if let Some(gauge) = self.with(values) {
            gauge.set(value);
        }
    }
}

impl<I: Instrument> Collector for Family<I> {
    fn desc(&self) -> Vec<&Desc> {
        self.shared.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let owners: Vec<_> = {
            let owners = self.shared.owners.read().unwrap_or_else(PoisonError::into_inner);
            owners.values().filter_map(Weak::upgrade).collect()
        };
        let mut families: Vec<MetricFamily> = Vec::new();
        for series in owners {
            let instruments = series.instruments.read().unwrap_or_else(PoisonError::into_inner);
            for mut part in instruments.values().flat_map(Instrument::collect) {
                match families.iter_mut().find(|family| family.name() == part.name()) {
                    Some(family) => family.mut_metric().append(&mut part.take_metric()),
                    None => families.push(part),
                }
            }
        }
        families
    }
}
