//! The binary: flags, exit codes, signals.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::harness::{CHANNEL, Laptop};

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace-control"));
    for name in ["OBJECTS_DIR", "STATE_DIR", "KAFKA", "EMBEDDED_BROKER", "INGRESS_URL", "ADMIN_ADDRESS", "LOG"] {
        command.env_remove(format!("MILLRACE_{name}"));
    }
    command
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_start_without_what_is_needed_names_all_of_it_and_ends_with_1() {
    let output = command().args(["directory", "--embedded-broker", "nonsense"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    for name in ["--objects", "MILLRACE_STATE_DIR", "--ingress-url", "--embedded-broker: \"nonsense\""] {
        assert!(text.contains(name), "{name} is not in {text}");
    }
    let output = command()
        .args(["directory", "--objects", "/nowhere/at/all", "--state"])
        .arg(std::env::temp_dir().join("millrace-control-never-made"))
        .args(["--ingress-url", "http://127.0.0.1:1"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot read the objects folder /nowhere/at/all"));
}

#[test]
fn results_are_not_written_among_the_objects() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let output = command()
        .arg("directory")
        .args([std::ffi::OsStr::new("--objects"), path.as_os_str(), std::ffi::OsStr::new("--state"), path.as_os_str()])
        .args(["--ingress-url", "http://127.0.0.1:1"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(std::fs::read_dir(path).unwrap().count(), 0);
}

#[test]
fn help_shows_examples() {
    let output = command().args(["directory", "--help"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("Examples:") && text.contains("MILLRACE_INGRESS_URL"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_process_with_0_even_while_kafka_does_not_answer() {
    for name in ["TERM", "INT"] {
        let laptop = Laptop::new();
        laptop.write("objects.yaml", CHANNEL);
        let mut child = command()
            .env("MILLRACE_OBJECTS_DIR", laptop.state().parent().unwrap().join("objects"))
            .env("MILLRACE_STATE_DIR", laptop.state())
            .env("MILLRACE_INGRESS_URL", laptop.ingress_url())
            .env("MILLRACE_ADMIN_ADDRESS", "127.0.0.1:0")
            .args(["directory", "--kafka", "127.0.0.1:1"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = String::new();
        for line in lines {
            seen.push_str(&line.unwrap());
            if seen.contains("Control started") && seen.contains("Admin server listening") {
                break;
            }
        }
        assert!(seen.contains("Admin server listening"), "{seen}");
        laptop.wait(|status| status["channels"][0]["name"] == "orders").await;
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(0), "{name}");
    }
}
