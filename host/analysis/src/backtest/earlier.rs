//! The candidate's verdicts on earlier revisions of a call. After an edit or a changed fact, the
//! host holds a call whatever policies say, and the requirement of the earlier revision still
//! applies. A backtest does the same with the candidate.

use holdshort_gate::{Requirement, Time, WaitEnd};

use super::steps::{ProposalEnd, ProposalOutcome, RecordedProposal, ReviewerWords};
use super::{JudgedProposal, Judgement, Verdict};
use crate::life::RevisionOrigin;
use holdshort_policy::facts;

/// The candidate's verdicts on a call that may still be revised.
#[derive(Default)]
pub(super) struct EarlierRevisions {
    /// The candidate's requirement for the latest revision; `None` if the candidate refused the call.
    asks: Option<Requirement>,
    /// Whether the candidate held the latest revision.
    held: bool,
    /// The first revision that the candidate would have cleared although a later revision was put to reviewers.
    pub(super) cleared: Option<JudgedProposal>,
    /// The latest revision, if the candidate would have cleared it.
    last: Option<JudgedProposal>,
    /// The rejections of a revision that was then edited.
    pub(super) no: ReviewerWords,
}

impl EarlierRevisions {
    /// Adjusts the candidate's verdict on the next revision. After an edit, a call that the candidate
    /// held stays held. After a changed fact, the call is held under the earlier requirement, because
    /// policy is not asked again.
    pub(super) fn bears_on(&mut self, asked: &RecordedProposal, judgement: &mut Judgement) {
        let last = self.last.take();
        let acted_on = |last: &JudgedProposal| match asked.life.origin {
            RevisionOrigin::Edited { .. } => true,
            RevisionOrigin::Reheld => would_have_gone_on(last, asked),
            RevisionOrigin::Proposed => false,
        };
        self.cleared = self.cleared.take().or(last.filter(acted_on));
        let Some(asks) = &self.asks else { return };
        match asked.life.origin {
            RevisionOrigin::Edited { level, waits_since }
                if self.held && !matches!(judgement.verdict, Verdict::Refuse(_)) =>
            {
                judgement.requirement =
                    asks.after_edit(&judgement.requirement, level, deadline(asks, level, waits_since));
            }
            RevisionOrigin::Reheld => judgement.requirement = asks.clone(),
            RevisionOrigin::Proposed | RevisionOrigin::Edited { .. } => return,
        }
        judgement.verdict = Verdict::Hold;
    }

    /// Adds a revision that was cleared, approved or edited. A further revision may follow it.
    pub(super) fn add(&mut self, judged: JudgedProposal, end: &ProposalEnd) {
        let Judgement { verdict, requirement, .. } = &judged.judgement;
        self.asks = (!matches!(verdict, Verdict::Refuse(_))).then(|| requirement.clone());
        self.held = *verdict == Verdict::Hold;
        if end.outcome == ProposalOutcome::Ended(WaitEnd::Edited) && !end.no.by.is_empty() {
            self.no = end.no.clone();
        }
        self.last = Some(judged).filter(|judged| judged.judgement.verdict == Verdict::Clear);
    }
}

/// Whether the call was held again only because of facts that are material under the recorded policies and not under
/// the candidate. A change that a connector finds itself stops the call whatever the policies are.
fn would_have_gone_on(cleared: &JudgedProposal, again: &RecordedProposal) -> bool {
    let moved = |names: &[String]| facts::changed(names, cleared.asked.life.facts(), again.life.facts());
    let recorded = cleared.asked.life.record().map_or(&[][..], |record| &record.material);
    matches!(moved(recorded), Ok(Some(_))) && moved(&cleared.judgement.record.material) == Ok(None)
}

/// The deadline of a call held under a requirement, as the gate computes it.
fn deadline(asks: &Requirement, level: usize, waits_since: Time) -> Option<Time> {
    match level.checked_sub(1) {
        None => asks.expires_at,
        Some(last) => asks.escalations.get(last).map(|escalation| waits_since.plus_ms(escalation.within_ms)),
    }
}
