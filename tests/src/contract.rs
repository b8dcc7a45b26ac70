//! Contract files as the control plane writes them, built without the product's writer.
//!
//! Protobuf-JSON: 64-bit numbers as strings, enums by name, defaults omitted. The shape is the shared one (one resource a
//! channel with its ingress and all egresses), see the control-plane specification, section 2.15.

use serde_json::{Value, json};

/// One channel with its subscriptions.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The broker's `host:port`.
    pub bootstrap: String,
    /// Written to the contract's `contentMode`.
    pub structured: bool,
    /// Its subscriptions.
    pub subscriptions: Vec<Subscription>,
}

impl Channel {
    /// A channel in namespace `shop`, binary records, no subscriptions.
    #[must_use]
    pub fn new(name: &str, bootstrap: &str) -> Self {
        let (namespace, name, bootstrap) = ("shop".to_owned(), name.to_owned(), bootstrap.to_owned());
        Self { namespace, name, bootstrap, structured: false, subscriptions: Vec::new() }
    }

    /// Adds a subscription.
    #[must_use]
    pub fn subscribed(mut self, subscription: Subscription) -> Self {
        self.subscriptions.push(subscription);
        self
    }

    /// Stores records in structured mode.
    #[must_use]
    pub fn structured(mut self) -> Self {
        self.structured = true;
        self
    }

    /// The channel's topic.
    #[must_use]
    pub fn topic(&self) -> String {
        format!("knative-messaging-kafka.{}.{}", self.namespace, self.name)
    }

    /// The path of its ingress.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/{}/{}", self.namespace, self.name)
    }

    /// The host name of its ingress.
    #[must_use]
    pub fn host(&self) -> String {
        format!("{}-kn-channel.{}.svc.cluster.local", self.name, self.namespace)
    }

    /// The consumer group of one of its subscriptions.
    #[must_use]
    pub fn group(&self, subscription: &str) -> String {
        format!("kafka.{}.{}.{}", self.namespace, self.name, uid(&self.name, subscription))
    }

    fn json(&self) -> Value {
        let uid = format!("uid-{}", self.name);
        let mut ingress = json!({"path": self.path(), "host": self.host()});
        if self.structured {
            set(&mut ingress, "contentMode", json!("STRUCTURED"));
        }
        let reference = json!({"uuid": uid, "namespace": self.namespace, "name": self.name, "kind": "KafkaChannel", "groupVersion": "messaging.knative.dev/v1beta1"});
        let mut resource = json!({
            "uid": uid, "topics": [self.topic()], "bootstrapServers": self.bootstrap,
            "ingress": ingress, "reference": reference, "featureFlags": {},
        });
        if !self.subscriptions.is_empty() {
            let egresses = self.subscriptions.iter().map(|subscription| subscription.json(self)).collect();
            set(&mut resource, "egresses", Value::Array(egresses));
        }
        resource
    }
}

/// One subscription.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Its name.
    pub name: String,
    /// The subscriber's URL.
    pub destination: String,
    /// ORDERED or UNORDERED.
    pub ordered: bool,
    /// Retries after the first attempt.
    pub retries: u32,
    /// In ms.
    pub backoff_ms: u64,
    /// EXPONENTIAL (the wire's default) or LINEAR.
    pub linear: bool,
    /// In ms; 0 means the data plane's default.
    pub timeout_ms: u64,
    /// The dead letter sink's URL.
    pub dead_letter: Option<String>,
    /// What happens with the subscriber's answers.
    pub reply: Reply,
}

/// Where the events go that a subscriber answers with.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Nowhere, as for most channels.
    Discard,
    /// Into the topic that the event came from, as for brokers.
    ToTopic,
    /// To this URL.
    ToUrl(String),
}

impl Subscription {
    /// ORDERED as a channel's are, no delivery settings.
    #[must_use]
    pub fn new(name: &str, destination: impl Into<String>) -> Self {
        let (name, destination) = (name.to_owned(), destination.into());
        Self {
            name,
            destination,
            ordered: true,
            retries: 0,
            backoff_ms: 0,
            linear: false,
            timeout_ms: 0,
            dead_letter: None,
            reply: Reply::Discard,
        }
    }

    /// Says where replies go.
    #[must_use]
    pub fn replying(mut self, reply: Reply) -> Self {
        self.reply = reply;
        self
    }

    /// Delivers without order.
    #[must_use]
    pub fn unordered(mut self) -> Self {
        self.ordered = false;
        self
    }

    /// Retries with a linear backoff.
    #[must_use]
    pub fn retrying(mut self, retries: u32, backoff_ms: u64) -> Self {
        (self.retries, self.backoff_ms, self.linear) = (retries, backoff_ms, true);
        self
    }

    /// Sets the dead letter sink.
    #[must_use]
    pub fn dead_letter(mut self, url: impl Into<String>) -> Self {
        self.dead_letter = Some(url.into());
        self
    }

    /// Sets the limit of one attempt.
    #[must_use]
    pub fn timeout_ms(mut self, timeout_ms: u64) -> Self {
        self.timeout_ms = timeout_ms;
        self
    }

    fn json(&self, channel: &Channel) -> Value {
        let uid = uid(&channel.name, &self.name);
        let mut delivery = json!({});
        if let Some(url) = &self.dead_letter {
            set(&mut delivery, "deadLetter", json!(url));
        }
        if self.retries > 0 {
            set(&mut delivery, "retry", json!(self.retries));
            set(&mut delivery, "backoffDelay", json!(self.backoff_ms.to_string()));
            set(&mut delivery, "backoffPolicy", json!(if self.linear { "Linear" } else { "Exponential" }));
        }
        if self.timeout_ms > 0 {
            set(&mut delivery, "timeout", json!(self.timeout_ms.to_string()));
        }
        let (reply, target) = match &self.reply {
            Reply::Discard => ("discardReply", json!({})),
            Reply::ToTopic => ("replyToOriginalTopic", json!({})),
            Reply::ToUrl(url) => ("replyUrl", json!(url)),
        };
        json!({
            "consumerGroup": channel.group(&self.name), "destination": self.destination, reply: target,
            "uid": uid, "egressConfig": delivery, "deliveryOrder": if self.ordered { "ORDERED" } else { "UNORDERED" },
            "reference": {"uuid": uid, "namespace": channel.namespace, "name": self.name, "kind": "Subscription", "groupVersion": "messaging.knative.dev/v1"},
            "featureFlags": {},
        })
    }
}

/// The whole file.
#[must_use]
pub fn contract(generation: u64, channels: &[Channel]) -> Vec<u8> {
    trusting(generation, channels, &[])
}

/// The whole file with PEM bundles that subscribers' certificates are checked with.
#[must_use]
pub fn trusting(generation: u64, channels: &[Channel], bundles: &[String]) -> Vec<u8> {
    let resources: Vec<Value> = channels.iter().map(Channel::json).collect();
    let mut file = json!({"generation": generation.to_string(), "resources": resources});
    if !bundles.is_empty() {
        set(&mut file, "trustBundles", json!(bundles));
    }
    file.to_string().into_bytes()
}

/// The uid of a subscription's egress.
#[must_use]
pub fn uid(channel: &str, subscription: &str) -> String {
    format!("uid-{channel}-{subscription}")
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}
