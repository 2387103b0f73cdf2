//! Who must approve, in which order and how recently. All rules are then tested once more against a reference that is
//! slow and simple.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{World, action, edit, proposal};
use holdshort_gate::approval::NotEligible;
use holdshort_gate::command::{
    AttemptOutcome, Choice, Decide, DecisionOutcome, Expire, FirstVerdict, Propose, Resolve, Revision,
};
use holdshort_gate::totals::{counters, day, money};
use holdshort_gate::{
    CallState, Demand, Escalation, Proposal, RecordedTotal, RefusalReason, Refused, Requirement, Resolution,
    ReviewerName, Reviewers, RunId, Time, Total,
};
use proptest::prelude::*;

fn named(names: &[&'static str]) -> Reviewers {
    Reviewers::Named(names.iter().map(|name| (*name).into()).collect())
}

fn demand(names: &[&'static str], quorum: u32) -> Demand {
    Demand { reviewers: named(names), quorum }
}

/// A proposal whose requirement has these stages.
fn staged(stages: Vec<Vec<Demand>>) -> Proposal {
    let plain = Requirement::plain(Reviewers::Any, 1, 60_000);
    Proposal { requirement: Requirement { stages, ..plain }, ..proposal("a") }
}

/// A world whose call needs two of the team first, and then a chief.
fn team_then_chief(change: impl Fn(&mut Requirement)) -> World {
    let mut proposal = staged(vec![vec![demand(&["rita", "rolf", "olga"], 2)], vec![demand(&["ruth", "rolf"], 1)]]);
    change(&mut proposal.requirement);
    World::held(proposal)
}

/// Sets a deadline after one hour, and another hour for the reviewers of the escalation.
fn escalated(requirement: &mut Requirement) {
    requirement.expires_at = Some(Time(1_000_000).plus_ms(3_600_000));
    requirement.escalations = vec![Escalation { reviewers: named(&["sam"]), within_ms: 3_600_000 }];
}

fn approve(world: &mut World, who: &'static str) -> Result<(CallState, u32), Refused> {
    world.decide(who, Choice::Approve).map(|outcome| (outcome.state, outcome.still_needed))
}

/// A decision by delegation; the delegate has just signed in.
fn for_another(
    world: &mut World,
    who: &'static str,
    whom: &'static str,
    choice: Choice,
) -> Result<DecisionOutcome, Refused> {
    let (clearance, signed_in_at) = (world.clearance(), world.now);
    let (reviewer, stands_for) = (who.into(), Some(whom.into()));
    world.submit(Decide { reviewer, stands_for, signed_in_at, clearance, choice, message: None })
}

fn signed_in(world: &mut World, who: &'static str, ms_ago: u64) -> Result<DecisionOutcome, Refused> {
    let signed_in_at = Time(world.now.0 - ms_ago * 1_000);
    let (reviewer, clearance) = (who.into(), world.clearance());
    world.submit(Decide { reviewer, stands_for: None, signed_in_at, clearance, choice: Choice::Approve, message: None })
}

#[test]
fn stages_come_one_after_the_other() {
    let mut world = team_then_chief(|_| ());
    assert_eq!(approve(&mut world, "ruth"), Err(NotEligible::NotYet.into()));
    assert_eq!(approve(&mut world, "eve"), Err(NotEligible::NotNamed.into()));
    assert_eq!(approve(&mut world, "rita"), Ok((CallState::Held, 2)));
    assert_eq!(approve(&mut world, "rolf"), Ok((CallState::Held, 1)));
    assert_eq!(approve(&mut world, "olga"), Err(NotEligible::NotAnyMore.into()));
    // Rolf is named in both stages and has voted already.
    assert!(world.decide("rolf", Choice::Approve).unwrap().repeated);
    assert!(world.start().is_err());
    assert_eq!(approve(&mut world, "ruth"), Ok((CallState::Approved, 0)));
    world.start().unwrap();
}

#[test]
fn one_person_counts_for_every_demand_of_a_stage() {
    let both = || staged(vec![vec![demand(&["rita", "rolf"], 1), demand(&["rolf", "ruth"], 1)]]);
    let mut world = World::held(both());
    assert_eq!(approve(&mut world, "rolf"), Ok((CallState::Approved, 0)));
    let mut world = World::held(both());
    assert_eq!(approve(&mut world, "rita"), Ok((CallState::Held, 1)));
    assert_eq!(approve(&mut world, "ruth"), Ok((CallState::Approved, 0)));
}

#[test]
fn the_last_word_counts() {
    let mut world = team_then_chief(|r| r.rejections = 2);
    approve(&mut world, "rita").unwrap();
    for _ in 0..2 {
        let outcome = world.decide("rita", Choice::Reject).unwrap();
        assert_eq!((outcome.state, outcome.still_needed, outcome.repeated), (CallState::Held, 3, false));
        assert!(world.decide("rita", Choice::Reject).unwrap().repeated);
        assert_eq!(approve(&mut world, "rita"), Ok((CallState::Held, 2)));
    }
    assert_eq!(world.subject.call.as_ref().unwrap().rejections_needed(), 2, "she took it back");
    approve(&mut world, "rolf").unwrap();
    // A finished stage stays finished, even if one of its reviewers rejects now.
    assert_eq!(world.decide("rolf", Choice::Reject).unwrap().still_needed, 1);
    assert_eq!(world.decide("eve", Choice::Reject), Err(NotEligible::NotNamed.into()));
    assert_eq!(world.decide("ruth", Choice::Reject).unwrap().state, CallState::Rejected);
}

#[test]
fn four_eyes_bars_who_acts_and_who_is_stood_for() {
    let mut world = team_then_chief(|r| (r.four_eyes, r.rejections) = (true, 2));
    let started = Err(NotEligible::StartedTheRun.into());
    assert_eq!(approve(&mut world, "olga"), started);
    let acts = |world: &mut World, who: &'static str, whom: &'static str| {
        for_another(world, who, whom, Choice::Approve).map(|outcome| (outcome.state, outcome.still_needed))
    };
    assert_eq!(acts(&mut world, "olga", "rita"), started);
    assert_eq!(acts(&mut world, "eve", "olga"), started);
    assert_eq!(acts(&mut world, "rita", "eve"), Err(NotEligible::NotNamed.into()), "the right is not hers, but eve's");
    assert_eq!(acts(&mut world, "eve", "rita"), Ok((CallState::Held, 2)));
    // Neither the delegate nor the absent reviewer counts a second time.
    for (who, whom) in [("eve", "rolf"), ("rita", "rolf")] {
        assert!(for_another(&mut world, who, whom, Choice::Approve).unwrap().repeated, "{who}");
    }
    assert!(world.decide("rita", Choice::Approve).unwrap().repeated);
    assert_eq!(approve(&mut world, "rolf"), Ok((CallState::Held, 1)));
    // A delegate's rejection counts once, also if the delegate acts for two people.
    for whom in ["ruth", "rolf"] {
        assert_eq!(for_another(&mut world, "sam", whom, Choice::Reject).unwrap().state, CallState::Held, "{whom}");
    }
    let call = world.subject.call.as_ref().unwrap();
    assert_eq!((call.rejections.len(), call.rejections_needed()), (1, 1));
}

#[test]
fn who_approves_has_signed_in_lately() {
    let mut world = team_then_chief(|r| r.sign_in_within_ms = Some(500));
    assert_eq!(signed_in(&mut world, "rita", 501), Err(NotEligible::SignInAgain.into()));
    assert_eq!(signed_in(&mut world, "rita", 500).unwrap().still_needed, 2);
    // The gate does not check the sign-in of an editor, so the editor's own vote does not count here.
    assert_eq!(world.decide("rita", edit("b")).unwrap().still_needed, 3);
}

#[test]
fn an_escalation_calls_others_in_and_forgets_nothing() {
    let mut world = team_then_chief(|r| {
        escalated(r);
        r.rejections = 2;
    });
    approve(&mut world, "rita").unwrap();
    world.decide("ruth", Choice::Reject).unwrap();
    let call = |world: &World| world.subject.call.clone().unwrap();
    assert_eq!(approve(&mut world, "sam"), Err(NotEligible::NotNamed.into()));
    assert_eq!(world.submit(Expire), Err(Refused::NotDue));
    world.pass_ms(3_600_000);
    assert!(!call(&world).has_expired(world.now), "others can still be called in");
    let clearance = world.clearance();
    world.submit(Expire).unwrap();
    assert_eq!((call(&world).level, call(&world).deadline()), (1, Some(world.now.plus_ms(3_600_000))));
    assert_eq!(world.submit(Expire), Err(Refused::NotDue));
    assert_eq!((world.clearance(), call(&world).votes.len(), call(&world).rejections.len()), (clearance, 1, 1));
    let mut rejected = World { subject: world.subject.clone(), now: world.now, written: Vec::new() };
    assert_eq!(rejected.decide("sam", Choice::Reject).unwrap().state, CallState::Rejected, "the earlier one stands");
    assert_eq!(approve(&mut world, "sam"), Ok((CallState::Held, 1)));
    let mut late = World { subject: world.subject.clone(), now: world.now, written: Vec::new() };
    late.pass_ms(3_600_000);
    assert!(call(&late).has_expired(late.now));
    assert_eq!(approve(&mut late, "rolf"), Err(Refused::Expired));
    late.submit(Expire).unwrap();
    assert_eq!(late.phase(), "expired");
    assert_eq!(approve(&mut world, "rolf"), Ok((CallState::Approved, 0)));
    world.start().unwrap();
}

#[test]
fn who_was_called_in_counts_after_an_edit_too() {
    let mut world = team_then_chief(escalated);
    world.pass_ms(3_600_000);
    world.submit(Expire).unwrap();
    let deadline = world.subject.call.as_ref().unwrap().deadline();
    let proposal =
        Proposal { action: action("b"), ..team_then_chief(|_| ()).subject.call.unwrap().proposal().unwrap().clone() };
    let edited = world.decide("sam", Choice::Edit(Box::new(Revision { proposal }))).unwrap();
    assert_eq!((edited.state, edited.still_needed), (CallState::Held, 2), "the editor's own vote counts");
    let call = world.subject.call.as_ref().unwrap();
    assert_eq!((call.level, call.deadline()), (0, deadline));
    // Policy demands more than the first requirement. The additional demand can be met only by the reviewers that
    // policy names, not by those of the escalation.
    let more = staged(vec![vec![demand(&["rita", "rolf"], 3)]]);
    let edited = world.decide("sam", Choice::Edit(Box::new(Revision { proposal: more }))).unwrap();
    assert_eq!(edited.still_needed, 4);
}

#[test]
fn facts_that_changed_give_the_time_again() {
    let mut world = World::held(team_then_chief(escalated).subject.call.unwrap().proposal().unwrap().clone());
    world.pass_ms(3_600_000);
    world.submit(Expire).unwrap();
    for who in ["rita", "sam", "rolf"] {
        approve(&mut world, who).unwrap();
    }
    world.start().unwrap();
    world.pass_ms(1_000);
    let proposal = Box::new(world.subject.call.as_ref().unwrap().proposal().unwrap().clone());
    world.finish(1, AttemptOutcome::FactsChanged { reason: "moved".into(), proposal }).unwrap();
    let call = world.subject.call.as_ref().unwrap();
    assert_eq!((call.level, call.stage, call.votes.len()), (0, 0, 0));
    assert_eq!(call.deadline(), Some(world.now.plus_ms(3_600_000)));
    assert_eq!(approve(&mut world, "sam"), Err(NotEligible::NotNamed.into()), "nobody is called in yet");
}

#[test]
fn a_verdict_counts_while_its_totals_are_so() {
    let mut world = World::new();
    let counter =
        counters(&RunId("r".into()), &"agent".into(), proposal("a").action.capability(), world.now)[1].clone();
    let counted = RecordedTotal { counter, total: Total::default() };
    let policy = || common::with_totals(vec![counted.clone()]);
    let of = |policy| Proposal { policy, ..proposal("a") };
    let refusal = || RefusalReason::Forbidden("enough".into());
    for proposed in [
        FirstVerdict::Clear(Box::new(of(policy()))),
        FirstVerdict::Hold(Box::new(of(policy()))),
        FirstVerdict::Refuse(Box::new(action("a")), refusal(), Some(Box::new(policy()))),
    ] {
        let propose = Propose { call: 1, proposed };
        assert_eq!(holdshort_gate::Command::required_state(&propose).totals, std::slice::from_ref(&counted.counter));
        world.subject.totals = vec![RecordedTotal { total: counted.total.with(&BTreeMap::new()), ..counted.clone() }];
        assert_eq!(world.submit(propose.clone()), Err(Refused::TotalsChanged));
        world.subject.totals.clear();
        assert_eq!(world.submit(propose.clone()), Err(Refused::TotalsChanged), "nor on nothing");
        let mut same = World { subject: world.subject.clone(), now: world.now, written: Vec::new() };
        same.subject.totals = vec![counted.clone()];
        same.submit(propose).unwrap();
    }
}

#[test]
fn what_certainly_did_not_happen_is_in_no_total() {
    let counted = |world: &World| world.subject.call.as_ref().unwrap().counted_at;
    let mut world = World::held(proposal("a"));
    assert_eq!(counted(&world), None);
    world.pass_ms(5);
    let approved = world.now;
    approve(&mut world, "rita").unwrap();
    world.pass_ms(5);
    world.start().unwrap();
    world.finish(1, AttemptOutcome::Unknown("lost".into())).unwrap();
    assert_eq!(counted(&world), Some(approved), "it may have happened");
    let settle = Resolve { attempt: 1, by: "rita".into(), resolution: Resolution::NotDone, message: None };
    world.submit(settle).unwrap();
    assert_eq!(counted(&world), None);
    assert_eq!((day(Time(86_399_999_999)), day(Time(86_400_000_000))), (0, 1));
    assert!(money(&action("{\"minor-units\":\"5\",\"currency\":\"EUR\"}")).is_empty(), "a text moves no money");
    let (euros, more) = (BTreeMap::from([("EUR".to_owned(), 5)]), BTreeMap::from([("CHF".to_owned(), 7)]));
    let both = Total::default().with(&euros).with(&more);
    assert_eq!((both.count, both.sums.len()), (2, 2));
    assert_eq!(both.without(&euros), Total::default().with(&more));
}

const PEOPLE: [&str; 5] = ["olga", "ann", "bob", "dan", "eve"];

/// A random set of reviewers: any reviewer, or one to three names.
fn some() -> impl Strategy<Value = Reviewers> {
    prop_oneof![
        1 => Just(Reviewers::Any),
        5 => proptest::sample::subsequence(&PEOPLE[..], 1..4).prop_map(|names| named(&names)),
    ]
}

/// Bob acts for Ann in the first stage and is named himself in the second. If Bob voted for Ann, the second stage would
/// lack him, and nobody could replace him.
#[test]
fn who_is_asked_later_stands_for_nobody_before() {
    let named = |name: &'static str| Demand { reviewers: Reviewers::Named(vec![name.into()]), quorum: 1 };
    let mut world = World::held(staged(vec![vec![named("ann")], vec![named("bob")]]));
    let (signed_in_at, clearance) = (world.now, world.clearance());
    let decide = |reviewer: &'static str, stands_for: &'static str| Decide {
        reviewer: reviewer.into(),
        stands_for: Some(stands_for.into()),
        signed_in_at,
        clearance,
        choice: Choice::Approve,
        message: None,
    };
    assert_eq!(world.submit(decide("bob", "ann")).unwrap_err(), NotEligible::NeededLater.into());
    world.submit(decide("eve", "ann")).unwrap();
    world.decide("bob", Choice::Approve).unwrap();
    assert_eq!(world.phase(), "approved");
}

/// Bob acts for Ann. Only Ann can change a decision that she made in her own name.
#[test]
fn nobody_is_overruled_in_their_own_place() {
    let mut requirement = Requirement::plain(named(&["ann", "eve", "dan"]), 2, 60_000);
    requirement.rejections = 2;
    for (own, other) in
        [(Choice::Reject, Choice::Approve), (Choice::Reject, edit("b")), (Choice::Approve, Choice::Reject)]
    {
        let mut world = World::held(Proposal { requirement: requirement.clone(), ..proposal("a") });
        world.decide("ann", own.clone()).unwrap();
        assert_eq!(
            for_another(&mut world, "bob", "ann", other.clone()).unwrap_err(),
            NotEligible::SaidOtherwise.into()
        );
        for_another(&mut world, "bob", "eve", other).unwrap();
        world.decide("ann", own).unwrap();
    }
    let mut world = World::held(Proposal { requirement, ..proposal("a") });
    world.decide("ann", Choice::Reject).unwrap();
    world.decide("ann", Choice::Approve).unwrap();
    assert_eq!(approve(&mut world, "eve").unwrap().0, CallState::Approved, "her own mind she may change");
}

fn requirements() -> impl Strategy<Value = Requirement> {
    let demand = (some(), 1..3_u32).prop_map(|(reviewers, quorum)| Demand { reviewers, quorum });
    let stages = prop::collection::vec(prop::collection::vec(demand, 1..3), 1..4);
    let escalation =
        (some(), 1..4_u64).prop_map(|(reviewers, steps)| Escalation { reviewers, within_ms: steps * 1_000 });
    let times = (prop::option::of(1..4_u64), prop::collection::vec(escalation, 0..3));
    (stages, any::<bool>(), 1..4_u32, times, prop::option::of(Just(500))).prop_map(
        |(stages, four_eyes, rejections, (expires, escalations), sign_in_within_ms)| Requirement {
            stages,
            four_eyes,
            rejections,
            expires_at: expires.map(|steps| Time(1_000_000).plus_ms(steps * 1_000)),
            escalations,
            grantors: Reviewers::Any,
            sign_in_within_ms,
            start_within_ms: 1_000_000,
        },
    )
}

/// A step of a random test. A person is an index into `PEOPLE`, which also names people who are no reviewers: they try
/// the steps too.
#[derive(Clone, Debug)]
enum Deed {
    Approve { who: usize, whom: usize, fresh: bool },
    Reject { who: usize, whom: usize },
    Edit(usize),
    Pass,
    Expire,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let who = || 0..PEOPLE.len();
    let stood_for = || prop_oneof![4 => Just(usize::MAX), 1 => who()];
    let deed = prop_oneof![
        8 => (who(), stood_for(), prop::bool::weighted(0.9)).prop_map(|(who, whom, fresh)| Deed::Approve { who, whom, fresh }),
        3 => (who(), stood_for()).prop_map(|(who, whom)| Deed::Reject { who, whom }),
        1 => who().prop_map(Deed::Edit),
        1 => Just(Deed::Pass),
        2 => Just(Deed::Expire),
    ];
    prop::collection::vec(deed, 1..25)
}

/// A second version of the rules, written from their description. It keeps no stages and no votes, only a list of all
/// decisions on this revision.
struct Reference {
    requirement: Requirement,
    /// The decisions, each with the person who decided, the person for whom the decision counts, and whether it was an
    /// approval. `None` stands for an escalation.
    said: Vec<Option<(String, String, bool)>>,
    called_in: usize,
    due: Option<Time>,
    edited_by: Option<String>,
    phase: &'static str,
}

impl Reference {
    fn of(requirement: Requirement) -> Self {
        let due = requirement.expires_at;
        Self { requirement, said: Vec::new(), called_in: 0, due, edited_by: None, phase: "held" }
    }

    fn is_of(of: &Reviewers, name: &str) -> bool {
        *of == Reviewers::Any || matches!(of, Reviewers::Named(names) if names.contains(&ReviewerName::new(name)))
    }

    /// Whether a demand of a stage names this person, after `called_in` escalations.
    fn asked(&self, demand: &Demand, name: &str, called_in: usize) -> bool {
        let others = &self.requirement.escalations[..called_in];
        Self::is_of(&demand.reviewers, name) || others.iter().any(|other| Self::is_of(&other.reviewers, name))
    }

    fn lacks(&self, stage: usize, approvers: &BTreeSet<&str>, called_in: usize) -> usize {
        let lacks = |demand: &Demand| {
            let found = approvers.iter().filter(|name| self.asked(demand, name, called_in)).count();
            (demand.quorum as usize).saturating_sub(found)
        };
        self.requirement.stages[stage].iter().map(lacks).max().unwrap()
    }

    /// Replays the decisions on this revision from its beginning. Returns the approvals of each stage and the
    /// rejections that still count, each as the person who decided and the person for whom the decision counts.
    #[allow(clippy::type_complexity, reason = "only this test takes it apart")]
    fn story(&self) -> (Vec<Vec<(&str, &str)>>, Vec<(&str, &str)>) {
        let mut stages: Vec<Vec<(&str, &str)>> = vec![Vec::new()];
        let mut no: Vec<(&str, &str)> = Vec::new();
        let mut called_in = 0;
        for said in &self.said {
            let Some((who, right, yes)) = said else {
                called_in += 1;
                self.go_on(&mut stages, called_in);
                continue;
            };
            let (who, right) = (who.as_str(), right.as_str());
            let touches = |pair: &(&str, &str)| [pair.0, pair.1].iter().any(|name| *name == who || *name == right);
            no.retain(|said| said.1 != right);
            let now = stages.len() - 1;
            stages[now].retain(|said| said.1 != right);
            if !yes {
                if !no.iter().any(touches) {
                    no.push((who, right));
                }
            } else if !stages.iter().flatten().any(touches) {
                stages[now].push((who, right));
                self.go_on(&mut stages, called_in);
            }
        }
        (stages, no)
    }

    /// Begins the next stage if the current stage has all its approvals. An additional empty stage means that all
    /// stages are finished.
    fn go_on(&self, stages: &mut Vec<Vec<(&str, &str)>>, called_in: usize) {
        let now = stages.len() - 1;
        let rights = stages[now].iter().map(|(_, right)| *right).collect();
        if self.lacks(now, &rights, called_in) == 0 {
            stages.push(Vec::new());
        }
    }

    /// Whether this approval is refused, for whatever reason.
    fn refuses(&self, who: &str, right: &str, fresh: bool) -> bool {
        let (stages, _) = self.story();
        let now = &self.requirement.stages[stages.len() - 1];
        let has_said_so = stages.iter().flatten().any(|(who, of)| *who == right || *of == right);
        let asked = |demand: &Demand| self.asked(demand, right, self.called_in);
        let barred =
            |name: &str| self.requirement.four_eyes && (name == "olga" || self.edited_by.as_deref() == Some(name));
        // A person who is named for a later stage is needed there, also if an escalation called the person in.
        let named = |demand: &Demand| demand.reviewers.includes(&ReviewerName::new(who));
        let needed_later = who != right && self.requirement.stages[stages.len()..].iter().flatten().any(named);
        barred(who)
            || needed_later
            || (!has_said_so && (barred(right) || !now.iter().any(asked)))
            || (self.requirement.sign_in_within_ms.is_some() && !fresh)
    }

    /// Whether this decision equals the last decision that counts for the same person. Such a repetition is legal and
    /// changes nothing.
    fn is_last_word(&self, who: &str, right: &str, yes: bool) -> bool {
        let last = self.said.iter().flatten().rev().find(|(_, of, _)| of == right);
        last.is_some_and(|said| *said == (who.into(), right.into(), yes))
    }

    fn is_asked_at_all(&self, right: &str) -> bool {
        self.requirement.stages.iter().flatten().any(|demand| self.asked(demand, right, self.called_in))
    }

    /// How many people are still needed: the sum of the approvals that each unfinished stage lacks.
    fn still_needed(&self) -> usize {
        if self.phase != "held" {
            return 0;
        }
        let (stages, _) = self.story();
        let now = stages.len() - 1;
        let rights = stages[now].iter().map(|(_, right)| *right).collect();
        let later =
            (now + 1..self.requirement.stages.len()).map(|stage| self.lacks(stage, &BTreeSet::new(), self.called_in));
        self.lacks(now, &rights, self.called_in) + later.sum::<usize>()
    }

    fn settle(&mut self) {
        let (stages, no) = self.story();
        let (done, enough) =
            (stages.len() > self.requirement.stages.len(), no.len() >= self.requirement.rejections as usize);
        self.phase = if enough {
            "rejected"
        } else if done {
            "approved"
        } else {
            "held"
        };
    }

    /// Whether the step is legal, as the gate should judge it.
    fn follow(&mut self, deed: &Deed, now: Time) -> bool {
        let over = self.due.is_some_and(|due| now >= due);
        let lapsed = over && self.called_in == self.requirement.escalations.len();
        let name = |at: &usize| PEOPLE.get(*at).copied();
        match deed {
            Deed::Pass => {}
            Deed::Approve { who, whom, fresh } => {
                let (who, right) = (PEOPLE[*who], name(whom).unwrap_or(PEOPLE[*who]));
                if self.is_last_word(who, right, true) {
                    return true;
                }
                if self.phase != "held" || lapsed || !self.is_asked_at_all(right) || self.refuses(who, right, *fresh) {
                    return false;
                }
                if who != right && self.story().1.contains(&(right, right)) {
                    return false;
                }
                // Another approval changes nothing if the person has approved already, or a delegate has for them, and
                // the person has not rejected since.
                let (stages, no) = self.story();
                let touches = |said: &(&str, &str)| [said.0, said.1].iter().any(|name| *name == who || *name == right);
                if stages.iter().flatten().any(touches) && !no.iter().any(touches) {
                    return true;
                }
                self.said.push(Some((who.into(), right.into(), true)));
                self.settle();
            }
            Deed::Reject { who, whom } => {
                let (who, right) = (PEOPLE[*who], name(whom).unwrap_or(PEOPLE[*who]));
                if self.is_last_word(who, right, false) {
                    return true;
                }
                if self.phase != "held" || lapsed || !self.is_asked_at_all(right) {
                    return false;
                }
                if who != right && self.story().0.last().is_some_and(|now| now.contains(&(right, right))) {
                    return false;
                }
                self.said.push(Some((who.into(), right.into(), false)));
                self.settle();
            }
            Deed::Edit(who) => {
                if self.phase != "held" || over || !self.is_asked_at_all(PEOPLE[*who]) {
                    return false;
                }
                // The reviewers of past escalations join every demand of the new requirement. The deadline stays.
                let gone: Vec<_> = self.requirement.escalations.drain(..self.called_in).collect();
                for demand in self.requirement.stages.iter_mut().flatten() {
                    for other in &gone {
                        let names = PEOPLE
                            .iter()
                            .filter(|name| Self::is_of(&demand.reviewers, name) || Self::is_of(&other.reviewers, name));
                        let all = demand.reviewers == Reviewers::Any || other.reviewers == Reviewers::Any;
                        demand.reviewers =
                            if all { Reviewers::Any } else { named(&names.copied().collect::<Vec<_>>()) };
                    }
                }
                // A demand that is always met together with another demand of its stage is removed.
                for stage in &mut self.requirement.stages {
                    let mut at = 0;
                    while let Some(demand) = stage.get(at) {
                        let implied = stage.iter().enumerate().any(|(other, more)| {
                            let within = more.reviewers.is_subset_of(&demand.reviewers);
                            let twin = within
                                && demand.reviewers.is_subset_of(&more.reviewers)
                                && demand.quorum == more.quorum;
                            at != other && within && more.quorum >= demand.quorum && (!twin || other < at)
                        });
                        if implied {
                            stage.remove(at);
                        } else {
                            at += 1;
                        }
                    }
                }
                (self.called_in, self.edited_by) = (0, Some(PEOPLE[*who].into()));
                self.said.clear();
                let first = self.requirement.stages[0].iter().any(|demand| self.asked(demand, PEOPLE[*who], 0));
                if first && !self.requirement.four_eyes && self.requirement.sign_in_within_ms.is_none() {
                    self.said.push(Some((PEOPLE[*who].into(), PEOPLE[*who].into(), true)));
                }
                self.settle();
            }
            Deed::Expire if self.phase != "held" || !over => return false,
            Deed::Expire if lapsed => self.phase = "expired",
            Deed::Expire => {
                self.due = Some(now.plus_ms(self.requirement.escalations[self.called_in].within_ms));
                self.called_in += 1;
                self.said.push(None);
                self.settle();
            }
        }
        true
    }
}

fn play(world: &mut World, deed: &Deed, count: usize) -> bool {
    let name = |at: &usize| PEOPLE.get(*at).map(|name| ReviewerName::from(*name));
    let clearance = world.clearance();
    let decide = |who: &usize, whom: &usize, fresh: bool, choice| Decide {
        reviewer: PEOPLE[*who].into(),
        stands_for: name(whom).filter(|name| *name != PEOPLE[*who]),
        signed_in_at: Time(if fresh { 1_000_000_000_000 } else { 0 }),
        clearance,
        choice,
        message: None,
    };
    match deed {
        Deed::Pass => {
            world.pass_ms(1_000);
            true
        }
        Deed::Approve { who, whom, fresh } => world.submit(decide(who, whom, *fresh, Choice::Approve)).is_ok(),
        Deed::Reject { who, whom } => world.submit(decide(who, whom, true, Choice::Reject)).is_ok(),
        Deed::Edit(who) => {
            // Policy asks for the same requirement, with a deadline that is far enough away.
            let old = world.subject.call.as_ref().unwrap().proposal().unwrap().clone();
            let requirement = Requirement { expires_at: None, ..old.requirement };
            let proposal = Proposal { action: action(&format!("{count}")), requirement, ..old };
            world.submit(decide(who, &usize::MAX, true, Choice::Edit(Box::new(Revision { proposal })))).is_ok()
        }
        Deed::Expire => world.submit(Expire).is_ok(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn the_gate_goes_by_the_rules(requirement in requirements(), deeds in deeds()) {
        let mut world = World::held(Proposal { requirement: requirement.clone(), ..proposal("a") });
        let mut reference = Reference::of(requirement);
        world.pass_ms(1_000);
        for (count, deed) in deeds.iter().enumerate() {
            if reference.phase != "held" {
                break;
            }
            let now = world.now;
            let (legal, found) = (reference.follow(deed, now), play(&mut world, deed, count));
            prop_assert_eq!(legal, found, "is {:?} legal, after {:?}", deed, &deeds[..count]);
            let call = world.subject.call.as_ref().unwrap();
            prop_assert_eq!(call.phase.state().as_str(), reference.phase, "after {:?}", &deeds[..=count]);
            prop_assert_eq!(call.still_needed() as usize, reference.still_needed(), "after {:?}", &deeds[..=count]);
            if reference.phase == "held" {
                prop_assert_eq!(call.deadline(), reference.due, "after {:?}", &deeds[..=count]);
                let (stages, no) = reference.story();
                prop_assert_eq!(call.stage, stages.len() - 1);
                prop_assert_eq!(call.rejections.len(), no.len());
                for name in PEOPLE {
                    let has_voted = stages.iter().flatten().any(|(who, right)| *who == name || *right == name);
                    let may = !reference.refuses(name, name, true) && reference.is_asked_at_all(name) && !has_voted;
                    let found = call.admits_approval(&name.into(), &"olga".into()).is_ok() && !call.has_vote_of(&name.into());
                    prop_assert_eq!(may, found, "may {} approve, after {:?}", name, &deeds[..=count]);
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_met_by_any_assignment_is_said(
        requirement in requirements(),
        there in proptest::sample::subsequence(&PEOPLE[..], 0..=5),
        edited_by in prop::option::of(proptest::sample::select(&PEOPLE[..])),
    ) {
        let everybody: Vec<ReviewerName> = there.iter().map(|name| (*name).into()).collect();
        let editor = edited_by.map(ReviewerName::from);
        let found = requirement.can_be_met(&everybody, &"olga".into(), editor.as_ref()).is_ok();
        let reference = Reference { edited_by: edited_by.map(str::to_owned), ..Reference::of(requirement.clone()) };
        let may = |name: &&&str| !requirement.four_eyes || (**name != "olga" && edited_by != Some(**name));
        let may: Vec<&str> = there.iter().filter(may).copied().collect();
        let stages = requirement.stages.len();
        // Each person is assigned to one stage.
        let can = (0..stages.pow(u32::try_from(may.len()).unwrap())).any(|assignment| {
            let stage_of = |at: usize| assignment / stages.pow(u32::try_from(at).unwrap()) % stages;
            (0..stages).all(|stage| {
                let of = may.iter().enumerate().filter(|(at, _)| stage_of(*at) == stage).map(|(_, name)| *name).collect();
                reference.lacks(stage, &of, requirement.escalations.len()) == 0
            })
        });
        prop_assert_eq!(found, can);
    }
}
