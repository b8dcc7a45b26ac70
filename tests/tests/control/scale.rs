//! Many channels: how long until all are ready, how many writes each costs, how much memory, and how fast one change is.
//!
//! 40 channels with 2 Subscriptions each by default; `MILLRACE_TEST_CHANNELS` chooses another number, and
//! `MILLRACE_TEST_BINARIES=target/release` the binaries that are measured. The contract is always larger than a ConfigMap:
//! URLs of dead letter sinks are long where there are few channels. The limits hold for debug builds on a loaded 2-core
//! machine; the numbers are printed.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use millrace_tests::broker::kafka::Kafka;
use millrace_tests::kubernetes::install::{CHANNEL, Install, SUBSCRIPTION, condition};
use millrace_tests::metrics::metric;
use millrace_tests::wait::wait_for;
use serde_json::json;

/// Bytes of a Subscription in the contract, with its share of the channel's.
const ENTRY: usize = 550;
/// What the contract is to have, in bytes.
const CONTRACT: usize = 1_200_000;
/// Who apply objects at the same time.
const APPLIERS: usize = 8;

fn resident_mib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() / 1024
}

/// A channel with two Subscriptions, whose entries in the contract have about `size` bytes each.
fn apply(install: &Install, namespace: &str, number: usize, size: usize) {
    let name = format!("c{number}");
    install.apply_channel(namespace, &name, &json!({}));
    for subscription in ["a", "b"] {
        let sink = format!("http://127.0.0.1:9/{}", "x".repeat(size.saturating_sub(ENTRY)));
        let spec = json!({"subscriber": {"uri": "http://127.0.0.1:9/"}, "delivery": {"deadLetterSink": {"uri": sink}}});
        install.apply_subscription(namespace, &format!("{name}-{subscription}"), &name, &spec);
    }
}

#[test]
fn many_channels_become_ready_with_few_writes_and_one_change_among_them_is_quick() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(install) = Install::on(kafka) else { return };
    let channels: usize = std::env::var("MILLRACE_TEST_CHANNELS").ok().and_then(|text| text.parse().ok()).unwrap_or(40);
    let count = u32::try_from(channels).expect("a small number");
    let limit = Duration::from_secs(60) + Duration::from_millis(500) * count;
    let control = install.start_control();
    let namespace = install.cluster.fresh_namespace();
    let started = Instant::now();
    // One after the other would measure how fast the test is.
    thread::scope(|scope| {
        for first in 0..APPLIERS {
            let (install, namespace) = (&install, namespace.as_str());
            scope.spawn(move || {
                (first..channels)
                    .step_by(APPLIERS)
                    .for_each(|number| apply(install, namespace, number, CONTRACT / channels / 2))
            });
        }
    });
    let applied = started.elapsed();
    // Listing all objects again and again would be most of the server's work; control's own count is free.
    wait_for("everything to be ready", limit, || {
        let ready = |kind: &str| metric(&control, &format!("millrace_control_{kind}_ready"));
        let found = (ready("channels"), ready("subscriptions"));
        let wanted = (f64::from(count), f64::from(count * 2));
        if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
    });
    for ([api_version, kind], wanted) in [(CHANNEL, channels), (SUBSCRIPTION, channels * 2)] {
        wait_for("the statuses to be written", limit, || {
            let objects = install.admin.list(api_version, kind, &namespace);
            let ready = objects.iter().filter(|object| condition(object, "Ready")["status"] == "True").count();
            if ready == wanted { Ok(()) } else { Err(format!("{ready} of {wanted}")) }
        });
    }
    let all_ready = started.elapsed();
    let writes = metric(&control, "millrace_control_api_writes_total") / f64::from(count);
    let contracts = metric(&control, "millrace_control_contracts_published_total") / f64::from(count);
    let memory = resident_mib(control.pid());
    let maps = metric(&control, "millrace_control_contract_maps");
    let folder = install.plane.contract.path();
    let index = || fs::read(folder.join("data")).unwrap_or_default();
    let old = index();
    let changed = Instant::now();
    let spec = json!({"subscriber": {"uri": "http://127.0.0.1:9/changed"}});
    install.apply_subscription(&namespace, "c0-a", "c0", &spec);
    wait_for("the change at the data plane", Duration::from_secs(10), || {
        let files = fs::read_dir(folder).map_err(|error| error.to_string())?;
        let texts = files.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
        let found = texts.into_iter().any(|text| text.contains("http://127.0.0.1:9/changed"));
        // A shard is no news before the index names it.
        if found && index() != old { Ok(()) } else { Err("not there".to_owned()) }
    });
    let live = changed.elapsed();
    eprintln!(
        "{channels} channels x 2: applied in {applied:.1?}, all ready after {all_ready:.1?}, {writes:.1} writes and \
         {contracts:.2} contracts a channel, {maps} maps, {memory} MiB, a change live after {live:.0?}"
    );
    // Five for a channel and one or two for each Subscription, and some that met a conflict; few channels with long URLs
    // also wait long enough for a large contract that it is told, and pass the size from which that is told, too.
    assert!(writes < 30.0, "{writes} writes a channel");
    assert!(maps > 1.0, "the contract fits into one map");
    assert!(live < Duration::from_secs(6), "a change took {live:?}");
}
