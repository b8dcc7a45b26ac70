//! Events that tests send, in both HTTP modes, built without the product's codec.
//!
//! Values are meant to be plain ASCII unless a test is about encoding; nothing is escaped here.

use serde_json::{Map, Value, json};

/// One CloudEvent of specversion 1.0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestEvent {
    /// The `id`.
    pub id: String,
    /// All other attributes and extensions, without `specversion` and `datacontenttype`.
    pub attributes: Vec<(String, String)>,
    /// `datacontenttype`; absent when `None`.
    pub content_type: Option<String>,
    /// The data; absent when `None`.
    pub data: Option<Vec<u8>>,
}

impl TestEvent {
    /// An event with a small JSON object as data.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        let id = id.into();
        let data = format!("{{\"n\":\"{id}\"}}").into_bytes();
        let attributes = [("source", "/tests/harness"), ("type", "dev.millrace.test")];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { id, attributes, content_type: Some("application/json".to_owned()), data: Some(data) }
    }

    /// Sets an attribute or extension.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.retain(|(found, _)| found != name);
        self.attributes.push((name.to_owned(), value.into()));
        self
    }

    /// Sets the data and its content type.
    #[must_use]
    pub fn with_data(mut self, content_type: &str, data: impl Into<Vec<u8>>) -> Self {
        self.content_type = Some(content_type.to_owned());
        self.data = Some(data.into());
        self
    }

    /// Removes data and content type.
    #[must_use]
    pub fn without_data(mut self) -> Self {
        self.content_type = None;
        self.data = None;
        self
    }

    /// Headers and body in binary mode.
    #[must_use]
    pub fn binary(&self) -> (Vec<(String, String)>, Vec<u8>) {
        let mut headers = vec![("ce-specversion".to_owned(), "1.0".to_owned()), ("ce-id".to_owned(), self.id.clone())];
        headers.extend(self.attributes.iter().map(|(name, value)| (format!("ce-{name}"), value.clone())));
        headers.extend(self.content_type.iter().map(|value| ("content-type".to_owned(), value.clone())));
        (headers, self.data.clone().unwrap_or_default())
    }

    /// The JSON document of structured mode. Data of a JSON content type is embedded, other data must be text.
    ///
    /// # Panics
    /// When JSON data is not JSON, or other data is not text.
    #[must_use]
    pub fn structured(&self) -> Vec<u8> {
        let mut object = Map::new();
        object.insert("specversion".into(), json!("1.0"));
        object.insert("id".into(), json!(self.id));
        for (name, value) in &self.attributes {
            object.insert(name.clone(), json!(value));
        }
        if let Some(content_type) = &self.content_type {
            object.insert("datacontenttype".into(), json!(content_type));
        }
        if let Some(data) = &self.data {
            let json = self.content_type.as_deref().is_some_and(|content_type| content_type.contains("json"));
            let value = if json { serde_json::from_slice(data).expect("JSON data is JSON") } else { text(data) };
            object.insert("data".into(), value);
        }
        Value::Object(object).to_string().into_bytes()
    }

    /// The value of an attribute or extension.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

fn text(data: &[u8]) -> Value {
    Value::String(String::from_utf8(data.to_vec()).expect("data that is not JSON is text here"))
}
