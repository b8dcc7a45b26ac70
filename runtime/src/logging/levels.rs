//! Which lines are written: directives in the `target=level` form, else the levels of a logback file.
//!
//! Only the levels are read from logback's XML, not its appenders. Java package names are mapped to ours: an operator
//! who turned on DEBUG for Knative's data plane or for Kafka's client means the same thing here.

use std::path::Path;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// The filter, and what could not be understood on the way.
pub(super) struct Levels {
    pub(super) filter: Targets,
    pub(super) problems: Vec<String>,
}

/// librdkafka's lines and those of its Rust wrapper.
const KAFKA_CLIENT: [&str; 2] = ["librdkafka", "rdkafka"];
/// Libraries that report their every step at INFO: only their warnings are wanted unless they are named.
const TALKATIVE: [&str; 3] = ["librdkafka", "rdkafka", "notify"];

/// `directives` win over the file at `config_path`; a missing file is normal and means INFO.
pub(super) fn read(directives: Option<&str>, config_path: &Path) -> Levels {
    if let Some(directives) = directives.map(str::trim).filter(|text| !text.is_empty()) {
        return from_directives(directives);
    }
    match std::fs::read(config_path) {
        Ok(bytes) => from_logback(&String::from_utf8_lossy(&bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => from_pairs(LevelFilter::INFO, Vec::new()),
        Err(error) => {
            let mut levels = from_pairs(LevelFilter::INFO, Vec::new());
            levels.problems.push(format!("cannot read {}: {error}", config_path.display()));
            levels
        }
    }
}

fn from_directives(directives: &str) -> Levels {
    let (mut root, mut pairs, mut problems) = (LevelFilter::INFO, Vec::new(), Vec::new());
    for directive in directives.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        let parsed = match directive.split_once('=') {
            Some((target, level)) => level.parse().map(|level| pairs.push((target.to_owned(), level))),
            None => directive.parse().map(|level| root = level),
        };
        if parsed.is_err() {
            problems.push(format!("MILLRACE_LOG: {directive} is neither a level nor target=level"));
        }
    }
    Levels { problems, ..from_pairs(root, pairs) }
}

/// The levels of a logback file.
pub(super) fn from_logback(xml: &str) -> Levels {
    let (mut root, mut pairs, mut problems) = (LevelFilter::INFO, Vec::new(), Vec::new());
    for tag in tags(xml) {
        let Some((name, attributes)) = tag.split_once(char::is_whitespace) else { continue };
        if name != "root" && name != "logger" {
            continue;
        }
        // A logger without a level inherits its parent's.
        let Some(text) = attribute(attributes, "level") else { continue };
        let Some(level) = logback_level(text) else {
            problems.push(format!("{text} is not a level of logback"));
            continue;
        };
        if name == "root" {
            root = level;
        } else if let Some(logger) = attribute(attributes, "name") {
            pairs.extend(targets_of(logger).into_iter().map(|target| (target, level)));
        }
    }
    Levels { problems, ..from_pairs(root, pairs) }
}

fn from_pairs(root: LevelFilter, pairs: Vec<(String, LevelFilter)>) -> Levels {
    let mut filter = Targets::new().with_default(root);
    for library in TALKATIVE {
        filter = filter.with_target(library, root.min(LevelFilter::WARN));
    }
    Levels { filter: filter.with_targets(pairs), problems: Vec::new() }
}

/// What stands between `<` and `>`, comments left out.
fn tags(xml: &str) -> Vec<&str> {
    let mut tags = Vec::new();
    let mut rest = xml;
    while let Some((_, after)) = rest.split_once('<') {
        if let Some(comment) = after.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
        } else if let Some((tag, after)) = after.split_once('>') {
            tags.push(tag.trim_end_matches('/'));
            rest = after;
        } else {
            break;
        }
    }
    tags
}

fn attribute<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = attributes;
    while let Some((key, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let quote = after.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        let (value, after) = after.strip_prefix(quote)?.split_once(quote)?;
        if key.trim() == name {
            return Some(value.trim());
        }
        rest = after;
    }
    None
}

/// Logback's levels, any case; `${NAME:-LEVEL}` counts as its default.
fn logback_level(text: &str) -> Option<LevelFilter> {
    let text = match text.strip_prefix("${").and_then(|text| text.strip_suffix('}')) {
        Some(variable) => variable.split_once(":-").map(|(_, default)| default)?,
        None => text,
    };
    match text.to_ascii_uppercase().as_str() {
        "OFF" => Some(LevelFilter::OFF),
        "ERROR" => Some(LevelFilter::ERROR),
        "WARN" => Some(LevelFilter::WARN),
        "INFO" => Some(LevelFilter::INFO),
        "DEBUG" => Some(LevelFilter::DEBUG),
        "TRACE" | "ALL" => Some(LevelFilter::TRACE),
        _ => None,
    }
}

fn targets_of(logger: &str) -> Vec<String> {
    if logger == "dev.knative" || logger.starts_with("dev.knative.") {
        return vec!["millrace".to_owned()];
    }
    if logger == "org.apache.kafka" || logger.starts_with("org.apache.kafka.") {
        return KAFKA_CLIENT.map(str::to_owned).to_vec();
    }
    vec![logger.replace('.', "::")]
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[track_caller]
    fn check(levels: &Levels, target: &str, level: Level, expected: bool) {
        assert_eq!(levels.filter.would_enable(target, &level), expected, "{target} at {level}");
    }

    #[test]
    fn without_directives_and_file_the_level_is_info_and_warn_for_the_kafka_client() {
        let levels = read(None, Path::new("/nowhere/config.xml"));
        check(&levels, "millrace_ingress::handler", Level::INFO, true);
        check(&levels, "millrace_ingress::handler", Level::DEBUG, false);
        check(&levels, "rdkafka::client", Level::WARN, true);
        check(&levels, "librdkafka", Level::INFO, false);
        assert!(levels.problems.is_empty());
    }

    #[test]
    fn directives_win_over_the_file_and_may_turn_the_kafka_client_up() {
        let levels = from_directives("debug, librdkafka=info ,hyper=off");
        check(&levels, "millrace_ingress", Level::DEBUG, true);
        check(&levels, "rdkafka", Level::INFO, false);
        check(&levels, "librdkafka", Level::INFO, true);
        check(&levels, "hyper::proto", Level::ERROR, false);
    }

    #[test]
    fn turning_everything_to_error_includes_the_kafka_client() {
        check(&from_directives("error"), "librdkafka", Level::WARN, false);
    }

    #[test]
    fn a_directive_that_means_nothing_is_reported_and_the_others_count() {
        let levels = from_directives("millrace=loud,debug");
        assert_eq!(levels.problems, ["MILLRACE_LOG: millrace=loud is neither a level nor target=level"]);
        check(&levels, "other", Level::DEBUG, true);
    }

    #[test]
    fn the_levels_of_the_shipped_logback_file_are_read() {
        let levels = from_logback(
            r#"<configuration>
                 <appender name="jsonConsoleAppender" class="ch.qos.logback.core.ConsoleAppender"/>
                 <!-- <root level="TRACE"/> -->
                 <logger name="dev.knative.eventing" level='debug'/>
                 <logger name="org.apache.kafka" level="INFO"/>
                 <logger name="io.netty" level="loud"/>
                 <root
                    level="${LEVEL:-WARN}"><appender-ref ref="async"/></root>
               </configuration>"#,
        );
        check(&levels, "millrace_dispatcher::dispatch", Level::DEBUG, true);
        check(&levels, "millrace_dispatcher::dispatch", Level::TRACE, false);
        check(&levels, "hyper", Level::INFO, false);
        check(&levels, "hyper", Level::WARN, true);
        check(&levels, "librdkafka", Level::INFO, true);
        assert_eq!(levels.problems, ["loud is not a level of logback"]);
    }

    #[test]
    fn a_broken_file_means_info() {
        for xml in ["", "<", "<root", "<root level=>", "<root level=\"", "<logger name=\"a\"", "<!--", "\u{0}"] {
            let levels = from_logback(xml);
            check(&levels, "millrace", Level::INFO, true);
            check(&levels, "millrace", Level::DEBUG, false);
        }
    }
}
