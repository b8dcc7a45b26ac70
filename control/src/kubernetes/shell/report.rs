//! What a pass tells people: the log, metrics, events about the contract, and whether this process is ready.

use tracing::warn;

use super::Shell;
use crate::kubernetes::events::About;
use crate::kubernetes::objects::MapObject;
use crate::reconcile::Outcome;

/// Percent of what the contract's ConfigMaps take at which people are warned.
const ALMOST_FULL: usize = 80;
/// Percent below which it is said no longer.
const NO_LONGER_FULL: usize = 75;

impl Shell {
    pub(super) fn report(&mut self, outcome: &Outcome, contract: Option<&MapObject>) {
        self.changes.tell(&outcome.problems, outcome);
        self.metrics.note(self.observed.published.generation, outcome.problems.len(), outcome);
        let percent = self.contract.percent_full();
        self.metrics.contract_full.set(i64::try_from(percent).unwrap_or(i64::MAX));
        self.metrics.contract_maps.set(i64::try_from(self.contract.maps()).unwrap_or(i64::MAX));
        // Told once, and taken back a little later than it is told.
        let almost_full = percent >= if self.observed.almost_full { NO_LONGER_FULL } else { ALMOST_FULL };
        if almost_full && !self.observed.almost_full {
            let note = format!("the contract fills {percent} % of what its ConfigMaps take");
            warn!(map = self.places.contract, percent, "The contract's ConfigMaps are almost full");
            if let Some(found) = contract {
                self.events.warning(About::Contract, &found.map.meta, "ContractAlmostFull", &note);
            }
        }
        if almost_full != self.observed.almost_full {
            self.observed.almost_full = almost_full;
            // Conditions speak of it.
            self.wake.notify_one();
        }
        // The data plane cannot even mount what does not exist.
        self.readiness.set(contract.is_some());
    }
}
