//! A journal in either store, with a clock that the test sets and a writer that the test can stop.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its part of it")]

pub mod script;

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::command::{
    AttemptOutcome, CancelRun, Choice, CreateRun, Decide, DecisionOutcome, Finish, FirstVerdict, Propose,
    RecordRoutine, Start, Subject,
};
use holdshort_gate::{
    Action, Call, CallNumber, Clearance, Command, Digest, EffectClass, FunctionType, Permit, Phase, Proposal,
    Requirement, ReviewerName, Reviewers, RunId, RunLimits, Time, WitType,
};
use holdshort_journal::{
    CallFilter, CallOrder, Clock, Fence, Flushed, Journal, OpenError, Position, RunFilter, SubmitError, Submitted,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The time at which a world's clock begins.
pub const EPOCH: u64 = 1_767_225_600_000_000;

/// Where a world's journal is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    InMemory,
    InSqlite,
}

/// A clock that advances by one microsecond each time it is read, and stops while the test holds it.
#[derive(Clone, Default)]
pub struct TestClock(Arc<(AtomicU64, Mutex<()>)>);

impl TestClock {
    pub fn starting_at(at: u64) -> Self {
        let clock = Self::default();
        clock.set(at);
        clock
    }

    pub fn set(&self, at: u64) {
        self.0.0.store(at, Ordering::SeqCst);
    }

    pub fn pass_ms(&self, ms: u64) {
        self.0.0.fetch_add(ms * 1_000, Ordering::SeqCst);
    }

    /// The next time that the clock shows.
    pub fn next(&self) -> Time {
        Time(self.0.0.load(Ordering::SeqCst))
    }

    /// Stops the clock. The writer asks for the time before it judges a command, so the writer waits until the guard is
    /// dropped, and meanwhile its queue fills.
    pub fn hold(&self) -> MutexGuard<'_, ()> {
        self.0.1.lock().unwrap()
    }

    pub fn clock(&self) -> Clock {
        let this = self.clone();
        Arc::new(move || {
            drop(this.0.1.lock().unwrap());
            Time(this.0.0.fetch_add(1, Ordering::SeqCst))
        })
    }
}

/// A new folder, in a file system in memory if the machine has one. The files need not outlive the test, and on a disk
/// thousands of histories would take long.
pub fn scratch() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

/// A journal with its clock and its folder. Derefs to the journal.
pub struct World {
    journal: Option<Journal>,
    pub clock: TestClock,
    folder: Option<TempDir>,
}

impl Deref for World {
    type Target = Journal;

    fn deref(&self) -> &Journal {
        self.journal.as_ref().unwrap()
    }
}

impl World {
    pub fn new(kept: Kept) -> Self {
        let clock = TestClock::starting_at(EPOCH);
        match kept {
            Kept::InMemory => Self { journal: Some(Journal::in_memory(clock.clock()).unwrap()), clock, folder: None },
            Kept::InSqlite => {
                let folder = scratch();
                let journal = Journal::open(&folder.path().join("journal.db"), clock.clock()).unwrap();
                Self { journal: Some(journal), clock, folder: Some(folder) }
            }
        }
    }

    /// The file of a journal in SQLite.
    pub fn path(&self) -> PathBuf {
        self.folder.as_ref().unwrap().path().join("journal.db")
    }

    /// Closes the journal, calls `meanwhile` with the file's path, and opens the journal again.
    pub fn reopened(mut self, meanwhile: impl FnOnce(&Path)) -> Self {
        self.close();
        meanwhile(&self.path());
        self.journal = Some(self.open().unwrap());
        self
    }

    pub fn close(&mut self) {
        self.journal = None;
    }

    pub fn open(&self) -> Result<Journal, OpenError> {
        Journal::open(&self.path(), self.clock.clock())
    }

    pub async fn submit<C: Command>(
        &self,
        run: &RunId,
        call: Option<CallNumber>,
        command: C,
    ) -> Result<Flushed<C::Output>, SubmitError> {
        self.deref().submit(run, call, Fence::None, command).await
    }

    /// Submits a command about a run; its answer may be awaited later.
    pub fn submit_now<C: Command>(&self, run: &RunId, command: C) -> Submitted<C::Output> {
        self.deref().submit(run, None, Fence::None, command)
    }

    /// Submits a command about one of the run's calls.
    pub fn submit_at<C: Command>(&self, run: &RunId, call: CallNumber, command: C) -> Submitted<C::Output> {
        self.deref().submit(run, Some(call), Fence::None, command)
    }

    /// Submits a command of a task that drives the run.
    pub fn submit_fenced<C: Command>(&self, run: &RunId, fence: Fence, command: C) -> Submitted<C::Output> {
        self.deref().submit(run, None, fence, command)
    }

    pub async fn create(&self, run: &str) -> RunId {
        let id = RunId(run.into());
        let _ = self.submit(&id, None, create("task")).await.unwrap();
        id
    }

    /// A new run whose first call is held.
    pub async fn held(&self, run: &str, proposal: Proposal) -> RunId {
        let id = self.create(run).await;
        let _ = self.submit(&id, None, hold(1, proposal)).await.unwrap();
        id
    }

    pub async fn subject_of(&self, run: &RunId, call: CallNumber) -> Subject {
        self.subject(run, Some(call)).await.unwrap().unwrap()
    }

    pub async fn call(&self, run: &RunId, call: CallNumber) -> Call {
        self.subject_of(run, call).await.call.unwrap()
    }

    pub async fn phase(&self, run: &RunId, call: CallNumber) -> &'static str {
        self.call(run, call).await.phase.state().as_str()
    }

    /// A decision on the current revision.
    pub async fn decide(
        &self,
        run: &RunId,
        call: CallNumber,
        reviewer: &'static str,
        choice: Choice,
    ) -> Result<Flushed<DecisionOutcome>, SubmitError> {
        let clearance = self.call(run, call).await.clearance.unwrap();
        self.submit(run, Some(call), decision(reviewer, clearance, choice)).await
    }

    pub async fn start(&self, run: &RunId, call: CallNumber) -> Result<Flushed<Permit>, SubmitError> {
        self.submit(run, Some(call), START).await
    }

    /// The clearance digest of a proposal that this journal has not seen yet.
    pub fn clearance(&self, run: &RunId, call: CallNumber, revision: u32, proposal: &Proposal) -> Digest {
        Clearance { journal: self.id(), run, call, revision, proposal }.digest()
    }

    pub async fn seqs(&self, run: &RunId) -> Vec<u64> {
        self.events(run, 0, usize::MAX).await.unwrap().events.iter().map(|recorded| recorded.seq).collect()
    }

    pub async fn length(&self) -> u64 {
        self.last_position().await.unwrap().0
    }
}

pub const START: Start = Start { perform_within_ms: 1_000 };

pub fn all_runs() -> RunFilter {
    RunFilter { states: Vec::new(), before: None, limit: usize::MAX }
}

pub fn all_calls() -> CallFilter {
    CallFilter::all(usize::MAX)
}

pub fn after(position: Position, limit: usize) -> CallFilter {
    CallFilter { order: CallOrder::Proposed(Some(position)), limit, ..all_calls() }
}

pub fn create(task: &str) -> CreateRun {
    CreateRun {
        agent: "agent".into(),
        component: Digest::of(b"component"),
        task: task.into(),
        started_by: "olga".into(),
        limits: RunLimits {
            cpu_ms: 1_000,
            memory_bytes: 1 << 20,
            held_calls: 100,
            calls: 10_000,
            journal_bytes: 1 << 20,
        },
        seed: Digest::of(b"seed"),
    }
}

pub fn action(text: &str) -> Action {
    let text_or = || Some(Box::new(WitType::String));
    let ty = FunctionType {
        params: vec![("text".into(), WitType::String)],
        result: Some(WitType::Result { ok: text_or(), err: text_or() }),
    };
    let capability = "acme:mail/send@1.0.0#send".parse().unwrap();
    Action::new(Digest::of(b"component"), capability, &ty, &json!({ "text": text })).unwrap()
}

/// A call that pays money.
pub fn paying(cents: u64) -> Proposal {
    let fields = vec![("minor-units".into(), WitType::U64), ("currency".into(), WitType::String)];
    let text = || Some(Box::new(WitType::String));
    let ty = FunctionType {
        params: vec![("amount".into(), WitType::Record(fields))],
        result: Some(WitType::Result { ok: text(), err: text() }),
    };
    let capability = "acme:bank/pay@1.0.0#pay".parse().unwrap();
    let amount = json!({ "amount": { "minor-units": cents.to_string(), "currency": "EUR" } });
    Proposal { action: Action::new(Digest::of(b"component"), capability, &ty, &amount).unwrap(), ..proposal("cleared") }
}

pub fn proposal(text: &str) -> Proposal {
    Proposal {
        action: action(text),
        summary: format!("send {}", text.chars().take(40).collect::<String>()),
        exhibits: Vec::new(),
        similar_calls: Vec::new(),
        preconditions: Value::Null,
        facts: Value::Null,
        consequence: None,
        connector: "test".into(),
        class: EffectClass::Idempotent,
        requirement: Requirement::plain(Reviewers::Any, 1, 60_000),
        policy: PolicyRecord {
            digest: Digest::of(b"policy"),
            determining: vec!["hold-everything".into()],
            errors: Vec::new(),
            totals: Vec::new(),
            grant: None,
            material: Vec::new(),
            reasons: Vec::new(),
            judged_at: None,
        },
    }
}

pub fn requiring(quorum: u32, expires_at: Option<Time>) -> Proposal {
    let plain = proposal("hello");
    Proposal { requirement: Requirement { expires_at, ..Requirement::plain(Reviewers::Any, quorum, 60_000) }, ..plain }
}

pub fn question(text: &str) -> Proposal {
    Proposal { class: EffectClass::Question, ..proposal(text) }
}

pub fn hold(call: CallNumber, proposal: Proposal) -> Propose {
    Propose { call, proposed: FirstVerdict::Hold(Box::new(proposal)) }
}

pub fn routine(call: CallNumber, result: &str) -> RecordRoutine {
    RecordRoutine { call, action: action("read"), result: json!(result), answered_at: Time(EPOCH) }
}

pub fn decision(reviewer: impl Into<ReviewerName>, clearance: Digest, choice: Choice) -> Decide {
    Decide { reviewer: reviewer.into(), stands_for: None, signed_in_at: Time(EPOCH), clearance, choice, message: None }
}

pub fn happened(attempt: u32, receipt: Value) -> Finish {
    Finish { attempt, outcome: AttemptOutcome::Happened(receipt), evidence: None }
}

pub fn cancel() -> CancelRun {
    CancelRun { by: "olga".into(), reason: None }
}

pub fn is_held(call: &Call) -> bool {
    call.phase == Phase::Held
}

/// Stands for a connector: it accepts only an authority, whose start is on disk.
pub fn perform(authorized: holdshort_journal::Authorized) -> String {
    authorized.key().to_string()
}
