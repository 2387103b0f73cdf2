//! `holdshort policy backtest`: prints the verdicts of other policies on recorded calls. The rejected calls that these
//! policies would have cleared come first.

use holdshort_gate::Time;
use serde_json::json;

use crate::analysis::backtest::OutcomeRow;
use crate::api::backtests::{BacktestResult, FoundCalls};
use crate::api::shapes::Moment;
use crate::cli::args::Backtest;
use crate::cli::client::{self, Client};
use crate::cli::exit::{Exit, Failure};
use crate::cli::host::{policy_setup, system_clock};
use crate::cli::output::Output;
use crate::review::terminal;

/// Runs the backtest at the host and prints the result.
pub(super) fn run(args: &Backtest, client: &Client, output: &Output) -> Result<Exit, Failure> {
    let sources = args.files.iter().map(|path| policy_setup::read(path)).collect::<Result<Vec<_>, _>>()?;
    let files = sources.iter().map(|source| json!({ "name": source.path.display().to_string(), "text": source.text }));
    let mut request = json!({ "policies": files.collect::<Vec<_>>(), "add": args.add });
    if let (Some(ago), Some(request)) = (args.since, request.as_object_mut()) {
        let since = system_clock()().0.saturating_sub(ago.saturating_mul(1_000));
        request.insert("since".into(), json!(Moment(Time(since))));
    }
    let told = client.backtest(&request)?;
    let answer = client::read::<BacktestResult>(&told)?;
    if output.json {
        output.json(&told)?;
    } else {
        print(&answer, output)?;
    }
    let failed = args.fail_on_rejected && answer.rejected_but_cleared.count > 0;
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

/// Prints rejected calls first, because a change of policies must not clear them.
fn print(answer: &BacktestResult, output: &Output) -> Result<(), Failure> {
    answer.warnings.iter().try_for_each(|text| output.lines(&terminal::warning(text, output.columns())))?;
    let (Some(first), Some(last)) = (&answer.first, &answer.last) else {
        output.text("there are no recorded calls")?;
        return not_judged(answer, output);
    };
    let rejected = &answer.rejected_but_cleared;
    if rejected.count == 0 {
        output.text("no rejected call would have been cleared")?;
    } else {
        let what = format!("{} that a reviewer rejected would have been cleared", calls(rejected.count));
        listed(&what, rejected, output)?;
    }
    let refused = &answer.approved_but_refused;
    if refused.count > 0 {
        listed(&format!("{} that reviewers approved would have been refused", calls(refused.count)), refused, output)?;
    }
    table(&format!("calls, {first} to {last}"), &answer.calls, output)?;
    table("revisions that reviewers were asked about", &answer.revisions, output)?;
    output.lines(&terminal::heading(
        "what reviewers are asked: recorded → with the candidate policies",
        output.columns(),
    ))?;
    for one in &answer.burden {
        let (saved, minutes) = (i128::from(one.prompts_then) - i128::from(one.prompts), one.minutes_then - one.minutes);
        let text = format!(
            "asked {} → {} times ({saved:+}), {:.0} → {:.0} minutes to decide ({minutes:+.0})",
            one.prompts, one.prompts_then, one.minutes, one.minutes_then
        );
        output.row(&format!("{}: ", one.group.as_deref().unwrap_or("everybody")), &text)?;
    }
    not_judged(answer, output)
}

/// Prints the calls without a verdict, and the policies' errors.
fn not_judged(answer: &BacktestResult, output: &Output) -> Result<(), Failure> {
    if answer.errors > 0 {
        let text = format!("{}: a policy could not be evaluated, so the verdict is `held`", calls(answer.errors));
        output.lines(&terminal::warning(&text, output.columns()))?;
        answer.first_errors.iter().try_for_each(|error| output.row("  ", error))?;
    }
    for one in &answer.not_judged {
        let text = format!(
            "not evaluated: {} of `{}`, because this host does not offer the capability now",
            calls(one.calls),
            one.capability
        );
        output.lines(&terminal::warning(&text, output.columns()))?;
    }
    if answer.without_facts > 0 {
        let why = "that policy refused, because the host records no evidence for refused calls";
        output.text(&format!("not evaluated: {} {why}", calls(answer.without_facts)))?;
    }
    if answer.without_policy > 0 {
        output.text(&format!(
            "not evaluated: {} that were refused before policy was asked, for example because their arguments are too long",
            calls(answer.without_policy)
        ))?;
    }
    Ok(())
}

/// Prints a list of calls under a heading.
fn listed(what: &str, all: &FoundCalls, output: &Output) -> Result<(), Failure> {
    output.lines(&terminal::warning(what, output.columns()))?;
    for one in &all.first {
        let revision = if one.revision > 1 { format!(", revision {}", one.revision) } else { String::new() };
        output.row(&format!("  {}{revision}: ", one.id), &one.summary)?;
        let said = one.message.as_ref().map(|said| format!(": {said}")).unwrap_or_default();
        output.row("    by ", &format!("{}{said}", one.by.join(", ")))?;
        let why = one.why.clone().unwrap_or_else(|| format!("by {}", one.determining.join(", ")));
        output.row("    candidate policies: ", &why)?;
    }
    let more = all.count - all.first.len() as u64;
    if more > 0 { output.text(&format!("  and {more} more")) } else { Ok(()) }
}

/// Prints counts under a heading, or nothing if there are none.
fn table(what: &str, rows: &[OutcomeRow], output: &Output) -> Result<(), Failure> {
    let some: Vec<&OutcomeRow> = rows.iter().filter(|row| row.clear + row.hold + row.refuse > 0).collect();
    if some.is_empty() {
        return Ok(());
    }
    output.lines(&terminal::heading(what, output.columns()))?;
    output.text(&format!("{:<20}{:>16}{:>12}{:>14}", "recorded", "would be clear", "held", "refused"))?;
    let mut lines =
        some.iter().map(|row| format!("{:<20}{:>16}{:>12}{:>14}", row.recorded, row.clear, row.hold, row.refuse));
    lines.try_for_each(|line| output.text(&line))
}

/// A number of calls as text.
fn calls(count: u64) -> String {
    if count == 1 { "1 call".into() } else { format!("{count} calls") }
}
