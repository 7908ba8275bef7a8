//! Arguments → command. No logic.

/// A callback makes and frees hundreds of small values on three threads: figures in docs/decisions/0015-allocator.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Free pages of the calling thread go back to the operating system.
fn give_back() {
    // SAFETY: takes no pointer; mimalloc's documentation lets any thread call it at any time.
    unsafe { libmimalloc_sys::mi_collect(true) }
}

/// Pages that became free stay with the process for so many milliseconds (mimalloc 2: 10). Under load the crowd
/// breathes with each commit, and what goes back in between is faulted in and cleared again: after a second each, a
/// twentieth of the engine's CPU time.
const PURGE_DELAY_MS: std::ffi::c_long = 10_000;
/// `mi_option_purge_delay`, for which the crate has no name: the one before `use_numa_nodes` in mimalloc's list.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = libmimalloc_sys::mi_option_use_numa_nodes - 1;

/// The environment's `MIMALLOC_PURGE_DELAY` wins.
fn keep_pages() {
    // SAFETY: two numbers; mimalloc ignores an option that it does not know.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MS) }
}

fn main() -> std::process::ExitCode {
    keep_pages();
    reveille::memory::on_give_back(give_back);
    reveille::cli::main()
}
