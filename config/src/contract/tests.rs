//! Which entries of a contract are used, which are refused, and that one bad entry hurts nobody else.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::*;

const EGRESS: &str = r#""uid":"e","consumerGroup":"g","destination":"http://subscriber""#;

/// A contract with one resource; `ingress` and `egress` are the inner parts of the two objects.
fn one(ingress: &str, egress: &str) -> String {
    format!(
        r#"{{"resources":[{{"uid":"r","topics":["t"],"bootstrapServers":"b:9092",
            "ingress":{{{ingress}}},"egresses":[{{{egress}}}]}}]}}"#
    )
}

fn resource(members: &str) -> String {
    format!(r#"{{"resources":[{{"topics":["t"],"bootstrapServers":"b:9092",{members}}}]}}"#)
}

#[track_caller]
fn parsed(json: &str) -> Contract {
    parse(json.as_bytes()).unwrap()
}

/// What was refused, as `entry uid: reason`.
#[track_caller]
fn refusals(json: &str) -> Vec<String> {
    let refused = parsed(json).refused;
    refused.iter().map(|refusal| format!("{} {}: {}", refusal.entry.as_str(), refusal.uid, refusal.error)).collect()
}

#[track_caller]
fn egress_of(egress: &str) -> Egress {
    let contract = parsed(&one(r#""path":"/p""#, egress));
    assert_eq!(contract.refused, []);
    Egress::clone(&contract.resources[0].egresses[0])
}

#[test]
fn a_minimal_resource_gets_every_default() {
    let contract = parsed(&one(r#""path":"/p""#, EGRESS));
    let resource = &contract.resources[0];
    assert_eq!(contract.generation, 0);
    assert_eq!(resource.auth, Auth::Absent);
    assert!(!resource.auto_create_event_types);
    assert_eq!(resource.topic(), "t");
    let ingress = resource.ingress.as_ref().unwrap();
    assert_eq!((ingress.content_mode, &ingress.audience, &ingress.host), (ContentMode::Binary, &None, &None));
    let egress = &resource.egresses[0];
    assert_eq!(egress.reply, Reply::ToTopic);
    assert_eq!((egress.order, egress.key_type), (DeliveryOrder::Unordered, KeyType::String));
    assert_eq!(egress.delivery, Delivery::default());
    assert_eq!(egress.delivery.attempt_timeout, Duration::from_secs(600));
    assert_eq!((egress.filters.len(), egress.v_replicas), (0, 0));
}

#[test]
fn every_setting_of_an_egress_is_kept() {
    let egress = egress_of(
        r#""uid":"e","consumerGroup":"g","destination":"https://a/x?y=1#z","destinationCACerts":"CA",
        "destinationAudience":"aud","replyUrl":"http://reply","replyUrlCACerts":"CA2","replyUrlAudience":"aud2",
        "deliveryOrder":"ORDERED","keyType":"ByteArray","vReplicas":3,"oidcServiceAccountName":"sa",
        "featureFlags":{"enableRateLimiter":true,"enableOrderedExecutorMetrics":true},
        "reference":{"uuid":"u","namespace":"ns","name":"n","kind":"Subscription","groupVersion":"v1"},
        "egressConfig":{"deadLetter":"http://dead","deadLetterCACerts":"CA3","deadLetterAudience":"aud3","retry":5,
            "backoffPolicy":"Linear","backoffDelay":"200","timeout":"1500"}"#,
    );
    assert_eq!(egress.destination.url.to_string(), "https://a/x?y=1");
    assert_eq!(egress.destination.text, "https://a/x?y=1#z");
    assert_eq!(egress.destination.ca_certs.as_deref(), Some("CA"));
    assert_eq!(egress.destination.audience.as_deref(), Some("aud"));
    let Reply::ToUrl(reply) = &egress.reply else { panic!("{:?}", egress.reply) };
    assert_eq!((reply.text.as_str(), reply.audience.as_deref()), ("http://reply", Some("aud2")));
    assert_eq!((egress.order, egress.key_type, egress.v_replicas), (DeliveryOrder::Ordered, KeyType::ByteArray, 3));
    assert!(egress.rate_limiter && egress.executor_metrics);
    assert_eq!(egress.service_account.as_deref(), Some("sa"));
    assert_eq!((egress.reference.kind.as_str(), egress.reference.name.as_str()), ("Subscription", "n"));
    assert_eq!((egress.delivery.retries, egress.delivery.backoff_policy), (5, BackoffPolicy::Linear));
    assert_eq!(egress.delivery.backoff_delay, Duration::from_millis(200));
    assert_eq!(egress.delivery.attempt_timeout, Duration::from_millis(1500));
    let dead = egress.delivery.dead_letter.unwrap();
    assert_eq!((dead.text.as_str(), dead.ca_certs.as_deref()), ("http://dead", Some("CA3")));
}

#[test]
fn reply_strategies() {
    let reply = |member: &str| egress_of(&format!("{EGRESS}{member}")).reply;
    assert_eq!(reply(""), Reply::ToTopic);
    assert_eq!(reply(r#","replyToOriginalTopic":{}"#), Reply::ToTopic);
    assert_eq!(reply(r#","discardReply":{}"#), Reply::Discard);
    assert_eq!(reply(r#","discardReply":null"#), Reply::ToTopic);
}

#[test]
fn an_egress_with_its_own_delivery_takes_nothing_from_its_resource() {
    let json = resource(
        r#""uid":"r","egressConfig":{"retry":9,"deadLetter":"http://dead"},"egresses":[
            {"uid":"own","consumerGroup":"g","destination":"http://s","egressConfig":{"timeout":"1"}},
            {"uid":"empty","consumerGroup":"g","destination":"http://s","egressConfig":{}},
            {"uid":"none","consumerGroup":"g","destination":"http://s"}]"#,
    );
    let contract = parsed(&json);
    let [own, empty, none] = contract.resources[0].egresses.as_slice() else { panic!() };
    assert_eq!((own.delivery.retries, &own.delivery.dead_letter), (0, &None));
    assert_eq!(own.delivery.attempt_timeout, Duration::from_millis(1));
    assert_eq!(empty.delivery, Delivery::default());
    assert_eq!((none.delivery.retries, none.delivery.dead_letter.is_some()), (9, true));
}

#[test]
fn filters_of_all_dialects() {
    let filters = |members: &str| egress_of(&format!("{EGRESS},{members}")).filters;
    let map = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    assert_eq!(
        filters(
            r#""dialectedFilter":[{"exact":{"attributes":{"type":"a"}}},{"prefix":{"attributes":{"type":"b"}}},
            {"suffix":{"attributes":{"type":"c"}}},{"all":{}},{"any":{"filters":[{}]}},
            {"not":{"filter":{"cesql":{"expression":"TRUE"}}}},{"not":{}},{"future":{}}]"#
        ),
        [
            FilterSpec::Exact(map("type", "a")),
            FilterSpec::Prefix(map("type", "b")),
            FilterSpec::Suffix(map("type", "c")),
            FilterSpec::All(Vec::new()),
            FilterSpec::Any(vec![FilterSpec::Pass]),
            FilterSpec::Not(Box::new(FilterSpec::CeSql("TRUE".to_owned()))),
            FilterSpec::Not(Box::new(FilterSpec::Pass)),
            FilterSpec::Pass,
        ]
    );
    assert_eq!(filters(r#""filter":{"attributes":{"type":"a"}}"#), [FilterSpec::Exact(map("type", "a"))]);
    assert_eq!(filters(r#""filter":{"attributes":{"type":"a"}},"dialectedFilter":[{}]"#), [FilterSpec::Pass]);
}

#[test]
fn a_token_matcher_of_an_unknown_kind_lets_nobody_in() {
    let json = one(
        r#""path":"/p","audience":"a","eventPolicies":[{"tokenMatchers":[{"prefix":{"attributes":{"sub":""}}},
            {"regex":{"attributes":{"sub":".*"}}}],"filters":[{"cesql":{"expression":"TRUE"}}]},{"tokenMatchers":[{}]}]"#,
        EGRESS,
    );
    let contract = parsed(&json);
    let policies = &contract.resources[0].ingress.as_ref().unwrap().policies;
    let everyone = TokenMatcher::Prefix(BTreeMap::from([("sub".to_owned(), String::new())]));
    assert_eq!(policies[0].token_matchers, [everyone]);
    assert_eq!(policies[0].filters, [FilterSpec::CeSql("TRUE".to_owned())]);
    assert_eq!(policies[1].token_matchers, []);
}

#[test]
fn credentials_come_from_one_secret_or_several() {
    let one = parsed(&resource(r#""uid":"r","authSecret":{"namespace":"ns","name":"s","version":"7"}"#));
    let Auth::Secret(reference) = &one.resources[0].auth else { panic!() };
    assert_eq!((reference.name.as_str(), reference.version.as_str()), ("s", "7"));

    let several = parsed(&resource(
        r#""uid":"r","multiAuthSecret":{"protocol":"SASL_SSL","references":[{"reference":{"namespace":"ns","name":"s"},
            "keyFieldReferences":[{"secretKey":"saslType"},{"secretKey":"pw","field":"PASSWORD"},
            {"secretKey":"ca","field":1}]}]}"#,
    ));
    let Auth::Secrets(multi) = &several.resources[0].auth else { panic!() };
    assert_eq!(multi.protocol, credentials::SecurityProtocol::SaslSsl);
    let fields: Vec<(&str, &str)> = multi.secrets[0].fields.iter().map(|(key, it)| (key.as_str(), it.key())).collect();
    assert_eq!(fields, [("saslType", "sasl.mechanism"), ("pw", "password"), ("ca", "ca.crt")]);

    let empty = parsed(&resource(r#""uid":"r","multiAuthSecret":{}"#));
    let Auth::Secrets(multi) = &empty.resources[0].auth else { panic!() };
    assert_eq!((multi.protocol, multi.secrets.len()), (credentials::SecurityProtocol::Plaintext, 0));
}

#[test]
fn unknown_kinds_of_authentication_are_refused_instead_of_falling_back_to_plain_text() {
    for (auth, reason) in [
        (r#"{"protocol":"QUIC"}"#, r#"multiAuthSecret.protocol "QUIC" is not known"#),
        (r#"{"protocol":9}"#, r#"multiAuthSecret.protocol "9" is not known"#),
        (
            r#"{"references":[{"reference":{"name":"s","namespace":"n"},"keyFieldReferences":[{"secretKey":"k","field":"X"}]}]}"#,
            r#"multiAuthSecret field "X" for key "k" is not known"#,
        ),
        (r#"{"references":[{}]}"#, "multiAuthSecret.references names no Secret"),
    ] {
        let json = resource(&format!(r#""uid":"r","multiAuthSecret":{auth}"#));
        assert_eq!(refusals(&json), [format!("resource r: {reason}")]);
        assert_eq!(parsed(&json).resources, []);
    }
    assert_eq!(refusals(&resource(r#""uid":"r","authSecret":{}"#)), ["resource r: authSecret names no Secret"]);
}

#[test]
fn resources_that_cannot_be_served_are_refused_alone() {
    let good = r#"{"uid":"good","topics":["t"],"bootstrapServers":"b","ingress":{"path":"/good"}}"#;
    for (bad, reason) in [
        (r#"{"uid":"x","bootstrapServers":"b"}"#, "resource x: topics must name at least one topic and no blank one"),
        (
            r#"{"uid":"x","topics":[""],"bootstrapServers":"b"}"#,
            "resource x: topics must name at least one topic and no blank one",
        ),
        (r#"{"uid":"x","topics":["t"],"bootstrapServers":" "}"#, "resource x: bootstrapServers is blank"),
        (
            r#"{"uid":"good","topics":["t"],"bootstrapServers":"b"}"#,
            r#"resource good: uid "good" is already used by an earlier entry"#,
        ),
    ] {
        let json = format!(r#"{{"resources":[{good},{bad}]}}"#);
        assert_eq!(refusals(&json), [reason]);
        let contract = parsed(&json);
        assert_eq!(contract.resources.len(), 1);
        assert_eq!(contract.resources[0].ingress.as_ref().unwrap().path.as_deref(), Some("/good"));
    }
}

#[test]
fn a_refused_resource_keeps_neither_its_uid_nor_its_route_from_a_later_one() {
    let json = r#"{"resources":[
        {"uid":"a","topics":[],"bootstrapServers":"b","ingress":{"path":"/p"}},
        {"uid":"a","topics":["t"],"bootstrapServers":"b","ingress":{"path":"/p"}}]}"#;
    let contract = parsed(json);
    assert_eq!(contract.refused.len(), 1);
    assert!(contract.resources[0].ingress.is_some());
}

#[test]
fn an_ingress_without_a_usable_route_is_refused_and_its_egresses_run() {
    for ingress in ["", r#""path":"""#, r#""path":"/""#, r#""path":"/","host":" ""#] {
        let json = one(ingress, EGRESS);
        assert_eq!(refusals(&json), ["ingress r: path and host are both blank"]);
        let contract = parsed(&json);
        assert_eq!(contract.resources[0].ingress, None);
        assert_eq!(contract.resources[0].egresses.len(), 1);
    }
}

#[test]
fn of_two_ingresses_with_the_same_path_or_host_the_first_one_wins() {
    let json = r#"{"resources":[
        {"uid":"a","topics":["t"],"bootstrapServers":"b","ingress":{"path":"/p","host":"h"}},
        {"uid":"b","topics":["t"],"bootstrapServers":"b","ingress":{"path":"/p","host":"other"}},
        {"uid":"c","topics":["t"],"bootstrapServers":"b","ingress":{"path":"/q","host":"h"}},
        {"uid":"d","topics":["t"],"bootstrapServers":"b","ingress":{"path":"/q","host":"other"}}]}"#;
    assert_eq!(
        refusals(json),
        ["ingress b: path /p is already used by resource a", "ingress c: host h is already used by resource a"]
    );
    let contract = parsed(json);
    let with_ingress: Vec<&str> = contract
        .resources
        .iter()
        .filter(|resource| resource.ingress.is_some())
        .map(|resource| resource.uid.as_str())
        .collect();
    // What a refused ingress asked for is free for the next one.
    assert_eq!(with_ingress, ["a", "d"]);
}

#[test]
fn a_bad_egress_is_refused_and_the_ingress_and_its_siblings_run() {
    for (bad, reason) in [
        (r#""uid":"x","destination":"http://s""#, "egress x: consumerGroup is blank"),
        (r#""uid":"x","consumerGroup":"g""#, r#"egress x: destination "" is not usable: it is not absolute"#),
        (
            r#""uid":"x","consumerGroup":"g","destination":"http://s","replyUrl":"""#,
            r#"egress x: replyUrl "" is not usable: it is not absolute"#,
        ),
        (
            r#""uid":"x","consumerGroup":"g","destination":"http://s","egressConfig":{"deadLetter":"/dead"}"#,
            r#"egress x: deadLetter "/dead" is not usable: it is not absolute"#,
        ),
        (
            r#""uid":"e","consumerGroup":"g","destination":"http://s""#,
            r#"egress e: uid "e" is already used by an earlier entry"#,
        ),
    ] {
        let json = one(r#""path":"/p""#, &format!("{EGRESS}}},{{{bad}"));
        assert_eq!(refusals(&json), [reason]);
        let contract = parsed(&json);
        assert!(contract.resources[0].ingress.is_some());
        assert_eq!(contract.resources[0].egresses.len(), 1);
    }
}

#[test]
fn the_uid_of_an_egress_is_unique_over_all_resources() {
    let resource =
        |uid: &str| format!(r#"{{"uid":"{uid}","topics":["t"],"bootstrapServers":"b","egresses":[{{{EGRESS}}}]}}"#);
    let json = format!(r#"{{"resources":[{},{}]}}"#, resource("a"), resource("b"));
    assert_eq!(refusals(&json), [r#"egress e: uid "e" is already used by an earlier entry"#]);
}

#[test]
fn the_uid_of_a_resource_is_its_targets_only() {
    let resource = |uid: &str, egress: &str| {
        format!(
            r#"{{"uid":"{uid}","topics":["t"],"bootstrapServers":"b","ingress":{{"path":"/{egress}"}},
                "egresses":[{{"uid":"{egress}","consumerGroup":"g","destination":"http://s"}}]}}"#
        )
    };
    let json = format!(r#"{{"resources":[{},{}]}}"#, resource("r", "a"), resource("r", "b"));
    assert_eq!(refusals(&json), [r#"ingress r: uid "r" is already used by an earlier entry"#]);
    let contract = parsed(&json);
    let kept: Vec<_> = contract.resources.iter().map(|it| (it.ingress.is_some(), it.egresses.len())).collect();
    assert_eq!(kept, [(true, 1), (false, 1)]);
}

#[test]
fn an_entry_may_do_without_a_uid_as_long_as_it_is_the_only_one() {
    let entry = r#"{"topics":["t"],"bootstrapServers":"b","ingress":{"path":"/p"},
        "egresses":[{"consumerGroup":"g","destination":"http://s"}]}"#;
    let contract = parsed(&format!(r#"{{"resources":[{entry}]}}"#));
    assert_eq!((contract.refused.len(), contract.resources[0].egresses.len()), (0, 1));
    assert!(contract.resources[0].ingress.is_some());
    assert_eq!(
        refusals(&format!(r#"{{"resources":[{entry},{entry}]}}"#)),
        [
            r#"ingress : uid "" is already used by an earlier entry"#,
            r#"egress : uid "" is already used by an earlier entry"#
        ]
    );
}

#[test]
fn urls_that_cannot_be_sent_to_are_refused() {
    for (url, reason) in [
        ("subscriber", "it is not absolute"),
        ("//subscriber", "it is not absolute"),
        ("ftp://subscriber", "its scheme is not http or https"),
        ("http://", "it is not a URL"),
        ("http:///path", "it is not a URL"),
        ("http://:80/", "it has no host"),
        ("http://a b/", "it is not a URL"),
        ("http://a:66000/", "its port is not a number up to 65535"),
    ] {
        let egress = format!(r#""uid":"x","consumerGroup":"g","destination":"{url}""#);
        let json = one(r#""path":"/p""#, &egress);
        assert_eq!(refusals(&json), [format!("egress x: destination {url:?} is not usable: {reason}")]);
    }
}

#[test]
fn urls_are_used_as_they_are_but_for_the_fragment() {
    for (text, url) in [
        ("http://subscriber", "http://subscriber/"),
        ("HTTP://Subscriber.Example:8080", "http://Subscriber.Example:8080/"),
        ("https://a/b/../c//?q=%20#fragment", "https://a/b/../c//?q=%20"),
        ("http://a#fragment", "http://a/"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("http://user:secret@host:80/x", "http://user:secret@host:80/x"),
    ] {
        let egress = egress_of(&format!(r#""uid":"x","consumerGroup":"g","destination":"{text}""#));
        assert_eq!((egress.destination.url.to_string().as_str(), egress.destination.text.as_str()), (url, text));
    }
}

#[test]
fn a_password_in_a_bad_url_is_not_repeated() {
    let json = one(r#""path":"/p""#, r#""uid":"x","consumerGroup":"g","destination":"ftp://me:secret@host/a@b""#);
    assert_eq!(
        refusals(&json),
        [r#"egress x: destination "ftp://…@host/a@b" is not usable: its scheme is not http or https"#]
    );
}

#[test]
fn a_bad_override_name_refuses_the_egresses_and_not_the_ingress() {
    for name in ["Upper", "with-dash", "", "ünï"] {
        let json = resource(&format!(
            r#""uid":"r","ingress":{{"path":"/p"}},"cloudEventOverrides":{{"extensions":{{"{name}":"v"}}}},
            "egresses":[{{{EGRESS}}}]"#
        ));
        let expected = format!("egress e: override {name:?} is not an extension name: only a-z and 0-9 are allowed");
        assert_eq!(refusals(&json), [expected]);
        let contract = parsed(&json);
        assert!(contract.resources[0].ingress.is_some());
        assert_eq!(contract.resources[0].egresses, []);
    }
    let good = parsed(&resource(r#""uid":"r","cloudEventOverrides":{"extensions":{"a1":"v"}}"#));
    assert_eq!(good.resources[0].overrides, BTreeMap::from([("a1".to_owned(), "v".to_owned())]));
}

#[test]
fn ten_thousand_resources_are_read_in_a_moment() {
    let mut json = String::from(r#"{"generation":"1","resources":["#);
    for number in 0..10_000 {
        let comma = if number == 0 { "" } else { "," };
        write!(
            json,
            r#"{comma}{{"uid":"r{number}","topics":["t{number}"],"bootstrapServers":"b:9092",
            "ingress":{{"path":"/ns/c{number}","host":"c{number}.ns.svc"}},"egresses":[{{"uid":"e{number}",
            "consumerGroup":"g{number}","destination":"http://s{number}","discardReply":{{}}}}]}}"#
        )
        .unwrap();
    }
    json.push_str("]}");
    let begin = Instant::now();
    let contract = parsed(&json);
    assert_eq!((contract.resources.len(), contract.refused.len()), (10_000, 0));
    // Quadratic work would take minutes; the limit only has to tell the two apart on a slow machine.
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[test]
fn credentials_are_pinned_when_every_secret_has_a_version() {
    let reference = |version: &str| Reference { version: version.to_owned(), ..Reference::default() };
    let fields = |version: &str| SecretFields { reference: reference(version), fields: Vec::new() };
    let several = |versions: &[&str]| {
        let secrets = versions.iter().map(|version| fields(version)).collect();
        Auth::Secrets(MultiSecret { protocol: credentials::SecurityProtocol::Ssl, secrets })
    };
    assert!(Auth::Absent.is_pinned() && several(&[]).is_pinned());
    assert!(Auth::Secret(reference("7")).is_pinned() && several(&["1", "2"]).is_pinned());
    assert!(!Auth::Secret(reference("")).is_pinned() && !several(&["1", ""]).is_pinned());
    assert_eq!(several(&["1", "2"]).secrets().count(), 2);
}

#[test]
fn what_is_the_same_in_an_earlier_contract_is_shared_with_it_in_any_order() {
    let file = |resources: &[(&str, &str)]| {
        let resource = |(uid, topic): &(&str, &str)| {
            format!(
                r#"{{"uid":"{uid}","topics":["{topic}"],"bootstrapServers":"b:9092","ingress":{{"path":"/{uid}"}}}}"#
            )
        };
        parsed(&format!(r#"{{"resources":[{}]}}"#, resources.iter().map(resource).collect::<Vec<_>>().join(",")))
    };
    let earlier = file(&[("a", "t"), ("b", "t"), ("c", "t")]);
    let mut next = file(&[("c", "t"), ("b", "other"), ("a", "t"), ("d", "t")]);
    let read = next.clone();
    next.share_unchanged(&earlier);
    assert_eq!(next, read);
    let shared: Vec<_> =
        next.resources.iter().map(|new| earlier.resources.iter().any(|old| Arc::ptr_eq(old, new))).collect();
    assert_eq!(shared, [true, false, true, false]);
}
