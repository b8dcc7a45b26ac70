//! A stand-in for the Kubernetes API server, for tests of this crate and of those that use it (feature `testing`).
//!
//! Speaks HTTP on 127.0.0.1 from a thread of its own; keeps Secrets and created objects in memory, hands out tokens, and
//! fails or hangs on demand. Nothing of a product build contains it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde_json::{Value, json};

pub(crate) mod loopback;

use crate::clock;
use loopback::Loopback;

/// The bearer token in the kubeconfig that [`ApiServer::kubeconfig`] writes.
pub const BEARER: &str = "stand-in-bearer";

/// A running stand-in; it ends when dropped.
#[derive(Debug)]
pub struct ApiServer {
    server: Loopback,
    model: Arc<Mutex<Model>>,
}

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `GET`, `POST`.
    pub method: String,
    /// Without query.
    pub path: String,
    /// The header as it came.
    pub authorization: Option<String>,
    /// Null when there was none.
    pub body: Value,
}

#[derive(Debug)]
struct Model {
    objects: BTreeMap<String, Value>,
    /// By beginning of the path; the longest counts.
    troubles: BTreeMap<String, Trouble>,
    seen: Vec<Seen>,
    token_life: Duration,
    tokens: usize,
}

#[derive(Clone, Copy, Debug)]
enum Trouble {
    Status(u16),
    Hang,
}

impl ApiServer {
    /// Starts one with nothing in it.
    ///
    /// # Panics
    ///
    /// When the machine has no port or thread left.
    #[must_use]
    pub fn start() -> Self {
        let model = Model {
            objects: BTreeMap::new(),
            troubles: BTreeMap::new(),
            seen: Vec::new(),
            token_life: Duration::from_secs(3600),
            tokens: 0,
        };
        let model = Arc::new(Mutex::new(model));
        let server = Loopback::serve(Router::new().fallback(answer).with_state(Arc::clone(&model)));
        Self { server, model }
    }

    /// `http://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Writes a kubeconfig for this server into `folder` and returns its path, for `KUBECONFIG`.
    ///
    /// # Panics
    ///
    /// When the folder cannot be written.
    pub fn kubeconfig(&self, folder: &Path) -> PathBuf {
        let path = folder.join("kubeconfig");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.url()}}],
            "users": [{"name": "test", "user": {"token": BEARER}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "default"}}],
        });
        std::fs::write(&path, config.to_string()).expect("the test's folder can be written");
        path
    }

    /// Creates or replaces a Secret.
    pub fn secret<V: AsRef<[u8]>>(
        &self,
        namespace: &str,
        name: &str,
        data: impl IntoIterator<Item = (&'static str, V)>,
    ) {
        let data: BTreeMap<_, _> =
            data.into_iter().map(|(key, value)| (key, ByteString(value.as_ref().to_vec()))).collect();
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": namespace, "name": name}, "data": data,
        });
        self.put(&secret_path(namespace, name), secret);
    }

    /// Removes a Secret.
    pub fn remove_secret(&self, namespace: &str, name: &str) {
        self.model().objects.remove(&secret_path(namespace, name));
    }

    /// What a GET of `path` answers.
    pub fn put(&self, path: &str, document: Value) {
        self.model().objects.insert(path.to_owned(), document);
    }

    /// What was put or created at `path`.
    #[must_use]
    pub fn object(&self, path: &str) -> Option<Value> {
        self.model().objects.get(path).cloned()
    }

    /// Requests whose path begins with this are answered with the status, until [`ApiServer::heal`].
    pub fn fail(&self, path: &str, status: u16) {
        self.model().troubles.insert(path.to_owned(), Trouble::Status(status));
    }

    /// Requests whose path begins with this are never answered, until [`ApiServer::heal`] is called before they come.
    pub fn hang(&self, path: &str) {
        self.model().troubles.insert(path.to_owned(), Trouble::Hang);
    }

    /// Ends what [`ApiServer::fail`] and [`ApiServer::hang`] began.
    pub fn heal(&self) {
        self.model().troubles.clear();
    }

    /// How long the tokens last that it hands out.
    pub fn token_life(&self, life: Duration) {
        self.model().token_life = life;
    }

    /// Every request so far, in the order they came.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.model().seen.clone()
    }

    /// How many requests so far had this method, and a path that begins like this.
    #[must_use]
    pub fn count(&self, method: &str, path: &str) -> usize {
        let model = self.model();
        model.seen.iter().filter(|seen| seen.method == method && seen.path.starts_with(path)).count()
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        lock(&self.model)
    }
}

/// The path of a Secret, for the requests above.
#[must_use]
pub fn secret_path(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/secrets/{name}")
}

fn lock(model: &Mutex<Model>) -> MutexGuard<'_, Model> {
    model.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(model): State<Arc<Mutex<Model>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 4 * 1024 * 1024).await.unwrap_or_default();
    let path = parts.uri.path().to_owned();
    let authorization = parts.headers.get(header::AUTHORIZATION);
    let seen = Seen {
        method: parts.method.to_string(),
        path: path.clone(),
        authorization: authorization.and_then(|value| value.to_str().ok()).map(str::to_owned),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let trouble = {
        let mut model = lock(&model);
        model.seen.push(seen.clone());
        model.troubles.iter().rev().find(|(beginning, _)| path.starts_with(*beginning)).map(|(_, trouble)| *trouble)
    };
    match trouble {
        Some(Trouble::Hang) => std::future::pending().await,
        Some(Trouble::Status(status)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            refuse(status, "the test says so")
        }
        None if parts.method == Method::POST && path.ends_with("/token") => token(&model, &path),
        None if parts.method == Method::POST => create(&model, &path, seen.body),
        None => match lock(&model).objects.get(&path) {
            Some(object) => reply(StatusCode::OK, object),
            None => refuse(StatusCode::NOT_FOUND, &format!("{path} not found")),
        },
    }
}

/// Service accounts exist without being created. Tokens are numbered, so that a test sees which one was used.
fn token(model: &Mutex<Model>, path: &str) -> Response {
    let mut model = lock(model);
    model.tokens += 1;
    let account = path.split('/').rev().nth(1).unwrap_or_default();
    let expires = clock::now() + model.token_life;
    let expires = Timestamp::try_from(expires).expect("the time of a test can be written");
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}, "spec": {"audiences": []},
        "status": {"token": format!("{account}-{}", model.tokens), "expirationTimestamp": expires.to_string()},
    });
    reply(StatusCode::CREATED, &request)
}

fn create(model: &Mutex<Model>, collection: &str, object: Value) -> Response {
    let path = format!("{collection}/{}", object["metadata"]["name"].as_str().unwrap_or_default());
    let mut model = lock(model);
    if model.objects.contains_key(&path) {
        return refuse(StatusCode::CONFLICT, "already exists");
    }
    let answer = reply(StatusCode::CREATED, &object);
    model.objects.insert(path, object);
    answer
}

fn reply(status: StatusCode, object: &Value) -> Response {
    let body = Bytes::from(object.to_string());
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn refuse(status: StatusCode, message: &str) -> Response {
    let code = status.as_u16();
    reply(status, &json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": message, "code": code}))
}
