//! A world for tests: the state of one run and its call, a clock, and methods that judge commands and apply their
//! events.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part of it")]

use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::command::{
    AttemptOutcome, Choice, CreateRun, Decide, DecisionOutcome, Finish, FirstVerdict, Propose, Revision, Start,
};
use holdshort_gate::{
    Action, CallState, Command, Digest, EffectClass, EffectKey, Event, FunctionType, JournalId, Permit, Proposal,
    RecordedTotal, Refused, Requirement, Reviewers, RunId, RunLimits, Subject, Time, WitType,
};
use serde_json::{Value, json};

pub struct World {
    pub subject: Subject,
    pub now: Time,
    pub written: Vec<Event>,
}

pub fn function() -> FunctionType {
    FunctionType {
        params: vec![("text".into(), WitType::String)],
        result: Some(WitType::Result { ok: Some(Box::new(WitType::String)), err: Some(Box::new(WitType::String)) }),
    }
}

pub fn action(text: &str) -> Action {
    let capability = "acme:mail/send@1.0.0#send".parse().unwrap();
    Action::new(Digest::of(b"component"), capability, &function(), &json!({ "text": text })).unwrap()
}

pub fn requirement() -> Requirement {
    Requirement::plain(Reviewers::Any, 1, 60_000)
}

/// Policy's record of a verdict that used these totals.
pub fn with_totals(totals: Vec<RecordedTotal>) -> PolicyRecord {
    PolicyRecord { totals, ..proposal("a").policy }
}

pub fn proposal(text: &str) -> Proposal {
    Proposal {
        action: action(text),
        summary: format!("send {text}"),
        exhibits: Vec::new(),
        similar_calls: Vec::new(),
        preconditions: Value::Null,
        facts: Value::Null,
        consequence: None,
        connector: "test".into(),
        class: EffectClass::Idempotent,
        requirement: requirement(),
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

pub fn limits() -> RunLimits {
    RunLimits { cpu_ms: 1_000, memory_bytes: 1 << 20, held_calls: 2, calls: 10, journal_bytes: 1 << 20 }
}

impl World {
    /// A run that has just been created by `olga`.
    pub fn new() -> Self {
        let subject = Subject::new(JournalId("j".into()), RunId("r".into()), EffectKey("key".into()));
        let mut world = Self { subject, now: Time(1_000_000), written: Vec::new() };
        let create = CreateRun {
            agent: "agent".into(),
            component: Digest::of(b"component"),
            task: "task".into(),
            started_by: "olga".into(),
            limits: limits(),
            seed: Digest::of(b"seed"),
        };
        world.submit(create).unwrap();
        world
    }

    /// A run whose first call is held.
    pub fn held(proposal: Proposal) -> Self {
        let mut world = Self::new();
        world.submit(Propose { call: 1, proposed: FirstVerdict::Hold(Box::new(proposal)) }).unwrap();
        world
    }

    pub fn submit<C: Command>(&mut self, command: C) -> Result<C::Output, Refused> {
        let before = self.subject.clone();
        let judged = command.decide(&self.subject, self.now);
        assert_eq!(before, self.subject, "judging changes nothing");
        let (events, out) = judged?;
        for event in events {
            self.subject.apply(&event, self.now).unwrap();
            self.written.push(event);
        }
        Ok(out)
    }

    pub fn decide(&mut self, reviewer: &'static str, choice: Choice) -> Result<DecisionOutcome, Refused> {
        let clearance = self.clearance();
        self.decide_on(clearance, reviewer, choice)
    }

    pub fn decide_on(
        &mut self,
        clearance: Digest,
        reviewer: &'static str,
        choice: Choice,
    ) -> Result<DecisionOutcome, Refused> {
        let (signed_in_at, message) = (self.now, Some("because".into()));
        self.submit(Decide { reviewer: reviewer.into(), stands_for: None, signed_in_at, clearance, choice, message })
    }

    pub fn start(&mut self) -> Result<Permit, Refused> {
        self.submit(Start { perform_within_ms: 1_000 })
    }

    pub fn finish(&mut self, attempt: u32, outcome: AttemptOutcome) -> Result<CallState, Refused> {
        self.submit(Finish { attempt, outcome, evidence: None })
    }

    pub fn clearance(&self) -> Digest {
        self.subject.call.as_ref().and_then(|call| call.clearance).unwrap()
    }

    pub fn phase(&self) -> &'static str {
        self.subject.call.as_ref().unwrap().phase.state().as_str()
    }

    pub fn pass_ms(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
    }
}

pub fn edit(text: &str) -> Choice {
    Choice::Edit(Box::new(Revision { proposal: proposal(text) }))
}
