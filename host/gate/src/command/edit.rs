//! An edit: a new revision of a held call, with the editor's own approval if the editor has seen everything that the
//! revision rests on.
//!
//! **Invariant:** An edit is refused, and the call stays unchanged, if the deadline of the edited action has passed
//! when the edit is written: the editor's vote would be too late. Policy, which is asked before the edit is written,
//! counts the deadline from that moment.
//!
//! **Invariant:** The editor's own vote counts only if the edit brings no new evidence, preconditions, facts, connector
//! or similar calls. Otherwise the call is held, and the editor too must be shown the new revision before they approve
//! it.

use super::{Refused, Subject};
use crate::call::Call;
use crate::clearance::Proposal;
use crate::decision::{Decision, RecordedChoice};
use crate::event::Event;
use crate::ids::Time;
use crate::name::ReviewerName;

/// The events of an edit: a new revision under the stricter requirement. The editor's own approval follows, unless
/// four-eyes forbids it or the new action rests on evidence that the editor has not been shown.
pub(super) fn edit(
    subject: &Subject,
    call: &Call,
    old: &Proposal,
    decision: Decision,
    mut new: Proposal,
    now: Time,
) -> Result<Vec<Event>, Refused> {
    if new.action.capability() != old.action.capability() || new.action.component() != old.action.component() {
        return Err(Refused::AnotherCapability);
    }
    if new.action.reasons() != old.action.reasons() {
        return Err(Refused::OtherReasons);
    }
    new.requirement = old.requirement.after_edit(&new.requirement, call.level, call.deadline());
    // Policy counted the deadline from the moment when it was asked, possibly long before this edit is written.
    if new.requirement.expires_at.is_some_and(|expires_at| now >= expires_at) {
        return Err(Refused::WrongKind(
            "the deadline of the edited call passed before the edit was written: edit the call again",
        ));
    }
    new.similar_calls.clone_from(&subject.similar_calls);
    let (number, revision, by) = (call.number, call.revision + 1, decision.reviewer.clone());
    let clearance = subject.clearance(number, revision, &new);
    let started_by = &subject.run()?.started_by;
    let on_behalf_of = decision.stands_for.as_ref().unwrap_or(&by);
    let may = |name: &ReviewerName| new.requirement.bars(name, started_by, Some(&by)).is_ok();
    let own_vote = shows_nothing_new(old, &new)
        && new.requirement.admits_in(on_behalf_of, 0, 0)
        && new.requirement.sign_in_within_ms.is_none()
        && may(on_behalf_of)
        && may(&by);
    let vote = Decision { clearance, verdict: RecordedChoice::Approve, message: None, ..decision.clone() };
    let mut events = vec![
        Event::DecisionMade { call: number, decision },
        Event::CallRevised { call: number, revision, by, proposal: Box::new(new), clearance },
    ];
    if own_vote {
        events.push(Event::DecisionMade { call: number, decision: vote });
    }
    Ok(events)
}

/// Whether a reviewer who was shown `old` has seen all findings about `new`.
fn shows_nothing_new(old: &Proposal, new: &Proposal) -> bool {
    let facts = |proposal: &Proposal| {
        let Proposal { preconditions, facts, connector, class, .. } = proposal;
        (preconditions.clone(), facts.clone(), connector.clone(), *class)
    };
    let similar_calls = new.similar_calls.iter().all(|other| old.similar_calls.contains(other));
    similar_calls && facts(old) == facts(new) && new.exhibits.iter().all(|exhibit| old.exhibits.contains(exhibit))
}
