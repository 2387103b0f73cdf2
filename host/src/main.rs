//! The binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    holdshort::cli::main()
}
