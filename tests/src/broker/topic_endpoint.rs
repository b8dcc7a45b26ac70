//! The HTTP endpoint through which `millrace-control` creates topics on an embedded broker.
//!
//! The mock cluster has no admin protocol, so its owner (in production `millrace dev`, here the test) answers
//! `PUT /topics/NAME?partitions=N`.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response};
use http_body_util::Full;

use crate::broker::Broker;
use crate::broker::embedded::EmbeddedBroker;
use crate::server::Server;

/// Serves the endpoint; ends with the returned value.
#[must_use]
pub fn serve(broker: &Arc<EmbeddedBroker>) -> Server {
    let broker = Arc::clone(broker);
    Server::start(move |request, _| {
        let wanted = (request.method() == Method::PUT).then(|| wanted(request.uri())).flatten();
        let status = match wanted {
            Some((name, partitions)) => {
                broker.create_topic(&name, partitions);
                201
            }
            None => 404,
        };
        async move { Response::builder().status(status).body(Full::new(Bytes::new())).ok() }
    })
}

fn wanted(uri: &http::Uri) -> Option<(String, i32)> {
    let name = uri.path().strip_prefix("/topics/")?;
    let partitions = uri.query()?.strip_prefix("partitions=")?;
    Some((name.to_owned(), partitions.parse().ok()?))
}
