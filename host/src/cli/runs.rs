//! `holdshort runs`: lists runs, shows them, cancels them, and resolves effects in doubt.

mod history;
mod replay;
mod resolve;

use serde_json::{Value, json};

use super::args::{Global, ListRuns, RunName, RunsAction, RunsArgs};
use super::client::{self, Client};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::script::record;
use crate::api::runs::{Delayed, Run, RunPage};
use crate::config::Config;
use crate::review::terminal;

/// Runs the subcommand. Without a subcommand it prints the list.
pub(super) fn run(args: RunsArgs, global: &Global, config: &Config, output: &Output) -> Result<Exit, Failure> {
    let client = || client::connect(global, config, output);
    match args.action.unwrap_or(RunsAction::List(args.list)) {
        RunsAction::List(args) => list(&args, &client()?, output),
        RunsAction::Show { id } => show(&id, &client()?, output),
        RunsAction::Events(args) => history::events(&args, &client()?, output),
        RunsAction::Logs(args) => history::logs(&args, &client()?, output),
        RunsAction::Record { id } => record::record(&id, &client()?, output),
        // This is the only one that reads the journal itself: the seeds of runs leave no host.
        RunsAction::Replay(args) => replay::replay(&args, config, output),
        RunsAction::Cancel { id, reason } => cancel(&id, reason, &client()?, output),
        RunsAction::Resolve(args) => resolve::resolve(&args, &client()?, output),
    }
}

/// Prints runs, newest first. Each run is one line, because programs read lists by lines. Invisible
/// characters in an agent's words are made visible.
fn list(args: &ListRuns, client: &Client, output: &Output) -> Result<Exit, Failure> {
    let mut query = vec![("limit", args.limit.to_string())];
    query.extend(args.state.map(|state| ("state", state.to_string())));
    query.extend(args.before.clone().map(|before| ("before", before)));
    let answer: Value = client.get("/runs", &query)?;
    if output.json {
        output.json(&answer)?;
        return Ok(Exit::Done);
    }
    let page = client::read::<RunPage>(&answer)?;
    if page.runs.is_empty() {
        output.note("there are no such runs");
    }
    for row in &page.runs {
        let label = format!("{}  {}  ", row.id, row.created_at);
        output.row(&label, &format!("{}  {}: {}", state(row), row.agent, row.task))?;
    }
    if let Some(next) = page.next {
        output.note(&format!("for more runs, add `--before {next}`"));
    }
    Ok(Exit::Done)
}

/// The state, with the call that the run waits for, because a reviewer can act on that call.
fn state(row: &Run) -> String {
    match (row.waiting_for, &row.delayed) {
        (Some(call), _) => format!("{} for {}.{call}", row.state, row.id),
        (None, Some(Delayed { since, tries })) => {
            let why = row.reason.as_deref().unwrap_or("for an unknown reason");
            format!("{} since {since} ({tries} tries): {why}", row.state)
        }
        (None, None) => row.state.to_string(),
    }
}

/// Prints one run. The agent's result comes last, under a heading that marks it as the agent's
/// words.
fn show(id: &RunName, client: &Client, output: &Output) -> Result<Exit, Failure> {
    let answer = client.run(id)?;
    if output.json {
        output.json(&answer)?;
        return Ok(Exit::Done);
    }
    let row = client::read::<Run>(&answer)?;
    let facts = [
        ("run", row.id.to_string()),
        ("state", state(&row)),
        ("agent", format!("{} ({})", row.agent, row.component)),
        ("task", row.task.clone()),
        ("started by", format!("{} at {}", row.started_by, row.created_at)),
        ("calls", format!("{}, the last change at {}", row.calls, row.updated_at)),
    ];
    let reason = row.reason.clone().filter(|_| row.delayed.is_none()).map(|reason| ("reason", reason));
    for (label, text) in facts.into_iter().chain(reason) {
        output.row(&format!("{label}: "), &text)?;
    }
    if let Some(result) = &row.result {
        output.row("result, as the agent returned it:", "")?;
        output.lines(&terminal::value(&json!(result), output.columns()))?;
    }
    Ok(Exit::Done)
}

/// Cancels a run. A started effect is not stopped, and its outcome is still recorded. Cancelling a
/// cancelled run succeeds, so the request can be repeated after a lost answer.
fn cancel(id: &RunName, reason: Option<String>, client: &Client, output: &Output) -> Result<Exit, Failure> {
    let body = reason.map_or_else(|| json!({}), |reason| json!({"reason": reason}));
    let answer: Value = client.post(&format!("/runs/{id}/cancel"), &body)?;
    if output.json {
        output.json(&answer)?;
    } else {
        output.row(
            &format!("{id} "),
            "is cancelled; an effect that has started is not stopped, and its outcome is still recorded",
        )?;
    }
    Ok(Exit::Done)
}
