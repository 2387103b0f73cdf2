//! `holdshort approvals list`.

use holdshort_gate::{CallState, OpenDemand, Reviewers};
use serde_json::Value;

use crate::api::inbox::{ApprovalPage, ApprovalRow};
use crate::api::{CallStateFilter, CallStateGroup};
use crate::cli::args::ListApprovals;
use crate::cli::client::{self, Client};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use crate::review::waiting;

/// Prints the approvals in a state. By default it prints the waiting ones, those in doubt first.
pub(super) fn list(args: &ListApprovals, client: &Client, output: &Output) -> Result<Exit, Failure> {
    let answer = page(args, client)?;
    if output.json {
        output.json(&answer)?;
        return Ok(Exit::Done);
    }
    let page = client::read::<ApprovalPage>(&answer)?;
    if page.approvals.is_empty() {
        let waits = matches!(
            args.state,
            CallStateFilter::Group(CallStateGroup::Waiting) | CallStateFilter::One(CallState::Held)
        );
        output.note(if waits { "nothing waits for a decision" } else { "there are no such approvals" });
    }
    for row in &page.approvals {
        let plain = match args.state {
            CallStateFilter::One(state) => row.state == state,
            CallStateFilter::Group(CallStateGroup::Waiting) => row.state == CallState::Held,
            CallStateFilter::Group(CallStateGroup::Open | CallStateGroup::All) => false,
        };
        let state = if plain { String::new() } else { format!("{}  ", row.state) };
        let label = format!("{}  {}  ", row.id, row.proposed_at);
        output.row(&label, &format!("{state}{}: {}{}", row.agent, row.summary, waits_for(row)))?;
    }
    if let Some(next) = page.next {
        output.note(&format!("for more approvals, add `--after {next}`"));
    }
    Ok(Exit::Done)
}

/// The reviewers who still have to decide; empty if any reviewer may decide.
fn waits_for(row: &ApprovalRow) -> String {
    let named = |one: &&OpenDemand| one.stages > 1 || one.reviewers != Reviewers::Any;
    let named: Vec<OpenDemand> = row.waiting_for.iter().filter(named).cloned().collect();
    let who = waiting::who(&named).join(" and ");
    if who.is_empty() { who } else { format!("; waits for {who}") }
}

/// A page of the list in the host's order.
pub(in crate::cli) fn page(args: &ListApprovals, client: &Client) -> Result<Value, Failure> {
    let mut query =
        vec![("limit", args.limit.to_string()), ("state", args.state.to_string()), ("order", args.order().to_owned())];
    query.extend(args.mine.then(|| ("mine", "true".to_owned())));
    query.extend(args.agent.clone().map(|agent| ("agent", agent)));
    query.extend(args.capability.clone().map(|capability| ("capability", capability)));
    query.extend(args.after.clone().map(|after| ("after", after)));
    client.get("/approvals", &query)
}
