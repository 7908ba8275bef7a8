//! Arguments → command. No logic.

/// A callback makes and frees hundreds of small values on three threads: figures in docs/decisions/0004-allocator.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    reveille::cli::main()
}
