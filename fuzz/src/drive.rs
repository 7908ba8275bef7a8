//! The parts that all fuzzers share: the choice of a target, good inputs to begin from, and the house's own mutations
//! beside libFuzzer's, which know JSON and nesting.

#[path = "../../tests/hostile/mutate.rs"]
#[allow(dead_code, reason = "inputs by chance alone are for tests/hostile")]
mod mutate;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook};
use std::path::Path;

use mutate::{Dice, Seeds};

/// A target's name and itself.
pub type Target = (&'static str, fn(&[u8]));

/// One input in so many is changed by the house's mutations, the others by libFuzzer's.
const OURS: u32 = 3;

thread_local!(static PANIC: RefCell<String> = const { RefCell::new(String::new()) });

pub struct Drive {
    target: fn(&[u8]),
    seeds: Seeds,
}

impl Drive {
    /// The target of `FUZZ_TARGET`. With `FUZZ_SEEDS` its good inputs are written into that folder, and that was all.
    pub fn of(targets: &[Target]) -> Self {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let Some((_, target)) = targets.iter().find(|(n, _)| *n == name) else {
            let names: Vec<&str> = targets.iter().map(|(n, _)| *n).collect();
            eprintln!("FUZZ_TARGET must be one of {names:?}");
            std::process::exit(2);
        };
        let seeds = Seeds::of(&name);
        if let Some(folder) = std::env::var_os("FUZZ_SEEDS") {
            for (n, good) in seeds.good.iter().enumerate() {
                std::fs::write(Path::new(&folder).join(format!("good-{n}")), good).expect("the folder can be written");
            }
            std::process::exit(0);
        }
        // libFuzzer's own hook ends the process at any panic. The library of JSONata has some that are caught where it
        // is called.
        set_hook(Box::new(|panic| {
            let told = format!("{panic}\n{}", std::backtrace::Backtrace::capture());
            PANIC.with(|last| last.replace(told));
        }));
        Self { target: *target, seeds }
    }

    pub fn run(&self, data: &[u8]) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (self.target)(data))) {
            PANIC.with(|last| eprintln!("{}", last.borrow()));
            resume_unwind(panic);
        }
    }

    /// A new input in the buffer's place; its length.
    pub fn mutate(&self, data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
        if !seed.is_multiple_of(OURS) {
            return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
        }
        let mut input = data[..size].to_vec();
        self.seeds.change(&mut input, &mut Dice::new(u64::from(seed)));
        input.truncate(max_size);
        data[..input.len()].copy_from_slice(&input);
        input.len()
    }
}

/// The two functions that libFuzzer calls.
#[macro_export]
macro_rules! drive {
    ($targets:expr) => {
        thread_local!(static DRIVE: Drive = Drive::of($targets));

        // Seeds are written before libFuzzer watches for an exit.
        libfuzzer_sys::fuzz_target!(init: DRIVE.with(|_| ()), |data: &[u8]| DRIVE.with(|drive| drive.run(data)));

        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            DRIVE.with(|drive| drive.mutate(data, size, max_size, seed))
        });
    };
}
