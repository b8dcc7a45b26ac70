//! `millrace validate FILES`: what is wrong with objects and tuning before they are applied.
//!
//! Only finds the files and prints; `millrace_control::validate` judges. Talks to no cluster.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use clap::{Args, ValueEnum};
use millrace_control::validate::{self, Report, Severity, Text};

use crate::console::{Console, one_line};

const EXAMPLES: &str = "\
Examples:
  millrace validate deploy/examples/hello        a folder, with everything below it
  millrace validate channel.yaml tuning.yaml     files that belong together
  kubectl get kc,cm -A -o yaml | millrace validate -
  millrace validate --format json . | jq '.findings[]'

Looks at KafkaChannels, Subscriptions, the ConfigMaps that Millrace reads, properties files and contracts. \
The exit status is 0 without an error, 1 with one.";

/// As large as an object of an API server can never be.
const LARGEST_FILE: u64 = 8 * 1024 * 1024;
/// More files than this are most likely not what was meant.
const MOST_FILES: usize = 10_000;

/// Checks files of objects and tuning, without a cluster
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ValidateArgs {
    /// Files, or folders with *.yaml, *.yml, *.json and *.properties; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How to print what is found
    #[arg(long, default_value = "text")]
    format: Format,
    /// Namespace in which ConfigMaps count
    #[arg(long, default_value = "knative-eventing")]
    system_namespace: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line a finding: file:line: severity: object: field: message
    Text,
    /// One object for all of it
    Json,
}

/// Why nothing could be judged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ValidateError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is larger than 8 MiB")]
    TooLarge { path: PathBuf },
    #[error("{path} is not UTF-8")]
    NotText { path: PathBuf },
    #[error("more than {MOST_FILES} files")]
    TooMany,
    #[error("no file with objects in {0}")]
    Nothing(String),
    #[error("cannot print the report")]
    Print(#[from] serde_json::Error),
}

pub(crate) async fn run(args: ValidateArgs, console: Console) -> Result<ExitCode, ValidateError> {
    let mut paths = Vec::new();
    for path in &args.files {
        collect(path, true, &mut paths)?;
    }
    if paths.is_empty() {
        let named: Vec<String> = args.files.iter().map(|path| path.display().to_string()).collect();
        return Err(ValidateError::Nothing(named.join(", ")));
    }
    let texts = paths.iter().map(|path| text(path)).collect::<Result<Vec<_>, _>>()?;
    let report = validate::check(&texts, &args.system_namespace);
    match args.format {
        Format::Text => print(&report, &console),
        Format::Json => console.line(&serde_json::to_string_pretty(&report)?),
    }
    Ok(if report.count(Severity::Error) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Files in the order of their names; hidden ones only when they were named.
fn collect(path: &Path, named: bool, found: &mut Vec<PathBuf>) -> Result<(), ValidateError> {
    let error = |source| ValidateError::Read { path: path.to_owned(), source };
    let is_stdin = path == Path::new("-");
    if is_stdin || !fs::metadata(path).map_err(error)?.is_dir() {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        let ours = matches!(extension.as_deref(), Some("yaml" | "yml" | "json" | "properties"));
        if named || ours {
            found.push(path.to_owned());
        }
        return if found.len() > MOST_FILES { Err(ValidateError::TooMany) } else { Ok(()) };
    }
    let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(error)?;
    let mut below: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    below.retain(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')));
    // A link to a folder could lead back here.
    below.retain(|path| !path.is_symlink() || !path.is_dir());
    below.sort();
    below.iter().try_for_each(|path| collect(path, false, found))
}

fn text(path: &Path) -> Result<Text, ValidateError> {
    let error = |source| ValidateError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let input: Box<dyn Read> =
        if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(fs::File::open(path).map_err(error)?) };
    input.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(error)?;
    if u64::try_from(bytes.len()).is_ok_and(|size| size > LARGEST_FILE) {
        return Err(ValidateError::TooLarge { path: path.to_owned() });
    }
    let content = String::from_utf8(bytes).map_err(|_| ValidateError::NotText { path: path.to_owned() })?;
    let file = if path == Path::new("-") { "(standard input)".to_owned() } else { path.display().to_string() };
    Ok(Text { file, content })
}

fn print(report: &Report, console: &Console) {
    let paint = console.paint();
    for finding in &report.findings {
        let line = one_line(&finding.to_string());
        console.line(&match finding.severity {
            Severity::Error => paint.bad(&line),
            Severity::Warning => paint.odd(&line),
        });
    }
    let (errors, warnings) = (report.count(Severity::Error), report.count(Severity::Warning));
    let summary = format!(
        "{}, {} good: {}, {}",
        counted(report.files, "file"),
        counted(report.good, "object"),
        counted(errors, "error"),
        counted(warnings, "warning")
    );
    console.line(&if errors == 0 { paint.good(&summary) } else { paint.bad(&summary) });
}

fn counted(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_whole_and_other_files_in_it_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.yml", "c.properties", "README.md", ".hidden.yaml", "below/d.json"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), folder.path().join("below/loop")).unwrap();
        let mut found = Vec::new();
        collect(folder.path(), true, &mut found).unwrap();
        let names: Vec<_> =
            found.iter().map(|path| path.strip_prefix(folder.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.yml", "b.yaml", "below/d.json", "c.properties"]);
    }

    #[test]
    fn a_named_file_is_read_whatever_it_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let contract = folder.path().join("data");
        fs::write(&contract, "{}").unwrap();
        let mut found = Vec::new();
        collect(&contract, true, &mut found).unwrap();
        assert_eq!(found, [contract]);
        assert!(collect(&folder.path().join("gone"), true, &mut found).is_err());
    }

    #[test]
    fn what_is_no_text_or_too_large_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(text(&path), Err(ValidateError::NotText { .. })));
        fs::File::create(&path).unwrap().set_len(LARGEST_FILE + 1).unwrap();
        assert!(matches!(text(&path), Err(ValidateError::TooLarge { .. })));
    }
}
