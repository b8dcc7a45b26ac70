//! Faults of the proof (section 1, R1 to R28) with whole processes: what breaks around them, and what must hold all the same.
//!
//! Each test counts the rare states that it wants to reach and fails when it never got there; what depends on speed is
//! printed as a ratio within the run and asserted with a wide margin only. Where each scenario is:
//!
//! | scenario | file |
//! |---|---|
//! | R1 kills of the dispatcher | `tests/kafka/crashes.rs` |
//! | R2, R3 kills and ends of the ingress, ends of the dispatcher | `ends` |
//! | R4, R5 a broker that is away, acknowledgements that get lost | `away` |
//! | R6 missing and forbidden topics, R26 rotated credentials | `tests/kafka/secrets.rs` |
//! | R7, R8 rebalances, slow subscribers and poll intervals | `tests/kafka/storms.rs` |
//! | R9 odd offsets | `tests/kafka/offsets.rs` |
//! | R10 one slow subscriber of fifty | `slow` |
//! | R11 to R14 broken connections, statuses, patterns | `broken`; pauses against the model: `dispatcher/src/delivery/tests.rs` |
//! | R15 dead letter sinks, R16 replies | `dead_letters`, `replies` |
//! | R17 contracts | `contracts`, `tests/embedded/reload.rs`, `ingress/tests/integration/contract.rs`, `tests/fuzz` |
//! | R18 to R21, R23, R24 hostile bytes, tokens, keys | `ingress/tests/integration` |
//! | R22 values | `round_trip` |
//! | R25 certificates | `certificates`, `ingress/tests/integration/tls.rs` |
//! | R27 descriptors and disks | `scarce` |
//! | R28 all at once | `soak` |
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail like tests; the lint spares only functions marked as tests"
)]

mod away;
mod broken;
mod certificates;
mod contracts;
mod dead_letters;
mod ends;
mod replies;
mod round_trip;
mod scarce;
mod slow;
mod soak;
mod traces;
