//! What control says about the user's objects: `status.json`. `view` renders what has changed in it.
//!
//! Pure but for [`read`]. The file's shape is control's contract with whoever shows its state; unknown fields are
//! ignored and missing ones are empty, so that an older or newer control is still readable.

pub(crate) mod view;

use std::path::Path;

use serde::Deserialize;

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Status {
    pub(crate) generation: u64,
    pub(crate) channels: Vec<Channel>,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) problems: Vec<Problem>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Channel {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) topic: String,
    pub(crate) ready: String,
    pub(crate) reason: Option<String>,
    pub(crate) message: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Subscription {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) channel: String,
    pub(crate) subscriber: Option<String>,
    pub(crate) dead_letter_sink: Option<String>,
    pub(crate) ready: String,
    pub(crate) reason: Option<String>,
    pub(crate) message: Option<String>,
}

/// A document or field that control could not take, and where it stands.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Problem {
    pub(crate) file: String,
    /// Absent or 0 when the problem belongs to the whole file.
    pub(crate) line: Option<u64>,
    pub(crate) object: Option<String>,
    pub(crate) field: Option<String>,
    pub(crate) message: String,
}

/// The file's content; `None` while there is none that can be read. Control replaces it whole, so that a half-written
/// one is never seen.
pub(crate) fn read(file: &Path) -> Option<Status> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

impl Status {
    pub(crate) fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.name == name)
    }

    /// Something is still being found out or brought about.
    fn is_on_its_way(&self) -> bool {
        let channels = self.channels.iter().map(|channel| &channel.ready);
        let mut all = channels.chain(self.subscriptions.iter().map(|subscription| &subscription.ready));
        all.any(|ready| ready != "True" && ready != "False")
    }

    /// There is something, and all of it is ready.
    pub(crate) fn is_ready(&self) -> bool {
        !self.channels.is_empty()
            && self.channels.iter().all(|channel| channel.ready == "True")
            && self.subscriptions.iter().all(|subscription| subscription.ready == "True")
    }
}

#[cfg(test)]
mod tests;
