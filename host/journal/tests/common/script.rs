//! Histories of journals: steps as data, drawn from a seed or written by hand, and everything that a journal shows
//! after the steps.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use holdshort_gate::command::{
    AttemptOutcome, CancelRun, Choice, Delay, EndRun, Expire, Finish, FireTimer, FirstVerdict, Propose, Resolve,
    Revision, Revoke, RunEnd, SetTimer,
};
use holdshort_gate::totals::day;
use holdshort_gate::{
    Action, Call, CallId, CallNumber, CallState, Command, Consequence, Counter, Digest, Event, Grant, GrantRecord,
    Phase, Proposal, RecordedChoice, RecordedTotal, RefusalReason, Resolution, ReviewerName, Reviewers, Run, RunId,
    RunPhase, RunState, Scope, Time, Total,
};
use holdshort_journal::{
    CallFilter, CallOrder, CallRow, Deadline, DecisionFilter, DecisionKind, DecisionRow, Fence, GrantFilter, GrantRow,
    Journal, JournalEntry, LogLine, Position, Rank, RunFilter, RunRow, SubmitError,
};
use serde_json::json;

use super::{
    START, World, action, after, all_calls, all_runs, create, decision, happened, hold, paying, proposal, question,
    requiring, routine,
};

/// One request to a journal.
#[derive(Clone, Debug)]
pub enum Step {
    Create,
    Routine(CallNumber),
    Clear(CallNumber),
    /// Policy clears a payment on the basis of these totals, which may have changed since they were read.
    ClearBy {
        call: CallNumber,
        totals: Vec<RecordedTotal>,
    },
    /// The grant of another call clears this call. `used` is the total that the grant had cleared when the total was
    /// read.
    ClearByGrant {
        call: CallNumber,
        grant: CallId,
        used: Total,
    },
    Hold {
        call: CallNumber,
        quorum: u32,
        expires_at: Option<Time>,
    },
    Ask(CallNumber),
    Refuse(CallNumber),
    Approve {
        call: CallNumber,
        reviewer: &'static str,
        clearance: Digest,
    },
    /// Alice approves the call and makes a grant.
    Grant {
        call: CallNumber,
        clearance: Digest,
    },
    Revoke(CallNumber),
    Reject {
        call: CallNumber,
        clearance: Digest,
    },
    Respond {
        call: CallNumber,
        clearance: Digest,
    },
    Edit {
        call: CallNumber,
        clearance: Digest,
    },
    Expire(CallNumber),
    Start(CallNumber),
    Happened {
        call: CallNumber,
        attempt: u32,
    },
    DidNotHappen {
        call: CallNumber,
        attempt: u32,
    },
    PutOff {
        call: CallNumber,
        attempt: u32,
    },
    Unknown {
        call: CallNumber,
        attempt: u32,
    },
    LookedUp {
        call: CallNumber,
        attempt: u32,
        found: &'static str,
    },
    FactsChanged {
        call: CallNumber,
        attempt: u32,
        pays: bool,
    },
    Resolve {
        call: CallNumber,
        attempt: u32,
        resolution: Resolution,
    },
    SetTimer {
        timer: u32,
        until: Time,
    },
    FireTimer(u32),
    Delay(u32),
    Finish(bool),
    Trap,
    Diverge,
    Cancel,
    Log(u64),
    Blob(u64),
}

/// The outcome of a step, in words that do not depend on the journal's secret.
pub type Answer = Pin<Box<dyn Future<Output = String>>>;

/// Submits a step to the journal; the answer may be awaited later.
pub fn take(journal: &Journal, run: &RunId, step: &Step) -> Answer {
    let finish = |call, attempt, outcome| said(journal, run, Some(call), Finish { attempt, outcome, evidence: None });
    let end = |end| said(journal, run, None, EndRun(end));
    match step.clone() {
        Step::Create => said(journal, run, None, create("what it was asked")),
        Step::Routine(call) => said(journal, run, None, routine(call, "answer")),
        Step::Clear(call) => {
            said(journal, run, None, Propose { call, proposed: FirstVerdict::Clear(Box::new(proposal("cleared"))) })
        }
        Step::ClearBy { call, totals } => {
            let mut paying = paying(100 + u64::from(call));
            paying.policy.totals = totals;
            said(journal, run, None, Propose { call, proposed: FirstVerdict::Clear(Box::new(paying)) })
        }
        Step::ClearByGrant { call, grant, used } => {
            let mut granted = proposal("granted");
            granted.requirement.grantors = Reviewers::Any;
            let counter = Counter::of_grant(&grant, granted.action.capability());
            granted.policy.totals = vec![RecordedTotal { counter, total: used }];
            granted.policy.grant = Some(grant);
            said(journal, run, None, Propose { call, proposed: FirstVerdict::Clear(Box::new(granted)) })
        }
        Step::Hold { call, quorum, expires_at } => {
            said(journal, run, None, hold(call, varied(call, quorum, expires_at)))
        }
        Step::Ask(call) => said(journal, run, None, hold(call, question("which?"))),
        Step::Refuse(call) => {
            let why = RefusalReason::Forbidden("never".into());
            said(
                journal,
                run,
                None,
                Propose { call, proposed: FirstVerdict::Refuse(Box::new(action("no")), why, None) },
            )
        }
        Step::Approve { call, reviewer, clearance } => {
            said(journal, run, Some(call), decision(reviewer, clearance, Choice::Approve))
        }
        Step::Grant { call, clearance } => {
            said(journal, run, Some(call), decision("alice", clearance, Choice::Grant(Box::new(granting(call)))))
        }
        Step::Revoke(call) => said(journal, run, Some(call), Revoke { by: "bob".into() }),
        Step::Reject { call, clearance } => said(journal, run, Some(call), decision("bob", clearance, Choice::Reject)),
        Step::Respond { call, clearance } => {
            said(journal, run, Some(call), decision("bob", clearance, Choice::Respond(json!("this one"))))
        }
        Step::Edit { call, clearance } => {
            let revision = Box::new(Revision { proposal: proposal("edited") });
            said(journal, run, Some(call), decision("carol", clearance, Choice::Edit(revision)))
        }
        Step::Expire(call) => said(journal, run, Some(call), Expire),
        Step::Start(call) => {
            let submitted = journal.submit(run, Some(call), Fence::None, START);
            Box::pin(async move {
                let said = submitted.await.map(|permit| {
                    let place = (permit.run().clone(), permit.call(), permit.attempt());
                    (place, permit.clearance(), permit.action().digest(), permit.perform_by())
                });
                format!("{said:?}")
            })
        }
        Step::Happened { call, attempt } => said(journal, run, Some(call), happened(attempt, json!("done"))),
        Step::DidNotHappen { call, attempt } => finish(call, attempt, AttemptOutcome::DidNotHappen("no".into())),
        Step::PutOff { call, attempt } => finish(call, attempt, AttemptOutcome::Postponed("busy".into(), 1_000)),
        Step::Unknown { call, attempt } => finish(call, attempt, AttemptOutcome::Unknown("no reply".into())),
        Step::LookedUp { call, attempt, found } => {
            let outcome = AttemptOutcome::Unknown("looked".into());
            said(journal, run, Some(call), Finish { attempt, outcome, evidence: Some(found.into()) })
        }
        Step::FactsChanged { call, attempt, pays } => {
            let proposal = Box::new(if pays { paying(7) } else { proposal("with the facts of now") });
            finish(call, attempt, AttemptOutcome::FactsChanged { reason: "it moved".into(), proposal })
        }
        Step::Resolve { call, attempt, resolution } => {
            let resolve = Resolve { attempt, by: "bob".into(), resolution, message: Some("I looked".into()) };
            said(journal, run, Some(call), resolve)
        }
        Step::SetTimer { timer, until } => said(journal, run, None, SetTimer { timer, until }),
        Step::FireTimer(timer) => said(journal, run, None, FireTimer { timer }),
        Step::Delay(tries) => {
            let delay = Delay { reason: format!("try {tries}: no `repository`"), tries, told: tries == 3 };
            said(journal, run, None, delay)
        }
        Step::Finish(well) => end(RunEnd::Finished(if well { Ok("result".into()) } else { Err("could not".into()) })),
        Step::Trap => end(RunEnd::Trapped("out of memory".into())),
        Step::Diverge => {
            let (place, recorded, found) = ("call 1".into(), "a call".into(), "another".into());
            end(RunEnd::Diverged { place, recorded, found })
        }
        Step::Cancel => said(journal, run, None, CancelRun { by: "olga".into(), reason: Some("enough".into()) }),
        Step::Log(at) => {
            journal.log(run, LogLine { at: Time(at), level: "info".into(), message: format!("line {at}") });
            Box::pin(std::future::ready(String::new()))
        }
        Step::Blob(size) => {
            let (journal, bytes) = (journal.clone(), vec![7; usize::try_from(size).unwrap()]);
            Box::pin(async move { format!("{:?}", journal.put_blob(bytes).await) })
        }
    }
}

/// The proposals of a history. They differ in everything that lists can distinguish.
pub fn varied(call: CallNumber, quorum: u32, expires_at: Option<Time>) -> Proposal {
    let mut proposal = requiring(quorum, expires_at);
    proposal.consequence =
        [None, Some(Consequence::Low), Some(Consequence::Medium), Some(Consequence::High)][call as usize % 4];
    proposal.requirement.grantors = Reviewers::Any;
    proposal.requirement.four_eyes = call.is_multiple_of(3);
    if call.is_multiple_of(2) {
        proposal.requirement.stages[0][0].reviewers =
            Reviewers::Named(["alice", "bob", "olga"].map(ReviewerName::from).to_vec());
    }
    proposal
}

/// The grant that is made with a call.
fn granting(call: CallNumber) -> Grant {
    let action = proposal("").action;
    Grant {
        agent: "agent".into(),
        component: action.component(),
        capability: action.capability().clone(),
        like: BTreeMap::new(),
        calls: 2,
        sums: BTreeMap::new(),
        until: Time(super::EPOCH + 60_000 + u64::from(call) * 5_000),
    }
}

fn said<C: Command>(journal: &Journal, run: &RunId, call: Option<CallNumber>, command: C) -> Answer
where
    C::Output: std::fmt::Debug,
{
    let submitted = journal.submit(run, call, Fence::None, command);
    Box::pin(async move { format!("{:?}", submitted.await) })
}

/// Plays a hand-written history: steps with the run's name, and pauses in between.
pub async fn play(world: &World, steps: &[(&str, Step)]) {
    for (run, step) in steps {
        world.clock.pass_ms(1);
        let answer = take(world, &RunId((*run).into()), step).await;
        assert!(answer.is_empty() || answer.starts_with("Ok"), "{run} {step:?}: {answer}");
    }
}

/// Random numbers that are the same everywhere (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    pub fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()].clone()
    }

    /// A step that usually fits the state of the run.
    pub fn step(&mut self, run: Option<&Run>, call: Option<&Call>, now: Time) -> Step {
        let Some(run) = run else { return Step::Create };
        match self.below(60) {
            0 => return Step::Cancel,
            1..4 => return Step::Log(self.below(1_000)),
            4..7 => return Step::Blob(self.below(100)),
            7..12 => return self.any(run, call, now),
            _ => {}
        }
        let next = run.calls + 1;
        match &run.phase {
            RunPhase::Ready | RunPhase::Delayed(_) => match self.below(27) {
                0..6 => Step::Routine(next),
                6..9 => Step::Clear(next),
                9..17 => self.hold(next, now),
                17..20 => Step::Ask(next),
                20..22 => Step::Refuse(next),
                22..24 => Step::SetTimer { timer: run.timers + 1, until: Time(now.0 + self.below(5_000)) },
                24..26 => Step::Delay(u32::try_from(self.below(3)).unwrap() + 1),
                _ => self.one_of(&[Step::Finish(true), Step::Finish(false), Step::Trap, Step::Diverge]),
            },
            RunPhase::Sleeping { timer, .. } => Step::FireTimer(*timer),
            RunPhase::Waiting(_)
            | RunPhase::Finished(_)
            | RunPhase::Trapped(_)
            | RunPhase::Cancelled
            | RunPhase::Diverged(_) => match call {
                Some(call) => self.about(call),
                None => self.any(run, call, now),
            },
        }
    }

    fn hold(&mut self, call: CallNumber, now: Time) -> Step {
        let expires_at = (self.below(2) == 0).then(|| Time(now.0 + self.below(20_000)));
        Step::Hold { call, quorum: 1 + u32::try_from(self.below(2)).unwrap(), expires_at }
    }

    fn about(&mut self, call: &Call) -> Step {
        let (number, attempt) = (call.number, call.attempts);
        let clearance = call.clearance.unwrap_or(Digest::of(b"none"));
        match &call.phase {
            Phase::Held if call.is_question() => {
                self.one_of(&[Step::Respond { call: number, clearance }, Step::Reject { call: number, clearance }])
            }
            Phase::Held => match self.below(11) {
                8.. => Step::Grant { call: number, clearance },
                0 => Step::Reject { call: number, clearance },
                1 => Step::Edit { call: number, clearance },
                2 => Step::Expire(number),
                _ => Step::Approve { call: number, reviewer: self.one_of(&["alice", "bob", "olga"]), clearance },
            },
            Phase::Cleared { .. } | Phase::Approved { .. } => Step::Start(number),
            Phase::Started => self.one_of(&[
                Step::Happened { call: number, attempt },
                Step::DidNotHappen { call: number, attempt },
                Step::PutOff { call: number, attempt },
                Step::Unknown { call: number, attempt },
                Step::FactsChanged {
                    call: number,
                    attempt,
                    pays: call.action().capability().to_string().contains("pay"),
                },
            ]),
            Phase::InDoubt { .. } => {
                let way = [
                    Resolution::Done(json!("it was")),
                    Resolution::NotDone,
                    Resolution::Abandon,
                    Resolution::SendAgain,
                ];
                let resolution = self.one_of(&way);
                let found = self.one_of(&["nothing there", "half of it is there"]);
                self.one_of(&[
                    Step::LookedUp { call: number, attempt, found },
                    Step::Resolve { call: number, attempt, resolution },
                    Step::Happened { call: number, attempt },
                ])
            }
            Phase::Refused(_)
            | Phase::Succeeded { .. }
            | Phase::Failed { .. }
            | Phase::Unresolved { .. }
            | Phase::Rejected { .. }
            | Phase::Answered { .. }
            | Phase::Expired
            | Phase::Cancelled => self.one_of(&[Step::Start(number), Step::Revoke(number)]),
        }
    }

    /// Any step, in most cases an illegal one.
    fn any(&mut self, run: &Run, call: Option<&Call>, now: Time) -> Step {
        let number = call.map_or(1, |call| call.number);
        let clearance = call.and_then(|call| call.clearance).unwrap_or(Digest::of(b"none"));
        let held = self.hold(run.calls + 1, now);
        self.one_of(&[
            Step::Create,
            Step::Routine(run.calls + 2),
            held,
            Step::Approve { call: number, reviewer: "alice", clearance },
            Step::Approve { call: number + 1, reviewer: "alice", clearance },
            Step::Approve { call: number, reviewer: "bob", clearance: Digest::of(b"stale") },
            Step::Respond { call: number, clearance },
            Step::Expire(number),
            Step::Revoke(number),
            // In most histories call 1 is over by now. Its grant, if it has one, can still be revoked.
            Step::Revoke(1),
            Step::Start(number),
            Step::Happened { call: number, attempt: 7 },
            Step::FireTimer(run.timers),
        ])
    }
}

/// Everything that a journal shows.
#[derive(Debug, PartialEq)]
pub struct Shown {
    pub feed: Vec<JournalEntry>,
    pub events: Vec<Vec<holdshort_gate::RecordedEvent>>,
    pub runs: Vec<Vec<RunRow>>,
    pub calls: Vec<Vec<CallRow>>,
    pub counts: Vec<usize>,
    pub decisions: Vec<Vec<DecisionRow>>,
    pub subjects: Vec<(RunId, CallNumber, Option<Run>, Option<Call>)>,
    pub due: Vec<Vec<String>>,
    pub next_deadline: Option<Time>,
    pub logs: Vec<Vec<(u64, LogLine)>>,
    pub totals: Vec<RecordedTotal>,
    pub grants: Vec<Vec<GrantRow>>,
    pub same: Vec<(CallId, Vec<CallId>)>,
}

/// Every total that a history of these runs could have, for all days on which the history could be written.
pub fn counters_of(runs: &[RunId]) -> Vec<Counter> {
    let day = u32::try_from(super::EPOCH / 86_400_000_000).unwrap();
    let mut scopes: Vec<Scope> = runs.iter().cloned().map(Scope::Run).collect();
    scopes.extend([Scope::Agent("agent".into()), Scope::Agent("nobody".into())]);
    for day in [day - 1, day, day + 1] {
        scopes.extend([Scope::AgentDay(("agent".into(), day)), Scope::Day(day)]);
    }
    let capabilities = [super::paying(1), proposal("")].map(|proposal| proposal.action.capability().clone());
    let of = |scope: Scope| capabilities.clone().map(|capability| Counter { scope: scope.clone(), capability });
    scopes.into_iter().flat_map(of).collect()
}

/// The filters with which every list is read.
fn run_filters(runs: &[RunId]) -> Vec<RunFilter> {
    let mut filters = vec![all_runs(), RunFilter { limit: 2, ..all_runs() }];
    filters.extend(RunState::ALL.map(|phase| RunFilter { states: vec![phase], ..all_runs() }));
    filters.push(RunFilter {
        states: vec![RunState::Waiting, RunState::Cancelled, RunState::Failed],
        limit: 2,
        ..all_runs()
    });
    filters.extend(runs.iter().map(|run| RunFilter { before: Some(run.clone()), limit: 2, ..all_runs() }));
    filters
}

fn call_filters(runs: &[RunId], last: Position) -> Vec<CallFilter> {
    let mut filters = vec![all_calls(), CallFilter { limit: 3, ..all_calls() }];
    filters.extend(CallState::ALL.map(|phase| CallFilter { states: vec![phase], ..all_calls() }));
    filters.push(CallFilter {
        states: vec![CallState::Succeeded, CallState::Held, CallState::Rejected],
        limit: 3,
        ..all_calls()
    });
    filters.extend(runs.iter().map(|run| CallFilter { run: Some(run.clone()), limit: 2, ..all_calls() }));
    filters.extend((0..=last.0).step_by(9).map(|at| after(Position(at), 2)));
    let ranked = || CallFilter { order: CallOrder::Ranked(None), ..all_calls() };
    filters.extend([ranked(), CallFilter { states: vec![CallState::Held, CallState::InDoubt], limit: 3, ..ranked() }]);
    for reviewer in ["alice", "bob", "carol", "olga"] {
        filters.push(CallFilter { waiting_for: vec![reviewer.into()], ..ranked() });
        filters.push(CallFilter {
            waiting_for: vec![reviewer.into()],
            states: vec![CallState::Held],
            limit: 2,
            ..all_calls()
        });
    }
    filters.push(CallFilter { waiting_for: vec!["carol".into(), "bob".into()], ..ranked() });
    for (agent, capability) in [("agent", "acme:mail/send@1.0.0#send"), ("agent", "acme:mail/send"), ("nobody", "")] {
        filters.push(CallFilter { agent: Some(agent.into()), limit: 3, ..ranked() });
        filters.push(CallFilter { capability: Some(capability.into()), run: runs.first().cloned(), ..all_calls() });
    }
    for class in 0..4 {
        let at = Rank((class << 61) + super::EPOCH + 20_000);
        filters.push(CallFilter { order: CallOrder::Ranked(Some((at, Position(last.0 / 2)))), limit: 3, ..ranked() });
        let none = Rank((class << 61) + NO_DEADLINE);
        filters.push(CallFilter { order: CallOrder::Ranked(Some((none, Position(last.0 / 2)))), limit: 3, ..ranked() });
    }
    filters
}

fn decision_filters(runs: &[RunId], last: Position) -> Vec<DecisionFilter> {
    let all = || DecisionFilter::all(usize::MAX);
    let mut filters = vec![all(), DecisionFilter { limit: 3, ..all() }];
    filters.extend(DecisionKind::ALL.map(|kind| DecisionFilter { kinds: vec![kind], ..all() }));
    filters.extend(CallState::ALL.map(|phase| DecisionFilter {
        states: vec![phase, CallState::Held],
        limit: 5,
        ..all()
    }));
    for by in ["alice", "bob", "carol", "olga", "nobody"] {
        filters.push(DecisionFilter { by: Some(by.into()), ..all() });
        filters.push(DecisionFilter {
            by: Some(by.into()),
            kinds: vec![DecisionKind::Approve, DecisionKind::Cancel],
            limit: 2,
            ..all()
        });
        filters.push(DecisionFilter { search: Some(by.into()), ..all() });
    }
    filters.extend(runs.iter().map(|run| DecisionFilter { run: Some(run.clone()), limit: 4, ..all() }));
    filters.extend((0..=last.0).step_by(9).map(|at| DecisionFilter { before: Some(Position(at)), limit: 2, ..all() }));
    for from in (0..60_000).step_by(10_000).map(|at| super::EPOCH + at) {
        let (from, until) = (Some(Time(from)), Some(Time(from + 15_000)));
        filters.extend([DecisionFilter { from, ..all() }, DecisionFilter { until, limit: 3, ..all() }]);
        filters.push(DecisionFilter { from, until, ..all() });
    }
    for search in
        ["send HEL", "what it was asked", "edi agent", "cleared olg", "mail-send.1", "ello", "", "…", "\"x", "a*"]
    {
        filters.push(DecisionFilter { search: Some(search.into()), ..all() });
    }
    filters.push(DecisionFilter { agent: Some("agent".into()), capability: Some(String::new()), ..all() });
    filters
}

/// Filters for all grants; for grants valid early, late or never; for other agents and capabilities; and by pages.
pub fn grant_filters(last: Position) -> Vec<GrantFilter> {
    let all = || GrantFilter { standing_at: None, agent: None, capability: None, before: None, limit: usize::MAX };
    let mut filters = vec![all(), GrantFilter { limit: 2, ..all() }];
    let times = [0, 75_000, 100_000].map(|after| Some(Time(super::EPOCH + after)));
    filters.extend(times.map(|standing_at| GrantFilter { standing_at, ..all() }));
    filters.extend(["agent", "nobody"].map(|agent| GrantFilter { agent: Some(agent.into()), ..all() }));
    let capabilities = ["acme:mail/send@1.0.0#send", "acme:bank/pay@1.0.0#pay"];
    filters.extend(capabilities.map(|of| GrantFilter { capability: Some(of.into()), ..all() }));
    filters.push(GrantFilter { before: Some(Position(last.0 / 2)), limit: 2, ..all() });
    filters
}

/// The part of a rank that stands for "no deadline".
const NO_DEADLINE: u64 = (1 << 61) - 1;

/// The rank of a call, computed from the documentation of the order.
fn model_rank(call: &Call) -> Rank {
    let consequence = call.proposal().map_or(Some(Consequence::High), |proposal| proposal.consequence);
    let class = match (&call.phase, consequence) {
        (Phase::InDoubt { .. }, _) => 0,
        (_, Some(Consequence::High) | None) => 1,
        (_, Some(Consequence::Medium)) => 2,
        (_, Some(Consequence::Low)) => 3,
    };
    Rank((class << 61) + call.deadline().map_or(NO_DEADLINE, |at| at.0.min(NO_DEADLINE)))
}

/// Reads everything through the public interface of the journal.
pub async fn shown(journal: &Journal, runs: &[RunId]) -> Shown {
    let last = journal.last_position().await.unwrap();
    let mut shown = Shown {
        feed: paged_feed(journal).await,
        events: Vec::new(),
        runs: Vec::new(),
        calls: Vec::new(),
        counts: Vec::new(),
        decisions: Vec::new(),
        subjects: Vec::new(),
        due: Vec::new(),
        next_deadline: journal.next_deadline().await.unwrap(),
        logs: Vec::new(),
        totals: journal.totals(counters_of(runs)).await.unwrap(),
        grants: Vec::new(),
        same: Vec::new(),
    };
    for filter in grant_filters(last) {
        shown.grants.push(journal.grants(filter).await.unwrap());
    }
    for filter in run_filters(runs) {
        shown.runs.push(journal.runs(filter).await.unwrap());
    }
    for filter in call_filters(runs, last) {
        shown.counts.push(journal.count_calls(filter.clone()).await.unwrap());
        shown.calls.push(journal.calls(filter).await.unwrap());
    }
    for filter in decision_filters(runs, last) {
        shown.decisions.push(journal.decisions(filter).await.unwrap());
    }
    for run in runs {
        shown.events.push(journal.events(run, 0, usize::MAX).await.unwrap().events);
        shown.logs.push(journal.log_lines(run, 0, usize::MAX).await.unwrap());
        for call in 0..12 {
            if let Some(subject) = journal.subject(run, (call > 0).then_some(call)).await.unwrap() {
                shown.subjects.push((run.clone(), call, subject.run, subject.call));
                let id = CallId { run: run.clone(), call };
                shown.same.push((id.clone(), journal.same_waiting(&id).await.unwrap()));
            }
        }
    }
    for now in [0, super::EPOCH, super::EPOCH + 100_000, u64::MAX >> 1] {
        let due = journal.due(Time(now), usize::MAX).await.unwrap();
        // The order of two entries that are due at the same time is not specified.
        let mut due: Vec<String> = due.iter().map(|due| format!("{due:?}")).collect();
        due.sort();
        shown.due.push(due);
    }
    shown
}

/// Fails at the first line in which two results differ; a whole result has thousands of lines.
pub fn same(found: &Shown, expected: &Shown, what: &str) {
    if found != expected {
        let (found, expected) = (format!("{found:#?}"), format!("{expected:#?}"));
        let place = found.lines().zip(expected.lines()).position(|(found, expected)| found != expected).unwrap_or(0);
        let around = |text: &str| text.lines().skip(place.saturating_sub(12)).take(20).collect::<Vec<_>>().join("\n");
        panic!("{what}, line {place}:\n{}\n--- expected:\n{}", around(&found), around(&expected));
    }
}

async fn paged_feed(journal: &Journal) -> Vec<JournalEntry> {
    let mut feed: Vec<JournalEntry> = Vec::new();
    loop {
        let after = feed.last().map_or(Position(0), |entry| entry.position);
        let page = journal.feed(after, 7).await.unwrap();
        if page.is_empty() {
            return feed;
        }
        assert!(page[0].position > after, "a page brings what was on the one before");
        feed.extend(page);
    }
}

/// A model of the lists: the rows that they must show, made only from the events.
#[derive(Default)]
pub struct Model(BTreeMap<RunId, ModelRun>, Recount);

/// For each call that totals count: since when they have counted the call, without an interruption.
type Recount = BTreeMap<(RunId, CallNumber), Time>;

type ModelDecision = (Position, Time, Option<ReviewerName>, DecisionKind, Option<String>, Call);

struct ModelRun {
    run: Run,
    task: String,
    last_seq: u64,
    updated_at: Time,
    calls: BTreeMap<CallNumber, (Position, Call)>,
    /// Each decision, with the call as it was right after the decision.
    decided: Vec<ModelDecision>,
    /// Who cancelled the run, and the reason, if the previous event was the cancellation.
    cancelled: Option<(ReviewerName, Option<String>)>,
}

impl Model {
    pub fn of(feed: &[JournalEntry]) -> Self {
        let mut model = Self::default();
        for entry in feed {
            model.follow(entry);
        }
        model
    }

    /// A total, computed anew from all events: the calls that were cleared or approved and may have happened, with the
    /// money of [`paying`].
    pub fn recount(&self, Counter { scope, capability }: &Counter) -> Total {
        let mut total = Total::default();
        for ((id, number), since) in &self.1 {
            let kept = &self.0[id];
            let (_, call) = &kept.calls[number];
            let today = |day: u32| since.0 / 86_400_000_000 == u64::from(day);
            let meant = match scope {
                Scope::Run(run) => run == id,
                Scope::Agent(agent) => *agent == kept.run.agent,
                Scope::AgentDay((agent, day)) => *agent == kept.run.agent && today(*day),
                Scope::Day(day) => today(*day),
                Scope::Grant(grant) => call.proposal().unwrap().policy.grant.as_ref() == Some(grant),
            };
            if meant && call.action().capability() == capability {
                total.count += 1;
                if let Some(cents) = call.action().arguments()["amount"]["minor-units"].as_str() {
                    *total.sums.entry("EUR".into()).or_default() += cents.parse::<u64>().unwrap();
                }
            }
        }
        total
    }

    /// Checks that the totals that policy used are the totals at the time of writing, so that no two calls were cleared
    /// on the basis of the same total.
    fn check_verdict(&self, event: &Event, at: Time) {
        if let Event::CallCleared { proposal, .. } = event {
            if let Some(CallId { run, call }) = &proposal.policy.grant {
                let (_, of) = &self.0[run].calls[call];
                let granted = of.granted.as_ref().unwrap();
                assert!(granted.revoked.is_none() && granted.grant.until > at, "a grant that is over clears nothing");
                let used = self.recount(&proposal.policy.totals[0].counter).count;
                assert!(used < granted.grant.calls, "a grant clears no more than it says");
            }
            for counted in &proposal.policy.totals {
                let now = self.recount(&counted.counter);
                let of_today = counted.counter.scope.day().is_none_or(|of| of == day(at));
                assert!(of_today, "a verdict counts on the day of its totals: {:?} at {at:?}", counted.counter);
                assert_eq!(counted.total, now, "a verdict counts only while its totals are so: {:?}", counted.counter);
            }
        }
    }

    /// The other waiting calls with the same effect, found by comparing every call with every other. No call here names
    /// a subject.
    fn like(&self, id: &CallId, proposal: &Proposal) -> Vec<CallId> {
        let effect_digest = |action: &Action| {
            let mut arguments = action.arguments().clone();
            arguments.as_object_mut().unwrap().remove("rationale");
            (action.capability().clone(), arguments)
        };
        let ids = self.0.iter().flat_map(|(run, kept)| kept.calls.values().map(move |(_, call)| (run, call)));
        let same =
            ids.filter(|(_, call)| is_open(call) && effect_digest(call.action()) == effect_digest(&proposal.action));
        let ids = same.map(|(run, call)| CallId { run: run.clone(), call: call.number });
        ids.filter(|other| other != id).collect()
    }

    /// Checks that a held call lists exactly the similar calls that wait.
    fn check_beside(&self, run: &RunId, event: &Event) {
        #[allow(clippy::wildcard_enum_match_arm, reason = "the others put nothing to people")]
        let (call, proposal) = match event {
            Event::CallHeld { call, proposal, .. }
            | Event::CallRevised { call, proposal, .. }
            | Event::CallReheld { call, proposal, .. } => (*call, proposal),
            _ => return,
        };
        let listed: Vec<CallId> = proposal.similar_calls.iter().map(|other| other.id.clone()).collect();
        assert_eq!(listed, self.like(&CallId { run: run.clone(), call }, proposal), "beside call {call} of {run}");
    }

    fn follow(&mut self, entry: &JournalEntry) {
        self.check_verdict(&entry.recorded.event, entry.recorded.at);
        self.check_beside(&entry.run, &entry.recorded.event);
        self.project(entry);
        let (Some(number), Some(kept)) = (entry.recorded.event.call(), self.0.get(&entry.run)) else { return };
        let Some((_, call)) = kept.calls.get(&number) else { return };
        let key = (entry.run.clone(), number);
        let may_have_happened = ["cleared", "approved", "started", "succeeded", "in-doubt", "unresolved"];
        if may_have_happened.contains(&call.phase.state().as_str()) && !call.is_question() {
            self.1.entry(key).or_insert(entry.recorded.at);
        } else {
            self.1.remove(&key);
        }
    }

    fn project(&mut self, JournalEntry { position, run, recorded }: &JournalEntry) {
        let (event, at) = (&recorded.event, recorded.at);
        if let Some(opened) = Run::open(event, at) {
            let holdshort_gate::Event::RunCreated { task, .. } = event else { panic!("{event:?} opened a run") };
            let (task, calls) = (task.clone(), BTreeMap::new());
            let kept = ModelRun {
                run: opened,
                task,
                last_seq: 1,
                updated_at: at,
                calls,
                decided: Vec::new(),
                cancelled: None,
            };
            assert!(self.0.insert(run.clone(), kept).is_none(), "{run} was created twice");
            return;
        }
        let kept = self.0.get_mut(run).expect("a run begins with its creation");
        if let Some(call) = Call::open(event, at) {
            kept.calls.insert(call.number, (*position, call));
        } else if let Some((_, call)) = event.call().and_then(|number| kept.calls.get_mut(&number)) {
            call.apply(event, at).unwrap();
        }
        let call = event.call().and_then(|number| kept.calls.get(&number)).map(|(_, call)| call);
        let by_hand = |who: &ReviewerName, kind, words: &Option<String>| Some((Some(who.clone()), kind, words.clone()));
        #[allow(clippy::wildcard_enum_match_arm, reason = "whatever is not named here decides nothing")]
        let decided = match event {
            Event::DecisionMade { decision, .. } => match decision.verdict {
                RecordedChoice::Approve => by_hand(&decision.reviewer, DecisionKind::Approve, &decision.message),
                RecordedChoice::Reject => by_hand(&decision.reviewer, DecisionKind::Reject, &decision.message),
                RecordedChoice::Edit(_) => by_hand(&decision.reviewer, DecisionKind::Edit, &decision.message),
                RecordedChoice::Respond(_) => by_hand(&decision.reviewer, DecisionKind::Respond, &decision.message),
            },
            Event::EffectResolved { by, resolution, message, .. } => match resolution {
                Resolution::Done(_) => by_hand(by, DecisionKind::Done, message),
                Resolution::NotDone => by_hand(by, DecisionKind::NotDone, message),
                Resolution::Abandon => by_hand(by, DecisionKind::Abandon, message),
                Resolution::SendAgain => by_hand(by, DecisionKind::SendAgain, message),
            },
            Event::CallCancelled { .. } => match kept.cancelled.take() {
                Some((by, reason)) => by_hand(&by, DecisionKind::Cancel, &reason),
                None => Some((None, DecisionKind::Cancel, None)),
            },
            Event::CallExpired { .. } => Some((None, DecisionKind::Expire, None)),
            Event::CallCleared { .. } => Some((None, DecisionKind::Clear, None)),
            Event::CallRefused { .. } => Some((None, DecisionKind::Refuse, None)),
            _ => None,
        };
        if let (Some((by, kind, message)), Some(call)) = (decided, call) {
            kept.decided.push((*position, at, by, kind, message, call.clone()));
        }
        kept.cancelled =
            if let Event::RunCancelled { by, reason } = event { Some((by.clone(), reason.clone())) } else { None };
        kept.run.apply(event, call).unwrap();
        assert_eq!(recorded.seq, kept.last_seq + 1, "{run}");
        (kept.last_seq, kept.updated_at) = (recorded.seq, at);
    }

    pub fn runs(&self, filter: &RunFilter) -> Vec<RunRow> {
        let older = self.0.iter().rev().filter(|(id, _)| filter.before.as_ref().is_none_or(|before| *id < before));
        let rows = older.map(|(id, kept)| kept.row(id));
        rows.filter(|row| filter.states.is_empty() || filter.states.contains(&row.state)).take(filter.limit).collect()
    }

    pub fn calls(&self, filter: &CallFilter) -> Vec<CallRow> {
        let all = self.0.iter().flat_map(|(id, kept)| kept.calls.values().map(move |call| (id, kept, call)));
        let mut rows: Vec<CallRow> =
            all.map(|(id, kept, (position, call))| kept.call_row(id, *position, call)).collect();
        rows.retain(|row| filter.run.as_ref().is_none_or(|run| *run == row.run));
        let place = |row: &CallRow| match filter.order {
            CallOrder::Proposed(_) => (None, row.position),
            CallOrder::Ranked(_) => (Some(row.rank), row.position),
        };
        let after = match filter.order {
            CallOrder::Proposed(after) => after.map(|position| (None, position)),
            CallOrder::Ranked(after) => after.map(|(rank, position)| (Some(rank), position)),
        };
        rows.retain(|row| after.is_none_or(|after| place(row) > after));
        rows.retain(|row| filter.agent.as_ref().is_none_or(|agent| *agent == row.agent));
        rows.retain(|row| filter.capability.as_ref().is_none_or(|wanted| *wanted == row.capability.to_string()));
        rows.retain(|row| {
            filter.waiting_for.is_empty() || filter.waiting_for.iter().any(|name| self.waits_for(row, name))
        });
        rows.retain(|row| filter.states.is_empty() || filter.states.contains(&row.state));
        rows.sort_by_key(place);
        rows.truncate(filter.limit);
        rows
    }

    /// Whether a call waits for this reviewer, found by trying what the reviewer can do.
    fn waits_for(&self, row: &CallRow, name: &ReviewerName) -> bool {
        let kept = &self.0[&row.run];
        let (_, call) = &kept.calls[&row.call];
        let Some(requirement) = call.requirement() else { return false };
        let named = |reviewers: &Reviewers| match reviewers {
            Reviewers::Any => true,
            Reviewers::Named(names) => names.contains(name),
        };
        // A reviewer of any stage may resolve an effect in doubt.
        let stages = requirement
            .stages
            .iter()
            .enumerate()
            .filter(|(at, _)| row.state == CallState::InDoubt || *at == call.stage);
        let may = stages.flat_map(|(_, stage)| stage).any(|demand| named(&demand.reviewers))
            || requirement.escalations[..call.level].iter().any(|escalation| named(&escalation.reviewers));
        let barred = requirement.four_eyes && (kept.run.started_by == *name || call.edited_by.as_ref() == Some(name));
        let voted = call.votes.iter().any(|vote| vote.reviewer == *name || vote.stands_for.as_ref() == Some(name));
        may && !barred && (row.state == CallState::InDoubt || (row.state == CallState::Held && !voted))
    }

    pub fn decisions(&self, filter: &DecisionFilter) -> Vec<DecisionRow> {
        let mut rows: Vec<DecisionRow> = self.0.iter().flat_map(|(id, kept)| kept.decisions(id)).collect();
        let some = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        rows.retain(|row| filter.by.is_none() || filter.by == row.by);
        rows.retain(|row| filter.kinds.is_empty() || filter.kinds.contains(&row.kind));
        rows.retain(|row| filter.states.is_empty() || filter.states.contains(&row.call.state));
        rows.retain(|row| some(&filter.run.as_ref().map(|run| run.0.clone()), &row.call.run.0));
        rows.retain(|row| filter.agent.as_ref().is_none_or(|agent| *agent == row.call.agent));
        rows.retain(|row| some(&filter.capability, &row.call.capability.to_string()));
        rows.retain(|row| {
            filter.from.is_none_or(|from| from <= row.at) && filter.until.is_none_or(|until| row.at < until)
        });
        rows.retain(|row| filter.before.is_none_or(|before| row.position < before));
        rows.retain(|row| filter.search.as_ref().is_none_or(|search| self.is_found(row, search)));
        rows.sort_by_key(|row| std::cmp::Reverse(row.position));
        rows.truncate(filter.limit);
        rows
    }

    /// Whether each word of a search begins one of the words of a call that is over.
    fn is_found(&self, row: &DecisionRow, search: &str) -> bool {
        let kept = &self.0[&row.call.run];
        let (_, call) = &kept.calls[&row.call.call];
        let words = |text: &str| -> Vec<String> {
            let text = text.to_lowercase();
            text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        let deciders = call.decisions.iter().map(|made| made.decision.reviewer.clone()).collect::<Vec<_>>().join(" ");
        let row = &row.call;
        let all = words(&format!(
            "{} {} {} {} {deciders} {}",
            row.summary, row.agent, row.capability, row.started_by, kept.task
        ));
        let wanted = words(search);
        let begins = |wanted: &String| all.iter().any(|word| word.starts_with(wanted));
        call.answer().is_some() && !wanted.is_empty() && wanted.iter().all(begins)
    }

    pub fn due(&self) -> Vec<(Time, Deadline)> {
        let mut due = Vec::new();
        for (id, kept) in &self.0 {
            if let RunPhase::Sleeping { timer, until } = kept.run.phase {
                due.push((until, Deadline::Timer { run: id.clone(), timer }));
            }
            let calls = kept.calls.values().filter_map(|(_, call)| Some((call.deadline()?, call.number)));
            due.extend(calls.map(|(at, call)| (at, Deadline::Call(CallId { run: id.clone(), call }))));
        }
        due.sort_by_key(|(at, _)| *at);
        due
    }

    /// The grants that match a filter, found by checking all grants one by one.
    fn grants(&self, filter: &GrantFilter) -> Vec<GrantRow> {
        let mut rows = Vec::new();
        for (id, kept) in &self.0 {
            for (position, call) in kept.calls.values() {
                let (Some(granted), id) = (call.granted.clone(), CallId { run: id.clone(), call: call.number }) else {
                    continue;
                };
                let used = self.recount(&Counter::of_grant(&id, call.action().capability()));
                rows.push(GrantRow { id, position: *position, granted, used });
            }
        }
        rows.retain(|row| {
            let GrantRecord { grant, revoked, .. } = &row.granted;
            filter.standing_at.is_none_or(|at| revoked.is_none() && at < grant.until)
                && filter.agent.as_ref().is_none_or(|agent| *agent == grant.agent)
                && filter.capability.as_ref().is_none_or(|of| *of == grant.capability.to_string())
                && filter.before.is_none_or(|before| row.position < before)
        });
        rows.sort_by_key(|row| std::cmp::Reverse(row.position));
        rows.truncate(filter.limit);
        rows
    }

    /// Fails unless `shown` is the same as the lists that follow from the events.
    pub fn check(&self, shown: &Shown, runs: &[RunId], what: &str) {
        let last = shown.feed.last().map_or(Position(0), |entry| entry.position);
        for (filter, rows) in run_filters(runs).iter().zip(&shown.runs) {
            assert_eq!(*rows, self.runs(filter), "{what}: {filter:?}");
        }
        for (filter, rows) in call_filters(runs, last).iter().zip(&shown.calls) {
            assert_eq!(*rows, self.calls(filter), "{what}: {filter:?}");
        }
        for (filter, count) in call_filters(runs, last).into_iter().zip(&shown.counts) {
            let from_the_first = CallFilter { order: CallOrder::Proposed(None), ..filter };
            assert_eq!(*count, self.calls(&from_the_first).len(), "{what}: {from_the_first:?}");
        }
        for (filter, rows) in decision_filters(runs, last).iter().zip(&shown.decisions) {
            assert_eq!(*rows, self.decisions(filter), "{what}: {filter:?}");
        }
        for (id, number, run, call) in &shown.subjects {
            let kept = &self.0[id];
            let wanted = if *number == 0 { kept.run.last_consequential } else { Some(*number) };
            assert_eq!(run.as_ref(), Some(&kept.run), "{what}: {id}");
            let expected = wanted.and_then(|number| kept.calls.get(&number)).map(|(_, call)| call);
            assert_eq!(call.as_ref(), expected, "{what}: call {number} of {id}");
        }
        for RecordedTotal { counter, total } in &shown.totals {
            assert_eq!(*total, self.recount(counter), "{what}: {counter:?}");
        }
        for (filter, rows) in grant_filters(last).iter().zip(&shown.grants) {
            assert_eq!(*rows, self.grants(filter), "{what}: {filter:?}");
        }
        for (id, same) in &shown.same {
            let call = self.0[&id.run].calls.get(&id.call).map(|(_, call)| call);
            let waits = call.filter(|call| is_open(call));
            let expected = waits.map(|call| self.like(id, call.proposal().unwrap())).unwrap_or_default();
            assert_eq!(*same, expected, "{what}: what is the same as {id}");
        }
        assert_eq!(shown.next_deadline, self.due().first().map(|(at, _)| *at), "{what}");
        let all: Vec<String> = shown.due.last().unwrap().clone();
        let mut due: Vec<String> = self.due().iter().map(|(_, due)| format!("{due:?}")).collect();
        due.sort();
        assert_eq!(all, due, "{what}");
    }
}

/// Whether an effect or an answer of the call may still come.
fn is_open(call: &Call) -> bool {
    ["held", "cleared", "approved", "started", "in-doubt"].contains(&call.phase.state().as_str())
}

impl ModelRun {
    fn row(&self, id: &RunId) -> RunRow {
        let run = self.run.clone();
        let (mut waiting_for, mut result, mut reason, mut delayed) = (None, None, None, None);
        match &run.phase {
            RunPhase::Waiting(call) => waiting_for = Some(*call),
            RunPhase::Finished(returned) => result = Some(returned.clone()),
            RunPhase::Trapped(why) | RunPhase::Diverged(why) => reason = Some(why.clone()),
            RunPhase::Delayed(now) => (delayed, reason) = (Some((now.since, now.tries)), Some(now.reason.clone())),
            RunPhase::Ready | RunPhase::Sleeping { .. } | RunPhase::Cancelled => {}
        }
        RunRow {
            id: id.clone(),
            agent: run.agent,
            task: self.task.clone(),
            started_by: run.started_by,
            component: run.component,
            created_at: run.created_at,
            updated_at: self.updated_at,
            state: run.phase.state(),
            waiting_for,
            calls: run.calls,
            result,
            reason,
            delayed,
            last_seq: self.last_seq,
        }
    }

    fn decisions(&self, id: &RunId) -> Vec<DecisionRow> {
        let row = |decided: &ModelDecision| {
            let (position, at, by, kind, message, then) = decided;
            let (opened, now) = &self.calls[&then.number];
            DecisionRow {
                position: *position,
                at: *at,
                by: by.clone(),
                kind: *kind,
                message: message.clone(),
                clearance: then.clearance,
                revision: then.revision,
                summary: then.proposal().map_or(String::new(), |proposal| proposal.summary.clone()),
                exhibits: then.proposal().map_or(Vec::new(), |proposal| proposal.exhibits.clone()),
                call: self.call_row(id, *opened, now),
            }
        };
        self.decided.iter().map(row).collect()
    }

    fn call_row(&self, id: &RunId, position: Position, call: &Call) -> CallRow {
        CallRow {
            run: id.clone(),
            call: call.number,
            position,
            rank: model_rank(call),
            agent: self.run.agent.clone(),
            started_by: self.run.started_by.clone(),
            capability: call.action().capability().clone(),
            state: call.phase.state(),
            proposed_at: call.proposed_at,
            deadline: call.deadline(),
            changed_at: call.changed_at,
            summary: call.proposal().map(|proposal| proposal.summary.clone()).unwrap_or_default(),
            consequence: call.proposal().and_then(|proposal| proposal.consequence),
            approved_by: call.votes.iter().map(|vote| vote.reviewer.clone()).collect(),
            still_needed: match (&call.phase, call.requirement()) {
                (Phase::Held, Some(requirement)) => requirement.still_needed(call.stage, call.level, &call.votes),
                _ => 0,
            },
            waiting_for: call.waiting_for(&self.run.started_by),
            clearance: call.clearance,
            attempts: call.attempts,
            revision: call.revision,
            class: call.proposal().map(|proposal| proposal.class),
        }
    }
}

/// Whether an answer says that the store could not write. A history must not have such an answer.
pub fn is_unwritten(answer: &str) -> bool {
    ["NotWritten", "Unknown(\""].iter().any(|word| answer.starts_with(&format!("Err({word}")))
}

/// The refusal in an error. A store that works gives no other error.
pub fn refused(error: &SubmitError) -> &holdshort_gate::Refused {
    match error {
        SubmitError::Refused(why) => why,
        SubmitError::Fenced | SubmitError::NotWritten(_) | SubmitError::Unknown(_) => panic!("{error}"),
    }
}
