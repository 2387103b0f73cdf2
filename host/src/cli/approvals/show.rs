//! `holdshort approvals show`, and the same page before each decision.

use holdshort_gate::{CallState, Digest, EffectClass, ExhibitRef, ReviewerName};

use crate::agent;
use crate::api::approvals::{Approval, Effect, PutOff, RefusedCall};
use crate::cli::args::{CallId, ShowApproval};
use crate::cli::client::{self, Client, Verified, verify};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use crate::review::sentences;
use crate::review::terminal::{self, Line};
use crate::review::waiting;
use crate::review::{ShownCall, ShownExhibit};

/// The maximum size of an exhibit that is shown without `--full`. A larger exhibit is never cut:
/// the page leaves it out and names the command that shows it.
const EXHIBIT_BYTES_AT_ONCE: u64 = 32 * 1024;

/// The reason for a confirmation word if texts have warnings or claims contradict the facts.
pub(in crate::cli) const MARKED: &str = "Read the warnings (marked with `!`) first.";

/// Prints one approval. `--json` prints the host's answer unchanged. Without it, a proposal with
/// wrong digests is not shown.
pub(super) fn show(args: &ShowApproval, client: &Client, output: &Output) -> Result<Exit, Failure> {
    let answer = client.approval(&args.id)?;
    if output.json {
        output.json(&answer)?;
        return Ok(Exit::Done);
    }
    let mut detail = client::read::<Approval>(&answer)?;
    // A call refused without a reviewer has no proposal, only a refusal.
    if let Some(refused) = &detail.refused {
        let mut facts = facts(&detail, None);
        facts.extend(of_refusal(refused));
        output.lines(&terminal::refused(&facts, refused.action.arguments(), output.columns()))?;
        return Ok(Exit::Done);
    }
    let verified = verify(&args.id, &mut detail)?;
    let page = Page { id: args.id.clone(), detail, verified, full: args.full };
    output.lines(&page.lines(client, output.columns())?)?;
    Ok(Exit::Done)
}

/// An approval with verified digests.
// INVARIANT: the action is shown from the verified proposal, and a decision names the digest of
// that same proposal.
pub(in crate::cli) struct Page {
    pub(in crate::cli) id: CallId,
    pub(in crate::cli) detail: Approval,
    pub(in crate::cli) verified: Verified,
    /// Whether long exhibits are shown completely.
    pub(in crate::cli) full: bool,
}

impl Page {
    /// Fetches an open approval and verifies its digests. `expected` is the digest that the
    /// reviewer read before: an approval with another digest is an error.
    pub(in crate::cli) fn open(
        id: &CallId,
        expected: Option<Digest>,
        full: bool,
        client: &Client,
    ) -> Result<Self, Failure> {
        let mut detail = client::read::<Approval>(&client.approval(id)?)?;
        if detail.state != CallState::Held {
            let last = detail.decisions.last().map(|last| format!("it was {}", sentences::decided(&last.decision)));
            let how = last.unwrap_or_else(|| format!("it is {}", detail.state));
            return Err(Failure::new(Exit::Refused, format!("`{id}` does not wait for a decision: {how}")));
        }
        let verified = verify(id, &mut detail)?;
        if let Some(expected) = expected.filter(|expected| *expected != verified.digest) {
            let message = format!("`{id}` has changed since {expected}; the current digest is {}", verified.digest);
            return Err(
                Failure::new(Exit::Refused, message).hint(format!("look again with `holdshort approvals show {id}`"))
            );
        }
        Ok(Self { id: id.clone(), detail, verified, full })
    }

    /// Fetches an approval in any state and verifies its digests.
    pub(in crate::cli) fn load(id: &CallId, client: &Client) -> Result<Self, Failure> {
        let mut detail = client::read(&client.approval(id)?)?;
        let verified = verify(id, &mut detail)?;
        Ok(Self { id: id.clone(), detail, verified, full: false })
    }

    /// All lines of the page.
    pub(in crate::cli) fn lines(&self, client: &Client, columns: usize) -> Result<Vec<Line>, Failure> {
        let full = format!("holdshort approvals show {} --full", self.id);
        Ok(self.laid_out(&self.exhibits(client)?, &full, columns))
    }

    /// The lines of the page with these exhibits. `full` is the command that shows left-out
    /// exhibits. If the published types cannot be read, the arguments are laid out by their JSON
    /// alone.
    pub(in crate::cli) fn laid_out(&self, exhibits: &[ShownExhibit], full: &str, columns: usize) -> Vec<Line> {
        let facts = facts(&self.detail, Some(&self.verified));
        let ours = agent::functions().unwrap_or_default();
        let is_called = |import: &&agent::Import| import.capability == *self.verified.proposal.action.capability();
        let mut content = ShownCall::of(&self.verified.proposal, &facts, exhibits);
        // A host accepts only agents that import our functions with the published types. So this
        // program knows the types of our functions.
        content.function = ours.iter().find(is_called).map(|import| &import.ty);
        let mut lines = terminal::action(&content, columns);
        if let Some(receipt) = self.detail.effect.as_ref().and_then(|effect| effect.receipt.as_ref()) {
            lines.extend(terminal::heading("What was done (the connector's receipt)", columns));
            lines.extend(terminal::value(receipt, columns));
        }
        if exhibits.iter().any(|exhibit| exhibit.bytes.is_none()) {
            lines.extend(terminal::row("", "", columns));
            lines.extend(terminal::row("evidence not shown here: ", full, columns));
        }
        lines
    }

    /// The reason why the reviewer must type the confirmation word instead of `y`: a warning, a
    /// contradicted claim, or an exhibit left out.
    pub(in crate::cli) fn caution(&self) -> Option<&'static str> {
        let titles: Vec<ShownExhibit> = self.verified.proposal.exhibits.iter().map(titled).collect();
        if !ShownCall::of(&self.verified.proposal, &[], &titles).warnings().is_empty() {
            return Some(MARKED);
        }
        self.leaves_out().then_some("Evidence is not shown here; `--full` shows it.")
    }

    /// Whether an exhibit is left out.
    pub(in crate::cli) fn leaves_out(&self) -> bool {
        self.verified.proposal.exhibits.iter().any(|exhibit| !self.shows(exhibit))
    }

    /// Whether the page shows an exhibit completely.
    fn shows(&self, exhibit: &ExhibitRef) -> bool {
        self.full || exhibit.bytes <= EXHIBIT_BYTES_AT_ONCE
    }

    /// Fetches the exhibits and verifies their digests, so that the page shows exactly the exhibits
    /// that the clearance covers.
    pub(in crate::cli) fn exhibits(&self, client: &Client) -> Result<Vec<ShownExhibit>, Failure> {
        let shown = |exhibit: &ExhibitRef| {
            let bytes = if self.shows(exhibit) { Some(fetch(&self.id, exhibit.digest, client)?) } else { None };
            Ok(ShownExhibit { bytes, ..titled(exhibit) })
        };
        self.verified.proposal.exhibits.iter().map(shown).collect()
    }
}

/// An exhibit's title without its content.
fn titled(exhibit: &ExhibitRef) -> ShownExhibit {
    let whose = exhibit.whose.as_ref().map(|whose| format!(", the words of {whose}, not the host's"));
    let kind = format!("{}, {} bytes{}", exhibit.media, exhibit.bytes, whose.unwrap_or_default());
    ShownExhibit { title: exhibit.title.clone(), kind, bytes: None }
}

/// The bytes of an exhibit. They must have the digest in the clearance.
fn fetch(id: &CallId, digest: Digest, client: &Client) -> Result<Vec<u8>, Failure> {
    let bytes = client.bytes(&format!("/approvals/{id}/exhibits/{digest}"))?;
    let computed = Digest::of(&bytes);
    if computed != digest {
        let message =
            format!("the host sent evidence with the digest {computed}, but the clearance names the digest {digest}");
        return Err(Failure::new(Exit::Failed, message)
            .hint("nothing was sent; a program between you and the host may have changed the host's answer"));
    }
    Ok(bytes)
}

/// The host's facts about the approval as label and text. The facts about its state and its
/// decisions come first.
fn facts(detail: &Approval, verified: Option<&Verified>) -> Vec<(&'static str, String)> {
    let mut facts = vec![("approval", detail.id.clone())];
    let question = verified.is_some_and(|verified| verified.proposal.class == EffectClass::Question);
    let needed = match detail.still_needed {
        _ if detail.state != CallState::Held => String::new(),
        _ if question => "; an answer is needed".into(),
        1 => "; 1 approval is needed".into(),
        needed => format!("; {needed} approvals are needed"),
    };
    let state = format!("{}{needed}", detail.state);
    facts.push(("state", state));
    facts.extend(of_waiting(detail, verified));
    facts.extend(detail.decisions.iter().map(|made| {
        // A vote for an earlier revision, or from before a material fact changed, no longer counts.
        let fell = detail.digest.is_some_and(|digest| digest != made.decision.clearance);
        let of = if fell { " (an earlier revision)" } else { "" };
        ("decided", format!("{}{of}: {}", made.at, sentences::decided(&made.decision)))
    }));
    if let Some(effect) = &detail.effect {
        facts.extend(of_effect(&detail.id, effect, verified.map(|verified| verified.proposal.class)));
    }
    let again = |put_off: &PutOff| format!("at {}; the last attempt: {}", put_off.until, put_off.reason);
    facts.extend(detail.put_off.iter().map(|put_off| ("next attempt", again(put_off))));
    facts.extend(detail.same_waiting.iter().map(|id| ("the same call waits as", id.clone())));
    facts.extend(detail.reheld.iter().map(|reason| ("held again because", reason.clone())));
    facts.extend(detail.edited_by.iter().map(|editor| ("edited by", editor.clone())));
    facts.push((
        "agent",
        format!("{}, in a run started by {}; proposed at {}", detail.agent, detail.started_by, detail.proposed_at),
    ));
    facts.push(("its task", detail.task.clone()));
    if let Some(Verified { proposal, digest, revision }) = verified {
        facts.extend(sentences::proposal(proposal));
        let if_lost = sentences::if_lost(proposal.class, detail.if_lost.as_deref());
        facts.extend(if_lost.map(|text| ("if its outcome is unknown", text)));
        facts.push(("revision", revision.to_string()));
        facts.push(("digest", digest.to_string()));
    }
    // While the call is held, `of_waiting` shows the deadline. Afterwards the deadline is the
    // latest time for a start of the effect.
    let start_by = detail.deadline.iter().filter(|_| detail.state != CallState::Held);
    facts.extend(start_by.map(|deadline| ("must start by", deadline.to_string())));
    facts
}

/// The reviewers still to decide, the effect of the deadline, and the reasons for the hold. Parts
/// that the digest covers come from the verified proposal.
fn of_waiting(detail: &Approval, verified: Option<&Verified>) -> Vec<(&'static str, String)> {
    let Some(Verified { proposal, .. }) = verified.filter(|_| detail.state == CallState::Held) else {
        return Vec::new();
    };
    let mut facts: Vec<_> = waiting::who(&detail.waiting_for).into_iter().map(|who| ("still to decide", who)).collect();
    let said: Vec<_> = detail.rejections.iter().map(|vote| ReviewerName::new(vote.reviewer.as_str())).collect();
    facts.extend(waiting::rejected(&said, detail.rejections_needed).map(|said| ("rejected so far by", said)));
    if let Some(deadline) = &detail.deadline {
        let then = waiting::then(&proposal.requirement, detail.level);
        facts.push(("deadline", format!("{deadline}; {then}")));
    }
    facts.extend(waiting::because(proposal));
    facts
}

/// The state of the effect, the result of a lookup and, if the effect is in doubt, what a reviewer
/// can do.
fn of_effect(id: &str, effect: &Effect, class: Option<EffectClass>) -> Vec<(&'static str, String)> {
    let why = effect.reason.as_ref().map(|text| format!("; {text}")).unwrap_or_default();
    let mut facts = vec![("effect", format!("{}, attempt {}{why}", effect.state, effect.attempts))];
    let found = effect.evidence.as_ref().map(|found| format!("{}: {}", found.at, found.text));
    facts.extend(found.map(|found| ("lookup", found)));
    if effect.state == CallState::InDoubt {
        let again = if class == Some(EffectClass::Idempotent) { "|send-again" } else { "" };
        facts.push(("resolve it with", format!("holdshort runs resolve {id} done|not-done|abandon{again}")));
    }
    facts
}

/// The refused action and the reason.
fn of_refusal(RefusedCall { action, reason }: &RefusedCall) -> [(&'static str, String); 2] {
    [("refused because", sentences::refused(reason)), ("called", sentences::action(action))]
}

#[cfg(test)]
mod tests {
    use holdshort_gate::Proposal;
    use serde_json::{Value, json};

    use super::*;

    /// Why the page of the stored approval needs a confirmation word after its proposal was changed.
    fn caution(change: impl FnOnce(&mut Proposal), full: bool) -> Option<&'static str> {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/review/approval.json");
        let answer: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let id = "0k3v9m2e8q1c4z7d.5".parse().unwrap();
        let mut detail = client::read(&answer).unwrap();
        let mut verified = verify(&id, &mut detail).unwrap();
        change(&mut verified.proposal);
        Page { id, detail, verified, full }.caution()
    }

    #[test]
    fn whatever_is_disguised_or_left_out_takes_a_word() {
        assert_eq!(caution(|_| {}, false), None);
        for title in ["diff production..\u{202e}main", "commits of p\u{430}ypal", "p\u{200b}", "\u{202e}"] {
            assert_eq!(caution(|proposal| proposal.exhibits[0].title = title.into(), true), Some(MARKED), "{title:?}");
        }
        assert_eq!(caution(|proposal| proposal.summary.push('\u{202e}'), true), Some(MARKED));
        assert_eq!(caution(|proposal| proposal.preconditions = json!({"p\u{430}y": 1}), true), Some(MARKED));
        let large = |proposal: &mut Proposal| proposal.exhibits[0].bytes = EXHIBIT_BYTES_AT_ONCE + 1;
        assert!(caution(large, false).is_some_and(|why| why.contains("--full")));
        assert_eq!(caution(large, true), None);
    }
}
