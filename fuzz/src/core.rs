//! Fuzzer of the pure core. `FUZZ_TARGET` names one of [`TARGETS`]; `scripts/fuzz.sh` runs it.
#![no_main]

#[path = "../../tests/hostile/core.rs"]
#[allow(dead_code, reason = "the server's targets and the mutations by chance use the rest")]
mod core;
mod drive;

use drive::{Drive, Target};

const TARGETS: &[Target] = &[
    ("definition", |data| core::definition(data, |_, _| ())),
    ("jsonpath", core::jsonpath),
    ("intrinsic", core::intrinsic),
    ("jsonata", core::jsonata),
    ("journal", core::journal),
];

drive!(TARGETS);
