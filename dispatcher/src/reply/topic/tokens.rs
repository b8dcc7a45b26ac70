//! Hands tokens for `OAUTHBEARER` to Kafka clients.
//!
//! Tokens come from `millrace_runtime::kafka_tokens`, which gets them off every thread of a client's. The one piece of
//! unsafe code of the dispatcher is here: nobody serves the queue through which an admin client asks for its token.

use std::error::Error;
use std::ffi::CString;
use std::sync::Arc;

use millrace_runtime::kafka_tokens::{Keeper, TokenError};
use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::bindings::{rd_kafka_oauthbearer_set_token, rd_kafka_resp_err_t};
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// The context of a client that does nothing else. Without a keeper for clients that need no tokens.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenContext(pub(crate) Option<Arc<Keeper>>);

impl ClientContext for TokenContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        token(self.0.as_deref())
    }
}

/// What librdkafka is told when it asks. Blocks for a moment at most, and only for the very first token.
///
/// # Errors
///
/// When there is no token; librdkafka asks again by itself.
pub(crate) fn token(keeper: Option<&Keeper>) -> Result<OAuthToken, Box<dyn Error>> {
    let token = keeper.ok_or(TokenError::NotYet)?.token()?;
    Ok(OAuthToken { token: token.value, principal_name: token.principal, lifetime_ms: token.expires_ms })
}

/// An admin client that has its token, if it needs one. For short use: the token is not renewed. Blocks as [`token`] does.
///
/// # Errors
///
/// When librdkafka refuses the settings, or there is no token.
pub(super) fn admin(config: &ClientConfig, context: &TokenContext) -> Result<AdminClient<TokenContext>, KafkaError> {
    let client: AdminClient<TokenContext> = config.create_with_context(context.clone())?;
    if let Some(keeper) = &context.0 {
        let failed = |error: Box<dyn Error>| KafkaError::ClientCreation(error.to_string());
        give(&client, token(Some(keeper)).map_err(failed)?)?;
    }
    Ok(client)
}

#[expect(
    unsafe_code,
    reason = "rdkafka gives tokens only when asked, and nobody serves the questions of an admin client"
)]
fn give(client: &AdminClient<TokenContext>, token: OAuthToken) -> Result<(), KafkaError> {
    let (value, principal) = (CString::new(token.token)?, CString::new(token.principal_name)?);
    let mut reason = [0; 256];
    // SAFETY: the handle belongs to `client`, which outlives the call; both texts end with NUL and are copied; there are no
    // extensions; `reason` is as long as it is said to be.
    let code = unsafe {
        rd_kafka_oauthbearer_set_token(
            client.inner().native_ptr(),
            value.as_ptr(),
            token.lifetime_ms,
            principal.as_ptr(),
            std::ptr::null_mut(),
            0,
            reason.as_mut_ptr(),
            reason.len(),
        )
    };
    if code == rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Ok(());
    }
    Err(KafkaError::ClientCreation(format!("token refused: {}", RDKafkaErrorCode::from(code))))
}
