//! Gets Kafka's libraries with Maven into a cache folder under `target/`.
//!
//! Must leave either a whole folder or none: it works in a folder of its own and renames it at the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folder with all libraries of this version, got now if it is not there.
///
/// # Errors
/// The reason in words, when Java or Maven is missing or Maven fails.
pub(super) fn libraries(version: &str) -> Result<PathBuf, String> {
    if !runs("java", "-version") {
        return Err("java is not installed".to_owned());
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/kafka").join(version);
    let libraries = folder.join("lib");
    if libraries.is_dir() {
        return Ok(libraries);
    }
    if !runs("mvn", "-version") {
        return Err("mvn (Maven) is not installed".to_owned());
    }
    eprintln!("getting Kafka {version} with Maven, once ...");
    fs::create_dir_all(&folder).map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    let work = tempfile::tempdir_in(&folder).map_err(|error| format!("no temporary folder: {error}"))?;
    copy_with_maven(version, work.path())?;
    // Another process may have been faster; its folder is as good.
    match fs::rename(work.path().join("lib"), &libraries) {
        Err(error) if !libraries.is_dir() => Err(format!("cannot rename to {}: {error}", libraries.display())),
        Ok(()) | Err(_) => Ok(libraries),
    }
}

fn copy_with_maven(version: &str, work: &Path) -> Result<(), String> {
    let project = work.join("pom.xml");
    fs::write(&project, project_file(version))
        .map_err(|error| format!("cannot write {}: {error}", project.display()))?;
    let mut maven = Command::new("mvn");
    maven.args(["-B", "-q", "-f"]).arg(&project).args(["dependency:copy-dependencies", "-DincludeScope=runtime"]);
    maven.arg(format!("-DoutputDirectory={}", work.join("lib").display())).stdin(Stdio::null());
    let output = maven.output().map_err(|error| format!("mvn does not start: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let shown = String::from_utf8_lossy(&output.stdout);
    Err(format!("mvn failed ({}): {}", output.status, shown.lines().take(20).collect::<Vec<_>>().join("\n")))
}

fn project_file(version: &str) -> String {
    // Kafka's artifacts name no log implementation; each line has its own interface.
    let log = if version.starts_with("3.") {
        dependency("org.slf4j", "slf4j-reload4j", "1.7.36")
    } else {
        dependency("org.apache.logging.log4j", "log4j-slf4j-impl", "2.24.3")
    };
    let server = dependency("org.apache.kafka", "kafka_2.13", version);
    let tools = dependency("org.apache.kafka", "kafka-tools", version);
    format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>millrace</groupId><artifactId>test-kafka</artifactId>\
         <version>1</version><packaging>pom</packaging><dependencies>{server}{tools}{log}</dependencies></project>\n"
    )
}

fn dependency(group: &str, artifact: &str, version: &str) -> String {
    format!(
        "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>"
    )
}

fn runs(program: &str, argument: &str) -> bool {
    let output = Command::new(program).arg(argument).stdin(Stdio::null()).output();
    output.is_ok_and(|output| output.status.success())
}
