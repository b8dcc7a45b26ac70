//! Fuzzing on the stable toolchain: everything that reads text or bytes from outside is fed with mutated examples.
//!
//! A target (`targets/*`) reads an input and checks what must hold of every input: no panic, and properties such as round
//! trips. The driver mutates examples at random, from a seed that is printed, and keeps inputs with an outcome that it has
//! not seen yet, which takes the place of coverage. libFuzzer would steer better, but needs a nightly compiler.
//!
//! A new target is a file below `targets/` and an entry in [`targets::ALL`]; the test and the command take it from there.
//! `cargo xtask fuzz TARGET --seconds N` runs one for long, `tests/targets.rs` all of them for a moment.

pub mod driver;
mod mutate;
mod random;
pub mod target;
pub mod targets;
