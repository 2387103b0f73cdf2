//! `holdshort approvals list`.

use serde_json::Value;

use crate::cli::args::ListApprovals;
use crate::cli::client::{self, ApprovalPage, Client};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use crate::review::story::moment;

/// Prints the approvals in a state, the one that waits longest first.
pub(super) fn list(args: &ListApprovals, client: &Client, output: &Output) -> Result<Exit, Failure> {
    let answer = page(&args.state, args.limit, args.after.as_deref(), client)?;
    if output.json {
        output.json(&answer)?;
        return Ok(Exit::Done);
    }
    let page = client::read::<ApprovalPage>(&answer)?;
    if page.approvals.is_empty() {
        output.note(if args.state == "held" { "nothing waits for a decision" } else { "there are none" });
    }
    for row in &page.approvals {
        let state = if args.state == "held" { String::new() } else { format!("{}  ", row.state) };
        let label = format!("{}  {}  ", row.id, moment(&row.proposed_at));
        output.row(&label, &format!("{state}{}: {}", row.agent, row.summary))?;
    }
    if let Some(next) = page.next {
        output.note(&format!("there are more: --after {next}"));
    }
    Ok(Exit::Done)
}

/// A page of the list, in the host's order.
pub(in crate::cli) fn page(state: &str, limit: u32, after: Option<&str>, client: &Client) -> Result<Value, Failure> {
    let mut query = vec![("limit", limit.to_string()), ("state", state.to_owned())];
    query.extend(after.map(|after| ("after", after.to_owned())));
    client.get("/approvals", &query)
}
