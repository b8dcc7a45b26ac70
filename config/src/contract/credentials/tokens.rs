//! Where a client gets tokens for `OAUTHBEARER`: said by a properties file, or by a Secret for Amazon MSK.
//!
//! Only says it; getting tokens is `runtime`'s job. What is secret here never appears in a `Debug` text.
//!
//! Source: ingress spec 4.5 and 7.1; control-plane spec 2.5 for the keys of Secrets.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::{Credentials, CredentialsError, Sasl, SecretField, Values};

/// Where tokens come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TokenSource {
    /// Made here, without a signature: for tests only, brokers of the real world refuse them.
    Unsecured(Unsecured),
    /// An OAuth 2 server that gives them to clients with an id and a secret.
    Endpoint(TokenEndpoint),
    /// A file that somebody else renews, such as a service account token that Kubernetes mounts.
    File {
        /// The file.
        path: PathBuf,
        /// Which claim names the user.
        principal_claim: String,
    },
    /// Amazon MSK with IAM: made here, signed with credentials of Amazon.
    MskIam(MskIam),
}

/// What an unsecured token says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unsecured {
    /// Which claim names the user.
    pub principal_claim: String,
    /// The user.
    pub principal: String,
    /// Which claim has the scope.
    pub scope_claim: String,
    /// Left out when empty.
    pub scope: Vec<String>,
    /// How long a token is good for.
    pub lifetime: Duration,
}

impl Default for Unsecured {
    fn default() -> Self {
        Self {
            principal_claim: "sub".to_owned(),
            principal: String::new(),
            scope_claim: "scope".to_owned(),
            scope: Vec::new(),
            lifetime: Duration::from_secs(3600),
        }
    }
}

/// An OAuth 2 server and this client's account there.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TokenEndpoint {
    /// http or https.
    pub url: String,
    /// Name of the account.
    pub client_id: String,
    /// Its password.
    pub client_secret: String,
    /// What to ask for; absent: what the server gives by itself.
    pub scope: Option<String>,
    /// Which claim of the token names the user.
    pub principal_claim: String,
}

impl fmt::Debug for TokenEndpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenEndpoint")
            .field("url", &self.url)
            .field("client_id", &self.client_id)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// How to sign in to Amazon MSK. Credentials come from where Amazon's own clients find them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct MskIam {
    /// Region of the brokers; absent: that of the process, `AWS_REGION`.
    pub region: Option<String>,
    /// A role to take on first.
    pub role_arn: Option<String>,
    /// How to call oneself in that role.
    pub session_name: Option<String>,
    /// What its owner wants to hear.
    pub external_id: Option<String>,
    /// Region of the service that gives roles; absent: that of the brokers.
    pub sts_region: Option<String>,
}

impl Credentials {
    /// Where a client with these credentials gets its tokens: what the properties file says (`from_file`), otherwise what
    /// the Secret says. `None` when it needs none.
    ///
    /// # Errors
    /// When tokens are needed and nothing gives any: a client would wait for one without end and without a word.
    pub fn token_source(&self, from_file: Option<&TokenSource>) -> Result<Option<TokenSource>, CredentialsError> {
        match &self.sasl {
            Some(Sasl::OAuthBearer(from_secret)) => {
                let from_secret = || from_secret.clone().map(TokenSource::MskIam);
                from_file.cloned().or_else(from_secret).map(Some).ok_or(CredentialsError::NoTokens)
            }
            Some(Sasl::Password { .. }) | None => Ok(None),
        }
    }

    /// With the region of the brokers, which matters to Amazon only.
    pub(super) fn in_region(mut self, region: Option<String>) -> Self {
        if let Some(Sasl::OAuthBearer(Some(msk))) = &mut self.sasl {
            msk.region = region.map(|region| region.trim().to_owned()).filter(|region| !region.is_empty());
        }
        self
    }
}

/// What a Secret says about Amazon MSK. The peer's data planes do not read it, its control plane does.
pub(super) fn msk(values: &mut Values) -> Result<Option<MskIam>, CredentialsError> {
    let mut take = |field| values.remove(&field).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    let role_arn = take(SecretField::RoleArn);
    match take(SecretField::TokenProvider).as_deref() {
        None => Ok(None),
        Some("MSKAccessTokenProvider") => Ok(Some(MskIam::default())),
        Some("MSKRoleAccessTokenProvider") if role_arn.is_none() => {
            Err(CredentialsError::Missing { protocol: "MSKRoleAccessTokenProvider", field: "roleARN" })
        }
        Some("MSKRoleAccessTokenProvider") => Ok(Some(MskIam { role_arn, ..MskIam::default() })),
        Some(other) => Err(CredentialsError::TokenProvider { found: other.to_owned() }),
    }
}
