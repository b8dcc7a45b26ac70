//! Objects of a cluster as the plans see them, and what has to be asked for to see them.
//!
//! Pure: values only.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Resource {
    /// `/api/v1` or `/apis/GROUP/VERSION`.
    root: &'static str,
    plural: &'static str,
    pub(super) kind: &'static str,
}

const fn resource(root: &'static str, plural: &'static str, kind: &'static str) -> Resource {
    Resource { root, plural, kind }
}

pub(super) const CONFIG_MAP: Resource = resource("/api/v1", "configmaps", "ConfigMap");
pub(super) const SECRET: Resource = resource("/api/v1", "secrets", "Secret");
pub(super) const SERVICE: Resource = resource("/api/v1", "services", "Service");
pub(super) const SERVICE_ACCOUNT: Resource = resource("/api/v1", "serviceaccounts", "ServiceAccount");
pub(super) const DEPLOYMENT: Resource = resource("/apis/apps/v1", "deployments", "Deployment");
pub(super) const STATEFUL_SET: Resource = resource("/apis/apps/v1", "statefulsets", "StatefulSet");
pub(super) const AUTOSCALER: Resource =
    resource("/apis/autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler");
pub(super) const BUDGET: Resource = resource("/apis/policy/v1", "poddisruptionbudgets", "PodDisruptionBudget");
pub(super) const LEASE: Resource = resource("/apis/coordination.k8s.io/v1", "leases", "Lease");
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
pub(super) const CLUSTER_ROLE: Resource = resource(RBAC, "clusterroles", "ClusterRole");
pub(super) const CLUSTER_ROLE_BINDING: Resource = resource(RBAC, "clusterrolebindings", "ClusterRoleBinding");
const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";
pub(super) const MUTATING: Resource =
    resource(ADMISSION, "mutatingwebhookconfigurations", "MutatingWebhookConfiguration");
pub(super) const VALIDATING: Resource =
    resource(ADMISSION, "validatingwebhookconfigurations", "ValidatingWebhookConfiguration");
pub(super) const DEFINITION: Resource =
    resource("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions", "CustomResourceDefinition");
const INTERNAL: &str = "/apis/internal.kafka.eventing.knative.dev/v1alpha1";
pub(super) const CONSUMER: Resource = resource(INTERNAL, "consumers", "Consumer");
pub(super) const CONSUMER_GROUP: Resource = resource(INTERNAL, "consumergroups", "ConsumerGroup");
pub(super) const KAFKA_SINK: Resource = resource("/apis/eventing.knative.dev/v1alpha1", "kafkasinks", "KafkaSink");
pub(super) const KAFKA_SOURCE: Resource = resource("/apis/sources.knative.dev/v1", "kafkasources", "KafkaSource");
pub(super) const BROKER: Resource = resource("/apis/eventing.knative.dev/v1", "brokers", "Broker");

/// One object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ref {
    pub(super) resource: Resource,
    /// Empty for objects of the cluster.
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Ref {
    pub(super) fn new(resource: Resource, namespace: &str, name: &str) -> Self {
        Self { resource, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The URL's path of the object.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.name)
    }

    /// The URL's path of the objects beside it.
    pub(super) fn collection(&self) -> String {
        let Resource { root, plural, .. } = self.resource;
        match self.namespace.as_str() {
            "" => format!("{root}/{plural}"),
            namespace => format!("{root}/namespaces/{namespace}/{plural}"),
        }
    }
}

impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.resource.kind)?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

/// What to ask a cluster for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Query {
    /// One object, which need not be there.
    One(Ref),
    /// All objects of a kind in all namespaces, with this label selector; the kind itself need not be there.
    All(Resource, &'static str),
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct World {
    pub(super) objects: BTreeMap<Ref, Value>,
}

impl World {
    pub(super) fn get(&self, object: &Ref) -> Option<&Value> {
        self.objects.get(object)
    }

    /// All objects of a kind.
    pub(super) fn of(&self, resource: Resource) -> impl Iterator<Item = (&Ref, &Value)> {
        self.objects.iter().filter(move |(object, _)| object.resource == resource)
    }

    /// Adds an object under the names that it says itself.
    pub(super) fn add(&mut self, resource: Resource, value: Value) {
        let name = text(&value, "/metadata/name").to_owned();
        let namespace = text(&value, "/metadata/namespace").to_owned();
        self.objects.insert(Ref { resource, namespace, name }, value);
    }
}

/// The text at a place, empty when there is none.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The number at a place, 0 when there is none.
pub(super) fn number(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// Whether an object was applied from our manifests.
pub(super) fn is_ours(value: &Value) -> bool {
    text(value, "/metadata/labels/app.kubernetes.io~1part-of") == "millrace"
}

/// Whether a Deployment has a pod that is ready, of its newest template.
pub(super) fn is_available(value: &Value) -> bool {
    number(value, "/status/availableReplicas") > 0
        && number(value, "/status/observedGeneration") >= number(value, "/metadata/generation")
}
