//! What is read of the client's statistics, and under which names it is shown.

use super::*;

const STATISTICS: &[u8] =
    br#"{"name":"rdkafka#consumer-1","client_id":"rdkafka","type":"consumer","ts":1,"tx":7,"rx":6,
    "tx_bytes":700,"rx_bytes":600,"unknown":[1,{"a":null}],
    "brokers":{"127.0.0.1:9092/1":{"name":"x","state":"UP","rtt":{"min":1},"req":{"Fetch":40,"OffsetCommit":3}},"GroupCoordinator":{"state":"INIT","req":{"OffsetCommit":2,"Heartbeat":5,"JoinGroup":2,"SyncGroup":1}}},
    "topics":{"orders":{"topic":"orders","partitions":{
        "0":{"partition":0,"consumer_lag":5,"rxmsgs":10,"rxbytes":1000},
        "1":{"partition":1,"consumer_lag":-1,"hi_offset":9,"app_offset":-1001,"rxmsgs":2,"rxbytes":200},
        "2":{"partition":2,"consumer_lag":-1,"hi_offset":9,"app_offset":7,"rxmsgs":0,"rxbytes":0},
        "-1":{"partition":-1,"consumer_lag":99,"rxmsgs":99,"rxbytes":99}}}},
    "cgrp":{"state":"up","rebalance_cnt":3,"rebalance_age":61234,"assignment_size":2}}"#;

fn egress() -> Egress {
    let contract =
        br#"{"generation":"1","resources":[{"uid":"r","topics":["orders"],"bootstrapServers":"b:1","egresses":[
        {"uid":"e","consumerGroup":"g","destination":"http://s/"}]}]}"#;
    (*millrace_config::contract::parse(contract).unwrap().resources[0].egresses[0]).clone()
}

fn shown(clients: bool) -> String {
    let metrics = Metrics::new();
    let owner = OwnerLabels::from([("kn_trigger_name".to_owned(), "t".to_owned())]);
    let series = KafkaFamilies::register(&metrics, clients).unwrap().egress(&egress(), &owner);
    series.set(&Statistics::parse(STATISTICS).unwrap());
    metrics.text()
}

#[test]
fn lag_is_the_sum_over_the_partitions_that_this_process_has() {
    let text = shown(false);
    assert!(text.contains("millrace_dispatcher_lag_records{kn_trigger_name=\"t\",topic=\"orders\"} 7\n"), "{text}");
    assert!(!text.contains("kafka_consumer"), "{text}");
}

#[test]
fn the_client_s_numbers_have_the_peer_s_names() {
    let text = shown(true);
    let client = "client_id=\"consumer-g-e\",kafka_version=\"librdkafka\"";
    for (name, labels, value) in [
        ("kafka_consumer_coordinator_assigned_partitions", "", 2),
        ("kafka_consumer_coordinator_rebalance_total", "", 3),
        ("kafka_consumer_coordinator_last_rebalance_seconds_ago", "", 61),
        ("kafka_consumer_coordinator_commit_total", "", 5),
        ("kafka_consumer_coordinator_heartbeat_total", "", 5),
        ("kafka_consumer_coordinator_join_total", "", 2),
        ("kafka_consumer_coordinator_sync_total", "", 1),
        ("kafka_consumer_fetch_manager_fetch_total", "", 40),
        ("kafka_consumer_fetch_manager_records_lag_max", "", 5),
        ("kafka_consumer_connection_count", "", 1),
        ("kafka_consumer_request_total", "", 7),
        ("kafka_consumer_response_total", "", 6),
        ("kafka_consumer_outgoing_byte_total", "", 700),
        ("kafka_consumer_incoming_byte_total", "", 600),
        ("kafka_consumer_fetch_manager_records_consumed_total", ",topic=\"orders\"", 12),
        ("kafka_consumer_fetch_manager_bytes_consumed_total", ",topic=\"orders\"", 1200),
        ("kafka_consumer_fetch_manager_records_lag", ",partition=\"0\",topic=\"orders\"", 5),
        ("kafka_consumer_fetch_manager_records_lag", ",partition=\"1\",topic=\"orders\"", 0),
    ] {
        let line = format!("{name}{{{client}{labels}}} {value}\n");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}

#[test]
fn the_debug_page_lists_only_what_the_client_knows() {
    let lags = Statistics::parse(STATISTICS).unwrap().lags();
    let lag = |partition, records| Lag { topic: "orders".into(), partition, records };
    assert_eq!(lags, [lag(0, 5), lag(2, 2)]);
}
