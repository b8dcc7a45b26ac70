//! Says serde's complaints in the words of someone who writes YAML.
//!
//! Pure text; a message that is none of serde's, or of an unknown shape, stays as it is.

/// `invalid type: string "lots", expected i64` becomes `must be a whole number, found the text "lots"`.
pub(super) fn readable(message: &str) -> String {
    if let Some(field) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        return format!("{field} is required");
    }
    let complaint = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    // What was found may itself hold these words; what serde expected never does.
    match complaint.and_then(|rest| rest.rsplit_once(", expected ")) {
        Some((found, expected)) => format!("must be {}, found {}", wanted(expected), given(found)),
        None => message.to_owned(),
    }
}

fn wanted(expected: &str) -> String {
    let words = match expected {
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "a whole number that is not negative",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "a borrowed string" | "string" => "a text (in quotes if it looks like something else)",
        "a sequence" => "a list",
        "a map" => "a mapping of fields",
        other if other.starts_with("struct ") => "a mapping of fields",
        other => return other.to_owned(),
    };
    words.to_owned()
}

fn given(found: &str) -> String {
    let words = match found {
        "sequence" => "a list",
        "map" => "a mapping of fields",
        "null" | "unit value" | "Option value" => "nothing",
        other => {
            if let Some(text) = other.strip_prefix("string ") {
                return format!("the text {text}");
            }
            // Numbers and booleans stand between backticks, after the name of their type.
            return other.split_once('`').map_or(other, |(_, rest)| rest.trim_end_matches('`')).to_owned();
        }
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, expected: &str) {
        assert_eq!(readable(message), expected);
    }

    #[test]
    fn a_wrong_type_is_named_without_names_of_rust_types() {
        check("invalid type: string \"lots\", expected i64", "must be a whole number, found the text \"lots\"");
        check("invalid type: floating point `1.5`, expected i32", "must be a whole number, found 1.5");
        check("invalid value: integer `-1`, expected u32", "must be a whole number that is not negative, found -1");
        check("invalid type: string \"yes\", expected a boolean", "must be true or false, found the text \"yes\"");
        check("invalid type: sequence, expected struct ChannelSpec", "must be a mapping of fields, found a list");
        check("invalid type: map, expected a sequence", "must be a list, found a mapping of fields");
        check("invalid type: null, expected f64", "must be a number, found nothing");
        check(
            "invalid type: boolean `true`, expected a string",
            "must be a text (in quotes if it looks like something else), found true",
        );
    }

    #[test]
    fn what_was_found_may_hold_any_words() {
        check(
            "invalid type: string \", expected x\", expected i64",
            "must be a whole number, found the text \", expected x\"",
        );
    }

    #[test]
    fn other_messages_stay() {
        check("missing field `name`", "name is required");
        check("must be between 1 and 5, found 9", "must be between 1 and 5, found 9");
        check("invalid type: something new", "invalid type: something new");
    }
}
