//! Keeps the last good version of every object while its document is bad, and the parts that may not change.
//!
//! Pure. What an API server does by refusing a bad update, a folder of files needs this for.
//! Source: control-plane spec 1.1 and 1.2 (what an update may change).

use std::collections::{BTreeMap, BTreeSet};

use super::documents::Scan;
use crate::api::channel::Channel;
use crate::api::subscription::Subscription;
use crate::api::{Identity, Object, Problem, Sourced};

/// The objects in force.
#[derive(Debug, Default)]
pub(crate) struct LastGood {
    objects: BTreeMap<Identity, Sourced>,
}

impl LastGood {
    /// The objects that are in force after a scan, and what to tell about the difference.
    ///
    /// An object stays as it was while its document is bad. When a bad document does not tell which object it is,
    /// everything that its file held and no good document gives now stays. What is gone without a bad document is gone.
    pub(crate) fn accept(&mut self, scan: Scan) -> (Vec<Sourced>, Vec<Problem>) {
        let mut problems: Vec<Problem> = scan.foreign_problems().collect();
        problems.extend(scan.problems);
        let mut seen: BTreeSet<Identity> = BTreeSet::new();
        let mut in_force: Vec<Sourced> = Vec::new();
        for sourced in scan.objects {
            let identity = sourced.object.identity();
            let old = if seen.insert(identity.clone()) { self.objects.get(&identity) } else { None };
            in_force.push(match old {
                Some(old) => keep_immutable(old, sourced, &identity, &mut problems),
                None => sourced,
            });
        }
        for (identity, old) in &self.objects {
            let bad = scan.bad.iter().any(|bad| match &bad.identity {
                Some(bad) => bad == identity,
                None => bad.file == old.source.file,
            });
            if bad && !seen.contains(identity) {
                let message = "the last good version stays in force until the document is mended or removed";
                problems.push(Problem::with_field(&old.source, identity, "", message));
                in_force.push(old.clone());
            }
        }
        self.objects = BTreeMap::new();
        for sourced in &in_force {
            // Of duplicates the first counts, as in the index.
            self.objects.entry(sourced.object.identity()).or_insert_with(|| sourced.clone());
        }
        (in_force, problems)
    }
}

/// The new version, with what may not change taken from the old one.
fn keep_immutable(old: &Sourced, mut new: Sourced, identity: &Identity, problems: &mut Vec<Problem>) -> Sourced {
    if old.object.meta().uid != new.object.meta().uid {
        // Another object of the same name.
        return new;
    }
    let mut report = |field: &str, message: String| {
        problems.push(Problem::with_field(&new.source, identity, field, message));
    };
    match (&old.object, &mut new.object) {
        (Object::Channel(old), Object::Channel(new)) => keep_topic(old, new, &mut report),
        (Object::Subscription(old), Object::Subscription(new)) => keep_channel(old, new, &mut report),
        (Object::ConfigMap(_) | Object::Secret(_) | Object::Channel(_) | Object::Subscription(_), _) => {}
    }
    new
}

fn keep_topic(old: &Channel, new: &mut Channel, report: &mut impl FnMut(&str, String)) {
    let (was, is) = (&old.topic, &mut new.topic);
    if was.partitions != is.partitions {
        report("spec.numPartitions", format!("cannot be changed; {} stays", was.partitions));
        is.partitions = was.partitions;
    }
    if was.replication_factor != is.replication_factor {
        report("spec.replicationFactor", format!("cannot be changed; {} stays", was.replication_factor));
        is.replication_factor = was.replication_factor;
    }
    // Setting a retention where there was none is the one change that is allowed.
    if was.retention.is_some() && was.retention != is.retention {
        let seconds = was.retention.unwrap_or_default().as_secs_f64();
        report("spec.retentionDuration", format!("cannot be changed; PT{seconds}S stays"));
        is.retention = was.retention;
    }
}

fn keep_channel(old: &Subscription, new: &mut Subscription, report: &mut impl FnMut(&str, String)) {
    if old.channel != new.channel {
        let name = &old.channel.name;
        report("spec.channel", format!("cannot be changed; the subscription stays as it was, with channel {name}"));
        *new = old.clone();
    }
}

#[cfg(test)]
mod tests;
