//! Credentials for Kafka: what a Secret's data means, and the librdkafka properties it becomes.
//!
//! Pure: reading Secrets from Kubernetes is `runtime`'s job. Texts are used as they are, without trimming; what a
//! Secret holds never appears in an error or a `Debug` text.
//!
//! Source: eventing-kafka-broker's Secret formats and its credentials validator; unknown mechanisms are refused here,
//! where the peer would quietly send the password with `PLAIN`.

mod error;
mod properties;
mod tokens;

use std::collections::BTreeMap;
use std::fmt;

use super::MultiSecret;

pub use error::CredentialsError;
pub use tokens::{MskIam, TokenEndpoint, TokenSource, Unsecured};

/// How brokers are spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum SecurityProtocol {
    /// No encryption, no authentication.
    #[default]
    Plaintext,
    /// TLS.
    Ssl,
    /// Authentication without encryption.
    SaslPlaintext,
    /// Authentication inside TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// The name in Secrets and in Java properties.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl].into_iter().find(|it| it.name() == name)
    }

    /// Whether connections are encrypted.
    pub fn uses_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether clients authenticate with SASL.
    pub fn uses_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// What the value of a Secret's key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretField {
    /// Name of the SASL mechanism.
    SaslMechanism,
    /// PEM certificates of authorities.
    CaCrt,
    /// PEM client certificate.
    UserCrt,
    /// PEM client key.
    UserKey,
    /// User name.
    User,
    /// Password.
    Password,
    /// Kind of credentials; no client uses it.
    Type,
    /// How to get tokens of Amazon MSK.
    TokenProvider,
    /// Amazon role.
    RoleArn,
}

impl SecretField {
    /// The key that the single-Secret format uses for the field.
    pub fn key(self) -> &'static str {
        match self {
            Self::SaslMechanism => "sasl.mechanism",
            Self::CaCrt => "ca.crt",
            Self::UserCrt => "user.crt",
            Self::UserKey => "user.key",
            Self::User => "user",
            Self::Password => "password",
            Self::Type => "type",
            Self::TokenProvider => "tokenProvider",
            Self::RoleArn => "roleARN",
        }
    }
}

/// The data of one Secret, already decoded from base64.
pub type SecretData = BTreeMap<String, Vec<u8>>;

/// Checked credentials. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Credentials {
    protocol: SecurityProtocol,
    sasl: Option<Sasl>,
    ca: Option<String>,
    client_certificate: Option<ClientCertificate>,
}

/// How a client authenticates with SASL.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Sasl {
    Password {
        mechanism: &'static str,
        user: String,
        password: String,
    },
    /// Tokens come from elsewhere: from where the properties file says, or from Amazon as the Secret says.
    OAuthBearer(Option<MskIam>),
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct ClientCertificate {
    chain: String,
    key: String,
}

impl Default for Credentials {
    fn default() -> Self {
        Self::plaintext()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mechanism = self.sasl.as_ref().map(|sasl| match sasl {
            Sasl::Password { mechanism, .. } => *mechanism,
            Sasl::OAuthBearer(_) => OAUTHBEARER,
        });
        formatter
            .debug_struct("Credentials")
            .field("protocol", &self.protocol.name())
            .field("mechanism", &mechanism)
            .field("ca", &self.ca.is_some())
            .field("client_certificate", &self.client_certificate.is_some())
            .finish_non_exhaustive()
    }
}

const OAUTHBEARER: &str = "OAUTHBEARER";
const PASSWORD_MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

impl Credentials {
    /// No authentication, no encryption.
    pub fn plaintext() -> Self {
        Self { protocol: SecurityProtocol::Plaintext, sasl: None, ca: None, client_certificate: None }
    }

    /// Credentials in one Secret that names its `protocol`.
    ///
    /// # Errors
    /// When the Secret is incomplete, or names a protocol or mechanism that is not known.
    pub fn from_secret(data: &SecretData) -> Result<Self, CredentialsError> {
        let protocol = text(data, "protocol")?.ok_or(CredentialsError::NoProtocol)?;
        let protocol = SecurityProtocol::from_name(&protocol).ok_or(CredentialsError::Protocol { found: protocol })?;
        // Undecodable counts as "false", as it does for the peer.
        let skip_client_certificate =
            data.get("user.skip").is_some_and(|value| value.trim_ascii().eq_ignore_ascii_case(b"true"));
        let mut values = Values::default();
        for field in USED {
            if let Some(value) = text(data, field.key())? {
                values.insert(field, value);
            }
        }
        // Contracts have no name for this key, so several Secrets cannot say it.
        let region = text(data, "awsRegion")?;
        checked(protocol, values, skip_client_certificate).map(|credentials| credentials.in_region(region))
    }

    /// Credentials collected from several Secrets: `secrets` holds their data in the order of `multi.secrets`. A key
    /// that a Secret does not have counts as absent.
    ///
    /// # Errors
    /// When the collected values are incomplete or name a mechanism that is not known.
    pub fn from_secrets(multi: &MultiSecret, secrets: &[SecretData]) -> Result<Self, CredentialsError> {
        if multi.secrets.len() != secrets.len() {
            return Err(CredentialsError::Count { expected: multi.secrets.len(), found: secrets.len() });
        }
        let mut values = Values::default();
        for (secret, data) in multi.secrets.iter().zip(secrets) {
            for (key, field) in &secret.fields {
                if let Some(value) = text(data, key)? {
                    values.insert(*field, value);
                }
            }
        }
        // This format has no way to say that TLS goes without a client certificate.
        checked(multi.protocol, values, false)
    }

    /// How brokers are spoken to.
    pub fn protocol(&self) -> SecurityProtocol {
        self.protocol
    }
}

/// The fields that mean something to a client.
const USED: [SecretField; 8] = [
    SecretField::SaslMechanism,
    SecretField::CaCrt,
    SecretField::UserCrt,
    SecretField::UserKey,
    SecretField::User,
    SecretField::Password,
    SecretField::TokenProvider,
    SecretField::RoleArn,
];

type Values = std::collections::HashMap<SecretField, String>;

fn text(data: &SecretData, key: &str) -> Result<Option<String>, CredentialsError> {
    let value = data.get(key).map(|value| String::from_utf8(value.clone()));
    value.transpose().map_err(|_| CredentialsError::NotText { field: key.to_owned() })
}

fn checked(
    protocol: SecurityProtocol,
    mut values: Values,
    skip_client_certificate: bool,
) -> Result<Credentials, CredentialsError> {
    if let Some(field) = USED.into_iter().find(|field| values.get(field).is_some_and(|value| value.contains('\0'))) {
        return Err(CredentialsError::Nul { field: field.key() });
    }
    let mut take = |field| values.remove(&field).filter(|value| !value.trim().is_empty());
    let missing = |field| CredentialsError::Missing { protocol: protocol.name(), field };
    let sasl = match protocol.uses_sasl() {
        true => {
            let mechanism = take(SecretField::SaslMechanism);
            let user = take(SecretField::User).zip(take(SecretField::Password));
            Some(sasl(protocol, mechanism, user, &mut values)?)
        }
        false => None,
    };
    let mut take = |field| values.remove(&field).filter(|value| !value.trim().is_empty());
    let client_certificate = match (take(SecretField::UserCrt), take(SecretField::UserKey)) {
        (Some(chain), Some(key)) => Some(ClientCertificate { chain, key }),
        (Some(_) | None, Some(_) | None) if protocol == SecurityProtocol::Ssl && !skip_client_certificate => {
            return Err(missing("user.crt and user.key"));
        }
        (Some(_) | None, Some(_) | None) => None,
    };
    let ca = take(SecretField::CaCrt);
    // Without TLS there is nobody to show certificates to.
    let (ca, client_certificate) = if protocol.uses_tls() { (ca, client_certificate) } else { (None, None) };
    Ok(Credentials { protocol, sasl, ca, client_certificate })
}

fn sasl(
    protocol: SecurityProtocol,
    mechanism: Option<String>,
    user: Option<(String, String)>,
    values: &mut Values,
) -> Result<Sasl, CredentialsError> {
    let mechanism = mechanism.unwrap_or_else(|| "PLAIN".to_owned());
    if mechanism == OAUTHBEARER && protocol == SecurityProtocol::SaslSsl {
        return tokens::msk(values).map(Sasl::OAuthBearer);
    }
    let Some((user, password)) = user else {
        return Err(CredentialsError::Missing { protocol: protocol.name(), field: "user and password" });
    };
    if mechanism == OAUTHBEARER {
        return tokens::msk(values).map(Sasl::OAuthBearer);
    }
    match PASSWORD_MECHANISMS.into_iter().find(|known| *known == mechanism) {
        Some(mechanism) => Ok(Sasl::Password { mechanism, user, password }),
        None => Err(CredentialsError::Mechanism { found: mechanism }),
    }
}

#[cfg(test)]
mod tests;
