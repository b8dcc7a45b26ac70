//! Creates topics with Kafka's admin protocol; deletes topics and groups when a cluster's objects are gone.
//!
//! Only CreateTopics, DeleteTopics, ListGroups, DeleteGroups and Metadata are ever sent. Source: control-plane spec 2.3
//! (step 7), 2.9, 2.11.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use super::{Partitions, Removals, TopicError, Topics};
use crate::api::channel::{MOST_PARTITIONS, MOST_REPLICAS};
use crate::kafka_access::KafkaAccess;
use crate::reconcile::TopicRequest;

/// How long the cluster may take for one round.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Topics of a real cluster.
#[derive(Debug, Clone, Copy, Default)]
pub struct AdminTopics;

type Client = AdminClient<DefaultClientContext>;

impl Topics for AdminTopics {
    async fn ensure(&self, access: &KafkaAccess, requests: &[TopicRequest]) -> Vec<Result<(), TopicError>> {
        // One client a round: rounds are rare, and an idle client keeps threads and connections.
        let client = match connect(access) {
            Ok(client) => client,
            Err(error) => return requests.iter().map(|_| Err(TopicError::Client(error.to_string()))).collect(),
        };
        let results = create(&client, requests, &access.servers()).await;
        // Closing waits for the client's threads, a tenth of a second for which no channel need wait.
        drop(tokio::task::spawn_blocking(move || drop(client)));
        results
    }
}

impl Partitions for AdminTopics {
    async fn partitions(&self, access: &KafkaAccess) -> Result<BTreeMap<String, i32>, TopicError> {
        let client = connect(access).map_err(|error| TopicError::Client(error.to_string()))?;
        // One answer for all topics, however many there are.
        let look = move || {
            let metadata = client.inner().fetch_metadata(None, TIMEOUT)?;
            let count = |partitions: usize| i32::try_from(partitions).unwrap_or(i32::MAX);
            let topics = metadata.topics().iter().filter(|topic| topic.error().is_none());
            Ok(topics.map(|topic| (topic.name().to_owned(), count(topic.partitions().len()))).collect())
        };
        let found: Result<BTreeMap<String, i32>, KafkaError> =
            tokio::task::spawn_blocking(look).await.map_err(|error| TopicError::Request(error.to_string()))?;
        found.map_err(|error| unanswered(&error, &access.servers()))
    }
}

impl Removals for AdminTopics {
    async fn remove_topic(&self, access: &KafkaAccess, topic: &str, group_prefix: &str) -> Result<(), TopicError> {
        for group in groups(access, group_prefix).await? {
            self.remove_group(access, &group).await?;
        }
        let client = connect(access).map_err(|error| TopicError::Client(error.to_string()))?;
        let results = client.delete_topics(&[topic], &options()).await;
        let results =
            results.map(|results| results.into_iter().map(|result| result.map_err(|(_, code)| code)).collect());
        removed(client, results, RDKafkaErrorCode::UnknownTopicOrPartition, access)
    }

    async fn remove_group(&self, access: &KafkaAccess, group: &str) -> Result<(), TopicError> {
        let client = connect(access).map_err(|error| TopicError::Client(error.to_string()))?;
        let results = client.delete_groups(&[group], &options()).await;
        let results =
            results.map(|results| results.into_iter().map(|result| result.map_err(|(_, code)| code)).collect());
        removed(client, results, RDKafkaErrorCode::GroupIdNotFound, access)
    }
}

/// The groups of a channel, as Kafka knows them.
async fn groups(access: &KafkaAccess, prefix: &str) -> Result<Vec<String>, TopicError> {
    let client = connect(access).map_err(|error| TopicError::Client(error.to_string()))?;
    let prefix = prefix.to_owned();
    let list = move || {
        let listed = client.inner().fetch_group_list(None, TIMEOUT)?;
        let is_ours =
            |name: &&str| name.strip_prefix(&prefix).is_some_and(|rest| !rest.is_empty() && !rest.contains('.'));
        Ok(listed.groups().iter().map(|group| group.name()).filter(is_ours).map(str::to_owned).collect())
    };
    let listed: Result<Vec<String>, KafkaError> =
        tokio::task::spawn_blocking(list).await.map_err(|error| TopicError::Request(error.to_string()))?;
    listed.map_err(|error| unanswered(&error, &access.servers()))
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
}

/// What came of a deletion; `absent` is how Kafka says that there was nothing to delete.
fn removed(
    client: Client,
    results: Result<Vec<Result<String, RDKafkaErrorCode>>, KafkaError>,
    absent: RDKafkaErrorCode,
    access: &KafkaAccess,
) -> Result<(), TopicError> {
    drop(tokio::task::spawn_blocking(move || drop(client)));
    let results = results.map_err(|error| unanswered(&error, &access.servers()))?;
    match results.into_iter().next() {
        Some(Ok(_)) => Ok(()),
        Some(Err(code)) if code == absent => Ok(()),
        Some(Err(code)) => Err(TopicError::NotRemoved(code.to_string())),
        None => Err(TopicError::Request("the answer does not mention what was to be deleted".to_owned())),
    }
}

fn connect(access: &KafkaAccess) -> Result<Client, KafkaError> {
    let mut config = ClientConfig::new();
    for (key, value) in access.credentials.client_properties() {
        config.set(key, value);
    }
    config.set("bootstrap.servers", access.servers());
    config.set("client.id", "millrace-control");
    // Telemetry costs memory and says nothing about us.
    config.set("enable.metrics.push", "false");
    config.create()
}

/// What the client refuses to send; it would fail the other topics of the request as well.
fn impossible(request: &TopicRequest) -> Option<TopicError> {
    let (partitions, replicas) = (request.partitions, request.replication_factor);
    let fits = partitions <= MOST_PARTITIONS && replicas <= MOST_REPLICAS;
    (!fits).then(|| {
        TopicError::Impossible(format!(
            "{partitions} partitions and a replication factor of {replicas}; the most are {MOST_PARTITIONS} and {MOST_REPLICAS}"
        ))
    })
}

async fn create(client: &Client, requests: &[TopicRequest], servers: &str) -> Vec<Result<(), TopicError>> {
    let retentions: Vec<String> = requests.iter().map(|request| request.retention.as_millis().to_string()).collect();
    let topics: Vec<NewTopic<'_>> = requests
        .iter()
        .zip(&retentions)
        .filter(|(request, _)| impossible(request).is_none())
        .map(|(request, retention)| {
            let replication = TopicReplication::Fixed(request.replication_factor);
            NewTopic::new(&request.key.topic, request.partitions, replication).set("retention.ms", retention)
        })
        .collect();
    // Without a topic, the request would be refused.
    let answer = if topics.is_empty() { Ok(Vec::new()) } else { client.create_topics(&topics, &options()).await };
    let results = match answer {
        Ok(results) => results,
        Err(error) => {
            let error = unanswered(&error, servers);
            return requests.iter().map(|request| Err(impossible(request).unwrap_or(error.clone()))).collect();
        }
    };
    requests
        .iter()
        .map(|request| {
            if let Some(error) = impossible(request) {
                return Err(error);
            }
            let result = results.iter().find(|result| match result {
                Ok(topic) | Err((topic, _)) => *topic == request.key.topic,
            });
            match result {
                Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
                Some(Err((_, code))) => Err(TopicError::Refused(code.to_string())),
                None => Err(TopicError::Request("the answer does not mention the topic".to_owned())),
            }
        })
        .collect()
}

/// A request that ran into its time limit was never answered; the client's own words for that say less.
fn unanswered(error: &KafkaError, servers: &str) -> TopicError {
    let away = [
        RDKafkaErrorCode::OperationTimedOut,
        RDKafkaErrorCode::RequestTimedOut,
        RDKafkaErrorCode::BrokerTransportFailure,
        RDKafkaErrorCode::AllBrokersDown,
    ];
    // The client's own look-up of codes leaves admin requests out.
    let code = if let KafkaError::AdminOp(code) = error { Some(*code) } else { error.rdkafka_error_code() };
    if code.is_some_and(|code| away.contains(&code)) {
        TopicError::Away(servers.to_owned())
    } else {
        TopicError::Request(format!("Kafka at {servers} gave no usable answer: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::observed::TopicKey;

    #[test]
    fn a_kafka_that_is_away_is_said_to_be_away_and_nothing_else() {
        for code in [RDKafkaErrorCode::OperationTimedOut, RDKafkaErrorCode::BrokerTransportFailure] {
            let error = unanswered(&KafkaError::AdminOp(code), "k:9092");
            assert_eq!(error.to_string(), "Kafka at k:9092 does not answer");
        }
        let other = unanswered(&KafkaError::AdminOp(RDKafkaErrorCode::Authentication), "k:9092").to_string();
        assert!(other.starts_with("Kafka at k:9092 gave no usable answer: "), "{other}");
    }

    fn request(partitions: i32, replication_factor: i32) -> TopicRequest {
        let key = TopicKey { servers: "127.0.0.1:1".to_owned(), topic: "t".to_owned() };
        TopicRequest { key, partitions, replication_factor, retention: Duration::from_secs(1) }
    }

    #[tokio::test]
    async fn a_topic_that_the_client_would_not_ask_for_is_refused_by_itself() {
        for (partitions, replicas) in [(100_001, 1), (1, 10_001)] {
            let client: Client = ClientConfig::new().create().unwrap();
            let results = create(&client, &[request(partitions, replicas)], "k:9092").await;
            let text = results[0].clone().unwrap_err().to_string();
            assert!(text.starts_with("no Kafka takes the topic: "), "{text}");
        }
        assert_eq!(impossible(&request(MOST_PARTITIONS, MOST_REPLICAS)), None);
        // The client has the limits that we take it to have.
        for (partitions, replicas, is_sent) in
            [(MOST_PARTITIONS, MOST_REPLICAS, true), (MOST_PARTITIONS + 1, 1, false), (1, MOST_REPLICAS + 1, false)]
        {
            let client: Client = ClientConfig::new().set("bootstrap.servers", "127.0.0.1:1").create().unwrap();
            let topic = NewTopic::new("t", partitions, TopicReplication::Fixed(replicas));
            let soon = options().request_timeout(Some(Duration::from_millis(100)));
            let error = client.create_topics(&[topic], &soon).await.unwrap_err();
            assert_eq!(matches!(error, KafkaError::AdminOp(_)), is_sent, "{error}");
        }
    }
}
