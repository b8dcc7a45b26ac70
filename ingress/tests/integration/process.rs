//! The binary as a supervisor sees it: its log lines, its exit codes, its signals.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::harness::*;

pub(crate) struct Process {
    pub(crate) child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub(crate) seen: Vec<Value>,
}

pub(crate) fn spawn(harness: &Harness) -> Process {
    let mut child = Command::new(env!("CARGO_BIN_EXE_millrace-ingress"))
        .env_clear()
        .envs(&harness.env)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    Process { child, lines, seen: Vec::new() }
}

impl Process {
    /// The first line with this message, seen already or to come; every line must be JSON.
    pub(crate) async fn line(&mut self, message: &str) -> Value {
        if let Some(line) = self.seen.iter().find(|line| line["message"] == message) {
            return line.clone();
        }
        within(message, async {
            loop {
                let line = self.lines.next_line().await.unwrap().unwrap_or_else(|| panic!("no line says {message}"));
                let line: Value = serde_json::from_str(&line).unwrap();
                self.seen.push(line.clone());
                if line["message"] == message {
                    return line;
                }
            }
        })
        .await
    }

    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().await.unwrap().success());
    }

    async fn exit_code(&mut self) -> Option<i32> {
        within("an exit", self.child.wait()).await.unwrap().code()
    }
}

pub(crate) fn harness_with_target(broker: &Broker) -> Harness {
    let mut harness = Harness::new();
    harness.contract(&[resource("uid-1", "orders", &broker.bootstrap_servers(), json!({"path": "/ns/name"}))]);
    harness.env.insert("MILLRACE_LOG".to_owned(), "info,millrace_ingress=debug".to_owned());
    harness
}

#[tokio::test]
async fn the_log_tells_a_supervisor_the_ports_and_every_record() {
    let broker = Broker::with_topic("orders");
    let harness = harness_with_target(&broker);
    let mut process = spawn(&harness);
    let started = process.line("Receiver started").await;
    assert_eq!(
        (&started["level"], &started["level_value"], &started["@version"]),
        (&json!("INFO"), &json!(20000), &json!("1"))
    );
    let address = ([127, 0, 0, 1], u16::try_from(started["port"].as_u64().unwrap()).unwrap()).into();
    assert!(process.line("Admin server listening").await["address"].as_str().unwrap().starts_with("127.0.0.1:"));
    until_status(address, &request("/ns/name", &[("ce-id", "id-7")], "x"), 202).await;
    let produced = process.line("Record produced").await;
    assert_eq!(
        (&produced["event_id"], &produced["event_type"], &produced["path"], &produced["topic"], &produced["offset"]),
        (&json!("id-7"), &json!("test.type"), &json!("/ns/name"), &json!("orders"), &json!(0))
    );
    assert!(produced["partition"].is_i64() && produced["elapsed_ms"].is_f64(), "{produced}");
    process.signal("INT").await;
    process.line("Receiver stopped").await;
    assert_eq!(process.exit_code().await, Some(0));
}

#[tokio::test]
async fn sigterm_finishes_what_was_accepted_and_exits_0() {
    let broker = Broker::with_topic("orders");
    let harness = harness_with_target(&broker);
    let mut process = spawn(&harness);
    let port = process.line("Receiver started").await["port"].as_u64().unwrap();
    let address = ([127, 0, 0, 1], u16::try_from(port).unwrap()).into();
    until_status(address, &event("/ns/name"), 202).await;
    broker.0.broker_round_trip_time(1, Duration::from_secs(1)).unwrap();
    let mut client = Client::connect(address).await;
    // Answered requests before it show that the connection was accepted.
    assert_eq!(client.ask(event("/unknown")).await.status, 404);
    client.write(event("/ns/name")).await;
    process.signal("TERM").await;
    process.line("Running shutdown hook").await;
    assert_eq!(client.answer().await.status, 202);
    assert_eq!(process.exit_code().await, Some(0));
    broker.0.broker_round_trip_time(1, Duration::ZERO).unwrap();
    assert_eq!(broker.read("orders", 2).len(), 2);
}

#[tokio::test]
async fn a_bad_log_format_hides_no_other_problem() {
    let mut harness = Harness::new();
    harness.env.insert("MILLRACE_LOG_FORMAT".to_owned(), "xml".to_owned());
    harness.env.remove("INGRESS_PORT");
    harness.write("config/producer.properties", "linger.ms=soon\n");
    let mut process = spawn(&harness);
    assert_eq!(process.exit_code().await, Some(1));
    let mut said = String::new();
    process.child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
    for word in ["MILLRACE_LOG_FORMAT", "INGRESS_PORT", "linger.ms"] {
        assert_eq!(said.matches(word).count(), 1, "{word} in {said}");
    }
}

#[tokio::test]
async fn a_switch_of_the_peers_that_changes_nothing_is_named_at_start() {
    let mut harness = Harness::new();
    harness.env.insert("METRICS_PUBLISH_QUANTILES".to_owned(), "true".to_owned());
    let line = spawn(&harness).line("Variable without effect").await;
    assert_eq!((line["level"].as_str(), line["variable"].as_str()), (Some("WARN"), Some("METRICS_PUBLISH_QUANTILES")));
}

#[tokio::test]
async fn a_missing_contract_is_a_warning_once_and_not_a_refusal() {
    let harness = Harness::new();
    let mut process = spawn(&harness);
    let path = harness.path("contract/data");
    let line = process.line(&format!("No contract yet: {} does not exist", path.display())).await;
    assert_eq!(line["level"], "WARN");
    harness.write("contract/data", "{");
    let refused = process.line("Contract refused, failed to parse from JSON: there is none").await;
    assert_eq!(refused["level"], "ERROR");
    let warned = process.seen.iter().filter(|line| line["message"].as_str().unwrap().starts_with("No contract yet"));
    assert_eq!(warned.count(), 1);
    harness.write("contract/data", r#"{"generation":"1"}"#);
    process.line("Reconciled contract generation").await;
    harness.write("contract/data", "{");
    process.line("Contract refused, failed to parse from JSON: the previous one stays in force").await;
    std::fs::remove_file(path).unwrap();
    let gone = process.line("Error reading the contract file, retrying... the previous one stays in force").await;
    assert_eq!(gone["level"], "WARN");
}

/// What the binary does with arguments and no environment: its exit code, standard output, standard error.
async fn with_arguments(arguments: &[&str]) -> (Option<i32>, String, String) {
    let program = env!("CARGO_BIN_EXE_millrace-ingress");
    let output = within("an exit", Command::new(program).env_clear().args(arguments).output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn the_binary_explains_itself_and_refuses_arguments_it_does_not_know() {
    let (code, said, _) = with_arguments(&["--help"]).await;
    assert_eq!(code, Some(0));
    for word in ["Usage: millrace-ingress", "INGRESS_PORT", "DATA_PLANE_CONFIG_FILE_PATH", "PRODUCER_CONFIG_FILE_PATH="]
    {
        assert!(said.contains(word), "{word} in {said}");
    }
    let (code, said, _) = with_arguments(&["--version"]).await;
    assert_eq!(code, Some(0));
    assert!(said.starts_with(&format!("millrace-ingress {} (", env!("CARGO_PKG_VERSION"))), "{said}");
    let (code, said, complaint) = with_arguments(&["--port", "80"]).await;
    assert_eq!((code, said.as_str()), (Some(2), ""));
    assert!(complaint.contains("--port") && complaint.contains("--help"), "{complaint}");
}

#[tokio::test]
async fn a_process_that_cannot_start_names_every_problem_and_exits_1() {
    let mut harness = Harness::new();
    harness.env.remove("INGRESS_PORT");
    harness.env.remove("DATA_PLANE_CONFIG_FILE_PATH");
    let mut process = spawn(&harness);
    assert_eq!(process.exit_code().await, Some(1));
    let mut said = String::new();
    process.child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
    assert!(said.contains("INGRESS_PORT") && said.contains("DATA_PLANE_CONFIG_FILE_PATH"), "{said}");
    let logged = process.line("Cannot start").await;
    assert_eq!(logged["level"], "ERROR");
}
