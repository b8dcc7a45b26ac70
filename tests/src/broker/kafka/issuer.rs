//! An OAuth 2 server of the tests: gives tokens that the secured Kafka believes, because it knows the key.
//!
//! Signs with the `openssl` command. One account, one grant; requests are counted.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

/// The account's name.
pub const CLIENT: &str = "orders";
/// Its password.
pub const CLIENT_SECRET: &str = "cl1ent-s3cret";
/// For whom the tokens are.
pub const AUDIENCE: &str = "kafka";

/// The running server.
#[derive(Debug)]
pub struct Issuer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    key: PathBuf,
    lifetime_seconds: AtomicU64,
    given: AtomicUsize,
    refused: AtomicUsize,
}

impl Issuer {
    /// Makes a key in `folder`, with its public half as a JWK set in `jwks.json`, and listens.
    ///
    /// # Panics
    /// When openssl fails or no port is free.
    #[must_use]
    pub fn start(folder: &Path) -> Self {
        super::secured::openssl(folder, "genpkey -algorithm RSA -out issuer.key");
        let mut show = Command::new("openssl");
        show.current_dir(folder).args(["rsa", "-in", "issuer.key", "-noout", "-modulus"]);
        let output = show.output().expect("openssl starts");
        let text = String::from_utf8_lossy(&output.stdout);
        let hex = text.trim().trim_start_matches("Modulus=").as_bytes();
        let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).expect("hexadecimal")).expect("below 16");
        let modulus: Vec<u8> = hex.chunks(2).map(|pair| digit(pair[0]) * 16 + digit(pair[1])).collect();
        let key = json!({"kty": "RSA", "kid": "1", "use": "sig", "alg": "RS256", "e": "AQAB",
            "n": URL_SAFE_NO_PAD.encode(modulus)});
        fs::write(folder.join("jwks.json"), json!({"keys": [key]}).to_string()).expect("the folder can be written");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            key: folder.join("issuer.key"),
            lifetime_seconds: AtomicU64::new(3600),
            given: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            // Whoever goes away in between asks again.
            for mut stream in listener.incoming().flatten() {
                drop(serving.serve(&mut stream));
            }
        });
        Self { address, shared }
    }

    /// Where tokens are asked for.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// How long tokens last from now on.
    pub fn set_lifetime(&self, seconds: u64) {
        self.shared.lifetime_seconds.store(seconds, Ordering::Relaxed);
    }

    /// How many tokens were given.
    #[must_use]
    pub fn given(&self) -> usize {
        self.shared.given.load(Ordering::Relaxed)
    }

    /// How often somebody asked in vain.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn serve(&self, stream: &mut (impl Read + Write)) -> std::io::Result<()> {
        let mut request = Vec::new();
        let mut part = [0; 4096];
        while !request.windows(10).any(|found| found == b"grant_type") {
            match stream.read(&mut part)? {
                0 => return Ok(()),
                length => request.extend_from_slice(part.get(..length).unwrap_or_default()),
            }
        }
        let credentials = STANDARD.encode(format!("{CLIENT}:{CLIENT_SECRET}"));
        let known = String::from_utf8_lossy(&request).contains(&format!("Basic {credentials}\r\n"));
        let (status, body) = if known {
            self.given.fetch_add(1, Ordering::Relaxed);
            ("200 OK", json!({"access_token": self.token(), "token_type": "Bearer"}).to_string())
        } else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            ("401 Unauthorized", "{}".to_owned())
        };
        let length = body.len();
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
    }

    fn token(&self) -> String {
        #[expect(clippy::disallowed_methods, reason = "brokers compare with the machine's clock")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let exp = now + self.lifetime_seconds.load(Ordering::Relaxed);
        let claims = json!({"sub": CLIENT, "aud": AUDIENCE, "iss": "tests", "iat": now, "exp": exp, "scope": "kafka"});
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(json!({"alg": "RS256", "kid": "1"})), part(claims));
        let folder = self.key.parent().expect("a file lies in a folder");
        let mut file = tempfile::NamedTempFile::new_in(folder).expect("the folder can be written");
        file.write_all(text.as_bytes()).expect("the folder can be written");
        let mut sign = Command::new("openssl");
        let signed = sign.args(["dgst", "-sha256", "-sign"]).arg(&self.key).arg(file.path()).output();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signed.expect("openssl starts").stdout))
    }
}
