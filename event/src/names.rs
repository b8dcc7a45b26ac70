//! The names that CloudEvents has taken: the one list of them.
//!
//! Sources: CloudEvents 1.0.2 and 0.3, "context attributes"; JSON format, "data".

/// Every name that an extension of a current or an older event may not have. `data` is here because the JSON format
/// would have two members of that name.
pub(crate) const RESERVED: [&str; 11] = [
    "specversion",
    "id",
    "source",
    "type",
    "datacontenttype",
    "dataschema",
    "schemaurl",
    "datacontentencoding",
    "subject",
    "time",
    "data",
];

/// The one member of the JSON format whose name no extension could have anyway.
pub(crate) const DATA_BASE64: &str = "data_base64";

/// How many members have a meaning of their own in the JSON format.
pub(crate) const JSON_MEMBERS: usize = RESERVED.len() + 1;

/// The place of a member with a meaning of its own, below [`JSON_MEMBERS`]; `None` for an extension.
pub(crate) fn json_member(name: &str) -> Option<usize> {
    if name == DATA_BASE64 {
        return Some(RESERVED.len());
    }
    RESERVED.iter().position(|reserved| *reserved == name)
}
