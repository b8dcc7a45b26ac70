//! What the client of one producer asks and tells: tokens, and statistics.

use std::error::Error;

use millrace_runtime::metrics::kafka_producer::ProducerSeries;
use rdkafka::client::{ClientContext, OAuthToken};

use super::tokens::TokenContext;

/// The context of one producer.
pub(super) struct Client {
    pub(super) tokens: TokenContext,
    /// Absent when nobody wants metrics of clients.
    pub(super) series: Option<ProducerSeries>,
}

impl ClientContext for Client {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.tokens.generate_oauth_token(config)
    }

    fn stats_raw(&self, statistics: &[u8]) {
        if let Some(series) = &self.series {
            series.told(statistics);
        }
    }
}
