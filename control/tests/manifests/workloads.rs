//! The Deployments: environment, mounts, probes, security, and what selects them.

use std::collections::BTreeMap;
use std::path::Path;

use millrace_config::env::{ControlEnv, DispatcherEnv, IngressEnv};
use serde_json::Value;

use super::of_kind;

fn deployment(name: &str) -> Value {
    let all = of_kind("base", "Deployment");
    all.into_iter().find(|found| found["metadata"]["name"] == name).unwrap_or_else(|| panic!("{name}"))
}

fn pod(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["spec"]
}

fn container(deployment: &Value) -> &Value {
    let containers = pod(deployment)["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1);
    &containers[0]
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

/// The environment as a kubelet would give it.
fn env(deployment: &Value) -> BTreeMap<String, String> {
    let text = |variable: &Value| match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
        Some("metadata.namespace") => "knative-eventing".to_owned(),
        Some("metadata.name") => "pod-0".to_owned(),
        Some(other) => panic!("{other}"),
        None => variable["value"].as_str().unwrap_or_else(|| panic!("{variable} is no text")).to_owned(),
    };
    let found: Vec<_> = list(container(deployment), "env")
        .iter()
        .map(|variable| (variable["name"].as_str().unwrap().to_owned(), text(variable)))
        .collect();
    let env: BTreeMap<_, _> = found.iter().cloned().collect();
    assert_eq!(env.len(), found.len(), "a variable is there twice");
    env
}

/// Where a path of the container comes from: the volume, and the file in it.
fn volume<'a>(deployment: &'a Value, path: &Path) -> (&'a Value, String) {
    let mounts = list(container(deployment), "volumeMounts");
    let mount = mounts.iter().find(|mount| path.starts_with(mount["mountPath"].as_str().unwrap()));
    let mount = mount.unwrap_or_else(|| panic!("{} is in no mount", path.display()));
    let file = path.strip_prefix(mount["mountPath"].as_str().unwrap()).unwrap().to_string_lossy().into_owned();
    let volume = list(pod(deployment), "volumes").iter().find(|volume| volume["name"] == mount["name"]);
    (volume.unwrap_or_else(|| panic!("{mount} has no volume")), file)
}

#[track_caller]
fn check_file(deployment: &Value, path: &Path, config_map: &str, key: &str) {
    let (volume, file) = volume(deployment, path);
    // Of a projected volume the first map is the one that has to be there.
    let source = volume["projected"]["sources"].get(0).unwrap_or(volume);
    assert_eq!((source["configMap"]["name"].as_str(), file.as_str()), (Some(config_map), key), "{}", path.display());
}

const CONTRACT: &str = "kafka-channel-channels-subscriptions";
const TUNING: &str = "config-kafka-channel-data-plane";

#[test]
fn the_ingress_starts_with_its_environment_and_finds_its_files() {
    let deployment = deployment("kafka-channel-receiver");
    let env = IngressEnv::read(&env(&deployment)).unwrap();
    assert_eq!((env.port, env.tls_port), (8080, 8443));
    check_file(&deployment, &env.contract, CONTRACT, "data");
    check_file(&deployment, &env.producer_config, TUNING, "config-kafka-channel-producer.properties");
    check_file(&deployment, &env.http_server_config, TUNING, "config-kafka-channel-httpserver.properties");
    check_file(&deployment, &env.observability, "config-observability", "");
    check_file(&deployment, &env.features.unwrap(), "config-features", "");
    check_file(&deployment, &env.log.config_path, "kafka-config-logging", "config.xml");
    let (volume, _) = volume(&deployment, &env.tls);
    assert_eq!(volume["secret"]["secretName"], "kafka-channel-ingress-server-tls");
    assert_eq!(volume["secret"]["optional"], true);
    let probes = [("readinessProbe", &env.readiness_path), ("livenessProbe", &env.liveness_path)];
    for (probe, path) in probes {
        assert_eq!(container(&deployment)[probe]["httpGet"]["path"], path.as_str());
        assert_eq!(container(&deployment)[probe]["httpGet"]["port"], "http");
    }
}

#[test]
fn the_dispatcher_starts_with_its_environment_and_finds_its_files() {
    let deployment = deployment("kafka-channel-dispatcher");
    let env = DispatcherEnv::read(&env(&deployment)).unwrap();
    assert_eq!(env.system_namespace, "knative-eventing");
    check_file(&deployment, &env.contract, CONTRACT, "data");
    check_file(&deployment, &env.producer_config, TUNING, "config-kafka-channel-producer.properties");
    check_file(&deployment, &env.consumer_config, TUNING, "config-kafka-channel-consumer.properties");
    check_file(&deployment, &env.http_client_config, TUNING, "config-kafka-channel-webclient.properties");
    check_file(&deployment, &env.observability, "config-observability", "");
    check_file(&deployment, &env.log.config_path, "kafka-config-logging", "config.xml");
    let (volume, _) = volume(&deployment, &env.admin.health_file);
    assert!(volume["emptyDir"].is_object(), "the health file cannot be written");
}

#[test]
fn control_starts_with_its_environment_and_uses_the_names_that_the_others_mount() {
    let env = ControlEnv::read(&env(&deployment("kafka-controller"))).unwrap();
    assert_eq!(env.channel.contract_config_map, CONTRACT);
    assert_eq!(env.channel.data_plane_config_map, TUNING);
    assert_eq!(env.channel.data_plane_namespace, "knative-eventing");
    assert_eq!(env.pod_name.as_deref(), Some("pod-0"));
    let maps = of_kind("config", "ConfigMap");
    for name in [&env.channel.general_config_map, &env.leader_election_config] {
        assert!(maps.iter().any(|map| map["metadata"]["name"] == name.as_str()), "{name} is not shipped");
    }
    let services = of_kind("base", "Service");
    let service = services.iter().find(|service| service["metadata"]["name"] == env.channel.ingress_name.as_str());
    let targets: Vec<u64> =
        list(&service.unwrap()["spec"], "ports").iter().map(|port| port["targetPort"].as_u64().unwrap()).collect();
    for port in [env.channel.ingress_pod_port, env.channel.ingress_pod_tls_port] {
        assert!(targets.contains(&u64::from(port)), "the Service does not lead to {port}");
    }
}

#[test]
fn metrics_and_probes_are_at_the_port_that_the_container_names() {
    for deployment in of_kind("base", "Deployment") {
        let container = container(&deployment);
        let ports: BTreeMap<&str, u64> = list(container, "ports")
            .iter()
            .map(|port| (port["name"].as_str().unwrap(), port["containerPort"].as_u64().unwrap()))
            .collect();
        let address = &env(&deployment)["MILLRACE_ADMIN_ADDRESS"];
        assert_eq!(address, &format!("0.0.0.0:{}", ports["http-metrics"]));
        for probe in ["readinessProbe", "livenessProbe"] {
            let port = container[probe]["httpGet"]["port"].as_str().unwrap_or_else(|| panic!("{probe} is missing"));
            assert!(ports.contains_key(port), "{probe} asks {port}");
        }
    }
}

#[test]
fn pods_keep_the_restricted_standard() {
    let all = of_kind("base", "Deployment");
    assert_eq!(all.len(), 3);
    for deployment in &all {
        let name = &deployment["metadata"]["name"];
        let (pod, container) = (pod(deployment), container(deployment));
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        let security = &container["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
        assert_eq!(security["capabilities"]["drop"], serde_json::json!(["ALL"]), "{name}");
        for unwanted in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(pod[unwanted].is_null(), "{name}: {unwanted}");
        }
        for volume in list(pod, "volumes") {
            let kinds: Vec<_> = volume.as_object().unwrap().keys().filter(|key| *key != "name").collect();
            let allowed = ["configMap", "secret", "emptyDir", "projected"];
            assert!(kinds.iter().all(|kind| allowed.contains(&kind.as_str())), "{name}: {kinds:?}");
        }
        assert!(container["resources"]["limits"]["memory"].is_string(), "{name}");
        let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
        let pause = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap_or(0);
        // 25 s is the default of MILLRACE_DRAIN_SECONDS.
        assert!(grace > pause + 25, "{name} is killed after {grace} s, before it has drained");
    }
}

#[test]
fn whatever_selects_pods_selects_those_of_one_deployment() {
    let labels: Vec<Value> = of_kind("base", "Deployment")
        .iter()
        .map(|found| found["spec"]["template"]["metadata"]["labels"].clone())
        .collect();
    let matching = |selector: &Value| {
        let selector = selector.as_object().unwrap_or_else(|| panic!("{selector}"));
        labels.iter().filter(|labels| selector.iter().all(|(key, value)| &labels[key] == value)).count()
    };
    for deployment in of_kind("base", "Deployment") {
        assert_eq!(matching(&deployment["spec"]["selector"]["matchLabels"]), 1, "{deployment}");
        for constraint in list(pod(&deployment), "topologySpreadConstraints") {
            assert_eq!(matching(&constraint["labelSelector"]["matchLabels"]), 1, "{constraint}");
        }
    }
    for service in of_kind("base", "Service") {
        assert_eq!(matching(&service["spec"]["selector"]), 1);
    }
    for budget in of_kind("base", "PodDisruptionBudget") {
        assert_eq!(matching(&budget["spec"]["selector"]["matchLabels"]), 1);
    }
    let policies = of_kind("base", "NetworkPolicy");
    assert_eq!(policies.len(), 3);
    for policy in policies {
        assert_eq!(matching(&policy["spec"]["podSelector"]["matchLabels"]), 1);
    }
    for scaler in of_kind("base", "HorizontalPodAutoscaler") {
        let deployment = deployment(scaler["spec"]["scaleTargetRef"]["name"].as_str().unwrap());
        assert!(deployment["spec"]["replicas"].is_null(), "applying again would undo what the autoscaler decided");
    }
}

#[test]
fn knatives_webhook_leaves_the_dispatchers_alone() {
    let labels = deployment("kafka-channel-dispatcher")["spec"]["template"]["metadata"]["labels"].clone();
    assert!(labels["app.kubernetes.io/kind"].is_null(), "the webhook would change where the contract comes from");
}

#[test]
fn nobody_reads_all_secrets_unless_a_component_says_so() {
    for folder in ["base", "overlays"] {
        for kind in ["Role", "ClusterRole"] {
            for role in of_kind(folder, kind) {
                for rule in list(&role, "rules") {
                    let secrets =
                        list(rule, "resources").iter().any(|resource| resource == "secrets" || resource == "*");
                    assert!(!secrets || !list(rule, "resourceNames").is_empty(), "{}", role["metadata"]["name"]);
                }
            }
        }
    }
}
