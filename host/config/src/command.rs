//! An operator's program.

use serde::Serialize;

/// An operator's program, run without a shell.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Command {
    /// The program and its arguments. A program with a `/` is an absolute path.
    pub argv: Vec<String>,
    /// How long the program may run, in milliseconds.
    pub timeout_ms: u64,
    /// The variables that the program gets from the host's environment. It gets no others.
    pub environment: Vec<String>,
    /// The exit codes that mean: nothing was done, and nothing will be done.
    pub not_done_codes: Vec<u8>,
}
