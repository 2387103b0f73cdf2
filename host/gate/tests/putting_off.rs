//! Attempts that certainly did not happen and are made again under the same clearance.
#![allow(
    clippy::wildcard_enum_match_arm,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::{World, proposal};
use holdshort_gate::command::{
    ATTEMPTS_MAX, AttemptOutcome, CancelRun, Choice, EndRun, Expire, FirstVerdict, Propose, RunEnd,
};
use holdshort_gate::{CallState, EffectClass, Event, Phase, Proposal, Refused, Resolution};
use serde_json::json;

const MINUTE_MS: u64 = 60_000;

/// A proposal whose effect may start for one hour.
fn patient(class: EffectClass) -> Proposal {
    let mut proposal = Proposal { class, ..proposal("a") };
    proposal.requirement.start_within_ms = 60 * MINUTE_MS;
    proposal
}

fn approved() -> World {
    let mut world = World::held(patient(EffectClass::OneShot));
    world.decide("rita", Choice::Approve).unwrap();
    world
}

fn busy(ms: u64) -> AttemptOutcome {
    AttemptOutcome::Postponed("451 try later".into(), ms)
}

fn reason(world: &World) -> String {
    match &world.subject.call.as_ref().unwrap().phase {
        Phase::Failed { reason } => reason.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_is_made_again_under_the_same_clearance_and_within_its_time() {
    let cleared = || {
        let mut world = World::new();
        let proposed = FirstVerdict::Clear(Box::new(patient(EffectClass::OneShot)));
        world.submit(Propose { call: 1, proposed }).unwrap();
        world
    };
    for (mut world, phase) in [(approved(), "approved"), (cleared(), "cleared")] {
        let (clearance, deadline) = (world.clearance(), world.subject.call.as_ref().unwrap().deadline());
        for attempt in 1..=3 {
            let permit = world.start().unwrap();
            assert_eq!((permit.attempt(), permit.clearance()), (attempt, clearance));
            assert_eq!(world.start().unwrap_err(), Refused::WrongPhase(CallState::Started), "one at a time");
            assert_eq!(world.finish(attempt, busy(5 * MINUTE_MS)).unwrap().as_str(), phase);
            let call = world.subject.call.as_ref().unwrap();
            assert_eq!((call.deadline(), call.clearance), (deadline, Some(clearance)), "its time is no longer");
            let until = world.now.plus_ms(5 * MINUTE_MS);
            assert_eq!(world.start().unwrap_err(), Refused::TooEarly { until });
            assert!(world.subject.call.as_ref().unwrap().counted_at.is_some(), "totals count it");
            world.pass_ms(5 * MINUTE_MS);
        }
        world.start().unwrap();
        assert_eq!(world.finish(4, AttemptOutcome::Happened(json!("sent"))).unwrap(), CallState::Succeeded);
        assert_eq!(world.subject.call.as_ref().unwrap().decisions.len(), usize::from(phase == "approved"));
    }
}

#[test]
fn its_time_is_over_at_last() {
    // The next attempt would be too late, so the effect fails at once, with the reason of the remote system.
    let mut world = approved();
    world.start().unwrap();
    assert_eq!(world.finish(1, busy(61 * MINUTE_MS)).unwrap(), CallState::Failed);
    assert!(
        reason(&world).contains(
            "451 try later; there is no further attempt, because the deadline for the start would pass first"
        ),
        "{}",
        reason(&world)
    );
    // The host was not running when the next attempt was due.
    let mut world = approved();
    world.start().unwrap();
    world.finish(1, busy(MINUTE_MS)).unwrap();
    assert_eq!(world.submit(Expire), Err(Refused::NotDue));
    world.pass_ms(61 * MINUTE_MS);
    assert_eq!(world.start().unwrap_err(), Refused::StartTooLate);
    world.submit(Expire).unwrap();
    assert!(reason(&world).starts_with("451 try later; the deadline for the start passed"), "{}", reason(&world));
    assert!(matches!(world.written.last(), Some(Event::EffectFailed { attempt: 1, .. })));
    // The number of attempts has a limit.
    let mut world = approved();
    for attempt in 1..ATTEMPTS_MAX {
        world.start().unwrap();
        assert_eq!(world.finish(attempt, busy(0)).unwrap(), CallState::Approved);
        assert!(matches!(world.start(), Err(Refused::TooEarly { .. })), "never at once");
        world.pass_ms(1_000);
    }
    world.start().unwrap();
    assert_eq!(world.finish(ATTEMPTS_MAX, busy(0)).unwrap(), CallState::Failed);
    assert!(reason(&world).contains("because all permitted attempts were made"), "{}", reason(&world));
}

#[test]
fn what_is_not_certain_is_never_put_off() {
    // An effect in doubt stays in doubt, even if its attempt is later reported as postponed.
    let mut world = approved();
    world.start().unwrap();
    world.finish(1, AttemptOutcome::Unknown("no reply".into())).unwrap();
    assert!(matches!(world.start(), Err(Refused::WrongPhase(CallState::InDoubt))));
    assert_eq!(
        world.finish(1, busy(MINUTE_MS)).unwrap(),
        CallState::Failed,
        "it did not happen, and is not made again"
    );
    // If an earlier attempt is in doubt, a postponed attempt leaves the effect in doubt.
    let mut world = World::held(patient(EffectClass::Idempotent));
    world.decide("rita", Choice::Approve).unwrap();
    world.start().unwrap();
    world.finish(1, AttemptOutcome::Unknown("no reply".into())).unwrap();
    let (attempt, resolution) = (1, Resolution::SendAgain);
    let by = "rita".into();
    world.submit(holdshort_gate::command::Resolve { attempt, by, resolution, message: None }).unwrap();
    world.start().unwrap();
    assert_eq!(world.finish(2, busy(MINUTE_MS)).unwrap(), CallState::InDoubt);
    // The outcome of another attempt does not count.
    let mut world = approved();
    world.start().unwrap();
    assert!(matches!(world.finish(2, busy(MINUTE_MS)), Err(Refused::OtherAttempt { .. })));
}

#[test]
fn a_run_that_is_over_tries_nothing_again() {
    let cancel = || CancelRun { by: "olga".into(), reason: None };
    let mut world = approved();
    world.start().unwrap();
    world.submit(cancel()).unwrap();
    assert_eq!(world.finish(1, busy(MINUTE_MS)).unwrap(), CallState::Failed);
    let mut world = approved();
    world.start().unwrap();
    world.finish(1, busy(MINUTE_MS)).unwrap();
    world.submit(cancel()).unwrap();
    world.pass_ms(MINUTE_MS);
    assert!(matches!(world.start(), Err(Refused::WrongPhase(CallState::Cancelled))));
    let mut world = approved();
    world.start().unwrap();
    world.finish(1, busy(MINUTE_MS)).unwrap();
    world.submit(EndRun(RunEnd::Trapped("out of memory".into()))).unwrap();
    assert_eq!(world.phase(), "cancelled");
}

/// If facts change while a call waits for its next attempt, the call is held again, and earlier votes no longer count.
#[test]
fn facts_that_change_meanwhile_are_looked_at_by_the_next_attempt() {
    let mut world = approved();
    world.start().unwrap();
    world.finish(1, busy(MINUTE_MS)).unwrap();
    world.pass_ms(MINUTE_MS);
    world.start().unwrap();
    let proposal = Box::new(patient(EffectClass::OneShot));
    assert_eq!(
        world.finish(2, AttemptOutcome::FactsChanged { reason: "another sender".into(), proposal }).unwrap(),
        CallState::Held
    );
    assert!(world.subject.call.as_ref().unwrap().postponed.is_none());
    world.decide("rita", Choice::Approve).unwrap();
    assert_eq!(world.start().unwrap().attempt(), 3);
}
