//! `holdshort policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::CallId;

/// `policy`
#[derive(Clone, Debug, Subcommand)]
pub enum PolicyAction {
    /// Check policies and print problems by file and line
    Check {
        /// Policy files; by default the files in the configuration
        #[arg(value_name = "FILE.cedar")]
        files: Vec<PathBuf>,
    },
    /// Try other policies on the recorded calls: show the verdicts, and how many questions to reviewers they save
    Backtest(Backtest),
    /// Explain the verdict on a call, and the smallest change that would have led to another verdict
    Explain {
        /// The call
        #[arg(value_name = "RUN.CALL")]
        id: CallId,
    },
    /// Print the Cedar schema with which this host checks policies
    Schema,
    /// Evaluate the cases of a file, and fail if a verdict is not as expected
    Test {
        /// The file of cases
        #[arg(value_name = "CASES.toml")]
        cases: PathBuf,
        /// Policy files; by default the files in the configuration
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
    /// Add these policies to the policies in force, instead of replacing them
    #[arg(long)]
    pub add: bool,
    /// Only the calls of this last period, such as `30d`; by default all calls
    #[arg(long, value_name = "SPAN", value_parser = crate::config::duration_ms)]
    pub since: Option<u64>,
    /// Exit with code 1 if a call that a person rejected would have been cleared
    #[arg(long)]
    pub fail_on_rejected: bool,
}
