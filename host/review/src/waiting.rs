//! Sentences about a held call: the reviewers who still have to decide, the deadline, and the
//! reason for the hold.

use holdshort_gate::approval::NotEligible;
use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::{Call, EffectClass, OpenDemand, Proposal, Requirement, ReviewerName};

use super::sentences::{people, span};

/// One sentence for each group that still has to decide.
pub fn who(waiting: &[OpenDemand]) -> Vec<String> {
    let sentence = |one: &OpenDemand| {
        let of = if one.stages > 1 { format!(" (stage {} of {})", one.stage, one.stages) } else { String::new() };
        format!("{} more of: {}{of}", one.more, people(&one.reviewers))
    };
    waiting.iter().filter(|one| one.more > 0).map(sentence).collect()
}

/// What happens at the deadline of a held call, after `level` escalations.
pub fn then(requirement: &Requirement, level: usize) -> String {
    requirement.escalations.get(level).map_or_else(
        || "then the call expires, and nothing is done".into(),
        |next| format!("then {} may also decide, for {}", people(&next.reviewers), span(next.within_ms)),
    )
}

/// The reviewers who have rejected so far, if further rejections are needed to stop the call.
pub fn rejected(by: &[ReviewerName], more: u32) -> Option<String> {
    let plural = if more == 1 { "" } else { "s" };
    (!by.is_empty() && more > 0)
        .then(|| format!("{}; {more} more rejection{plural} would stop the call", by.join(", ")))
}

/// Why the call is held, as labels and texts: first the operator's words or, if there are none, the
/// matching policies; then the errors.
pub fn because(proposal: &Proposal) -> Vec<(&'static str, String)> {
    let PolicyRecord { determining, errors, reasons, .. } = &proposal.policy;
    let mut lines: Vec<_> = reasons.iter().map(|reason| ("held because", reason.clone())).collect();
    if reasons.is_empty() && !determining.is_empty() {
        lines.push(("held by the policy", determining.join(", ")));
    }
    lines.extend(errors.iter().map(|error| ("policy could not be evaluated", error.clone())));
    lines
}

/// Whether this reviewer can approve only in a later stage.
pub fn is_early(call: &Call, name: &ReviewerName, started_by: &ReviewerName) -> bool {
    let asks = call.proposal().is_some_and(|proposal| proposal.class == EffectClass::Question);
    !asks && call.admits_approval(name, started_by) == Err(NotEligible::NotYet)
}
