//! The demo's objects: one channel and three subscriptions, as a user would write them.
//!
//! Only texts; control reads them like any other folder, so they can be edited while the demo runs.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub(super) const CHANNEL: &str = "orders";
pub(super) const SUBSCRIPTIONS: usize = 3;

/// Paths of the subscriber.
pub(super) const PLAIN: &str = "/plain";
pub(super) const FLAKY: &str = "/flaky";
pub(super) const FAILING: &str = "/failing";
pub(super) const DEAD: &str = "/dead";

/// Written into a temporary folder, which is removed when this is dropped.
pub(super) struct Objects {
    folder: PathBuf,
    /// Keeps the folder.
    _temporary: TempDir,
}

impl Objects {
    /// # Errors
    /// When the folder or a file cannot be written.
    pub(super) fn write(subscriber_url: &str) -> std::io::Result<Self> {
        let temporary = tempfile::Builder::new().prefix("millrace-demo-").tempdir()?;
        let folder = temporary.path().canonicalize()?;
        std::fs::write(folder.join("channel.yaml"), channel())?;
        std::fs::write(folder.join("subscriptions.yaml"), subscriptions(subscriber_url))?;
        Ok(Self { folder, _temporary: temporary })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

fn channel() -> String {
    format!(
        "\
apiVersion: messaging.knative.dev/v1beta1
kind: KafkaChannel
metadata:
  name: {CHANNEL}
  namespace: default
spec:
  numPartitions: 3
  replicationFactor: 1
"
    )
}

fn subscriptions(subscriber_url: &str) -> String {
    let plain = subscription("plain", &format!("{subscriber_url}{PLAIN}"), "");
    // Not `"\`: a line continuation would swallow the indentation.
    let retries = "  delivery:
    retry: 3
    backoffPolicy: linear
    backoffDelay: PT0.1S
";
    let flaky = subscription("flaky", &format!("{subscriber_url}{FLAKY}"), retries);
    let dead = format!(
        "  delivery:
    retry: 1
    backoffPolicy: linear
    backoffDelay: PT0.1S
    deadLetterSink:
      uri: {subscriber_url}{DEAD}
"
    );
    let failing = subscription("failing", &format!("{subscriber_url}{FAILING}"), &dead);
    [plain, flaky, failing].join("---\n")
}

fn subscription(name: &str, uri: &str, delivery: &str) -> String {
    format!(
        "\
apiVersion: messaging.knative.dev/v1
kind: Subscription
metadata:
  name: {name}
  namespace: default
spec:
  channel:
    apiVersion: messaging.knative.dev/v1beta1
    kind: KafkaChannel
    name: {CHANNEL}
  subscriber:
    uri: {uri}
{delivery}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_documents_say_where_events_go() {
        let text = subscriptions("http://127.0.0.1:9");
        let documents: Vec<&str> = text.split("---\n").collect();
        assert_eq!(documents.len(), SUBSCRIPTIONS);
        assert!(documents[0].ends_with("uri: http://127.0.0.1:9/plain\n"), "{}", documents[0]);
        assert!(documents[1].contains("/flaky\n  delivery:\n    retry: 3\n"), "{}", documents[1]);
        assert!(documents[2].contains("/failing\n  delivery:\n    retry: 1\n"), "{}", documents[2]);
        assert!(documents[2].contains("    deadLetterSink:\n      uri: http://127.0.0.1:9/dead\n"), "{}", documents[2]);
    }

    #[test]
    fn the_folder_is_removed_at_the_end() {
        let objects = Objects::write("http://127.0.0.1:9").unwrap();
        let folder = objects.folder().to_owned();
        assert!(folder.join("channel.yaml").is_file());
        drop(objects);
        assert!(!folder.exists());
    }
}
