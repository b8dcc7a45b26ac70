//! Variables with which Amazon tells a process who it is.

use std::fmt;
use std::path::PathBuf;

use super::Env;
use super::reading::Reading;

/// Amazon's own variables, as pods on its clusters get them. All are optional and used only for Amazon MSK.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AwsEnv {
    /// `AWS_REGION`, or `AWS_DEFAULT_REGION`.
    pub region: Option<String>,
    /// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
    pub keys: Option<(String, String)>,
    /// `AWS_SESSION_TOKEN`, of these keys.
    pub session_token: Option<String>,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`: a role for a service account.
    pub web_identity: Option<(PathBuf, String)>,
    /// `AWS_ROLE_SESSION_NAME`: how to call oneself in that role.
    pub session_name: Option<String>,
    /// `AWS_CONTAINER_CREDENTIALS_FULL_URI`, or the address that `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` means.
    pub container: Option<String>,
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`: what to show there.
    pub container_token_file: Option<PathBuf>,
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN`: the same as a text.
    pub container_token: Option<String>,
    /// Whether to ask the machine: not when `AWS_EC2_METADATA_DISABLED` is `true`.
    pub no_machine: bool,
    /// `AWS_ENDPOINT_URL_STS`: where roles are given, if not at Amazon's usual address.
    pub sts_endpoint: Option<String>,
    /// `AWS_EC2_METADATA_SERVICE_ENDPOINT`: where the machine answers, if not at its usual address.
    pub machine_endpoint: Option<String>,
}

impl fmt::Debug for AwsEnv {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AwsEnv")
            .field("region", &self.region)
            .field("keys", &self.keys.is_some())
            .field("web_identity", &self.web_identity)
            .field("container", &self.container)
            .field("no_machine", &self.no_machine)
            .finish_non_exhaustive()
    }
}

impl AwsEnv {
    /// Reads the variables; there is nothing to refuse in them.
    pub fn read(env: &dyn Env) -> Self {
        aws(&Reading::new(env))
    }
}

/// Where Amazon's container agent answers to relative addresses.
const AGENT: &str = "http://169.254.170.2";

pub(super) fn aws(reading: &Reading<'_>) -> AwsEnv {
    let text = |name| reading.optional(name).map(|value| value.trim().to_owned());
    let relative = || text("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").map(|path| format!("{AGENT}{path}"));
    AwsEnv {
        region: text("AWS_REGION").or_else(|| text("AWS_DEFAULT_REGION")),
        keys: text("AWS_ACCESS_KEY_ID").zip(text("AWS_SECRET_ACCESS_KEY")),
        session_token: text("AWS_SESSION_TOKEN"),
        web_identity: text("AWS_WEB_IDENTITY_TOKEN_FILE").map(PathBuf::from).zip(text("AWS_ROLE_ARN")),
        session_name: text("AWS_ROLE_SESSION_NAME"),
        container: relative().or_else(|| text("AWS_CONTAINER_CREDENTIALS_FULL_URI")),
        container_token_file: text("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(PathBuf::from),
        container_token: text("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
        no_machine: reading.flag("AWS_EC2_METADATA_DISABLED"),
        sts_endpoint: text("AWS_ENDPOINT_URL_STS"),
        machine_endpoint: text("AWS_EC2_METADATA_SERVICE_ENDPOINT"),
    }
}
