//! The rules of protobuf-JSON: what is read as what, and where errors are said to be.

use super::*;

#[track_caller]
fn read(json: &str) -> Contract {
    from_json(json.as_bytes()).unwrap()
}

#[track_caller]
fn generation(value: &str) -> Result<u64, ParseError> {
    from_json(format!(r#"{{"generation":{value}}}"#).as_bytes()).map(|contract| contract.generation)
}

#[track_caller]
fn check_error(json: &str, line: usize, field: &str, message: &str) {
    match from_json(json.as_bytes()) {
        Err(ParseError::Json { line: found, column, field: place, message: text }) => {
            assert_eq!((found, place.as_str(), text.as_str()), (line, field, message), "column {column}");
            assert!(column > 0);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn integers_may_be_numbers_or_texts() {
    for value in ["7", r#""7""#, "7.0", "7e0", r#""7.0""#, r#""70e-1""#, "7.0e0"] {
        assert_eq!(generation(value), Ok(7), "{value}");
    }
    for value in ["18446744073709551615", r#""18446744073709551615""#] {
        assert_eq!(generation(value), Ok(u64::MAX), "{value}");
    }
    assert_eq!(generation("null"), Ok(0));
    assert_eq!(generation("-0"), Ok(0));
    assert_eq!(generation("-0.0"), Ok(0));
}

#[test]
fn integers_that_do_not_fit_are_errors() {
    for value in [
        "-1",
        r#""-1""#,
        "18446744073709551616",
        r#""18446744073709551616""#,
        "1.5",
        r#""1.5""#,
        r#""""#,
        r#"" 7""#,
        r#""+7""#,
        r#""0x7""#,
        r#""inf""#,
        r#""NaN""#,
        r#""1e400""#,
        "true",
        "[]",
        "{}",
    ] {
        assert!(generation(value).is_err(), "{value}");
    }
}

#[test]
fn thirty_two_bit_fields_have_their_own_ranges() {
    let retry = |value: &str| {
        from_json(format!(r#"{{"resources":[{{"egressConfig":{{"retry":{value}}}}}]}}"#).as_bytes())
            .map(|contract| contract.resources[0].egress_config.as_ref().unwrap().retry)
    };
    assert_eq!(retry(r#""4294967295""#), Ok(u32::MAX));
    assert!(retry("4294967296").is_err());
    let replicas = |value: &str| {
        from_json(format!(r#"{{"resources":[{{"egresses":[{{"vReplicas":{value}}}]}}]}}"#).as_bytes())
            .map(|contract| contract.resources[0].egresses[0].v_replicas)
    };
    assert_eq!(replicas("-2147483648"), Ok(i32::MIN));
    assert!(replicas(r#""2147483648""#).is_err());
}

#[test]
fn enums_may_be_names_or_numbers_and_unknown_ones_are_the_default() {
    let order = |value: &str| {
        read(&format!(r#"{{"resources":[{{"egresses":[{{"deliveryOrder":{value}}}]}}]}}"#)).resources[0].egresses[0]
            .delivery_order
    };
    for value in [r#""ORDERED""#, "1"] {
        assert_eq!(order(value), DeliveryOrder::Ordered, "{value}");
    }
    for value in [r#""UNORDERED""#, "0", r#""ordered""#, r#""BY_KEY""#, "2", "-1", "18446744073709551615", "null"] {
        assert_eq!(order(value), DeliveryOrder::Unordered, "{value}");
    }
    let wrong = r#"{"resources":[{"egresses":[{"deliveryOrder":true}]}]}"#;
    assert!(from_json(wrong.as_bytes()).is_err());
}

#[test]
fn unknown_values_of_authentication_are_kept() {
    let protocol = |value: &str| {
        let json = format!(r#"{{"resources":[{{"multiAuthSecret":{{"protocol":{value}}}}}]}}"#);
        read(&json).resources[0].multi_auth_secret.clone().unwrap().protocol
    };
    assert_eq!(protocol(r#""SASL_SSL""#), Protocol::SaslSsl);
    assert_eq!(protocol("2"), Protocol::Ssl);
    assert_eq!(protocol("null"), Protocol::Plaintext);
    assert_eq!(protocol(r#""QUIC""#), Protocol::Unrecognised("QUIC".to_owned()));
    assert_eq!(protocol("77"), Protocol::Unrecognised("77".to_owned()));
}

#[test]
fn null_is_absent_everywhere_but_in_lists_and_maps() {
    let json = r#"{"generation":null,"trustBundles":null,"resources":[{"uid":null,"topics":null,"ingress":null,
        "absentAuth":null,"authSecret":null,"featureFlags":{"enableEventTypeAutocreate":null},
        "cloudEventOverrides":{"extensions":null},"egresses":[{"replyUrl":null,"discardReply":{},"vReplicas":null}]}]}"#;
    let contract = read(json);
    let resource = &contract.resources[0];
    assert_eq!((resource.ingress.as_ref(), resource.auth_secret.as_ref()), (None, None));
    assert_eq!((&resource.egresses[0].reply_url, resource.egresses[0].v_replicas), (&None, 0));
    for bad in [
        r#"{"resources":[null]}"#,
        r#"{"resources":[{"topics":[null]}]}"#,
        r#"{"resources":[{"cloudEventOverrides":{"extensions":{"a":null}}}]}"#,
    ] {
        assert!(from_json(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn unknown_fields_are_skipped_whatever_is_in_them() {
    let json = r#"{"future":{"deep":[1,{"x":null}]},"resources":[{"uid":"r","bootstrap_servers":"snake",
        "egresses":[{"v_replicas":3,"consumer_group":"snake"}]}]}"#;
    let contract = read(json);
    assert_eq!((contract.resources[0].uid.as_str(), contract.resources[0].bootstrap_servers.as_str()), ("r", ""));
    let egress = &contract.resources[0].egresses[0];
    assert_eq!((egress.v_replicas, egress.consumer_group.as_str()), (0, ""));
}

#[test]
fn two_set_members_of_one_oneof_refuse_the_file() {
    let both = |resource: &str, first: &str, second: &str, field: &str| {
        check_error(
            &format!(r#"{{"resources":[{{"uid":"a"}},{resource}]}}"#),
            1,
            field,
            &format!("only one of {first} and {second} may be set"),
        );
    };
    both(r#"{"absentAuth":{},"authSecret":{}}"#, "absentAuth", "authSecret", "resources[1]");
    both(r#"{"multiAuthSecret":{},"authSecret":{}}"#, "authSecret", "multiAuthSecret", "resources[1]");
    both(r#"{"egresses":[{"replyUrl":"","discardReply":{}}]}"#, "replyUrl", "discardReply", "resources[1].egresses[0]");
    both(
        r#"{"egresses":[{"dialectedFilter":[{"all":{"filters":[{"exact":{},"cesql":{}}]}}]}]}"#,
        "exact",
        "cesql",
        "resources[1].egresses[0].dialectedFilter[0].all.filters[0]",
    );
    both(
        r#"{"ingress":{"eventPolicies":[{"tokenMatchers":[{"exact":{},"prefix":{}}]}]}}"#,
        "exact",
        "prefix",
        "resources[1].ingress.eventPolicies[0].tokenMatchers[0]",
    );
}

#[test]
fn errors_name_line_and_field() {
    check_error(
        "{\n\"resources\": [{\n\"egresses\": [{}, {\"vReplicas\": \"x\"}]}]}",
        3,
        "resources[0].egresses[1].vReplicas",
        "invalid value: string \"x\", expected an integer from -2147483648 to 2147483647",
    );
    check_error(
        r#"{"resources":[{"cloudEventOverrides":{"extensions":{"name":1}}}]}"#,
        1,
        "resources[0].cloudEventOverrides.extensions.name",
        "invalid type: integer `1`, expected a string",
    );
    check_error(r#"{"resources":{}}"#, 1, "resources", "invalid type: map, expected an array");
    check_error(r#"{"resources":["#, 1, "resources[0]", "EOF while parsing a list");
}

#[test]
fn a_document_that_is_no_object_is_refused() {
    for (document, message) in [
        ("[]", "invalid type: sequence, expected an object"),
        ("7", "invalid type: integer `7`, expected an object"),
        ("null", "invalid type: null, expected an object"),
        ("{} {}", "trailing characters"),
    ] {
        check_error(document, 1, "contract", message);
    }
    // Arrays do not stand for messages further down either.
    check_error(r#"{"resources":[["uid"]]}"#, 1, "resources[0]", "invalid type: sequence, expected an object");
}

#[test]
fn an_empty_file_is_told_from_a_broken_one() {
    for empty in ["", " ", "\n", "\r\n\t "] {
        assert_eq!(from_json(empty.as_bytes()), Err(ParseError::Empty), "{empty:?}");
    }
    assert!(matches!(from_json(b"\0"), Err(ParseError::Json { .. })));
    assert_eq!(from_json(b"{}"), Ok(Contract::default()));
}

#[test]
fn hostile_documents_are_refused_and_not_followed() {
    let deep =
        format!(r#"{{"resources":[{{"egresses":[{{"dialectedFilter":[{}"#, r#"{"all":{"filters":["#.repeat(10_000));
    assert!(matches!(from_json(deep.as_bytes()), Err(ParseError::Json { .. })));
    assert!(matches!(from_json(b"{\"resources\":[{\"uid\":\"\xff\"}]}"), Err(ParseError::Json { .. })));
}

#[test]
fn a_key_that_contains_the_marker_of_places_does_no_harm() {
    let json = "{\"resources\":[{\"cloudEventOverrides\":{\"extensions\":{\"\\u0001: x\":1}}}]}";
    assert!(matches!(from_json(json.as_bytes()), Err(ParseError::Json { .. })));
}
