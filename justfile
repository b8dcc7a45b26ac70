# The menu. Everything here is one line: the work is done by `cargo xtask` (tests/xtask).

# Lists the recipes.
default:
    @just --list

# Builds everything and shows one event's journey on this machine.
demo *ARGS:
    cargo xtask demo {{ARGS}}

# Builds the binaries, then runs all tests (FILTER: part of a test's name).
test *FILTER:
    cargo xtask test {{FILTER}}

# What CI runs: format, lints, docs, licences, tests, demo, bench smoke.
check:
    cargo xtask ci

# Formats the code.
fmt:
    cargo fmt --all

# Warnings are errors, as in CI.
clippy:
    cargo xtask clippy

# Licences, sources and duplicate versions of dependencies.
deny:
    cargo xtask deny

# Measures against the limit programs on a real Kafka (ROW: see `cargo xtask help`).
bench *ROW:
    cargo xtask bench {{ROW}}

# Feeds parsers with mutated input (TARGET: one of `just fuzz list`, or all).
fuzz *ARGS:
    cargo xtask fuzz {{ARGS}}
