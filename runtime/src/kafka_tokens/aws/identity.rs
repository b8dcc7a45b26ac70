//! Who this process is at Amazon: keys in its environment, a role for its service account, its container's agent, or the
//! machine it runs on; the first of them that there is.
//!
//! Profile files are not read: pods have none. Source: the documented order of Amazon's clients, "default credentials
//! provider chain"; "IMDSv2" for the machine.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use millrace_config::env::AwsEnv;
use serde::Deserialize;

use super::super::TokenError;
use super::super::endpoint::{answer, client};
use super::roles;

/// The address at which each of Amazon's machines finds what it may know of itself.
const MACHINE: &str = "http://169.254.169.254";
/// Elsewhere nobody answers there.
const MACHINE_LIMIT: Duration = Duration::from_secs(2);

/// Keys to sign with. `Debug` shows neither secret nor session.
#[derive(Clone, PartialEq, Eq)]
pub(in super::super) struct Identity {
    pub(in super::super) key: String,
    pub(in super::super) secret: String,
    /// Goes along with temporary keys.
    pub(in super::super) session: Option<String>,
    /// Absent for keys that last, in milliseconds since the Unix epoch.
    pub(in super::super) expires_ms: Option<i64>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What container agents and machines answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<String>,
}

/// Looks in each place. Asks `region`'s service for roles.
pub(in super::super) async fn find(aws: &AwsEnv, region: &str) -> Result<Identity, TokenError> {
    if let Some((key, secret)) = aws.keys.clone() {
        return Ok(Identity { key, secret, session: aws.session_token.clone(), expires_ms: None });
    }
    if let Some((file, role)) = &aws.web_identity {
        return roles::with_service_account(file, role, aws, region).await;
    }
    if let Some(url) = &aws.container {
        return of_container(url, aws).await;
    }
    if aws.no_machine {
        return Err(TokenError::NoCredentials);
    }
    let base = aws.machine_endpoint.as_deref().unwrap_or(MACHINE).trim_end_matches('/');
    // Most often this is no machine of Amazon's, and the answer is silence: that is not worth a text of its own.
    tokio::time::timeout(MACHINE_LIMIT, of_machine(base)).await.unwrap_or(Err(TokenError::NoCredentials))
}

async fn of_container(url: &str, aws: &AwsEnv) -> Result<Identity, TokenError> {
    let mut request = client(url)?.get(url);
    let token = match &aws.container_token_file {
        None => aws.container_token.clone(),
        Some(path) => {
            let text = tokio::fs::read_to_string(path).await;
            Some(text.map_err(|source| TokenError::File { path: path.clone(), source })?.trim().to_owned())
        }
    };
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    read(&answer(request, url).await?, url)
}

/// Version 2 of the machine's service: a token for the questions, then the role's name, then its keys.
async fn of_machine(base: &str) -> Result<Identity, TokenError> {
    const SECONDS: &str = "x-aws-ec2-metadata-token-ttl-seconds";
    const TOKEN: &str = "x-aws-ec2-metadata-token";
    let client = client(base)?;
    let url = format!("{base}/latest/api/token");
    let token = text(answer(client.put(&url).header(SECONDS, "60").header("content-length", "0"), &url).await?, &url)?;
    let roles = format!("{base}/latest/meta-data/iam/security-credentials/");
    let role = text(answer(client.get(&roles).header(TOKEN, &token), &roles).await?, &roles)?;
    let url = format!("{roles}{}", role.lines().next().unwrap_or_default());
    read(&answer(client.get(&url).header(TOKEN, &token), &url).await?, &url)
}

fn text(body: Vec<u8>, url: &str) -> Result<String, TokenError> {
    let text = String::from_utf8(body).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    text.ok_or_else(|| TokenError::Answer { url: url.to_owned(), expected: "a text" })
}

fn read(body: &[u8], url: &str) -> Result<Identity, TokenError> {
    let expected = "keys in JSON";
    let answer: Answer =
        serde_json::from_slice(body).map_err(|_| TokenError::Answer { url: url.to_owned(), expected })?;
    Ok(Identity {
        key: answer.access_key_id,
        secret: answer.secret_access_key,
        session: answer.token,
        expires_ms: answer.expiration.as_deref().and_then(millis),
    })
}

/// A moment such as `2026-01-02T03:04:05Z`.
pub(super) fn millis(moment: &str) -> Option<i64> {
    moment.trim().parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}
