//! Renders a status for a person: only what is new, each reason once.
//!
//! Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Channel, Problem, Status, Subscription};
use crate::console::{Paint, one_line};

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
