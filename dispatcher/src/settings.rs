//! The dispatcher's tuning, read from the three properties files it uses.
//!
//! Source: dispatcher spec 9; design section 3 (the file names and keys are the peer's).

use std::time::Duration;

use millrace_config::env::DispatcherEnv;
use millrace_config::properties::http_client;
use millrace_config::properties::kafka::{self, ProducerSettings};
use millrace_runtime::startup::Problems;
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
    /// Reads all files. A missing file counts as empty, as with the peer. `None` when one cannot be used: `problems`
    /// then names every file and key.
    pub(crate) fn read(env: &DispatcherEnv, problems: &mut Problems) -> Option<Self> {
        let settings = Self::parse(env, problems)?;
        settings.warn(env);
        Some(settings)
    }

    /// As [`Settings::read`], but `None` when nothing differs from `current`.
    ///
    /// # Errors
    ///
    /// Every problem of every file.
    pub(crate) fn read_changed(env: &DispatcherEnv, current: &Self) -> Result<Option<Self>, Problems> {
        let mut problems = Problems::new();
        let Some(next) = Self::parse(env, &mut problems) else { return Err(problems) };
        if next == *current {
            return Ok(None);
        }
        next.warn(env);
        Ok(Some(next))
    }

    fn parse(env: &DispatcherEnv, problems: &mut Problems) -> Option<Self> {
        let producer = problems.properties(&env.producer_config, kafka::producer);
        let consumer = problems.properties(&env.consumer_config, kafka::consumer);
        let client = problems.properties(&env.http_client_config, http_client::http_client);
        let ((_, producer), (_, consumer), (_, client)) = (producer?, consumer?, client?);
        Some(Self { producer, pipeline: PipelineSettings { consumer, client } })
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
