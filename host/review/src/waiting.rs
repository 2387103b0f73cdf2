//! Who still has to decide on a call, until when, and why it is held: what people and programs are told while it waits.

use holdshort_gate::approval::NotEligible;
use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::{Call, EffectClass, Proposal, Requirement, Waiting};

use super::story::{people, span};

/// Who still has to decide, in a sentence each.
pub fn who(waiting: &[Waiting]) -> Vec<String> {
    let sentence = |one: &Waiting| {
        let of = if one.stages > 1 { format!(" (stage {} of {})", one.stage, one.stages) } else { String::new() };
        format!("{} more of: {}{of}", one.more, people(&one.reviewers))
    };
    waiting.iter().filter(|one| one.more > 0).map(sentence).collect()
}

/// What happens to a held call when its time is over, after so many escalations.
pub fn then(requirement: &Requirement, level: usize) -> String {
    requirement.escalations.get(level).map_or_else(
        || "it expires then, and nothing is done".into(),
        |next| format!("then {} may decide as well, for {}", people(&next.reviewers), span(next.within_ms)),
    )
}

/// Who has said no so far, where one alone cannot stop it.
pub fn rejected(by: &[String], more: u32) -> Option<String> {
    let plural = if more == 1 { "" } else { "s" };
    (!by.is_empty() && more > 0).then(|| format!("{}; {more} more rejection{plural} would stop it", by.join(", ")))
}

/// Why it is held, label and text: the operator's words, or else the policies that said so; and what could not be asked.
pub fn because(proposal: &Proposal) -> Vec<(&'static str, String)> {
    let PolicyRecord { determining, errors, reasons, .. } = &proposal.policy;
    let mut lines: Vec<_> = reasons.iter().map(|reason| ("held because", reason.clone())).collect();
    if reasons.is_empty() && !determining.is_empty() {
        lines.push(("held by the policy", determining.join(", ")));
    }
    lines.extend(errors.iter().map(|error| ("policy could not be evaluated", error.clone())));
    lines
}

/// Whether this person's turn comes later: others must approve first.
pub fn is_early(call: &Call, name: &str, started_by: &str) -> bool {
    let asks = call.proposal().is_some_and(|proposal| proposal.class == EffectClass::Question);
    !asks && call.admits_approval(name, started_by) == Err(NotEligible::NotYet)
}
