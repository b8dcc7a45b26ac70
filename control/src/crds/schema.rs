//! Small words to write schemas with. Says nothing about any kind.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use serde_json::Value;

/// One node of a schema, to be refined by the methods below.
#[derive(Debug, Clone)]
pub(super) struct Schema(JSONSchemaProps);

fn of_type(kind: &str, description: &str) -> Schema {
    Schema(JSONSchemaProps {
        type_: Some(kind.to_owned()),
        description: (!description.is_empty()).then(|| description.to_owned()),
        ..JSONSchemaProps::default()
    })
}

pub(super) fn text(description: &str) -> Schema {
    of_type("string", description)
}

pub(super) fn int32(description: &str) -> Schema {
    let mut schema = of_type("integer", description);
    schema.0.format = Some("int32".to_owned());
    schema
}

pub(super) fn int64(description: &str) -> Schema {
    let mut schema = of_type("integer", description);
    schema.0.format = Some("int64".to_owned());
    schema
}

pub(super) fn list(description: &str, items: Schema) -> Schema {
    let mut schema = of_type("array", description);
    schema.0.items = Some(JSONSchemaPropsOrArray::Schema(Box::new(items.0)));
    schema
}

/// Texts by name.
pub(super) fn map_of_texts(description: &str) -> Schema {
    let mut schema = of_type("object", description);
    schema.0.additional_properties = Some(JSONSchemaPropsOrBool::Schema(Box::new(text("").0)));
    schema
}

pub(super) fn object<const N: usize>(description: &str, fields: [(&str, Schema); N]) -> Schema {
    let mut schema = of_type("object", description);
    schema.0.properties = Some(fields.into_iter().map(|(name, field)| (name.to_owned(), field.0)).collect());
    schema
}

impl Schema {
    /// Written into objects that leave the field out.
    pub(super) fn default(mut self, value: Value) -> Self {
        self.0.default = Some(JSON(value));
        self
    }

    pub(super) fn required(mut self, fields: &[&str]) -> Self {
        self.0.required = Some(fields.iter().map(|field| (*field).to_owned()).collect());
        self
    }

    pub(super) fn minimum(mut self, limit: i32) -> Self {
        self.0.minimum = Some(f64::from(limit));
        self
    }

    pub(super) fn maximum(mut self, limit: i32) -> Self {
        self.0.maximum = Some(f64::from(limit));
        self
    }

    /// Also what bounds the cost of a rule about each item.
    pub(super) fn max_items(mut self, count: i64) -> Self {
        self.0.max_items = Some(count);
        self
    }

    /// Also what bounds the cost of a rule about the text.
    pub(super) fn max_length(mut self, characters: i64) -> Self {
        self.0.max_length = Some(characters);
        self
    }

    pub(super) fn one_of(mut self, words: &[&str]) -> Self {
        self.0.enum_ = Some(words.iter().map(|word| JSON(Value::from(*word))).collect());
        self
    }

    /// A CEL expression that must be true. With `oldSelf` in it, it is asked on updates only.
    pub(super) fn rule(mut self, expression: &str, message: &str) -> Self {
        let rule = ValidationRule {
            rule: expression.to_owned(),
            message: Some(message.to_owned()),
            ..ValidationRule::default()
        };
        self.0.x_kubernetes_validations.get_or_insert_default().push(rule);
        self
    }

    pub(super) fn into_props(self) -> JSONSchemaProps {
        self.0
    }
}
