//! One YAML document as a tree in which every field knows its line.
//!
//! Typed errors and unknown fields are found later, by path; this tree turns such a path into a line number.
//! It does not know Kubernetes and never decides whether a document is good.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

/// A YAML value and the line where it starts (1-based, relative to the parsed text; 0 = unknown).
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) line: u64,
    pub(crate) kind: NodeKind,
}

/// What a [`Node`] holds. Scalars have the type that YAML gives them, as `kubectl` would send them.
#[derive(Debug, Clone)]
pub(crate) enum NodeKind {
    Scalar(Value),
    List(Vec<Node>),
    /// Key, line of the key, value.
    Map(Vec<(String, u64, Node)>),
}

impl Node {
    /// The value without its lines.
    pub(crate) fn to_value(&self) -> Value {
        match &self.kind {
            NodeKind::Scalar(value) => value.clone(),
            NodeKind::List(items) => Value::Array(items.iter().map(Node::to_value).collect()),
            NodeKind::Map(fields) => {
                let map: Map<String, Value> =
                    fields.iter().map(|(key, _, node)| (key.clone(), node.to_value())).collect();
                Value::Object(map)
            }
        }
    }

    /// The field of a map; absent when this is no map or has no such field.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            NodeKind::Map(fields) => fields.iter().find(|(name, _, _)| name == key).map(|(_, _, node)| node),
            NodeKind::Scalar(_) | NodeKind::List(_) => None,
        }
    }

    /// The text of a string field; absent when it is missing or no string.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.kind {
            NodeKind::Scalar(Value::String(text)) => Some(text),
            NodeKind::Scalar(_) | NodeKind::List(_) | NodeKind::Map(_) => None,
        }
    }

    /// Lines by field path (`spec.delivery.retry`, `spec.subscribers[0].uid`), each plus `offset`.
    pub(crate) fn lines(&self, offset: u64) -> BTreeMap<String, u64> {
        let mut lines = BTreeMap::new();
        self.collect_lines("", offset, &mut lines);
        lines
    }

    fn collect_lines(&self, path: &str, offset: u64, lines: &mut BTreeMap<String, u64>) {
        match &self.kind {
            NodeKind::Scalar(_) => {}
            NodeKind::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    lines.insert(path.clone(), item.line + offset);
                    item.collect_lines(&path, offset, lines);
                }
            }
            NodeKind::Map(fields) => {
                for (key, line, value) in fields {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    lines.insert(path.clone(), line + offset);
                    value.collect_lines(&path, offset, lines);
                }
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<NodeKind>::deserialize(deserializer)?;
        Ok(Self { line: spanned.referenced.line(), kind: spanned.value })
    }
}

impl<'de> Deserialize<'de> for NodeKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = NodeKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<NodeKind, E> {
        Ok(NodeKind::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<NodeKind, E> {
        Ok(NodeKind::Scalar(Value::from(value)))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<NodeKind, E> {
        Ok(NodeKind::Scalar(Value::from(value)))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<NodeKind, E> {
        // JSON, and therefore a Kubernetes object, has no infinities.
        Number::from_f64(value)
            .map(|number| NodeKind::Scalar(Value::Number(number)))
            .ok_or_else(|| E::custom("a number that JSON cannot hold"))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<NodeKind, E> {
        Ok(NodeKind::Scalar(Value::String(value.to_owned())))
    }

    fn visit_unit<E: de::Error>(self) -> Result<NodeKind, E> {
        Ok(NodeKind::Scalar(Value::Null))
    }

    fn visit_none<E: de::Error>(self) -> Result<NodeKind, E> {
        Ok(NodeKind::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<NodeKind, D::Error> {
        NodeKind::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<NodeKind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(NodeKind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NodeKind, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let line = key.referenced.line();
            let value: Node = map.next_value()?;
            fields.push((key.value, line, value));
        }
        Ok(NodeKind::Map(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_knows_its_line() {
        let yaml = "kind: X\nspec:\n  # a comment\n  delivery:\n    retry: 5\n  list:\n  - a: 1\n  - b: two\n";
        let node: Node = serde_saphyr::from_str(yaml).unwrap();
        let lines = node.lines(10);
        for (path, line) in [
            ("kind", 11),
            ("spec", 12),
            ("spec.delivery", 14),
            ("spec.delivery.retry", 15),
            ("spec.list[0]", 17),
            ("spec.list[1].b", 18),
        ] {
            assert_eq!(lines.get(path), Some(&line), "{path}");
        }
        assert_eq!(
            node.to_value(),
            serde_json::json!({"kind": "X", "spec": {"delivery": {"retry": 5}, "list": [{"a": 1}, {"b": "two"}]}})
        );
    }

    #[test]
    fn scalars_have_the_type_that_kubectl_would_send() {
        let node: Node = serde_saphyr::from_str(
            "a: \"5\"\nb: 5\nc: true\nd: null\ne: 1.5\nf: |\n  x=1\n  y=2\ng: PT1S\nh: -3\ni: {}\nj: []\nk:\n",
        )
        .unwrap();
        assert_eq!(
            node.to_value(),
            serde_json::json!({"a": "5", "b": 5, "c": true, "d": null, "e": 1.5, "f": "x=1\ny=2\n", "g": "PT1S", "h": -3, "i": {}, "j": [], "k": null})
        );
    }

    #[test]
    fn json_is_read_too() {
        let node: Node = serde_saphyr::from_str("{\n\t\"kind\": \"X\",\n\t\"n\": [1, 2]\n}\n").unwrap();
        assert_eq!(node.to_value(), serde_json::json!({"kind": "X", "n": [1, 2]}));
        assert_eq!(node.lines(0).get("n"), Some(&3));
    }
}
