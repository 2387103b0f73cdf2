//! From recorded events to what was put to policy and people, and what became of it; with running totals as the journal counts them.

use std::collections::{BTreeMap, HashMap};

use holdshort_gate::totals::{counters, day, money};
use holdshort_gate::{
    Action, Call, CallNumber, Capability, Consequence, Counted, Counter, EffectClass, Event, Phase, Recorded,
    Requirement, RunId, Scope, Time, Total,
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
    pub(super) const ALL: [(Self, &'static str); 9] = [
        (Self::Cleared, "cleared"),
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

/// Something that was put to policy, as it was then.
pub(super) struct Asked {
    pub(super) key: Key,
    pub(super) revision: u32,
    pub(super) agent: String,
    pub(super) started_by: String,
    pub(super) action: Action,
    pub(super) facts: Value,
    pub(super) consequence: Consequence,
    /// Nothing, if it was refused.
    pub(super) class: Option<EffectClass>,
    pub(super) summary: String,
    pub(super) totals: Vec<Counted>,
    pub(super) now: Time,
    /// Who had to decide, if it was held.
    pub(super) requirement: Option<Requirement>,
    /// What became of it, if nobody was asked.
    pub(super) at_once: Option<Outcome>,
}

/// What matters of an event.
pub(super) enum Step {
    /// Something was put to policy.
    Asked(Box<Asked>),
    /// Somebody decided on it.
    Decided { key: Key, reviewer: String, at: Time },
    /// It is decided.
    Ended { key: Key, outcome: Outcome, by: Vec<String>, said: Option<String>, at: Time },
}

impl Step {
    /// What is to be judged, if this is.
    pub(super) fn asked(&self, since: Time, types: &Types) -> Option<&Asked> {
        match self {
            Self::Asked(asked) if asked.now >= since && types.contains_key(asked.action.capability()) => Some(asked),
            Self::Asked(_) | Self::Decided { .. } | Self::Ended { .. } => None,
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
    runs: HashMap<RunId, Run>,
    open: HashMap<Key, Open>,
    totals: HashMap<Scope, BTreeMap<Capability, Total>>,
    today: u32,
    /// Calls that were refused before policy was asked.
    pub(super) without_policy: u64,
}

impl Steps {
    pub(super) fn new(uses_totals: bool) -> Self {
        let (runs, open) = (HashMap::new(), HashMap::new());
        Self { uses_totals, runs, open, totals: HashMap::new(), today: 0, without_policy: 0 }
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
                (Some(_), Some(by)) => steps.push(Step::Asked(Box::new(Asked {
                    totals: self.totals_of(&run, &by.agent, &action, at),
                    agent: by.agent.clone(),
                    started_by: by.started_by.clone(),
                    key: (run, call),
                    revision: 1,
                    action: *action,
                    facts: Value::Null,
                    consequence: Consequence::default(),
                    class: None,
                    summary: String::new(),
                    now: at,
                    requirement: None,
                    at_once: Some(Outcome::Refused),
                }))),
                _ => self.without_policy += 1,
            },
            Event::CallCleared { .. } | Event::CallHeld { .. } => {
                let (Some(by), Some(call)) = (self.runs.get(&run), Call::open(&event, at)) else { return };
                let open = Open { agent: by.agent.clone(), started_by: by.started_by.clone(), call };
                let key = (run, open.call.number);
                steps.extend(self.asked(&key, &open, at));
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
        // A journal that was damaged is for its host to say.
        if open.call.apply(event, at).is_err() {
            return;
        }
        if let Event::DecisionMade { decision, .. } = event {
            steps.push(Step::Decided { key: key.clone(), reviewer: decision.reviewer.clone(), at });
        }
        let revised = matches!(event, Event::CallRevised { .. } | Event::CallReheld { .. });
        if held && let Some(outcome) = outcome(event, &open.call) {
            let people = if outcome == Outcome::Rejected { &open.call.rejections } else { &open.call.votes };
            let by = people.iter().map(|vote| vote.reviewer.clone()).collect();
            let said = open.call.decisions.last().and_then(|last| last.decision.message.clone());
            steps.push(Step::Ended { key: key.clone(), outcome, by, said, at });
        }
        self.recount(&key, before, Some(&open));
        if revised {
            steps.extend(self.asked(&key, &open, at));
        }
        if open.call.answer().is_none() {
            self.open.insert(key, open);
        }
    }

    /// A revision as policy would be asked about it at this moment.
    fn asked(&self, key: &Key, Open { call, agent, started_by }: &Open, at: Time) -> Option<Step> {
        let proposal = call.proposal()?;
        let held = call.phase == Phase::Held;
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
            now: at,
            requirement: held.then(|| proposal.requirement.clone()),
            at_once: (!held).then_some(Outcome::Cleared),
        })))
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
        for (counts, change) in [(before, Total::without as fn(&Total, &_) -> Total), (after, Total::with)] {
            let Some(Counts { counters, money, at }) = counts else { continue };
            for Counter { scope, capability } in counters {
                let total = self.totals.entry(scope).or_default().entry(capability).or_default();
                *total = change(total, &money);
            }
            self.forget(day(at));
        }
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
