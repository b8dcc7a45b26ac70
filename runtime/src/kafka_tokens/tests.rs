//! Tokens from servers, files and Amazon's services, on real sockets.

use std::net::SocketAddr;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millrace_config::contract::credentials::{MskIam, TokenEndpoint, Unsecured};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;

/// A server that gives these answers one after the other, then the last one again, and shows what it was asked.
struct Server {
    address: SocketAddr,
    asked: mpsc::Receiver<String>,
}

impl Server {
    async fn start(answers: Vec<(u16, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, asked) = mpsc::channel(64);
        Drain::new(Duration::ZERO).tracker().spawn(async move {
            let mut answers = answers.into_iter().peekable();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !is_whole(&request) {
                    if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                        break;
                    }
                }
                tell.send(String::from_utf8_lossy(&request).into_owned()).await.unwrap_or_default();
                let (status, body) = answers.peek().cloned().unwrap_or((500, String::new()));
                if answers.len() > 1 {
                    answers.next();
                }
                let head =
                    format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap_or_default();
            }
        });
        Self { address, asked }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn jwt(claims: &serde_json::Value) -> String {
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn soon() -> i64 {
    clock::now_millis() / 1000 + 600
}

fn endpoint(url: String) -> TokenSource {
    TokenSource::Endpoint(TokenEndpoint {
        url,
        client_id: "my id".to_owned(),
        client_secret: "s3:cret".to_owned(),
        scope: Some("read write".to_owned()),
        principal_claim: "azp".to_owned(),
    })
}

fn granted(token: &str) -> (u16, String) {
    (200, serde_json::json!({"access_token": token, "token_type": "Bearer", "expires_in": 60}).to_string())
}

async fn get_alone(source: &TokenSource, aws: &AwsEnv) -> Result<Token, String> {
    get(source, aws).await.map_err(|error| with_causes(&error))
}

#[tokio::test]
async fn a_server_is_asked_with_the_clients_credentials_and_the_token_says_whom_it_names_and_how_long() {
    let exp = soon();
    let token = jwt(&serde_json::json!({"azp": "orders", "sub": "x", "exp": exp}));
    let mut server = Server::start(vec![granted(&token)]).await;
    let got = get_alone(&endpoint(server.url()), &AwsEnv::default()).await.unwrap();
    assert_eq!(got, Token { value: token, principal: "orders".to_owned(), expires_ms: exp * 1000 });
    let asked = server.asked.recv().await.unwrap();
    // "my%20id:s3%3Acret"
    assert!(asked.contains("authorization: Basic bXklMjBpZDpzMyUzQWNyZXQ="), "{asked}");
    assert!(asked.ends_with("\r\n\r\ngrant_type=client_credentials&scope=read%20write"), "{asked}");
}

#[tokio::test]
async fn a_token_that_says_nothing_lasts_as_long_as_the_server_says_and_names_the_client() {
    let server = Server::start(vec![granted("opaque")]).await;
    let got = get_alone(&endpoint(server.url()), &AwsEnv::default()).await.unwrap();
    assert_eq!((got.value.as_str(), got.principal.as_str()), ("opaque", "my id"));
    assert!((clock::now_millis() + 50_000..=clock::now_millis() + 60_000).contains(&got.expires_ms));
}

#[tokio::test]
async fn what_is_no_token_is_refused_with_a_reason_and_without_its_text() {
    let old = jwt(&serde_json::json!({"exp": 1}));
    for (answer, expected) in [
        ((401, "hunter2".to_owned()), "answered with status 401"),
        ((200, "hunter2".to_owned()), "did not answer with an access_token"),
        (granted("hunter2 hunter2"), "has characters that no token has"),
        (granted(&old), "it has run out"),
        ((200, serde_json::json!({"access_token": "hunter2"}).to_string()), "nothing says when it runs out"),
        ((200, "x".repeat(2_000_000)), "did not answer with a short text"),
    ] {
        let server = Server::start(vec![answer]).await;
        let error = get_alone(&endpoint(server.url()), &AwsEnv::default()).await.unwrap_err();
        assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn a_file_is_read_anew_for_each_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let source = TokenSource::File { path: path.clone(), principal_claim: "sub".to_owned() };
    assert!(get_alone(&source, &AwsEnv::default()).await.unwrap_err().starts_with("cannot read "));
    for name in ["first", "second"] {
        std::fs::write(&path, format!("{}\n", jwt(&serde_json::json!({"sub": name, "exp": soon()})))).unwrap();
        assert_eq!(get_alone(&source, &AwsEnv::default()).await.unwrap().principal, name);
    }
}

fn unsecured(seconds: u64) -> TokenSource {
    let lifetime = Duration::from_secs(seconds);
    TokenSource::Unsecured(Unsecured { principal: "me".to_owned(), lifetime, ..Unsecured::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn one_keeper_serves_all_clients_of_a_source_and_renews_before_the_end() {
    let tokens = KafkaTokens::new(AwsEnv::default(), Drain::new(Duration::from_secs(5)));
    let keeper = tokens.keeper(&unsecured(2));
    assert!(Arc::ptr_eq(&keeper, &tokens.keeper(&unsecured(2))));
    assert!(!Arc::ptr_eq(&keeper, &tokens.keeper(&unsecured(3600))));
    let waiting = Arc::clone(&keeper);
    let first = tokio::task::spawn_blocking(move || waiting.token()).await.unwrap().unwrap();
    let renewed = async {
        while keeper.token().unwrap().value == first.value {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), renewed).await.unwrap();
    let gone = Arc::downgrade(&keeper);
    drop(keeper);
    assert!(gone.upgrade().is_none(), "the renewing holds no keeper");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_fails_leaves_the_old_token_in_force() {
    let short = jwt(&serde_json::json!({"azp": "me", "exp": clock::now_millis() / 1000 + 3}));
    let mut server = Server::start(vec![granted(&short), (500, String::new())]).await;
    let tokens = KafkaTokens::new(AwsEnv::default(), Drain::new(Duration::from_secs(5)));
    let keeper = tokens.keeper(&endpoint(server.url()));
    for _ in 0..2 {
        server.asked.recv().await.unwrap();
    }
    assert_eq!(keeper.token().unwrap().value, short);
    let over = async {
        while keeper.token().is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), over).await.unwrap();
}

const ROLE: &str = "<r><Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>hunter2</SecretAccessKey>\
    <SessionToken>sess</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></r>";

fn signed(token: &Token) -> String {
    String::from_utf8(URL_SAFE_NO_PAD.decode(&token.value).unwrap()).unwrap()
}

#[tokio::test]
async fn a_role_is_taken_on_with_keys_of_the_environment() {
    let mut server = Server::start(vec![(200, ROLE.to_owned())]).await;
    let aws = AwsEnv {
        keys: Some(("AKID".to_owned(), "secret".to_owned())),
        region: Some("eu-west-1".to_owned()),
        sts_endpoint: Some(server.url()),
        ..AwsEnv::default()
    };
    let msk = MskIam { role_arn: Some("arn:aws:iam::1:role/r".to_owned()), ..MskIam::default() };
    let token = get_alone(&TokenSource::MskIam(msk), &aws).await.unwrap();
    assert_eq!(token.principal, "ASIA");
    assert!(signed(&token).contains("X-Amz-Security-Token=sess"), "{}", signed(&token));
    let asked = server.asked.recv().await.unwrap();
    assert!(asked.starts_with("GET /?Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&"), "{asked}");
    assert!(asked.contains("AKID%2F") && asked.contains("&X-Amz-Signature=") && !asked.contains("secret"), "{asked}");
}

#[tokio::test]
async fn a_service_account_becomes_a_role() {
    let mut server = Server::start(vec![(200, ROLE.to_owned())]).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "web.identity.token\n").unwrap();
    let aws = AwsEnv {
        web_identity: Some((folder.path().join("token"), "arn:r".to_owned())),
        region: Some("eu-west-1".to_owned()),
        sts_endpoint: Some(server.url()),
        ..AwsEnv::default()
    };
    let token = get_alone(&TokenSource::MskIam(MskIam::default()), &aws).await.unwrap();
    assert_eq!(token.principal, "ASIA");
    let asked = server.asked.recv().await.unwrap();
    assert!(asked.starts_with("POST / ") && asked.contains("&WebIdentityToken=web.identity.token"), "{asked}");
}

#[tokio::test]
async fn containers_and_machines_are_asked_for_their_role() {
    let keys = r#"{"AccessKeyId":"ASIA","SecretAccessKey":"s","Token":"t","Expiration":"2999-01-01T00:00:00Z"}"#;
    let region = Some("eu-west-1".to_owned());
    let mut server = Server::start(vec![(200, keys.to_owned())]).await;
    let (container, container_token) = (Some(server.url()), Some("let me".to_owned()));
    let aws = AwsEnv { region: region.clone(), container, container_token, ..AwsEnv::default() };
    assert_eq!(get_alone(&TokenSource::MskIam(MskIam::default()), &aws).await.unwrap().principal, "ASIA");
    assert!(server.asked.recv().await.unwrap().contains("authorization: let me\r\n"));

    let answers = vec![(200, "question".to_owned()), (200, "role\n".to_owned()), (200, keys.to_owned())];
    let mut server = Server::start(answers).await;
    let aws = AwsEnv { region, machine_endpoint: Some(server.url()), ..AwsEnv::default() };
    assert_eq!(get_alone(&TokenSource::MskIam(MskIam::default()), &aws).await.unwrap().principal, "ASIA");
    assert!(server.asked.recv().await.unwrap().starts_with("PUT /latest/api/token "));
    server.asked.recv().await.unwrap();
    let asked = server.asked.recv().await.unwrap();
    assert!(asked.starts_with("GET /latest/meta-data/iam/security-credentials/role "), "{asked}");
    assert!(asked.contains("x-aws-ec2-metadata-token: question"), "{asked}");
}

#[tokio::test]
async fn who_is_nobody_at_amazon_learns_what_is_missing() {
    let msk = TokenSource::MskIam(MskIam::default());
    let error = get_alone(&msk, &AwsEnv::default()).await.unwrap_err();
    assert!(error.contains("AWS_REGION is not set"), "{error}");
    let aws = AwsEnv { region: Some("r".to_owned()), no_machine: true, ..AwsEnv::default() };
    let error = get_alone(&msk, &aws).await.unwrap_err();
    assert!(error.starts_with("no credentials of Amazon were found"), "{error}");
    let missing = Path::new("/nowhere/token");
    let web_identity = Some((missing.to_owned(), "arn:r".to_owned()));
    let error = get_alone(&msk, &AwsEnv { web_identity, ..aws }).await.unwrap_err();
    assert!(error.starts_with("cannot read /nowhere/token"), "{error}");
}
