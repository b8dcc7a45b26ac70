//! Every target for a moment: the examples, and some thousand mutations from a fixed seed.

use millrace_fuzz::driver::{self, Limit};
use millrace_fuzz::targets;

/// A few seconds in a debug build.
const INPUTS: u64 = 8_000;

#[track_caller]
fn check(name: &str) {
    let target = targets::ALL.iter().find(|target| target.name == name).expect("the test names a target");
    match driver::run(target, 1, Limit::Inputs(INPUTS)) {
        Ok(report) => assert!(report.outcomes > 3, "the examples lead nowhere: {report:?}"),
        Err(crash) => panic!("{name}: {}\ninput: {}", crash.message, crash.input.escape_ascii()),
    }
}

#[test]
fn requests_do_not_break_the_http_binding() {
    check("http-request");
}

#[test]
fn structured_events_do_not_break_the_json_format() {
    check("structured");
}

#[test]
fn batches_do_not_break_the_json_format() {
    check("batch");
}

#[test]
fn expressions_do_not_break_cesql() {
    check("cesql");
}

#[test]
fn contracts_do_not_break_their_reader() {
    check("contract");
}

#[test]
fn properties_do_not_break_their_reader() {
    check("properties");
}

#[test]
fn tokens_do_not_break_their_reader_and_none_passes() {
    check("token");
}

#[test]
fn policies_admit_together_what_one_of_them_admits() {
    check("policy");
}

#[test]
fn every_target_has_a_test_here() {
    let names: Vec<&str> = targets::ALL.iter().map(|target| target.name).collect();
    assert_eq!(names, ["http-request", "structured", "batch", "cesql", "contract", "properties", "token", "policy"]);
}
