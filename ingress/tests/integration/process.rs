//! The binary as a supervisor sees it: its log lines, its exit codes, its signals.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::harness::*;

struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    seen: Vec<Value>,
}

fn spawn(harness: &Harness) -> Process {
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
    async fn line(&mut self, message: &str) -> Value {
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

    async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().await.unwrap().success());
    }

    async fn exit_code(&mut self) -> Option<i32> {
        within("an exit", self.child.wait()).await.unwrap().code()
    }
}

fn harness_with_target(broker: &Broker) -> Harness {
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
