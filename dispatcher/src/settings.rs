//! The dispatcher's tuning, read from the three properties files it uses.
//!
//! Source: dispatcher spec 9; design section 3 (the file names and keys are the peer's).

use std::path::Path;
use std::time::Duration;

use millrace_config::env::DispatcherEnv;
use millrace_config::properties::kafka::{self, ProducerSettings};
use millrace_config::properties::{Properties, http_client};
use millrace_runtime::startup::{Problems, with_causes};
use tracing::warn;

use crate::pipeline::PipelineSettings;

/// Progress is committed at least this often, even where the properties allow less.
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);

/// What the properties files say.
#[derive(Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) producer: ProducerSettings,
    pub(crate) pipeline: PipelineSettings,
}

impl Settings {
    /// Reads all files. A missing file counts as empty, as with the peer.
    ///
    /// # Errors
    ///
    /// Every problem of every file, each naming file and key.
    pub(crate) fn read(env: &DispatcherEnv) -> Result<Self, Problems> {
        let settings = Self::parse(env)?;
        settings.warn(env);
        Ok(settings)
    }

    fn parse(env: &DispatcherEnv) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let producer = section(&env.producer_config, &mut problems, kafka::producer);
        let consumer = section(&env.consumer_config, &mut problems, kafka::consumer);
        let client = section(&env.http_client_config, &mut problems, http_client::http_client);
        match (producer, consumer, client) {
            (Some(producer), Some(consumer), Some(client)) if problems.is_empty() => {
                Ok(Self { producer, pipeline: PipelineSettings { consumer, client } })
            }
            _ => Err(problems),
        }
    }

    /// As [`Settings::read`], but `None` when nothing differs from `current`.
    ///
    /// # Errors
    ///
    /// As [`Settings::read`].
    pub(crate) fn read_changed(env: &DispatcherEnv, current: &Self) -> Result<Option<Self>, Problems> {
        let next = Self::parse(env)?;
        if next == *current {
            return Ok(None);
        }
        next.warn(env);
        Ok(Some(next))
    }

    /// At most one commit in this time.
    pub(crate) fn commit_interval(&self) -> Duration {
        self.pipeline.consumer.commit_interval.min(COMMIT_INTERVAL)
    }

    fn warn(&self, env: &DispatcherEnv) {
        if self.pipeline.consumer.ordered_by_key {
            let file = env.consumer_config.display();
            warn!(%file, key = "millrace.ordered.by", "Order by key is not built yet: order is by partition");
        }
        let files = [
            (&env.producer_config, &self.producer.warnings),
            (&env.consumer_config, &self.pipeline.consumer.warnings),
            (&env.http_client_config, &self.pipeline.client.warnings),
        ];
        for (file, warnings) in files {
            for warning in warnings {
                warn!(file = %file.display(), key = %warning.key, reason = %warning.reason, "Property not used as given");
            }
        }
    }
}

fn section<T, E: std::fmt::Display>(
    path: &Path,
    problems: &mut Problems,
    parse: impl FnOnce(&Properties) -> Result<T, E>,
) -> Option<T> {
    let properties = match Properties::read(path) {
        Ok(properties) => properties,
        Err(error) => {
            problems.add(with_causes(&error));
            return None;
        }
    };
    match parse(&properties) {
        Ok(settings) => Some(settings),
        Err(error) => {
            problems.add(format!("{}: {error}", path.display()));
            None
        }
    }
}
