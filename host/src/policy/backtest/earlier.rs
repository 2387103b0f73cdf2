//! What the candidate said of a call's revisions before the one that is open. What follows an edit or a change of facts is put before people
//! whatever policy says of it, under what was asked before as well: so it is with the candidate.

use holdshort_gate::{Requirement, Time};

use super::steps::{Asked, Came, End, Outcome, Said};
use super::{Judged, Judgement, Verdict};

/// What is kept of a call while it may be revised.
#[derive(Default)]
pub(super) struct Earlier {
    /// What the candidate asks of whoever decides on it; nothing, if it refused it.
    asks: Option<Requirement>,
    /// Whether it put it before people.
    held: bool,
    /// The first revision that it would have cleared, and that was edited.
    pub(super) cleared: Option<Judged>,
    /// Who rejected a revision that was edited then.
    pub(super) no: Said,
}

impl Earlier {
    /// What becomes of the candidate's answer to the next revision.
    pub(super) fn bears_on(&self, asked: &Asked, judgement: &mut Judgement) {
        let Some(asks) = &self.asks else { return };
        if matches!(judgement.verdict, Verdict::Refuse(_)) {
            return;
        }
        match asked.came {
            Came::Edited { level, waits_since } if self.held => {
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
        if end.outcome == Outcome::Edited {
            if !end.no.by.is_empty() {
                self.no = end.no.clone();
            }
            if *verdict == Verdict::Clear && self.cleared.is_none() {
                self.cleared = Some(judged);
            }
        }
    }
}

/// When something must happen to a call that is held under a requirement: the gate's own reckoning.
fn deadline(asks: &Requirement, level: usize, waits_since: Time) -> Option<Time> {
    match level.checked_sub(1) {
        None => asks.expires_at,
        Some(last) => asks.escalations.get(last).map(|escalation| waits_since.plus_ms(escalation.within_ms)),
    }
}
