//! `holdshort grants`, and the terms of a grant beside an approval.

use clap::{Args, Subcommand};

use super::CallId;
use holdshort_common::money::Amount;

/// `grants`
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct GrantsArgs {
    /// What to do with them; `list` if nothing is said
    #[command(subcommand)]
    pub action: Option<GrantsAction>,
    /// What to list
    #[command(flatten)]
    pub list: ListGrants,
}

/// `grants …`
#[derive(Clone, Debug, Subcommand)]
pub enum GrantsAction {
    /// Those that can clear something, and what they have cleared
    List(ListGrants),
    /// One, as the policy that it is
    Show {
        /// The approval that it was made with
        #[arg(value_name = "RUN.CALL")]
        id: CallId,
    },
    /// Take one back: it clears nothing from now on
    Revoke {
        /// The approval that it was made with
        #[arg(value_name = "RUN.CALL")]
        id: CallId,
    },
}

/// What to list.
#[derive(Clone, Debug, Args)]
pub struct ListGrants {
    /// Those too that are over, used up or taken back
    #[arg(long)]
    pub all: bool,
    /// Only those for this agent
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub agent: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub limit: u32,
    /// Go on after this cursor, which the list before gave
    #[arg(long, value_name = "CURSOR", allow_hyphen_values = true)]
    pub before: Option<String>,
}

/// What to clear beside the call that is approved.
#[derive(Clone, Debug, Args)]
#[command(
    next_help_heading = "More like it (a standing grant; it is shown as the policy that it is before it is confirmed)"
)]
pub struct GrantTerms {
    /// Clear so many more calls like this one; needs `--for`
    #[arg(long = "grant", value_name = "CALLS", requires = "lasts")]
    pub calls: Option<u64>,
    /// For how long, such as `2h`; 30 days at most
    #[arg(long = "for", id = "lasts", value_name = "TIME", requires = "calls", value_parser = crate::config::duration_ms)]
    pub lasts_ms: Option<u64>,
    /// At most so much money in all, such as `500.00 EUR`; once for each currency, and needed for what moves money
    #[arg(long, value_name = "AMOUNT", requires = "calls")]
    pub up_to: Vec<Amount>,
    /// A part of the arguments that may differ, as a JSON pointer such as `/transfer/reference`; everything else must be the same, but for the
    /// amount and the agent's own claims
    #[arg(long, value_name = "POINTER", requires = "calls", allow_hyphen_values = true)]
    pub may_differ: Vec<String>,
}
