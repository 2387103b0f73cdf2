//! The gate refuses commands on states that no journal of this host can have. It does not rely on the earlier steps
//! having been legal.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{World, proposal, requirement};
use holdshort_gate::command::{AttemptOutcome, CancelRun, Choice, FirstVerdict, Propose, Resolve, SetTimer};
use holdshort_gate::{
    Answer, CallState, Digest, EffectClass, Event, Proposal, Refused, Requirement, Resolution, Reviewers, RunPhase,
    Time,
};

/// A call that a reviewer has approved.
fn approved() -> World {
    let mut world = World::held(proposal("a"));
    world.decide("rita", Choice::Approve).unwrap();
    world
}

#[test]
fn a_start_rests_on_votes_and_clearance_as_they_stand() {
    let mut world = approved();
    world.subject.call.as_mut().unwrap().votes.clear();
    assert!(
        matches!(world.start(), Err(Refused::WrongPhase(CallState::Approved))),
        "approved, and nobody's vote is there"
    );
    let mut world = approved();
    world.subject.call.as_mut().unwrap().clearance = Some(Digest::of(b"another"));
    assert!(matches!(world.start(), Err(Refused::ClearanceMismatch)));
    let mut world = approved();
    world.subject.run.as_mut().unwrap().phase = RunPhase::Ready;
    assert!(world.start().is_ok(), "nothing else of it was changed, and it starts");
}

#[test]
fn a_question_is_asked_even_if_policy_clears_it() {
    let mut world = World::new();
    let question = Proposal { class: EffectClass::Question, ..proposal("a") };
    world.submit(Propose { call: 1, proposed: FirstVerdict::Clear(Box::new(question)) }).unwrap();
    assert_eq!(world.phase(), "held");
    assert!(matches!(world.start(), Err(Refused::WrongPhase(CallState::Held))));
}

#[test]
fn only_what_is_in_doubt_is_settled_by_a_person() {
    let mut world = approved();
    world.start().unwrap();
    let settle = || Resolve { attempt: 1, by: "rita".into(), resolution: Resolution::NotDone, message: None };
    assert!(matches!(world.submit(settle()), Err(Refused::WrongPhase(CallState::Started))));
    world.finish(1, AttemptOutcome::Unknown("lost".into())).unwrap();
    assert_eq!(world.submit(settle()).unwrap(), CallState::Failed);
}

#[test]
fn timers_are_numbered_without_gaps() {
    let mut world = World::new();
    let gap = world.submit(SetTimer { timer: 2, until: Time(5) });
    assert!(matches!(gap, Err(Refused::OutOfOrder { last: 0, found: 2 })));
    world.submit(SetTimer { timer: 1, until: Time(5) }).unwrap();
}

#[test]
fn whoever_is_cancelled_while_waiting_is_told_so() {
    let mut world = World::held(proposal("a"));
    world.submit(CancelRun { by: "olga".into(), reason: None }).unwrap();
    assert_eq!(world.subject.call.as_ref().unwrap().answer(), Some(Answer::Cancelled));
}

#[test]
fn events_that_do_not_follow_are_named() {
    let mut world = World::held(proposal("a"));
    let created = world.written.first().unwrap().clone();
    let again = world.subject.apply(&created, world.now).unwrap_err().to_string();
    assert!(again.contains("RunCreated"), "{again}");
    let run = world.subject.run.as_mut().unwrap();
    assert!(run.apply(&created, None).unwrap_err().to_string().contains("run-created"));
    let call = world.subject.call.as_mut().unwrap();
    let timer = Event::TimerSet { timer: 1, until: Time(5) };
    assert!(call.apply(&timer, Time(5)).unwrap_err().to_string().contains("call 1"));
    let other = world.subject.apply(&Event::CallExpired { call: 2 }, world.now);
    assert!(other.unwrap_err().to_string().contains("CallExpired"), "a call that was not opened");
}

#[test]
fn what_each_of_two_asks_for_is_asked_under_the_stricter_of_them() {
    let named = |names: &[&'static str], quorum| {
        Requirement::plain(Reviewers::Named(names.iter().map(|name| (*name).into()).collect()), quorum, 60_000)
    };
    let both = || named(&["rita", "rolf"], 1).strictest(&named(&["rolf", "sam"], 1));
    for (who, left) in [("rolf", 0), ("rita", 1), ("sam", 1)] {
        let mut world = World::held(Proposal { requirement: both(), ..proposal("a") });
        assert_eq!(world.decide(who, Choice::Approve).unwrap().still_needed, left, "{who}");
    }
    // A demand is left out if the other demand is at least as strict.
    assert_eq!(named(&["rita", "rolf"], 1).strictest(&named(&["rita"], 1)), named(&["rita"], 1));
    assert_eq!(named(&["rita", "rolf"], 2).strictest(&requirement()), named(&["rita", "rolf"], 2));
}

#[test]
fn a_digest_has_one_spelling() {
    let digest = Digest::of(b"x").to_string();
    assert_eq!(digest.parse::<Digest>().unwrap(), Digest::of(b"x"));
    for wrong in [digest.replace(|c: char| c.is_ascii_digit(), "g"), digest.to_uppercase(), digest + "0"] {
        assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
    }
}
