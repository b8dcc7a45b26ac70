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
    /// everything that its file held and no good document of that file gives now stays. What is gone without a bad
    /// document is gone. Of two definitions that of the file in force comes first, whatever the files are called.
    pub(crate) fn accept(&mut self, scan: Scan) -> (Vec<Sourced>, Vec<Problem>) {
        let mut problems: Vec<Problem> = scan.foreign_problems().collect();
        problems.extend(scan.problems);
        // The index keeps the first of two definitions, so those from the files of the objects in force come first.
        let (incumbents, newcomers): (Vec<Sourced>, Vec<Sourced>) =
            scan.objects.into_iter().partition(|sourced| self.is_incumbent(sourced));
        let mut seen: BTreeSet<Identity> = incumbents.iter().map(|sourced| sourced.object.identity()).collect();
        let good_elsewhere: BTreeSet<Identity> = newcomers.iter().map(|sourced| sourced.object.identity()).collect();
        let mut in_force: Vec<Sourced> = Vec::new();
        for (identity, old) in self.objects.iter().filter(|(identity, _)| !seen.contains(*identity)) {
            let is_bad_at_home = scan.bad.iter().any(|bad| {
                bad.file == old.source.file && bad.identity.as_ref().is_none_or(|identified| identified == identity)
            });
            let is_bad = scan.bad.iter().any(|bad| bad.identity.as_ref() == Some(identity));
            if is_bad_at_home || (is_bad && !good_elsewhere.contains(identity)) {
                let message = "the last good version stays in force until the document is mended or removed";
                problems.push(Problem::with_field(&old.source, identity, "", message));
                in_force.push(old.clone());
            }
        }
        seen.clear();
        seen.extend(in_force.iter().map(|kept| kept.object.identity()));
        for sourced in incumbents.into_iter().chain(newcomers) {
            let identity = sourced.object.identity();
            let old = if seen.insert(identity.clone()) { self.objects.get(&identity) } else { None };
            in_force.push(match old {
                Some(old) => keep_immutable(old, sourced, &identity, &mut problems),
                None => sourced,
            });
        }
        self.objects = BTreeMap::new();
        for sourced in &in_force {
            // Of duplicates the first counts, as in the index.
            self.objects.entry(sourced.object.identity()).or_insert_with(|| sourced.clone());
        }
        (in_force, problems)
    }

    /// Whether it is from the file that the object in force came from.
    fn is_incumbent(&self, sourced: &Sourced) -> bool {
        self.objects.get(&sourced.object.identity()).is_some_and(|old| old.source.file == sourced.source.file)
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
