//! The cluster that the kubeconfig names: reads what the plans ask for, does steps, keeps the journal.
//!
//! Decides nothing. Before a change, how to take it back is written into the ConfigMap `millrace-migration`, so that
//! `--back` works from any machine and after any interruption.

use kube::Client;
use serde_json::{Value, json};

use super::MigrateError;
use super::plan::{Change, Step, Undo};
use super::world::{CONFIG_MAP, Query, Ref, World};

const JOURNAL: &str = "millrace-migration";
/// What kube sends in a merge patch.
const MERGE: &str = "application/merge-patch+json";

pub(super) struct Cluster {
    client: Client,
    namespace: String,
}

/// One change that can be taken back.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// Of the journal; in the order of the changes.
    pub(super) key: String,
    /// For a person.
    pub(super) object: String,
    path: String,
    collection: String,
    undo: Undo,
}

impl Cluster {
    pub(super) async fn connect(namespace: &str) -> Result<Self, MigrateError> {
        Ok(Self { client: Client::try_default().await?, namespace: namespace.to_owned() })
    }

    pub(super) async fn read(&self, queries: &[Query]) -> Result<World, MigrateError> {
        let mut world = World::default();
        for query in queries {
            match query {
                Query::One(object) => {
                    if let Some(found) = self.get(&object.path()).await? {
                        world.objects.insert(object.clone(), found);
                    }
                }
                Query::All(resource, selector) => {
                    let mut path = Ref::new(*resource, "", "").collection();
                    if !selector.is_empty() {
                        path = format!("{path}?labelSelector={}", selector.replace('=', "%3D").replace('/', "%2F"));
                    }
                    // A kind that is not served has no objects.
                    let found = self.get(&path).await?.unwrap_or_default();
                    let items = found.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
                    items.into_iter().for_each(|item| world.add(*resource, item));
                }
            }
        }
        Ok(world)
    }

    /// Does one step. Doing it twice does no harm.
    pub(super) async fn take(&self, step: &Step) -> Result<(), MigrateError> {
        if let Some(undo) = &step.undo {
            self.record(&step.object, undo).await?;
        }
        match &step.change {
            Change::Merge(patch) => self.merge(&step.object.path(), patch).await,
            Change::Delete => match self.send("DELETE", &step.object.path(), None, "").await {
                Err(MigrateError::Kube(kube::Error::Api(status))) if status.code == 404 => Ok(()),
                other => other.map(|_| ()),
            },
        }
    }

    /// The journal, last change first.
    pub(super) async fn journal(&self) -> Result<Vec<Entry>, MigrateError> {
        let found = self.get(&self.journal_ref().path()).await?.unwrap_or_default();
        let data = found.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
        let mut entries = data
            .into_iter()
            .map(|(key, value)| entry(&key, value.as_str().unwrap_or_default()).ok_or(MigrateError::Journal { key }))
            .collect::<Result<Vec<_>, _>>()?;
        entries.sort_by(|a, b| b.key.cmp(&a.key));
        Ok(entries)
    }

    /// Takes one change back and forgets it.
    pub(super) async fn take_back(&self, entry: &Entry) -> Result<(), MigrateError> {
        let done = match &entry.undo {
            Undo::Merge(patch) => self.merge(&entry.path, patch).await,
            Undo::Create(object) => {
                self.send("POST", &entry.collection, Some(object), "application/json").await.map(|_| ())
            }
        };
        match done {
            // It has gone since, or is there again: nothing is left to take back.
            Err(MigrateError::Kube(kube::Error::Api(status))) if status.code == 404 || status.code == 409 => {}
            other => other?,
        }
        let mut forgotten = serde_json::Map::new();
        forgotten.insert(entry.key.clone(), Value::Null);
        self.merge(&self.journal_ref().path(), &json!({"data": forgotten})).await
    }

    /// The first record of a change stays: a later one would only remember what we made of the object.
    async fn record(&self, object: &Ref, undo: &Undo) -> Result<(), MigrateError> {
        let journal = self.journal().await?;
        let (same, undo) = match undo {
            Undo::Merge(patch) => ("merge", patch),
            Undo::Create(object) => ("create", object),
        };
        if journal.iter().any(|entry| entry.path == object.path() && entry.key.ends_with(same)) {
            return Ok(());
        }
        let last = journal.first().and_then(|entry| entry.key.split('-').next()?.parse::<u32>().ok()).unwrap_or(0);
        let key = format!("{:06}-{}-{same}", last + 1, object.resource.kind.to_lowercase());
        let content =
            json!({"object": object.to_string(), "path": object.path(), "collection": object.collection(), same: undo});
        let mut data = serde_json::Map::new();
        data.insert(key, json!(content.to_string()));
        let patch = json!({"data": data});
        match self.merge(&self.journal_ref().path(), &patch).await {
            Err(MigrateError::Kube(kube::Error::Api(status))) if status.code == 404 => {
                let fresh = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": JOURNAL}, "data": patch["data"]});
                let collection = self.journal_ref().collection();
                self.send("POST", &collection, Some(&fresh), "application/json").await.map(|_| ())
            }
            other => other,
        }
    }

    fn journal_ref(&self) -> Ref {
        Ref::new(CONFIG_MAP, &self.namespace, JOURNAL)
    }

    async fn get(&self, path: &str) -> Result<Option<Value>, MigrateError> {
        match self.send("GET", path, None, "").await {
            Ok(found) => Ok(Some(found)),
            Err(MigrateError::Kube(kube::Error::Api(status))) if status.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn merge(&self, path: &str, patch: &Value) -> Result<(), MigrateError> {
        self.send("PATCH", path, Some(patch), MERGE).await.map(|_| ())
    }

    async fn send(&self, method: &str, path: &str, body: Option<&Value>, media: &str) -> Result<Value, MigrateError> {
        let mut request = http::Request::builder().method(method).uri(path);
        if !media.is_empty() {
            request = request.header(http::header::CONTENT_TYPE, media);
        }
        let body = body.map(Value::to_string).unwrap_or_default().into_bytes();
        Ok(self.client.request(request.body(body)?).await?)
    }
}

fn entry(key: &str, content: &str) -> Option<Entry> {
    let content: Value = serde_json::from_str(content).ok()?;
    let text = |field: &str| content.get(field).and_then(Value::as_str).map(str::to_owned);
    let undo = match (content.get("merge"), content.get("create")) {
        (Some(patch), None) => Undo::Merge(patch.clone()),
        (None, Some(object)) => Undo::Create(object.clone()),
        (Some(_), Some(_)) | (None, None) => return None,
    };
    let (object, path, collection) = (text("object")?, text("path")?, text("collection")?);
    Some(Entry { key: key.to_owned(), object, path, collection, undo })
}
