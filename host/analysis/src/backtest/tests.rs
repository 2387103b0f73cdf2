//! Backtests of recorded calls: with the policies in force the review load does not change, and with other policies it
//! changes as expected.

mod moments;

use std::sync::Arc;

use holdshort_gate::command::{
    AttemptOutcome, CancelRun, Choice, CreateRun, Decide, Expire, Finish, FirstVerdict, Propose, Resolve, Revision,
    Start,
};
use holdshort_gate::{
    Action, Call, CallId, Command, Consequence, Digest, EffectClass, EffectKey, Event, FunctionType, JournalId, Phase,
    Proposal, RefusalReason, Requirement, Resolution, ReviewerName, Reviewers, RunLimits, Subject, WitType,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use holdshort_policy::isolated::Reader;
use holdshort_policy::load::Source;
use holdshort_policy::{CallQuestion, CedarPolicy, Defaults, PolicySetup};

const PAY: &str = "acme:bank/pay@1.0.0#pay";
const TO: [&str; 7] = ["one", "two", "late", "stages", "veto", "clear", "refuse"];
const PRESENT: &str = r#"
permit (principal, action == Action::"decide", resource);
@id("clear") permit (principal, action == Action::"call", resource) when { resource.arguments.to == "clear" };
@id("refuse") forbid (principal, action == Action::"call", resource) when { resource.arguments.to == "refuse" };
@id("two") @reviewers("finance") @quorum("2") permit (principal, action == Action::"review", resource) when { resource.arguments.to == "two" };
@id("late") @reviewers("ann") @within("1h") @escalate("board for 1h") permit (principal, action == Action::"review", resource) when { resource.arguments.to == "late" };
@id("first") @reviewers("finance") permit (principal, action == Action::"review", resource) when { resource.arguments.to == "stages" };
@id("second") @reviewers("board") @stage("2") permit (principal, action == Action::"review", resource) when { resource.arguments.to == "stages" };
@id("veto") @reviewers("board") @rejections("2") permit (principal, action == Action::"review", resource) when { resource.arguments.to == "veto" };
"#;
const ALL: &str = r#"
permit (principal, action == Action::"decide", resource);
@id("all") permit (principal, action == Action::"call", resource);
"#;
/// Half a minute.
const LATER: u64 = 30_000;

fn types() -> Types {
    let params = vec![("to".to_owned(), WitType::String), ("n".to_owned(), WitType::U64)];
    [(PAY.parse().unwrap(), FunctionType { params, result: None })].into_iter().collect()
}

fn policies(text: &str) -> CedarPolicy {
    let names = |names: &[&'static str]| names.iter().map(|name| ReviewerName::from(*name)).collect::<Vec<_>>();
    let groups = [("finance".to_owned(), names(&["ann", "ben"])), ("board".to_owned(), names(&["cyd", "dan"]))];
    let people = People::new(names(&["ann", "ben", "cyd", "dan", "eve"]), groups.into());
    let floor = |_| Requirement { rejections: 2, ..Requirement::plain(Reviewers::Any, 1, 3_600_000) };
    let sources = vec![Source { path: "p.cedar".into(), text: text.into() }];
    let setting = PolicySetup::new(sources, types(), people, Defaults::new(floor), Reader::in_process());
    let setting = setting.unwrap_or_else(|why| panic!("{why}"));
    Arc::into_inner(setting.present.unwrap()).unwrap()
}

/// Calls that are judged one after the other, each in a run of its own.
struct World {
    policy: CedarPolicy,
    now: Time,
    subjects: Vec<Subject>,
    feed: Vec<(RunId, RecordedEvent)>,
}

impl World {
    fn new(text: &str) -> Self {
        Self { policy: policies(text), now: Time(1_700_000_000_000_000), subjects: Vec::new(), feed: Vec::new() }
    }

    fn submit<C: Command>(&mut self, at: usize, command: C) -> bool {
        let subject = &mut self.subjects[at];
        let Ok((events, _)) = command.decide(subject, self.now) else { return false };
        for event in events {
            subject.apply(&event, self.now).unwrap();
            self.feed.push((subject.id.clone(), RecordedEvent { seq: 1, at: self.now, event }));
        }
        true
    }

    fn judged(&self, run: &RunId, to: &str) -> (Proposal, Judgement) {
        let (capability, types) = (PAY.parse::<holdshort_gate::Capability>().unwrap(), types());
        let (component, ty) = (Digest::of(b"component"), types.get(&capability).unwrap());
        let action = Action::new(component, capability, ty, &json!({"to": to, "n": "9000000000000000000"})).unwrap();
        let judgement = self.policy.judge(&CallQuestion {
            started_by: &"eve".into(),
            agent: &"clerk".into(),
            run,
            action: &action,
            ty,
            facts: &Value::Null,
            consequence: Consequence::default(),
            totals: &[],
            now: self.now,
        });
        let proposal = Proposal {
            action,
            summary: format!("pay {to}"),
            exhibits: Vec::new(),
            similar_calls: Vec::new(),
            preconditions: Value::Null,
            facts: Value::Null,
            consequence: None,
            connector: "test".into(),
            class: EffectClass::Idempotent,
            requirement: judgement.requirement.clone(),
            policy: judgement.record.clone(),
        };
        (proposal, judgement)
    }

    fn run(&mut self) -> usize {
        let id = RunId(format!("r{}", self.subjects.len()));
        self.subjects.push(Subject::new(JournalId("j".into()), id, EffectKey("key".into())));
        let limits = RunLimits { cpu_ms: 1, memory_bytes: 1, held_calls: 9, calls: 9, journal_bytes: 1 << 30 };
        let (component, seed, task) = (Digest::of(b"component"), Digest::of(b"seed"), "t".to_owned());
        let started_by = "eve".into();
        assert!(self.submit(
            self.subjects.len() - 1,
            CreateRun { agent: "clerk".into(), component, task, started_by, limits, seed }
        ));
        self.subjects.len() - 1
    }

    /// Makes a call to a recipient in a run of its own. If policy holds it, a grant may clear it.
    fn call(&mut self, to: &str, granted: bool) -> usize {
        let at = self.run();
        let (mut proposal, judgement) = self.judged(&self.subjects[at].id.clone(), to);
        let proposed = match judgement.verdict {
            Verdict::Refuse(why) => {
                let policy = Some(Box::new(proposal.policy));
                FirstVerdict::Refuse(Box::new(proposal.action), RefusalReason::Forbidden(why.into_string()), policy)
            }
            Verdict::Hold if granted => {
                proposal.policy.grant = Some(CallId { run: RunId("r".into()), call: 7 });
                let clearance = Digest::of(b"by a grant");
                let event = Event::CallCleared { call: 1, proposal: Box::new(proposal), clearance };
                self.subjects[at].apply(&event, self.now).unwrap();
                self.feed.push((self.subjects[at].id.clone(), RecordedEvent { seq: 1, at: self.now, event }));
                return at;
            }
            Verdict::Hold => FirstVerdict::Hold(Box::new(proposal)),
            Verdict::Clear => FirstVerdict::Clear(Box::new(proposal)),
        };
        assert!(self.submit(at, Propose { call: 1, proposed }), "{to}");
        at
    }

    fn decide(&mut self, at: usize, who: &'static str, stands_for: Option<&'static str>, choice: Choice) -> bool {
        self.now = self.now.plus_ms(LATER);
        let Some(clearance) = self.subjects[at].call.as_ref().and_then(|call| call.clearance) else { return false };
        let (reviewer, signed_in_at, message) = (who.into(), self.now, Some(format!("says {who}")));
        let stands_for = stands_for.map(ReviewerName::from);
        self.submit(at, Decide { reviewer, stands_for, signed_in_at, clearance, choice, message })
    }

    fn edit(&self, at: usize, to: &str) -> Choice {
        let (proposal, _) = self.judged(&self.subjects[at].id, to);
        Choice::Edit(Box::new(Revision { proposal }))
    }

    fn expire(&mut self, at: usize) -> bool {
        let deadline = self.subjects[at].call.as_ref().and_then(Call::deadline);
        self.now = deadline.unwrap_or(self.now).max(self.now);
        self.submit(at, Expire)
    }

    fn cancel(&mut self, at: usize) -> bool {
        self.submit(at, CancelRun { by: "eve".into(), reason: None })
    }

    fn tried(&self, text: &str) -> BacktestReport {
        let mut backtest = Backtest::new(Candidate::in_process(policies(text)), types(), Time(0));
        backtest.add(self.feed.iter().cloned()).unwrap();
        backtest.report()
    }
}

/// The prompts and minutes of a group, actual and under the candidate.
fn burden(report: &BacktestReport, group: &str) -> (u64, u64, f64, f64) {
    let of = report.burden.iter().find(|of| of.group.as_deref().unwrap_or_default() == group).unwrap();
    (of.prompts, of.prompts_then, of.minutes, of.minutes_then)
}

fn row(report: &BacktestReport, recorded: &str) -> [u64; 3] {
    let row = report.calls.0.iter().find(|row| row.recorded == recorded);
    row.map_or([0; 3], |row| [row.clear, row.hold, row.refuse])
}

#[test]
fn a_stricter_candidate_costs_and_a_laxer_one_saves() {
    let one = "permit (principal, action == Action::\"decide\", resource);";
    let two = format!("{one}\n@quorum(\"2\") permit (principal, action == Action::\"review\", resource);");
    let mut world = World::new(one);
    let at = world.call("one", false);
    assert!(world.decide(at, "ann", None, Choice::Approve));
    assert_eq!(burden(&world.tried(&two), ""), (1, 1, 0.5, 1.0));
    let mut world = World::new(&two);
    let at = world.call("one", false);
    assert!(world.decide(at, "ann", None, Choice::Approve) && world.decide(at, "ben", None, Choice::Approve));
    assert_eq!(burden(&world.tried(one), ""), (1, 1, 1.5, 0.75));
}

#[test]
fn who_is_called_in_or_stood_for_is_asked() {
    let mut world = World::new(PRESENT);
    let at = world.call("late", false);
    assert!(world.expire(at) && world.decide(at, "cyd", None, Choice::Approve));
    assert_eq!(burden(&world.tried(PRESENT), "board"), (1, 1, 15.0, 15.0));
    assert_eq!(burden(&world.tried(ALL), "board"), (1, 0, 15.0, 0.0));
    let mut world = World::new(PRESENT);
    let at = world.call("late", false);
    assert!(world.decide(at, "cyd", Some("ann"), Choice::Approve));
    let tried = world.tried(PRESENT);
    assert_eq!((burden(&tried, "finance"), burden(&tried, "board")), ((1, 1, 0.5, 0.5), (0, 0, 0.0, 0.0)));
}

#[test]
fn an_edit_brings_no_decision_along() {
    let mut world = World::new(PRESENT);
    let at = world.call("one", false);
    let edit = world.edit(at, "one");
    assert!(world.decide(at, "ann", None, edit));
    assert_eq!(world.subjects[at].call.as_ref().unwrap().decisions.len(), 2, "with the editor's own vote");
    let at = world.call("clear", false);
    assert!(world.subjects[at].call.is_some());
    // An additional decision counts with the median, which is half a minute and not 0.
    let two = "permit (principal, action == Action::\"decide\", resource);
        @quorum(\"2\") permit (principal, action == Action::\"review\", resource) when { resource.arguments.to == \"clear\" };";
    assert_eq!(burden(&world.tried(two), ""), (2, 3, 0.5, 1.5));
}

#[test]
fn a_single_rejection_of_what_came_to_nothing_is_listed() {
    for end in [World::expire, World::cancel, |_: &mut World, _| true] {
        let mut world = World::new(&PRESENT.replace("@rejections", "@within(\"1h\") @rejections"));
        let at = world.call("veto", false);
        assert!(world.decide(at, "cyd", None, Choice::Reject) && end(&mut world, at));
        let found = world.tried(ALL).rejected_but_cleared;
        assert_eq!((found.count, &found.first[0].by[..]), (1, &["cyd".to_owned()][..]));
        assert_eq!(found.first[0].said.as_deref(), Some("says cyd"));
    }
    let mut world = World::new(PRESENT);
    let at = world.call("veto", false);
    assert!(world.decide(at, "cyd", None, Choice::Reject) && world.decide(at, "dan", None, Choice::Approve));
    assert_eq!(world.tried(ALL).rejected_but_cleared.count, 0, "approved in the end");
}

#[test]
fn what_was_edited_and_then_rejected_is_listed() {
    let only = "permit (principal, action == Action::\"decide\", resource);
        @id(\"veto\") permit (principal, action == Action::\"call\", resource) when { resource.arguments.to == \"veto\" };";
    // The call is rejected before the edit, or after it.
    for before in [false, true] {
        let mut world = World::new(PRESENT);
        let at = world.call("veto", false);
        assert!(!before || world.decide(at, "dan", None, Choice::Reject));
        let edit = world.edit(at, "two");
        assert!(world.decide(at, "cyd", None, edit));
        if !before {
            assert!(world.decide(at, "cyd", None, Choice::Reject) && world.decide(at, "dan", None, Choice::Reject));
        }
        assert!(before == world.cancel(at) || !before);
        let found = world.tried(only).rejected_but_cleared;
        assert_eq!((found.count, found.first[0].revision, &*found.first[0].summary), (1, 1, "pay veto"), "{before}");
    }
}

/// A changed fact, material under the recorded policies, led to a rejection. If it is not material under the candidate,
/// the effect would have started. A change that a connector finds itself stops the call whatever the policies are.
#[test]
fn what_only_a_material_fact_stopped_is_listed() {
    for (material, count) in [(vec!["recipients".to_owned()], 1), (Vec::new(), 0)] {
        let mut world = World::new(PRESENT);
        let at = world.run();
        let (mut proposal, _) = world.judged(&world.subjects[at].id.clone(), "clear");
        proposal.facts = json!({ "recipients": 1 });
        proposal.policy.material = material;
        assert!(world.submit(at, Propose { call: 1, proposed: FirstVerdict::Clear(Box::new(proposal.clone())) }));
        assert!(world.submit(at, Start { perform_within_ms: 1_000 }));
        proposal.facts = json!({ "recipients": 2 });
        let outcome = AttemptOutcome::FactsChanged { reason: "it moved".into(), proposal: Box::new(proposal) };
        assert!(world.submit(at, Finish { attempt: 1, outcome, evidence: None }));
        assert!(world.decide(at, "ann", None, Choice::Reject) && world.decide(at, "ben", None, Choice::Reject));
        let found = world.tried(PRESENT).rejected_but_cleared;
        assert_eq!(found.count, count);
        assert!(found.first.iter().all(|one| one.revision == 1));
    }
}

#[test]
fn what_was_proposed_before_is_no_part_of_a_trial() {
    let mut world = World::new(PRESENT);
    let at = world.call("two", false);
    let refused = world.run();
    let (proposal, _) = world.judged(&world.subjects[refused].id.clone(), "two");
    let proposed = FirstVerdict::Refuse(Box::new(proposal.action), RefusalReason::Invalid("too long".into()), None);
    assert!(world.submit(refused, Propose { call: 1, proposed }));
    world.now = world.now.plus_ms(1_000);
    let since = world.now;
    let edit = world.edit(at, "clear");
    assert!(world.decide(at, "ann", None, edit));
    world.call("one", false);
    let tried = |since| {
        let mut backtest = Backtest::new(Candidate::in_process(policies(ALL)), types(), since);
        backtest.add(world.feed.iter().cloned()).unwrap();
        let report = backtest.report();
        let judged =
            |OutcomeTable(rows): &OutcomeTable| rows.iter().map(|row| row.clear + row.hold + row.refuse).sum::<u64>();
        (judged(&report.calls), judged(&report.revisions), report.without_policy)
    };
    assert_eq!((tried(Time(0)), tried(since)), ((2, 1, 1), (1, 0, 0)));
}

#[test]
fn what_a_grant_cleared_costs_nobody_anything() {
    let mut world = World::new(PRESENT);
    world.call("one", true);
    let tried = world.tried(PRESENT);
    assert_eq!((row(&tried, "cleared by a grant"), row(&tried, "cleared")), ([0, 1, 0], [0, 0, 0]));
    assert_eq!(burden(&tried, ""), (0, 0, 0.0, 0.0));
    let refuse = "permit (principal, action == Action::\"decide\", resource);
        forbid (principal, action == Action::\"call\", resource);";
    let found = world.tried(refuse).approved_but_refused;
    assert_eq!((found.count, &found.first[0].by[..]), (1, &["the grant r.7".to_owned()][..]));
}

#[test]
fn totals_of_a_run_that_is_over_are_forgotten() {
    let mut world = World::new(PRESENT);
    let at = world.call("clear", false);
    assert!(world.submit(at, Start { perform_within_ms: 1_000 }));
    let unknown = Finish { attempt: 1, outcome: AttemptOutcome::Unknown("lost".into()), evidence: None };
    assert!(world.submit(at, unknown) && world.cancel(at));
    let resolution = Resolution::NotDone;
    assert!(world.submit(at, Resolve { attempt: 1, by: "ann".into(), resolution, message: None }));
    let (mut steps, mut found) = (Steps::new(true, Time(0)), Vec::new());
    for (run, recorded) in world.feed {
        steps.follow(run, recorded, &mut found);
    }
    assert_eq!(steps.runs_counted(), 0);
}

#[test]
fn what_was_refused_and_cannot_be_judged_is_counted_apart() {
    let mut world = World::new(PRESENT);
    world.call("refuse", false);
    let errs = "permit (principal, action == Action::\"decide\", resource);
        permit (principal, action == Action::\"call\", resource) when { resource.arguments.n * 9 > 1 };";
    let tried = world.tried(errs);
    assert_eq!((tried.errors, row(&tried, "refused"), burden(&tried, "")), (0, [0; 3], (0, 0, 0.0, 0.0)));
    assert!(format!("{tried:?}").contains("without_facts: 1"));
}

impl World {
    /// A random event of a call.
    fn goes_on(&mut self, at: usize, dice: (u8, u8, u8)) {
        let Some(call) = self.subjects[at].call.clone() else { return };
        let who = ["ann", "ben", "cyd", "dan", "eve"][usize::from(dice.1) % 5];
        let stands_for = [None, None, Some("ann"), Some("dan")][usize::from(dice.2) % 4].filter(|name| *name != who);
        let _ = match (dice.0 % 10, &call.phase) {
            (0, _) => self.cancel(at),
            (1 | 2, _) => self.expire(at),
            (3 | 4, Phase::Held) => self.decide(at, who, stands_for, Choice::Reject),
            (5 | 6, Phase::Held) => {
                let edit = self.edit(at, TO[usize::from(dice.2) % 6]);
                self.decide(at, who, stands_for, edit)
            }
            (_, Phase::Held) => self.decide(at, who, stands_for, Choice::Approve),
            (_, Phase::Cleared { .. } | Phase::Approved { .. }) => self.submit(at, Start { perform_within_ms: 1_000 }),
            (_, Phase::Started) => {
                let proposal = Box::new(call.proposal().unwrap().clone());
                let outcome = AttemptOutcome::FactsChanged { reason: "it moved".into(), proposal };
                self.submit(at, Finish { attempt: call.attempts, outcome, evidence: None })
            }
            _ => false,
        };
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_policies_in_force_save_and_cost_nothing(
        calls in proptest::collection::vec((0..TO.len(), 0..6u8, proptest::collection::vec(any::<(u8, u8, u8)>(), 0..9)), 1..6),
    ) {
        let mut world = World::new(PRESENT);
        for (to, granted, then) in calls {
            let at = world.call(TO[to], granted == 0);
            then.into_iter().for_each(|dice| world.goes_on(at, dice));
        }
        let report = world.tried(PRESENT);
        for of in &report.burden {
            prop_assert_eq!((of.prompts, of.minutes), (of.prompts_then, of.minutes_then), "{:?} {:?}", of, world.feed);
        }
        prop_assert_eq!((report.rejected_but_cleared.count, report.approved_but_refused.count, report.errors), (0, 0, 0));
    }
}
