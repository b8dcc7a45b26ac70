//! Credentials as librdkafka properties, alone or on top of what a properties file says about security.
//!
//! Source: eventing-kafka-broker's mapping to Java properties, in librdkafka's names.

use std::collections::BTreeMap;

use super::{Credentials, OAUTHBEARER, Sasl, SecurityProtocol};

impl Credentials {
    /// The librdkafka properties of these credentials alone.
    pub fn client_properties(&self) -> BTreeMap<String, String> {
        let mut properties = BTreeMap::new();
        let mut set = |key: &str, value: &str| {
            properties.insert(key.to_owned(), value.to_owned());
        };
        set("security.protocol", librdkafka_name(self.protocol));
        if let Some(ca) = &self.ca {
            set("ssl.ca.pem", ca);
        }
        if let Some(certificate) = &self.client_certificate {
            set("ssl.certificate.pem", &certificate.chain);
            set("ssl.key.pem", &certificate.key);
        }
        match &self.sasl {
            Some(Sasl::Password { mechanism, user, password }) => {
                set("sasl.mechanism", mechanism);
                set("sasl.username", user);
                set("sasl.password", password);
            }
            Some(Sasl::OAuthBearer(_)) => set("sasl.mechanism", OAUTHBEARER),
            None => {}
        }
        properties
    }

    /// Adds to `client` what the properties file says about security (`from_file`, librdkafka keys) as far as the
    /// protocol uses it, and then these credentials, which win.
    pub fn apply(&self, client: &mut BTreeMap<String, String>, from_file: &BTreeMap<String, String>) {
        let used = from_file.iter().filter(|(key, _)| self.uses(key));
        client.extend(used.map(|(key, value)| (key.clone(), value.clone())));
        client.extend(self.client_properties());
    }

    /// Whether a security property of the file has a meaning beside these credentials, and does not contradict them.
    fn uses(&self, key: &str) -> bool {
        let replaced: &[&str] = match (self.ca.is_some(), self.client_certificate.is_some()) {
            (true, true) => &["ssl.ca.", "ssl.keystore.", "ssl.certificate.", "ssl.key.location", "ssl.key.pem"],
            (true, false) => &["ssl.ca."],
            (false, true) => &["ssl.keystore.", "ssl.certificate.", "ssl.key.location", "ssl.key.pem"],
            (false, false) => &[],
        };
        // User names and passwords of the file never go beside a mechanism that the contract's Secret chose.
        key.starts_with("ssl.") && self.protocol.uses_tls() && !replaced.iter().any(|prefix| key.starts_with(prefix))
    }
}

fn librdkafka_name(protocol: SecurityProtocol) -> &'static str {
    match protocol {
        SecurityProtocol::Plaintext => "plaintext",
        SecurityProtocol::Ssl => "ssl",
        SecurityProtocol::SaslPlaintext => "sasl_plaintext",
        SecurityProtocol::SaslSsl => "sasl_ssl",
    }
}
