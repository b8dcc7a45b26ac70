//! Tests of what stays in force while documents are bad.

use super::*;

fn scan(files: &[(&str, &str)]) -> Scan {
    let mut scan = Scan::default();
    for (file, text) in files {
        scan.add_text(file, text);
    }
    scan
}

fn channel(name: &str, spec: &str) -> String {
    format!("apiVersion: messaging.knative.dev/v1\nkind: KafkaChannel\nmetadata: {{name: {name}}}\nspec: {spec}\n")
}

fn subscription(name: &str, channel: &str, uri: &str) -> String {
    format!(
        "apiVersion: messaging.knative.dev/v1\nkind: Subscription\nmetadata: {{name: {name}}}\nspec:\n  channel: {{apiVersion: messaging.knative.dev/v1, kind: KafkaChannel, name: {channel}}}\n  subscriber: {{uri: '{uri}'}}\n"
    )
}

/// Names in force after the steps, sorted, and the problems of the last step.
fn after(steps: &[&[(&str, &str)]]) -> (Vec<String>, Vec<String>, Vec<Sourced>) {
    let mut last_good = LastGood::default();
    let mut result = (Vec::new(), Vec::new());
    for step in steps {
        result = last_good.accept(scan(step));
    }
    let mut names: Vec<String> = result.0.iter().map(|sourced| sourced.object.meta().name.clone()).collect();
    names.sort();
    (names, result.1.iter().map(ToString::to_string).collect(), result.0)
}

#[test]
fn an_object_stays_while_its_document_is_bad_and_goes_with_its_document() {
    let good = format!("{}---\n{}", channel("a", "{}"), channel("b", "{}"));
    let bad = format!("{}---\n{}", channel("a", "{numPartitions: -1}"), channel("b", "{}"));
    let (names, problems, _) = after(&[&[("f.yaml", &good)], &[("f.yaml", &bad)]]);
    assert_eq!(names, ["a", "b"]);
    assert!(
        problems.iter().any(|problem| problem.contains("KafkaChannel default/a: the last good version stays")),
        "{problems:?}"
    );
    // Twice in a row, too: what stays is the last good version, not the last version.
    assert_eq!(after(&[&[("f.yaml", &good)], &[("f.yaml", &bad)], &[("f.yaml", &bad)]]).0, ["a", "b"]);
    assert_eq!(after(&[&[("f.yaml", &good)], &[("f.yaml", &bad)], &[("f.yaml", &channel("b", "{}"))]]).0, ["b"]);
    assert_eq!(after(&[&[("f.yaml", &good)], &[]]).0, Vec::<String>::new());
}

#[test]
fn an_unreadable_document_keeps_what_its_file_held_and_nothing_of_other_files() {
    let good = format!("{}---\n{}", channel("a", "{}"), channel("b", "{}"));
    let broken = format!("{}---\nkind: [\n", channel("a", "{}"));
    let other = channel("c", "{}");
    let steps: [&[(&str, &str)]; 2] = [&[("f.yaml", &good), ("g.yaml", &other)], &[("f.yaml", &broken)]];
    assert_eq!(after(&steps).0, ["a", "b"]);
}

#[test]
fn a_document_that_was_bad_from_the_start_gives_nothing() {
    let (names, problems, _) = after(&[&[("f.yaml", &channel("a", "{numPartitions: -1}"))]]);
    assert!(names.is_empty());
    assert_eq!(problems.len(), 1, "{problems:?}");
}

#[test]
fn a_mended_document_takes_effect_again() {
    let steps: [&[(&str, &str)]; 3] = [
        &[("f.yaml", &channel("a", "{}"))],
        &[("f.yaml", &channel("a", "{delivery: {retry: -1}}"))],
        &[("f.yaml", &channel("a", "{delivery: {retry: 4}}"))],
    ];
    let (_, problems, objects) = after(&steps);
    assert_eq!(problems, Vec::<String>::new());
    let Object::Channel(channel) = &objects[0].object else { panic!("no channel") };
    assert_eq!(channel.delivery.as_ref().unwrap().retry, Some(4));
}

#[test]
fn a_bad_document_that_moved_to_another_file_keeps_its_object() {
    let bad = channel("a", "{numPartitions: -1}");
    assert_eq!(after(&[&[("f.yaml", &channel("a", "{}"))], &[("g.yaml", &bad)]]).0, ["a"]);
}

#[test]
fn the_size_of_a_topic_cannot_be_changed_but_the_rest_of_the_edit_applies() {
    let before = channel("a", "{numPartitions: 3, replicationFactor: 2, retentionDuration: PT1H}");
    let edit = channel("a", "{numPartitions: 5, replicationFactor: 1, retentionDuration: PT2H, delivery: {retry: 1}}");
    let (_, problems, objects) = after(&[&[("f.yaml", &before)], &[("f.yaml", &edit)]]);
    let Object::Channel(channel) = &objects[0].object else { panic!("no channel") };
    assert_eq!((channel.topic.partitions, channel.topic.replication_factor), (3, 2));
    assert_eq!(channel.topic.retention, Some(std::time::Duration::from_hours(1)));
    assert_eq!(channel.delivery.as_ref().unwrap().retry, Some(1));
    for field in [
        "spec.numPartitions: cannot be changed; 3 stays",
        "spec.replicationFactor",
        "spec.retentionDuration: cannot be changed; PT3600S stays",
    ] {
        assert!(problems.iter().any(|problem| problem.contains(field)), "{field}: {problems:?}");
    }
}

#[test]
fn a_retention_may_be_set_where_there_was_none() {
    let (_, problems, objects) =
        after(&[&[("f.yaml", &channel("a", "{}"))], &[("f.yaml", &channel("a", "{retentionDuration: PT2H}"))]]);
    assert_eq!(problems, Vec::<String>::new());
    let Object::Channel(channel) = &objects[0].object else { panic!("no channel") };
    assert_eq!(channel.topic.retention, Some(std::time::Duration::from_hours(2)));
}

#[test]
fn a_subscription_cannot_move_to_another_channel() {
    let steps: [&[(&str, &str)]; 2] =
        [&[("f.yaml", &subscription("s", "a", "http://one"))], &[("f.yaml", &subscription("s", "b", "http://two"))]];
    let (_, problems, objects) = after(&steps);
    let Object::Subscription(subscription) = &objects[0].object else { panic!("no subscription") };
    assert_eq!(subscription.channel.name, "a");
    assert_eq!(subscription.subscriber.uri.as_deref(), Some("http://one"));
    assert!(problems[0].contains("spec.channel: cannot be changed"), "{problems:?}");
}

#[test]
fn an_object_that_was_deleted_and_made_anew_may_differ_in_everything() {
    let steps: [&[(&str, &str)]; 3] =
        [&[("f.yaml", &channel("a", "{numPartitions: 3}"))], &[], &[("f.yaml", &channel("a", "{numPartitions: 5}"))]];
    let (_, problems, objects) = after(&steps);
    let Object::Channel(channel) = &objects[0].object else { panic!("no channel") };
    assert_eq!((channel.topic.partitions, problems.len()), (5, 0));
}

/// The file whose channel `a` is in force after the steps, and what the index says about the others.
fn winner(steps: &[&[(&str, &str)]]) -> (String, Vec<String>) {
    let index = crate::index::Index::build(after(steps).2, "knative-eventing");
    let file = index.channel("default", "a").expect("one is in force").source.file.clone();
    (file, index.problems.iter().map(ToString::to_string).collect())
}

#[test]
fn of_two_definitions_the_one_in_force_stays_whatever_the_files_are_called() {
    let (incumbent, newcomer) = (channel("a", "{numPartitions: 3}"), channel("a", "{numPartitions: 5}"));
    let refused = |file: &str, first: &str| {
        vec![format!("{file}:1: KafkaChannel default/a: is already defined at {first}:1; this one is ignored")]
    };
    let (both, swapped) =
        ([("a.yaml", &*newcomer), ("b.yaml", &*incumbent)], [("a.yaml", &*incumbent), ("b.yaml", &*newcomer)]);
    assert_eq!(winner(&[&both]), ("a.yaml".to_owned(), refused("b.yaml", "a.yaml")), "at first the order decides");
    let steps: [&[(&str, &str)]; 2] = [&[("b.yaml", &incumbent)], &both];
    assert_eq!(winner(&steps), ("b.yaml".to_owned(), refused("a.yaml", "b.yaml")));
    let steps: [&[(&str, &str)]; 2] = [&[("a.yaml", &incumbent)], &swapped];
    assert_eq!(winner(&steps), ("a.yaml".to_owned(), refused("b.yaml", "a.yaml")));
    // Once the incumbent's document is gone, the other one takes over.
    let steps: [&[(&str, &str)]; 3] = [&[("b.yaml", &incumbent)], &both, &[("a.yaml", &newcomer)]];
    assert_eq!(winner(&steps), ("a.yaml".to_owned(), Vec::new()));
}

#[test]
fn a_second_definition_does_not_slip_in_while_the_first_is_bad() {
    let (good, other) = (channel("a", "{}"), channel("a", "{delivery: {retry: 9}}"));
    for broken in [channel("a", "{numPartitions: -1}"), "kind: [\n".to_owned()] {
        let steps: [&[(&str, &str)]; 2] = [&[("b.yaml", &good)], &[("a.yaml", &other), ("b.yaml", &broken)]];
        let (file, problems) = winner(&steps);
        assert_eq!(file, "b.yaml", "{broken}");
        assert!(problems[0].starts_with("a.yaml:1: "), "{problems:?}");
    }
}
