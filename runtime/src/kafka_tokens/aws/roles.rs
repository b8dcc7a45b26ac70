//! Roles of Amazon's security token service: taken on with keys, or with the token of a service account.
//!
//! Source: the API reference of AWS STS, `AssumeRole` and `AssumeRoleWithWebIdentity`, version 2011-06-15.

use std::path::Path;
use std::time::Duration;

use millrace_config::contract::credentials::MskIam;
use millrace_config::env::AwsEnv;
use percent_encoding::utf8_percent_encode;

use super::super::TokenError;
use super::super::endpoint::{PLAIN, answer, client};
use super::identity::{Identity, millis};
use super::signature::{Place, presigned_query};
use crate::clock;

const VERSION: (&str, &str) = ("Version", "2011-06-15");
/// How we call ourselves when nobody says it.
const SESSION: &str = "millrace";
/// How long a signature counts; it is used at once.
const LASTS: Duration = Duration::from_secs(60);

/// The keys of `role`, for who has keys already.
pub(in super::super) async fn take_on(
    role: &str,
    msk: &MskIam,
    aws: &AwsEnv,
    own: &Identity,
    region: &str,
) -> Result<Identity, TokenError> {
    let session = msk.session_name.as_deref().unwrap_or(SESSION);
    let mut parameters = vec![("Action", "AssumeRole"), ("RoleArn", role), ("RoleSessionName", session), VERSION];
    parameters.extend(msk.external_id.as_deref().map(|id| ("ExternalId", id)));
    let (base, host) = service(aws, region);
    let place = Place { service: "sts", region, host: &host };
    let query = presigned_query(&place, &parameters, own, clock::since_epoch(), LASTS);
    // What is asked is part of the signature, so the query is not for any text.
    let request = client(&base)?.get(format!("{base}/?{query}")).header("host", &host);
    read(answer(request, &base).await?, &base)
}

/// The keys of `role`, for who has the token of a service account, which Amazon trusts.
pub(super) async fn with_service_account(
    file: &Path,
    role: &str,
    aws: &AwsEnv,
    region: &str,
) -> Result<Identity, TokenError> {
    let token = tokio::fs::read_to_string(file).await;
    let token = token.map_err(|source| TokenError::File { path: file.to_owned(), source })?;
    let parameters = [
        ("Action", "AssumeRoleWithWebIdentity"),
        VERSION,
        ("RoleArn", role),
        ("RoleSessionName", aws.session_name.as_deref().unwrap_or(SESSION)),
        ("WebIdentityToken", token.trim()),
    ];
    let pairs = parameters.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, PLAIN)));
    let (base, _) = service(aws, region);
    let request = client(&base)?.post(format!("{base}/"));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(pairs.join("&"));
    read(answer(request, &base).await?, &base)
}

/// Address and host of the service.
fn service(aws: &AwsEnv, region: &str) -> (String, String) {
    let base = match &aws.sts_endpoint {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("https://sts.{region}.amazonaws.com"),
    };
    let host = base.split_once("://").map_or(base.as_str(), |(_, host)| host).to_owned();
    (base, host)
}

/// The answer is XML whose texts need no decoding: letters, digits and what base64 has.
fn read(body: Vec<u8>, url: &str) -> Result<Identity, TokenError> {
    let text = String::from_utf8(body).unwrap_or_default();
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(value, _)| value.trim().to_owned())
    };
    let wrong = || TokenError::Answer { url: url.to_owned(), expected: "the keys of a role" };
    Ok(Identity {
        key: element("AccessKeyId").ok_or_else(wrong)?,
        secret: element("SecretAccessKey").ok_or_else(wrong)?,
        session: Some(element("SessionToken").ok_or_else(wrong)?),
        expires_ms: element("Expiration").as_deref().and_then(millis),
    })
}
