//! `holdshort runs`.

use clap::{Args, Subcommand, ValueEnum};
use holdshort_gate::RunPhase;

use super::{CallId, RunName};

/// `runs`
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct RunsArgs {
    /// What to do with them; `list` if nothing is said
    #[command(subcommand)]
    pub action: Option<RunsAction>,
    /// What to list
    #[command(flatten)]
    pub list: ListRuns,
}

/// `runs …`
#[derive(Clone, Debug, Subcommand)]
pub enum RunsAction {
    /// The latest runs
    List(ListRuns),
    /// One run
    Show {
        /// The run
        #[arg(value_name = "RUN")]
        id: RunName,
    },
    /// What happened in a run
    Events(History),
    /// What a run's agent said on the way, in its own words
    Logs(History),
    /// End a run
    Cancel {
        /// The run
        #[arg(value_name = "RUN")]
        id: RunName,
        /// Why
        #[arg(short = 'm', long, value_name = "TEXT", allow_hyphen_values = true)]
        reason: Option<String>,
    },
    /// Settle an effect whose outcome was lost
    Resolve(Resolve),
}

/// What to list.
#[derive(Clone, Debug, Args)]
pub struct ListRuns {
    /// Where they stand, such as `running`, `waiting` or `finished`; all, if nothing is said
    #[arg(long, value_parser = RunPhase::NAMES)]
    pub state: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub limit: u32,
    /// Only those before this cursor, which the list before gave
    #[arg(long, value_name = "CURSOR", allow_hyphen_values = true)]
    pub before: Option<String>,
}

/// `runs events` and `runs logs`
#[derive(Clone, Debug, Args)]
pub struct History {
    /// The run
    #[arg(value_name = "RUN")]
    pub id: RunName,
    /// Only what comes after this number
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub after: u64,
    /// Go on until the run is over
    #[arg(long)]
    pub follow: bool,
}

/// `runs resolve`
#[derive(Clone, Debug, Args)]
pub struct Resolve {
    /// The call
    #[arg(value_name = "RUN.CALL")]
    pub id: CallId,
    /// What you found out
    pub finding: FindingWord,
    /// The attempt that you looked at; without it the last one
    #[arg(long, value_name = "N")]
    pub attempt: Option<u32>,
    /// What the agent is given as the receipt (JSON), if the connector cannot make one
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    pub receipt: Option<String>,
    /// How you know
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub message: Option<String>,
}

/// How a person settles an effect in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FindingWord {
    /// It happened
    Done,
    /// It did not happen
    NotDone,
    /// Nobody will find out
    Abandon,
    /// Try once more with the same key
    SendAgain,
}

impl FindingWord {
    /// As the endpoint spells it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotDone => "not-done",
            Self::Abandon => "abandon",
            Self::SendAgain => "send-again",
        }
    }
}
