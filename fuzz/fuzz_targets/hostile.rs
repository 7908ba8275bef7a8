//! The targets of `tests/hostile` under libFuzzer; `HOSTILE` names the one that is fed.
#![no_main]

#[path = "../../tests/hostile/targets.rs"]
mod targets;

use std::sync::LazyLock;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("HOSTILE").expect("HOSTILE names a target");
    targets::TARGETS.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("no target {name}")).1
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
