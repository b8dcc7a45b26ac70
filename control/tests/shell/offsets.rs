//! First offsets on the mock cluster.

use std::time::Duration;

use millrace_config::contract::credentials::Credentials;
use millrace_control::kafka_access::{ContractAuth, KafkaAccess};
use millrace_control::offsets::{Initialised, OffsetsError, initialise, initialise_then};
use millrace_control::reconcile::observed::{GroupKey, TopicKey};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const TIMEOUT: Duration = Duration::from_secs(10);
const TOPIC: &str = "orders";

struct Cluster(MockCluster<'static, DefaultProducerContext>);

impl Cluster {
    fn new(partitions: i32) -> Self {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(TOPIC, partitions, 1).unwrap();
        Self(cluster)
    }

    fn access(&self) -> KafkaAccess {
        KafkaAccess {
            bootstrap_servers: vec![self.0.bootstrap_servers()],
            auth: ContractAuth::None,
            credentials: Credentials::plaintext(),
        }
    }

    fn initialise(&self, group: &str, topic: &str) -> Result<Initialised, OffsetsError> {
        let key = TopicKey { servers: self.0.bootstrap_servers(), topic: topic.to_owned() };
        initialise(&self.access(), &GroupKey { topic: key, group: group.to_owned() })
    }

    fn initialise_added(&self, group: &str, added: i32) -> Result<Initialised, OffsetsError> {
        let key = TopicKey { servers: self.0.bootstrap_servers(), topic: TOPIC.to_owned() };
        let key = GroupKey { topic: key, group: group.to_owned() };
        let mut found = None;
        initialise_then(&self.access(), &key, Some(added), |result| found = Some(result));
        found.unwrap()
    }

    fn produce(&self, partition: i32, count: usize) {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", self.0.bootstrap_servers()).create().unwrap();
        for _ in 0..count {
            producer.send(BaseRecord::<(), str>::to(TOPIC).partition(partition).payload("x")).unwrap();
        }
        producer.flush(TIMEOUT).unwrap();
    }

    fn consumer(&self, group: &str) -> BaseConsumer {
        ClientConfig::new()
            .set("bootstrap.servers", self.0.bootstrap_servers())
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .create()
            .unwrap()
    }

    fn committed(&self, group: &str, partitions: i32) -> Vec<Offset> {
        let mut list = TopicPartitionList::new();
        (0..partitions).for_each(|partition| {
            list.add_partition(TOPIC, partition);
        });
        let committed = self.consumer(group).committed_offsets(list, TIMEOUT).unwrap();
        committed.elements().iter().map(|element| element.offset()).collect()
    }
}

#[test]
fn a_new_group_starts_at_the_end_of_every_partition() {
    let cluster = Cluster::new(3);
    cluster.produce(0, 5);
    cluster.produce(2, 2);
    assert_eq!(cluster.initialise("g", TOPIC).unwrap(), Initialised::Committed(3));
    assert_eq!(cluster.committed("g", 3), [Offset::Offset(5), Offset::Offset(0), Offset::Offset(2)]);
}

#[test]
fn offsets_that_are_there_are_never_moved() {
    let cluster = Cluster::new(2);
    cluster.produce(0, 5);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, 0, Offset::Offset(3)).unwrap();
    cluster.consumer("g").commit(&list, CommitMode::Sync).unwrap();
    cluster.produce(1, 4);
    assert_eq!(cluster.initialise("g", TOPIC).unwrap(), Initialised::Committed(1));
    assert_eq!(cluster.committed("g", 2), [Offset::Offset(3), Offset::Offset(4)]);
    cluster.produce(1, 4);
    assert_eq!(cluster.initialise("g", TOPIC).unwrap(), Initialised::Committed(0));
    assert_eq!(cluster.committed("g", 2), [Offset::Offset(3), Offset::Offset(4)]);
}

#[test]
fn a_partition_that_was_added_later_begins_with_its_first_record() {
    let cluster = Cluster::new(3);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, 0, Offset::Offset(0)).unwrap();
    cluster.consumer("g").commit(&list, CommitMode::Sync).unwrap();
    for partition in 0..3 {
        cluster.produce(partition, 4);
    }
    assert_eq!(cluster.initialise_added("g", 2).unwrap(), Initialised::Committed(2));
    assert_eq!(cluster.committed("g", 3), [Offset::Offset(0), Offset::Offset(4), Offset::Offset(0)]);
    // For a group that did not exist then, nothing is old or new.
    assert_eq!(cluster.initialise_added("h", 2).unwrap(), Initialised::Committed(3));
    assert_eq!(cluster.committed("h", 3), [Offset::Offset(4), Offset::Offset(4), Offset::Offset(4)]);
}

#[test]
fn a_topic_that_is_not_there_is_an_error_that_names_it() {
    let cluster = Cluster::new(1);
    let error = cluster.initialise("g", "nowhere").unwrap_err();
    assert!(matches!(&error, OffsetsError::NoPartitions(topic) if topic == "nowhere"), "{error}");
}

#[test]
fn a_cluster_that_does_not_answer_is_an_error_in_bounded_time() {
    // Nobody listens there: the port was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let servers = format!("127.0.0.1:{port}");
    let access = KafkaAccess {
        bootstrap_servers: vec![servers.clone()],
        auth: ContractAuth::None,
        credentials: Credentials::plaintext(),
    };
    let key = GroupKey { topic: TopicKey { servers, topic: TOPIC.to_owned() }, group: "g".to_owned() };
    let started = std::time::Instant::now();
    assert!(initialise(&access, &key).is_err());
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}
