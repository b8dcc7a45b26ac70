//! Requests that ask after us instead of bringing an event: the kubelet's probes and the control plane's.
//!
//! Source: spec ingress 1.2 (step 2) and 1.4.

use http::request::Parts;
use http::{HeaderName, Method, StatusCode};

use crate::error::{Answer, empty};

const PROBE: HeaderName = HeaderName::from_static("k-network-probe");
const HASH: HeaderName = HeaderName::from_static("k-network-hash");

/// Exact paths, query excluded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProbePaths {
    pub(crate) liveness: String,
    pub(crate) readiness: String,
}

impl ProbePaths {
    /// The answer to a kubelet's probe; absent for any other request. A liveness path that is also the readiness path
    /// counts as liveness, because a wrong restart costs more than a wrong endpoint.
    pub(crate) fn answer(&self, head: &Parts, ready: bool) -> Option<Answer> {
        if head.method != Method::GET {
            return None;
        }
        match head.uri.path() {
            path if path == self.liveness => Some(empty(StatusCode::OK)),
            path if path == self.readiness && ready => Some(empty(StatusCode::OK)),
            path if path == self.readiness => Some(empty(StatusCode::SERVICE_UNAVAILABLE)),
            _ => None,
        }
    }
}

/// Whether the control plane asks if a target is served.
pub(crate) fn is_control_plane(head: &Parts) -> bool {
    head.method == Method::GET && head.headers.get(PROBE).is_some_and(|value| value == "probe")
}

/// Yes, it is served: the hash goes back as it came, so that the asker knows which state it saw.
pub(crate) fn served(head: &Parts) -> Answer {
    let mut answer = empty(StatusCode::OK);
    if let Some(hash) = head.headers.get(HASH) {
        answer.headers_mut().insert(HASH, hash.clone());
    }
    answer
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[track_caller]
    fn check(method: &str, uri: &str, ready: bool, expected: Option<u16>) {
        let paths = ProbePaths { liveness: "/healthz".to_owned(), readiness: "/readyz".to_owned() };
        let answer = paths.answer(&head(method, uri, &[]), ready);
        assert_eq!(answer.map(|answer| answer.status().as_u16()), expected, "{method} {uri}");
    }

    #[test]
    fn probes_are_get_requests_for_exactly_their_paths() {
        check("GET", "/healthz", false, Some(200));
        check("GET", "/healthz?verbose", false, Some(200));
        check("GET", "/readyz", true, Some(200));
        check("GET", "/readyz", false, Some(503));
        check("HEAD", "/healthz", true, None);
        check("POST", "/readyz", true, None);
        check("GET", "/healthz/", true, None);
        check("GET", "/", true, None);
    }

    #[test]
    fn the_control_planes_probe_is_a_get_whose_first_probe_header_says_probe() {
        assert!(is_control_plane(&head("GET", "/a", &[("K-Network-Probe", "probe")])));
        assert!(is_control_plane(&head("GET", "/a", &[("k-network-probe", "probe"), ("k-network-probe", "x")])));
        assert!(!is_control_plane(&head("GET", "/a", &[("K-Network-Probe", "x"), ("K-Network-Probe", "probe")])));
        assert!(!is_control_plane(&head("GET", "/a", &[("K-Network-Probe", "Probe")])));
        assert!(!is_control_plane(&head("POST", "/a", &[("K-Network-Probe", "probe")])));
        assert!(!is_control_plane(&head("GET", "/a", &[])));
    }

    #[test]
    fn the_hash_goes_back_as_it_came_or_not_at_all() {
        let answer = served(&head("GET", "/a", &[("K-Network-Hash", "123")]));
        assert_eq!((answer.status().as_u16(), &answer.headers()[HASH]), (200, &http::HeaderValue::from_static("123")));
        assert!(served(&head("GET", "/a", &[])).headers().is_empty());
    }
}
