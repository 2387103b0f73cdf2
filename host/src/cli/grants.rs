//! `holdshort grants`: lists and revokes grants. `holdshort approvals approve` creates them.

use serde_json::{Value, json};

use super::args::{CallId, GrantTerms, GrantsAction, GrantsArgs, ListGrants};
use super::client::{self, Client};
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::api::grants::{GrantDetails, GrantDraft, GrantPage, GrantView};
use crate::review::sentences;

/// Runs the subcommand. Without a subcommand it prints the list.
pub(super) fn run(args: GrantsArgs, client: &Client, output: &Output) -> Result<Exit, Failure> {
    match args.action {
        None => list(&args.list, client, output),
        Some(GrantsAction::List(args)) => list(&args, client, output),
        Some(GrantsAction::Show { id }) => show(&id, client, output),
        Some(GrantsAction::Revoke { id }) => revoke(&id, client, output),
    }
}

/// Prints the active grants, or all.
fn list(args: &ListGrants, client: &Client, output: &Output) -> Result<Exit, Failure> {
    let mut query = vec![("limit", args.limit.to_string()), ("standing", (!args.all).to_string())];
    query.extend(args.agent.clone().map(|agent| ("agent", agent)));
    query.extend(args.before.clone().map(|before| ("before", before)));
    let answer: Value = client.get("/grants", &query)?;
    if output.json {
        output.json(&answer)?;
        return Ok(Exit::Done);
    }
    let page = client::read::<GrantPage>(&answer)?;
    if page.grants.is_empty() {
        output.note(if args.all {
            "there are no grants"
        } else {
            "no grant is in force; `--all` also lists earlier grants"
        });
    }
    for GrantView { id, by, at: _, standing, revoked_by, grant, used } in &page.grants {
        let over = match (standing, revoked_by) {
            (_, Some(who)) => format!("revoked by {who}  "),
            (true, None) => String::new(),
            (false, None) if used.count >= grant.calls => "used up  ".into(),
            (false, None) => "expired  ".into(),
        };
        let what = format!("{}: {}", grant.agent, grant.capability.function());
        let terms = sentences::granted(grant);
        output
            .row(&format!("{id}  {over}"), &format!("{what}, {terms}; by {by}; so far {}", sentences::total(used)))?;
    }
    if let Some(next) = page.next {
        output.note(&format!("for more grants, add `--before {next}`"));
    }
    Ok(Exit::Done)
}

/// Prints only the policy, so that the output can be saved in a file.
fn show(id: &CallId, client: &Client, output: &Output) -> Result<Exit, Failure> {
    let answer: Value = client.get(&format!("/grants/{id}"), &[])?;
    if output.json {
        output.json(&answer)?;
    } else {
        output.text(&client::read::<GrantDetails>(&answer)?.policy)?;
    }
    Ok(Exit::Done)
}

/// Revokes a grant.
fn revoke(id: &CallId, client: &Client, output: &Output) -> Result<Exit, Failure> {
    let answer: Value = client.post(&format!("/grants/{id}/revocation"), &json!({}))?;
    if output.json {
        output.json(&answer)?;
    } else {
        output.row(&format!("{id} "), "is revoked and clears no further calls")?;
    }
    Ok(Exit::Done)
}

/// Previews a grant with these terms, without creating it.
pub(super) fn draft(id: &CallId, terms: &GrantTerms, client: &Client) -> Result<Option<GrantDraft>, Failure> {
    let (Some(calls), Some(lasts_ms)) = (terms.calls, terms.lasts_ms) else { return Ok(None) };
    let mut sums = std::collections::BTreeMap::new();
    for amount in &terms.up_to {
        if sums.insert(amount.currency, amount.minor_units).is_some() {
            return Err(Failure::new(
                Exit::Usage,
                format!("`--up-to` has two amounts in {}; give one amount for each currency", amount.currency),
            ));
        }
    }
    let body = json!({"calls": calls, "lasts_ms": lasts_ms, "sums": sums, "may_differ": terms.may_differ});
    client.post(&format!("/approvals/{id}/grant"), &body).map(Some)
}
