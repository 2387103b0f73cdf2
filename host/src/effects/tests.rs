//! Each connector runs a few attempts and a few lookups at the same time. Neither attempts nor lookups that wait delay
//! other calls.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::command::{CancelRun, CreateRun, FirstVerdict, Propose, Resolve, Start};
use holdshort_gate::{
    Action, AgentName, CallId, CallNumber, CallState, Command, Digest, EffectClass, FunctionType, Requirement,
    Resolution, Reviewers, Run, RunLimits, Time, WitType,
};
use holdshort_journal::{Authorized, Fence, Journal};
use serde_json::json;
use tokio::sync::Semaphore;

use super::performer::LOOKUPS_AT_A_TIME;
use super::*;
use crate::connectors::{ATTEMPTS_AT_A_TIME, Attempt, Finding};

/// The number of effects in doubt, many more than can be looked up at a time.
const LOST: usize = 5 * LOOKUPS_AT_A_TIME;
/// The number of cleared calls, many more than can be attempted at a time.
const CLEARED: usize = 3 * ATTEMPTS_AT_A_TIME;

/// How long a cleared call may wait for its start; much longer than the time for beginning an attempt.
const START_WITHIN_MS: u64 = 3_600_000;
/// How long the test lets cleared calls wait, in microseconds: longer than the time for beginning an attempt, and much
/// shorter than a cleared call may wait.
const HELD_UP_US: u64 = 120_000_000;

/// A barrier that stays closed until opened, and counts the tasks that wait at it.
struct Door {
    open: Semaphore,
    waiting: AtomicUsize,
    most: AtomicUsize,
    seen: Mutex<BTreeSet<RunId>>,
}

impl Door {
    fn new(open: bool) -> Self {
        let (waiting, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { open: Semaphore::new(open.into()), waiting, most, seen: Mutex::default() }
    }

    async fn pass(&self, run: &RunId) {
        assert!(self.seen.lock().unwrap().insert(run.clone()), "each comes once");
        self.most.fetch_max(self.waiting.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        drop(self.open.acquire().await);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}

/// A remote system that acts and answers lookups only when the barrier is open.
struct FarEnd {
    attempts: Door,
    lookups: Door,
}

impl FarEnd {
    fn new(acts: bool, answers: bool) -> Arc<Self> {
        Arc::new(Self { attempts: Door::new(acts), lookups: Door::new(answers) })
    }
}

impl Perform for FarEnd {
    fn perform(&self, authorized: Authorized) -> BoxFuture<'_, Attempt> {
        Box::pin(async move {
            self.attempts.pass(authorized.run()).await;
            Attempt::Done(json!("at once"))
        })
    }

    fn lookup<'a>(&'a self, inquiry: &'a Inquiry) -> BoxFuture<'a, Finding> {
        Box::pin(async move {
            self.lookups.pass(&inquiry.run).await;
            Finding::Happened { receipt: json!("found"), evidence: "asked".into() }
        })
    }

    fn receipt(&self, _: &Inquiry) -> Option<Value> {
        None
    }
}

struct Unchanged;

impl Refresh for Unchanged {
    fn connector(&self, _: &Capability) -> Option<String> {
        Some("fake".into())
    }

    fn refresh<'a>(
        &'a self,
        _: &'a AgentName,
        _: &'a CallId,
        _: &'a Proposal,
    ) -> BoxFuture<'a, Result<Proposal, Sentence>> {
        Box::pin(async { Err("nothing changes here".into()) })
    }

    fn material_change<'a>(
        &'a self,
        _: &'a AgentName,
        _: &'a CallId,
        _: &'a Proposal,
    ) -> BoxFuture<'a, Result<Option<(Sentence, Proposal)>, Sentence>> {
        Box::pin(async { Ok(None) })
    }

    fn depends_on_time(&self) -> bool {
        false
    }

    fn forbidden_now(&self, _: &Run, _: &CallId, _: &Call) -> Option<Sentence> {
        panic!("nothing is read between a start and its effect where nothing can have changed")
    }
}

/// A journal and its clock, which advances a microsecond whenever it is read.
struct World(Journal, Arc<AtomicU64>);

impl World {
    fn new() -> Self {
        let now = Arc::new(AtomicU64::new(1_000_000));
        let clock = now.clone();
        let journal = Journal::in_memory(Arc::new(move || Time(clock.fetch_add(1, Ordering::Relaxed)))).unwrap();
        Self(journal, now)
    }

    /// Starts a dispatcher: `slow` and `quick` perform the functions of these names.
    fn serve(&self, slow: &Arc<FarEnd>, quick: &Arc<FarEnd>) {
        let mut performers = Performers::default();
        performers.insert(Capability::new("a:b/c", "slow").unwrap(), slow.clone());
        performers.insert(Capability::new("a:b/c", "quick").unwrap(), quick.clone());
        tokio::spawn(Effects::new(self.0.roles().dispatcher, performers, Arc::new(Unchanged)).run());
    }

    async fn submit<C: Command>(&self, run: &RunId, call: Option<CallNumber>, command: C) -> C::Output
    where
        C::Output: Clone,
    {
        (*self.0.submit(run, call, Fence::None, command).await.unwrap()).clone()
    }

    /// A run whose first call is cleared for `function`.
    async fn cleared(&self, run: &str, function: &str) -> RunId {
        let run = RunId(run.into());
        let limits = RunLimits { cpu_ms: 1, memory_bytes: 1, held_calls: 1, calls: 1, journal_bytes: 1 };
        let (agent, task, started_by) = ("a".into(), String::new(), "olga".into());
        let component = Digest::of(b"");
        let create = CreateRun { agent, component, task, started_by, limits, seed: Digest::of(b"seed") };
        self.submit(&run, None, create).await;
        let ty = FunctionType { params: vec![("text".into(), WitType::String)], result: None };
        let capability = Capability::new("a:b/c", function).unwrap();
        let proposal = Proposal {
            action: Action::new(component, capability, &ty, &json!({ "text": run.0 })).unwrap(),
            summary: "does it".into(),
            exhibits: Vec::new(),
            similar_calls: Vec::new(),
            preconditions: Value::Null,
            facts: Value::Null,
            consequence: None,
            connector: "fake".into(),
            class: EffectClass::Reconcilable,
            requirement: Requirement::plain(Reviewers::Any, 1, START_WITHIN_MS),
            policy: PolicyRecord { determining: vec!["test".into()], ..PolicyRecord::new(Digest::of(b"policy")) },
        };
        self.submit(&run, None, Propose { call: 1, proposed: FirstVerdict::Clear(Box::new(proposal)) }).await;
        run
    }

    /// A run like that of `cleared`, but the host died after it had started the effect.
    async fn lost(&self, run: &str, function: &str) -> RunId {
        let run = self.cleared(run, function).await;
        drop(self.0.submit(&run, Some(1), Fence::None, Start { perform_within_ms: 60_000 }).await.unwrap());
        run
    }

    async fn in_state(&self, state: CallState) -> BTreeSet<RunId> {
        let filter = CallFilter::in_states(&[state], 1_000);
        self.0.calls(filter).await.unwrap().into_iter().map(|row| row.run).collect()
    }

    async fn until(&self, what: &str, mut done: impl AsyncFnMut() -> bool) {
        for _ in 0..6_000 {
            if done().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("still not: {what}");
    }
}

#[tokio::test]
async fn what_was_lost_is_looked_up_a_few_at_a_time_and_holds_up_nothing_else() {
    let world = World::new();
    let mut lost = BTreeSet::new();
    for number in 0..LOST {
        lost.insert(world.lost(&format!("lost-{number:03}"), "slow").await);
    }
    let other = world.lost("other", "quick").await;

    let (slow, quick) = (FarEnd::new(true, false), FarEnd::new(true, true));
    world.serve(&slow, &quick);

    world.until("as many lookups as may be", async || slow.lookups.waiting() == LOOKUPS_AT_A_TIME).await;
    // All effects in doubt are visible at once, before they are looked up. The lookup of another connector is not
    // delayed.
    world.until("all in doubt", async || world.in_state(CallState::InDoubt).await == lost).await;
    world.until("the other's lookup", async || world.in_state(CallState::Succeeded).await.contains(&other)).await;
    // New calls are not delayed either, neither those of this connector nor those of the other.
    let fresh = [world.cleared("fresh-1", "slow").await, world.cleared("fresh-2", "quick").await];
    world
        .until("fresh effects", async || world.in_state(CallState::Succeeded).await.is_superset(&fresh.clone().into()))
        .await;

    // If a reviewer resolves an effect before its turn to be looked up, the host does not look it up.
    let settled = lost.difference(&slow.lookups.seen.lock().unwrap()).next().unwrap().clone();
    let resolve = Resolve { attempt: 1, by: "olga".into(), resolution: Resolution::NotDone, message: None };
    world.submit(&settled, Some(1), resolve).await;
    lost.remove(&settled);
    slow.lookups.open.add_permits(LOST);
    world.until("all found", async || world.in_state(CallState::Succeeded).await.is_superset(&lost)).await;
    assert_eq!(*slow.lookups.seen.lock().unwrap(), lost);
    assert_eq!(slow.lookups.most.load(Ordering::SeqCst), LOOKUPS_AT_A_TIME);
    assert_eq!(world.in_state(CallState::Failed).await, [settled].into());
}

#[tokio::test]
async fn what_is_cleared_is_attempted_a_few_at_a_time_and_holds_up_nothing_else() {
    let world = World::new();
    let (mut cleared, mut lost) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..CLEARED {
        cleared.insert(world.cleared(&format!("cleared-{number:03}"), "slow").await);
    }
    for number in 0..LOST {
        lost.insert(world.lost(&format!("lost-{number:03}"), "slow").await);
    }
    let (slow, quick) = (FarEnd::new(false, false), FarEnd::new(true, true));
    world.serve(&slow, &quick);

    // As many lookups as there are turns wait at the same time, and none of the attempts' turns is
    // taken.
    world.until("as many lookups as may be", async || slow.lookups.waiting() == LOOKUPS_AT_A_TIME).await;
    world.until("as many attempts as may be", async || slow.attempts.waiting() == ATTEMPTS_AT_A_TIME).await;
    for number in 0..CLEARED {
        cleared.insert(world.cleared(&format!("hinted-{number:03}"), "slow").await);
    }
    let other = world.cleared("other", "quick").await;
    world
        .until("another connector's effect", async || world.in_state(CallState::Succeeded).await.contains(&other))
        .await;

    // Waiting calls are not started: they can be cancelled, they expire, and the time for beginning an attempt does not
    // run.
    let begun = slow.attempts.seen.lock().unwrap().clone();
    let mut waiting: Vec<RunId> = cleared.difference(&begun).cloned().collect();
    assert_eq!(world.in_state(CallState::Cleared).await, waiting.iter().cloned().collect());
    let cancelled = waiting.pop().unwrap();
    world.submit(&cancelled, None, CancelRun { by: "olga".into(), reason: None }).await;
    world.1.fetch_add(HELD_UP_US, Ordering::Relaxed);
    slow.attempts.open.add_permits(CLEARED);
    cleared.remove(&cancelled);
    world.until("all done", async || world.in_state(CallState::Succeeded).await.is_superset(&cleared)).await;
    assert_eq!(*slow.attempts.seen.lock().unwrap(), cleared, "what was cancelled is not attempted");
    assert_eq!(slow.attempts.most.load(Ordering::SeqCst), ATTEMPTS_AT_A_TIME);
    assert_eq!(world.in_state(CallState::Cancelled).await, [cancelled].into());
    slow.lookups.open.add_permits(LOST);
    world.until("all found", async || world.in_state(CallState::Succeeded).await.is_superset(&lost)).await;
}

#[tokio::test]
async fn what_lapses_while_it_waits_for_its_turn_is_not_attempted() {
    let world = World::new();
    let mut cleared = BTreeSet::new();
    for number in 0..CLEARED {
        cleared.insert(world.cleared(&format!("cleared-{number:03}"), "slow").await);
    }
    let (slow, quick) = (FarEnd::new(false, true), FarEnd::new(true, true));
    world.serve(&slow, &quick);
    world.until("as many attempts as may be", async || slow.attempts.waiting() == ATTEMPTS_AT_A_TIME).await;
    world.1.fetch_add(2 * START_WITHIN_MS * 1_000, Ordering::Relaxed);
    slow.attempts.open.add_permits(CLEARED);
    let begun = slow.attempts.seen.lock().unwrap().clone();
    let lapsed = cleared.difference(&begun).cloned().collect();
    world.until("the others lapsed", async || world.in_state(CallState::Expired).await == lapsed).await;
    world.until("what was begun is done", async || world.in_state(CallState::Succeeded).await == begun).await;
    assert_eq!(*slow.attempts.seen.lock().unwrap(), begun);
}
