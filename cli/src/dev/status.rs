//! What control says about the user's objects: reads `status.json` and renders what has changed.
//!
//! Pure but for [`read`]. The file's shape is control's contract with whoever shows its state; unknown fields are
//! ignored and missing ones are empty, so that an older or newer control is still readable.

use std::collections::{BTreeMap, BTreeSet};
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

    /// Something is still being found out or brought about.
    fn is_on_its_way(&self) -> bool {
        let channels = self.channels.iter().map(|channel| &channel.ready);
        let mut all = channels.chain(self.subscriptions.iter().map(|subscription| &subscription.ready));
        all.any(|ready| ready != "True" && ready != "False")
    }

    /// There is something, and all of it is ready.
    pub(crate) fn is_ready(&self) -> bool {
        !self.channels.is_empty()
            && self.channels.iter().all(|channel| channel.ready == "True")
            && self.subscriptions.iter().all(|subscription| subscription.ready == "True")
    }
}

/// What is shown of one object. The key names it; a change of the rest is shown.
type Shown = BTreeMap<(u8, String), Object>;

#[derive(Clone, Debug, PartialEq)]
struct Object {
    line: String,
    /// Why it is not ready; empty if it is, or if nobody knows.
    why: String,
}

/// Remembers what was shown, to show only what is new.
pub(crate) struct StatusView {
    paint: Paint,
    /// Folder of the objects, for hints.
    folder: String,
    shown: Shown,
    problems: Vec<Problem>,
    generation: u64,
    /// The start is over: from here on a new contract is news.
    is_settled: bool,
    lacks_channels: bool,
}

impl StatusView {
    pub(crate) fn new(paint: Paint, folder: &Path) -> Self {
        Self {
            paint,
            folder: folder.display().to_string(),
            shown: Shown::new(),
            problems: Vec::new(),
            generation: 0,
            is_settled: false,
            lacks_channels: false,
        }
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
        let mut lines = self.new_objects(&next);
        for (kind, name) in self.shown.keys().filter(|key| !next.contains_key(*key)) {
            let kind = if *kind == 0 { "channel" } else { "subscription" };
            let line = format!("{} {:28}", self.paint.odd(&format!("{kind:12} gone     ")), one_line(name));
            lines.push(line.trim_end().to_owned());
        }
        self.shown = next;
        lines.extend(self.problems(status));
        self.problems.clone_from(&status.problems);
        lines.extend(self.hint(status));
        lines.extend(self.contract(status));
        lines
    }

    /// What is new or has changed. A reason that several share is said with the first of them.
    fn new_objects(&self, next: &Shown) -> Vec<String> {
        let mut said = BTreeSet::new();
        let changed = next.iter().filter(|(key, object)| self.shown.get(*key) != Some(*object));
        let lines = changed.map(|(_, Object { line, why })| {
            if why.is_empty() || !said.insert(why.as_str()) {
                return line.clone();
            }
            format!("{line}\n{:13}{}", "", self.paint.odd(&format!("because: {}", one_line(why))))
        });
        lines.collect()
    }

    fn problems(&self, status: &Status) -> Vec<String> {
        let (before, now) = (&self.problems, &status.problems);
        let fresh = now.iter().filter(|problem| !before.iter().any(|other| problem.is_same(other)));
        let solved = before.iter().filter(|problem| !now.iter().any(|other| problem.is_same(other)));
        let bad = fresh.map(|problem| {
            let word = self.paint.bad("problem     ");
            format!("{word} {}  {}{}", problem.place(), problem.about(": "), one_line(&problem.message))
        });
        let good = solved.map(|problem| {
            let word = self.paint.good("solved   ");
            format!("problem      {word} {}  {}", problem.place(), problem.about("")).trim_end().to_owned()
        });
        bad.chain(good).collect()
    }

    fn hint(&mut self, status: &Status) -> Option<String> {
        let lacked = std::mem::replace(&mut self.lacks_channels, status.channels.is_empty());
        (self.lacks_channels && !lacked).then(|| {
            let word = self.paint.odd("none     ");
            format!(
                "channel      {word} no KafkaChannel in {} yet: add a YAML file\n{:13}{}",
                one_line(&self.folder),
                "",
                self.paint.faint("such as deploy/examples/hello/channel.yaml; it is read at once, while this runs")
            )
        })
    }

    /// At the start contracts follow one another until everything is there; nobody asked for those.
    fn contract(&mut self, status: &Status) -> Option<String> {
        let is_new = std::mem::replace(&mut self.generation, status.generation) != status.generation;
        let line = (is_new && self.is_settled)
            .then(|| format!("contract     {} generation {}", self.paint.good("in force "), status.generation));
        self.is_settled |= !status.is_on_its_way();
        line
    }

    fn channel(&self, channel: &Channel) -> Object {
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

    fn subscription(&self, subscription: &Subscription) -> Object {
        let channel = subscription.channel.rsplit('/').next().unwrap_or_default();
        let mut path =
            format!("{} -> {}", one_line(channel), one_line(subscription.subscriber.as_deref().unwrap_or("?")));
        if let Some(sink) = subscription.dead_letter_sink.as_deref().filter(|sink| !sink.is_empty()) {
            path = format!("{path}  dead letters -> {}", one_line(sink));
        }
        let why = why(&subscription.reason, &subscription.message);
        self.object("subscription", &subscription.namespace, &subscription.name, &subscription.ready, &path, &why)
    }

    fn object(&self, kind: &str, namespace: &str, name: &str, ready: &str, place: &str, why: &str) -> Object {
        let state = match ready {
            "True" => self.paint.good("ready    "),
            "False" => self.paint.bad("not ready"),
            _ => self.paint.odd("waiting  "),
        };
        let name = one_line(&format!("{namespace}/{name}"));
        let line = format!("{kind:12} {state} {name:28}  {place}").trim_end().to_owned();
        let why = if ready == "True" { String::new() } else { why.to_owned() };
        Object { line, why }
    }
}

impl Problem {
    /// Whether a person would call it the same; its line changes with every edit above it.
    fn is_same(&self, other: &Self) -> bool {
        let place = |problem: &Self| (problem.file.clone(), problem.object.clone(), problem.field.clone());
        place(self) == place(other) && self.message == other.message
    }

    fn place(&self) -> String {
        let file = one_line(&self.file);
        match self.line.filter(|line| *line > 0) {
            Some(line) => format!("{file}:{line}"),
            None => file,
        }
    }

    /// Object and field, then `end`; nothing if both are unknown.
    fn about(&self, end: &str) -> String {
        let parts = [self.object.as_deref(), self.field.as_deref()];
        let about: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).map(one_line).collect();
        if about.is_empty() { String::new() } else { format!("{}{end}", about.join(" ")) }
    }
}

fn why(reason: &Option<String>, message: &Option<String>) -> String {
    // While Kafka is away nothing else about an object matters, and it is the same for all of them.
    let message_text = message.as_deref().unwrap_or_default();
    if let Some((_, rest)) = message_text.split_once("Kafka at ")
        && let Some(servers) = rest.strip_suffix(" does not answer")
    {
        return format!("Kafka at {servers} does not answer");
    }
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
        StatusView::new(Paint::PLAIN, Path::new("objects"))
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
        assert_eq!(view.changes(&status(READY)), Vec::<String>::new());
        let lines = view.changes(&status(&READY.replace("\"ready\":\"False\"", "\"ready\":\"True\"")));
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("subscription ready "), "{lines:?}");
    }

    #[test]
    fn a_removed_object_is_said_to_be_gone() {
        let mut view = plain();
        assert_eq!(view.changes(&status(READY)).len(), 2);
        let lines = view.changes(&status(r#"{"generation":3}"#));
        assert_eq!(lines[..2], ["channel      gone      default/hello", "subscription gone      default/printer"]);
        assert!(lines[2].starts_with("channel      none      no KafkaChannel in objects yet"), "{lines:?}");
    }

    #[test]
    fn a_problem_names_file_line_object_and_field() {
        let mut view = plain();
        let bad = status(
            r#"{"problems":[{"file":"a.yaml","line":7,"object":"Subscription default/x","field":"spec.delivery.retry",
                "message":"expected a whole number"}]}"#,
        );
        let expected = "problem      a.yaml:7  Subscription default/x spec.delivery.retry: expected a whole number";
        assert_eq!(view.changes(&bad)[0], expected);
        assert_eq!(view.changes(&bad), Vec::<String>::new());
    }

    #[test]
    fn each_solved_problem_has_its_own_line_and_one_that_only_moved_has_none() {
        let mut view = plain();
        let problems = |list: &[(&str, u64)]| Status {
            problems: list
                .iter()
                .map(|(field, line)| Problem {
                    file: "a.yaml".to_owned(),
                    line: Some(*line),
                    object: Some("Subscription default/x".to_owned()),
                    field: Some((*field).to_owned()),
                    message: "no".to_owned(),
                })
                .collect(),
            ..status(READY)
        };
        assert_eq!(view.changes(&problems(&[("spec.a", 3), ("spec.b", 4)])).len(), 4);
        let lines = view.changes(&problems(&[("spec.b", 9)]));
        assert_eq!(lines, ["problem      solved    a.yaml:3  Subscription default/x spec.a"]);
        let lines = view.changes(&problems(&[]));
        assert_eq!(lines, ["problem      solved    a.yaml:9  Subscription default/x spec.b"]);
    }

    #[test]
    fn a_new_contract_is_told_once_everything_had_been_decided_and_not_before() {
        let mut view = plain();
        let at = |generation: u64, ready: &str| {
            status(&READY.replace("\"generation\":3", &format!("\"generation\":{generation}")).replace("False", ready))
        };
        let told =
            |lines: Vec<String>| lines.into_iter().filter(|line| line.starts_with("contract")).collect::<Vec<_>>();
        assert_eq!(told(view.changes(&at(1, "Unknown"))), Vec::<String>::new());
        assert_eq!(told(view.changes(&at(2, "True"))), Vec::<String>::new(), "the start is no news");
        assert_eq!(told(view.changes(&at(3, "Unknown"))), ["contract     in force  generation 3"]);
        assert_eq!(told(view.changes(&at(3, "True"))), Vec::<String>::new());
    }

    #[test]
    fn an_empty_folder_says_what_to_do_once() {
        let mut view = plain();
        let lines = view.changes(&status("{}"));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].starts_with("channel      none      no KafkaChannel in objects yet: add a YAML file"),
            "{lines:?}"
        );
        assert_eq!(view.changes(&status("{}")), Vec::<String>::new());
    }

    #[test]
    fn a_kafka_that_is_away_is_said_once_and_not_with_each_object() {
        let away = "Kafka at k:9092 does not answer";
        let channel = |name: &str| Channel {
            name: name.to_owned(),
            ready: "False".to_owned(),
            reason: Some(format!("Failed to create topic: {name}")),
            message: Some(away.to_owned()),
            ..Channel::default()
        };
        let subscription = Subscription {
            ready: "False".to_owned(),
            reason: Some("TopicReady".to_owned()),
            message: Some(format!("channel a: Failed to create topic: a {away}")),
            ..Subscription::default()
        };
        let status = Status {
            channels: vec![channel("a"), channel("b")],
            subscriptions: vec![subscription],
            ..Status::default()
        };
        let text = plain().changes(&status).join("\n");
        assert_eq!(text.matches("because: ").count(), 1, "{text}");
        assert!(text.contains(&format!("because: {away}\n")), "{text}");
    }

    #[test]
    fn everything_is_ready_only_if_there_is_something() {
        assert!(!Status::default().is_ready());
        assert!(!status(READY).is_ready());
        assert!(status(&READY.replace("\"ready\":\"False\"", "\"ready\":\"True\"")).is_ready());
    }
}
