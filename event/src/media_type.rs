//! Tells JSON content types from others.
//!
//! Deliberately as narrow as the Java SDK: what it takes for JSON decides between `data` and `data_base64` and between
//! a JSON value and a string, so a wider rule would give the same event two readings.
//! Source: the Java SDK's JSON format, `^(application|text)/([a-zA-Z]+\+)?json(;.*)*$`.

/// Whether data of this content type is JSON. No content type at all means JSON.
pub(crate) fn is_json(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else { return true };
    let media_type = content_type.split_once(';').map_or(content_type, |(media_type, _)| media_type);
    let Some(subtype) = media_type.strip_prefix("application/").or_else(|| media_type.strip_prefix("text/")) else {
        return false;
    };
    match subtype.split_once('+') {
        None => subtype == "json",
        Some((prefix, suffix)) => {
            suffix == "json" && !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_alphabetic())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_json;

    #[test]
    fn json_is_recognised_as_narrowly_as_by_the_peer() {
        for json in [
            "application/json",
            "text/json",
            "application/json;charset=utf-8",
            "application/a+json;x;y",
            "text/Ab+json",
        ] {
            assert!(is_json(Some(json)), "{json}");
        }
        for other in [
            "",
            "application/json ;x",
            "application/vnd.foo+json",
            "application/+json",
            "application/a+b+json",
            "Application/json",
            "application/JSON",
            "image/json",
            "application/jsonp",
            "application/x-json",
            "application/json+xml",
        ] {
            assert!(!is_json(Some(other)), "{other}");
        }
        assert!(is_json(None), "no content type means JSON");
    }
}
