//! What the candidate said of a call's revisions before the one that is open. What follows an edit or a change of facts is put before people
//! whatever policy says of it, under what was asked before as well: so it is with the candidate.

use holdshort_gate::{Requirement, Time};

use super::steps::{Asked, Came, End, Outcome, Said};
use super::{Judged, Judgement, Verdict};
use crate::facts;

/// What is kept of a call while it may be revised.
#[derive(Default)]
pub(super) struct Earlier {
    /// What the candidate asks of whoever decides on it; nothing, if it refused it.
    asks: Option<Requirement>,
    /// Whether it put it before people.
    held: bool,
    /// The first revision that it would have cleared and acted on, where people went on to look at another.
    pub(super) cleared: Option<Judged>,
    /// The last revision, if it would have cleared it.
    last: Option<Judged>,
    /// Who rejected a revision that was edited then.
    pub(super) no: Said,
}

impl Earlier {
    /// What becomes of the candidate's answer to the next revision. After a change of facts policy is not asked again, whatever it would say.
    pub(super) fn bears_on(&mut self, asked: &Asked, judgement: &mut Judgement) {
        let last = self.last.take();
        let acted_on = |last: &Judged| match asked.came {
            Came::Edited { .. } => true,
            Came::Reheld => would_have_gone_on(last, asked),
            Came::Proposed => false,
        };
        self.cleared = self.cleared.take().or(last.filter(acted_on));
        let Some(asks) = &self.asks else { return };
        match asked.came {
            Came::Edited { level, waits_since } if self.held && !matches!(judgement.verdict, Verdict::Refuse(_)) => {
                judgement.requirement =
                    asks.for_an_edit(&judgement.requirement, level, deadline(asks, level, waits_since));
            }
            Came::Reheld => judgement.requirement = asks.clone(),
            Came::Proposed | Came::Edited { .. } => return,
        }
        judgement.verdict = Verdict::Hold;
    }

    /// What was proposed is decided, and may come again.
    pub(super) fn add(&mut self, judged: Judged, end: &End) {
        let Judgement { verdict, requirement, .. } = &judged.judgement;
        self.asks = (!matches!(verdict, Verdict::Refuse(_))).then(|| requirement.clone());
        self.held = *verdict == Verdict::Hold;
        if end.outcome == Outcome::Edited && !end.no.by.is_empty() {
            self.no = end.no.clone();
        }
        self.last = Some(judged).filter(|judged| judged.judgement.verdict == Verdict::Clear);
    }
}

/// Whether a call was held again because of facts that the recorded policies rested on, and that the candidate does not rest on.
/// What a connector finds out by itself stops it under any policies.
fn would_have_gone_on(cleared: &Judged, again: &Asked) -> bool {
    let moved = |names: &[String]| facts::changed(names, &cleared.asked.facts, &again.facts);
    matches!(moved(&cleared.asked.material), Ok(Some(_))) && moved(&cleared.judgement.record.material) == Ok(None)
}

/// When something must happen to a call that is held under a requirement: the gate's own reckoning.
fn deadline(asks: &Requirement, level: usize, waits_since: Time) -> Option<Time> {
    match level.checked_sub(1) {
        None => asks.expires_at,
        Some(last) => asks.escalations.get(last).map(|escalation| waits_since.plus_ms(escalation.within_ms)),
    }
}
