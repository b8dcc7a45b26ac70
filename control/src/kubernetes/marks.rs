//! Labels and annotations by which control recognises objects of a cluster, or which it leaves on them.
//!
//! Source: control-plane spec 0.3, 2.5b and 2.10.

/// An annotation whose change makes the kubelet refresh a pod's mounts at once.
pub(crate) const GENERATION: &str = "volumeGeneration";
/// Another, on pods of the ingress, for a change of `config-features`.
pub(crate) const FEATURES_CHANGED: &str = "configFeaturesUpdatedAt";
/// Label `app` of the ingress.
pub(crate) const INGRESS: &str = "kafka-channel-receiver";
/// Label `app` of the dispatcher.
pub(crate) const DISPATCHER: &str = "kafka-channel-dispatcher";
/// Label of the Services of channels.
pub(crate) const ROLE_LABEL: &str = "messaging.knative.dev/role";
/// The value of [`ROLE_LABEL`].
pub(crate) const CHANNEL_ROLE: &str = "kafka-channel";
/// Annotation of channels: the version of the duck type that Subscriptions may use.
pub(crate) const SUBSCRIBABLE: &str = "messaging.knative.dev/subscribable";
/// The value of [`SUBSCRIBABLE`].
pub(crate) const SUBSCRIBABLE_VERSION: &str = "v1";
/// Label of ConfigMaps whose certificates are to be trusted.
pub(crate) const TRUST_BUNDLE: &str = "networking.knative.dev/trust-bundle";
