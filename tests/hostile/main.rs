//! Hostile input: everything that takes in other people's bytes, fed with bytes that were good once. Each input comes
//! from a seed:
//!
//! ```text
//! cargo test --test hostile                                          # 1,500 inputs a target
//! TEST_SEED=42 HOSTILE=jsonata cargo test --test hostile -- --nocapture    # the one input of a seed, shown
//! HOSTILE_SECONDS=3600 cargo test --release --test hostile -- --nocapture  # an hour a target
//! ```
//! An input fails by a panic, by standing still for two minutes, or by holding more than [`MEMORY_MAX`] bytes.

mod core;
mod mutate;
mod object;
#[allow(dead_code, reason = "the fuzzers look at what would be sent")]
mod reply;
mod targets;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mutate::{Dice, Seeds};
// The names of the server for the judges that the fuzzers share.
use reveille::{bus, clock, limits, objects};

/// Most that one input may make its thread hold at once. JSONata may build 256 MiB.
const MEMORY_MAX: isize = 1 << 30;
/// A single input that takes so long hangs. (A release build takes milliseconds, the machine may be slow.)
const HANG: Duration = Duration::from_mins(2);
/// How often the test looks.
const LOOK: Duration = Duration::from_millis(500);

/// Counts what each thread holds.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(by: isize) {
    let _ = HELD.try_with(|held| {
        held.set(held.get() + by);
        let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
}

// SAFETY: every call goes to the system's allocator as it came; counting touches two thread-local cells and allocates
// nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size.cast_signed() - layout.size().cast_signed());
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Feeds a target; what fails is printed with its seed.
fn feed(name: &'static str) {
    if std::env::var("HOSTILE").is_ok_and(|only| only != name) {
        return;
    }
    let target = targets::TARGETS.iter().find(|(n, _)| *n == name).expect("a target of that name").1;
    let seeds = Seeds::of(name);
    let one = number("TEST_SEED");
    let until = number("HOSTILE_SECONDS").map(|s| Instant::now() + Duration::from_secs(s));
    let from = one.or_else(|| number("HOSTILE_FROM")).unwrap_or(0);
    let count = match (one, until) {
        (Some(_), _) => 1,
        (None, Some(_)) => u64::MAX - from,
        (None, None) => 1_500,
    };
    let watch = Watch::over(name);
    let (mut most, mut slowest, mut fed) = (0, Duration::ZERO, 0_u64);
    let mut failed = Vec::new();
    for seed in from..from + count {
        if until.is_some_and(|until| Instant::now() > until) {
            break;
        }
        let input = seeds.input(&mut Dice::new(seed));
        if one.is_some() {
            println!("{}", String::from_utf8_lossy(&input).escape_debug());
        }
        watch.begins(seed);
        let (start, before) = (Instant::now(), HELD.get());
        MOST.set(before);
        let outcome = catch_unwind(AssertUnwindSafe(|| target(&input)));
        let held = MOST.get() - before;
        (most, slowest, fed) = (most.max(held), slowest.max(start.elapsed()), fed + 1);
        watch.ended();
        if outcome.is_err() || held > MEMORY_MAX {
            eprintln!(
                "{name}: seed {seed} {} held {held} bytes; TEST_SEED={seed} HOSTILE={name} plays it again",
                if outcome.is_err() { "fails," } else { "" }
            );
            failed.push(seed);
            assert!(failed.len() < 20, "{name}: too many seeds fail: {failed:?}");
        }
    }
    println!("{name}: {fed} inputs, the slowest took {slowest:.1?}, the largest held {} KiB", most >> 10);
    assert!(failed.is_empty(), "{name}: failing seeds {failed:?}");
}

/// Ends the process where an input hangs: there is no other way to tell which one it was.
struct Watch {
    seed: Arc<Mutex<Option<u64>>>,
}

impl Watch {
    fn over(name: &'static str) -> Self {
        let seed: Arc<Mutex<Option<u64>>> = Arc::default();
        let theirs = Arc::downgrade(&seed);
        std::thread::spawn(move || {
            // Looks, not a clock: a process that was stopped for a while has not hung.
            let (mut seen, mut looks) = (None, 0);
            while let Some(seed) = theirs.upgrade() {
                let now = *seed.lock().expect("nobody panics with it");
                drop(seed);
                looks = if now.is_some() && now == seen { looks + 1 } else { 0 };
                seen = now;
                if looks * LOOK > HANG {
                    let seed = now.unwrap_or_default();
                    eprintln!("{name}: seed {seed} hangs; TEST_SEED={seed} HOSTILE={name} plays it again");
                    std::process::abort();
                }
                std::thread::sleep(LOOK);
            }
        });
        Self { seed }
    }

    fn begins(&self, seed: u64) {
        *self.seed.lock().expect("nobody panics with it") = Some(seed);
    }

    fn ended(&self) {
        *self.seed.lock().expect("nobody panics with it") = None;
    }
}

#[test]
fn definitions_and_inputs() {
    feed("definition");
}

#[test]
fn json_paths() {
    feed("jsonpath");
}

#[test]
fn intrinsic_functions_and_templates() {
    feed("intrinsic");
}

#[test]
fn jsonata_expressions() {
    feed("jsonata");
}

#[test]
fn replies() {
    feed("reply");
}

#[test]
fn tokens() {
    feed("token");
}

#[test]
fn names_of_objects() {
    feed("object");
}

#[test]
fn journals() {
    feed("journal");
}
