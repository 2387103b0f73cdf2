//! `holdshort policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::CallId;

/// `policy`
#[derive(Clone, Debug, Subcommand)]
pub enum PolicyAction {
    /// Read the policies and say what is wrong with them, by file and line
    Check {
        /// Policy files; without any those of the configuration
        #[arg(value_name = "FILE.cedar")]
        files: Vec<PathBuf>,
    },
    /// What other policies would have answered to the recorded calls: which would have been cleared, held, refused, and what it saves
    Backtest(Backtest),
    /// Which policies decided on a call, why, and the smallest change of it that would have changed that
    Explain {
        /// The call
        #[arg(value_name = "RUN.CALL")]
        id: CallId,
    },
    /// Print the Cedar schema of this host: what policies can speak of
    Schema,
    /// Judge the cases of a file, and fail if a verdict is not the expected one
    Test {
        /// The file of cases
        #[arg(value_name = "CASES.toml")]
        cases: PathBuf,
        /// Policy files; without any those of the configuration
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
    /// In addition to those in force, instead of in their place
    #[arg(long)]
    pub add: bool,
    /// Only calls of so long ago at most, such as `30d`; without it all
    #[arg(long, value_name = "SPAN", value_parser = crate::config::duration_ms)]
    pub since: Option<u64>,
    /// End with code 1 if a call would have been cleared that a person rejected
    #[arg(long)]
    pub fail_on_rejected: bool,
}
