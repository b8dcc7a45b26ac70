//! The two formats of a Kafka Secret: with an explicit `protocol`, and the older one that is guessed from its keys.
//!
//! Pure. Errors name keys, never values.
//! Source: control-plane spec 2.5.

use millrace_config::contract::credentials::{Credentials, CredentialsError};
use millrace_config::contract::wire::{self, Protocol, SecretField};

use super::ContractAuth;
use crate::api::core::Secret;

/// Keys of the older format in the order in which the contract lists them. Of alternatives, the first that is there.
const OLD_KEYS: [(&[&str], SecretField); 6] = [
    (&["user.key"], SecretField::UserKey),
    (&["user.crt"], SecretField::UserCrt),
    (&["ca.crt"], SecretField::CaCrt),
    (&["password"], SecretField::Password),
    (&["user", "username"], SecretField::User),
    (&["saslType", "sasltype"], SecretField::SaslMechanism),
];

/// What the contract says, and the credentials of our own clients.
pub(super) fn read(secret: &Secret) -> Result<(ContractAuth, Credentials), CredentialsError> {
    if secret.has("protocol") {
        let credentials = Credentials::from_secret(&secret.data)?;
        return Ok((ContractAuth::Secret(reference(secret)), credentials));
    }
    let protocol = guess(secret);
    // The older format, written the way the explicit one is.
    let mut data = secret.data.clone();
    data.insert("protocol".to_owned(), protocol.name().as_bytes().to_vec());
    for (new, old) in [("sasl.mechanism", ["saslType", "sasltype"]), ("user", ["user", "username"])] {
        if let Some(value) = old.iter().find_map(|key| secret.data.get(*key)) {
            data.insert(new.to_owned(), value.clone());
        }
    }
    let credentials = Credentials::from_secret(&data)?;
    Ok((ContractAuth::Fields(fields(secret, protocol)), credentials))
}

fn guess(secret: &Secret) -> Protocol {
    // What Go takes for true; everything else counts as false.
    let enabled = |text: &str| matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True");
    let tls = secret.text("tls.enabled").is_some_and(enabled) || secret.has("ca.crt");
    let user = secret.data.contains_key("user") || secret.data.contains_key("username");
    let sasl = user && secret.data.contains_key("password");
    match (sasl, tls) {
        (true, true) => Protocol::SaslSsl,
        (false, true) => Protocol::Ssl,
        (true, false) => Protocol::SaslPlaintext,
        (false, false) => Protocol::Plaintext,
    }
}

fn fields(secret: &Secret, protocol: Protocol) -> wire::MultiSecretReference {
    let key_field_references: Vec<wire::KeyFieldReference> = OLD_KEYS
        .into_iter()
        .filter_map(|(keys, field)| {
            let key = keys.iter().find(|key| secret.has(key))?;
            Some(wire::KeyFieldReference { secret_key: (*key).to_owned(), field })
        })
        .collect();
    let references = if key_field_references.is_empty() {
        Vec::new()
    } else {
        vec![wire::SecretReference { reference: Some(reference(secret)), key_field_references }]
    };
    wire::MultiSecretReference { protocol, references }
}

fn reference(secret: &Secret) -> wire::Reference {
    wire::Reference {
        uuid: secret.meta.uid.clone(),
        namespace: secret.meta.namespace.clone(),
        name: secret.meta.name.clone(),
        version: secret.meta.resource_version.clone(),
        ..wire::Reference::default()
    }
}
