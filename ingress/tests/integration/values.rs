//! Attribute values as senders write them into headers, and what is in the record then.

use super::harness::*;

/// A request whose `ce-subject` is these bytes.
fn with_subject(value: &[u8]) -> Vec<u8> {
    let request = request("/ns/name", &[("ce-subject", "SUBJECT")], "hello");
    let (before, after) = request.split_once("SUBJECT").unwrap();
    [before.as_bytes(), value, after.as_bytes()].concat()
}

#[tokio::test]
async fn a_value_is_the_same_text_in_the_record() {
    let (_harness, broker, running) = one_target().await;
    let mut client = Client::connect(running.address()).await;
    let cases: [(&[u8], &str); 16] = [
        (b"plain", "plain"),
        (b"with blank", "with blank"),
        (b"", ""),
        (b"%20", " "),
        (b"a%22b", "a\"b"),
        (b"%25", "%"),
        (b"%2525", "%25"),
        (b"100% sure", "100% sure"),
        (b"%zz", "%zz"),
        (b"%F0%9F%98%80", "\u{1f600}"),
        (b"%e2%82%ac", "€"),
        ("€".as_bytes(), "€"),
        (b"gr\xfc\xdfe", "grüße"),
        (b"%0a", "\n"),
        (b"%00", "\0"),
        (b"\"quoted text\"", "quoted text"),
    ];
    for (number, (sent, expected)) in cases.iter().enumerate() {
        let answer = client.ask(with_subject(sent)).await;
        assert_eq!(answer.status, 202, "{sent:?}: {answer:?}");
        let records = broker.read("orders", number + 1);
        let found = records.iter().filter(|record| record.header("ce_subject") == Some(expected)).count();
        let wanted = cases.iter().take(number + 1).filter(|(_, other)| other == expected).count();
        assert_eq!(found, wanted, "{sent:?}");
    }
}

#[tokio::test]
async fn a_value_that_is_no_text_is_refused_and_writes_nothing() {
    let (_harness, broker, running) = one_target().await;
    let mut client = Client::connect(running.address()).await;
    // A surrogate, overlong forms, bytes that begin nothing, and more than Unicode has.
    for value in ["%ED%A0%80", "%C0%AF", "%E0%80%AF", "%80", "%FF", "%F5%80%80%80", "%F0%9F%98", "a%C3"] {
        assert_eq!(client.ask(with_subject(value.as_bytes())).await.status, 400, "{value}");
    }
    // What HTTP itself does not allow in a value.
    for value in [&b"a\0b"[..], b"a\x01b", b"a\x7fb", b"a\x1bb"] {
        let mut client = Client::connect(running.address()).await;
        assert_eq!(client.ask(with_subject(value)).await.status, 400, "{value:?}");
        client.closed().await;
    }
    assert_eq!(client.ask(event("/ns/name")).await.status, 202);
    assert_eq!(broker.read("orders", 1)[0].header("ce_subject"), None);
}

#[tokio::test]
async fn names_ids_versions_and_duplicates_follow_the_rules() {
    let (_harness, broker, running) = one_target().await;
    let mut client = Client::connect(running.address()).await;
    for (headers, status) in [
        (&[("CE-ID", "upper"), ("Ce-MyExt", "x")][..], 202),
        (&[("ce-id", "")], 202),
        (&[("ce-id", "twice"), ("ce-subject", "first"), ("ce-subject", "last")], 202),
        (&[("ce-specversion", "0.3")], 202),
        (&[("ce-specversion", "1.0.2")], 400),
        (&[("ce-specversion", "")], 400),
        (&[("ce-my-ext", "x")], 400),
        (&[("ce-my_ext", "x")], 400),
    ] {
        assert_eq!(client.ask(request("/ns/name", headers, "x")).await.status, status, "{headers:?}");
    }
    let records = broker.read("orders", 4);
    let with_id = |id: &str| records.iter().find(|record| record.header("ce_id") == Some(id)).unwrap();
    assert_eq!(with_id("upper").header("ce_myext"), Some("x"));
    assert_eq!(with_id("twice").header("ce_subject"), Some("last"));
    with_id("");
}

#[tokio::test]
async fn a_thousand_extensions_pass_where_the_settings_have_room_for_them() {
    let (harness, broker, _) = one_target().await;
    harness.write("config/httpserver.properties", "host=127.0.0.1\nmaxHeaderSize=65536\n");
    let running = harness.ready().await;
    let with = |count: usize| {
        let names: Vec<String> = (0..count).map(|number| format!("ce-x{number}")).collect();
        let headers: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
        request("/ns/name", &headers, "hello")
    };
    assert_eq!(ask(running.address(), with(1000)).await.status, 202);
    assert_eq!(ask(running.address(), with(1025)).await.status, 400);
    assert_eq!(broker.read("orders", 1)[0].headers.len(), 1004);
}
