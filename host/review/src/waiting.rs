//! Sentences about a held call: which reviewers still have to decide, what happens at the deadline, and why the
//! call is held.

use holdshort_gate::approval::NotEligible;
use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::{Call, EffectClass, OpenDemand, Proposal, Requirement, ReviewerName};

use super::sentences::{people, span};

/// A sentence for each group of reviewers in which somebody still has to decide.
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

/// The reviewers who have rejected so far, and how many more rejections would stop the call. `None` if nobody has
/// rejected, or if no more rejections are needed.
pub fn rejected(by: &[ReviewerName], more: u32) -> Option<String> {
    let plural = if more == 1 { "" } else { "s" };
    (!by.is_empty() && more > 0)
        .then(|| format!("{}; {more} more rejection{plural} would stop the call", by.join(", ")))
}

/// Why the call is held, as labels and texts. First come the operator's own words or, if there are none, the names of
/// the policies that decided. Then come policies' errors.
pub fn because(proposal: &Proposal) -> Vec<(&'static str, String)> {
    let PolicyRecord { determining, errors, reasons, .. } = &proposal.policy;
    let mut lines: Vec<_> = reasons.iter().map(|reason| ("held because", reason.clone())).collect();
    if reasons.is_empty() && !determining.is_empty() {
        lines.push(("held by the policy", determining.join(", ")));
    }
    lines.extend(errors.iter().map(|error| ("policy could not be evaluated", error.clone())));
    lines
}

/// Whether this reviewer can approve the call, but not before a later stage.
pub fn is_early(call: &Call, name: &ReviewerName, started_by: &ReviewerName) -> bool {
    let asks = call.proposal().is_some_and(|proposal| proposal.class == EffectClass::Question);
    !asks && call.admits_approval(name, started_by) == Err(NotEligible::NotYet)
}
