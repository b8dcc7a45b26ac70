//! The directory shell as a whole: real folders, librdkafka's mock cluster, a scripted ingress.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test at that line")]

mod harness;
mod offsets;
mod process;

use harness::{CHANNEL, Laptop, subscription};

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_objects_becomes_a_contract_and_everything_ready() {
    let laptop = Laptop::new();
    laptop.write("objects.yaml", &format!("{CHANNEL}---\n{}", subscription("one", "http://127.0.0.1:9000/")));
    let running = laptop.start();
    let status = laptop.wait(|status| status["subscriptions"][0]["ready"] == "True").await;
    assert_eq!(status["channels"][0]["ready"], "True");
    assert_eq!(status["channels"][0]["topic"], "knative-messaging-kafka.default.orders");
    assert_eq!(status["channels"][0]["url"], format!("{}/default/orders", laptop.ingress_url()));
    assert_eq!(status["problems"], serde_json::json!([]));
    let subscription = &status["subscriptions"][0];
    assert_eq!(
        (&subscription["channel"], &subscription["subscriber"]),
        (&"orders".into(), &"http://127.0.0.1:9000/".into())
    );
    assert!(subscription["deadLetterSink"].is_null());

    let contract = laptop.contract();
    assert_eq!(contract["generation"], status["generation"].to_string());
    let resource = &contract["resources"][0];
    assert_eq!(resource["bootstrapServers"], laptop.servers());
    assert_eq!(resource["egresses"][0]["uid"], subscription["uid"]);
    assert_eq!(laptop.partitions("knative-messaging-kafka.default.orders"), 3);
    for file in ["producer", "consumer", "webclient", "httpserver"] {
        assert!(laptop.state().join(format!("config/config-kafka-channel-{file}.properties")).is_file(), "{file}");
    }
    assert!(laptop.state().join("features").is_dir() && laptop.state().join("observability").is_dir());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_edit_is_reported_and_the_last_good_object_stays_in_force() {
    let laptop = Laptop::new();
    laptop.write("channel.yaml", CHANNEL);
    laptop.write("one.yaml", &subscription("one", "http://127.0.0.1:9000/"));
    let running = laptop.start();
    laptop.wait(|status| status["subscriptions"][0]["ready"] == "True").await;
    let before = laptop.contract();

    laptop.write("one.yaml", &subscription("one", "http://127.0.0.1:9000/").replace("uri:", "url:"));
    let status = laptop.wait(|status| !status["problems"].as_array().unwrap().is_empty()).await;
    let problem = &status["problems"][0];
    assert!(problem["file"].as_str().unwrap().ends_with("one.yaml"), "{problem}");
    assert_eq!(problem["object"], "Subscription default/one");
    assert_eq!(status["subscriptions"][0]["ready"], "True");
    assert_eq!(laptop.contract(), before);

    // Mended with another address: applied. Removed: gone.
    laptop.write("one.yaml", &subscription("one", "http://127.0.0.1:9001/"));
    laptop.wait(|status| status["subscriptions"][0]["subscriber"] == "http://127.0.0.1:9001/").await;
    laptop.remove("one.yaml");
    let status = laptop.wait(|status| status["subscriptions"].as_array().unwrap().is_empty()).await;
    assert_eq!((&status["problems"], &status["channels"][0]["ready"]), (&serde_json::json!([]), &"True".into()));
    assert_eq!(laptop.contract()["resources"][0].get("egresses"), None);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_changes_nothing_and_a_corrupt_contract_is_repaired() {
    let laptop = Laptop::new();
    laptop.write("objects.yaml", &format!("{CHANNEL}---\n{}", subscription("one", "http://127.0.0.1:9000/")));
    let running = laptop.start();
    laptop.wait(|status| status["subscriptions"][0]["ready"] == "True").await;
    running.stop().await;
    let before = laptop.contract();

    laptop.remove_state("status.json");
    let running = laptop.start();
    laptop.wait(|status| status["subscriptions"][0]["ready"] == "True").await;
    running.stop().await;
    assert_eq!(laptop.contract(), before);

    let generation: u64 = before["generation"].as_str().unwrap().parse().unwrap();
    std::fs::write(laptop.state().join("contract/data"), format!("{{\"generation\":\"{generation}\",\"resou")).unwrap();
    laptop.remove_state("status.json");
    let running = laptop.start();
    laptop.wait(|status| status["subscriptions"][0]["ready"] == "True").await;
    running.stop().await;
    let after = laptop.contract();
    assert!(after["generation"].as_str().unwrap().parse::<u64>().unwrap() > generation);
    assert_eq!(after["resources"], before["resources"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_ready_until_the_ingress_knows_the_channel() {
    let laptop = Laptop::new();
    laptop.ingress_answers(404);
    laptop.write("objects.yaml", &format!("{CHANNEL}---\n{}", subscription("one", "http://127.0.0.1:9000/")));
    let running = laptop.start();
    // Unknown before the ingress was asked for the first time.
    let probed = |object: &serde_json::Value| object["reason"] == "ProbeSucceeded" && object["ready"] == "False";
    let status = laptop.wait(|status| probed(&status["subscriptions"][0])).await;
    assert_eq!(status["channels"][0]["ready"], "False");
    for text in [&status["channels"][0]["message"], &status["subscriptions"][0]["message"]] {
        assert!(text.as_str().unwrap().contains("404"), "{status}");
    }
    laptop.ingress_answers(200);
    laptop.wait(|status| status["subscriptions"][0]["ready"] == "True").await;
    assert!(laptop.probe_headers_were_right());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_refused_is_tried_again_until_it_works() {
    let laptop = Laptop::new();
    laptop.refuse_topics(true);
    laptop.write("objects.yaml", CHANNEL);
    let running = laptop.start();
    let status = laptop.wait(|status| status["channels"][0]["ready"] == "False").await;
    assert_eq!(status["channels"][0]["reason"], "Failed to create topic: knative-messaging-kafka.default.orders");
    assert!(status["channels"][0]["message"].as_str().unwrap().contains("503"), "{status}");
    assert_eq!(laptop.contract().get("resources"), None, "a channel without a topic would lose events");
    laptop.refuse_topics(false);
    laptop.wait(|status| status["channels"][0]["ready"] == "True").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_becomes_files_and_a_bad_property_keeps_the_last_good_one() {
    let map = |linger: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: config-kafka-channel-data-plane\ndata:\n  config-kafka-channel-producer.properties: |\n    linger.ms={linger}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: config-features\ndata:\n  x: \"{linger}\"\n"
        )
    };
    let laptop = Laptop::new();
    laptop.write("config.yaml", &map("7"));
    let running = laptop.start();
    let producer = laptop.state().join("config/config-kafka-channel-producer.properties");
    laptop.wait(|_| std::fs::read_to_string(&producer).is_ok_and(|text| text == "linger.ms=7\n")).await;

    laptop.write("config.yaml", &map("soon"));
    let status = laptop.wait(|status| !status["problems"].as_array().unwrap().is_empty()).await;
    assert_eq!(status["problems"][0]["field"], "data.config-kafka-channel-producer.properties: linger.ms");
    assert_eq!(status["problems"][0]["line"], 6);
    assert_eq!(std::fs::read_to_string(&producer).unwrap(), "linger.ms=7\n");
    assert_eq!(std::fs::read_to_string(laptop.state().join("features/x")).unwrap(), "soon");

    laptop.remove("config.yaml");
    laptop.wait(|_| !laptop.state().join("features/x").exists()).await;
    assert!(std::fs::read_to_string(&producer).unwrap().contains("enable.idempotence=true"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_disappears_changes_nothing() {
    let laptop = Laptop::new();
    laptop.write("objects.yaml", CHANNEL);
    let running = laptop.start();
    laptop.wait(|status| status["channels"][0]["ready"] == "True").await;
    let before = laptop.contract();
    laptop.remove_objects();
    let status = laptop.wait(|status| !status["problems"].as_array().unwrap().is_empty()).await;
    assert!(status["problems"][0]["message"].as_str().unwrap().contains("everything stays as it was"));
    assert_eq!((laptop.contract(), &status["channels"][0]["ready"]), (before, &"True".into()));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_examples_work_as_they_stand() {
    for (name, subscriptions) in [("hello", 2), ("ordered", 2)] {
        let laptop = Laptop::new();
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples").join(name);
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            laptop.write(&path.file_name().unwrap().to_string_lossy(), &std::fs::read_to_string(&path).unwrap());
        }
        let running = laptop.start();
        let ready = |status: &serde_json::Value| {
            let list = status["subscriptions"].as_array().unwrap();
            list.len() == subscriptions && list.iter().all(|subscription| subscription["ready"] == "True")
        };
        let status = laptop.wait(ready).await;
        assert_eq!(status["problems"], serde_json::json!([]), "{name}");
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_a_cluster_is_a_problem_where_its_name_leads_nowhere() {
    let laptop = Laptop::new();
    let reference = subscription("one", "http://unused/")
        .replace("uri: http://unused/", "ref:\n      apiVersion: v1\n      kind: Service\n      name: billing-nowhere");
    laptop.write("objects.yaml", &format!("{CHANNEL}---\n{reference}"));
    let running = laptop.start();
    let status = laptop.wait(|status| !status["problems"].as_array().unwrap().is_empty()).await;
    let problem = &status["problems"][0];
    let expected = "billing-nowhere.default.svc.cluster.local resolves only inside the cluster; use uri here";
    assert_eq!((&problem["message"], &problem["field"]), (&expected.into(), &"spec.subscriber".into()));
    assert_eq!(problem["line"], 17, "{problem}");
    // The name may lead somewhere later: the subscription works as any other whose subscriber is away.
    laptop.wait(|status| status["subscriptions"][0]["ready"] == "True").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_the_build_and_how_the_objects_are() {
    let laptop = Laptop::new();
    laptop.write("objects.yaml", &format!("{CHANNEL}---\n{}", subscription("one", "http://127.0.0.1:9000/")));
    laptop.write("bad.yaml", "kind: [\n");
    let running = laptop.start();
    let status = laptop.wait(|status| status["subscriptions"][0]["ready"] == "True").await;
    let text = running.metrics();
    for line in [
        "millrace_control_channels_ready 1",
        "millrace_control_subscriptions_ready 1",
        "millrace_control_problems 1",
        &format!("millrace_control_contract_generation {}", status["generation"]),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(text.contains("millrace_build_info{") && text.contains("version=\""), "{text}");
    running.stop().await;
}
