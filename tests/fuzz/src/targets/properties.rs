//! A properties file, and the settings that each of the four files gives.

use std::mem::discriminant;

use millrace_config::properties::{grammar, http_client, http_server, kafka};

use crate::target::{Outcome, Target};

pub(super) const TARGET: Target = Target {
    name: "properties",
    check,
    examples: &[
        "",
        "# a comment\n! another\nkey=value\nkey2 : value 2\nkey3 value\\\n   goes on\nk\\ ey\\=\\:=\\u00e9\\t\\\\\n",
        "linger.ms=0\nbatch.size=16384\nacks=all\nretries=2147483647\nbuffer.memory=33554432\ncompression.type=lz4\n\
         enable.idempotence=true\nmax.in.flight.requests.per.connection=5\ndelivery.timeout.ms=120000\nmax.request.size=1048576\n",
        "max.poll.records=50\nauto.offset.reset=earliest\nauto.commit.interval.ms=5000\nsession.timeout.ms=45000\n\
         partition.assignment.strategy=org.apache.kafka.clients.consumer.CooperativeStickyAssignor\nisolation.level=read_committed\n\
         millrace.undelivered=park\nmillrace.ordered.by=key\nmillrace.in.flight.max=100\nmillrace.retry.max.pause.ms=1000\n",
        "idleTimeout=10000\nmaxPoolSize=100\nhttp2MaxPoolSize=2\nverifyHost=false\nuserAgent=x\nuseAlpn=true\n",
        "port=8080\nidleTimeout=0\nidleTimeoutUnit=SECONDS\nmaxHeaderSize=8192\ncompressionSupported=true\n",
    ],
    words: &[
        "=",
        ":",
        "\\",
        "\\u00",
        "\\uD83D\\uDE00",
        "\\uD800",
        "\n",
        "\r\n",
        "#",
        "!",
        " ",
        "\t",
        "\u{c}",
        "true",
        "false",
        "-1",
        "0",
        "2147483648",
        "9223372036854775808",
        "all",
        "é",
        "linger.ms",
        "acks",
        "batch.size",
        "max.poll.records",
        "isolation.level",
        "auto.offset.reset",
        "idleTimeout",
        "maxPoolSize",
        "millrace.",
        "security.protocol",
        "sasl.mechanism",
        "bootstrap.servers",
        "group.id",
        "enable.auto.commit",
        "interceptor.classes",
    ],
};

fn check(input: &[u8]) -> Outcome {
    let properties = match grammar::parse(input) {
        Ok(properties) => properties,
        Err(error) => return Outcome::of((0, discriminant(&error))),
    };
    let again = grammar::parse(grammar::write(&properties).as_bytes());
    assert_eq!(again.as_ref(), Ok(&properties));
    // That all of them read all files is as good as one each: none may panic, and they may err as they like.
    let read = (
        kafka::producer(&properties).map_err(|errors| errors.0.len()).is_ok(),
        kafka::consumer(&properties).map_err(|errors| errors.0.len()).is_ok(),
        http_client::http_client(&properties).map(|settings| settings.warnings.len()).unwrap_or(usize::MAX),
        http_server::http_server(&properties).map(|settings| settings.warnings.len()).unwrap_or(usize::MAX),
    );
    Outcome::of((1, properties.len().min(30), read))
}
