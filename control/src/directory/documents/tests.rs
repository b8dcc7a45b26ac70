//! Tests of reading documents: lines, neighbours of bad documents, lists.

use super::*;

fn scan(text: &str) -> Scan {
    let mut scan = Scan::default();
    scan.add_text("a.yaml", text);
    scan
}

fn names(scan: &Scan) -> Vec<String> {
    scan.objects.iter().map(|sourced| sourced.object.identity().to_string()).collect()
}

fn problems(scan: &Scan) -> Vec<String> {
    scan.problems.iter().map(ToString::to_string).collect()
}

const GOOD: &str = "apiVersion: messaging.knative.dev/v1\nkind: KafkaChannel\nmetadata:\n  name: good\n";

#[test]
fn a_bad_field_is_reported_with_file_line_object_and_field() {
    let text = format!(
        "# first\n{GOOD}---\n# a comment\napiVersion: messaging.knative.dev/v1\nkind: KafkaChannel\nmetadata:\n  namespace: shop\n  name: bad\nspec:\n  replicationFactor: 1\n  numPartitions: -3\n"
    );
    let scan = scan(&text);
    assert_eq!(names(&scan), ["KafkaChannel default/good"]);
    assert_eq!(scan.objects[0].source.line, 2);
    assert_eq!(scan.bad[0].identity.as_ref().unwrap().to_string(), "KafkaChannel shop/bad");
    assert_eq!(
        problems(&scan),
        ["a.yaml:15: KafkaChannel shop/bad: spec.numPartitions: must be between 1 and 100000, found -3"]
    );
}

#[test]
fn a_value_of_a_wrong_type_is_reported_at_its_line() {
    let text = format!("{GOOD}spec:\n  delivery:\n    retry: many\n");
    let scan = scan(&text);
    assert_eq!(scan.problems[0].line, Some(7));
    assert_eq!(scan.problems[0].field.as_deref(), Some("spec.delivery.retry"));
    assert!(scan.problems[0].message.contains("many"), "{:?}", scan.problems);
}

#[test]
fn broken_yaml_hurts_only_its_own_document_and_says_where_it_is() {
    let text = format!(
        "{GOOD}---\nkind: KafkaChannel\nmetadata:\n  name: bad\nspec: [1, 2\n  x: :\n---\n{}",
        GOOD.replace("good", "other")
    );
    let scan = scan(&text);
    assert_eq!(names(&scan), ["KafkaChannel default/good", "KafkaChannel default/other"]);
    assert_eq!(scan.bad, [Bad { file: "a.yaml".to_owned(), identity: None }]);
    let problem = &scan.problems[0];
    assert!((9..=11).contains(&problem.line.unwrap()), "{problem:?}");
    assert_eq!(problem.object.as_deref(), Some("KafkaChannel default/bad"));
    assert!(problem.message.starts_with("not readable as YAML: "), "{problem:?}");
    assert!(!problem.message.contains("line"), "a line of the piece would mislead: {problem:?}");
}

#[test]
fn a_duplicate_key_is_broken_yaml() {
    let scan = scan(&format!("{GOOD}kind: Other\n"));
    assert!(scan.objects.is_empty());
    assert_eq!(scan.problems[0].line, Some(5), "{:?}", scan.problems);
}

#[test]
fn unknown_fields_are_reported_and_the_object_is_taken() {
    let scan = scan(&format!("{GOOD}spec:\n  numPartitions: 2\n  replicas: 3\n"));
    assert_eq!(names(&scan), ["KafkaChannel default/good"]);
    assert_eq!(problems(&scan), ["a.yaml:7: KafkaChannel default/good: spec.replicas: unknown field, ignored"]);
}

#[test]
fn unknown_kinds_are_reported_once_a_kind() {
    let text = "apiVersion: apps/v1\nkind: Deployment\n---\napiVersion: apps/v1\nkind: Deployment\n---\napiVersion: v1\nkind: Service\n";
    let scan = scan(text);
    assert!(scan.objects.is_empty() && scan.bad.is_empty() && scan.problems.is_empty());
    let foreign: Vec<String> = scan.foreign_problems().map(|problem| problem.to_string()).collect();
    assert_eq!(
        foreign,
        [
            "a.yaml:1: kind: Deployment (apps/v1) is not handled here; 2 documents are ignored",
            "a.yaml:7: kind: Service (v1) is not handled here; 1 document is ignored"
        ]
    );
}

#[test]
fn empty_documents_comments_and_directives_are_no_objects() {
    for text in ["", "\n", "---\n", "# only a comment\n", "---\n---\n# x\n...\n", "%YAML 1.2\n---\n", "\u{feff}"] {
        assert_eq!(scan(text), Scan::default(), "{text:?}");
    }
    let scan = scan(&format!("\u{feff}%YAML 1.2\n--- # the channel\r\n{}...\n", GOOD.replace('\n', "\r\n")));
    assert_eq!(names(&scan), ["KafkaChannel default/good"]);
    assert_eq!(scan.objects[0].source.line, 3);
}

#[test]
fn a_document_that_is_no_object_is_reported() {
    for text in ["just text\n", "- a\n- b\n", "42\n", "{}\n", "kind: KafkaChannel\n"] {
        let scan = scan(text);
        assert_eq!(scan.bad.len(), 1, "{text:?}");
        assert!(!scan.problems.is_empty(), "{text:?}");
    }
}

#[test]
fn a_list_as_kubectl_prints_it_holds_objects_with_their_own_lines() {
    let scan = scan(
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: messaging.knative.dev/v1\n  kind: KafkaChannel\n  metadata:\n    name: one\n- apiVersion: messaging.knative.dev/v1\n  kind: KafkaChannel\n  metadata:\n    name: two\n  spec:\n    numPartitions: x\n",
    );
    assert_eq!(names(&scan), ["KafkaChannel default/one"]);
    assert_eq!(scan.objects[0].source.line, 4);
    assert_eq!(
        (scan.problems[0].line, scan.problems[0].object.as_deref()),
        (Some(13), Some("KafkaChannel default/two"))
    );
}

#[test]
fn json_is_read_as_well() {
    let scan = scan(
        "{\n\t\"apiVersion\": \"messaging.knative.dev/v1\",\n\t\"kind\": \"KafkaChannel\",\n\t\"metadata\": {\"name\": \"j\"}\n}\n",
    );
    assert_eq!(names(&scan), ["KafkaChannel default/j"], "{:?}", problems(&scan));
}

#[test]
fn properties_inside_a_config_map_keep_their_bytes() {
    let scan = scan(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\ndata:\n  a.properties: |\n    x=1\n    # ---\n    y=2\n  b: \"on\"\n",
    );
    let crate::api::Object::ConfigMap(map) = &scan.objects[0].object else { panic!("no map") };
    assert_eq!(map.text("a.properties"), Some("x=1\n# ---\ny=2\n"));
    assert_eq!(map.text("b"), Some("on"));
    assert_eq!(scan.objects[0].source.line_of("data.a.properties"), 6);
}
