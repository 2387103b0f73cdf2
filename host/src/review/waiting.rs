//! Who still has to decide on a call, until when, and why it is held: what people and programs are told while it waits.

use holdshort_gate::approval::NotEligible;
use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::{Call, Demand, EffectClass, Phase, Proposal, Requirement, Reviewers};
use serde::{Deserialize, Serialize};

use super::story::{people, span};

/// One demand of the stage that is decided on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Which stage, from 1.
    pub stage: usize,
    /// How many there are.
    pub stages: usize,
    /// Those whose approval would count now: without those who have given it, and those whom four-eyes bars.
    pub reviewers: Reviewers,
    /// How many more of them it takes.
    pub more: u32,
}

/// What is still asked of people in the stage that is decided on; nothing, if the call waits for nobody.
pub fn waiting_for(call: &Call, started_by: &str) -> Vec<Waiting> {
    let (Phase::Held, Some(requirement)) = (&call.phase, call.requirement()) else { return Vec::new() };
    let missing = requirement.missing(call.stage, call.level, &call.votes);
    let demands = requirement.stages.get(call.stage).into_iter().flatten();
    let open = |name: &String| {
        !call.has_vote_of(name) && requirement.bars(name, started_by, call.edited_by.as_deref()).is_ok()
    };
    let waiting = |(demand, more): (&Demand, u32)| {
        let all = requirement.escalated(call.level).fold(demand.reviewers.clone(), |all, more| all.and(more));
        let reviewers = match all {
            Reviewers::Any => Reviewers::Any,
            Reviewers::Named(names) => Reviewers::Named(names.into_iter().filter(open).collect()),
        };
        Waiting { stage: call.stage + 1, stages: requirement.stages.len(), reviewers, more }
    };
    demands.zip(missing).map(waiting).collect()
}

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
