//! `holdshort runs`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use holdshort_gate::RunState;

use super::{CallId, RunName};
use crate::config::duration_ms;

/// `runs`
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct RunsArgs {
    /// The action; `list` by default
    #[command(subcommand)]
    pub action: Option<RunsAction>,
    /// What to list
    #[command(flatten)]
    pub list: ListRuns,
}

/// `runs …`
#[derive(Clone, Debug, Subcommand)]
pub enum RunsAction {
    /// List the latest runs
    List(ListRuns),
    /// Show a run
    Show {
        /// The run
        #[arg(value_name = "RUN")]
        id: RunName,
    },
    /// Print the events of a run, in sentences
    Events(History),
    /// Print the log of a run's agent, in its own words
    Logs(History),
    /// Print a run that is over as a script for `holdshort run --script`
    Record {
        /// The run
        #[arg(value_name = "RUN")]
        id: RunName,
    },
    /// Replay recorded runs with another component, and say where it does something else; nothing is performed
    Replay(Replay),
    /// Cancel a run
    Cancel {
        /// The run
        #[arg(value_name = "RUN")]
        id: RunName,
        /// The reason, for the journal
        #[arg(short = 'm', long, value_name = "TEXT", allow_hyphen_values = true)]
        reason: Option<String>,
    },
    /// Resolve an effect in doubt
    Resolve(Resolve),
}

/// What to list.
#[derive(Clone, Debug, Args)]
pub struct ListRuns {
    /// The state, such as `running`, `waiting` or `finished`; all by default
    #[arg(long, value_parser = states())]
    pub state: Option<RunState>,
    /// The largest number of rows
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub limit: u32,
    /// Continue before this cursor, printed by the previous list
    #[arg(long, value_name = "CURSOR", allow_hyphen_values = true)]
    pub before: Option<String>,
}

fn states() -> impl TypedValueParser<Value = RunState> {
    PossibleValuesParser::new(RunState::ALL.map(RunState::as_str)).try_map(|word| word.parse())
}

/// `runs events` and `runs logs`
#[derive(Clone, Debug, Args)]
pub struct History {
    /// The run
    #[arg(value_name = "RUN")]
    pub id: RunName,
    /// Only entries after this number
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub after: u64,
    /// Continue until the run is over
    #[arg(long)]
    pub follow: bool,
}

/// `runs replay`
#[derive(Clone, Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["run", "agent"]))]
pub struct Replay {
    /// The run
    #[arg(value_name = "RUN")]
    pub run: Option<RunName>,
    /// All runs of this agent
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// With `--agent`: the start of the period, such as `12h` or `30d` ago
    #[arg(long, default_value = "30d", value_name = "TIME", value_parser = duration_ms)]
    pub since: u64,
    /// The other component's file
    #[arg(long, value_name = "NEW.wasm")]
    pub with: PathBuf,
}

/// `runs resolve`
#[derive(Clone, Debug, Args)]
pub struct Resolve {
    /// The call
    #[arg(value_name = "RUN.CALL")]
    pub id: CallId,
    /// The outcome that you found out
    pub finding: FindingWord,
    /// The attempt that you checked; the last one by default
    #[arg(long, value_name = "N")]
    pub attempt: Option<u32>,
    /// The receipt for the agent (JSON), if the connector cannot make a receipt
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    pub receipt: Option<String>,
    /// How you know the outcome
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub message: Option<String>,
}

/// How a reviewer resolves an effect in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FindingWord {
    /// It happened
    Done,
    /// It did not happen
    NotDone,
    /// The outcome stays unknown
    Abandon,
    /// Try once more with the same key
    SendAgain,
}

impl FindingWord {
    /// The word for this finding in requests to the endpoint.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotDone => "not-done",
            Self::Abandon => "abandon",
            Self::SendAgain => "send-again",
        }
    }
}
