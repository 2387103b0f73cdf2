//! Grants: who may make a grant and for which calls, and which calls the grant clears. It never clears more, whatever
//! happens between the moment when the driver reads the journal and the moment when it writes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "../../../tests/support/evidence.rs"]
mod evidence;

use std::collections::BTreeMap;

use common::{World, proposal};
use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::command::{AttemptOutcome, Choice, Decide, Finish, FirstVerdict, Propose, Revoke, SetTimer, Start};
use holdshort_gate::grant::NotGranted;
use holdshort_gate::totals::money;
use holdshort_gate::{
    Action, CallId, CallState, Command, Counter, Demand, Digest, EffectClass, EffectKey, FunctionType, Grant,
    GrantRecord, JournalId, Phase, Proposal, RecordedTotal, Refused, Requirement, Reviewers, RevokedBy, RunId, Subject,
    Time, Total, WitType,
};
use proptest::prelude::*;
use serde_json::json;
use stateright::{Checker, HasDiscoveries, Model, Property};

fn names(names: &[&'static str]) -> Reviewers {
    Reviewers::Named(names.iter().map(|name| (*name).into()).collect())
}

fn transfer(component: &[u8], payee: &str, units: u64, currency: &str) -> Action {
    let amount = vec![("minor-units".to_owned(), WitType::U64), ("currency".to_owned(), WitType::String)];
    let params = vec![("payee".to_owned(), WitType::String), ("amount".to_owned(), WitType::Record(amount))];
    let arguments = json!({"payee": payee, "amount": {"minor-units": units.to_string(), "currency": currency}});
    let capability = "acme:bank/pay@1.0.0#pay".parse().unwrap();
    Action::new(Digest::of(component), capability, &FunctionType { params, result: None }, &arguments).unwrap()
}

/// A call that Ann, Bob or Eve can approve alone. Ann and Bob may also make a grant.
fn paying(action: Action) -> Proposal {
    let plain = Requirement::plain(names(&["ann", "bob", "eve"]), 1, 60_000);
    Proposal { action, requirement: Requirement { grantors: names(&["ann", "bob"]), ..plain }, ..proposal("a") }
}

fn grant(until: Time) -> Grant {
    let action = transfer(b"component", "ACME", 100, "EUR");
    Grant {
        agent: "agent".into(),
        component: action.component(),
        capability: action.capability().clone(),
        like: BTreeMap::from([("/payee".to_owned(), json!("ACME"))]),
        calls: 3,
        sums: BTreeMap::from([("EUR".to_owned(), 300)]),
        until,
    }
}

fn made(world: &mut World, by: &'static str, grant: Grant) -> Result<(), Refused> {
    world.decide(by, Choice::Grant(Box::new(grant))).map(drop)
}

#[test]
fn a_grant_is_made_with_an_approval_and_stands_with_its_call() {
    let mut world = World::held(paying(transfer(b"component", "ACME", 100, "EUR")));
    let wanted = grant(world.now.plus_ms(10_000));
    made(&mut world, "ann", wanted.clone()).unwrap();
    assert_eq!(world.phase(), "approved");
    let granted = world.subject.call.clone().unwrap().granted.unwrap();
    assert_eq!((&granted.grant, granted.by.as_str(), granted.revoked), (&wanted, "ann", None));

    // The same decision sent again is recognised as repeated. A decision with another grant is refused.
    assert!(world.decide("ann", Choice::Grant(Box::new(wanted.clone()))).unwrap().repeated);
    assert!(world.decide("ann", Choice::Approve).unwrap().repeated);
    let other = Grant { calls: 2, ..wanted };
    assert!(matches!(made(&mut world, "ann", other), Err(Refused::AlreadyDecided { .. })));

    // Revoking the grant does not change the phase of its call.
    world.pass_ms(5);
    let before = world.subject.call.clone().unwrap();
    world.submit(Revoke { by: "eve".into() }).unwrap();
    world.submit(Revoke { by: "bob".into() }).unwrap();
    let call = world.subject.call.clone().unwrap();
    assert_eq!(call.granted.unwrap().revoked, Some((RevokedBy::Reviewer("eve".into()), world.now)));
    assert_eq!((call.phase, call.changed_at), (before.phase, before.changed_at));
}

/// A grant outlives its call. When the grant is revoked, the run has gone on and waits for something else.
#[test]
fn a_grant_that_is_taken_back_later_leaves_the_run_as_it_is() {
    let mut world = World::held(paying(transfer(b"component", "ACME", 100, "EUR")));
    let until = world.now.plus_ms(10_000);
    made(&mut world, "ann", grant(until)).unwrap();
    world.start().unwrap();
    world.finish(1, AttemptOutcome::Happened(json!(null))).unwrap();
    let first = world.subject.call.clone();
    for waits in ["waiting", "sleeping"] {
        let mut later = World { subject: world.subject.clone(), written: Vec::new(), ..world };
        if waits == "waiting" {
            later.submit(Propose { call: 2, proposed: FirstVerdict::Hold(Box::new(proposal("b"))) }).unwrap();
        } else {
            later.submit(SetTimer { timer: 1, until }).unwrap();
        }
        let run = later.subject.run.clone().unwrap();
        assert_eq!(run.phase.state().as_str(), waits);
        later.subject.call = first.clone();
        later.submit(Revoke { by: "bob".into() }).unwrap();
        assert_eq!(later.written.last().unwrap().name(), "grant-revoked");
        assert_eq!(later.subject.run, Some(run));
    }
}

/// If facts change, the approval with which the grant was made no longer counts, and the grant is revoked, whatever
/// people decide afterwards.
#[test]
fn a_grant_falls_with_its_approval() {
    let proposal = paying(transfer(b"component", "ACME", 100, "EUR"));
    let mut world = World::held(proposal.clone());
    let wanted = grant(world.now.plus_ms(10_000));
    made(&mut world, "ann", wanted.clone()).unwrap();
    world.start().unwrap();
    let outcome = AttemptOutcome::FactsChanged { reason: "the balance".into(), proposal: Box::new(proposal) };
    assert_eq!(world.finish(1, outcome).unwrap(), CallState::Held);
    let granted = world.subject.call.clone().unwrap().granted.unwrap();
    assert_eq!(granted.revoked, Some((RevokedBy::ChangedFacts, world.now)));
    // The grant has the call's name, and its total is counted under this name. So a call can have only one grant.
    assert_eq!(made(&mut world, "ann", wanted), Err(NotGranted::Another.into()));
    assert_eq!(world.phase(), "held");
    world.decide("ann", Choice::Approve).unwrap();
    assert_eq!(world.phase(), "approved");
}

/// A vote that does not count makes no grant: Ann approves for Eve, and then approves again in her own name.
#[test]
fn a_vote_that_does_not_count_makes_no_grant() {
    let mut proposal = paying(transfer(b"component", "ACME", 100, "EUR"));
    let both = |one: &'static str| Demand { reviewers: names(&["ann", one]), quorum: 1 };
    proposal.requirement.stages = vec![vec![both("bob"), Demand { reviewers: names(&["eve", "ann"]), quorum: 1 }]];
    let mut world = World::held(proposal);
    let (signed_in_at, clearance) = (world.now, world.clearance());
    let stands_for = Some("eve".into());
    let decide =
        Decide { reviewer: "ann".into(), stands_for, signed_in_at, clearance, choice: Choice::Approve, message: None };
    world.submit(decide).unwrap();
    assert_eq!(world.phase(), "held", "one demand is met");
    let wanted = grant(world.now.plus_ms(10_000));
    assert_eq!(made(&mut world, "ann", wanted), Err(NotGranted::NotAlone.into()));
}

#[test]
fn a_grant_is_made_by_who_may_of_what_is_up_to_them_alone() {
    let open = paying(transfer(b"component", "ACME", 100, "EUR"));
    let with = |change: &dyn Fn(&mut Requirement)| {
        let mut proposal = open.clone();
        change(&mut proposal.requirement);
        proposal
    };
    let until = Time(1_000_000).plus_ms(1_000);
    let cases: Vec<(Proposal, &str, Grant, Option<NotGranted>)> = vec![
        (open.clone(), "ann", grant(until), None),
        (open.clone(), "eve", grant(until), Some(NotGranted::NotAlone)),
        (with(&|asks| asks.stages[0][0].quorum = 2), "ann", grant(until), Some(NotGranted::NotAlone)),
        (with(&|asks| asks.stages.push(asks.stages[0].clone())), "ann", grant(until), Some(NotGranted::NotAlone)),
        (
            with(&|asks| asks.stages[0].push(Demand { reviewers: names(&["eve"]), quorum: 1 })),
            "ann",
            grant(until),
            Some(NotGranted::NotAlone),
        ),
        (with(&|asks| asks.sign_in_within_ms = Some(60_000)), "ann", grant(until), Some(NotGranted::NotAlone)),
        (with(&|asks| asks.grantors = names(&[])), "ann", grant(until), Some(NotGranted::NotAlone)),
        (open.clone(), "ann", Grant { calls: 0, ..grant(until) }, Some(NotGranted::Calls)),
        (open.clone(), "ann", Grant { calls: 1_001, ..grant(until) }, Some(NotGranted::Calls)),
        (open.clone(), "ann", grant(Time(1_000_000)), Some(NotGranted::Time)),
        (open.clone(), "ann", grant(until.plus_ms(30 * 86_400_000)), Some(NotGranted::Time)),
        (open.clone(), "ann", Grant { sums: BTreeMap::new(), ..grant(until) }, Some(NotGranted::NoSum("EUR".into()))),
        (open.clone(), "ann", Grant { agent: "other".into(), ..grant(until) }, Some(NotGranted::OtherAgent)),
        (open.clone(), "ann", Grant { component: Digest::of(b"x"), ..grant(until) }, Some(NotGranted::OtherAgent)),
        (
            open.clone(),
            "ann",
            Grant { capability: "acme:bank/pay@1.0.0#other".parse().unwrap(), ..grant(until) },
            Some(NotGranted::OtherCapability),
        ),
        (
            open.clone(),
            "ann",
            Grant { like: BTreeMap::from([("/payee".to_owned(), json!("Eve"))]), ..grant(until) },
            Some(NotGranted::Unlike("/payee".into())),
        ),
    ];
    for (proposal, by, grant, refused) in cases {
        let mut world = World::held(proposal);
        let answer = made(&mut world, by, grant.clone());
        assert_eq!(answer, refused.clone().map_or(Ok(()), |why| Err(why.into())), "{by} {grant:?}");
        assert_eq!(world.phase(), if refused.is_some() { "held" } else { "approved" }, "nothing is half done");
    }

    // A grant cannot be made by delegation. Under four-eyes, it cannot be made for an action that the grantor edited.
    let mut world = World::held(open.clone());
    let (signed_in_at, clearance) = (world.now, world.clearance());
    let choice = Choice::Grant(Box::new(grant(until)));
    let stands_for = Some("ann".into());
    let decide = Decide { reviewer: "bob".into(), stands_for, signed_in_at, clearance, choice, message: None };
    assert_eq!(world.submit(decide).unwrap_err(), NotGranted::NotAlone.into());
    let mut question = World::held(Proposal { class: EffectClass::Question, ..open });
    assert!(matches!(made(&mut question, "ann", grant(until)), Err(Refused::WrongKind(_))));
    assert_eq!(question.submit(Revoke { by: "ann".into() }).unwrap_err(), NotGranted::NoSuchGrant.into());
}

/// A journal that holds one grant, and the total that the grant has cleared.
#[derive(Clone, Debug)]
struct Journal {
    granted: GrantRecord,
    used: Total,
}

fn id() -> CallId {
    CallId { run: RunId("first".into()), call: 7 }
}

/// A run that has not made a call yet.
fn run(name: &str) -> Subject {
    let mut subject = World::new().subject;
    (subject.id, subject.key) = (RunId(name.into()), EffectKey(name.into()));
    assert_eq!(subject.journal, JournalId("j".into()));
    subject
}

impl Journal {
    fn made(until: Time) -> Self {
        let granted = GrantRecord { grant: grant(until), by: "ann".into(), at: Time(0), revoked: None };
        Self { granted, used: Total::default() }
    }

    /// The proposal that the driver makes after it has read the journal.
    fn proposed(&self, mut proposal: Proposal) -> Proposal {
        let counter = Counter::of_grant(&id(), proposal.action.capability());
        let totals = vec![RecordedTotal { counter, total: self.used.clone() }];
        proposal.policy = PolicyRecord { totals, grant: Some(id()), ..proposal.policy };
        proposal
    }

    /// Judges a command as the journal does: on the current state. Then adds the calls that the events clear to the
    /// grant's total, and subtracts those that no longer count.
    fn submit<C: Command>(&mut self, subject: &mut Subject, command: C, now: Time) -> Result<C::Output, Refused> {
        let required_state = command.required_state();
        let now_of = |counter| RecordedTotal { counter, total: self.used.clone() };
        subject.totals = required_state.totals.into_iter().map(now_of).collect();
        subject.granted = required_state.grant.filter(|of| *of == id()).map(|_| self.granted.clone());
        let (events, out) = command.decide(subject, now)?;
        for event in events {
            let counts = |subject: &Subject| {
                let call = subject.call.clone().filter(|call| call.counted_at.is_some())?;
                let counters = call.counters(&subject.id, subject.run.as_ref().unwrap());
                counters.contains(&Counter::of_grant(&id(), call.action().capability())).then(|| money(call.action()))
            };
            let before = counts(subject);
            subject.apply(&event, now).unwrap();
            match (before, counts(subject)) {
                (None, Some(money)) => self.used = self.used.with(&money),
                (Some(money), None) => self.used = self.used.without(&money),
                (None, None) | (Some(_), Some(_)) => {}
            }
        }
        Ok(out)
    }
}

/// The properties of a randomly generated call.
#[derive(Clone, Debug)]
struct Wish {
    component: bool,
    payee: bool,
    units: u64,
    euros: bool,
    alone: bool,
    after_ms: u64,
    fails: bool,
    revokes: bool,
}

fn wish() -> impl Strategy<Value = Wish> {
    let mostly = || prop::bool::weighted(0.9);
    let seldom = || prop::bool::weighted(0.1);
    (mostly(), mostly(), 0..160_u64, mostly(), mostly(), 0..120_u64, prop::bool::weighted(0.3), seldom()).prop_map(
        |(component, payee, units, euros, alone, after_ms, fails, revokes)| Wish {
            component,
            payee,
            units,
            euros,
            alone,
            after_ms,
            fails,
            revokes,
        },
    )
}

impl Wish {
    fn proposal(&self) -> Proposal {
        let component: &[u8] = if self.component { b"component" } else { b"another" };
        let payee = if self.payee { "ACME" } else { "ACME Ltd" };
        let mut proposal = paying(transfer(component, payee, self.units, if self.euros { "EUR" } else { "USD" }));
        proposal.requirement.stages[0][0].quorum = if self.alone { 1 } else { 2 };
        proposal
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Compares the gate with a reference that keeps a list of the calls that happened, and adds up the list again for
    /// each call.
    #[test]
    fn a_grant_clears_what_a_plain_reckoning_clears(wishes in prop::collection::vec(wish(), 1..12)) {
        let (mut now, until) = (Time(2_000_000), Time(2_000_000).plus_ms(400));
        let mut journal = Journal::made(until);
        let mut paid: Vec<u64> = Vec::new();
        let mut revoked = false;
        for (number, wish) in wishes.iter().enumerate() {
            now = now.plus_ms(wish.after_ms);
            if wish.revokes {
                journal.granted.revoked = Some((RevokedBy::Reviewer("bob".into()), now));
                revoked = true;
            }
            let room = paid.iter().sum::<u64>() + wish.units <= 300 && paid.len() < 3;
            let is_like = wish.component && wish.payee && wish.euros && wish.alone;
            let expected = is_like && room && now < until && !revoked;

            let mut subject = run(&format!("run-{number}"));
            let proposal = journal.proposed(wish.proposal());
            let proposed = FirstVerdict::Clear(Box::new(proposal));
            let answer = journal.submit(&mut subject, Propose { call: 1, proposed }, now);
            prop_assert_eq!(answer.is_ok(), expected, "{:?} after {:?}", wish, paid);
            if answer.is_ok() {
                prop_assert_eq!(answer.unwrap().state(), CallState::Cleared);
                journal.submit(&mut subject, Start { perform_within_ms: 1_000 }, now).unwrap();
                let outcome = if wish.fails {
                    AttemptOutcome::DidNotHappen("declined".into())
                } else {
                    paid.push(wish.units);
                    AttemptOutcome::Happened(json!("receipt"))
                };
                journal.submit(&mut subject, Finish { attempt: 1, outcome, evidence: None }, now).unwrap();
            } else {
                prop_assert_eq!(answer.unwrap_err(), Refused::TotalsChanged, "policy is asked again");
            }
            prop_assert_eq!(journal.used.count, paid.len() as u64);
            prop_assert_eq!(journal.used.sums.get("EUR").copied().unwrap_or(0), paid.iter().sum::<u64>());
        }
    }
}

/// Runs that use one grant at the same time. Each reads the journal, and later proposes on the basis of the values that
/// it read.
struct Runs;

const RUNS: usize = 3;
/// The amount of one call. The grant's sum is enough for two calls.
const EACH: u64 = 150;

#[derive(Clone, Debug)]
struct State {
    journal: Journal,
    now: u64,
    runs: Vec<(Subject, Option<Proposal>)>,
    /// The model's own record of the runs whose calls the grant cleared and still counts.
    cleared: Vec<usize>,
    /// The number of effects that happened. They cannot be undone.
    happened: usize,
    broken: Option<&'static str>,
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl std::hash::Hash for State {
    fn hash<H: std::hash::Hasher>(&self, hasher: &mut H) {
        self.key().hash(hasher);
    }
}

impl State {
    fn key(&self) -> String {
        let run = |(subject, looked): &(Subject, Option<Proposal>)| {
            let call = subject.call.as_ref().map(|call| (call.phase.state().as_str(), call.revision));
            format!("{call:?} {:?}", looked.as_ref().map(|looked| &looked.policy.totals))
        };
        let runs: Vec<String> = self.runs.iter().map(run).collect();
        let journal = (&self.journal.used, self.journal.granted.revoked.is_some());
        format!("{runs:?} {journal:?} {} {:?} {} {:?}", self.now, self.cleared, self.happened, self.broken)
    }

    fn time(&self) -> Time {
        Time(self.now * 1_000_000)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Look(usize),
    Write(usize),
    Start(usize),
    Succeed(usize),
    Fail(usize),
    FactsChange(usize),
    Approve(usize),
    Revoke,
    Pass,
}

impl Model for Runs {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let runs = (0..RUNS).map(|number| (run(&format!("run-{number}")), None)).collect();
        let (journal, cleared) = (Journal::made(Time(2_000_000)), Vec::new());
        vec![State { journal, now: 0, runs, cleared, happened: 0, broken: None }]
    }

    fn actions(&self, _: &State, steps: &mut Vec<Step>) {
        for run in 0..RUNS {
            steps.extend([Step::Look(run), Step::Write(run), Step::Start(run), Step::Succeed(run), Step::Fail(run)]);
            steps.extend([Step::FactsChange(run), Step::Approve(run)]);
        }
        steps.extend([Step::Revoke, Step::Pass]);
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        let now = state.time();
        let State { journal, runs, cleared, happened, broken, .. } = &mut state;
        let wanted = || paying(transfer(b"component", "ACME", EACH, "EUR"));
        let finish = |outcome| Finish { attempt: 1, outcome, evidence: None };
        match step {
            Step::Look(run) => {
                let (subject, looked) = &mut runs[run];
                subject.call.is_none().then_some(())?;
                *looked = Some(journal.proposed(wanted()));
            }
            Step::Write(run) => {
                let (subject, looked) = &mut runs[run];
                let proposed = FirstVerdict::Clear(Box::new(looked.take()?));
                journal.submit(subject, Propose { call: 1, proposed }, now).ok()?;
                let over = now >= Time(2_000_000) || journal.granted.revoked.is_some();
                *broken = broken.or(over.then_some("it cleared when it was over"));
                cleared.push(run);
            }
            Step::Start(run) => drop(journal.submit(&mut runs[run].0, Start { perform_within_ms: 1_000 }, now).ok()?),
            Step::Succeed(run) => {
                journal.submit(&mut runs[run].0, finish(AttemptOutcome::Happened(json!("receipt"))), now).ok()?;
                *happened += usize::from(cleared.contains(&run));
            }
            Step::Fail(run) => {
                journal.submit(&mut runs[run].0, finish(AttemptOutcome::DidNotHappen("declined".into())), now).ok()?;
                cleared.retain(|one| *one != run);
            }
            // Reviewers then decide on the call, and a call that they approve is no longer counted for the grant.
            Step::FactsChange(run) => {
                let proposal = Box::new(runs[run].0.call.as_ref()?.proposal()?.clone());
                let outcome = AttemptOutcome::FactsChanged { reason: "a fact".into(), proposal };
                journal.submit(&mut runs[run].0, finish(outcome), now).ok()?;
                cleared.retain(|one| *one != run);
            }
            Step::Approve(run) => {
                let subject = &mut runs[run].0;
                let clearance = subject.call.as_ref()?.clearance?;
                let (reviewer, choice) = ("eve".into(), Choice::Approve);
                let decide = Decide { reviewer, stands_for: None, signed_in_at: now, clearance, choice, message: None };
                (!journal.submit(subject, decide, now).ok()?.repeated).then_some(())?;
            }
            Step::Revoke => {
                journal.granted.revoked.is_none().then_some(())?;
                journal.granted.revoked = Some((RevokedBy::Reviewer("bob".into()), now));
            }
            Step::Pass => {
                state.now += 1;
                (state.now <= 2).then_some(())?;
            }
        }
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a grant does not outlive its sum", |_, state: &State| {
                state.cleared.len() as u64 * EACH <= 300 && state.happened as u64 * EACH <= 300
            }),
            Property::always("nothing is cleared when it is over", |_, state: &State| state.broken.is_none()),
            Property::always("the journal's count is the model's", |_, state: &State| {
                state.journal.used.count == state.cleared.len() as u64
            }),
            Property::sometimes("two are cleared and happen", |_, state: &State| state.happened == 2),
            Property::sometimes("one that failed leaves its room to a third", |_, state: &State| {
                state.happened == 2 && state.runs.iter().all(|(run, _)| run.call.is_some())
            }),
            Property::sometimes("people approve what was cleared and whose facts changed", |_, state: &State| {
                let mut calls = state.runs.iter().filter_map(|(run, _)| run.call.as_ref());
                calls.any(|call| call.revision == 2 && matches!(call.phase, Phase::Approved { .. }))
            }),
            Property::sometimes("it is revoked between the look and the write", |_, state: &State| {
                state.journal.granted.revoked.is_some() && state.runs.iter().any(|(_, looked)| looked.is_some())
            }),
        ]
    }
}

#[test]
fn runs_that_use_one_grant_at_once_never_use_more_of_it() {
    let checker = Runs.checker().finish_when(HasDiscoveries::AnyFailures).threads(2).spawn_dfs().join();
    let states = checker.unique_state_count();
    println!("{states} states");
    checker.assert_properties();
    assert!(states > 7_000, "{states} states are fewer than there were: something is not tried any more");
    evidence::figure("T1", "states of runs that share a grant", states as u64);
}
