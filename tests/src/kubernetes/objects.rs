//! Objects of a cluster as JSON, read and written by one user, as `kubectl` would.
//!
//! Blocking, for tests that are plain functions. Knows no kind by itself: the path of an object comes from its
//! `apiVersion` and `kind` by asking the server.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use http::Request;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// As whom fields are owned when a test applies an object.
const FIELD_MANAGER: &str = "kubectl";

/// A client of one user.
#[derive(Clone)]
pub struct Objects {
    client: Client,
    /// Plural and whether namespaced, by `apiVersion/kind`.
    resources: Arc<Mutex<HashMap<String, (String, bool)>>>,
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Objects")
    }
}

/// What the server answered instead of doing it, in its own words.
#[derive(Debug)]
pub struct Refused {
    /// The HTTP status; 0 when there was no answer.
    pub code: u16,
    /// The server's message.
    pub message: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.code, self.message)
    }
}

impl From<kube::Error> for Refused {
    fn from(error: kube::Error) -> Self {
        let code = if let kube::Error::Api(status) = &error { status.code } else { 0 };
        Self { code, message: error.to_string() }
    }
}

impl Objects {
    /// The client of the user whom a kubeconfig file names.
    ///
    /// # Panics
    /// When the file is not one.
    #[must_use]
    pub fn new(kubeconfig: &Path) -> Self {
        Self::try_new(kubeconfig).expect("a usable kubeconfig")
    }

    /// As [`Self::new`].
    ///
    /// # Errors
    /// When the file is not one.
    pub fn try_new(kubeconfig: &Path) -> Result<Self, String> {
        let kubeconfig = Kubeconfig::read_from(kubeconfig).map_err(|error| error.to_string())?;
        let client = runtime().block_on(async {
            let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
            Client::try_from(config.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
        })?;
        Ok(Self { client, resources: Arc::default() })
    }

    /// One object, `None` when it is not there.
    ///
    /// # Panics
    /// When the server refuses.
    #[must_use]
    pub fn get(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let path = self.path(api_version, kind, namespace, name);
        match self.request("GET", &path, None, None) {
            Ok(found) => Some(found),
            Err(refused) if refused.code == 404 => None,
            Err(refused) => panic!("GET {path}: {refused}"),
        }
    }

    /// All objects of a kind, in one namespace or (with an empty name) in all.
    ///
    /// # Panics
    /// When the server refuses.
    #[must_use]
    pub fn list(&self, api_version: &str, kind: &str, namespace: &str) -> Vec<Value> {
        let path = self.path(api_version, kind, namespace, "");
        let list = self.request("GET", &path, None, None).unwrap_or_else(|refused| panic!("GET {path}: {refused}"));
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Applies objects of a YAML text, several documents, as `kubectl apply --server-side` does, with strict validation.
    ///
    /// # Panics
    /// When the server refuses one.
    pub fn apply(&self, yaml: &str) {
        for object in documents(yaml) {
            self.try_apply(&object).unwrap_or_else(|refused| panic!("cannot apply {object}: {refused}"));
        }
    }

    /// Applies one object.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn try_apply(&self, object: &Value) -> Result<Value, Refused> {
        let path = self.try_path_of(object)?;
        let query = format!("?fieldManager={FIELD_MANAGER}&force=true&fieldValidation=Strict");
        self.request("PATCH", &(path + &query), Some("application/apply-patch+yaml"), Some(object))
    }

    /// Merges a change into an object.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn try_patch(
        &self,
        [api_version, kind, namespace, name]: [&str; 4],
        subresource: &str,
        change: &Value,
    ) -> Result<Value, Refused> {
        let path = self.path(api_version, kind, namespace, name) + subresource;
        self.request("PATCH", &path, Some("application/merge-patch+json"), Some(change))
    }

    /// Merges a change into an object.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn patch(&self, object: [&str; 4], change: &Value) -> Value {
        self.try_patch(object, "", change).unwrap_or_else(|refused| panic!("cannot patch {object:?}: {refused}"))
    }

    /// Merges a change into an object's status.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn patch_status(&self, object: [&str; 4], status: &Value) -> Value {
        let change = json!({"status": status});
        self.try_patch(object, "/status", &change)
            .unwrap_or_else(|refused| panic!("cannot patch {object:?}: {refused}"))
    }

    /// Deletes an object, which may stay for its finalizers; one that is not there counts as deleted.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn delete(&self, [api_version, kind, namespace, name]: [&str; 4]) {
        let path = self.path(api_version, kind, namespace, name);
        match self.request("DELETE", &path, None, None) {
            Ok(_) => {}
            Err(refused) if refused.code == 404 => {}
            Err(refused) => panic!("DELETE {path}: {refused}"),
        }
    }

    /// Posts a body to a path.
    ///
    /// # Panics
    /// When the server refuses.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.request("POST", path, Some("application/json"), Some(body))
            .unwrap_or_else(|refused| panic!("POST {path}: {refused}"))
    }

    /// What is at a path, as text.
    ///
    /// # Errors
    /// When there is no answer, or another than a success.
    pub fn try_text(&self, path: &str) -> Result<String, String> {
        let request = Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
        runtime().block_on(self.client.request_text(request)).map_err(|error| error.to_string())
    }

    /// Names and versions of the objects in a collection, without their content.
    ///
    /// # Errors
    /// When there is no answer, or another than a success.
    pub fn versions(&self, path: &str) -> Result<BTreeMap<String, String>, String> {
        let only = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        let request = Request::get(path).header("accept", only).body(Vec::new()).map_err(|error| error.to_string())?;
        let list: Value = runtime().block_on(self.client.request(request)).map_err(|error| error.to_string())?;
        let text = |item: &Value, field: &str| item["metadata"][field].as_str().unwrap_or_default().to_owned();
        let items = list["items"].as_array().into_iter().flatten();
        Ok(items.map(|item| (text(item, "name"), text(item, "resourceVersion"))).collect())
    }

    fn path(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> String {
        self.try_path(api_version, kind, namespace, name).unwrap_or_else(|refused| panic!("{kind}: {refused}"))
    }

    /// The path of an object, also when its kind is not served yet: then the server's refusal.
    fn try_path_of(&self, object: &Value) -> Result<String, Refused> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        self.try_path(text("/apiVersion"), text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
    }

    fn try_path(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<String, Refused> {
        let root = if api_version.contains('/') { "/apis" } else { "/api" };
        let base = format!("{root}/{api_version}");
        let (plural, namespaced) = self.resource(&base, api_version, kind)?;
        let place =
            if namespaced && !namespace.is_empty() { format!("/namespaces/{namespace}") } else { String::new() };
        let name = if name.is_empty() { String::new() } else { format!("/{name}") };
        Ok(format!("{base}{place}/{plural}{name}"))
    }

    fn resource(&self, base: &str, api_version: &str, kind: &str) -> Result<(String, bool), Refused> {
        let key = format!("{api_version}/{kind}");
        let known = self.resources.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let list = self.request("GET", base, None, None)?;
        let all = list["resources"].as_array().cloned().unwrap_or_default();
        // Subresources have the same kind and a slash in their name.
        let found = all
            .iter()
            .find(|found| found["kind"] == kind && found["name"].as_str().is_some_and(|name| !name.contains('/')));
        let found = found.ok_or_else(|| Refused { code: 404, message: format!("{key} is not served") })?;
        let resource =
            (found["name"].as_str().unwrap_or_default().to_owned(), found["namespaced"].as_bool().unwrap_or_default());
        self.resources.lock().unwrap_or_else(PoisonError::into_inner).insert(key, resource.clone());
        Ok(resource)
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        content_type: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Value, Refused> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let body = body.map(Value::to_string).unwrap_or_default().into_bytes();
        let request = request.body(body).map_err(|error| Refused { code: 0, message: error.to_string() })?;
        Ok(runtime().block_on(self.client.request::<Value>(request))?)
    }
}

/// The documents of a YAML text, empty ones left out.
///
/// # Panics
/// When it is not YAML.
#[must_use]
pub fn documents(yaml: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap_or_else(|error| panic!("not YAML: {error}\n{yaml}"));
    all.into_iter().filter(|document| !document.is_null()).collect()
}

/// Clients have tasks of their own, so the runtime has to go on between calls.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
    })
}
