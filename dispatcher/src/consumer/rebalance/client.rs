//! What a consumer's client asks for and tells of itself, on the consumer's thread.

use std::error::Error;

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::error::KafkaError;

use super::Context;
use crate::reply::topic::tokens;

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        tokens::token(self.membership.tokens.as_deref())
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.membership.shared.pipeline.load().client_told(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.report(&error, reason);
    }
}
