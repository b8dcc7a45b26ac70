//! What a schema cannot say about KafkaChannels: who may write `spec.subscribers`, and what an annotation may hold.
//!
//! A ValidatingAdmissionPolicy, which the API server evaluates itself.
//! Source: control-plane spec 1.1 and section 10.

use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, NamedRuleWithOperations, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingAdmissionPolicyBindingSpec, ValidatingAdmissionPolicySpec, Validation, Variable,
};

use super::{GROUP, owned};

const NAME: &str = "millrace-kafkachannel";

/// The only writer of `spec.subscribers`, as upstream's webhook has it. An installation of Knative in another namespace
/// changes this text in an overlay.
const SUBSCRIPTION_CONTROLLER: &str = "system:serviceaccount:knative-eventing:eventing-controller";

/// The policy.
#[must_use]
pub fn policy() -> ValidatingAdmissionPolicy {
    let mut policy = ValidatingAdmissionPolicy::default();
    policy.metadata.name = Some(NAME.to_owned());
    policy.spec = Some(ValidatingAdmissionPolicySpec {
        failure_policy: Some("Fail".to_owned()),
        match_constraints: Some(MatchResources {
            match_policy: Some("Equivalent".to_owned()),
            resource_rules: Some(vec![NamedRuleWithOperations {
                api_groups: Some(owned(&[GROUP])),
                api_versions: Some(owned(&["v1beta1", "v1"])),
                operations: Some(owned(&["CREATE", "UPDATE"])),
                resources: Some(owned(&["kafkachannels"])),
                ..NamedRuleWithOperations::default()
            }]),
            ..MatchResources::default()
        }),
        variables: Some(vec![
            variable("writer", &format!("'{SUBSCRIPTION_CONTROLLER}'")),
            variable("now", "object.?spec.?subscribers.orValue([])"),
            variable("before", "oldObject == null ? [] : oldObject.?spec.?subscribers.orValue([])"),
            variable("scope", "object.metadata.?annotations[?'eventing.knative.dev/scope'].orValue('cluster')"),
        ]),
        validations: Some(vec![
            Validation {
                // A backup that is restored comes with its subscribers.
                expression: "request.operation == 'CREATE' || request.userInfo.username == variables.writer || \
                             variables.now == variables.before"
                    .to_owned(),
                message: Some(
                    "spec.subscribers is written by Knative's Subscription controller only: make a Subscription instead"
                        .to_owned(),
                ),
                reason: Some("Forbidden".to_owned()),
                ..Validation::default()
            },
            Validation {
                expression: "variables.scope in ['cluster', 'namespace']".to_owned(),
                message: Some("annotation eventing.knative.dev/scope must be cluster or namespace".to_owned()),
                reason: Some("Invalid".to_owned()),
                ..Validation::default()
            },
        ]),
        ..ValidatingAdmissionPolicySpec::default()
    });
    policy
}

/// Puts the policy in force everywhere.
#[must_use]
pub fn binding() -> ValidatingAdmissionPolicyBinding {
    let mut binding = ValidatingAdmissionPolicyBinding::default();
    binding.metadata.name = Some(NAME.to_owned());
    binding.spec = Some(ValidatingAdmissionPolicyBindingSpec {
        policy_name: Some(NAME.to_owned()),
        validation_actions: Some(owned(&["Deny"])),
        ..ValidatingAdmissionPolicyBindingSpec::default()
    });
    binding
}

fn variable(name: &str, expression: &str) -> Variable {
    Variable { name: name.to_owned(), expression: expression.to_owned() }
}
