//! Reads objects out of YAML and JSON texts, several documents a file.
//!
//! A bad document hurts only itself: the text is cut at the document markers first and every piece is parsed alone.
//! Pure; the files are read by [`super::folder`].

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::node::{Node, NodeKind};
use crate::api::decode::{Decoded, decode};
use crate::api::{Identity, Problem, Source, Sourced};

/// What was found in one or more files.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Scan {
    /// Good objects, in the order of files and documents.
    pub(crate) objects: Vec<Sourced>,
    /// Documents that are no good objects.
    pub(crate) bad: Vec<Bad>,
    /// What to tell about bad documents and unknown fields.
    pub(crate) problems: Vec<Problem>,
    /// Kinds that are not ours: where the first one is, and how many there are.
    pub(crate) foreign: BTreeMap<String, (Source, usize)>,
}

/// A document that is no good object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bad {
    /// As in [`Source::file`].
    pub(crate) file: String,
    /// `None` when it cannot be told which object it was meant to be.
    pub(crate) identity: Option<Identity>,
}

impl Scan {
    /// Adds what is in one text.
    pub(crate) fn add_text(&mut self, file: &str, text: &str) {
        for piece in pieces(text) {
            match parse(&piece.text) {
                Ok(node) => self.add_document(file, &node, piece.line - 1),
                Err((line, message)) => {
                    let line = if line == 0 { piece.line } else { piece.line - 1 + line };
                    self.add_unreadable(file, Some(line), guess(&piece.text), message);
                }
            }
        }
    }

    /// Adds a file, or a part of one, of which nothing is known but that it cannot be read.
    pub(crate) fn add_unreadable(&mut self, file: &str, line: Option<u64>, object: Option<String>, message: String) {
        self.bad.push(Bad { file: file.to_owned(), identity: None });
        self.problems.push(Problem { file: file.to_owned(), line, object, field: None, message });
    }

    /// Kinds that are not ours, one problem each.
    pub(crate) fn foreign_problems(&self) -> impl Iterator<Item = Problem> {
        self.foreign.iter().map(|(kind, (source, count))| {
            let documents = if *count == 1 { "1 document is".to_owned() } else { format!("{count} documents are") };
            Problem {
                file: source.file.clone(),
                line: (source.line > 0).then_some(source.line),
                object: None,
                field: Some("kind".to_owned()),
                message: format!("{kind} is not handled here; {documents} ignored"),
            }
        })
    }

    fn add_document(&mut self, file: &str, node: &Node, offset: u64) {
        // What `kubectl get -o yaml` prints for several objects.
        if let Some(items) = list_items(node) {
            for item in items {
                self.add_document(file, item, offset);
            }
            return;
        }
        let lines = Arc::new(node.lines(offset));
        let source = Source { file: file.to_owned(), line: node.line + offset, lines };
        match decode(&node.to_value()) {
            Decoded::Object { object, unknown } => {
                let identity = object.identity();
                let message = "unknown field, ignored";
                self.problems
                    .extend(unknown.iter().map(|field| Problem::with_field(&source, &identity, field, message)));
                self.objects.push(Sourced { object: *object, source });
            }
            Decoded::Bad { identity, errors } => {
                for error in errors {
                    self.problems.push(Problem {
                        file: file.to_owned(),
                        line: Some(source.line_of(&error.field)),
                        object: identity.as_ref().map(ToString::to_string),
                        field: (!error.field.is_empty()).then_some(error.field),
                        message: error.message,
                    });
                }
                self.bad.push(Bad { file: file.to_owned(), identity });
            }
            Decoded::Foreign(kind) => {
                self.foreign.entry(kind).or_insert_with(|| (source, 0)).1 += 1;
            }
        }
    }
}

fn list_items(node: &Node) -> Option<&[Node]> {
    let is_list = node.text("apiVersion") == Some("v1") && node.text("kind") == Some("List");
    match &node.get("items")?.kind {
        NodeKind::List(items) if is_list => Some(items),
        NodeKind::List(_) | NodeKind::Scalar(_) | NodeKind::Map(_) => None,
    }
}

/// The tree of one document, or the line (relative to the text, 0 for unknown) and the message.
fn parse(text: &str) -> Result<Node, (u64, String)> {
    match serde_saphyr::from_str::<Node>(text) {
        Ok(node) => match node.kind {
            NodeKind::Map(_) => Ok(node),
            NodeKind::Scalar(Value::Null) | NodeKind::Scalar(_) | NodeKind::List(_) => {
                Err((node.line, "not an object: a document needs apiVersion, kind and metadata".to_owned()))
            }
        },
        Err(error) => {
            let line = error.location().map_or(0, |location| location.line());
            Err((line, format!("not readable as YAML: {}", without_location(&error.without_snippet().to_string()))))
        }
    }
}

/// The parser counts lines of the piece, so its own words about them would mislead.
fn without_location(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    first.split(" at line ").next().unwrap_or(first).trim_end_matches([':', ',']).to_owned()
}

struct Piece {
    /// 1-based line of the file where the piece starts.
    line: u64,
    text: String,
}

/// Cuts a text at its document markers. They are markers wherever they stand at the start of a line, even inside a
/// block of text: YAML forbids such lines there. Pieces with nothing but comments and directives are left out.
fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut current = Piece { line: 1, text: String::new() };
    for (line, number) in text.strip_prefix('\u{feff}').unwrap_or(text).split_inclusive('\n').zip(1..) {
        let rest = ["---", "..."].into_iter().find_map(|marker| {
            let rest = line.strip_prefix(marker)?;
            (rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])).then_some(rest)
        });
        match rest {
            Some(rest) => {
                pieces.push(std::mem::replace(&mut current, Piece { line: number, text: rest.to_owned() }));
            }
            None => current.text.push_str(line),
        }
    }
    pieces.push(current);
    pieces.retain(|piece| {
        piece.text.lines().map(str::trim_start).any(|line| !line.is_empty() && !line.starts_with(['#', '%']))
    });
    pieces
}

/// What an unreadable document was probably meant to be, for the person who has to mend it. Nothing is decided by it.
fn guess(text: &str) -> Option<String> {
    let value = |prefix: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(prefix))?;
        let value = line.trim().trim_matches(['"', '\'']);
        (!value.is_empty()).then_some(value)
    };
    let (kind, name) = (value("kind:")?, value("  name:")?);
    Some(format!("{kind} {}/{name}", value("  namespace:").unwrap_or("default")))
}

#[cfg(test)]
mod tests;
