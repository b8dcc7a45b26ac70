//! The dispatcher's tuning, read from the three properties files it uses.
//!
//! Source: dispatcher spec 9; design section 3 (the file names and keys are the peer's).

use std::time::Duration;

use millrace_config::env::DispatcherEnv;
use millrace_config::properties::file::PropertiesFile;
use millrace_config::properties::http_client;
use millrace_config::properties::kafka::{self, ProducerSettings};
use millrace_runtime::properties::changed;
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

/// The files, as they change while the process runs.
#[derive(Debug)]
pub(crate) struct SettingsFiles {
    producer: PropertiesFile,
    consumer: PropertiesFile,
    client: PropertiesFile,
}

impl Settings {
    /// Reads all files. A missing file counts as empty, as with the peer. `None` when one cannot be used: `problems`
    /// then names every file and key.
    pub(crate) fn read(env: &DispatcherEnv, problems: &mut Problems) -> Option<(Self, SettingsFiles)> {
        let producer = problems.properties(&env.producer_config, kafka::producer);
        let consumer = problems.properties(&env.consumer_config, kafka::consumer);
        let client = problems.properties(&env.http_client_config, http_client::http_client);
        let (producer, consumer, client) = (producer?, consumer?, client?);
        let files = SettingsFiles {
            producer: PropertiesFile::new(env.producer_config.clone(), producer.0),
            consumer: PropertiesFile::new(env.consumer_config.clone(), consumer.0),
            client: PropertiesFile::new(env.http_client_config.clone(), client.0),
        };
        let settings =
            Self { producer: producer.1, pipeline: PipelineSettings { consumer: consumer.1, client: client.1 } };
        settings.warn(&files);
        Some((settings, files))
    }

    /// At most one commit in this time.
    pub(crate) fn commit_interval(&self) -> Duration {
        self.pipeline.consumer.commit_interval.min(COMMIT_INTERVAL)
    }

    fn warn(&self, files: &SettingsFiles) {
        let files = [
            (files.producer.path(), &self.producer.warnings),
            (files.consumer.path(), &self.pipeline.consumer.warnings),
            (files.client.path(), &self.pipeline.client.warnings),
        ];
        for (file, warnings) in files {
            for warning in warnings {
                warn!(file = %file.display(), key = %warning.key, reason = %warning.reason, "Property not used as given");
            }
        }
    }
}

impl SettingsFiles {
    /// What the files say now, if it differs from `current`. A file that is bad or gone keeps what it said, the others
    /// count; what is wrong is logged once.
    pub(crate) fn look(&mut self, current: &Settings) -> Option<Settings> {
        let producer = changed(&mut self.producer, kafka::producer);
        let consumer = changed(&mut self.consumer, kafka::consumer);
        let client = changed(&mut self.client, http_client::http_client);
        if producer.is_none() && consumer.is_none() && client.is_none() {
            return None;
        }
        let pipeline = PipelineSettings {
            consumer: consumer.unwrap_or_else(|| current.pipeline.consumer.clone()),
            client: client.unwrap_or_else(|| current.pipeline.client.clone()),
        };
        let next = Settings { producer: producer.unwrap_or_else(|| current.producer.clone()), pipeline };
        next.warn(self);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    //! What a change of one file does to the settings.

    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_is_bad_or_gone_keeps_its_settings_and_the_others_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut env = DispatcherEnv::read_anyway(&std::collections::BTreeMap::new()).0;
        env.producer_config = path("producer");
        env.consumer_config = path("consumer");
        env.http_client_config = path("client");
        fs::write(path("producer"), "").unwrap();
        fs::write(path("consumer"), "millrace.in.flight.max=7").unwrap();
        fs::write(path("client"), "maxPoolSize=3").unwrap();
        let (settings, mut files) = Settings::read(&env, &mut Problems::new()).unwrap();
        assert!(files.look(&settings).is_none(), "nothing has changed");
        fs::remove_file(path("consumer")).unwrap();
        assert!(files.look(&settings).is_none(), "a mount that is being replaced resets nothing");
        fs::write(path("consumer"), "millrace.in.flight.max=many").unwrap();
        fs::write(path("client"), "maxPoolSize=4").unwrap();
        let next = files.look(&settings).unwrap();
        assert_eq!((next.pipeline.consumer.in_flight_max, next.pipeline.client.max_pool_size), (7, 4));
    }
}
