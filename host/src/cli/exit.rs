//! The program's exit codes, and its error messages.

use std::process::ExitCode;

use crate::config::ConfigError;

/// All exit codes of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done. A decision is on disk, even if more reviewers must approve.
    Done,
    /// 1: any other error.
    Failed,
    /// 2: the command line or the configuration is wrong; nothing was tried.
    Usage,
    /// 3: the watched run ended without a result: it failed, trapped, was cancelled or diverged.
    RunEnded,
    /// 4: the host refused the request: the reviewer may not decide, or the call is already decided, changed, expired
    /// or not found.
    Refused,
    /// 5: the host cannot be reached.
    Unreachable,
    /// 6: an agent did not do what a script or a recorded run says.
    Different,
    /// 130: Ctrl-C. The watched run is parked, and continues when a host opens the journal again.
    Interrupted,
}

impl Exit {
    /// The table at the end of `--help`.
    pub const HELP: &str = "Exit codes:
  0  done (a decision is on disk, even if more people must approve)
  1  any other error
  2  the command line or the configuration is wrong; nothing was tried
  3  the watched run ended without a result
  4  the host refused the request: you may not decide, or the call is already decided, changed, expired or not found
  5  the host cannot be reached
  6  the agent did not do what the script or the recorded run says
  130  Ctrl-C; the watched run is parked, and nothing is lost";

    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::RunEnded => 3,
            Self::Refused => 4,
            Self::Unreachable => 5,
            Self::Different => 6,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// A subcommand failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The error.
    pub message: String,
    /// The advice.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without advice.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    /// Adds advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<holdshort_journal::OpenError> for Failure {
    fn from(error: holdshort_journal::OpenError) -> Self {
        Self::new(Exit::Failed, error.to_string())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let hint = error.hint().map(str::to_owned);
        Self { exit: Exit::Usage, message: error.to_string(), hint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_every_code() {
        use Exit::{Different, Done, Failed, Interrupted, Refused, RunEnded, Unreachable, Usage};
        for exit in [Done, Failed, Usage, RunEnded, Refused, Unreachable, Different, Interrupted] {
            assert!(Exit::HELP.contains(&format!("\n  {}  ", exit.code())), "{exit:?}");
        }
    }
}
