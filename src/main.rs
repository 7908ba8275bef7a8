//! Arguments → command. No logic.

fn main() -> std::process::ExitCode {
    reveille::cli::main()
}
