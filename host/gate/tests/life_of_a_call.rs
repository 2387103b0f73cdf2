//! The life of a call, step by step. Steps in another order are refused.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use common::{World, action, edit, proposal};
use holdshort_gate::approval::NotEligible;
use holdshort_gate::command::{
    AttemptOutcome, CancelRun, Choice, Delay, EndRun, Expire, Finish, FireTimer, FirstVerdict, Propose, RecordRoutine,
    Resolve, Revision, RunEnd, SetTimer,
};
use holdshort_gate::{
    Answer, CallState, Consequence, Delayed, Digest, EffectClass, Event, ExhibitRef, Phase, Proposal, RefusalReason,
    Refused, Requirement, Resolution, Reviewers, RunPhase, RunState, Time,
};
use serde_json::json;

/// A proposal that two people must approve.
fn two(text: &str) -> Proposal {
    Proposal { requirement: Requirement::plain(Reviewers::Any, 2, 60_000), ..proposal(text) }
}

fn with(change: impl Fn(&mut Requirement)) -> Proposal {
    let mut proposal = proposal("a");
    change(&mut proposal.requirement);
    proposal
}

#[test]
fn a_held_call_is_approved_started_and_done_once() {
    let mut world = World::held(proposal("a"));
    assert!(matches!(world.start(), Err(Refused::WrongPhase(CallState::Held))), "nothing starts before it is approved");
    let outcome = world.decide("rita", Choice::Approve).unwrap();
    assert_eq!((outcome.state, outcome.still_needed, outcome.repeated), (CallState::Approved, 0, false));
    let permit = world.start().unwrap();
    assert_eq!((permit.action(), permit.attempt(), permit.key().0.as_str()), (&action("a"), 1, "key"));
    assert_eq!(permit.clearance(), world.clearance());
    assert!(matches!(world.start(), Err(Refused::WrongPhase(CallState::Started))), "one clearance, one attempt");
    assert_eq!(world.finish(1, AttemptOutcome::Happened(json!("sent"))).unwrap(), CallState::Succeeded);
    assert_eq!(world.subject.call.as_ref().unwrap().answer(), Some(Answer::Ok(json!("sent"))));
    assert_eq!(world.subject.run.as_ref().unwrap().phase, RunPhase::Ready);
    assert!(world.start().is_err() && world.finish(1, AttemptOutcome::DidNotHappen("late".into())).is_err());
}

#[test]
fn the_same_decision_again_is_answered_and_not_written_again() {
    let mut world = World::held(proposal("a"));
    let first = world.clearance();
    world.decide("rita", Choice::Approve).unwrap();
    let events = world.written.len();
    let again = world.decide_on(first, "rita", Choice::Approve).unwrap();
    assert!(again.repeated && world.written.len() == events);
    let late = world.decide_on(first, "rolf", Choice::Reject).unwrap_err();
    let Refused::AlreadyDecided { winner: Some(winner), state: CallState::Approved } = late else { panic!("{late:?}") };
    assert_eq!(winner.reviewer, "rita");
}

#[test]
fn an_old_decision_is_refused_in_every_state() {
    let old = World::held(proposal("a")).clearance();
    let question = || Proposal { class: EffectClass::Question, ..proposal("a") };
    let mut worlds: Vec<World> = Vec::new();
    let mut world = |steps: &dyn Fn(&mut World)| {
        let mut world = World::held(proposal("a"));
        world.decide("rita", edit("b")).unwrap();
        steps(&mut world);
        worlds.push(world);
    };
    world(&|_| ());
    world(&|w| drop(w.start().unwrap()));
    world(&|w| {
        w.start().unwrap();
        w.finish(1, AttemptOutcome::Unknown("lost".into())).unwrap();
    });
    world(&|w| {
        w.start().unwrap();
        w.finish(1, AttemptOutcome::Happened(json!("x"))).unwrap();
    });
    world(&|w| {
        w.start().unwrap();
        w.finish(1, AttemptOutcome::DidNotHappen("no".into())).unwrap();
    });
    world(&|w| {
        w.start().unwrap();
        let proposal = Box::new(proposal("a"));
        w.finish(1, AttemptOutcome::FactsChanged { reason: "moved".into(), proposal }).unwrap();
    });
    world(&|w| w.submit(CancelRun { by: "olga".into(), reason: None }).unwrap());
    world(&|w| {
        w.pass_ms(60_001);
        w.submit(Expire).unwrap();
    });
    let mut answered = World::held(question());
    answered.decide("rita", Choice::Respond(json!("yes"))).unwrap();
    worlds.push(answered);
    let mut rejected = World::held(proposal("z"));
    rejected.decide("rita", Choice::Reject).unwrap();
    worlds.push(rejected);
    let mut unresolved = World::held(proposal("z"));
    unresolved.decide("rita", Choice::Approve).unwrap();
    unresolved.start().unwrap();
    unresolved.finish(1, AttemptOutcome::Unknown("lost".into())).unwrap();
    let abandon = Resolve { attempt: 1, by: "rita".into(), resolution: Resolution::Abandon, message: None };
    unresolved.submit(abandon).unwrap();
    // This text must never change: it is not in the journal, and the replay of an old run must give the agent the same
    // answer.
    let answer = unresolved.subject.call.as_ref().unwrap().answer();
    assert_eq!(answer, Some(Answer::Unresolved("a person settled it".into())));
    worlds.push(unresolved);
    for proposed in [
        FirstVerdict::Clear(Box::new(proposal("z"))),
        FirstVerdict::Refuse(Box::new(action("z")), RefusalReason::Forbidden("no".into()), None),
    ] {
        let mut world = World::new();
        world.submit(Propose { call: 1, proposed }).unwrap();
        worlds.push(world);
    }
    let phases: Vec<&str> = worlds.iter().map(World::phase).collect();
    for world in &mut worlds {
        let before = world.subject.clone();
        let call = before.call.as_ref().unwrap();
        assert_eq!(CallState::OPEN.contains(&call.phase.state()), call.answer().is_none(), "{}", world.phase());
        for choice in [Choice::Approve, Choice::Reject, Choice::Respond(json!("x")), edit("c")] {
            assert!(world.decide_on(old, "rolf", choice).is_err(), "{}", world.phase());
            assert_eq!(world.subject, before);
        }
    }
    let missing: Vec<_> = CallState::ALL.iter().filter(|state| !phases.contains(&state.as_str())).collect();
    assert!(missing.is_empty(), "no old decision was tried on {missing:?}");
}

#[test]
fn an_edit_and_an_edit_back_do_not_revive_a_vote() {
    let mut world = World::held(with(|r| r.stages[0][0].quorum = 2));
    let first = world.clearance();
    assert_eq!(world.decide("rita", Choice::Approve).unwrap().still_needed, 1);
    let edited = world.decide("rolf", edit("b")).unwrap();
    assert_eq!(
        (edited.state, edited.still_needed),
        (CallState::Held, 1),
        "the editor's own vote counts, the earlier one fell"
    );
    let back = world.decide("rolf", edit("a")).unwrap();
    assert_eq!(back.still_needed, 1);
    assert_ne!(world.clearance(), first);
    // A vote on the first clearance is refused, also for Rita, who made the same vote before.
    for reviewer in ["ruth", "rita"] {
        let old = world.decide_on(first, reviewer, Choice::Approve);
        assert!(matches!(old, Err(Refused::Stale { current, .. }) if current == back.clearance), "{reviewer}");
    }
    assert_eq!(world.decide("ruth", Choice::Approve).unwrap().state, CallState::Approved);
}

/// A piece of evidence whose bytes are this name.
fn exhibit(name: &str) -> ExhibitRef {
    let digest = Digest::of(name.as_bytes());
    ExhibitRef { whose: None, title: "what the host found out".into(), media: "text/plain".into(), digest, bytes: 1 }
}

#[test]
fn an_editor_approves_only_what_they_have_seen() {
    let with = |text: &str, exhibits: &[&str], preconditions| Proposal {
        exhibits: exhibits.iter().map(|name| exhibit(name)).collect(),
        preconditions,
        ..proposal(text)
    };
    let shown = || with("a", &["diff", "commits"], json!({"old": "1"}));
    for (new, phase) in [
        (with("b", &["diff", "commits"], json!({"old": "1"})), CallState::Approved),
        (with("b", &["commits"], json!({"old": "1"})), CallState::Approved),
        (with("b", &[], json!({"old": "1"})), CallState::Approved),
        (with("b", &["diff", "other commits"], json!({"old": "1"})), CallState::Held),
        (with("b", &["diff", "commits", "commits that would be lost"], json!({"old": "1"})), CallState::Held),
        (with("b", &["diff", "commits"], json!({"old": "2"})), CallState::Held),
        (Proposal { connector: "other".into(), ..with("b", &["diff"], json!({"old": "1"})) }, CallState::Held),
        (Proposal { class: EffectClass::OneShot, ..with("b", &["diff"], json!({"old": "1"})) }, CallState::Held),
    ] {
        let mut world = World::held(shown());
        let choice = Choice::Edit(Box::new(Revision { proposal: new.clone() }));
        let edited = world.decide("rita", choice).unwrap();
        assert_eq!((edited.state, edited.still_needed), (phase, u32::from(phase == CallState::Held)), "{new:?}");
        if phase == CallState::Held {
            assert!(matches!(world.start(), Err(Refused::WrongPhase(CallState::Held))));
            assert_eq!(
                world.decide("rita", Choice::Approve).unwrap().state,
                CallState::Approved,
                "having seen it, they may"
            );
        }
        world.start().unwrap();
    }
}

#[test]
fn an_edit_keeps_the_stricter_requirement_and_the_capability() {
    let mut world = World::held(with(|r| (r.stages[0][0].quorum, r.start_within_ms) = (2, 5)));
    world.decide("rita", edit("b")).unwrap();
    let requirement = world.subject.call.as_ref().unwrap().requirement().unwrap().clone();
    assert_eq!((requirement.stages[0][0].quorum, requirement.start_within_ms), (2, 5));
    let mut other = proposal("c");
    let capability = "acme:mail/send@1.0.0#purge".parse().unwrap();
    other.action =
        holdshort_gate::Action::new(other.action.component(), capability, &common::function(), &json!({"text": "c"}))
            .unwrap();
    let revision = holdshort_gate::command::Revision { proposal: other };
    assert_eq!(world.decide("rita", Choice::Edit(Box::new(revision))), Err(Refused::AnotherCapability));
}

/// Policy is asked about an edit before the edit is written. The deadline of the edited action may be over by then,
/// even if the deadline of the earlier action is not.
#[test]
fn an_edit_that_lapsed_before_it_was_written_is_none() {
    let mut world = World::held(proposal("a"));
    let mut edited = proposal("b");
    edited.requirement.expires_at = Some(world.now.plus_ms(10));
    let edit = Choice::Edit(Box::new(Revision { proposal: edited }));
    world.pass_ms(10);
    let before = world.subject.clone();
    assert!(
        matches!(world.decide("rita", edit.clone()), Err(Refused::WrongKind(why)) if why.contains("edit the call again"))
    );
    assert_eq!(world.subject, before, "the call can still be decided on as it was");
    world.now = Time(world.now.0 - 1);
    assert_eq!(world.decide("rita", edit).unwrap().state, CallState::Approved);
}

#[test]
fn a_quorum_counts_people_and_four_eyes_bars_starter_and_editor() {
    let mut world = World::held(with(|r| (r.stages[0][0].quorum, r.four_eyes) = (2, true)));
    assert!(matches!(world.decide("olga", Choice::Approve), Err(Refused::NotEligible(_))), "olga started the run");
    world.decide("rita", Choice::Approve).unwrap();
    assert!(world.decide("rita", Choice::Approve).unwrap().repeated);
    assert_eq!(world.phase(), "held", "one person twice is one vote");
    world.decide("rolf", edit("b")).unwrap();
    assert!(matches!(world.decide("rolf", Choice::Approve), Err(Refused::NotEligible(_))), "rolf edited it");
    world.decide("rita", Choice::Approve).unwrap();
    world.decide("ruth", Choice::Approve).unwrap();
    assert_eq!(world.phase(), "approved");
}

#[test]
fn only_named_reviewers_decide() {
    let mut world = World::held(with(|r| r.stages[0][0].reviewers = Reviewers::Named(vec!["ruth".into()])));
    assert!(matches!(world.decide("rita", Choice::Reject), Err(Refused::NotEligible(_))));
    assert_eq!(world.decide("ruth", Choice::Reject).unwrap().state, CallState::Rejected);
    assert_eq!(world.subject.call.as_ref().unwrap().answer(), Some(Answer::Rejected("because".into())));
}

#[test]
fn what_lapses_cannot_be_approved_or_started() {
    let mut world = World::held(with(|r| r.expires_at = Some(Time(2_000_000))));
    assert_eq!(world.submit(Expire), Err(Refused::NotDue));
    world.pass_ms(1_000);
    assert_eq!(
        world.decide("rita", Choice::Approve),
        Err(Refused::Expired),
        "though nobody has written the expiry yet"
    );
    world.submit(Expire).unwrap();
    assert_eq!(world.subject.call.as_ref().unwrap().answer(), Some(Answer::Expired));
    let mut late = World::held(proposal("a"));
    late.decide("rita", Choice::Approve).unwrap();
    late.pass_ms(60_001);
    assert!(matches!(late.start(), Err(Refused::StartTooLate)));
}

#[test]
fn facts_that_changed_put_the_call_back() {
    let mut world = World::held(proposal("a"));
    let first = world.clearance();
    world.decide("rita", Choice::Approve).unwrap();
    world.start().unwrap();
    let now = Proposal { preconditions: json!({"old": "2"}), ..proposal("a") };
    let outcome = AttemptOutcome::FactsChanged { reason: "1, now 2".into(), proposal: Box::new(now) };
    assert_eq!(world.finish(1, outcome).unwrap(), CallState::Held);
    assert_eq!(world.subject.call.as_ref().unwrap().reheld.as_deref(), Some("1, now 2"));
    for reviewer in ["ruth", "rita"] {
        let stale = world.decide_on(first, reviewer, Choice::Approve);
        assert!(matches!(stale, Err(Refused::Stale { .. })), "{reviewer}: {stale:?}, also from who said it before");
    }
    world.decide("rita", Choice::Approve).unwrap();
    assert_eq!(world.start().unwrap().attempt(), 2);
}

/// Policy may have cleared a call that no reviewers could approve. If such a call were held now, it would wait for
/// ever, so it fails.
#[test]
fn facts_that_changed_hold_nothing_that_nobody_could_clear() {
    for (names, becomes) in
        [(vec![], CallState::Failed), (vec!["olga"], CallState::Failed), (vec!["olga", "ann"], CallState::Held)]
    {
        let reviewers = Reviewers::Named(names.iter().map(|name| (*name).into()).collect());
        let requirement = Requirement { four_eyes: true, ..Requirement::plain(reviewers, 1, 60_000) };
        let cleared = Proposal { requirement, ..proposal("a") };
        let mut world = World::new();
        world.submit(Propose { call: 1, proposed: FirstVerdict::Clear(Box::new(cleared.clone())) }).unwrap();
        world.start().unwrap();
        let outcome = AttemptOutcome::FactsChanged { reason: "1, now 2".into(), proposal: Box::new(cleared) };
        assert_eq!(world.finish(1, outcome).unwrap(), becomes, "{names:?}");
    }
}

#[test]
fn what_is_in_doubt_is_settled_by_a_lookup_or_a_person() {
    let doubt = |class| {
        let mut world = World::held(Proposal { class, ..proposal("a") });
        world.decide("rita", Choice::Approve).unwrap();
        world.start().unwrap();
        world.finish(1, AttemptOutcome::Unknown("no reply".into())).unwrap();
        world
    };
    let resolve = |resolution| Resolve { attempt: 1, by: "rita".into(), resolution, message: Some("I looked".into()) };
    let mut world = doubt(EffectClass::OneShot);
    assert!(matches!(world.start(), Err(Refused::WrongPhase(CallState::InDoubt))), "never repeated by itself");
    assert!(matches!(world.submit(resolve(Resolution::SendAgain)), Err(Refused::WrongKind(_))));
    assert_eq!(world.submit(resolve(Resolution::Done(json!("sent")))).unwrap(), CallState::Succeeded);
    assert!(world.submit(resolve(Resolution::NotDone)).is_err(), "settled once");
    assert_eq!(doubt(EffectClass::OneShot).submit(resolve(Resolution::NotDone)).unwrap(), CallState::Failed);
    let mut world = doubt(EffectClass::OneShot);
    world.submit(resolve(Resolution::Abandon)).unwrap();
    assert_eq!(world.subject.call.as_ref().unwrap().answer(), Some(Answer::Unresolved("I looked".into())));
    let mut world = doubt(EffectClass::Idempotent);
    world.submit(resolve(Resolution::SendAgain)).unwrap();
    let permit = world.start().unwrap();
    assert_eq!((permit.attempt(), permit.key().0.as_str()), (2, "key"), "the same key");
    assert!(matches!(world.finish(1, AttemptOutcome::Happened(json!("late"))), Err(Refused::OtherAttempt { .. })));
    let mut world = doubt(EffectClass::Reconcilable);
    assert_eq!(world.finish(1, AttemptOutcome::Happened(json!("found"))).unwrap(), CallState::Succeeded);
}

#[test]
fn what_a_lookup_found_is_kept_and_not_repeated() {
    let mut world = World::held(Proposal { class: EffectClass::Idempotent, ..proposal("a") });
    world.decide("rita", Choice::Approve).unwrap();
    world.start().unwrap();
    world.finish(1, AttemptOutcome::Unknown("no reply".into())).unwrap();
    let before = world.written.len();
    let found = |world: &World| world.subject.call.as_ref().unwrap().looked_up.clone();
    assert_eq!(found(&world), None);
    let looked = |world: &mut World, attempt, evidence: &str| {
        let (outcome, evidence) = (AttemptOutcome::Unknown("looked".into()), Some(evidence.to_owned()));
        assert_eq!(world.submit(Finish { attempt, outcome, evidence }), Ok(CallState::InDoubt));
    };
    looked(&mut world, 1, "nothing there");
    let first = found(&world).unwrap();
    assert_eq!((first.at, first.evidence.as_str()), (world.now, "nothing there"));
    world.pass_ms(1);
    looked(&mut world, 1, "nothing there");
    assert_eq!(found(&world), Some(first), "the same again is no news");
    looked(&mut world, 1, "half of it is there");
    let kinds: Vec<&Event> = world.written[before..].iter().collect();
    assert!(matches!(kinds[..], [Event::EffectLookedUp { .. }, Event::EffectLookedUp { .. }]), "{kinds:?}");
    let reason = Phase::InDoubt { reason: "no reply".into() };
    assert_eq!(world.subject.call.as_ref().unwrap().phase, reason, "what was seen of the attempt stays");

    // A finding of a lookup is about one attempt, so the next attempt begins without a finding.
    let resolution = Resolution::SendAgain;
    world.submit(Resolve { attempt: 1, by: "rita".into(), resolution, message: None }).unwrap();
    assert!(found(&world).is_some());
    world.start().unwrap();
    assert_eq!(found(&world), None);
    // The effect is in doubt and is looked up at once; a later lookup can tell the outcome.
    looked(&mut world, 2, "nothing there");
    let (outcome, evidence) = (AttemptOutcome::DidNotHappen("no".into()), Some("it is excluded".to_owned()));
    assert_eq!(world.submit(Finish { attempt: 2, outcome, evidence }), Ok(CallState::Failed));
    assert_eq!(found(&world).unwrap().evidence, "it is excluded");
}

#[test]
fn cancelling_withdraws_what_waits_and_lets_a_started_effect_end() {
    let mut held = World::held(proposal("a"));
    held.submit(CancelRun { by: "olga".into(), reason: None }).unwrap();
    assert_eq!(held.phase(), "cancelled");
    assert_eq!(held.submit(CancelRun { by: "olga".into(), reason: None }), Ok(()));
    let mut started = World::held(proposal("a"));
    started.decide("rita", Choice::Approve).unwrap();
    started.start().unwrap();
    started.submit(CancelRun { by: "olga".into(), reason: None }).unwrap();
    assert_eq!(started.finish(1, AttemptOutcome::Happened(json!("sent"))).unwrap(), CallState::Succeeded);
    assert_eq!(started.subject.run.as_ref().unwrap().phase, RunPhase::Cancelled);
}

#[test]
fn a_question_is_answered_and_never_performed() {
    let mut world = World::held(Proposal { class: EffectClass::Question, ..proposal("a") });
    assert!(matches!(world.decide("rita", Choice::Approve), Err(Refused::WrongKind(_))));
    world.decide("rita", Choice::Respond(json!("yes"))).unwrap();
    assert_eq!(world.subject.call.as_ref().unwrap().answer(), Some(Answer::Ok(json!("yes"))));
    assert!(world.start().is_err());
}

#[test]
fn calls_come_in_order_and_within_the_limit() {
    let mut world = World::new();
    let routine = |call| RecordRoutine { call, action: action("r"), result: json!(null), answered_at: Time(0) };
    assert_eq!(world.submit(routine(2)), Err(Refused::OutOfOrder { last: 0, found: 2 }));
    world.submit(routine(1)).unwrap();
    for call in 2..4 {
        world.submit(Propose { call, proposed: FirstVerdict::Hold(Box::new(proposal("a"))) }).unwrap();
        assert!(matches!(world.submit(routine(call + 1)), Err(Refused::RunNotReady(RunState::Waiting))));
        world.decide("rita", Choice::Reject).unwrap();
    }
    let third = world.submit(Propose { call: 4, proposed: FirstVerdict::Hold(Box::new(proposal("a"))) }).unwrap();
    assert!(matches!(third, Phase::Refused(RefusalReason::Forbidden(_))), "two may be held");
    world.submit(EndRun(RunEnd::Finished(Ok("done".into())))).unwrap();
    assert!(world.submit(routine(5)).is_err());
}

#[test]
fn a_timer_fires_when_it_is_due() {
    let mut world = World::new();
    world.submit(SetTimer { timer: 1, until: Time(1_500_000) }).unwrap();
    assert_eq!(world.submit(FireTimer { timer: 1 }), Err(Refused::NotDue));
    world.pass_ms(500);
    assert_eq!(world.submit(FireTimer { timer: 1 }), Ok(world.now));
    assert_eq!(world.subject.run.as_ref().unwrap().phase, RunPhase::Ready);
    assert!(world.submit(FireTimer { timer: 1 }).is_err());
}

/// A delay keeps its beginning while it lasts, blocks nothing, and is over with the next step of the run.
#[test]
fn a_delay_lasts_until_the_run_does_something() {
    let delay = |tries| Delay { reason: format!("try {tries}"), tries, told: tries == 3 };
    let next: [fn(&mut World); 4] = [
        |world| {
            let (action, result, answered_at) = (action("list"), json!("answer"), world.now);
            world.submit(RecordRoutine { call: 1, action, result, answered_at }).unwrap();
        },
        |world| drop(world.submit(Propose { call: 1, proposed: FirstVerdict::Hold(Box::new(proposal("a"))) }).unwrap()),
        |world| world.submit(SetTimer { timer: 1, until: Time(u64::MAX) }).unwrap(),
        |world| world.submit(EndRun(RunEnd::Finished(Ok("done".into())))).unwrap(),
    ];
    for (next, phase) in next.into_iter().zip(["running", "waiting", "sleeping", "finished"]) {
        let mut world = World::new();
        let begun = world.now;
        for tries in 2..5 {
            world.submit(delay(tries)).unwrap();
            let delayed = Delayed { since: begun, reason: format!("try {tries}"), tries };
            assert_eq!(world.subject.run.as_ref().unwrap().phase, RunPhase::Delayed(delayed));
            world.pass_ms(500);
        }
        next(&mut world);
        assert_eq!(world.subject.run.as_ref().unwrap().phase.state().as_str(), phase);
        assert_eq!(world.submit(delay(5)).is_ok(), phase == "running", "what waits or is over is not delayed: {phase}");
    }
}

#[test]
fn nothing_in_a_clearance_can_change_without_its_digest() {
    let base = World::held(proposal("a")).clearance();
    type Change = fn(&mut Proposal);
    let changes: [(&str, Change); 12] = [
        ("arguments", |p| p.action = action("b")),
        ("summary", |p| p.summary.push('!')),
        ("preconditions", |p| p.preconditions = json!(1)),
        ("facts", |p| p.facts = json!({"first-payment": true})),
        ("facts that are none", |p| p.facts = json!({})),
        ("consequence", |p| p.consequence = Some(Consequence::Low)),
        ("connector", |p| p.connector = "other".into()),
        ("class", |p| p.class = EffectClass::OneShot),
        ("quorum", |p| p.requirement = Requirement::plain(Reviewers::Any, 2, 60_000)),
        ("expiry", |p| p.requirement.expires_at = Some(Time(u64::MAX))),
        ("policy", |p| p.policy.determining.clear()),
        ("exhibits", |p| {
            let digest = holdshort_gate::Digest::of(b"x");
            p.exhibits.push(holdshort_gate::ExhibitRef {
                whose: None,
                title: "t".into(),
                media: "text/plain".into(),
                digest,
                bytes: 1,
            });
        }),
    ];
    for (what, change) in changes {
        let mut changed = proposal("a");
        change(&mut changed);
        assert_ne!(World::held(changed).clearance(), base, "{what}");
    }
    assert_eq!(World::held(proposal("a")).clearance(), base);
    let facts = |facts| World::held(Proposal { facts, ..proposal("a") }).clearance();
    assert_ne!(facts(json!({"checks": []})), facts(json!({"checks": [1]})));
    let of = |consequence| World::held(Proposal { consequence: Some(consequence), ..proposal("a") }).clearance();
    assert_ne!(of(Consequence::Low), of(Consequence::High));
}

/// A proposal that was written when proposals had no facts yet still has the digest that reviewers decided on.
#[test]
fn a_proposal_without_facts_has_the_digest_that_it_always_had() {
    let old = proposal("a");
    let written = serde_json::to_value(&old).unwrap();
    assert!(written.get("facts").or(written.get("consequence")).is_none(), "{written}");
    assert_eq!(serde_json::from_value::<Proposal>(written).unwrap(), old);
    assert_eq!(
        World::held(old).clearance().to_string(),
        "sha256:a911c3e6fafb7e0f23a7d49f447362896307ba12b8d4de3e7f840afc1aeecf15"
    );
}

#[test]
fn who_edited_an_action_stays_barred_when_the_facts_change() {
    let four_eyes = |text| Proposal {
        requirement: Requirement { four_eyes: true, ..proposal(text).requirement },
        ..proposal(text)
    };
    let mut world = World::held(four_eyes("a"));
    world.decide("rita", Choice::Edit(Box::new(Revision { proposal: four_eyes("b") }))).unwrap();
    world.decide("ruth", Choice::Approve).unwrap();
    world.start().unwrap();
    let now = Proposal { preconditions: json!({"old": "2"}), ..four_eyes("b") };
    world.finish(1, AttemptOutcome::FactsChanged { reason: "moved".into(), proposal: Box::new(now) }).unwrap();
    let own = world.decide("rita", Choice::Approve);
    assert!(matches!(own, Err(Refused::NotEligible(NotEligible::EditedIt))), "{own:?}");
    world.decide("ruth", Choice::Approve).unwrap();
    world.start().unwrap();
}

#[test]
fn an_edit_that_another_one_replaced_is_stale_when_it_is_sent_again() {
    let mut world = World::held(proposal("a"));
    let first = world.clearance();
    let edit = |text| Choice::Edit(Box::new(Revision { proposal: two(text) }));
    world.decide_on(first, "rita", edit("b")).unwrap();
    assert!(world.decide_on(first, "rita", edit("b")).unwrap().repeated);
    world.decide("ruth", edit("c")).unwrap();
    let again = world.decide_on(first, "rita", edit("b"));
    assert!(matches!(again, Err(Refused::Stale { .. })), "{again:?}");
}

#[test]
fn a_call_that_was_cancelled_was_decided_by_nobody() {
    let mut world = World::held(two("a"));
    world.decide("rita", Choice::Approve).unwrap();
    world.submit(CancelRun { by: "olga".into(), reason: None }).unwrap();
    let late = world.decide("ruth", Choice::Approve);
    assert!(matches!(late, Err(Refused::AlreadyDecided { winner: None, state: CallState::Cancelled })), "{late:?}");
}

/// Whatever happens after "send again", the first attempt may have happened. Only a lookup or a reviewer can say that
/// the first attempt did not happen.
#[test]
fn sending_again_forgets_no_earlier_attempt() {
    let sent_again = || {
        let mut world = World::held(Proposal { class: EffectClass::Idempotent, ..proposal("a") });
        world.decide("rita", Choice::Approve).unwrap();
        world.start().unwrap();
        world.finish(1, AttemptOutcome::Unknown("no reply".into())).unwrap();
        let resolution = Resolution::SendAgain;
        world.submit(Resolve { attempt: 1, by: "rita".into(), resolution, message: None }).unwrap();
        world
    };
    let in_doubt = |world: &World| world.subject.call.as_ref().unwrap().phase.state().as_str() == "in-doubt";

    let mut late = sent_again();
    late.pass_ms(60_001);
    late.submit(Expire).unwrap();
    assert!(in_doubt(&late));
    let mut cancelled = sent_again();
    cancelled.submit(CancelRun { by: "olga".into(), reason: None }).unwrap();
    assert!(in_doubt(&cancelled));
    let changed = AttemptOutcome::FactsChanged { reason: "moved".into(), proposal: Box::new(proposal("a")) };
    for outcome in [AttemptOutcome::DidNotHappen("refused".into()), changed] {
        let mut world = sent_again();
        world.start().unwrap();
        assert_eq!(world.finish(2, outcome).unwrap(), CallState::InDoubt);
    }
    for world in [&mut late, &mut cancelled] {
        let resolution = Resolution::Done(json!("sent"));
        world.submit(Resolve { attempt: 1, by: "rita".into(), resolution, message: None }).unwrap();
    }
    let mut looked_up = sent_again();
    looked_up.start().unwrap();
    let (outcome, evidence) = (AttemptOutcome::DidNotHappen("absent".into()), Some("no such key".into()));
    assert_eq!(looked_up.submit(Finish { attempt: 2, outcome, evidence }).unwrap(), CallState::Failed);
    let mut done = sent_again();
    done.start().unwrap();
    assert_eq!(done.finish(2, AttemptOutcome::Happened(json!("sent"))).unwrap(), CallState::Succeeded);
}

/// A call is held if a policy failed, because that policy might have refused the call. A call is also held if no policy
/// determined the verdict.
#[test]
fn what_policy_has_not_said_without_an_error_is_held() {
    for (determining, errors, phase) in
        [(vec!["p"], vec![], "cleared"), (vec!["p"], vec!["q: no such entity"], "held"), (vec![], vec![], "held")]
    {
        let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let mut proposal = proposal("a");
        proposal.policy.determining = owned(determining);
        proposal.policy.errors = owned(errors);
        let mut world = World::new();
        world.submit(Propose { call: 1, proposed: FirstVerdict::Clear(Box::new(proposal.clone())) }).unwrap();
        assert_eq!(world.phase(), phase, "{:?}", proposal.policy);
    }
    // If the run has reached its limit of held calls, a call that would have to be held is refused.
    let mut world = World::new();
    world.subject.run.as_mut().unwrap().held = 2;
    let mut failed = proposal("a");
    failed.policy.errors = vec!["q: no such entity".into()];
    world.submit(Propose { call: 1, proposed: FirstVerdict::Clear(Box::new(failed)) }).unwrap();
    assert_eq!(world.phase(), "refused");
}

#[test]
fn the_open_states_of_a_run_are_those_that_are_not_over() {
    for state in RunState::ALL {
        assert_eq!(RunState::OPEN.contains(&state), !state.is_over(), "{state}");
    }
    let over: Vec<_> = RunState::ALL.into_iter().filter(|state| state.is_over()).map(RunState::as_str).collect();
    assert_eq!(over, ["finished", "failed", "trapped", "cancelled", "diverged"]);
}
