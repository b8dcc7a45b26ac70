//! How often Secrets are read, and what is said when one is missing or wrong.

use millrace_config::contract::SecretFields;
use millrace_config::contract::credentials::{SecretField, SecurityProtocol};
use tempfile::TempDir;

use super::*;
use crate::testing::{ApiServer, secret_path};

const LIMIT: Duration = Duration::from_millis(300);

fn fixture() -> (ApiServer, Secrets, TempDir) {
    let (server, folder) = (ApiServer::start(), TempDir::new().unwrap());
    let cluster = Cluster::of_kubeconfig(server.kubeconfig(folder.path()), LIMIT);
    (server, Secrets::new(cluster), folder)
}

fn reference(name: &str) -> Reference {
    Reference { namespace: "ns".to_owned(), name: name.to_owned(), version: "1".to_owned(), ..Reference::default() }
}

fn one(name: &str) -> Auth {
    Auth::Secret(reference(name))
}

fn several(protocol: SecurityProtocol, secrets: &[(&str, &str, SecretField)]) -> Auth {
    let fields = |(name, key, field): &(&str, &str, SecretField)| SecretFields {
        reference: reference(name),
        fields: vec![((*key).to_owned(), *field)],
    };
    Auth::Secrets(MultiSecret { protocol, secrets: secrets.iter().map(fields).collect() })
}

const PASSWORD: [(&str, &str); 3] = [("protocol", "SASL_PLAINTEXT"), ("user", "alice"), ("password", "s3cret")];

fn reads(server: &ApiServer) -> usize {
    server.count("GET", &secret_path("ns", ""))
}

#[tokio::test]
async fn ten_thousand_resources_with_one_secret_are_one_read() {
    let (server, secrets, _folder) = fixture();
    server.secret("ns", "kafka", PASSWORD);
    let (auth, since) = (one("kafka"), Instant::now());
    let all = (0..10_000).map(|_| secrets.credentials(&auth, since));
    let all = try_join_all(all).await.unwrap();
    assert_eq!(reads(&server), 1);
    assert!(all.iter().all(|credentials| Arc::ptr_eq(credentials, &all[0])));
    secrets.credentials(&auth, Instant::now()).await.unwrap();
    assert_eq!(reads(&server), 2, "a later contract reads again");
}

#[tokio::test]
async fn a_failed_reading_is_shared_like_a_good_one_and_later_tried_again() {
    let (server, secrets, _folder) = fixture();
    let (auth, since) = (one("kafka"), Instant::now());
    for _ in 0..3 {
        let error = secrets.credentials(&auth, since).await.unwrap_err();
        assert_eq!(error.to_string(), "Secret ns/kafka not found");
    }
    assert_eq!(reads(&server), 1);
    server.secret("ns", "kafka", PASSWORD);
    assert!(secrets.credentials(&auth, Instant::now()).await.is_ok());
}

#[tokio::test]
async fn an_incomplete_secret_is_named_and_its_values_are_not() {
    let (server, secrets, _folder) = fixture();
    server.secret("ns", "kafka", [("protocol", "SASL_SSL"), ("password", "s3cret")]);
    let error = secrets.credentials(&one("kafka"), Instant::now()).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(text.starts_with("Secret ns/kafka is not usable: protocol SASL_SSL needs user and password"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
    server.secret("ns", "kafka", [("protocol", "x"); 0]);
    let error = secrets.credentials(&one("kafka"), Instant::now()).await.unwrap_err().to_string();
    assert!(error.contains("no security protocol specified"), "{error}");
}

#[tokio::test]
async fn several_secrets_are_gathered_and_each_must_have_data() {
    let (server, secrets, _folder) = fixture();
    server.secret("ns", "who", [("login", "alice")]);
    server.secret("ns", "word", [("word", "s3cret")]);
    let parts = [("who", "login", SecretField::User), ("word", "word", SecretField::Password)];
    let auth = several(SecurityProtocol::SaslPlaintext, &parts);
    let credentials = secrets.credentials(&auth, Instant::now()).await.unwrap();
    let client = credentials.client_properties();
    assert_eq!((client["sasl.username"].as_str(), client["sasl.password"].as_str()), ("alice", "s3cret"));
    server.secret("ns", "word", [("word", "x"); 0]);
    let empty = secrets.credentials(&auth, Instant::now()).await.unwrap_err();
    assert_eq!(empty.to_string(), "Secret ns/word has no data");
    server.remove_secret("ns", "who");
    assert!(secrets.credentials(&auth, Instant::now()).await.is_err());
}

#[tokio::test]
async fn what_names_no_secret_asks_nobody() {
    let (server, secrets, _folder) = fixture();
    let none = several(SecurityProtocol::Plaintext, &[]);
    for auth in [Auth::Absent, none] {
        let credentials = secrets.credentials(&auth, Instant::now()).await.unwrap();
        assert_eq!(credentials.protocol(), SecurityProtocol::Plaintext);
    }
    let tls = several(SecurityProtocol::Ssl, &[]);
    assert!(secrets.credentials(&tls, Instant::now()).await.is_err());
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_secret_that_hangs_holds_nobody_else_up() {
    let (server, secrets, _folder) = fixture();
    server.secret("ns", "good", PASSWORD);
    server.hang(&secret_path("ns", "hung"));
    let hung = [one("hung"), one("hung-2")];
    let hung = hung.iter().map(|auth| secrets.credentials(auth, Instant::now()));
    let good = one("good");
    let (hung, good) = tokio::join!(futures_util::future::join_all(hung), async {
        let started = Instant::now();
        secrets.credentials(&good, started).await.map(|_| started.elapsed())
    });
    assert!(hung.iter().all(|result| matches!(result, Err(SecretsError::Cluster(ClusterError::TimedOut { .. })))));
    assert!(good.unwrap() < LIMIT);
}
