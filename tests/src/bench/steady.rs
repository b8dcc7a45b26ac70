//! Row 3: events that come at a fixed rate, whatever the answers take: latency from the moment an event should have been
//! sent, and the processor time that an event costs while there is time to rest between two.
//!
//! Each sender is a thread with a connection of its own that has its own moments in turn. One that is late sends at once and
//! stays answerable for being late. They share a processor with the broker, as all load does.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::Scale;
use super::generator::{Done, Shape, prepared, put_id};
use super::ingress::{MAX_NOISE, Started, add, start};
use super::report::Report;
use crate::broker::Broker;
use crate::broker::kafka::Kafka;
use crate::contract::Channel;
use crate::raw_http::RawClient;

const SENDERS: u32 = 32;
const WARM_UP: Duration = Duration::from_millis(500);
const FIRST_MEASURED_ID: usize = 100_000_000;

/// # Errors
/// When an event is not accepted, or the topic does not hold what was accepted.
pub(super) fn run(kafka: &Kafka, scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    for &rate in &scale.rates {
        let what = format!("ingress, {rate} events/s");
        for round in 0..=scale.rounds {
            for program in ["limit", "millrace"] {
                let channel = Channel::new(&format!("steady-{rate}-{round}-{program}"), &kafka.bootstrap());
                let started = start(kafka, program, &channel);
                let warm = send(&started, rate, WARM_UP, 0)?;
                let before = started.usage();
                let done = send(&started, rate, scale.duration, FIRST_MEASURED_ID)?;
                let used = started.usage().since(before);
                started.ensure_stored(kafka, warm.accepted + done.accepted)?;
                eprintln!(
                    "{what}, round {round}, {program}: {:.0}/s, noise {:.0} %",
                    done.rate(),
                    used.noise() * 100.0
                );
                // The processor rests most of the time, so others' share of it is large and disturbs little.
                if round > 0 && used.noise() > MAX_NOISE * 5.0 && scale.rounds > 1 {
                    report.drop_round();
                } else if round > 0 {
                    add(report, &what, program, &done, used);
                }
            }
        }
    }
    Ok(())
}

fn send(started: &Started, rate: u32, duration: Duration, first_id: usize) -> anyhow::Result<Done> {
    let (address, path) = (started.ingress.address, started.channel.path());
    let begin = Instant::now() + Duration::from_millis(50);
    let senders: Vec<_> = (0..SENDERS)
        .map(|number| {
            let path = path.clone();
            thread::spawn(move || sender(address, &path, (number, rate), (begin, duration), first_id))
        })
        .collect();
    let mut done = Done::default();
    for sender in senders {
        let sent = sender.join().ok().context("a sender's thread")?;
        done.latencies.extend(sent?);
    }
    done.elapsed = begin.elapsed();
    done.accepted = done.latencies.len();
    done.latencies.sort_unstable();
    Ok(done)
}

fn sender(
    address: SocketAddr,
    path: &str,
    (number, rate): (u32, u32),
    (begin, duration): (Instant, Duration),
    first_id: usize,
) -> anyhow::Result<Vec<Duration>> {
    let mut client = RawClient::connect(address)?;
    let (mut bytes, position) = prepared(path, Shape::USUAL);
    let mut latencies = Vec::new();
    for turn in (number..).step_by(usize::try_from(SENDERS)?) {
        let due = Duration::from_secs(1) * turn / rate;
        if due >= duration {
            break;
        }
        let due = begin + due;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        put_id(&mut bytes, position, first_id + usize::try_from(turn)?)?;
        let answer = client.exchange(&bytes)?;
        ensure!(answer.status == 202, "not accepted: {}", answer.text());
        latencies.push(due.elapsed());
    }
    Ok(latencies)
}
