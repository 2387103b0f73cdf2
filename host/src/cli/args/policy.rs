//! `holdshort policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::CallId;

/// `policy`
#[derive(Clone, Debug, Subcommand)]
pub enum PolicyAction {
    /// Check policies and print problems by file and line
    Check {
        /// Policy files; those of the configuration by default
        #[arg(value_name = "FILE.cedar")]
        files: Vec<PathBuf>,
    },
    /// Try other policies on the recorded calls: their verdicts, and how many prompts they would save
    Backtest(Backtest),
    /// Explain the verdict on a call, and the smallest change that would have led to another verdict
    Explain {
        /// The call
        #[arg(value_name = "RUN.CALL")]
        id: CallId,
    },
    /// Print the Cedar schema of this host, which policies are checked against
    Schema,
    /// Evaluate the cases of a file, and fail if a verdict is not the expected one
    Test {
        /// The file of cases
        #[arg(value_name = "CASES.toml")]
        cases: PathBuf,
        /// Policy files; those of the configuration by default
        #[arg(value_name = "FILE.cedar")]
        files: Vec<PathBuf>,
    },
}

/// `policy backtest`
#[derive(Clone, Debug, Args)]
pub struct Backtest {
    /// The policies to try
    #[arg(value_name = "FILE.cedar", required = true)]
    pub files: Vec<PathBuf>,
    /// Try them together with the policies in force, instead of in their place
    #[arg(long)]
    pub add: bool,
    /// Only calls of the last time span, such as `30d`; all by default
    #[arg(long, value_name = "SPAN", value_parser = crate::config::duration_ms)]
    pub since: Option<u64>,
    /// Exit with code 1 if a call that a person rejected would have been cleared
    #[arg(long)]
    pub fail_on_rejected: bool,
}
