//! A local OpenID Connect issuer: discovery, keys, rotation, outage, and tokens signed with real keys.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const AUDIENCE: &str = "orders-audience";

/// A key pair with its name.
pub(crate) struct Signer {
    pub(crate) kid: &'static str,
    pub(crate) algorithm: Algorithm,
    key: EncodingKey,
    jwk: Value,
}

impl Signer {
    fn new(kid: &'static str, algorithm: Algorithm) -> Self {
        type Read = fn(&[u8]) -> jsonwebtoken::errors::Result<EncodingKey>;
        let kinds: [(_, &'static rcgen::SignatureAlgorithm, Read); 4] = [
            (Algorithm::RS256, &rcgen::PKCS_RSA_SHA256, EncodingKey::from_rsa_pem),
            (Algorithm::ES256, &rcgen::PKCS_ECDSA_P256_SHA256, EncodingKey::from_ec_pem),
            (Algorithm::ES384, &rcgen::PKCS_ECDSA_P384_SHA384, EncodingKey::from_ec_pem),
            (Algorithm::EdDSA, &rcgen::PKCS_ED25519, EncodingKey::from_ed_pem),
        ];
        let (_, kind, read) = kinds.into_iter().find(|(known, ..)| *known == algorithm).unwrap();
        let pair = rcgen::KeyPair::generate_for(kind).unwrap();
        let key = read(pair.serialize_pem().as_bytes()).unwrap();
        let mut jwk = if algorithm == Algorithm::EdDSA {
            json!({"kty": "OKP", "crv": "Ed25519", "x": BASE64_URL_SAFE_NO_PAD.encode(pair.public_key_raw())})
        } else {
            serde_json::to_value(Jwk::from_encoding_key(&key, algorithm).unwrap()).unwrap()
        };
        // Kubernetes says "alg" too; leaving it out lets one RSA key serve for RS and PS here.
        jwk.as_object_mut().unwrap().remove("alg");
        jwk["kid"] = json!(kid);
        jwk["use"] = json!("sig");
        Self { kid, algorithm, key, jwk }
    }

    /// The public half, as an issuer publishes it.
    pub(crate) fn jwk(&self) -> Value {
        self.jwk.clone()
    }

    pub(crate) fn header(&self) -> Header {
        Header { kid: Some(self.kid.to_owned()), ..Header::new(self.algorithm) }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with(&self.header(), claims)
    }

    pub(crate) fn sign_with(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.key).unwrap()
    }
}

/// Made once for all tests: an RSA key takes a while.
pub(crate) static RSA: LazyLock<Signer> = LazyLock::new(|| Signer::new("rsa", Algorithm::RS256));
pub(crate) static RSA_2: LazyLock<Signer> = LazyLock::new(|| Signer::new("rsa-2", Algorithm::RS256));
pub(crate) static P256: LazyLock<Signer> = LazyLock::new(|| Signer::new("p256", Algorithm::ES256));
pub(crate) static P384: LazyLock<Signer> = LazyLock::new(|| Signer::new("p384", Algorithm::ES384));
pub(crate) static ED: LazyLock<Signer> = LazyLock::new(|| Signer::new("ed", Algorithm::EdDSA));

pub(crate) fn now() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "tokens of a test carry the real time")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Claims as the cluster puts them into a token for a service account.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": [AUDIENCE], "sub": "system:serviceaccount:shop:sender",
        "iat": now(), "nbf": now(), "exp": now() + 3600,
        "kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "sender"}},
    })
}

/// The same claims with some changed; `null` takes one away.
pub(crate) fn claims_with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

struct State {
    keys: Vec<Value>,
    status: u16,
    /// The `Authorization` of every request, empty when there was none.
    asked: Vec<String>,
}

/// A running issuer; ends when dropped.
pub(crate) struct Issuer {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
}

impl Issuer {
    pub(crate) fn with_keys(signers: &[&Signer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let keys = signers.iter().map(|signer| signer.jwk()).collect();
        let state = Arc::new(Mutex::new(State { keys, status: 200, asked: Vec::new() }));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (Arc::clone(&state), Arc::clone(&stop));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                answer(stream.unwrap(), address, &shared);
            }
        });
        Self { address, state, stop }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn rotate(&self, signers: &[&Signer]) {
        self.state.lock().unwrap().keys = signers.iter().map(|signer| signer.jwk()).collect();
    }

    /// Everything is answered with this status from now on; 200 ends an outage.
    pub(crate) fn answer_with(&self, status: u16) {
        self.state.lock().unwrap().status = status;
    }

    /// The `Authorization` of every request so far.
    pub(crate) fn shown(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.clone()
    }

    /// A kubeconfig in which this is the API server, with a token for it.
    pub(crate) fn kubeconfig(&self, token: &str) -> String {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.url()}}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        })
        .to_string()
    }

    /// How often keys or the description were asked for.
    pub(crate) fn asked(&self) -> usize {
        self.state.lock().unwrap().asked.len()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        drop(TcpStream::connect(self.address));
    }
}

fn answer(mut stream: TcpStream, address: SocketAddr, state: &Mutex<State>) {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let mut state = state.lock().unwrap();
    let body = match path.as_str() {
        "/.well-known/openid-configuration" => {
            json!({"issuer": ISSUER, "jwks_uri": format!("http://{address}/keys"), "unknown": [1]}).to_string()
        }
        "/keys" => json!({"keys": state.keys}).to_string(),
        _ => "{}".to_owned(),
    };
    let authorization = head.lines().filter_map(|line| line.split_once(": "));
    let authorization = authorization.filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    state.asked.push(authorization.map(|(_, value)| value.to_owned()).collect());
    let head = format!("HTTP/1.1 {} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", state.status, body.len());
    drop(state);
    // Whoever asked may have given up.
    drop(stream.write_all(format!("{head}{body}").as_bytes()));
}
