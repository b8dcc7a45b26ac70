//! How the three roles are started: arguments and environment, with the names that a cluster gives them.
//!
//! Pure: settings in, commands out.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::state::StateFolder;

/// What a role may take to finish what it has begun when it is told to end. In a cluster it is longer; here a person
/// is waiting.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// Information of every part, and each event's steps from those that handle events.
const LOG_FILTER: &str = "info,millrace_ingress=debug,millrace_dispatcher=debug";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Control,
    Ingress,
    Dispatcher,
}

impl Role {
    /// Also the name of the subcommand.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Ingress => "ingress",
            Self::Dispatcher => "dispatcher",
        }
    }
}

/// One child, ready to be started any number of times.
#[derive(Clone, Debug)]
pub(crate) struct ChildSpec {
    pub(crate) role: Role,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(&'static str, OsString)>,
}

pub(crate) struct ChildSettings<'a> {
    pub(crate) objects: PathBuf,
    pub(crate) state: &'a StateFolder,
    /// HOST:PORT, or several with commas.
    pub(crate) kafka: String,
    /// Where topics of the embedded broker are made; absent with a real Kafka.
    pub(crate) broker_api: Option<String>,
    pub(crate) ingress_port: u16,
    pub(crate) ingress_url: String,
}

pub(crate) fn control(settings: &ChildSettings<'_>) -> ChildSpec {
    let mut arguments: Vec<OsString> =
        ["control", "--supervised", "directory", "--objects"].map(OsString::from).to_vec();
    arguments.push(settings.objects.clone().into_os_string());
    arguments.extend([OsString::from("--state"), settings.state.root().into()]);
    arguments.extend([OsString::from("--kafka"), OsString::from(&settings.kafka)]);
    if let Some(url) = &settings.broker_api {
        arguments.extend([OsString::from("--embedded-broker"), OsString::from(url)]);
    }
    arguments.extend([OsString::from("--ingress-url"), OsString::from(&settings.ingress_url)]);
    ChildSpec { role: Role::Control, arguments, environment: common(settings, Role::Control) }
}

pub(crate) fn ingress(settings: &ChildSettings<'_>) -> ChildSpec {
    let state = settings.state;
    let mut environment = common(settings, Role::Ingress);
    environment.extend([
        ("INGRESS_PORT", settings.ingress_port.to_string().into()),
        // Opened only when there are certificates; any free port will do.
        ("INGRESS_TLS_PORT", "0".into()),
        ("LIVENESS_PROBE_PATH", "/healthz".into()),
        ("READINESS_PROBE_PATH", "/readyz".into()),
        ("HTTPSERVER_CONFIG_FILE_PATH", state.properties("httpserver").into()),
        ("SERVICE_NAME", "kafka-channel-receiver".into()),
    ]);
    ChildSpec { role: Role::Ingress, arguments: vec!["ingress".into(), "--supervised".into()], environment }
}

pub(crate) fn dispatcher(settings: &ChildSettings<'_>) -> ChildSpec {
    let state = settings.state;
    let mut environment = common(settings, Role::Dispatcher);
    environment.extend([
        ("CONSUMER_CONFIG_FILE_PATH", state.properties("consumer").into()),
        ("WEBCLIENT_CONFIG_FILE_PATH", state.properties("webclient").into()),
        ("EGRESSES_INITIAL_CAPACITY", "20".into()),
        ("SERVICE_NAME", "kafka-channel-dispatcher".into()),
    ]);
    ChildSpec { role: Role::Dispatcher, arguments: vec!["dispatcher".into(), "--supervised".into()], environment }
}

fn common(settings: &ChildSettings<'_>, role: Role) -> Vec<(&'static str, OsString)> {
    let state = settings.state;
    vec![
        ("PRODUCER_CONFIG_FILE_PATH", state.properties("producer").into()),
        ("DATA_PLANE_CONFIG_FILE_PATH", state.contract().into()),
        ("CONFIG_OBSERVABILITY_PATH", state.observability().into()),
        ("CONFIG_FEATURES_PATH", state.features().into()),
        ("WAIT_STARTUP_SECONDS", "8".into()),
        ("SERVICE_NAMESPACE", "knative-eventing".into()),
        ("MILLRACE_HEALTH_FILE", state.health(role.name()).into()),
        ("MILLRACE_DRAIN_SECONDS", DRAIN.as_secs().to_string().into()),
        ("MILLRACE_LOG_FORMAT", "json".into()),
        ("MILLRACE_LOG", LOG_FILTER.into()),
        // Each on a port of its own: the three share this machine.
        ("MILLRACE_ADMIN_ADDRESS", "127.0.0.1:0".into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_settings(check: impl FnOnce(&ChildSettings<'_>)) {
        let state = StateFolder::prepare(None).unwrap();
        check(&ChildSettings {
            objects: PathBuf::from("objects"),
            state: &state,
            kafka: "127.0.0.1:9092".to_owned(),
            broker_api: Some("http://127.0.0.1:1".to_owned()),
            ingress_port: 8080,
            ingress_url: "http://127.0.0.1:8080".to_owned(),
        });
    }

    #[test]
    fn the_data_planes_get_the_names_of_a_cluster() {
        with_settings(|settings| {
            let names = |spec: ChildSpec| spec.environment.iter().map(|(name, _)| *name).collect::<Vec<_>>();
            for name in ["INGRESS_PORT", "LIVENESS_PROBE_PATH", "HTTPSERVER_CONFIG_FILE_PATH", "SERVICE_NAME"] {
                assert!(names(ingress(settings)).contains(&name), "{name}");
            }
            for name in ["CONSUMER_CONFIG_FILE_PATH", "WEBCLIENT_CONFIG_FILE_PATH", "EGRESSES_INITIAL_CAPACITY"] {
                assert!(names(dispatcher(settings)).contains(&name), "{name}");
            }
            for name in ["PRODUCER_CONFIG_FILE_PATH", "DATA_PLANE_CONFIG_FILE_PATH", "WAIT_STARTUP_SECONDS"] {
                assert!(names(ingress(settings)).contains(&name), "{name}");
                assert!(names(dispatcher(settings)).contains(&name), "{name}");
            }
        });
    }

    #[test]
    fn with_a_real_kafka_control_hears_of_no_embedded_broker() {
        with_settings(|settings| {
            let flag = OsString::from("--embedded-broker");
            assert!(control(settings).arguments.contains(&flag));
            let real = ChildSettings {
                broker_api: None,
                objects: settings.objects.clone(),
                kafka: settings.kafka.clone(),
                ingress_url: settings.ingress_url.clone(),
                ..*settings
            };
            assert!(!control(&real).arguments.contains(&flag));
        });
    }
}
