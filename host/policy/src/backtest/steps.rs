//! From recorded events to what was put to policy and people, and what became of it; with running totals as the journal counts them.

use std::collections::{BTreeMap, HashMap};

use holdshort_gate::totals::{counters, day, money};
use holdshort_gate::{
    Action, Call, CallId, CallNumber, Capability, Consequence, Counted, Counter, EffectClass, Event, Phase, Recorded,
    Requirement, RunId, Scope, Time, Total, Verdict, Vote,
};
use serde_json::Value;

use super::Types;

/// A call of a run.
pub(super) type Key = (RunId, CallNumber);

/// What really became of something that was proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// By policy: nobody was asked.
    Cleared,
    /// By a standing grant: nobody was asked.
    Granted,
    Approved,
    /// The edited action is a proposal of its own.
    Edited,
    Rejected,
    Answered,
    Expired,
    Cancelled,
    /// When the trial ended.
    Waiting,
    Refused,
}

impl Outcome {
    /// In the order of tables.
    pub(super) const ALL: [(Self, &'static str); 10] = [
        (Self::Cleared, "cleared"),
        (Self::Granted, "cleared by a grant"),
        (Self::Approved, "approved"),
        (Self::Edited, "edited"),
        (Self::Rejected, "rejected"),
        (Self::Answered, "answered"),
        (Self::Expired, "expired"),
        (Self::Cancelled, "cancelled"),
        (Self::Waiting, "waiting"),
        (Self::Refused, "refused"),
    ];
}

/// How something came to be put to policy.
pub(super) enum Came {
    Proposed,
    /// By an edit, after so many escalations, the last of them at a time.
    Edited {
        level: usize,
        waits_since: Time,
    },
    /// Facts had changed.
    Reheld,
}

/// How what had been proposed was decided, or what stands in the meantime.
pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) at: Time,
    /// How often it was escalated.
    pub(super) level: usize,
    /// Who approved it, and what was said last.
    pub(super) yes: Said,
    /// Who rejected it.
    pub(super) no: Said,
}

/// Who said something, and in which words.
#[derive(Clone, Default)]
pub(super) struct Said {
    pub(super) by: Vec<String>,
    pub(super) words: Option<String>,
}

impl End {
    /// What nobody is asked about.
    pub(super) fn at_once(outcome: Outcome, at: Time) -> Self {
        Self { outcome, at, level: 0, yes: Said::default(), no: Said::default() }
    }

    /// With the rejections before an event, which an edit takes away.
    fn of(call: &Call, outcome: Outcome, at: Time, rejections: &[Vote]) -> Self {
        let by = |votes: &[Vote]| votes.iter().map(|vote| vote.reviewer.clone()).collect::<Vec<_>>();
        let mut said = call.decisions.iter().rev().map(|made| &made.decision);
        let no = said.clone().find(|said| said.verdict == Verdict::Reject).and_then(|said| said.message.clone());
        let yes = Said { by: by(&call.votes), words: said.next().and_then(|last| last.message.clone()) };
        let no = Said { by: by(rejections), words: no.filter(|_| !rejections.is_empty()) };
        Self { outcome, at, level: call.level, yes, no }
    }
}

/// Something that was put to policy, as it was then.
pub(super) struct Asked {
    pub(super) key: Key,
    pub(super) revision: u32,
    pub(super) came: Came,
    pub(super) agent: String,
    pub(super) started_by: String,
    pub(super) action: Action,
    pub(super) facts: Value,
    pub(super) consequence: Consequence,
    /// Nothing, if it was refused.
    pub(super) class: Option<EffectClass>,
    pub(super) summary: String,
    pub(super) totals: Vec<Counted>,
    /// When the call was proposed, of which this may be a later revision.
    pub(super) proposed_at: Time,
    pub(super) now: Time,
    /// Who had to decide, if it was held.
    pub(super) requirement: Option<Requirement>,
    /// What became of it, if nobody was asked.
    pub(super) at_once: Option<Outcome>,
    /// The standing grant that cleared it.
    pub(super) grant: Option<CallId>,
    /// The facts that were looked at again before it was acted on.
    pub(super) material: Vec<String>,
}

/// What matters of an event.
pub(super) enum Step {
    /// Something was put to policy.
    Asked(Box<Asked>),
    /// Somebody decided on it, with their own right or that of whom they stand for.
    Decided { key: Key, right_of: String, at: Time },
    /// It is decided.
    Ended { key: Key, end: Box<End> },
    /// Nothing can happen to the call any more.
    Over { key: Key },
}

impl Step {
    /// What is to be judged, if this is.
    pub(super) fn asked(&self, since: Time, types: &Types) -> Option<&Asked> {
        match self {
            Self::Asked(asked) if asked.proposed_at >= since && types.get(asked.action.capability()).is_some() => {
                Some(asked)
            }
            Self::Asked(_) | Self::Decided { .. } | Self::Ended { .. } | Self::Over { .. } => None,
        }
    }
}

/// A run that goes on.
struct Run {
    agent: String,
    started_by: String,
}

/// A call that is not over.
struct Open {
    call: Call,
    agent: String,
    started_by: String,
}

/// Follows the events. Kept are the runs and calls that are not over, and totals.
pub(super) struct Steps {
    uses_totals: bool,
    /// Calls that were proposed before are none of its business.
    since: Time,
    runs: HashMap<RunId, Run>,
    open: HashMap<Key, Open>,
    totals: HashMap<Scope, BTreeMap<Capability, Total>>,
    today: u32,
    /// Calls that were refused without a verdict of policy.
    pub(super) without_policy: u64,
}

impl Steps {
    pub(super) fn new(uses_totals: bool, since: Time) -> Self {
        let (runs, open) = (HashMap::new(), HashMap::new());
        Self { uses_totals, since, runs, open, totals: HashMap::new(), today: 0, without_policy: 0 }
    }

    /// What follows from an event.
    pub(super) fn follow(&mut self, run: RunId, Recorded { at, event, .. }: Recorded, steps: &mut Vec<Step>) {
        #[allow(
            clippy::wildcard_enum_match_arm,
            reason = "the others are about calls, or about nothing that matters here"
        )]
        match event {
            Event::RunCreated { agent, started_by, .. } => drop(self.runs.insert(run, Run { agent, started_by })),
            Event::RunFinished { .. }
            | Event::RunTrapped { .. }
            | Event::RunCancelled { .. }
            | Event::RunDiverged { .. } => {
                self.runs.remove(&run);
                self.totals.remove(&Scope::Run(run));
            }
            Event::CallRefused { call, action, policy, .. } => match (policy, self.runs.get(&run)) {
                (Some(policy), Some(by)) => steps.push(Step::Asked(Box::new(Asked {
                    totals: self.totals_of(&run, &by.agent, &action, at),
                    agent: by.agent.clone(),
                    started_by: by.started_by.clone(),
                    key: (run, call),
                    revision: 1,
                    came: Came::Proposed,
                    action: *action,
                    facts: Value::Null,
                    consequence: Consequence::default(),
                    class: None,
                    summary: String::new(),
                    proposed_at: at,
                    now: policy.asked_at(at),
                    requirement: None,
                    at_once: Some(Outcome::Refused),
                    grant: None,
                    material: Vec::new(),
                }))),
                _ => self.without_policy += u64::from(at >= self.since),
            },
            Event::CallCleared { .. } | Event::CallHeld { .. } => {
                let (Some(by), Some(call)) = (self.runs.get(&run), Call::open(&event, at)) else { return };
                let open = Open { agent: by.agent.clone(), started_by: by.started_by.clone(), call };
                let key = (run, open.call.number);
                steps.extend(self.asked(&key, &open, Came::Proposed, at));
                self.recount(&key, None, Some(&open));
                self.open.insert(key, open);
            }
            _ => self.of_a_call(run, &event, at, steps),
        }
    }

    /// Follows an event of a call that is not over.
    fn of_a_call(&mut self, run: RunId, event: &Event, at: Time, steps: &mut Vec<Step>) {
        let Some(number) = event.call() else { return };
        let key = (run, number);
        let Some(mut open) = self.open.remove(&key) else { return };
        let before = self.uses_totals.then(|| Counts::of(&key, &open)).flatten();
        let held = open.call.phase == Phase::Held;
        let own_vote = open.call.is_editors_own(event, at);
        let (level, waits_since, rejections) = (open.call.level, open.call.waits_since, open.call.rejections.clone());
        // A journal that was damaged is for its host to say.
        if open.call.apply(event, at).is_err() {
            return;
        }
        if let Event::DecisionMade { decision, .. } = event
            && !own_vote
        {
            let right_of = decision.stands_for.as_ref().unwrap_or(&decision.reviewer).clone();
            steps.push(Step::Decided { key: key.clone(), right_of, at });
        }
        if held && let Some(outcome) = outcome(event, &open.call) {
            let edited = outcome == Outcome::Edited;
            let rejections = if edited { &rejections } else { &open.call.rejections };
            let end = End::of(&open.call, outcome, at, rejections);
            let end = Box::new(if edited { End { level, ..end } } else { end });
            steps.push(Step::Ended { key: key.clone(), end });
        }
        self.recount(&key, before, Some(&open));
        #[allow(clippy::wildcard_enum_match_arm, reason = "only these make a revision")]
        match event {
            Event::CallRevised { .. } => steps.extend(self.asked(&key, &open, Came::Edited { level, waits_since }, at)),
            Event::CallReheld { .. } => steps.extend(self.asked(&key, &open, Came::Reheld, at)),
            _ => {}
        }
        if open.call.answer().is_none() {
            self.open.insert(key, open);
        } else {
            steps.push(Step::Over { key });
        }
    }

    /// Where something stands that nobody has decided on yet.
    pub(super) fn waiting(&self, key: &Key, at: Time) -> End {
        let waits = |open: &Open| End::of(&open.call, Outcome::Waiting, at, &open.call.rejections);
        self.open.get(key).map_or_else(|| End::at_once(Outcome::Waiting, at), waits)
    }

    /// A revision as policy would be asked about it at this moment.
    fn asked(&self, key: &Key, Open { call, agent, started_by }: &Open, came: Came, at: Time) -> Option<Step> {
        let proposal = call.proposal()?;
        let held = call.phase == Phase::Held;
        let cleared = if proposal.policy.grant.is_some() { Outcome::Granted } else { Outcome::Cleared };
        Some(Step::Asked(Box::new(Asked {
            key: key.clone(),
            revision: call.revision,
            agent: agent.clone(),
            started_by: started_by.clone(),
            totals: self.totals_of(&key.0, agent, &proposal.action, at),
            action: proposal.action.clone(),
            facts: proposal.facts.clone(),
            consequence: proposal.consequence.unwrap_or_default(),
            class: Some(proposal.class),
            summary: proposal.summary.clone(),
            proposed_at: call.proposed_at,
            // Of changed facts policy was not asked.
            now: if matches!(came, Came::Reheld) { at } else { proposal.policy.asked_at(at) },
            requirement: held.then(|| proposal.requirement.clone()),
            at_once: (!held).then_some(cleared),
            grant: proposal.policy.grant.clone(),
            material: proposal.policy.material.clone(),
            came,
        })))
    }

    /// How many runs have totals.
    #[cfg(test)]
    pub(super) fn runs_counted(&self) -> usize {
        self.totals.keys().filter(|scope| matches!(scope, Scope::Run(_))).count()
    }

    /// The totals of a call's counters as they are now.
    fn totals_of(&self, run: &RunId, agent: &str, action: &Action, at: Time) -> Vec<Counted> {
        if !self.uses_totals {
            return Vec::new();
        }
        let total = |counter: &Counter| self.totals.get(&counter.scope)?.get(&counter.capability).cloned();
        let counted = |counter| Counted { total: total(&counter).unwrap_or_default(), counter };
        counters(run, agent, action.capability(), at).map(counted).into()
    }

    /// The totals after what an event made of a call.
    fn recount(&mut self, key: &Key, before: Option<Counts>, open: Option<&Open>) {
        let after = open.filter(|_| self.uses_totals).and_then(|open| Counts::of(key, open));
        if before == after {
            return;
        }
        // A run that is over has no totals any more, and gets none by what is taken out of them.
        if let Some(Counts { counters, money, .. }) = &before {
            for Counter { scope, capability } in counters {
                let totals = self.totals.get_mut(scope);
                totals
                    .and_then(|totals| totals.get_mut(capability))
                    .into_iter()
                    .for_each(|total| *total = total.without(money));
            }
        }
        if let Some(Counts { counters, money, .. }) = &after {
            for Counter { scope, capability } in counters {
                let total = self.totals.entry(scope.clone()).or_default().entry(capability.clone()).or_default();
                *total = total.with(money);
            }
        }
        [before, after].into_iter().flatten().for_each(|Counts { at, .. }| self.forget(day(at)));
    }

    /// Totals of days that are over are asked for by nobody. One day more is kept, for calls that were counted just before midnight.
    fn forget(&mut self, today: u32) {
        if today > self.today {
            self.today = today;
            self.totals.retain(|scope, _| match scope {
                Scope::AgentDay(_, of) | Scope::Day(of) => *of + 1 >= today,
                Scope::Run(_) | Scope::Agent(_) | Scope::Grant(_) => true,
            });
        }
    }
}

/// What a call adds to the totals.
#[derive(PartialEq)]
struct Counts {
    counters: [Counter; 4],
    money: BTreeMap<String, u64>,
    at: Time,
}

impl Counts {
    fn of((run, _): &Key, Open { call, agent, .. }: &Open) -> Option<Self> {
        let at = call.counted_at?;
        Some(Self { counters: counters(run, agent, call.action().capability(), at), money: money(call.action()), at })
    }
}

/// What became of something that was held, if an event says so.
fn outcome(event: &Event, call: &Call) -> Option<Outcome> {
    if matches!(event, Event::CallRevised { .. }) {
        return Some(Outcome::Edited);
    }
    match &call.phase {
        Phase::Approved { .. } => Some(Outcome::Approved),
        Phase::Rejected { .. } => Some(Outcome::Rejected),
        Phase::Answered { .. } => Some(Outcome::Answered),
        Phase::Expired => Some(Outcome::Expired),
        Phase::Cancelled => Some(Outcome::Cancelled),
        Phase::Refused(_)
        | Phase::Cleared { .. }
        | Phase::Held
        | Phase::Started
        | Phase::Succeeded { .. }
        | Phase::Failed { .. }
        | Phase::InDoubt { .. }
        | Phase::Unresolved { .. } => None,
    }
}
