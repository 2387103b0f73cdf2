//! What an earlier host left behind is looked up a few at a time, and holds up nothing else.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::command::{CreateRun, Propose, Proposed, Resolve, Start};
use holdshort_gate::{
    Action, Command, Digest, EffectClass, FunctionType, Requirement, Resolution, Reviewers, RunLimits, Time, WitType,
};
use holdshort_journal::{Authorized, Fence};
use serde_json::json;

use super::*;
use crate::connectors::{Attempt, Finding};

/// Far more than may be looked up at a time.
const LOST: usize = 5 * LOOKUPS_AT_A_TIME;

/// A far end that answers a lookup only when it is let, and counts who asks it.
struct FarEnd {
    answers: Semaphore,
    asking: AtomicUsize,
    most: AtomicUsize,
    asked: Mutex<BTreeSet<RunId>>,
}

impl FarEnd {
    fn new(answers: usize) -> Arc<Self> {
        let (asking, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { answers: Semaphore::new(answers), asking, most, asked: Mutex::default() })
    }
}

impl Perform for FarEnd {
    fn perform(&self, _: Authorized) -> BoxFuture<'_, Attempt> {
        Box::pin(async { Attempt::Done(json!("at once")) })
    }

    fn lookup<'a>(&'a self, inquiry: &'a Inquiry) -> BoxFuture<'a, Finding> {
        Box::pin(async move {
            assert!(self.asked.lock().unwrap().insert(inquiry.run.clone()), "each is asked about once");
            self.most.fetch_max(self.asking.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let answer = self.answers.acquire().await;
            self.asking.fetch_sub(1, Ordering::SeqCst);
            drop(answer);
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

    fn refresh<'a>(&'a self, _: &'a str, _: &'a Proposal) -> BoxFuture<'a, Result<Proposal, String>> {
        Box::pin(async { Err("nothing changes here".into()) })
    }
}

struct World(Journal);

impl World {
    fn new() -> Self {
        let now = AtomicU64::new(1_000_000);
        Self(Journal::in_memory(Arc::new(move || Time(now.fetch_add(1, Ordering::Relaxed)))).unwrap())
    }

    async fn submit<C: Command>(&self, run: &RunId, call: Option<CallNumber>, command: C) -> C::Out
    where
        C::Out: Clone,
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
            preconditions: Value::Null,
            connector: "fake".into(),
            class: EffectClass::Reconcilable,
            requirement: Requirement {
                reviewers: Reviewers::Any,
                quorum: 1,
                four_eyes: false,
                expires_at: None,
                start_within_ms: 3_600_000,
            },
            policy: PolicyRecord { digest: Digest::of(b"policy"), determining: Vec::new() },
        };
        self.submit(&run, None, Propose { call: 1, proposed: Proposed::Clear(Box::new(proposal)) }).await;
        run
    }

    /// The same, and the host has died after it had started the effect.
    async fn lost(&self, run: &str, function: &str) -> RunId {
        let run = self.cleared(run, function).await;
        drop(self.0.submit(&run, Some(1), Fence::None, Start { perform_within_ms: 60_000 }).await.unwrap());
        run
    }

    async fn in_phase(&self, phase: &'static str) -> BTreeSet<RunId> {
        let filter = CallFilter { phases: vec![phase], run: None, after: None, limit: 1_000 };
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

    let (slow, quick) = (FarEnd::new(0), FarEnd::new(1));
    let mut performers = Performers::default();
    performers.insert(Capability::new("a:b/c", "slow").unwrap(), slow.clone());
    performers.insert(Capability::new("a:b/c", "quick").unwrap(), quick.clone());
    tokio::spawn(Effects::new(world.0.clone(), performers, Arc::new(Unchanged)).run());

    world.until("as many lookups as may be", async || slow.asking.load(Ordering::SeqCst) == LOOKUPS_AT_A_TIME).await;
    // Everybody sees at once what is in doubt, whether or not it is looked up yet, and another connector's is not held up.
    world.until("all in doubt", async || world.in_phase("in-doubt").await == lost).await;
    world.until("the other's lookup", async || world.in_phase("succeeded").await.contains(&other)).await;
    // Nor is anything fresh, of that connector or of this one.
    let fresh = [world.cleared("fresh-1", "slow").await, world.cleared("fresh-2", "quick").await];
    world.until("fresh effects", async || world.in_phase("succeeded").await.is_superset(&fresh.clone().into())).await;

    // Who is settled by a person while they wait is not looked up any more.
    let settled = lost.difference(&slow.asked.lock().unwrap()).next().unwrap().clone();
    let resolve = Resolve { attempt: 1, by: "olga".into(), resolution: Resolution::NotDone, message: None };
    world.submit(&settled, Some(1), resolve).await;
    lost.remove(&settled);
    slow.answers.add_permits(LOST);
    world.until("all found", async || world.in_phase("succeeded").await.is_superset(&lost)).await;
    assert_eq!(*slow.asked.lock().unwrap(), lost);
    assert_eq!(slow.most.load(Ordering::SeqCst), LOOKUPS_AT_A_TIME);
    assert_eq!(world.in_phase("failed").await, [settled].into());
}
