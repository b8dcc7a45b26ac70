//! A contract file.

use std::mem::discriminant;

use millrace_config::contract::{self, FilterSpec, shards, wire, write};
use millrace_event::filter;

use crate::target::{Outcome, Target};

pub(super) const TARGET: Target = Target {
    name: "contract",
    check,
    examples: &[
        "{}",
        r#"{"generation":"7","resources":[{"uid":"u","topics":["t"],"bootstrapServers":"k:9092","ingress":{"path":"/ns/n",
            "host":"n.ns.svc.cluster.local","contentMode":"BINARY","audience":"a"},"absentAuth":{},"reference":{"uuid":"u",
            "namespace":"ns","name":"n"},"featureFlags":{"enableEventTypeAutocreate":true},"egresses":[{"uid":"e",
            "consumerGroup":"g","destination":"http://x/","discardReply":{},"deliveryOrder":"ORDERED","keyType":"Integer",
            "vReplicas":1,"egressConfig":{"deadLetter":"http://d/","retry":3,"backoffPolicy":"Linear","backoffDelay":"100",
            "timeout":"1000"},"filter":{"attributes":{"type":"a"}}}]}],"trustBundles":["x"]}"#,
        r#"{"generation":1,"resources":[{"uid":"u","topics":["t"],"bootstrapServers":"k","authSecret":{"uuid":"s"},"egresses":[
            {"uid":"e","consumerGroup":"g","destination":"https://x","replyUrl":"http://r","dialectedFilter":[{"all":{"filters":[
            {"exact":{"attributes":{"a":"b"}}},{"not":{"filter":{"prefix":{"attributes":{"a":"b"}}}}},{"any":{"filters":[]}},
            {"suffix":{"attributes":{"a":""}}},{"cesql":{"expression":"id = 'a'"}}]}},{}]}]}]}"#,
        r#"{"generation":"7","resources":"in shards","shards":[{"number":1,"sha256":"00"}],"trustBundles":["x"]}"#,
        r#"{"resources":[{"uid":"u","topics":["t"],"bootstrapServers":"k","ingress":{"path":"/p","eventPolicies":[{
            "tokenMatchers":[{"exact":{"attributes":{"sub":"x"}}},{"prefix":{"attributes":{"sub":"y"}}}],"filters":[{}]}]},
            "multiAuthSecret":{"protocol":"SASL_SSL","references":[{"reference":{"name":"s"},"keyFieldReferences":[{
            "secretKey":"user","field":"USER"}]}]},"cloudEventOverrides":{"extensions":{"a":"b"}}}]}"#,
    ],
    words: &[
        "\"uid\":",
        "\"resources\":",
        "\"egresses\":",
        "\"topics\":",
        "\"ingress\":",
        "\"generation\":",
        "\"vReplicas\":",
        "\"dialectedFilter\":",
        "\"filters\":",
        "\"not\":",
        "\"timeout\":",
        "\"retry\":",
        "\"path\":",
        "\"destination\":",
        "null",
        "true",
        "\"18446744073709551615\"",
        "-1",
        "1e3",
        "2147483648",
        "\"NaN\"",
        "\"http://x:99999/\"",
        "\"//\"",
        "[]",
        "{}",
        ",",
        "\"unknown\":",
        "\"shards\":",
        "\"sha256\":",
        "\"trust_bundles\":",
        "\"replyToOriginalTopic\":{}",
    ],
};

fn check(input: &[u8]) -> Outcome {
    if let Some(index) = shards::index(input) {
        let named = index.shards.len();
        let found = shards::assemble(index, |_| Ok(input.to_vec()));
        assert!(found.is_err(), "nothing has its own digest in it");
        return Outcome::of((2, named.min(20)));
    }
    let contract = match contract::parse(input) {
        Ok(contract) => contract,
        Err(error) => return Outcome::of((0, discriminant(&error))),
    };
    let Ok(read) = wire::from_json(input) else { panic!("the same bytes are a contract and none") };
    let again = wire::from_json(&write::to_json(&read));
    let Ok(again) = again else { panic!("written and not readable: {again:?}") };
    assert!(write::same_content(&read, &again) && read.generation == again.generation);
    assert_eq!(contract::parse::check(again), contract);
    let compiled = contract.resources.iter().flat_map(|resource| &resource.egresses).map(|egress| {
        let is_usable = filter::compile(&egress.filters).is_ok();
        (is_usable, egress.filters.iter().take(4).map(discriminant::<FilterSpec>).collect::<Vec<_>>())
    });
    let refused = contract.refused.iter().map(|refusal| discriminant(&refusal.error));
    Outcome::of((1, contract.resources.len(), refused.collect::<Vec<_>>(), compiled.collect::<Vec<_>>()))
}
