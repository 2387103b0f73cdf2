//! A second reader of the journal, which does not trust the host: it follows every event again, and judges each step by
//! the rules of this file.

use std::collections::{BTreeMap, BTreeSet};

use holdshort_gate::{
    Call, CallNumber, CallState, Decision, Demand, Digest, Event, Phase, RecordedChoice, RefusalReason, Requirement,
    Resolution, ReviewerName, Reviewers, Run, RunId, Time,
};
use holdshort_journal::{JournalEntry, Position};

pub type Place = (RunId, CallNumber);

/// Everything that the journal says.
#[derive(Default)]
pub struct Book {
    pub position: u64,
    at: Time0,
    pub runs: BTreeMap<RunId, Run>,
    seqs: BTreeMap<RunId, u64>,
    pub calls: BTreeMap<Place, Call>,
    /// How many calls were ever opened, counted one by one.
    pub proposed: u64,
    /// The actions that agents proposed, by their digests.
    pub actions: BTreeSet<Digest>,
    /// Each clearance that was ever current, with the digest of its action.
    pub clearances: BTreeMap<Digest, Digest>,
    /// Each attempt, with the clearance and the digest of the action that it was started for.
    pub started: BTreeMap<(RunId, CallNumber, u32), (Digest, Digest)>,
    pub decisions: Vec<(Place, Decision)>,
    pub resolutions: Vec<(Place, u32, ReviewerName, Resolution)>,
    pub sent_again: BTreeMap<Place, u32>,
    /// Effects with the resolution send-again that have not been started since.
    to_send_again: BTreeSet<Place>,
    /// Calls that a person resolved. The person may be mistaken.
    pub settled_by_person: BTreeSet<Place>,
    pub cancelled: BTreeSet<RunId>,
}

/// A time whose default is zero.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
struct Time0(Time);

impl Default for Time0 {
    fn default() -> Self {
        Self(Time(0))
    }
}

impl Book {
    /// How many calls are in each phase.
    pub fn phases(&self) -> BTreeMap<CallState, u64> {
        let mut phases = BTreeMap::new();
        for call in self.calls.values() {
            *phases.entry(call.phase.state()).or_default() += 1;
        }
        phases
    }

    pub fn in_state(&self, state: CallState) -> Vec<Place> {
        self.calls.iter().filter(|(_, call)| call.phase.state() == state).map(|(place, _)| place.clone()).collect()
    }

    pub fn open_runs(&self) -> Vec<RunId> {
        self.runs.iter().filter(|(_, run)| !run.phase.is_over()).map(|(id, _)| id.clone()).collect()
    }

    /// Follows one event. An error says which rule the event breaks.
    pub fn follow(&mut self, entry: &JournalEntry) -> Result<(), String> {
        let JournalEntry { position: Position(position), run: id, recorded } = entry;
        let (event, at) = (&recorded.event, recorded.at);
        if *position != self.position + 1 || Time0(at) < self.at {
            return Err(format!("event {position} at {at:?} follows {} at {:?}", self.position, self.at.0));
        }
        (self.position, self.at) = (*position, Time0(at));
        let seq = self.seqs.entry(id.clone()).or_default();
        *seq += 1;
        if recorded.seq != *seq {
            return Err(format!("event {} where {seq} should be", recorded.seq));
        }
        if let Some(run) = Run::open(event, at) {
            return match self.runs.insert(id.clone(), run) {
                None => Ok(()),
                Some(_) => Err("a run begins twice".into()),
            };
        }
        let Some(run) = self.runs.get(id).cloned() else { return Err("a run that was never created".into()) };
        let call = self.follow_call(id, &run, event, at)?;
        let run = self.runs.get_mut(id).unwrap();
        run.apply(event, call.as_ref()).map_err(|error| error.to_string())?;
        if let Event::RunCancelled { .. } = event {
            self.cancelled.insert(id.clone());
        }
        match event {
            Event::RunDiverged { .. } => Err(format!("a run has diverged: {event:?}")),
            Event::RunTrapped { .. } => Err(format!("a run has trapped: {event:?}")),
            _ => Ok(()),
        }
    }

    /// Follows the event's call, and returns the call after the event.
    fn follow_call(&mut self, id: &RunId, run: &Run, event: &Event, at: Time) -> Result<Option<Call>, String> {
        let Some(number) = event.call() else { return Ok(None) };
        if let Event::RoutineReturned { .. } = event {
            return Ok(None);
        }
        let place = (id.clone(), number);
        if let Some(call) = Call::open(event, at) {
            self.proposed += 1;
            self.actions.insert(call.action().digest());
            self.is_current(&call);
            if self.calls.insert(place, call.clone()).is_some() {
                return Err(format!("call {number} is proposed twice"));
            }
            return Ok(Some(call));
        }
        let before = self.calls.get(&place).ok_or("a call that was never proposed")?.clone();
        self.judge(&place, run, &before, event, at)?;
        let call = self.calls.get_mut(&place).unwrap();
        call.apply(event, at).map_err(|error| error.to_string())?;
        let call = call.clone();
        self.is_current(&call);
        let approved = matches!(call.phase, Phase::Approved { .. });
        if approved && !call.clearance.is_some_and(|clearance| self.is_cleared(&place, run, &call, clearance)) {
            return Err(format!("approved by too few: {event:?} at {at:?} made {call:?}"));
        }
        Ok(Some(call))
    }

    fn is_current(&mut self, call: &Call) {
        if let Some(clearance) = call.clearance {
            self.clearances.entry(clearance).or_insert_with(|| call.action().digest());
        }
    }

    /// Whether this event may happen to the call in its present state.
    fn judge(&mut self, place: &Place, run: &Run, call: &Call, event: &Event, at: Time) -> Result<(), String> {
        let wrong = |why: &str| Err(format!("{why}: {event:?} at {at:?} after {:?} of run {run:?}", call));
        match event {
            Event::DecisionMade { decision, .. } => {
                self.decisions.push((place.clone(), decision.clone()));
                let edited = call.edited_by.as_ref();
                let who = &decision.reviewer;
                let Some(requirement) = call.requirement() else { return wrong("a decision on what was refused") };
                if call.phase != Phase::Held || call.clearance != Some(decision.clearance) {
                    return wrong("a decision on something else");
                }
                if requirement.expires_at.is_some_and(|expires| at >= expires) {
                    return wrong("a decision that is too late");
                }
                if !requirement.stages.iter().flatten().any(|demand| named(&demand.reviewers, who.as_str())) {
                    return wrong("a decision by somebody else");
                }
                let barred = requirement.four_eyes && (*who == run.started_by || edited == Some(who));
                if decision.verdict == RecordedChoice::Approve && barred {
                    return wrong("an approval against four-eyes");
                }
            }
            Event::EffectStarted { attempt, clearance, .. } => {
                if *attempt != call.attempts + 1 || call.clearance != Some(*clearance) {
                    return wrong("a start of something else");
                }
                if !self.is_cleared(place, run, call, *clearance) {
                    return wrong("a start that nobody cleared");
                }
                if call.deadline().is_none_or(|deadline| at > deadline) {
                    return wrong("a start that is too late");
                }
                let certain = call.attempts == 0 || call.postponed.is_some() || call.revision > 1;
                if !certain && !self.to_send_again.contains(place) {
                    return wrong("another attempt, and nobody knows what came of the last");
                }
                let what = (*clearance, call.action().digest());
                self.to_send_again.remove(place);
                if self.started.insert((place.0.clone(), place.1, *attempt), what).is_some() {
                    return wrong("an attempt that was started before");
                }
            }
            Event::EffectResolved { attempt, by, resolution, .. } => {
                self.resolutions.push((place.clone(), *attempt, by.clone(), resolution.clone()));
                if *resolution == Resolution::SendAgain {
                    *self.sent_again.entry(place.clone()).or_default() += 1;
                    self.to_send_again.insert(place.clone());
                } else {
                    self.settled_by_person.insert(place.clone());
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the policy, enough reviewers, or a resolution send-again permits this clearance to start.
    fn is_cleared(&self, place: &Place, run: &Run, call: &Call, clearance: Digest) -> bool {
        let Some(requirement) = call.requirement() else { return false };
        if self.to_send_again.contains(place) {
            return matches!(call.phase, Phase::Approved { .. });
        }
        if matches!(call.phase, Phase::Cleared { .. }) {
            return call.revision == 1;
        }
        let votes: BTreeSet<&str> = self
            .decisions
            .iter()
            .filter(|(of, made)| of == place && made.clearance == clearance && made.verdict == RecordedChoice::Approve)
            .map(|(_, made)| &made.reviewer)
            .filter(|who| !requirement.four_eyes || **who != run.started_by)
            .map(ReviewerName::as_str)
            .collect();
        matches!(call.phase, Phase::Approved { .. }) && enough(requirement, &votes)
    }
}

/// Whether approvals of these reviewers meet a requirement of one stage. The simulation's policy makes no others.
pub fn enough(requirement: &Requirement, votes: &BTreeSet<&str>) -> bool {
    let met = |demand: &Demand| {
        let counts = votes.iter().filter(|who| named(&demand.reviewers, who)).count();
        counts >= demand.quorum as usize
    };
    requirement.stages.len() == 1 && requirement.stages.iter().flatten().all(met)
}

fn named(reviewers: &Reviewers, who: &str) -> bool {
    match reviewers {
        Reviewers::Any => true,
        Reviewers::Named(names) => names.iter().any(|name| name.as_str() == who),
    }
}

/// The first word of what the agent was told about a call.
pub fn word(phase: &Phase) -> &'static str {
    match phase {
        Phase::Succeeded { .. } | Phase::Answered { .. } => "ok",
        Phase::Refused(RefusalReason::Forbidden(_)) => "err Refusal::Forbidden",
        Phase::Refused(RefusalReason::Invalid(_)) => "err Refusal::Invalid",
        Phase::Rejected { .. } => "err Refusal::Rejected",
        Phase::Expired => "err Refusal::Expired",
        Phase::Failed { .. } => "err Refusal::Failed",
        Phase::Unresolved { .. } => "err Refusal::Unresolved",
        Phase::Cancelled
        | Phase::Cleared { .. }
        | Phase::Held
        | Phase::Approved { .. }
        | Phase::Started
        | Phase::InDoubt { .. } => "nothing",
    }
}
