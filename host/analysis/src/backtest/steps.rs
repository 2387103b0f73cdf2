//! Converts recorded events to proposals and their outcomes, with running totals as the journal counts them.

use std::collections::{BTreeMap, HashMap};

use holdshort_gate::totals::{counters, day, money};
use holdshort_gate::{
    Action, AgentName, Call, CallId, CallNumber, Capability, Counter, Event, Phase, PolicyVerdict, RecordedChoice,
    RecordedEvent, RecordedTotal, ReviewerName, RunId, Scope, Time, Total, Vote, WaitEnd,
};

use super::Types;
use crate::life::{Life, RevisionOrigin};

/// A call of a run.
pub(super) type CallKey = (RunId, CallNumber);

/// What really happened to a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ProposalOutcome {
    /// Policy cleared the proposal without a reviewer.
    Cleared,
    /// A grant cleared the proposal without a reviewer.
    Granted,
    /// Reviewers were asked about the proposal, and the hold ended in this way. The action after an edit is a new
    /// proposal.
    Ended(WaitEnd),
    /// The backtest ended before a decision.
    Waiting,
    Refused,
}

impl ProposalOutcome {
    /// The outcomes in the order of tables.
    pub(super) const ALL: [Self; 10] = [
        Self::Cleared,
        Self::Granted,
        Self::Ended(WaitEnd::Approved),
        Self::Ended(WaitEnd::Edited),
        Self::Ended(WaitEnd::Rejected),
        Self::Ended(WaitEnd::Answered),
        Self::Ended(WaitEnd::Expired),
        Self::Ended(WaitEnd::Cancelled),
        Self::Waiting,
        Self::Refused,
    ];

    /// The heading of the outcome's row in tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cleared => "cleared",
            Self::Granted => "cleared by a grant",
            Self::Ended(end) => end.as_str(),
            Self::Waiting => "waiting",
            Self::Refused => "refused",
        }
    }
}

/// How a proposal ended, or its present state if it has not ended.
pub(super) struct ProposalEnd {
    pub(super) outcome: ProposalOutcome,
    pub(super) at: Time,
    /// The number of escalations.
    pub(super) level: usize,
    /// The approvals, with the last message.
    pub(super) yes: ReviewerWords,
    /// The rejections.
    pub(super) no: ReviewerWords,
}

/// Reviewers and their message.
#[derive(Clone, Default)]
pub(super) struct ReviewerWords {
    pub(super) by: Vec<String>,
    pub(super) words: Option<String>,
}

impl ProposalEnd {
    /// The end of a proposal that was cleared or refused without a reviewer, or that still waits.
    pub(super) fn at_once(outcome: ProposalOutcome, at: Time) -> Self {
        Self { outcome, at, level: 0, yes: ReviewerWords::default(), no: ReviewerWords::default() }
    }

    fn of(call: &Call, outcome: ProposalOutcome, at: Time) -> Self {
        let by = |votes: &[Vote]| votes.iter().map(|vote| vote.reviewer.to_string()).collect::<Vec<_>>();
        let mut said = call.decisions.iter().rev().map(|made| &made.decision);
        let no = said.clone().find(|said| said.verdict == RecordedChoice::Reject).and_then(|said| said.message.clone());
        let yes = ReviewerWords { by: by(&call.votes), words: said.next().and_then(|last| last.message.clone()) };
        let no = ReviewerWords { by: by(&call.rejections), words: no.filter(|_| !call.rejections.is_empty()) };
        Self { outcome, at, level: call.level, yes, no }
    }
}

/// A proposal: a call as first proposed, edited or held again, with the data that the candidate needs to judge it.
pub(super) struct RecordedProposal {
    pub(super) key: CallKey,
    pub(super) by: RunOwner,
    /// The call just after the proposal.
    pub(super) life: Life,
    pub(super) totals: Vec<RecordedTotal>,
    pub(super) now: Time,
}

impl RecordedProposal {
    /// Whether reviewers had to decide on the proposal.
    pub(super) fn is_held(&self) -> bool {
        self.life.call.phase == Phase::Held
    }

    /// The grant that cleared the call.
    pub(super) fn grant(&self) -> Option<&CallId> {
        self.life.record()?.grant.as_ref()
    }

    /// The outcome, if it was reached without a reviewer.
    pub(super) fn at_once(&self) -> Option<ProposalOutcome> {
        match self.life.verdict {
            _ if self.is_held() => None,
            PolicyVerdict::Refuse => Some(ProposalOutcome::Refused),
            PolicyVerdict::Clear | PolicyVerdict::Hold => {
                Some(if self.grant().is_some() { ProposalOutcome::Granted } else { ProposalOutcome::Cleared })
            }
        }
    }
}

/// What an event means for the backtest.
pub(super) enum BacktestStep {
    /// There is a new proposal.
    Asked(Box<RecordedProposal>),
    /// A reviewer decided, for themselves or for an absent reviewer.
    Decided { key: CallKey, on_behalf_of: ReviewerName, at: Time },
    /// A proposal ended.
    Ended { key: CallKey, end: Box<ProposalEnd> },
    /// The call ended.
    Over { key: CallKey },
}

impl BacktestStep {
    /// The proposal in this step, if the candidate can judge it: it is not older than `since`, and its type is known.
    pub(super) fn asked(&self, since: Time, types: &Types) -> Option<&RecordedProposal> {
        match self {
            Self::Asked(asked)
                if asked.life.call.proposed_at >= since
                    && types.get(asked.life.call.action().capability()).is_some() =>
            {
                Some(asked)
            }
            Self::Asked(_) | Self::Decided { .. } | Self::Ended { .. } | Self::Over { .. } => None,
        }
    }
}

/// The agent of a run, and who started it.
#[derive(Clone)]
pub(super) struct RunOwner {
    pub(super) agent: AgentName,
    pub(super) started_by: ReviewerName,
}

/// A call that has not ended.
struct OpenCall {
    life: Life,
    by: RunOwner,
}

/// Follows the events. It keeps open runs, open calls, and totals.
pub(super) struct Steps {
    uses_totals: bool,
    /// Calls proposed earlier are skipped.
    since: Time,
    runs: HashMap<RunId, RunOwner>,
    open: HashMap<CallKey, OpenCall>,
    totals: HashMap<Scope, BTreeMap<Capability, Total>>,
    today: u32,
    /// Calls refused without policy's verdict.
    pub(super) without_policy: u64,
}

impl Steps {
    pub(super) fn new(uses_totals: bool, since: Time) -> Self {
        let (runs, open) = (HashMap::new(), HashMap::new());
        Self { uses_totals, since, runs, open, totals: HashMap::new(), today: 0, without_policy: 0 }
    }

    /// Adds the steps of an event.
    pub(super) fn follow(
        &mut self,
        run: RunId,
        RecordedEvent { at, event, .. }: RecordedEvent,
        steps: &mut Vec<BacktestStep>,
    ) {
        #[allow(
            clippy::wildcard_enum_match_arm,
            reason = "the others are about calls, or about nothing that matters here"
        )]
        match event {
            Event::RunCreated { agent, started_by, .. } => drop(self.runs.insert(run, RunOwner { agent, started_by })),
            Event::RunFinished { .. }
            | Event::RunTrapped { .. }
            | Event::RunCancelled { .. }
            | Event::RunDiverged { .. } => {
                self.runs.remove(&run);
                self.totals.remove(&Scope::Run(run));
            }
            Event::CallRefused { .. } | Event::CallCleared { .. } | Event::CallHeld { .. } => {
                let Some(life) = Life::open(&event, at) else { return };
                let (Some(by), Some(_)) = (self.runs.get(&run).cloned(), life.record()) else {
                    self.without_policy += u64::from(life.verdict == PolicyVerdict::Refuse && at >= self.since);
                    return;
                };
                let (key, open) = ((run, life.call.number), OpenCall { life, by });
                steps.push(self.asked(&key, &open, at));
                self.recount(&key, None, &open);
                self.keep(key, open);
            }
            _ => self.of_a_call(run, &event, at, steps),
        }
    }

    /// Keeps the call if it is not over, or else returns its key.
    fn keep(&mut self, key: CallKey, open: OpenCall) -> Option<CallKey> {
        if open.life.call.answer().is_some() {
            return Some(key);
        }
        self.open.insert(key, open);
        None
    }

    /// Follows an event of an open call.
    fn of_a_call(&mut self, run: RunId, event: &Event, at: Time, steps: &mut Vec<BacktestStep>) {
        let Some(number) = event.call() else { return };
        let key = (run, number);
        let Some(mut open) = self.open.remove(&key) else { return };
        let before = self.uses_totals.then(|| CountedCall::of(&key, &open)).flatten();
        // This event cannot follow, so the journal is damaged. The host that opens the journal reports the damage.
        let Some(step) = open.life.follow(event, at) else { return };
        if let Some(decided) = step.decided {
            steps.push(BacktestStep::Decided { key: key.clone(), on_behalf_of: decided.on_behalf_of.clone(), at });
        }
        if let Some(end) = step.end {
            let end = ProposalEnd::of(&open.life.call, ProposalOutcome::Ended(end), at);
            steps.push(BacktestStep::Ended { key: key.clone(), end: Box::new(end) });
        }
        self.recount(&key, before, &open);
        if step.revised.is_some() {
            steps.push(self.asked(&key, &open, at));
        }
        steps.extend(self.keep(key, open).map(|key| BacktestStep::Over { key }));
    }

    /// The state of a proposal without a decision.
    pub(super) fn waiting(&self, key: &CallKey, at: Time) -> ProposalEnd {
        let waits = |open: &OpenCall| ProposalEnd::of(&open.life.call, ProposalOutcome::Waiting, at);
        self.open.get(key).map_or_else(|| ProposalEnd::at_once(ProposalOutcome::Waiting, at), waits)
    }

    /// The step that puts the current revision of a call to policy, with the totals at the time `at`.
    fn asked(&self, key: &CallKey, OpenCall { life, by }: &OpenCall, at: Time) -> BacktestStep {
        BacktestStep::Asked(Box::new(RecordedProposal {
            key: key.clone(),
            by: by.clone(),
            totals: self.totals_of(&key.0, &by.agent, life.call.action(), at),
            // After a changed fact policy was not asked, so the time of the event is used.
            now: if life.origin == RevisionOrigin::Reheld { at } else { life.asked_at() },
            life: life.clone(),
        }))
    }

    /// The number of runs with totals.
    #[cfg(test)]
    pub(super) fn runs_counted(&self) -> usize {
        self.totals.keys().filter(|scope| matches!(scope, Scope::Run(_))).count()
    }

    /// The present totals of a call's counters.
    fn totals_of(&self, run: &RunId, agent: &AgentName, action: &Action, at: Time) -> Vec<RecordedTotal> {
        if !self.uses_totals {
            return Vec::new();
        }
        let total = |counter: &Counter| self.totals.get(&counter.scope)?.get(&counter.capability).cloned();
        let counted = |counter| RecordedTotal { total: total(&counter).unwrap_or_default(), counter };
        counters(run, agent, action.capability(), at).map(counted).into()
    }

    /// Updates the totals after an event changed a call.
    fn recount(&mut self, key: &CallKey, before: Option<CountedCall>, open: &OpenCall) {
        let after = self.uses_totals.then(|| CountedCall::of(key, open)).flatten();
        if before == after {
            return;
        }
        // An ended run has no totals, and subtracting a call must not create any.
        if let Some(CountedCall { counters, money, .. }) = &before {
            for Counter { scope, capability } in counters {
                let totals = self.totals.get_mut(scope);
                totals
                    .and_then(|totals| totals.get_mut(capability))
                    .into_iter()
                    .for_each(|total| *total = total.without(money));
            }
        }
        if let Some(CountedCall { counters, money, .. }) = &after {
            for Counter { scope, capability } in counters {
                let total = self.totals.entry(scope.clone()).or_default().entry(capability.clone()).or_default();
                *total = total.with(money);
            }
        }
        [before, after].into_iter().flatten().for_each(|CountedCall { at, .. }| self.forget(day(at)));
    }

    /// Drops the totals of past days, because no policy asks for them. Yesterday's totals stay a day longer, so that a
    /// call that was counted just before midnight can still be subtracted from them.
    fn forget(&mut self, today: u32) {
        if today > self.today {
            self.today = today;
            self.totals.retain(|scope, _| match scope {
                Scope::AgentDay((_, of)) | Scope::Day(of) => *of + 1 >= today,
                Scope::Run(_) | Scope::Agent(_) | Scope::Grant(_) => true,
            });
        }
    }
}

/// What a call adds to the totals.
#[derive(PartialEq)]
struct CountedCall {
    counters: [Counter; 4],
    money: BTreeMap<String, u64>,
    at: Time,
}

impl CountedCall {
    fn of((run, _): &CallKey, OpenCall { life, by }: &OpenCall) -> Option<Self> {
        let (at, action) = (life.call.counted_at?, life.call.action());
        Some(Self { counters: counters(run, &by.agent, action.capability(), at), money: money(action), at })
    }
}
