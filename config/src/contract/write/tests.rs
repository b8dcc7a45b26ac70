//! Writing contracts: the exact text, that reading gives back what was written, and when a new one is due.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;
use wire::*;

fn reference() -> Reference {
    Reference {
        uuid: "c1234567-8901-2345-6789-123456789101".to_owned(),
        namespace: "test-nc".to_owned(),
        name: "kc".to_owned(),
        kind: "KafkaChannel".to_owned(),
        group_version: "messaging.knative.dev/v1beta1".to_owned(),
        ..Reference::default()
    }
}

/// The document of upstream's test for a channel without subscribers.
fn channel() -> Contract {
    Contract {
        generation: 1,
        resources: vec![Resource {
            uid: "c1234567-8901-2345-6789-123456789101".to_owned(),
            topics: vec!["knative-messaging-kafka.test-nc.kc".to_owned()],
            bootstrap_servers: "kafka-1:9092,kafka-2:9093".to_owned(),
            ingress: Some(Ingress {
                path: "/test-nc/kc".to_owned(),
                host: "kc-kn-channel.test-nc.svc.cluster.local".to_owned(),
                ..Ingress::default()
            }),
            reference: Some(reference()),
            feature_flags: Some(FeatureFlags::default()),
            ..Resource::default()
        }],
        ..Contract::default()
    }
}

#[test]
fn a_channel_is_written_as_upstream_writes_it() {
    let expected = concat!(
        r#"{"generation":"1","resources":[{"uid":"c1234567-8901-2345-6789-123456789101","#,
        r#""topics":["knative-messaging-kafka.test-nc.kc"],"bootstrapServers":"kafka-1:9092,kafka-2:9093","#,
        r#""ingress":{"path":"/test-nc/kc","host":"kc-kn-channel.test-nc.svc.cluster.local"},"#,
        r#""reference":{"uuid":"c1234567-8901-2345-6789-123456789101","namespace":"test-nc","name":"kc","#,
        r#""kind":"KafkaChannel","groupVersion":"messaging.knative.dev/v1beta1"},"featureFlags":{}}]}"#,
    );
    assert_eq!(String::from_utf8(to_json(&channel())).unwrap(), expected);
    assert_eq!(from_json(expected.as_bytes()), Ok(channel()));
}

#[test]
fn contracts_of_a_running_upstream_are_read_completely_and_written_back_word_for_word() {
    for document in [include_str!("upstream_ingress.json"), include_str!("upstream_dispatcher.json")] {
        let compact: String = document.lines().collect();
        let contract = from_json(document.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(to_json(&contract)).unwrap(), compact);
        assert_eq!(crate::contract::parse(document.as_bytes()).unwrap().refused, []);
    }
}

#[test]
fn what_is_set_but_empty_is_written_and_what_is_absent_is_not() {
    let egress = Egress {
        discard_reply: Some(Empty {}),
        egress_config: Some(EgressConfig { backoff_delay: 200, retry: 3, ..EgressConfig::default() }),
        feature_flags: Some(EgressFeatureFlags::default()),
        delivery_order: DeliveryOrder::Ordered,
        v_replicas: 1,
        ..Egress::default()
    };
    let multi = MultiSecretReference {
        protocol: Protocol::SaslPlaintext,
        references: vec![SecretReference {
            reference: Some(Reference::default()),
            key_field_references: vec![KeyFieldReference { secret_key: "saslType".to_owned(), ..Default::default() }],
        }],
    };
    let resource = Resource { egresses: vec![egress], multi_auth_secret: Some(multi), ..Resource::default() };
    let contract = Contract { resources: vec![resource], ..Contract::default() };
    assert_eq!(
        String::from_utf8(to_json(&contract)).unwrap(),
        concat!(
            r#"{"resources":[{"egresses":[{"discardReply":{},"egressConfig":{"retry":3,"backoffDelay":"200"},"#,
            r#""deliveryOrder":"ORDERED","vReplicas":1,"featureFlags":{}}],"multiAuthSecret":"#,
            r#"{"protocol":"SASL_PLAINTEXT","references":[{"reference":{},"#,
            r#""keyFieldReferences":[{"secretKey":"saslType"}]}]}}]}"#,
        )
    );
    assert_eq!(to_json(&Contract::default()), b"{}");
}

#[test]
fn only_the_generation_does_not_count_as_content() {
    let (old, mut new) = (channel(), channel());
    new.generation = 77;
    assert!(same_content(&old, &new));
    new.resources[0].feature_flags = None;
    assert!(!same_content(&old, &new));
    let mut new = channel();
    new.trust_bundles.push("PEM".to_owned());
    assert!(!same_content(&old, &new));
}

#[test]
fn generations_go_up_and_begin_again_before_the_end() {
    assert_eq!(next_generation(0), 1);
    assert_eq!(next_generation(41), 42);
    assert_eq!(next_generation(u64::MAX - 3), u64::MAX - 2);
    assert_eq!(next_generation(u64::MAX - 2), 0);
    assert_eq!(next_generation(u64::MAX - 1), 1);
    assert_eq!(next_generation(u64::MAX), 0);
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z0-9/:.-]{1,12}", any::<String>()]
}

fn map() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(text(), text(), 0..3)
}

fn attributes() -> impl Strategy<Value = Attributes> {
    map().prop_map(|attributes| Attributes { attributes })
}

fn filter() -> impl Strategy<Value = DialectedFilter> {
    let leaf = prop_oneof![
        Just(DialectedFilter::default()),
        attributes().prop_map(|it| DialectedFilter { exact: Some(it), ..Default::default() }),
        attributes().prop_map(|it| DialectedFilter { prefix: Some(it), ..Default::default() }),
        attributes().prop_map(|it| DialectedFilter { suffix: Some(it), ..Default::default() }),
        text().prop_map(|expression| DialectedFilter { cesql: Some(CeSql { expression }), ..Default::default() }),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let many = vec(inner.clone(), 0..3).prop_map(|filters| Filters { filters });
        prop_oneof![
            many.clone().prop_map(|it| DialectedFilter { all: Some(it), ..Default::default() }),
            many.prop_map(|it| DialectedFilter { any: Some(it), ..Default::default() }),
            option::of(inner)
                .prop_map(|it| DialectedFilter { not: Some(Not { filter: it.map(Box::new) }), ..Default::default() }),
        ]
    })
}

fn a_reference() -> impl Strategy<Value = Reference> {
    (text(), text(), text(), text(), text(), text()).prop_map(
        |(uuid, namespace, name, version, kind, group_version)| Reference {
            uuid,
            namespace,
            name,
            version,
            kind,
            group_version,
        },
    )
}

fn egress_config() -> impl Strategy<Value = EgressConfig> {
    (text(), text(), any::<u32>(), any::<u64>(), any::<u64>(), any::<bool>()).prop_map(
        |(dead_letter, dead_letter_ca_certs, retry, backoff_delay, timeout, linear)| EgressConfig {
            dead_letter,
            dead_letter_ca_certs,
            retry,
            backoff_delay,
            timeout,
            backoff_policy: if linear { BackoffPolicy::Linear } else { BackoffPolicy::Exponential },
            ..EgressConfig::default()
        },
    )
}

fn egress() -> impl Strategy<Value = Egress> {
    let reply = prop_oneof![
        Just((None, None, None)),
        text().prop_map(|url| (Some(url), None, None)),
        Just((None, Some(Empty {}), None)),
        Just((None, None, Some(Empty {}))),
    ];
    (
        (text(), text(), text(), any::<i32>(), 0_usize..4),
        reply,
        vec(filter(), 0..3),
        option::of(attributes()),
        option::of(egress_config()),
        option::of(a_reference()),
    )
        .prop_map(
            |((uid, consumer_group, destination, v_replicas, key), reply, filters, filter, config, reference)| Egress {
                uid,
                consumer_group,
                destination,
                v_replicas,
                key_type: [KeyType::String, KeyType::Integer, KeyType::Double, KeyType::ByteArray][key],
                reply_url: reply.0,
                reply_to_original_topic: reply.1,
                discard_reply: reply.2,
                dialected_filter: filters,
                filter,
                egress_config: config,
                reference,
                ..Egress::default()
            },
        )
}

fn auth() -> impl Strategy<Value = (Option<Empty>, Option<Reference>, Option<MultiSecretReference>)> {
    let protocol =
        prop_oneof![Just(Protocol::Plaintext), Just(Protocol::SaslSsl), "[A-Z]{9}".prop_map(Protocol::Unrecognised),];
    let field = prop_oneof![Just(SecretField::SaslMechanism), Just(SecretField::RoleArn)];
    let keys = vec((text(), field), 0..3)
        .prop_map(|keys| keys.into_iter().map(|(secret_key, field)| KeyFieldReference { secret_key, field }).collect());
    let secret = (option::of(a_reference()), keys)
        .prop_map(|(reference, key_field_references)| SecretReference { reference, key_field_references });
    prop_oneof![
        Just((None, None, None)),
        Just((Some(Empty {}), None, None)),
        a_reference().prop_map(|reference| (None, Some(reference), None)),
        (protocol, vec(secret, 0..3)).prop_map(|(protocol, references)| (
            None,
            None,
            Some(MultiSecretReference { protocol, references })
        )),
    ]
}

fn contract() -> impl Strategy<Value = Contract> {
    let ingress = (text(), text(), text(), any::<bool>(), vec(filter(), 0..2)).prop_map(
        |(path, host, audience, structured, filters)| Ingress {
            path,
            host,
            audience,
            content_mode: if structured { ContentMode::Structured } else { ContentMode::Binary },
            event_policies: vec![EventPolicy { token_matchers: vec![TokenMatcher::default()], filters }],
        },
    );
    let resource = (
        (text(), vec(text(), 0..3), text()),
        option::of(ingress),
        vec(egress(), 0..3),
        auth(),
        option::of(map().prop_map(|extensions| CloudEventOverrides { extensions })),
        option::of(any::<bool>().prop_map(|it| FeatureFlags { enable_event_type_autocreate: it })),
    )
        .prop_map(|((uid, topics, bootstrap_servers), ingress, egresses, auth, overrides, flags)| Resource {
            uid,
            topics,
            bootstrap_servers,
            ingress,
            egresses,
            absent_auth: auth.0,
            auth_secret: auth.1,
            multi_auth_secret: auth.2,
            cloud_event_overrides: overrides,
            feature_flags: flags,
            ..Resource::default()
        });
    (any::<u64>(), vec(resource, 0..3), vec(text(), 0..3)).prop_map(|(generation, resources, trust_bundles)| Contract {
        generation,
        resources,
        trust_bundles,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_written_is_read_back(contract in contract()) {
        prop_assert_eq!(from_json(&to_json(&contract)), Ok(contract));
    }

    #[test]
    fn no_contract_that_can_be_written_makes_reading_fail(contract in contract()) {
        let generation = contract.generation;
        prop_assert_eq!(crate::contract::parse(&to_json(&contract)).unwrap().generation, generation);
    }

    #[test]
    fn no_text_makes_reading_panic(bytes in vec(any::<u8>(), 0..200), json in "[\\[\\]{}:,\"a-z0-9 ]{0,80}") {
        drop(from_json(&bytes));
        drop(from_json(json.as_bytes()));
    }

    #[test]
    fn the_next_generation_is_another_one(generation in any::<u64>()) {
        prop_assert_ne!(next_generation(generation), generation);
    }
}
