//! A real Kafka with every way to authenticate: SASL with and without TLS, client certificates, and ACLs.
//!
//! The plain listener stays, for the harness itself; it is the broker's administrator. Certificates come from the `openssl`
//! command, because keys are needed in the three PEM forms that people have. Source of the settings: Kafka's documentation
//! of `listener.name.*` keys and PEM key stores.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use super::issuer::{AUDIENCE, Issuer};
use super::settings::Security;
use super::{Kafka, free_port, version};

/// The password that `alice` has for every mechanism when the broker starts.
pub const PASSWORD: &str = "first-\"s3cret\\word";
/// The user of the SASL mechanisms.
pub const USER: &str = "alice";

/// A way to the broker, named as in a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `SASL_PLAINTEXT`
    SaslPlaintext,
    /// `SASL_SSL`
    SaslSsl,
    /// `SSL`, with a client certificate.
    Ssl,
}

/// How a client's private key is written.
#[derive(Debug, Clone, Copy)]
pub enum KeyForm {
    /// `BEGIN RSA PRIVATE KEY`
    Pkcs1,
    /// `BEGIN PRIVATE KEY`
    Pkcs8,
    /// `BEGIN EC PRIVATE KEY`
    Sec1,
}

/// The running broker.
#[derive(Debug)]
pub struct Secured {
    /// The same broker without security.
    pub kafka: Kafka,
    ports: [u16; 3],
    authority: PathBuf,
    /// Gives tokens that the listeners with SASL believe: over TLS only signed ones, without TLS only unsigned ones.
    pub issuer: Issuer,
    _folder: tempfile::TempDir,
}

impl Protocol {
    const ALL: [Self; 3] = [Self::SaslPlaintext, Self::SaslSsl, Self::Ssl];

    /// The name in a Secret and in Kafka's settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
            Self::Ssl => "SSL",
        }
    }
}

impl Secured {
    /// One of its own; `None` when Java, Maven or openssl is missing.
    ///
    /// # Panics
    /// When it cannot be started, or something is missing with `CI=true`.
    #[must_use]
    pub fn start_unless_missing() -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            let ci = std::env::var("CI").is_ok_and(|value| value == "true");
            assert!(!ci, "openssl is required with CI=true");
            eprintln!("SKIPPED: openssl is not installed");
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let authority = folder.path().to_owned();
        make_authority(&authority);
        let issuer = Issuer::start(&authority);
        let ports = [free_port(), free_port(), free_port()];
        let settings = settings(&authority, ports);
        let scram = |mechanism: &str| format!("{mechanism}=[name={USER},password={PASSWORD}]");
        let users = [scram("SCRAM-SHA-256"), scram("SCRAM-SHA-512")];
        let format: Vec<_> = users.iter().flat_map(|user| ["--add-scram", user]).collect();
        let listeners =
            Protocol::ALL.iter().zip(ports).map(|(it, port)| format!(",{}://127.0.0.1:{port}", it.name())).collect();
        // Since 3.9.1 a broker reads keys only from where it is allowed to.
        let keys = format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={}", keys_url(&authority));
        let java = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", &keys];
        let kafka = Kafka::start_with(&java, &format, &Security { listeners, behind: None, settings })?;
        Some(Self { kafka, ports, authority, issuer, _folder: folder })
    }

    /// `host:port` of one of the listeners.
    #[must_use]
    pub fn bootstrap(&self, protocol: Protocol) -> String {
        let port = Protocol::ALL.iter().zip(self.ports).find(|(it, _)| **it == protocol).map_or(0, |(_, port)| port);
        format!("127.0.0.1:{port}")
    }

    /// The certificate that signs the broker's.
    ///
    /// # Panics
    /// When it has gone.
    #[must_use]
    pub fn ca(&self) -> String {
        read(&self.authority, "ca.crt")
    }

    /// A new client certificate and its key.
    ///
    /// # Panics
    /// When openssl fails.
    #[must_use]
    pub fn client(&self, form: KeyForm) -> (String, String) {
        self.client_named("client", form)
    }

    /// As [`Self::client`], for the principal `User:CN=NAME`.
    ///
    /// # Panics
    /// When openssl fails.
    #[must_use]
    pub fn client_named(&self, name: &str, form: KeyForm) -> (String, String) {
        // The authority's serial number is a file.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = &self.authority;
        match form {
            KeyForm::Pkcs1 => openssl(folder, &format!("genrsa -traditional -out {name}.key 2048")),
            KeyForm::Pkcs8 => openssl(folder, &format!("genpkey -algorithm RSA -out {name}.key")),
            KeyForm::Sec1 => openssl(folder, &format!("ecparam -name prime256v1 -genkey -noout -out {name}.key")),
        }
        sign(folder, name);
        (read(folder, &format!("{name}.crt")), read(folder, &format!("{name}.key")))
    }

    /// Gives a user another SCRAM-SHA-512 password, or makes one.
    pub fn change_password(&self, user: &str, password: &str) {
        let config = format!("SCRAM-SHA-512=[password={password}]");
        let args = ["--alter", "--add-config", &config, "--entity-type", "users", "--entity-name", user];
        drop(self.kafka.tool("kafka.admin.ConfigCommand", &args));
    }

    /// Denies the user everything on a topic.
    pub fn deny(&self, topic: &str) {
        self.add_rule("--deny-principal", USER, topic);
    }

    /// Allows a topic to nobody but who has a certificate of this name, and to the administrator.
    pub fn allow_only(&self, certificate: &str, topic: &str) {
        self.add_rule("--allow-principal", &format!("CN={certificate}"), topic);
    }

    fn add_rule(&self, kind: &str, name: &str, topic: &str) {
        let principal = format!("User:{name}");
        let args = ["--add", kind, &principal, "--topic", topic];
        let class =
            if version().starts_with("3.") { "kafka.admin.AclCommand" } else { "org.apache.kafka.tools.AclCommand" };
        drop(self.kafka.tool(class, &args));
    }
}

fn settings(authority: &Path, ports: [u16; 3]) -> String {
    // Java reads `\n` in a value as a line break.
    let value = |file: &str| read(authority, file).trim_end().replace('\n', "\\n");
    let quoted = PASSWORD.replace('\\', "\\\\").replace('"', "\\\"").replace('\\', "\\\\");
    let mut text = format!(
        "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER\nssl.keystore.type=PEM\n\
         ssl.keystore.certificate.chain={}\nssl.keystore.key={}\nssl.truststore.type=PEM\nssl.truststore.certificates={}\n\
         listener.name.ssl.ssl.client.auth=required\ninter.broker.listener.name=PLAINTEXT\n\
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         allow.everyone.if.no.acl.found=true\nsuper.users=User:ANONYMOUS\n",
        value("broker.crt"),
        value("broker.key"),
        value("ca.crt"),
    );
    for (protocol, _) in Protocol::ALL.iter().zip(ports).filter(|(protocol, _)| **protocol != Protocol::Ssl) {
        let listener = format!("listener.name.{}", protocol.name().to_lowercase());
        let security = "org.apache.kafka.common.security";
        let lines = [
            format!("plain.sasl.jaas.config={security}.plain.PlainLoginModule required user_{USER}=\"{quoted}\";"),
            format!("scram-sha-256.sasl.jaas.config={security}.scram.ScramLoginModule required;"),
            format!("scram-sha-512.sasl.jaas.config={security}.scram.ScramLoginModule required;"),
            format!("oauthbearer.sasl.jaas.config={security}.oauthbearer.OAuthBearerLoginModule required;"),
        ];
        for line in lines {
            writeln!(text, "{listener}.{line}").expect("texts can be written to");
        }
    }
    text.push_str(&tokens(authority));
    text
}

/// Over TLS tokens must be signed by the issuer, and connections do not outlive them. Kafka's default, which the other
/// listener has, is to believe tokens without a signature.
fn tokens(authority: &Path) -> String {
    let package = if version().starts_with("3.") { "secured." } else { "" };
    let oauth = "org.apache.kafka.common.security.oauthbearer";
    let listener = "listener.name.sasl_ssl.oauthbearer";
    format!(
        "{listener}.sasl.server.callback.handler.class={oauth}.{package}OAuthBearerValidatorCallbackHandler\n\
         {listener}.connections.max.reauth.ms=3600000\nsasl.oauthbearer.jwks.endpoint.url={}\n\
         sasl.oauthbearer.expected.audience={AUDIENCE}\nsasl.oauthbearer.expected.issuer=tests\n",
        keys_url(authority)
    )
}

fn keys_url(authority: &Path) -> String {
    format!("file://{}", authority.join("jwks.json").display())
}

fn make_authority(folder: &Path) {
    openssl(folder, "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=test-authority");
    openssl(folder, "genpkey -algorithm RSA -out broker.key");
    sign(folder, "broker");
}

/// A certificate for 127.0.0.1; clients do not mind the address.
fn sign(folder: &Path, name: &str) {
    fs::write(folder.join("extensions"), "subjectAltName=IP:127.0.0.1\n").expect("the folder can be written");
    openssl(folder, &format!("req -new -key {name}.key -out {name}.csr -subj /CN={name}"));
    openssl(
        folder,
        &format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out {name}.crt"
        ),
    );
}

pub(super) fn openssl(folder: &Path, args: &str) {
    let output = Command::new("openssl").current_dir(folder).args(args.split(' ')).output().expect("openssl starts");
    assert!(output.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&output.stderr));
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).expect("openssl has written it")
}
