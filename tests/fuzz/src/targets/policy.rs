//! Event policies and the claims of a token: who may send what.
//!
//! The first line is the list of policies as in a contract, the rest the claims.

use millrace_config::contract::{self, Ingress};
use millrace_event::{Event, json};
use millrace_ingress::fuzzing::{self, Verdict};

use crate::target::{Outcome, Target};

pub(super) const TARGET: Target = Target {
    name: "policy",
    check,
    examples: &[
        "[]\n{\"iss\":\"i\",\"aud\":\"a\",\"exp\":1,\"sub\":\"s\"}",
        "[{\"tokenMatchers\":[{\"prefix\":{\"attributes\":{\"sub\":\"\"}}}]}]\n{\"iss\":\"i\",\"aud\":[\"a\"],\"exp\":1,\"sub\":\"system:x\"}",
        "[{\"tokenMatchers\":[{\"exact\":{\"attributes\":{\"kubernetes.io.namespace\":\"shop\"}}}],\"filters\":[{\"exact\":{\"attributes\":{\"type\":\"t\"}}}]},{}]\n\
         {\"iss\":\"i\",\"aud\":\"a\",\"exp\":9,\"kubernetes.io\":{\"namespace\":\"shop\",\"list\":[1,true,{\"a\":[]}]}}",
        "[{\"tokenMatchers\":[{\"exact\":{\"attributes\":{}}}],\"filters\":[{\"prefix\":{\"attributes\":{\"subject\":\"x\"}}},{\"any\":{\"filters\":[]}}]}]\n\
         {\"iss\":\"i\",\"aud\":\"a\",\"exp\":1e3}",
        "[{\"tokenMatchers\":[{}],\"filters\":[{\"cesql\":{\"expression\":\"type = 't'\"}}]}]\n{\"iss\":\"i\",\"aud\":\"a\",\"exp\":1,\"x\":null}",
        "[{\"tokenMatchers\":[{\"exact\":{}}],\"filters\":[{\"cesql\":{\"expression\":\"((\"}}]}]\n{}",
        "[{\"tokenMatchers\":[{\"exact\":{\"attributes\":{\"sub\":\"s\"}}}],\"filters\":[{\"not\":{\"filter\":{\"suffix\":{\"attributes\":{\"time\":\"Z\"}}}}}]}]\n\
         {\"iss\":\"i\",\"aud\":\"a\",\"exp\":1,\"nbf\":0,\"sub\":\"s\"}",
    ],
    words: &[
        "\"tokenMatchers\":",
        "\"filters\":",
        "\"exact\":{\"attributes\":",
        "\"prefix\":{\"attributes\":",
        "\"sub\":",
        "\"aud\":",
        "\"exp\":",
        "\"kubernetes.io\":",
        "\"a.b\":",
        "[[",
        "]]",
        "{}",
        "[]",
        "null",
        "\"\"",
        "1e400",
        "-1",
        "\n",
        ",",
    ],
};

fn check(input: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(input);
    let (policies, claims) = text.split_once('\n').unwrap_or((&text, ""));
    let Some(ingress) = target(policies) else { return Outcome::of("no contract") };
    let event = event();
    let verdict = fuzzing::policies(&ingress, claims.as_bytes(), &event);
    if matches!(verdict, Verdict::NotNamed | Verdict::NotPassed | Verdict::Passed) {
        // Policies add up: what all of them admit, one of them admits, and nothing else.
        let alone = |number: usize| Ingress { policies: vec![ingress.policies[number].clone()], ..ingress.clone() };
        let alone: Vec<_> = (0..ingress.policies.len())
            .map(|number| fuzzing::policies(&alone(number), claims.as_bytes(), &event))
            .collect();
        assert_eq!(verdict == Verdict::Passed, alone.contains(&Verdict::Passed), "{alone:?}");
        assert_eq!(verdict == Verdict::NotNamed, alone.iter().all(|verdict| *verdict == Verdict::NotNamed));
        // Without an audience nobody is asked for anything.
        let open = Ingress { audience: None, ..ingress.clone() };
        assert_eq!(fuzzing::policies(&open, b"", &event), Verdict::Passed);
    }
    Outcome::of((verdict, ingress.policies.len().min(8), claims.len().min(40)))
}

/// A target with these policies, as the contract says it.
fn target(policies: &str) -> Option<Ingress> {
    let contract = format!(
        r#"{{"resources":[{{"uid":"u","topics":["t"],"bootstrapServers":"k","ingress":{{"path":"/p","audience":"a","eventPolicies":{policies}}}}}]}}"#
    );
    let contract = contract::parse(contract.as_bytes()).ok()?;
    contract.resources.first()?.ingress.clone().filter(|ingress| ingress.audience.is_some())
}

fn event() -> Event<'static> {
    let text = br#"{"specversion":"1.0","id":"a","source":"/s","type":"t"}"#;
    json::read(text).expect("an event of ours is valid").into_owned()
}
