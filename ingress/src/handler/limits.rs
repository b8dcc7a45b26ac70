//! Limits on the head of a request, which hyper knows only as one number for everything.
//!
//! hyper reads heads of up to 64 KiB (see `server`); what is within that and over these limits gets the peer's answers.
//! Source: spec ingress 1.1.

use std::time::Duration;

use http::request::Parts;
use millrace_config::properties::http_server::HttpServerSettings;

use crate::error::Rejection;

/// `HTTP/1.1` and the two spaces of a request line.
const LINE_REST_BYTES: usize = 10;
/// `: ` between a header's name and its value.
const SEPARATOR_BYTES: usize = 2;

/// Bounds on one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestLimits {
    /// `maxInitialLineLength`.
    pub(crate) line_bytes: usize,
    /// `maxHeaderSize`: all headers together, without line ends.
    pub(crate) header_bytes: usize,
    /// How long the whole body may take to arrive; absent: for ever.
    pub(crate) body_arrival: Option<Duration>,
    /// What a body must keep up with after its first seconds; absent: nothing.
    pub(crate) bytes_per_second: Option<u32>,
    /// `decompressionSupported`.
    pub(crate) inflate: bool,
    /// Events in one batch.
    pub(crate) batch: usize,
}

impl From<&HttpServerSettings> for RequestLimits {
    fn from(settings: &HttpServerSettings) -> Self {
        Self {
            line_bytes: settings.max_initial_line_length,
            header_bytes: settings.max_header_size,
            body_arrival: settings.body_timeout,
            bytes_per_second: settings.body_rate_min,
            inflate: settings.decompression,
            batch: settings.batch_max,
        }
    }
}

impl RequestLimits {
    /// Checks the head.
    ///
    /// # Errors
    ///
    /// `LineTooLong` or `HeadersTooLarge`.
    pub(crate) fn check(&self, head: &Parts) -> Result<(), Rejection> {
        let uri = &head.uri;
        let target = uri.path_and_query().map_or(0, |path| path.as_str().len())
            + uri.authority().map_or(0, |authority| authority.as_str().len())
            + uri.scheme_str().map_or(0, |scheme| scheme.len() + "://".len());
        if head.method.as_str().len() + target + LINE_REST_BYTES > self.line_bytes {
            return Err(Rejection::LineTooLong { limit_bytes: self.line_bytes });
        }
        let headers: usize =
            head.headers.iter().map(|(name, value)| name.as_str().len() + SEPARATOR_BYTES + value.len()).sum();
        if headers > self.header_bytes {
            return Err(Rejection::HeadersTooLarge { limit_bytes: self.header_bytes });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const LIMITS: RequestLimits = RequestLimits {
        line_bytes: 30,
        header_bytes: 20,
        body_arrival: None,
        bytes_per_second: None,
        inflate: false,
        batch: 1,
    };

    #[track_caller]
    fn check(uri: &str, headers: &[(&str, &str)], expected: &str) {
        let mut request = Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let refused = LIMITS.check(&request.body(()).unwrap().into_parts().0);
        assert_eq!(refused.map_or_else(|rejection| format!("{rejection:?}"), |()| "ok".to_owned()), expected);
    }

    #[test]
    fn the_request_line_is_counted_with_method_and_version() {
        // "POST " + 16 + " HTTP/1.1" is 30 bytes.
        check("/234567890?345.7", &[], "ok");
        check("/234567890?345.78", &[], "LineTooLong { limit_bytes: 30 }");
        check("http://host/234.6", &[], "LineTooLong { limit_bytes: 30 }");
    }

    #[test]
    fn headers_are_counted_together() {
        check("/", &[("a", "1234567"), ("b", "1234567")], "ok");
        check("/", &[("a", "1234567"), ("b", "12345678")], "HeadersTooLarge { limit_bytes: 20 }");
    }
}
