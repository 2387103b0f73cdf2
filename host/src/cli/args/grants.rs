//! `holdshort grants`, and the terms of a grant beside an approval.

use clap::{Args, Subcommand};

use super::CallId;
use holdshort_common::money::Amount;

/// `grants`
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct GrantsArgs {
    /// The action; `list` by default
    #[command(subcommand)]
    pub action: Option<GrantsAction>,
    /// What to list
    #[command(flatten)]
    pub list: ListGrants,
}

/// `grants …`
#[derive(Clone, Debug, Subcommand)]
pub enum GrantsAction {
    /// List grants, with the calls and amounts that they have cleared
    List(ListGrants),
    /// Show a grant as a policy
    Show {
        /// The approval that the grant was made with
        #[arg(value_name = "RUN.CALL")]
        id: CallId,
    },
    /// Revoke a grant: it clears no further calls
    Revoke {
        /// The approval that the grant was made with
        #[arg(value_name = "RUN.CALL")]
        id: CallId,
    },
}

/// What to list.
#[derive(Clone, Debug, Args)]
pub struct ListGrants {
    /// Also list grants that are expired, used up or revoked
    #[arg(long)]
    pub all: bool,
    /// Only grants for this agent
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub agent: Option<String>,
    /// The largest number of rows
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub limit: u32,
    /// Continue before this cursor, printed by the previous list
    #[arg(long, value_name = "CURSOR", allow_hyphen_values = true)]
    pub before: Option<String>,
}

/// The terms of a grant that is made with the approval.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "A grant for more calls like this one (shown as a policy before you confirm it)")]
pub struct GrantTerms {
    /// The number of further calls like this one to clear; needs `--for`
    #[arg(long = "grant", value_name = "CALLS", requires = "lasts")]
    pub calls: Option<u64>,
    /// How long the grant lasts, such as `2h`; 30 days at most
    #[arg(long = "for", id = "lasts", value_name = "TIME", requires = "calls", value_parser = crate::config::duration_ms)]
    pub lasts_ms: Option<u64>,
    /// The largest total amount, such as `500.00 EUR`; once for each currency, required for calls that move money
    #[arg(long, value_name = "AMOUNT", requires = "calls")]
    pub up_to: Vec<Amount>,
    /// A part of the arguments that may differ, as a JSON pointer such as `/transfer/reference`; everything else must be the same, except the
    /// amount and the agent's rationale
    #[arg(long, value_name = "POINTER", requires = "calls", allow_hyphen_values = true)]
    pub may_differ: Vec<String>,
}
