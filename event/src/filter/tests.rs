//! What passes and what does not.

use std::collections::BTreeMap;

use millrace_config::contract::FilterSpec;

use super::{FilterError, compile};
use crate::{Event, SpecVersion};

fn event() -> Event<'static> {
    let mut event = Event::new("123-abc", "/cloudevents/spec/pull", "com.github.pull.create").unwrap();
    event.subject = Some("sbj".into());
    event.time = Some("1985-04-12T19:20:50-04:00".into());
    event.data_schema = Some("/schema".into());
    event.data_content_type = Some("text/plain".into());
    event.extensions.set("text", "value").unwrap();
    event.extensions.set("yes", true).unwrap();
    event.extensions.set("number", -17).unwrap();
    event.extensions.set("knativekafkaoffset", 5_000_000_000_i64).unwrap();
    event
}

fn entries(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn exact(pairs: &[(&str, &str)]) -> FilterSpec {
    FilterSpec::Exact(entries(pairs))
}

fn prefix(name: &str, value: &str) -> FilterSpec {
    FilterSpec::Prefix(entries(&[(name, value)]))
}

fn suffix(name: &str, value: &str) -> FilterSpec {
    FilterSpec::Suffix(entries(&[(name, value)]))
}

#[track_caller]
fn check(filters: &[FilterSpec], event: &Event<'_>, expected: bool) {
    assert_eq!(compile(filters).unwrap().matches(event), expected, "{filters:?}");
}

const TEXTS: [(&str, &str); 13] = [
    ("specversion", "1.0"),
    ("id", "123-abc"),
    ("source", "/cloudevents/spec/pull"),
    ("type", "com.github.pull.create"),
    ("subject", "sbj"),
    ("datacontenttype", "text/plain"),
    ("dataschema", "/schema"),
    ("schemaurl", "/schema"),
    ("time", "1985-04-12T23:20:50Z"),
    ("text", "value"),
    ("yes", "true"),
    ("number", "-17"),
    ("knativekafkaoffset", "5000000000"),
];

#[test]
fn every_attribute_and_every_kind_of_extension_can_be_compared() {
    check(&[exact(&TEXTS)], &event(), true);
    for (name, text) in TEXTS {
        check(&[exact(&[(name, text)])], &event(), true);
        check(&[exact(&[(name, &format!("{text} "))])], &event(), false);
        check(&[prefix(name, text.get(..2).unwrap()), suffix(name, text.get(1..).unwrap())], &event(), true);
        check(&[prefix(name, text.get(1..).unwrap())], &event(), false);
        check(&[suffix(name, text.get(..2).unwrap())], &event(), false);
    }
}

#[test]
fn all_entries_of_one_filter_must_match() {
    check(&[exact(&[("id", "123-abc"), ("type", "other")])], &event(), false);
    check(&[FilterSpec::Prefix(entries(&[("id", "123"), ("type", "com.")]))], &event(), true);
}

#[test]
fn comparisons_are_case_sensitive_in_names_and_values() {
    check(&[exact(&[("subject", "SBJ")])], &event(), false);
    check(&[exact(&[("Subject", "sbj")])], &event(), false);
}

#[test]
fn a_fraction_of_a_second_is_compared_in_groups_of_three_digits() {
    let event = Event { time: Some("2020-01-01T00:00:00.1Z".into()), ..event() };
    check(&[exact(&[("time", "2020-01-01T00:00:00.100Z")])], &event, true);
    check(&[exact(&[("time", "2020-01-01T00:00:00.1Z")])], &event, false);
}

#[test]
fn an_empty_expectation_matches_anything_even_nothing() {
    check(&[exact(&[("subject", ""), ("missing", ""), ("id", "123-abc")])], &event(), true);
    check(&[prefix("missing", ""), suffix("missing", "")], &event(), true);
    check(&[exact(&[])], &event(), true);
}

#[test]
fn an_absent_attribute_matches_nothing_and_its_negation_matches() {
    let bare = Event::new("1", "/s", "t").unwrap();
    for name in ["subject", "datacontenttype", "dataschema", "schemaurl", "time", "datacontentencoding", "missing"] {
        for filter in [exact(&[(name, "x")]), prefix(name, "x"), suffix(name, "x")] {
            check(std::slice::from_ref(&filter), &bare, false);
            check(&[FilterSpec::Not(Box::new(filter))], &bare, true);
        }
    }
}

#[test]
fn filters_combine() {
    let (yes, no) = (|| exact(&[("id", "123-abc")]), || exact(&[("id", "other")]));
    for (filters, expected) in [
        (vec![], true),
        (vec![yes()], true),
        (vec![yes(), yes()], true),
        (vec![yes(), no()], false),
        (vec![FilterSpec::All(vec![])], true),
        (vec![FilterSpec::All(vec![yes(), no()])], false),
        (vec![FilterSpec::All(vec![yes(), yes()])], true),
        (vec![FilterSpec::Any(vec![])], false),
        (vec![FilterSpec::Any(vec![no(), yes()])], true),
        (vec![FilterSpec::Any(vec![no(), no()])], false),
        (vec![FilterSpec::Not(Box::new(yes()))], false),
        (vec![FilterSpec::Not(Box::new(FilterSpec::Not(Box::new(yes()))))], true),
        (vec![FilterSpec::Pass], true),
        (vec![FilterSpec::Not(Box::new(FilterSpec::Pass))], false),
        (vec![FilterSpec::All(vec![FilterSpec::Any(vec![no(), FilterSpec::Pass]), yes()])], true),
    ] {
        check(&filters, &event(), expected);
    }
}

#[test]
fn both_names_of_the_schema_work_in_both_versions() {
    let event = Event { spec_version: SpecVersion::V03, ..event() };
    check(&[exact(&[("dataschema", "/schema"), ("schemaurl", "/schema"), ("specversion", "0.3")])], &event, true);
}

#[test]
fn cesql_is_one_dialect_among_the_others() {
    let sql = |text: &str| FilterSpec::CeSql(text.into());
    for (filters, expected) in [
        (vec![sql("id LIKE '123%'")], true),
        (vec![sql("id = '1'")], false),
        (vec![sql("number = -17"), exact(&[("id", "123-abc")])], true),
        (vec![FilterSpec::Not(Box::new(sql("id = '1'")))], true),
        (vec![FilterSpec::Not(Box::new(sql("missing = '1'")))], true),
        (vec![FilterSpec::Any(vec![sql("missing = 1"), sql("yes")])], true),
    ] {
        check(&filters, &event(), expected);
    }
}

#[test]
fn an_expression_that_cannot_be_parsed_is_named_at_any_depth_with_the_place() {
    let sql = FilterSpec::CeSql("id = '1' AND".into());
    for filters in [
        std::slice::from_ref(&sql),
        &[FilterSpec::Pass, FilterSpec::Not(Box::new(FilterSpec::Any(vec![FilterSpec::Pass, sql.clone()])))],
    ] {
        let error = compile(filters).unwrap_err();
        assert!(matches!(error, FilterError::CeSql { .. }));
        assert_eq!(
            error.to_string(),
            "CESQL expression \"id = '1' AND\": at character 13: expected an attribute, a value, a function or (, \
             but the expression ends"
        );
    }
}
