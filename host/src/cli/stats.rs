//! `holdshort stats`: prints figures on the review load, and suggestions that would reduce it.

use holdshort_gate::Time;
use serde_json::Value;

use super::args::StatsArgs;
use super::client::{self, Client};
use super::exit::{Exit, Failure};
use super::host::system_clock;
use super::output::Output;
use crate::analysis::review_load::words;
use crate::api::stats::StatsAnswer;
use crate::review::sentences;

/// Prints the figures and the suggested policies.
pub(super) fn run(args: &StatsArgs, client: &Client, output: &Output) -> Result<Exit, Failure> {
    let now = system_clock()();
    let ago = |ms: u64| sentences::at(Time(now.0.saturating_sub(ms.saturating_mul(1_000))));
    let mut query = vec![("since", ago(args.since))];
    query.extend(args.until.map(|until| ("until", ago(until))));
    let answer: Value = client.get("/stats", &query)?;
    if output.json {
        output.json(&answer)?;
        return Ok(Exit::Done);
    }
    let StatsAnswer { since, until, stats } = client::read(&answer)?;
    output.row("from ", &format!("{since} to {until}"))?;
    for (heading, rows) in stats.rows().iter().filter(|(_, rows)| !rows.is_empty()) {
        output.row(&format!("{heading}:"), "")?;
        for (name, text) in rows {
            output.row(&format!("  {name}: "), text)?;
        }
    }
    for suggestion in &stats.suggestions {
        output.row("suggestion: ", &suggestion.text)?;
        let Some(policy) = &suggestion.policy else { continue };
        for line in policy.lines() {
            output.row("  ", line)?;
        }
        if !suggestion.open.is_empty() {
            output.row("  not limited by this policy: ", &suggestion.open.join(", "))?;
        }
        output.row("  note: ", "texts in quotation marks are the agent's own words, which reviewers approved")?;
        output.row("  try it: ", "save the policy to a file and run `holdshort policy backtest --add FILE`")?;
    }
    output.note(words::NOTES);
    Ok(Exit::Done)
}
