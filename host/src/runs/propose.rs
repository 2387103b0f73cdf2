//! Makes a proposal from an action: checks the display limit, previews with the connector, and asks policy.

use std::sync::Arc;

use holdshort_gate::call::InconsistentEvent;
use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::command::{FirstVerdict, Revision};
use holdshort_gate::totals::{counters, model};
use holdshort_gate::{
    Action, AgentName, Call, CallNumber, Counter, EffectClass, ExhibitRef, FunctionType, Mismatch, Proposal,
    RecordedTotal, RefusalReason, Requirement, ReviewerName, Reviewers, RunId, Seq,
};
use holdshort_journal::{Blob, Driver, Events, GrantFilter, GrantRow, Journal, ReadError};
use holdshort_words::{Sentence, configured, say};
use serde_json::Value;

use super::display_limit::{DisplayLimit, believable};
use super::exhibits::{freeze, measure, named};
use super::look::look;
use crate::connectors::descriptor::Effect;
use crate::connectors::history::History;
use crate::connectors::{CannotPreview, Preview, Previewed};
use crate::policy::{CallQuestion, Judgement, Policy, Verdict};

/// Makes proposals.
pub(super) struct Proposer {
    pub(super) journal: Driver,
    pub(super) policy: Arc<dyn Policy>,
    pub(super) display_limit: DisplayLimit,
}

/// The maximum number of an agent's grants for one capability that are tried, newest first.
const GRANTS_MAX: usize = 100;
/// The number of events per read.
const CHUNK: usize = 512;

/// The run that makes a call, and its history.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) run: &'a RunId,
    pub(super) agent: &'a AgentName,
    pub(super) started_by: &'a ReviewerName,
    /// The run's history before the call.
    pub(super) before: &'a History,
}

/// The host could not read what a proposal needs. Nothing was recorded.
#[derive(Debug, thiserror::Error)]
pub enum CannotPropose {
    /// The connector cannot make its preview now.
    #[error("the preview is not possible now: {0}")]
    Connector(Sentence),
    /// The run's history could not be read.
    #[error(transparent)]
    History(#[from] NoHistory),
    /// The running totals could not be read.
    #[error(transparent)]
    Totals(#[from] ReadError),
}

/// A run's history is unavailable.
#[derive(Debug, thiserror::Error)]
pub enum NoHistory {
    /// The journal could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The journal is damaged.
    #[error(transparent)]
    Inconsistent(#[from] InconsistentEvent),
}

/// An edit is not possible. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReviseError {
    /// The arguments do not have the function's type.
    #[error("{0}")]
    Mismatch(#[from] Mismatch),
    /// The connector finds the new action impossible.
    #[error("the edit is not possible: {0}")]
    Impossible(Sentence),
    /// Policy or the display limit forbids the new action.
    #[error("the edit is not allowed: {0}")]
    Forbidden(Sentence),
    /// The call, its component or its connector is unavailable now.
    #[error("{0}")]
    Unavailable(String),
}

impl From<CannotPreview> for ReviseError {
    fn from(error: CannotPreview) -> Self {
        match error {
            CannotPreview::Impossible(reason) => Self::Impossible(reason),
            CannotPreview::Unavailable(reason) => Self::Unavailable(reason.into_string()),
        }
    }
}

impl Proposer {
    /// The verdict on a new call, and the evidence to write. `full` is the reason why the call cannot be held, if any; a
    /// call beyond the display limit cannot be held either. Policy comes last: it uses the facts.
    pub(super) async fn propose(
        &self,
        caller: Caller<'_>,
        preview: &dyn Preview,
        ty: &FunctionType,
        action: Action,
        full: Option<&RefusalReason>,
    ) -> Result<(FirstVerdict, Vec<Blob>), CannotPropose> {
        let refuse = |action, reason, record| Ok((FirstVerdict::Refuse(Box::new(action), reason, record), Vec::new()));
        let too_long = self.display_limit.admits(&action).err().map(forbidden);
        if let Err(reason) = believable(&action) {
            return refuse(action, invalid(reason), None);
        }
        let mut previewed = match look(&self.journal, preview, caller.agent, &action, caller.before).await {
            Ok(previewed) => previewed,
            Err(CannotPreview::Impossible(reason)) => return refuse(action, invalid(reason), None),
            Err(CannotPreview::Unavailable(reason)) => return Err(CannotPropose::Connector(reason)),
        };
        let evidence = match measure(std::mem::take(&mut previewed.exhibits)).await {
            Ok(evidence) => evidence,
            Err(CannotPreview::Impossible(reason)) => return refuse(action, invalid(reason), None),
            Err(CannotPreview::Unavailable(reason)) => return Err(CannotPropose::Connector(reason)),
        };
        let mut judgement = self.judge(caller, ty, &action, &previewed).await?;
        // Nobody has read a call beyond the display limit, so a grant of a reviewer does not clear it.
        if judgement.verdict == Verdict::Hold && too_long.is_none() {
            self.by_grant(caller, preview, &action, &mut judgement).await?;
        }
        let holds = match (&judgement.verdict, too_long.as_ref().or(full)) {
            (Verdict::Refuse(reason), _) => {
                let reason = forbidden(reason.clone());
                return refuse(action, reason, Some(Box::new(judgement.record)));
            }
            (Verdict::Hold, Some(reason)) => return refuse(action, reason.clone(), None),
            (Verdict::Hold, None) => true,
            // The gate would hold it.
            (Verdict::Clear, Some(reason)) if !judgement.record.may_clear() => {
                return refuse(action, reason.clone(), None);
            }
            (Verdict::Clear, _) => false,
        };
        let (exhibits, blobs) = named(evidence);
        let Judgement { requirement, record, .. } = judgement;
        let proposal = Box::new(proposal(preview, action, (previewed, exhibits), requirement, record));
        Ok((if holds { FirstVerdict::Hold(proposal) } else { FirstVerdict::Clear(proposal) }, blobs))
    }

    /// The same proposal, held for reviewers because the totals that policy used keep changing. A call beyond the display
    /// limit is refused.
    pub(super) fn held(&self, proposed: FirstVerdict) -> FirstVerdict {
        match proposed {
            FirstVerdict::Clear(proposal) => match self.display_limit.admits(&proposal.action) {
                Ok(()) => FirstVerdict::Clear(proposal).into_hold(),
                Err(reason) => FirstVerdict::Refuse(Box::new(proposal.action), forbidden(reason), None),
            },
            other @ (FirstVerdict::Hold(_) | FirstVerdict::Refuse(..)) => other.into_hold(),
        }
    }

    /// Makes the proposal for an edit of a held call, with the steps of a new call. The verdicts cleared and held have
    /// the same result here, because reviewers decide on every edited call.
    pub(super) async fn revise(
        &self,
        caller: Caller<'_>,
        preview: &dyn Preview,
        ty: &FunctionType,
        (call, editor): (&Call, &ReviewerName),
        arguments: &Value,
    ) -> Result<Revision, ReviseError> {
        let old = call.action();
        let action = Action::new(old.component(), old.capability().clone(), ty, arguments)?;
        self.display_limit.admits(&action).map_err(ReviseError::Forbidden)?;
        believable(&action).map_err(ReviseError::Impossible)?;
        let mut previewed = look(&self.journal, preview, caller.agent, &action, caller.before).await?;
        let evidence = measure(std::mem::take(&mut previewed.exhibits)).await?;
        let judgement = self.judge(caller, ty, &action, &previewed).await;
        let mut judgement = judgement.map_err(|error| ReviseError::Unavailable(error.to_string()))?;
        if let Verdict::Refuse(reason) = judgement.verdict {
            return Err(ReviseError::Forbidden(reason));
        }
        // Material facts of the earlier revision stay material.
        let before = call.proposal().map(|proposal| proposal.policy.material.clone()).unwrap_or_default();
        let material = &mut judgement.record.material;
        material.extend(before);
        material.sort();
        material.dedup();
        // Reviewers decide on the edited call, so no running total must stay unchanged until the write.
        judgement.record.totals.clear();
        check_approver_remains(caller, call, editor, &judgement.requirement)?;
        let exhibits = freeze(&self.journal, evidence).await;
        let exhibits = exhibits.map_err(|error| ReviseError::Unavailable(error.to_string()))?;
        let Judgement { requirement, record, .. } = judgement;
        Ok(Revision { proposal: proposal(preview, action, (previewed, exhibits), requirement, record) })
    }

    /// Asks policy for its verdict on an action.
    async fn judge(
        &self,
        caller: Caller<'_>,
        ty: &FunctionType,
        action: &Action,
        previewed: &Previewed,
    ) -> Result<Judgement, ReadError> {
        let (Caller { run, agent, started_by, .. }, now) = (caller, self.journal.now());
        let totals = if self.policy.uses_totals() {
            let model = model().filter(|_| !self.policy.model_totals().is_empty());
            let counted = std::iter::once(action.capability()).chain(&model);
            self.journal.totals(counted.flat_map(|of| counters(run, agent, of, now)).collect()).await?
        } else {
            Vec::new()
        };
        let (facts, consequence, totals) = (&previewed.facts, previewed.consequence, &totals[..]);
        let question = CallQuestion { started_by, agent, run, action, ty, facts, consequence, totals, now };
        Ok(self.policy.judge(&question))
    }

    /// Clears a held call if a grant covers it. After an evaluation error no grant clears the call, because the failed
    /// policy might have forbidden it.
    async fn by_grant(
        &self,
        Caller { agent, started_by, .. }: Caller<'_>,
        preview: &dyn Preview,
        action: &Action,
        judgement: &mut Judgement,
    ) -> Result<(), ReadError> {
        let Judgement { verdict, requirement, record } = judgement;
        let now = self.journal.now();
        let (agents, capability) = (Some(agent.clone()), Some(action.capability().to_string()));
        let filter = GrantFilter { standing_at: Some(now), agent: agents, capability, before: None, limit: GRANTS_MAX };
        let nobody = *requirement == Requirement { grantors: Reviewers::Named(Vec::new()), ..requirement.clone() };
        if nobody || !record.errors.is_empty() || preview.effect().class == EffectClass::Question {
            return Ok(());
        }
        for GrantRow { id, granted, used, .. } in self.journal.grants(filter).await? {
            if granted.clears((agent, started_by), action, requirement, &used, now).is_ok() {
                record.determining = vec![format!("grant {id}")];
                record.reasons.clear();
                record.totals.push(RecordedTotal { counter: Counter::of_grant(&id, action.capability()), total: used });
                record.grant = Some(id);
                *verdict = Verdict::Clear;
                break;
            }
        }
        Ok(())
    }
}

/// A proposal of `action`. The connector's preview supplies everything but the exhibits, the requirement and the record
/// of policy's verdict.
pub(super) fn proposal(
    preview: &dyn Preview,
    action: Action,
    (previewed, exhibits): (Previewed, Vec<ExhibitRef>),
    requirement: Requirement,
    policy: PolicyRecord,
) -> Proposal {
    let Effect { connector, class, .. } = preview.effect_of(&action);
    Proposal {
        action,
        summary: previewed.summary.into_string(),
        exhibits,
        preconditions: previewed.preconditions,
        facts: previewed.facts,
        consequence: Some(previewed.consequence),
        connector: connector.into(),
        class,
        requirement,
        policy,
        similar_calls: Vec::new(),
    }
}

/// Under four-eyes, an edit excludes its editor from approving. Without another reviewer the call would wait for ever,
/// so such an edit is refused.
fn check_approver_remains(
    caller: Caller<'_>,
    call: &Call,
    editor: &ReviewerName,
    new: &Requirement,
) -> Result<(), ReviseError> {
    let held_under = call.requirement().map(|old| old.after_edit(new, call.level, call.deadline()));
    let Some((all, names)) = held_under.and_then(|all| all.names().map(|names| (all, names))) else { return Ok(()) };
    let met = all.can_be_met(&names, caller.started_by, Some(editor));
    met.map_err(|why| ReviseError::Forbidden(say!("the new requirement cannot be met: {}", configured(why))))
}

/// A run's history, kept beside the run: each event is read once, even if many calls use it.
#[derive(Default)]
pub(super) struct RunHistory {
    history: History,
    /// The number of the last event in `history`.
    after: Seq,
    /// The number of events that were read for the history.
    pub(super) read: u64,
}

impl RunHistory {
    /// Adds the events before `call` that are not yet in the history. A run's first call has no history.
    pub(super) async fn up_to(
        &mut self,
        journal: &Journal,
        run: &RunId,
        call: CallNumber,
    ) -> Result<&History, NoHistory> {
        let mut more = call > 1;
        while more {
            let read: Events = journal.events(run, self.after, CHUNK).await?;
            more = read.more;
            self.read += read.events.len() as u64;
            for recorded in read.events {
                if recorded.event.call().is_some_and(|number| number >= call) {
                    return Ok(&self.history);
                }
                let seq = recorded.seq;
                self.history.add(recorded)?;
                self.after = seq;
            }
        }
        Ok(&self.history)
    }
}

// The reason for a refusal is a sentence of the host. Only these functions convert it to a text of the journal.

fn invalid(reason: Sentence) -> RefusalReason {
    RefusalReason::Invalid(reason.into_string())
}

fn forbidden(reason: Sentence) -> RefusalReason {
    RefusalReason::Forbidden(reason.into_string())
}
