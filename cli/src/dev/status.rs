//! What control says about the user's objects: reads `status.json` and renders what has changed.
//!
//! Pure but for [`read`]. The file's shape is control's contract with whoever shows its state; unknown fields are
//! ignored and missing ones are empty, so that an older or newer control is still readable.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::console::{Paint, one_line};

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Status {
    pub(crate) generation: u64,
    pub(crate) channels: Vec<Channel>,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) problems: Vec<Problem>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Channel {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) topic: String,
    pub(crate) ready: String,
    pub(crate) reason: Option<String>,
    pub(crate) message: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Subscription {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) channel: String,
    pub(crate) subscriber: Option<String>,
    pub(crate) dead_letter_sink: Option<String>,
    pub(crate) ready: String,
    pub(crate) reason: Option<String>,
    pub(crate) message: Option<String>,
}

/// A document or field that control could not take, and where it stands.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Problem {
    pub(crate) file: String,
    /// Absent or 0 when the problem belongs to the whole file.
    pub(crate) line: Option<u64>,
    pub(crate) object: Option<String>,
    pub(crate) field: Option<String>,
    pub(crate) message: String,
}

/// The file's content; `None` while there is none that can be read. Control replaces it whole, so that a half-written
/// one is never seen.
pub(crate) fn read(file: &Path) -> Option<Status> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

impl Status {
    pub(crate) fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.name == name)
    }

    /// There is something, and all of it is ready.
    pub(crate) fn is_ready(&self) -> bool {
        !self.channels.is_empty()
            && self.channels.iter().all(|channel| channel.ready == "True")
            && self.subscriptions.iter().all(|subscription| subscription.ready == "True")
    }
}

/// What is shown of one object. The key names it; the text is what must change for it to be shown again.
type Shown = BTreeMap<(u8, String), String>;

/// Remembers what was shown, to show only what is new.
pub(crate) struct StatusView {
    paint: Paint,
    shown: Shown,
    problems: Vec<Problem>,
}

impl StatusView {
    pub(crate) fn new(paint: Paint) -> Self {
        Self { paint, shown: Shown::new(), problems: Vec::new() }
    }

    /// The lines to print for this status; none if a person would see no difference.
    pub(crate) fn changes(&mut self, status: &Status) -> Vec<String> {
        let mut next = Shown::new();
        for channel in &status.channels {
            let key = (0, format!("{}/{}", channel.namespace, channel.name));
            next.insert(key, self.channel(channel));
        }
        for subscription in &status.subscriptions {
            let key = (1, format!("{}/{}", subscription.namespace, subscription.name));
            next.insert(key, self.subscription(subscription));
        }
        let mut lines: Vec<String> = next
            .iter()
            .filter(|(key, text)| self.shown.get(*key) != Some(*text))
            .map(|(_, text)| text.clone())
            .collect();
        for (kind, name) in self.shown.keys().filter(|key| !next.contains_key(*key)) {
            let kind = if *kind == 0 { "channel" } else { "subscription" };
            lines.push(
                format!("{} {:28}", self.paint.odd(&format!("{kind:12} gone     ")), one_line(name))
                    .trim_end()
                    .to_owned(),
            );
        }
        self.shown = next;

        for problem in status.problems.iter().filter(|problem| !self.problems.contains(problem)) {
            lines.push(self.problem(problem));
        }
        if status.problems.is_empty() && !self.problems.is_empty() {
            lines.push(self.paint.good("all problems are solved"));
        }
        self.problems.clone_from(&status.problems);
        lines
    }

    fn channel(&self, channel: &Channel) -> String {
        let url = self.paint.name(&one_line(&channel.url));
        self.object(
            "channel",
            &channel.namespace,
            &channel.name,
            &channel.ready,
            &url,
            &why(&channel.reason, &channel.message),
        )
    }

    fn subscription(&self, subscription: &Subscription) -> String {
        let channel = subscription.channel.rsplit('/').next().unwrap_or_default();
        let mut path =
            format!("{} -> {}", one_line(channel), one_line(subscription.subscriber.as_deref().unwrap_or("?")));
        if let Some(sink) = subscription.dead_letter_sink.as_deref().filter(|sink| !sink.is_empty()) {
            path = format!("{path}  dead letters -> {}", one_line(sink));
        }
        let why = why(&subscription.reason, &subscription.message);
        self.object("subscription", &subscription.namespace, &subscription.name, &subscription.ready, &path, &why)
    }

    fn object(&self, kind: &str, namespace: &str, name: &str, ready: &str, place: &str, why: &str) -> String {
        let state = match ready {
            "True" => self.paint.good("ready    "),
            "False" => self.paint.bad("not ready"),
            _ => self.paint.odd("waiting  "),
        };
        let name = one_line(&format!("{namespace}/{name}"));
        let line = format!("{kind:12} {state} {name:28}  {place}");
        if ready == "True" || why.is_empty() {
            return line.trim_end().to_owned();
        }
        format!("{}\n{:13}{}", line.trim_end(), "", self.paint.odd(&format!("because: {}", one_line(why))))
    }

    fn problem(&self, problem: &Problem) -> String {
        let mut place = one_line(&problem.file);
        if let Some(line) = problem.line.filter(|line| *line > 0) {
            place = format!("{place}:{line}");
        }
        let parts = [problem.object.as_deref(), problem.field.as_deref()];
        let about: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).map(one_line).collect();
        let about = if about.is_empty() { String::new() } else { format!("{}: ", about.join(" ")) };
        format!("{} {place}  {about}{}", self.paint.bad("problem     "), one_line(&problem.message))
    }
}

fn why(reason: &Option<String>, message: &Option<String>) -> String {
    let parts = [reason.as_deref(), message.as_deref()];
    parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> Status {
        serde_json::from_str(text).unwrap()
    }

    const READY: &str = r#"{"generation":3,
        "channels":[{"namespace":"default","name":"hello","url":"http://127.0.0.1:8080/default/hello","topic":"t","ready":"True"}],
        "subscriptions":[{"namespace":"default","name":"printer","channel":"default/hello","subscriber":"http://127.0.0.1:9000/",
                          "deadLetterSink":"http://127.0.0.1:9000/dead","ready":"False","reason":"NoTopic","message":"the topic is missing"}],
        "problems":[]}"#;

    fn plain() -> StatusView {
        StatusView::new(Paint::PLAIN)
    }

    #[test]
    fn channels_and_subscriptions_show_where_and_why_not() {
        let lines = plain().changes(&status(READY));
        let expected = "\
channel      ready     default/hello                 http://127.0.0.1:8080/default/hello
subscription not ready default/printer               hello -> http://127.0.0.1:9000/  dead letters -> http://127.0.0.1:9000/dead
             because: NoTopic: the topic is missing";
        assert_eq!(lines.join("\n"), expected);
    }

    #[test]
    fn only_what_changed_is_shown_again() {
        let mut view = plain();
        assert_eq!(view.changes(&status(READY)).len(), 2);
        assert_eq!(view.changes(&status(&READY.replace("\"generation\":3", "\"generation\":4"))), Vec::<String>::new());
        let lines = view.changes(&status(&READY.replace("\"ready\":\"False\"", "\"ready\":\"True\"")));
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("subscription ready "), "{lines:?}");
    }

    #[test]
    fn a_removed_object_is_said_to_be_gone() {
        let mut view = plain();
        assert_eq!(view.changes(&status(READY)).len(), 2);
        let lines = view.changes(&status("{}"));
        assert_eq!(lines, ["channel      gone      default/hello", "subscription gone      default/printer"]);
    }

    #[test]
    fn a_problem_names_file_line_object_and_field() {
        let mut view = plain();
        let bad = status(
            r#"{"problems":[{"file":"a.yaml","line":7,"object":"Subscription default/x","field":"spec.delivery.retry",
                "message":"expected a whole number"}]}"#,
        );
        let expected = "problem      a.yaml:7  Subscription default/x spec.delivery.retry: expected a whole number";
        assert_eq!(view.changes(&bad), [expected]);
        assert_eq!(view.changes(&bad), Vec::<String>::new());
        assert_eq!(view.changes(&status("{}")), ["all problems are solved"]);
    }

    #[test]
    fn everything_is_ready_only_if_there_is_something() {
        assert!(!Status::default().is_ready());
        assert!(!status(READY).is_ready());
        assert!(status(&READY.replace("\"ready\":\"False\"", "\"ready\":\"True\"")).is_ready());
    }
}
