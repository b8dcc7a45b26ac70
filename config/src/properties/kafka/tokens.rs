//! Where tokens for `OAUTHBEARER` come from, as a properties file says it: with Java's keys, whose classes are recognised
//! by their names, or with librdkafka's.
//!
//! A source with a mistake is none, with a warning; whether one is needed only the contract's Secret says. Values here are
//! secrets: no message has them.
//!
//! Source: ingress spec 4.5 and 7.1; Kafka's documentation of `sasl.oauthbearer.*` and of its two login handlers; the
//! documentation of Amazon's `aws-msk-iam-auth`; librdkafka's CONFIGURATION.md for `sasl.oauthbearer.config`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::super::draft::Draft;
use super::jaas::{self, Module};
use crate::contract::credentials::{MskIam, TokenEndpoint, TokenSource, Unsecured};

const JAAS: &str = "sasl.jaas.config";
const URL: &str = "sasl.oauthbearer.token.endpoint.url";
const HANDLERS: [&str; 2] = ["sasl.login.callback.handler.class", "sasl.client.callback.handler.class"];
const MSK: &str = "software.amazon.msk.auth.iam.";
const KAFKA: &str = "org.apache.kafka.common.security.oauthbearer.";
const UNKNOWN_CLASS: &str =
    "ignored: Java classes cannot be loaded; those for tokens of an OAuth server and of Amazon MSK are known";
const PASSWORDS: &str = "ignored: user and password come from the contract's Secret";
const OURS: &str = "ignored: a token is asked for with a limit of 10 s, and again 5 s after a failure";

/// Settings of Java's way to ask for tokens; ours has fixed ones.
const IGNORED: [&str; 5] = [
    "sasl.login.connect.timeout.ms",
    "sasl.login.read.timeout.ms",
    "sasl.login.retry.backoff.ms",
    "sasl.login.retry.backoff.max.ms",
    "sasl.oauthbearer.scope.claim.name",
];

/// The source, if the file names one that can be used.
pub(super) fn read(draft: &mut Draft<'_>) -> Option<TokenSource> {
    for key in IGNORED {
        if draft.text(key).is_some() {
            draft.warn(key, OURS);
        }
    }
    let by_librdkafka = unsecured_of_librdkafka(draft);
    let module = module(draft);
    let handlers = HANDLERS.map(|key| (key, draft.trimmed(key).filter(|class| !class.is_empty())));
    for (key, class) in handlers {
        if class.is_some_and(|class| !class.starts_with(MSK) && !class.starts_with(KAFKA)) {
            draft.warn(key, UNKNOWN_CLASS);
        }
    }
    let named = |prefix: &str| handlers.iter().any(|(_, class)| class.is_some_and(|class| class.starts_with(prefix)));
    let msk = named(MSK) || module.as_ref().is_some_and(|module| module.class.starts_with(MSK));
    let account = Account::take(draft);
    let mentioned = module.is_some();
    let mut options = module.map(|module| module.options).unwrap_or_default();
    let source = if msk {
        let region = draft.trimmed("millrace.aws.region").filter(|region| !region.is_empty()).map(str::to_owned);
        Some(TokenSource::MskIam(of_amazon(&mut options, region)))
    } else if let Some(url) = account.url.clone() {
        of_url(&url, account, &mut options, draft)
    } else if named(KAFKA) {
        draft.warn(URL, "missing: nothing says where to ask for tokens");
        return None;
    } else {
        by_librdkafka.or_else(|| unsecured_of_java(&mut options)).map(TokenSource::Unsecured)
    };
    if source.is_some() && !options.is_empty() {
        let names: Vec<_> = options.into_keys().collect();
        draft.warn(JAAS, format!("options without effect: {}", names.join(", ")));
    } else if source.is_none() && mentioned {
        draft.warn(JAAS, "gives no tokens: a handler, a URL or an option unsecuredLoginStringClaim_sub is missing");
    }
    source
}

/// The module of `sasl.jaas.config`, if it is one for tokens. The peer replaces all others too.
fn module(draft: &mut Draft<'_>) -> Option<Module> {
    let text = draft.text(JAAS)?;
    let module = jaas::read(text).filter(|module| module.class.starts_with(MSK) || module.class.starts_with(KAFKA));
    if module.is_none() {
        draft.warn(JAAS, PASSWORDS);
    }
    module
}

/// What several keys say about an OAuth server and the account there.
struct Account {
    url: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    scope: Option<String>,
    principal_claim: String,
}

impl Account {
    /// Of keys with two names the first, Kafka's own, wins over librdkafka's.
    fn take(draft: &mut Draft<'_>) -> Self {
        let mut text = |keys: &[&'static str]| {
            let mut values = keys.iter().map(|key| draft.text(key).filter(|value| !value.trim().is_empty()));
            values.by_ref().fold(None, Option::or).map(str::to_owned)
        };
        Self {
            url: text(&[URL]).map(|url| url.trim().to_owned()),
            client_id: text(&["sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.id"]),
            client_secret: text(&[
                "sasl.oauthbearer.client.credentials.client.secret",
                "sasl.oauthbearer.client.secret",
            ]),
            scope: text(&["sasl.oauthbearer.scope"]),
            principal_claim: text(&["sasl.oauthbearer.sub.claim.name"]).unwrap_or_else(|| "sub".to_owned()),
        }
    }
}

fn of_url(
    url: &str,
    account: Account,
    options: &mut BTreeMap<String, String>,
    draft: &mut Draft<'_>,
) -> Option<TokenSource> {
    let principal_claim = account.principal_claim;
    if let Some(path) = url.strip_prefix("file:") {
        // `file:/path` and `file:///path` are the same.
        let path = path.strip_prefix("//").unwrap_or(path);
        return Some(TokenSource::File { path: PathBuf::from(path), principal_claim });
    }
    let parsed = url.parse::<http::Uri>().ok();
    if !parsed.is_some_and(|url| matches!(url.scheme_str(), Some("http" | "https"))) {
        draft.warn(URL, "ignored: neither an http, https nor file URL");
        return None;
    }
    let mut option = |name: &str| options.remove(name);
    let (id, secret, scope) = (option("clientId"), option("clientSecret"), option("scope"));
    let (Some(client_id), Some(client_secret)) = (account.client_id.or(id), account.client_secret.or(secret)) else {
        draft.warn(URL, "ignored: clientId and clientSecret are missing, in sasl.jaas.config or as keys of their own");
        return None;
    };
    let scope = account.scope.or(scope);
    Some(TokenSource::Endpoint(TokenEndpoint { url: url.to_owned(), client_id, client_secret, scope, principal_claim }))
}

fn of_amazon(options: &mut BTreeMap<String, String>, region: Option<String>) -> MskIam {
    let mut option = |name: &str| options.remove(name).filter(|value| !value.is_empty());
    MskIam {
        region,
        role_arn: option("awsRoleArn"),
        session_name: option("awsRoleSessionName"),
        external_id: option("awsRoleExternalId"),
        sts_region: option("awsStsRegion"),
    }
}

/// Java's module without a handler of its own makes unsecured tokens out of its options.
fn unsecured_of_java(options: &mut BTreeMap<String, String>) -> Option<Unsecured> {
    let default = Unsecured::default();
    let mut option = |name: &str| options.remove(name);
    let principal_claim = option("unsecuredLoginPrincipalClaimName").unwrap_or(default.principal_claim);
    let scope_claim = option("unsecuredLoginScopeClaimName").unwrap_or(default.scope_claim);
    let principal = option(&format!("unsecuredLoginStringClaim_{principal_claim}"))?;
    let scope = option(&format!("unsecuredLoginListClaim_{scope_claim}")).map(|list| {
        // The first letter says what separates.
        let mut letters = list.chars();
        let separator = letters.next().unwrap_or(',');
        letters.as_str().split(separator).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    });
    let lifetime = option("unsecuredLoginLifetimeSeconds").and_then(|seconds| seconds.parse().ok());
    let lifetime = lifetime.map_or(default.lifetime, Duration::from_secs);
    Some(Unsecured { principal_claim, principal, scope_claim, scope: scope.unwrap_or_default(), lifetime })
}

/// librdkafka's own keys: a switch, and words such as `principal=me scope=a,b lifeSeconds=60`.
fn unsecured_of_librdkafka(draft: &mut Draft<'_>) -> Option<Unsecured> {
    const CONFIG: &str = "sasl.oauthbearer.config";
    let config = draft.text(CONFIG).unwrap_or_default();
    if draft.boolean("enable.sasl.oauthbearer.unsecure.jwt") != Some(true) {
        return None;
    }
    let mut unsecured = Unsecured::default();
    for word in config.split_whitespace() {
        match word.split_once('=') {
            Some(("principalClaimName", value)) => value.clone_into(&mut unsecured.principal_claim),
            Some(("principal", value)) => value.clone_into(&mut unsecured.principal),
            Some(("scopeClaimName", value)) => value.clone_into(&mut unsecured.scope_claim),
            Some(("scope", value)) => unsecured.scope = value.split(',').map(str::to_owned).collect(),
            Some(("lifeSeconds", value)) if value.parse::<u32>().is_ok() => {
                unsecured.lifetime = Duration::from_secs(value.parse().unwrap_or(3600));
            }
            Some(_) | None => draft.warn(CONFIG, "a word of it is not known and ignored"),
        }
    }
    if unsecured.principal.is_empty() {
        draft.warn(CONFIG, "principal is missing: there are no tokens without a user");
        return None;
    }
    Some(unsecured)
}
