//! Arguments → command. No logic.

/// A callback makes and frees hundreds of small values on three threads: figures in docs/decisions/0015-allocator.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Free pages of the calling thread go back to the operating system.
fn give_back() {
    // SAFETY: takes no pointer; mimalloc's documentation lets any thread call it at any time.
    unsafe { libmimalloc_sys::mi_collect(true) }
}

fn main() -> std::process::ExitCode {
    reveille::memory::on_give_back(give_back);
    reveille::cli::main()
}
