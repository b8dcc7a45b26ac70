//! Templates of topic names, such as `knative-messaging-kafka.{{ .Namespace }}.{{ .Name }}`.
//!
//! The three variables that name an object, nothing more of Go's template language: anything else is refused with a
//! reason, because a template that is understood half would write to a wrong topic.
//! Source: control-plane spec 4.3.

use crate::api::meta::Meta;

/// The template that applies when `config-kafka-features` sets none.
pub const DEFAULT_CHANNEL_TOPIC: &str = "knative-messaging-kafka.{{ .Namespace }}.{{ .Name }}";

/// Kafka's limit.
const LONGEST_TOPIC: usize = 249;

/// A template that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicTemplate(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Namespace,
    Name,
    Uid,
}

/// Why a template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A `{{` without its `}}`.
    #[error("a {{{{ is never closed")]
    Unclosed,
    /// Something other than the three variables.
    #[error("{{{{{0}}}}} is not supported: only .Namespace, .Name and .UID are")]
    Unsupported(String),
    /// The result is no topic name.
    #[error("{0:?} is no topic name: 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-' are allowed")]
    Name(String),
}

impl TopicTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// When it contains anything but text and the three variables.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, next) = after.split_once("}}").ok_or(TemplateError::Unclosed)?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(match inside.trim() {
                ".Namespace" => Part::Namespace,
                ".Name" => Part::Name,
                ".UID" => Part::Uid,
                _ => return Err(TemplateError::Unsupported(inside.to_owned())),
            });
            rest = next;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// The topic of an object.
    ///
    /// # Errors
    /// When Kafka would refuse the name.
    pub fn render(&self, meta: &Meta) -> Result<String, TemplateError> {
        let name: String = self
            .0
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::Namespace => &meta.namespace,
                Part::Name => &meta.name,
                Part::Uid => &meta.uid,
            })
            .collect();
        if is_topic_name(&name) { Ok(name) } else { Err(TemplateError::Name(name)) }
    }
}

/// Whether Kafka takes the name.
#[must_use]
pub fn is_topic_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name.len() <= LONGEST_TOPIC && name.chars().all(allowed) && name != "." && name != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> Meta {
        Meta { name: "kc".to_owned(), namespace: "test-nc".to_owned(), uid: "u-1".to_owned(), ..Meta::default() }
    }

    #[track_caller]
    fn check(template: &str, topic: &str) {
        assert_eq!(TopicTemplate::parse(template).unwrap().render(&meta()).unwrap(), topic);
    }

    #[test]
    fn topics_are_named_as_upstream_names_them() {
        check(DEFAULT_CHANNEL_TOPIC, "knative-messaging-kafka.test-nc.kc");
        check("custom-channel-template.{{ .Namespace }}.{{ .Name }}", "custom-channel-template.test-nc.kc");
        check("{{.Name}}-{{.UID}}", "kc-u-1");
        check("{{  .Namespace}}x", "test-ncx");
    }

    #[test]
    fn what_is_not_understood_is_refused_loudly() {
        for template in
            ["{{ .Nope }}", "{{ index .Annotations \"x\" }}", "{{ if .Name }}a{{ end }}", "{{ .Labels.a }}", "{{}}"]
        {
            assert!(matches!(TopicTemplate::parse(template), Err(TemplateError::Unsupported(_))), "{template}");
        }
        assert_eq!(TopicTemplate::parse("a{{ .Name "), Err(TemplateError::Unclosed));
    }

    #[test]
    fn names_that_kafka_refuses_are_refused_first() {
        for template in ["", "a b", "{{ .Name }}/x", "..", &"x".repeat(250)] {
            assert!(
                matches!(TopicTemplate::parse(template).unwrap().render(&meta()), Err(TemplateError::Name(_))),
                "{template}"
            );
        }
    }
}
