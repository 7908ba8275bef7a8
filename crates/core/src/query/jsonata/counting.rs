//! The allocator of the core's unit tests: it counts the calls and the bytes of each thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(calls: usize, by: isize) {
    // A thread that ends has no cells any more.
    _ = CALLS.try_with(|all| all.set(all.get() + calls));
    _ = HELD.try_with(|held| {
        held.set(held.get() + by);
        _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
}

// SAFETY: each call goes on to the system's allocator as it came; the count touches thread-local cells and allocates
// nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size().cast_signed());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(0, -layout.size().cast_signed());
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size.cast_signed() - layout.size().cast_signed());
        unsafe { System.realloc(place, layout, size) }
    }
}

/// The cost of some work of this thread.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    /// Allocations.
    pub calls: usize,
    /// Bytes that were held at once, beyond those held before.
    pub most: usize,
}

pub(super) fn taken<T>(work: impl FnOnce() -> T) -> (T, Taken) {
    let (calls, held) = (CALLS.get(), HELD.get());
    MOST.set(held);
    let result = work();
    (result, Taken { calls: CALLS.get() - calls, most: usize::try_from(MOST.get() - held).unwrap_or(0) })
}
