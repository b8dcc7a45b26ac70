//! What can be wrong with a Secret. Values of the Secret are never repeated, except names of protocols and mechanisms.

/// Why a Secret does not make credentials. Never carries a value of the Secret but a mechanism's or protocol's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// The Secret does not say how brokers are spoken to.
    #[error("no security protocol specified: key protocol is missing")]
    NoProtocol,
    /// The Secret names a protocol that does not exist.
    #[error("protocol {found:?} is not one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL")]
    Protocol {
        /// The text in the Secret.
        found: String,
    },
    /// The Secret names a mechanism that is not supported.
    #[error("sasl.mechanism {found:?} is not one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER")]
    Mechanism {
        /// The text in the Secret.
        found: String,
    },
    /// A value that the protocol needs is missing or blank.
    #[error("protocol {protocol} needs {field}")]
    Missing {
        /// The protocol.
        protocol: &'static str,
        /// The keys of the values.
        field: &'static str,
    },
    /// Values are texts.
    #[error("the value of {field} is not UTF-8")]
    NotText {
        /// The key of the value.
        field: String,
    },
    /// librdkafka takes texts that end at the first NUL.
    #[error("the value of {field} contains a NUL character")]
    Nul {
        /// The key of the value.
        field: &'static str,
    },
    /// Nothing says where tokens come from.
    #[error(
        "sasl.mechanism OAUTHBEARER needs a source of tokens: sasl.oauthbearer.token.endpoint.url or \
         sasl.login.callback.handler.class in the properties file, or tokenProvider in the Secret"
    )]
    NoTokens,
    /// The Secret names a provider of tokens that is not known.
    #[error("tokenProvider {found:?} is not one of MSKAccessTokenProvider, MSKRoleAccessTokenProvider")]
    TokenProvider {
        /// The text in the Secret.
        found: String,
    },
    /// The caller did not bring the data of every Secret that the contract names.
    #[error("the contract names {expected} secrets, but {found} were read")]
    Count {
        /// In the contract.
        expected: usize,
        /// Read.
        found: usize,
    },
}
