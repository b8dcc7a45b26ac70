//! Tokens of an OAuth 2 server, asked for with a client's id and secret, and tokens that lie in a file.
//!
//! One request, no redirects, a bounded answer; nothing of an answer is ever logged. Source: RFC 6749 sections 2.3.1, 4.4
//! and 5.1; Kafka's documentation of its login handler for the `file:` form.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millrace_config::contract::credentials::TokenEndpoint;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::{Token, TokenError, jwt};
use crate::clock;

/// A token has a few KiB; more is something else.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// What stays as it is in a form and in a signed URL; everything else becomes `%XX`.
pub(super) const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: Option<u64>,
}

/// A token of this server.
pub(super) async fn ask(endpoint: &TokenEndpoint) -> Result<Token, TokenError> {
    let url = &endpoint.url;
    let mut form = "grant_type=client_credentials".to_owned();
    if let Some(scope) = &endpoint.scope {
        form.push_str("&scope=");
        form.extend(utf8_percent_encode(scope, PLAIN));
    }
    // Encoded twice, as the RFC has it: as parts of a form, then together as credentials.
    let encoded = |text: &str| utf8_percent_encode(text, PLAIN).to_string();
    let credentials = format!("{}:{}", encoded(&endpoint.client_id), encoded(&endpoint.client_secret));
    let request = client(url)?
        .post(url)
        .header("authorization", format!("Basic {}", STANDARD.encode(credentials)))
        .header("accept", "application/json")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let body = answer(request, url).await?;
    let answer: Answer = serde_json::from_slice(&body)
        .map_err(|_| TokenError::Answer { url: url.clone(), expected: "an access_token in JSON" })?;
    let lasts = answer.expires_in.map(Duration::from_secs);
    usable(answer.access_token, &endpoint.principal_claim, &endpoint.client_id, lasts)
}

/// The token in this file, which somebody else renews.
pub(super) async fn read(path: &Path, principal_claim: &str) -> Result<Token, TokenError> {
    let text = tokio::fs::read_to_string(path).await;
    let text = text.map_err(|source| TokenError::File { path: path.to_owned(), source })?;
    usable(text.trim().to_owned(), principal_claim, "", None)
}

/// A JWT says itself whom it names and how long it lasts; for other tokens the rest says it.
fn usable(value: String, principal_claim: &str, principal: &str, lasts: Option<Duration>) -> Result<Token, TokenError> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenError::NotUsable("it is empty or has characters that no token has"));
    }
    let claims = jwt::claims(&value).unwrap_or_default();
    let named = claims.get(principal_claim).and_then(|name| name.as_str()).unwrap_or(principal);
    let lasts = lasts.and_then(|lasts| i64::try_from(lasts.as_millis()).ok());
    let now = clock::now_millis();
    let expires_ms = jwt::expires_ms(&claims).or_else(|| lasts.map(|lasts| now.saturating_add(lasts)));
    let expires_ms = expires_ms.ok_or(TokenError::NotUsable("nothing says when it runs out"))?;
    if expires_ms <= now {
        return Err(TokenError::NotUsable("it has run out"));
    }
    Ok(Token { principal: named.to_owned(), value, expires_ms })
}

/// A client that trusts the system's roots. Made anew each time: it is used every few minutes.
pub(super) fn client(url: &str) -> Result<reqwest::Client, TokenError> {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build();
    client.map_err(|source| TokenError::Http { url: url.to_owned(), source })
}

/// The body of a successful answer.
pub(super) async fn answer(request: reqwest::RequestBuilder, url: &str) -> Result<Vec<u8>, TokenError> {
    let failed = |source: reqwest::Error| TokenError::Http { url: url.to_owned(), source: source.without_url() };
    let mut response = request.send().await.map_err(failed)?;
    let status = response.status();
    if !status.is_success() {
        return Err(TokenError::Status { url: url.to_owned(), status: status.as_u16() });
    }
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(failed)? {
        if body.len() + part.len() > MAX_ANSWER_BYTES {
            return Err(TokenError::Answer { url: url.to_owned(), expected: "a short text" });
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}
