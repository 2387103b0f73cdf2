//! `holdshort approvals approve`, `reject` and `respond`.

use holdshort_gate::{CallState, Digest};
use serde_json::{Value, json};

use super::show::Page;
use crate::api::decisions::DecisionAnswer;
use crate::cli::args::{Approve, CallId, Confirm, Reject, Respond};
use crate::cli::client::{self, Client};
use crate::cli::exit::{Exit, Failure};
use crate::cli::grants;
use crate::cli::output::Output;
use crate::review::terminal;
use holdshort_common::once::once;

/// Shows the approval, asks for confirmation, and approves exactly the shown revision.
pub(super) fn approve(args: &Approve, client: &Client, output: &Output) -> Result<Exit, Failure> {
    let page = Page::open(&args.id, args.confirm.digest, args.full, client)?;
    // With `--json`, the caller has read `show --json`, and `--digest` names the revision that the
    // caller read.
    if !output.json {
        output.lines(&page.lines(client, output.columns())?)?;
    }
    let caution = page.caution().map(|why| ("approve", why));
    let mut decision = decision("approve", page.verified.digest, args.message.as_deref());
    let grant = grants::draft(&args.id, &args.grant, client)?;
    let question = match &grant {
        Some(grant) => {
            if !output.json {
                output.text(&grant.policy)?;
            }
            "Approve exactly this, and make this grant for further calls?"
        }
        None => "Approve exactly this?",
    };
    confirm(&args.confirm, question, caution, output)?;
    if let Some(grant) = grant {
        add(&mut decision, "grant", json!(grant.grant));
    }
    send(&args.id, decision, client, output)
}

/// Rejects without asking for confirmation: a mistaken rejection does no harm, because the agent
/// may propose the call again.
pub(super) fn reject(args: &Reject, client: &Client, output: &Output) -> Result<Exit, Failure> {
    let page = Page::open(&args.id, args.digest, false, client)?;
    send(&args.id, decision("reject", page.verified.digest, args.message.as_deref()), client, output)
}

/// Answers a question. An answer in words is sent as `message`, a JSON value as `answer`.
pub(super) fn respond(args: &Respond, client: &Client, output: &Output) -> Result<Exit, Failure> {
    let page = Page::open(&args.id, args.digest, false, client)?;
    let mut decision = decision("respond", page.verified.digest, args.text.as_deref());
    if let Some(text) = &args.json_answer {
        let wrong = |error| Failure::new(Exit::Usage, format!("`--json-answer` is not JSON: {error}"));
        add(&mut decision, "answer", once(text.as_bytes()).map_err(wrong)?);
    }
    send(&args.id, decision, client, output)
}

/// The body of a decision. This program has computed `digest` from the content that it showed.
pub(in crate::cli) fn decision(kind: &str, digest: Digest, message: Option<&str>) -> Value {
    let mut decision = json!({"type": kind, "digest": digest});
    if let Some(message) = message {
        add(&mut decision, "message", message.into());
    }
    decision
}

pub(in crate::cli) fn add(decision: &mut Value, name: &str, value: Value) {
    if let Some(fields) = decision.as_object_mut() {
        fields.insert(name.into(), value);
    }
}

/// Asks for confirmation on the terminal. With a `caution` (a confirmation word and the reason for it), the reviewer
/// must type the word instead of `y`.
pub(super) fn confirm(
    how: &Confirm,
    question: &str,
    caution: Option<(&str, &str)>,
    output: &Output,
) -> Result<(), Failure> {
    if how.yes {
        return Ok(());
    }
    let (prompt, yes) = match caution {
        Some((word, why)) => (format!("{why} {question} Type `{word}`:"), vec![word]),
        None => (format!("{question} [y/N]"), vec!["y", "yes"]),
    };
    match output.ask(&prompt)? {
        Some(answer) if yes.contains(&answer.to_lowercase().as_str()) => Ok(()),
        Some(_) => Err(Failure::new(Exit::Failed, "not confirmed; nothing was sent")),
        None => Err(Failure::new(Exit::Usage, "there is no terminal for the question; nothing was sent")
            .hint("review the call with `holdshort approvals show`, then repeat this command with `--yes --digest DIGEST`, where DIGEST is the digest that `show` printed")),
    }
}

/// Sends a decision and prints the result.
pub(in crate::cli) fn send(id: &CallId, decision: Value, client: &Client, output: &Output) -> Result<Exit, Failure> {
    let answer = client.decide(id, &decision)?;
    if output.json {
        output.json(&answer)?;
        return Ok(Exit::Done);
    }
    let decided = client::read::<DecisionAnswer>(&answer)?;
    output.row(&format!("{id} "), &outcome(&decided))?;
    if decision.get("type").is_some_and(|kind| kind == "edit") {
        output.row("its digest is now ", &decided.digest.to_string())?;
        // After an edit with new evidence the call is still held, and the editor has not approved the evidence yet.
        let (label, verb) = if decided.state == CallState::Held {
            ("to see it in full and approve it: ", "approve")
        } else {
            ("to see it in full: ", "show")
        };
        output.lines(&terminal::row(label, &format!("holdshort approvals {verb} {id}"), output.columns()))?;
    }
    Ok(Exit::Done)
}

/// The result of a decision, as text to print after the call's id.
pub(in crate::cli) fn outcome(decided: &DecisionAnswer) -> String {
    let again = if decided.repeated { " (this decision was recorded before)" } else { "" };
    let more = match decided.still_needed {
        _ if decided.state != CallState::Held => String::new(),
        1 => "; 1 more approval is needed".into(),
        needed => format!("; {needed} more approvals are needed"),
    };
    format!("is {}{more}{again}", decided.state)
}
