//! Decides whether a request may send to a target that has an audience.
//!
//! Two questions: is the token genuine and meant for this target (`token`, `keys`), and does an event policy let its
//! bearer send (`policy`)? Both come before the body is read; only a policy's filters wait for the event. Fails closed:
//! without the issuer's keys (`discovery`) a guarded target takes nothing. The token is never logged, stored or sent on.
//! Source: spec ingress 5, design row 16.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use millrace_config::contract::Ingress;
use millrace_event::Event;
use millrace_event::filter::FilterError;
use millrace_runtime::clock;

mod cache;
mod claims;
pub(crate) mod discovery;
pub mod fuzzing;
mod keys;
mod policy;
pub(crate) mod token;
mod trust;

use claims::Claims;
use policy::Policy;
use token::{Token, TokenError};
pub(crate) use trust::Tokens;
use trust::Trust;

use crate::error::Rejection;

const SCHEME: &str = "Bearer ";

/// What a request to one target must show.
#[derive(Debug)]
pub(crate) struct Guard {
    audience: String,
    policies: Vec<Policy>,
}

/// The policies under which a request may go on, if its event passes the filters of one of them.
#[derive(Debug)]
pub(crate) struct Permit<'a>(Vec<&'a Policy>);

impl Guard {
    /// The guard of a target; `None` for one without an audience, where policies do not count. Their filters must be
    /// right all the same: a target whose filters are not understood does not serve (spec ingress 5.5).
    ///
    /// # Errors
    ///
    /// When a policy's filter is not understood.
    pub(crate) fn compile(ingress: &Ingress) -> Result<Option<Self>, FilterError> {
        let policies = ingress.policies.iter().map(Policy::compile).collect::<Result<_, _>>()?;
        Ok(ingress.audience.clone().map(|audience| Self { audience, policies }))
    }

    /// Checks the token and which policies match its claims. Waits only when a key is not known yet, with a bound.
    ///
    /// # Errors
    ///
    /// `NoToken`, `TwoTokens` and `BadToken` when the sender is not known, `TokensNotChecked` when nobody can be, and
    /// `NotAllowed` when no policy names the sender.
    pub(crate) async fn check(&self, tokens: &Tokens, headers: &HeaderMap) -> Result<Permit<'_>, Rejection> {
        let text = bearer_token(headers)?;
        let claims = self.authenticate(tokens, text).await?;
        self.permit(&claims)
    }

    /// The policies that name the bearer of these claims.
    fn permit(&self, claims: &Claims) -> Result<Permit<'_>, Rejection> {
        let matching: Vec<_> = self.policies.iter().filter(|policy| policy.names(claims)).collect();
        if matching.is_empty() { Err(Rejection::NotAllowed) } else { Ok(Permit(matching)) }
    }

    async fn authenticate(&self, tokens: &Tokens, text: &str) -> Result<Arc<Claims>, Rejection> {
        let trust = tokens.trust().ok_or(Rejection::TokensNotChecked)?;
        let claims = match tokens.cached(text, &trust) {
            Some(claims) => claims,
            None => self.verify(tokens, text, trust).await.map_err(Rejection::BadToken)?,
        };
        let valid = claims.check_time(clock::since_epoch()).and_then(|()| claims.check_audience(&self.audience));
        valid.map(|()| claims).map_err(Rejection::BadToken)
    }

    async fn verify(&self, tokens: &Tokens, text: &str, trust: Arc<Trust>) -> Result<Arc<Claims>, TokenError> {
        let token = Token::parse(text)?;
        // Nothing is asked of the issuer for a token that could not pass anyway.
        token.unverified_claims()?.check_audience(&self.audience)?;
        let verified = match token.verify(&trust) {
            Err(TokenError::UnknownKey) => {
                let trust = tokens.refetched(&trust).await.ok_or(TokenError::UnknownKey)?;
                token.verify(&trust).map(|claims| (claims, trust))
            }
            verified => verified.map(|claims| (claims, trust)),
        };
        let (claims, trust) = verified?;
        Ok(tokens.remember(text, &trust, claims))
    }
}

impl Permit<'_> {
    /// Whether the event passes the filters of any of the policies.
    ///
    /// # Errors
    ///
    /// `EventNotAllowed` when it passes none.
    pub(crate) fn check(&self, event: &Event<'_>) -> Result<(), Rejection> {
        if self.0.iter().any(|policy| policy.passes(event)) { Ok(()) } else { Err(Rejection::EventNotAllowed) }
    }
}

/// The text after the scheme, which may be written in any case (RFC 9110).
fn bearer_token(headers: &HeaderMap) -> Result<&str, Rejection> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Rejection::NoToken)?;
    // Which of two would count is a matter of taste, and two readers with different tastes are a hole.
    if values.next().is_some() {
        return Err(Rejection::TwoTokens);
    }
    read_bearer(value).ok_or(Rejection::NoToken)
}

fn read_bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_at_checked(SCHEME.len())?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case(SCHEME) && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests;
