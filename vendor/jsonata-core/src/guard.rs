//! Added by Reveille (not part of upstream): bounds on the work and memory of one evaluation, and time and chance as data.
//!
//! [`bounded`] installs a budget on the current thread and runs an evaluation under it. The evaluator, the walkers over
//! values and everything that builds a string or a container draw from the budget with [`charge`], [`charge_bytes`] and
//! [`reserve_string`]. When it runs out, the evaluation is left by unwinding (`resume_unwind`: the panic hook stays silent)
//! up to [`bounded`], which turns it into [`Stopped::Bound`]. A genuine panic of the library becomes [`Stopped::Panic`].
//! Unwinding, and not a `Result`, because some walkers cannot fail (`PartialEq`, `Serialize`) and because it keeps this
//! patch small enough to carry from one upstream release to the next.
//!
//! Without a budget (outside [`bounded`]) every charge is free.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// What one evaluation may use.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Units of work: about one per node evaluated, container visited or 64 bytes copied.
    pub steps: u64,
    /// Bytes of all strings and containers built, freed or not.
    pub bytes: u64,
    /// Bytes of any single string.
    pub string_bytes: usize,
    /// The backstop where one step takes longer than steps should.
    pub deadline: Option<Instant>,
}

/// Time and chance of one evaluation: `$now`, `$millis`, `$shuffle` and [`next_u64`] read from here.
#[derive(Debug, Clone, Copy)]
pub struct World {
    pub now_millis: i64,
    pub seed: u64,
}

/// Which bound was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    Steps,
    Bytes,
    StringBytes,
    Picture,
    Time,
}

/// Why [`bounded`] has no result.
#[derive(Debug)]
pub enum Stopped {
    Bound(Exceeded),
    /// The library panicked; the text is the panic's message.
    Panic(String),
}

/// Longest picture string (`$formatNumber`, `$formatInteger`, `$fromMillis`, ...): some work on one is quadratic.
const PICTURE_BYTES: usize = 1024;
/// How much work passes between two looks at the clock.
const SLICE: u64 = 4096;

struct State {
    /// Work left before the next look at `steps` and the clock.
    slice: Cell<u64>,
    steps: Cell<u64>,
    bytes: Cell<u64>,
    string_bytes: Cell<usize>,
    deadline: Cell<Option<Instant>>,
    now_millis: Cell<Option<i64>>,
    rng: RefCell<Option<StdRng>>,
}

thread_local! {
    static STATE: State = const {
        State {
            slice: Cell::new(u64::MAX),
            steps: Cell::new(u64::MAX),
            bytes: Cell::new(u64::MAX),
            string_bytes: Cell::new(usize::MAX),
            deadline: Cell::new(None),
            now_millis: Cell::new(None),
            rng: RefCell::new(None),
        }
    };
}

/// Runs `f` under `bounds`. Not to be nested: the inner call would lift the outer one's bounds when it ends.
pub fn bounded<R>(bounds: Bounds, world: World, f: impl FnOnce() -> R) -> Result<R, Stopped> {
    STATE.with(|s| {
        s.slice.set(0);
        s.steps.set(bounds.steps);
        s.bytes.set(bounds.bytes);
        s.string_bytes.set(bounds.string_bytes);
        s.deadline.set(bounds.deadline);
        s.now_millis.set(Some(world.now_millis));
        *s.rng.borrow_mut() = Some(StdRng::seed_from_u64(world.seed));
    });
    // The evaluator and its values live and die inside `f`; nothing that a broken evaluation leaves half done is seen again.
    let outcome = catch_unwind(AssertUnwindSafe(f));
    lift();
    outcome.map_err(|payload| match payload.downcast::<Exceeded>() {
        Ok(exceeded) => Stopped::Bound(*exceeded),
        Err(payload) => Stopped::Panic(panic_text(&*payload)),
    })
}

/// Back to no bounds: a charge while unwinding, or outside of an evaluation, must not fail.
fn lift() {
    STATE.with(|s| {
        s.slice.set(u64::MAX);
        s.steps.set(u64::MAX);
        s.bytes.set(u64::MAX);
        s.string_bytes.set(usize::MAX);
        s.deadline.set(None);
        s.now_millis.set(None);
        *s.rng.borrow_mut() = None;
    });
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("unknown panic").to_string()
}

#[cold]
fn stop(exceeded: Exceeded) -> ! {
    lift();
    resume_unwind(Box::new(exceeded))
}

/// Steps that the evaluation under way has left.
pub fn left() -> u64 {
    STATE.with(|s| s.steps.get().saturating_add(s.slice.get()))
}

/// Draws `steps` units of work.
#[inline]
pub fn charge(steps: usize) {
    STATE.with(|s| {
        let (left, steps) = (s.slice.get(), steps as u64);
        if left >= steps {
            s.slice.set(left - steps);
        } else {
            next_slice(s, steps);
        }
    });
}

/// Accounts for the work done since the last look and grants the next slice.
#[cold]
fn next_slice(s: &State, steps: u64) {
    let slice = SLICE.max(steps);
    match s.steps.get().checked_sub(slice) {
        Some(left) => s.steps.set(left),
        None => stop(Exceeded::Steps),
    }
    if s.deadline.get().is_some_and(|deadline| Instant::now() > deadline) {
        stop(Exceeded::Time);
    }
    s.slice.set(slice - steps);
}

/// Draws the memory of something just built, and the work of copying it.
#[inline]
pub fn charge_bytes(bytes: usize) {
    charge(bytes / 64);
    STATE.with(|s| match s.bytes.get().checked_sub(bytes as u64) {
        Some(left) => s.bytes.set(left),
        None => stop(Exceeded::Bytes),
    });
}

/// To be called before a string of `bytes` is built.
#[inline]
pub fn reserve_string(bytes: usize) {
    reserve_string_total(bytes);
    charge(bytes / 64);
}

/// To be called before a picture string is read.
#[inline]
pub fn check_picture(picture: &str) {
    check_width(picture.len());
}

/// To be called with a width that a picture asks for.
#[inline]
pub fn check_width(width: usize) {
    STATE.with(|s| {
        if width > PICTURE_BYTES && s.string_bytes.get() != usize::MAX {
            stop(Exceeded::Picture);
        }
    });
}

/// The evaluation's own time; the machine's clock outside of [`bounded`].
pub(crate) fn now() -> chrono::DateTime<chrono::Utc> {
    STATE
        .with(|s| s.now_millis.get())
        .and_then(chrono::DateTime::from_timestamp_millis)
        .unwrap_or_else(chrono::Utc::now)
}

/// The next number of the evaluation's own generator; zero outside of [`bounded`].
pub fn next_u64() -> u64 {
    STATE.with(|s| s.rng.borrow_mut().as_mut().map_or(0, |rng| rng.next_u64()))
}

/// Like [`reserve_string`] for a string that grows piece by piece: the pieces' work is charged where they are added.
#[inline]
pub fn reserve_string_total(bytes: usize) {
    STATE.with(|s| {
        if bytes > s.string_bytes.get() {
            stop(Exceeded::StringBytes);
        }
    });
}

/// Draws the memory and work of copying `items` to the end of another list.
#[inline]
pub fn drawn(items: &[crate::value::JValue]) -> &[crate::value::JValue] {
    charge_bytes(std::mem::size_of_val(items));
    items
}
