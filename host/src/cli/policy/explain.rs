//! `holdshort policy explain`: prints the deciding policies, the reason, and the smallest change of
//! the call that would alter the verdict.

use serde_json::Value;

use crate::api::explanations::{DeterminingPolicy, PolicyExplanation};
use crate::cli::args::CallId;
use crate::cli::client::{self, Client};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use crate::review::{sentences, terminal};

/// Requests the explanation and prints it.
pub(super) fn run(id: &CallId, client: &Client, output: &Output) -> Result<Exit, Failure> {
    let told: Value = client.get(&format!("/approvals/{id}/explanation"), &[])?;
    if output.json {
        output.json(&told)?;
    } else {
        print(&client::read::<PolicyExplanation>(&told)?, output)?;
    }
    Ok(Exit::Done)
}

/// Prints the recorded verdict, then the verdict of the policies in force, then the changes.
fn print(answer: &PolicyExplanation, output: &Output) -> Result<(), Failure> {
    match &answer.recorded {
        None => output.text("policy was not evaluated for this call")?,
        Some(recorded) => {
            output.text(&format!("recorded: {}", sentences::judged(recorded.verdict)))?;
            recorded.reasons.iter().try_for_each(|why| output.row("  why: ", why))?;
            decided(&recorded.determining, &recorded.errors, output)?;
            for one in &recorded.totals {
                output.row("  total before: ", &format!("of {}: {}", one.of, sentences::total(&one.total)))?;
            }
        }
    }
    if let Some(present) = &answer.present {
        let then = answer.recorded.as_ref().map(|recorded| recorded.verdict);
        if !present.same_policies || then != Some(present.verdict) {
            output.text(&format!("the policies in force: {}", sentences::judged(present.verdict)))?;
            decided(&present.determining, &present.errors, output)?;
        }
        present.why.iter().try_for_each(|why| output.row("  why: ", why))?;
        output.lines(&terminal::heading("changes to another verdict", output.columns()))?;
        present.changes.iter().try_for_each(|change| output.row("  ", &change.sentence))?;
        if present.changes.is_empty() {
            let text = format!(
                "no change of one or two attributes leads to another verdict; {} variants were tried",
                present.tried
            );
            output.row("  ", &text)?;
        }
    }
    answer.notes.iter().try_for_each(|note| output.row("note: ", note))
}

/// Prints the policies behind a verdict with file, line and reason.
fn decided(policies: &[DeterminingPolicy], errors: &[String], output: &Output) -> Result<(), Failure> {
    for one in policies {
        let place = one.file.as_ref().zip(one.line).map(|(file, line)| format!(" ({file}:{line})")).unwrap_or_default();
        output.row("  by ", &format!("{}{place}", one.name))?;
        one.text.iter().flat_map(|text| text.lines()).try_for_each(|line| output.row("    ", line))?;
    }
    errors.iter().try_for_each(|error| output.row("  policy could not be evaluated: ", error))
}
