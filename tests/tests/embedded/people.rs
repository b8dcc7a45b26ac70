//! The command that a person runs: `millrace`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use millrace_tests::directory::{channel_yaml, subscription_yaml};
use millrace_tests::folder::replace;
use millrace_tests::process::{Line, Process, Program};
use millrace_tests::subscriber::Subscriber;

const LIMIT: Duration = Duration::from_secs(60);

fn says(line: &Line, words: &[&str]) -> bool {
    line.as_str().is_some_and(|text| words.iter().all(|word| text.contains(word)))
}

/// Starts `millrace dev` on a folder and gives the URL of its channel `orders`.
fn start_dev(folder: &Path) -> (Process, String) {
    let mut dev = Program::named("millrace").arg("dev").arg(folder).arg("--port").arg("0").start();
    let line = dev.wait_for_log("the channel's URL", LIMIT, |line| says(line, &["ready", "shop/orders", "http://"]));
    let url = line.as_str().unwrap().split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
    (dev, url)
}

#[test]
fn the_demo_with_a_count_ends_by_itself_and_shows_each_journey() {
    let (status, output) = Program::named("millrace").arg("demo").arg("--count").arg("3").run_to_end(LIMIT);
    assert_eq!(status.code(), Some(0), "{output}");
    for word in ["202", "accepted", "stored", "retry", "delivered", "dead letter"] {
        assert!(output.contains(word), "{word:?} is not in:\n{output}");
    }
    assert!(!output.contains('\u{1b}'), "no colours outside a terminal:\n{output}");
}

#[test]
fn the_demo_without_a_count_runs_until_it_is_interrupted() {
    let mut demo = Program::named("millrace").arg("demo").start();
    demo.wait_for_log("a curl line to try", LIMIT, |line| says(line, &["curl "]));
    demo.interrupt();
    let status = demo.wait_for_exit(LIMIT);
    assert_eq!(status.code(), Some(0), "{}", demo.output());
}

#[test]
fn dev_runs_a_person_s_own_objects_and_follows_their_edits() {
    let subscriber = Subscriber::accepting();
    let folder = tempfile::tempdir().unwrap();
    replace(&folder.path().join("channel.yaml"), channel_yaml("orders").as_bytes());
    replace(
        &folder.path().join("one.yaml"),
        subscription_yaml("one", "orders", &subscriber.url("/one"), "").as_bytes(),
    );
    let (mut dev, url) = start_dev(folder.path());
    dev.wait_for_log("subscription one ready", LIMIT, |line| says(line, &["ready", "shop/one"]));
    let send = |words: &[&str]| {
        let program = Program::named("millrace").arg("send").arg(&url);
        words.iter().fold(program, |program, word| program.arg(word)).run_to_end(LIMIT)
    };
    let (status, output) = send(&["--id", "a", "--type", "order.placed", "--data", "{\"n\":1}"]);
    assert_eq!(status.code(), Some(0), "{output}");
    let (status, output) = send(&["--id", "b", "--structured", "--data", "{\"n\":2}", "--extension", "myext=x"]);
    assert_eq!(status.code(), Some(0), "{output}");
    let arrivals = subscriber.wait_for_arrivals("/one", 2, LIMIT);
    let of = |id: &str| arrivals.iter().find(|arrival| arrival.id == id).unwrap();
    assert_eq!((of("a").header("ce-type"), &of("a").body[..]), (Some("order.placed"), &b"{\"n\":1}"[..]));
    assert_eq!((of("b").header("ce-myext"), &of("b").body[..]), (Some("x"), &b"{\"n\":2}"[..]));

    replace(&folder.path().join("bad.yaml"), b"kind: [unclosed\n");
    dev.wait_for_log("the bad file named", LIMIT, |line| says(line, &["bad.yaml"]));
    replace(
        &folder.path().join("two.yaml"),
        subscription_yaml("two", "orders", &subscriber.url("/two"), "").as_bytes(),
    );
    dev.wait_for_log("subscription two ready", LIMIT, |line| says(line, &["ready", "shop/two"]));
    dev.wait_for_log("the new contract", LIMIT, |line| says(line, &["contract", "in force", "generation"]));
    fs::remove_file(folder.path().join("bad.yaml")).unwrap();
    dev.wait_for_log("the bad file solved", LIMIT, |line| says(line, &["problem", "solved", "bad.yaml"]));
    fs::remove_file(folder.path().join("one.yaml")).unwrap();
    dev.wait_for_log("subscription one to be gone", LIMIT, |line| says(line, &["gone", "shop/one"]));
    assert_eq!(send(&["--id", "c"]).0.code(), Some(0));
    subscriber.wait_for_arrivals("/two", 1, LIMIT);
    assert_eq!(subscriber.count_on("/one"), 2);

    let nowhere = url.replace("/orders", "/none");
    assert_eq!(Program::named("millrace").arg("send").arg(&nowhere).run_to_end(LIMIT).0.code(), Some(1));
    dev.wait_for_log("the refused request", LIMIT, |line| says(line, &["refused", "404", "/shop/none"]));
    dev.terminate();
    assert_eq!(dev.wait_for_exit(LIMIT).code(), Some(0), "{}", dev.output());
    let output = dev.output();
    assert!(says_in(&output, &["accepted", "202", "stored in", "partition"]), "{output}");
}

fn says_in(output: &str, words: &[&str]) -> bool {
    output.lines().any(|line| words.iter().all(|word| line.contains(word)))
}

#[test]
fn dev_on_an_empty_folder_says_what_to_do_and_takes_the_first_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Program::named("millrace").arg("dev").arg(folder.path()).arg("--port").arg("0").start();
    dev.wait_for_log("a hint", LIMIT, |line| says(line, &["no KafkaChannel in", "add a YAML file"]));
    replace(&folder.path().join("channel.yaml"), channel_yaml("orders").as_bytes());
    dev.wait_for_log("the channel ready", LIMIT, |line| says(line, &["ready", "shop/orders"]));
    dev.terminate();
    assert_eq!(dev.wait_for_exit(LIMIT).code(), Some(0), "{}", dev.output());
}

#[test]
fn an_unknown_property_is_told_once_where_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let tuning = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: config-kafka-channel-data-plane\ndata:\n  \
                  config-kafka-channel-producer.properties: |\n    linger.mss=7\n";
    replace(&folder.path().join("channel.yaml"), channel_yaml("orders").as_bytes());
    replace(&folder.path().join("tuning.yaml"), tuning.as_bytes());
    let (mut dev, _) = start_dev(folder.path());
    dev.wait_for_log("the property", LIMIT, |line| says(line, &["tuning.yaml:6", "linger.mss"]));
    dev.terminate();
    dev.wait_for_exit(LIMIT);
    let output = dev.output();
    assert_eq!(output.matches("linger.mss").count(), 1, "{output}");
}

#[test]
fn a_state_folder_among_the_objects_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    for state in [folder.path().to_owned(), folder.path().join("state")] {
        let dev = Program::named("millrace").arg("dev").arg(folder.path()).arg("--port").arg("0");
        let (status, output) = dev.arg("--state").arg(&state).run_to_end(LIMIT);
        assert_eq!(status.code(), Some(1), "{output}");
        assert!(output.contains("--state"), "{output}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn control_without_arguments_is_for_a_cluster() {
    let program = Program::named("millrace-control").env("KUBECONFIG", "/nowhere/kubeconfig");
    let (status, output) = program.run_to_end(LIMIT);
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(output.contains("cannot find a cluster"), "{output}");
}

#[test]
fn wrong_arguments_end_with_2_and_say_what_would_be_right() {
    for (words, hint) in [
        (&["dev", "/", "--kafka", "localhost"][..], "HOST:PORT"),
        (&["send", "127.0.0.1:9100/x"], "http://127.0.0.1:9100/x"),
        (&["send", "ftp://127.0.0.1/x"], "http://"),
        (&["send", "http://127.0.0.1:9/x", "--type", ""], "must not be empty"),
    ] {
        let program = words.iter().fold(Program::named("millrace"), |program, word| program.arg(word));
        let (status, output) = program.run_to_end(LIMIT);
        assert_eq!(status.code(), Some(2), "{words:?}: {output}");
        assert!(output.contains(hint), "{words:?}: {output}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let (status, output) = Program::named("millrace").arg("dev").arg("/no/such/folder").run_to_end(LIMIT);
    assert_ne!(status.code(), Some(0));
    assert!(output.contains("/no/such/folder"), "{output}");
}

#[test]
fn what_is_sent_to_nobody_fails_with_the_reason() {
    // Nobody listens on the discard port.
    let (status, output) = Program::named("millrace").arg("send").arg("http://127.0.0.1:9/x").run_to_end(LIMIT);
    assert_ne!(status.code(), Some(0), "{output}");
    assert!(output.contains("127.0.0.1:9"), "{output}");
}

#[test]
fn display_prints_what_it_receives() {
    let mut display = Program::named("millrace").arg("display").arg("--port").arg("0").start();
    let line = display.wait_for_log("its URL", LIMIT, |line| says(line, &["http://127.0.0.1:"]));
    let url = line.as_str().unwrap().split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
    let send =
        Program::named("millrace").arg("send").arg(url).arg("--id").arg("shown-1").arg("--data").arg("{\"n\":1}");
    let (status, output) = send.run_to_end(LIMIT);
    assert_eq!(status.code(), Some(0), "{output}");
    display.wait_for_log("the event", LIMIT, |line| says(line, &["shown-1"]));
    display.interrupt();
    assert_eq!(display.wait_for_exit(LIMIT).code(), Some(0), "{}", display.output());
}

#[test]
fn every_command_has_help_with_an_example() {
    // Each with what only its own example holds: the channel of deploy/examples/hello, or a variable of the role.
    for (command, own) in [
        ("demo", "--count 10"),
        ("dev", "/default/orders"),
        ("send", "/default/orders"),
        ("display", "--port 9001"),
        ("ingress", "INGRESS_PORT=8080"),
        ("dispatcher", "CONSUMER_CONFIG_FILE_PATH="),
        ("control", "--objects ./objects"),
    ] {
        let (status, output) = Program::named("millrace").arg(command).arg("--help").run_to_end(LIMIT);
        assert_eq!(status.code(), Some(0), "{command}: {output}");
        assert!(output.contains("Usage"), "{command}: {output}");
        let examples = output.split_once("Examples").map(|(_, examples)| examples);
        let examples = examples.unwrap_or_else(|| panic!("{command} has no examples: {output}"));
        assert!(examples.contains(&format!("millrace {command}")), "{command}: {output}");
        assert!(examples.contains(own), "{command} does not show {own:?}: {output}");
    }
    let (_, output) = Program::named("millrace").arg("--help").run_to_end(LIMIT);
    assert!(output.contains("http://127.0.0.1:8080/default/orders"), "{output}");
}

#[test]
fn an_unknown_command_says_what_to_do() {
    let (status, output) = Program::named("millrace").arg("dmo").run_to_end(LIMIT);
    assert_eq!(status.code(), Some(2), "{output}");
    assert!(output.contains("demo") && output.contains("--help"), "{output}");
}

#[test]
fn validate_names_file_line_and_field_and_its_status_says_whether_all_is_well() {
    let validate = |path: &Path| Program::named("millrace").arg("validate").arg(path).run_to_end(LIMIT);
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    for folder in ["config", "examples", "overlays"] {
        let (status, output) = validate(&shipped.join(folder));
        assert_eq!(status.code(), Some(0), "{output}");
    }
    let folder = tempfile::tempdir().unwrap();
    let channel = folder.path().join("channel.yaml");
    replace(&channel, format!("{}  delivery:\n    retry: -1\n", channel_yaml("orders")).as_bytes());
    let (status, output) = validate(folder.path());
    assert_eq!(status.code(), Some(1), "{output}");
    let wanted = "channel.yaml:10: error: KafkaChannel shop/orders: spec.delivery.retry: must be 0 or more";
    assert!(output.contains(wanted), "{output}");
}
