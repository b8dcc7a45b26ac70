//! Properties files, alone or inside a ConfigMap.

use millrace_config::properties::{
    Properties, PropertyError, PropertyErrors, Warning, grammar, http_client, http_server, kafka,
};

use super::{Report, Severity, Text};
use crate::api::Problem;

/// Which process reads a file, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Producer,
    Consumer,
    HttpClient,
    HttpServer,
}

/// What is wrong with one file: how bad, the line in it if known, the key, the reason.
pub(super) type Found = (Severity, Option<usize>, Option<String>, String);

/// `None` for a name that no process reads.
pub(super) fn check(name: &str, bytes: &[u8]) -> Option<Vec<Found>> {
    let reader = reader(name)?;
    let properties = match grammar::parse(bytes) {
        Ok(properties) => properties,
        Err(error @ (grammar::PropertiesError::NotUtf8 { line } | grammar::PropertiesError::Escape { line })) => {
            return Some(vec![(Severity::Error, Some(line), None, error.to_string())]);
        }
    };
    let text = String::from_utf8_lossy(bytes);
    let found = match read(reader, &properties) {
        Ok(warnings) => warnings.into_iter().map(|Warning { key, reason }| (Severity::Warning, key, reason)).collect(),
        Err(PropertyErrors(errors)) => {
            let errors = errors.into_iter();
            errors.map(|PropertyError { key, problem }| (Severity::Error, key, problem)).collect::<Vec<_>>()
        }
    };
    let found = found.into_iter().map(|(severity, key, message)| (severity, line_of(&text, &key), Some(key), message));
    Some(found.collect())
}

fn reader(name: &str) -> Option<Reader> {
    let stem = name.strip_suffix(".properties")?;
    [
        ("producer", Reader::Producer),
        ("consumer", Reader::Consumer),
        ("webclient", Reader::HttpClient),
        ("httpserver", Reader::HttpServer),
    ]
    .into_iter()
    .find_map(|(end, reader)| stem.ends_with(end).then_some(reader))
}

fn read(reader: Reader, properties: &Properties) -> Result<Vec<Warning>, PropertyErrors> {
    match reader {
        Reader::Producer => kafka::producer(properties).map(|settings| settings.warnings),
        Reader::Consumer => kafka::consumer(properties).map(|settings| settings.warnings),
        Reader::HttpClient => http_client::http_client(properties).map(|settings| settings.warnings),
        Reader::HttpServer => http_server::http_server(properties).map(|settings| settings.warnings),
    }
}

/// The line, counted from 1, on which a key is set. The last one counts, as it does for the reader.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let sets = |line: &str| {
        let rest = line.trim_start().strip_prefix(key);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['=', ':', ' ', '\t']))
    };
    text.lines().enumerate().filter(|(_, line)| sets(line)).last().map(|(index, _)| index + 1)
}

impl Report {
    /// A file of its own.
    pub(super) fn properties_file(&mut self, text: &Text) {
        let name = text.file.rsplit('/').next().unwrap_or(&text.file);
        let problem = |line: Option<usize>, field, message| Problem {
            file: text.file.clone(),
            line: line.and_then(|line| u64::try_from(line).ok()),
            object: None,
            field,
            message,
        };
        let Some(found) = check(name, text.content.as_bytes()) else {
            let message = "not checked: the name must end in producer, consumer, webclient or httpserver.properties";
            self.add(Severity::Warning, [problem(None, None, message.to_owned())]);
            return;
        };
        if found.iter().all(|(severity, ..)| *severity == Severity::Warning) {
            self.good += 1;
        }
        for (severity, line, key, message) in found {
            self.add(severity, [problem(line, key, message)]);
        }
    }
}
