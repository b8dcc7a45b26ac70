//! h2spec, somebody else's suite for HTTP/2, against the data port in clear and with TLS.
//!
//! Installed under `target/` by the test itself with Go's tools; where that cannot be done the test says so and is
//! skipped, and with `CI=true` that is a failure. Source: proof, section 3.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::foreign::{run, skip};
use super::harness::*;
use super::tls;

/// The one case that need not hold: the port speaks HTTP/1.1 too, and answers 400 in it before it closes.
const OTHER_PROTOCOL: &str = "Sends invalid connection preface";
/// What came instead of what a case waits for: the whole answer, one byte of status and the end of the stream. Ingress
/// answers before the frames that are to disturb the stream are there, or where the case waits for a body; then the case
/// has shown nothing, for or against.
const ANSWERED: &str = "HEADERS Frame (length:1, flags:0x05";

/// The program, installed now if it is not there.
async fn program() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/foreign/h2spec");
    let program = folder.join("h2spec");
    if !program.exists() {
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let folder = folder.canonicalize().map_err(|error| error.to_string())?;
        let mut install = Command::new("go");
        install.args(["install", "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"]).env("GOBIN", folder);
        run(&mut install).await?;
    }
    Ok(program)
}

/// Runs all cases, and names those that failed and are not known.
async fn check(program: &Path, port: u16, arguments: &[&str]) {
    let mut suite = Command::new(program);
    suite.args(["-h", "127.0.0.1", "-P", "/healthz", "-o", "2", "-p"]).arg(port.to_string()).args(arguments);
    let output = within("the end of h2spec", suite.kill_on_drop(true).output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("145 tests") || said.contains("146 tests"), "{said}");
    let reports: Vec<&str> = said.split("× ").skip(1).collect();
    let unknown: Vec<_> = reports
        .iter()
        .map(|report| (report.lines().next().unwrap_or_default(), actual(report)))
        .filter(|(case, actual)| !case.contains(OTHER_PROTOCOL) && !actual.starts_with(ANSWERED))
        .collect();
    assert!(unknown.is_empty(), "{unknown:#?}\n{said}");
}

/// What a failed case got.
fn actual(report: &str) -> &str {
    report.split_once("Actual: ").and_then(|(_, rest)| rest.lines().next()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h2spec_finds_nothing_that_is_not_known() {
    let program = match program().await {
        Ok(program) => program,
        Err(reason) => return skip("h2spec", &reason),
    };
    let (broker, pair) = (Broker::with_topic("orders"), tls::pair());
    let harness = tls::harness_with(&broker, Some(&pair));
    harness.write("config/httpserver.properties", "host=127.0.0.1\nuseAlpn=true\n");
    let running = harness.ready().await;
    check(&program, running.address().port(), &[]).await;
    check(&program, running.tls_address().unwrap().port(), &["-t", "-k"]).await;
}
