//! `holdshort approvals`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use holdshort_gate::{CallState, Digest};

use super::{CallId, GrantTerms};
use crate::api::{CallStateFilter, CallStateGroup};

/// `approvals`
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ApprovalsArgs {
    /// The action; `list` by default
    #[command(subcommand)]
    pub action: Option<ApprovalsAction>,
    /// What to list
    #[command(flatten)]
    pub list: ListApprovals,
}

/// `approvals …`
#[derive(Clone, Debug, Subcommand)]
pub enum ApprovalsAction {
    /// List approvals
    List(ListApprovals),
    /// Show an approval: the action and the evidence (long pieces with --full)
    Show(ShowApproval),
    /// Show an approval, ask, and approve exactly the shown call
    Approve(Approve),
    /// Change the arguments, show the difference, ask, and send the edit
    Edit(Edit),
    /// Reject a call, with guidance for the agent
    Reject(Reject),
    /// Answer an agent's question
    Respond(Respond),
}

/// What to list.
#[derive(Clone, Debug, Args)]
pub struct ListApprovals {
    /// The state; `waiting` means held or in doubt. A call whose effect has started is listed under the effect's state, such as `succeeded`, and no longer under `approved`
    #[arg(long, default_value = "waiting", value_parser = states())]
    pub state: CallStateFilter,
    /// Only approvals that wait for you
    #[arg(long)]
    pub mine: bool,
    /// Only approvals of this agent
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub agent: Option<String>,
    /// Only approvals of this capability, as `package:name/interface@version#function`
    #[arg(long, allow_hyphen_values = true)]
    pub capability: Option<String>,
    /// The order: `rank` by stakes, `waiting` by age, oldest first. By default `rank`, and `waiting` for finished states
    #[arg(long, value_parser = ["rank", "waiting"])]
    pub order: Option<String>,
    /// The largest number of rows
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub limit: u32,
    /// Continue after this cursor, printed by the previous list
    #[arg(long, value_name = "CURSOR", allow_hyphen_values = true)]
    pub after: Option<String>,
}

impl ListApprovals {
    /// Arguments for a list of waiting approvals by rank: at most `limit`, after the cursor `after`.
    pub fn waiting(limit: u32, after: Option<String>) -> Self {
        Self {
            state: CallStateGroup::Waiting.into(),
            mine: false,
            agent: None,
            capability: None,
            order: None,
            limit,
            after,
        }
    }

    /// The requested order. By default it is `rank` for states in which calls wait and for open calls, and `waiting`
    /// for other states.
    pub fn order(&self) -> &str {
        let ranked = match self.state {
            CallStateFilter::One(state) => CallState::WAITING.contains(&state),
            CallStateFilter::Group(CallStateGroup::Waiting | CallStateGroup::Open) => true,
            CallStateFilter::Group(CallStateGroup::All) => false,
        };
        self.order.as_deref().unwrap_or(if ranked { "rank" } else { "waiting" })
    }
}

/// Parses `--state`: a state of a call, or `waiting`, `open` or `all`.
fn states() -> impl TypedValueParser<Value = CallStateFilter> {
    PossibleValuesParser::new(CallStateFilter::names()).try_map(|word| word.parse())
}

/// `approvals show`
#[derive(Clone, Debug, Args)]
pub struct ShowApproval {
    /// The approval
    #[arg(value_name = "RUN.CALL")]
    pub id: CallId,
    /// Print all evidence; by default pieces over 32 KiB are only named
    #[arg(long)]
    pub full: bool,
}

/// How a decision is confirmed without a terminal.
#[derive(Clone, Debug, Args)]
pub struct Confirm {
    /// Do not ask for confirmation; needs `--digest`
    #[arg(long, requires = "digest")]
    pub yes: bool,
    /// The digest that you have reviewed; with another digest the host refuses the decision
    #[arg(long, value_name = "sha256:…")]
    pub digest: Option<Digest>,
}

/// `approvals approve`
#[derive(Clone, Debug, Args)]
pub struct Approve {
    /// The approval
    #[arg(value_name = "RUN.CALL")]
    pub id: CallId,
    #[command(flatten)]
    pub confirm: Confirm,
    /// A note for the journal
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub message: Option<String>,
    /// Show all evidence; by default pieces over 32 KiB are only named
    #[arg(long)]
    pub full: bool,
    #[command(flatten)]
    pub grant: GrantTerms,
}

/// `approvals edit`
#[derive(Clone, Debug, Args)]
pub struct Edit {
    /// The approval
    #[arg(value_name = "RUN.CALL")]
    pub id: CallId,
    /// Read the new arguments (JSON) from this file, or from stdin with `-`, instead of opening $VISUAL or $EDITOR
    #[arg(long, value_name = "FILE|-")]
    pub arguments: Option<PathBuf>,
    #[command(flatten)]
    pub confirm: Confirm,
    /// A note for the journal
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub message: Option<String>,
    /// Show all evidence; by default pieces over 32 KiB are only named
    #[arg(long)]
    pub full: bool,
}

/// `approvals reject`
#[derive(Clone, Debug, Args)]
pub struct Reject {
    /// The approval
    #[arg(value_name = "RUN.CALL")]
    pub id: CallId,
    /// Guidance for the agent; by default the agent gets "no reason was given"
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub message: Option<String>,
    /// The digest that you have reviewed; with another digest the host refuses the decision
    #[arg(long, value_name = "sha256:…")]
    pub digest: Option<Digest>,
}

/// `approvals respond`
#[derive(Clone, Debug, Args)]
#[command(group(clap::ArgGroup::new("answer").required(true).args(["text", "json_answer"])))]
pub struct Respond {
    /// The question
    #[arg(value_name = "RUN.CALL")]
    pub id: CallId,
    /// The answer in words
    #[arg(allow_hyphen_values = true)]
    pub text: Option<String>,
    /// The answer as JSON, for questions whose answer is not text
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    pub json_answer: Option<String>,
    /// The digest that you have reviewed; with another digest the host refuses the decision
    #[arg(long, value_name = "sha256:…")]
    pub digest: Option<Digest>,
}
