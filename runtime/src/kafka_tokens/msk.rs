//! Tokens for Amazon MSK: a request to connect, signed and written as a URL, in base64.
//!
//! Source: Amazon's open signers for MSK (`aws-msk-iam-sasl-signer`), which all build this same URL; AWS Signature Version
//! 4, "authenticating requests: using query parameters".

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millrace_config::contract::credentials::MskIam;
use millrace_config::env::AwsEnv;

use super::aws::identity::{self, Identity};
use super::aws::roles;
use super::aws::signature::{Place, presigned_query};
use super::{Token, TokenError};
use crate::clock;

/// The longest time for which Amazon believes such a signature.
const LIFETIME: Duration = Duration::from_secs(900);
const AGENT: &str = concat!("millrace/", env!("CARGO_PKG_VERSION"));

/// A token for the brokers of this region.
pub(super) async fn sign(msk: &MskIam, aws: &AwsEnv) -> Result<Token, TokenError> {
    let region = msk.region.as_ref().or(aws.region.as_ref()).ok_or(TokenError::NoRegion)?;
    let own = identity::find(aws, region).await?;
    let identity = match &msk.role_arn {
        None => own,
        Some(role) => roles::take_on(role, msk, aws, &own, msk.sts_region.as_ref().unwrap_or(region)).await?,
    };
    Ok(token(&identity, region, clock::since_epoch()))
}

fn token(identity: &Identity, region: &str, now: Duration) -> Token {
    let host = format!("kafka.{region}.amazonaws.com");
    let place = Place { service: "kafka-cluster", region, host: &host };
    let query = presigned_query(&place, &[("Action", "kafka-cluster:Connect")], identity, now, LIFETIME);
    let url = format!("https://{host}/?{query}&User-Agent={AGENT}", AGENT = AGENT.replace('/', "%2F"));
    let end = (now + LIFETIME).as_millis();
    let expires_ms = i64::try_from(end).unwrap_or(i64::MAX).min(identity.expires_ms.unwrap_or(i64::MAX));
    Token { value: URL_SAFE_NO_PAD.encode(url), principal: identity.key.clone(), expires_ms }
}

#[cfg(test)]
mod tests {
    //! What a broker of Amazon's would look at.

    use super::*;

    #[test]
    fn a_token_is_a_signed_url_of_the_regions_brokers_without_the_secret() {
        let identity = Identity {
            key: "AKIDEXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            session: Some("a/b+c=".to_owned()),
            expires_ms: None,
        };
        let token = token(&identity, "eu-west-1", Duration::from_secs(1_440_938_160));
        let url = String::from_utf8(URL_SAFE_NO_PAD.decode(&token.value).unwrap()).unwrap();
        let (address, query) = url.split_once('?').unwrap();
        assert_eq!(address, "https://kafka.eu-west-1.amazonaws.com/");
        let names: Vec<_> = query.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
        let expected = [
            ("Action", "kafka-cluster%3AConnect"),
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", "AKIDEXAMPLE%2F20150830%2Feu-west-1%2Fkafka-cluster%2Faws4_request"),
            ("X-Amz-Date", "20150830T123600Z"),
            ("X-Amz-Expires", "900"),
            ("X-Amz-Security-Token", "a%2Fb%2Bc%3D"),
            ("X-Amz-SignedHeaders", "host"),
        ];
        assert_eq!(&names[..7], &expected);
        assert_eq!((names[7].0, names[7].1.len()), ("X-Amz-Signature", 64));
        assert_eq!(names[8].0, "User-Agent");
        assert_eq!(token.expires_ms, (1_440_938_160 + 900) * 1000);
        assert!(!url.contains("EXAMPLEKEY") && !format!("{token:?}").contains(&token.value));
    }

    #[test]
    fn a_token_does_not_outlive_the_credentials_that_signed_it() {
        let identity = Identity { key: "k".into(), secret: "s".into(), session: None, expires_ms: Some(1_000_500) };
        assert_eq!(token(&identity, "r", Duration::from_secs(900)).expires_ms, 1_000_500);
    }
}
