//! The `holdshort` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    holdshort::cli::main()
}
