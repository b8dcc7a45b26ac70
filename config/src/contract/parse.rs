//! Turns a contract file into a [`Contract`]: what can be used, and what was refused.
//!
//! A file that breaks protobuf-JSON is refused as a whole, for nothing in it can be trusted. An entry that makes no
//! sense is refused alone, and by the smallest part: an egress without a destination leaves its channel's ingress up.
//! Pure, and linear in the size of the file.
//!
//! Source: the reconcilers of eventing-kafka-broker's data plane, with design rows 19 and 26 in place of their failures.

use std::collections::hash_map::Entry as Slot;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::blank::{is_blank, non_blank};
use super::credentials::{SecretField, SecurityProtocol};
use super::{
    Auth, ContentMode, Contract, ContractError, Entry, EventPolicy, Ingress, MultiSecret, ParseError, Reference,
    Refusal, Resource, SecretFields, delivery, wire,
};

/// Reads a contract file.
///
/// # Errors
/// [`ParseError::Empty`] for an empty file, which a fresh ConfigMap is; [`ParseError::Json`] when the file as a whole
/// cannot be trusted. Entries that are refused are no error: they are in [`Contract::refused`].
pub fn parse(bytes: &[u8]) -> Result<Contract, ParseError> {
    wire::from_json(bytes).map(check)
}

/// Checks every entry of a contract.
pub fn check(wire: wire::Contract) -> Contract {
    let mut seen = Seen::default();
    let mut refused = Vec::new();
    let mut resources = Vec::with_capacity(wire.resources.len());
    for resource in wire.resources {
        let uid = resource.uid.clone();
        match seen.resource(resource, &mut refused) {
            Ok(resource) => resources.push(Arc::new(resource)),
            Err(error) => refused.push(Refusal { uid, entry: Entry::Resource, error }),
        }
    }
    Contract { generation: wire.generation, resources, trust_bundles: wire.trust_bundles, refused }
}

/// What earlier entries already use.
#[derive(Default)]
struct Seen {
    resources: HashSet<String>,
    egresses: HashSet<String>,
    /// To the uid of the resource that has it.
    paths: HashMap<String, String>,
    /// To the uid of the resource that has it.
    hosts: HashMap<String, String>,
}

impl Seen {
    fn resource(&mut self, wire: wire::Resource, refused: &mut Vec<Refusal>) -> Result<Resource, ContractError> {
        let wire::Resource { uid, topics, bootstrap_servers, ingress, egress_config, egresses, .. } = wire;
        if topics.is_empty() || topics.iter().any(|topic| is_blank(topic)) {
            return Err(ContractError::Topics);
        }
        if is_blank(&bootstrap_servers) {
            return Err(ContractError::BootstrapServers);
        }
        let auth = auth(wire.auth_secret, wire.multi_auth_secret)?;
        // Last, so that a resource refused for another reason does not keep the uid from a later one. Only targets are
        // told apart by it; egresses have uids of their own.
        let is_new = self.resources.insert(uid.clone());
        if !is_new && egresses.is_empty() {
            return Err(ContractError::DuplicateUid { uid });
        }
        let ingress = ingress.and_then(|ingress| {
            let named = if is_new { Ok(()) } else { Err(ContractError::DuplicateUid { uid: uid.clone() }) };
            named
                .and_then(|()| self.ingress(&uid, ingress))
                .map_err(|error| refused.push(Refusal { uid: uid.clone(), entry: Entry::Ingress, error }))
                .ok()
        });
        let overrides = overrides(wire.cloud_event_overrides.unwrap_or_default().extensions);
        let mut kept = Vec::with_capacity(egresses.len());
        for egress in egresses {
            let egress_uid = egress.uid.clone();
            // Only egresses use overrides, so a bad one leaves the ingress alone.
            let usable = overrides.as_ref().map_err(Clone::clone);
            match usable.and_then(|_| self.egress(egress, egress_config.as_ref())) {
                Ok(egress) => kept.push(Arc::new(egress)),
                Err(error) => refused.push(Refusal { uid: egress_uid, entry: Entry::Egress, error }),
            }
        }
        Ok(Resource {
            uid,
            topics,
            bootstrap_servers,
            auth,
            ingress,
            egresses: kept,
            overrides: overrides.unwrap_or_default(),
            reference: wire.reference.map(Reference::from).unwrap_or_default(),
            auto_create_event_types: wire.feature_flags.is_some_and(|flags| flags.enable_event_type_autocreate),
        })
    }

    fn ingress(&mut self, uid: &str, wire: wire::Ingress) -> Result<Ingress, ContractError> {
        // A path of "/" would only ever be looked up as the empty text, so it counts as none.
        let path = non_blank(wire.path).filter(|path| path != "/");
        let host = non_blank(wire.host);
        if path.is_none() && host.is_none() {
            return Err(ContractError::NoRoute);
        }
        if let Some((path, other)) = path.as_ref().and_then(|path| self.paths.get_key_value(path)) {
            return Err(ContractError::DuplicatePath { path: path.clone(), other: other.clone() });
        }
        if let Some((host, other)) = host.as_ref().and_then(|host| self.hosts.get_key_value(host)) {
            return Err(ContractError::DuplicateHost { host: host.clone(), other: other.clone() });
        }
        // Both are free: taken together or not at all.
        claim(&mut self.paths, path.as_ref(), uid);
        claim(&mut self.hosts, host.as_ref(), uid);
        Ok(Ingress {
            path,
            host,
            content_mode: match wire.content_mode {
                wire::ContentMode::Binary => ContentMode::Binary,
                wire::ContentMode::Structured => ContentMode::Structured,
            },
            audience: non_blank(wire.audience),
            policies: wire.event_policies.into_iter().map(EventPolicy::from).collect(),
        })
    }

    fn egress(
        &mut self,
        wire: wire::Egress,
        inherited: Option<&wire::EgressConfig>,
    ) -> Result<delivery::Egress, ContractError> {
        let egress = delivery::egress(wire, inherited)?;
        match self.egresses.insert(egress.uid.clone()) {
            true => Ok(egress),
            false => Err(ContractError::DuplicateUid { uid: egress.uid }),
        }
    }
}

fn claim(taken: &mut HashMap<String, String>, key: Option<&String>, uid: &str) {
    if let Some(Slot::Vacant(free)) = key.map(|key| taken.entry(key.clone())) {
        free.insert(uid.to_owned());
    }
}

fn overrides(extensions: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, ContractError> {
    let bad = extensions
        .keys()
        .find(|name| name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
    match bad {
        Some(name) => Err(ContractError::OverrideName { name: name.clone() }),
        None => Ok(extensions),
    }
}

fn auth(secret: Option<wire::Reference>, secrets: Option<wire::MultiSecretReference>) -> Result<Auth, ContractError> {
    match (secret, secrets) {
        (Some(reference), _) => Ok(Auth::Secret(secret_reference("authSecret", Some(reference))?)),
        (None, Some(multi)) => multi_secret(multi).map(Auth::Secrets),
        (None, None) => Ok(Auth::Absent),
    }
}

fn multi_secret(wire: wire::MultiSecretReference) -> Result<MultiSecret, ContractError> {
    let protocol = match wire.protocol {
        wire::Protocol::Plaintext => SecurityProtocol::Plaintext,
        wire::Protocol::SaslPlaintext => SecurityProtocol::SaslPlaintext,
        wire::Protocol::Ssl => SecurityProtocol::Ssl,
        wire::Protocol::SaslSsl => SecurityProtocol::SaslSsl,
        wire::Protocol::Unrecognised(found) => return Err(ContractError::AuthProtocol { found }),
    };
    let mut secrets = Vec::with_capacity(wire.references.len());
    for secret in wire.references {
        let reference = secret_reference("multiAuthSecret.references", secret.reference)?;
        let fields = secret.key_field_references.into_iter().map(secret_field).collect::<Result<_, _>>()?;
        secrets.push(SecretFields { reference, fields });
    }
    Ok(MultiSecret { protocol, secrets })
}

fn secret_field(wire: wire::KeyFieldReference) -> Result<(String, SecretField), ContractError> {
    let field = match wire.field {
        wire::SecretField::SaslMechanism => SecretField::SaslMechanism,
        wire::SecretField::CaCrt => SecretField::CaCrt,
        wire::SecretField::UserCrt => SecretField::UserCrt,
        wire::SecretField::UserKey => SecretField::UserKey,
        wire::SecretField::User => SecretField::User,
        wire::SecretField::Password => SecretField::Password,
        wire::SecretField::Type => SecretField::Type,
        wire::SecretField::TokenProvider => SecretField::TokenProvider,
        wire::SecretField::RoleArn => SecretField::RoleArn,
        wire::SecretField::Unrecognised(found) => {
            return Err(ContractError::SecretField { secret_key: wire.secret_key, found });
        }
    };
    Ok((wire.secret_key, field))
}

fn secret_reference(field: &'static str, wire: Option<wire::Reference>) -> Result<Reference, ContractError> {
    let reference = wire.map(Reference::from).unwrap_or_default();
    match is_blank(&reference.name) || is_blank(&reference.namespace) {
        true => Err(ContractError::SecretReference { field }),
        false => Ok(reference),
    }
}

impl From<wire::Reference> for Reference {
    fn from(wire: wire::Reference) -> Self {
        let wire::Reference { uuid, namespace, name, version, kind, group_version } = wire;
        Self { uuid, namespace, name, version, kind, group_version }
    }
}
