//! The promises that a journal keeps with either store. Every check runs with the store in memory and with the store in
//! SQLite, and uses only the public interface of the journal.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::script::refused;
use common::*;
use holdshort_gate::command::{
    AttemptOutcome, Choice, CreateRunOnce, DecisionOutcome, Expire, FindRun, Finish, FirstVerdict, Propose, Resolve,
    Revision,
};
use holdshort_gate::{
    CallId, CallState, Consequence, Decision, Digest, Event, Proposal, RecordedChoice, Refused, Request, Resolution,
    ReviewerName, Reviewers, RunId, RunState, Time, similar,
};
use holdshort_journal::{
    CallFilter, CallHint, CallOrder, Deadline, DecisionFilter, Fence, Flushed, Health, Hint, LogLine,
    NotificationRecord, Position, RunFilter, SubmitError,
};
use serde_json::json;

/// Runs each check with each store, as a test with a name of its own.
macro_rules! conformance {
    ($($check:ident)*) => {
        mod in_memory {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                super::$check(World::new(Kept::InMemory)).await;
            })*
        }
        mod in_sqlite {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                super::$check(World::new(Kept::InSqlite)).await;
            })*
        }
    };
}

conformance! {
    events_are_numbered_by_the_transaction
    time_never_goes_back
    a_clock_that_was_ahead_once_keeps_no_deadline_for_ever
    a_request_makes_one_run
    commands_of_a_batch_see_each_other
    a_batch_may_come_back_to_an_earlier_call
    a_refusal_within_a_batch_is_told_like_any_other
    a_newer_lease_fences_the_older
    a_race_has_one_winner_and_the_loser_is_told_who
    many_reviewers_at_once_have_one_winner
    one_start_yields_one_permit
    every_call_has_its_own_effect_key
    the_last_performed_call_of_a_kind_is_found
    what_is_read_is_a_prefix
    a_step_that_was_not_written_leaves_no_gap
    runs_are_listed_newest_first_in_pages
    calls_are_listed_in_order_in_pages
    what_is_in_a_phase_is_counted
    what_is_looked_at_first_comes_first
    a_cursor_stays_right_while_rows_come_and_go
    a_call_waits_for_whoever_can_still_do_something_about_it
    decisions_are_listed_newest_first
    what_is_due_comes_earliest_first
    the_feed_is_every_event_in_order_of_commits
    a_log_keeps_its_last_lines
    blobs_are_kept_by_digest
    what_a_target_was_told_is_kept
    a_target_is_reminded_once_for_each_revision
    a_call_is_shown_as_it_was
    large_payloads_come_back_whole
    a_subject_is_the_run_and_the_call_that_was_named
    hints_come_after_the_commit
    an_answer_that_nobody_awaits_is_written_all_the_same
}

async fn events_are_numbered_by_the_transaction(world: World) {
    let ids: Vec<RunId> = (0..20).map(|n| RunId(format!("run-{n:02}"))).collect();
    let mut answers = Vec::new();
    for id in &ids {
        answers.push(tokio::spawn(drop_output(world.submit_now(id, create("task")))));
        for call in 1..=10 {
            answers.push(tokio::spawn(drop_output(world.submit_now(id, routine(call, "answer")))));
        }
    }
    for answer in answers {
        answer.await.unwrap().unwrap();
    }
    for id in &ids {
        assert_eq!(world.seqs(id).await, (1..=11).collect::<Vec<_>>(), "{id}");
    }
    let positions: Vec<u64> =
        world.feed(Position(0), usize::MAX).await.unwrap().iter().map(|entry| entry.position.0).collect();
    assert_eq!(positions, (1..=220).collect::<Vec<_>>());
}

async fn time_never_goes_back(world: World) {
    let run = world.create("run").await;
    world.clock.set(EPOCH - 60_000_000);
    let _ = world.submit(&run, None, routine(1, "answer")).await.unwrap();
    world.clock.set(EPOCH + 60_000_000);
    let _ = world.submit(&run, None, routine(2, "answer")).await.unwrap();
    let times: Vec<u64> =
        world.events(&run, 0, 10).await.unwrap().events.iter().map(|recorded| recorded.at.0).collect();
    assert_eq!(
        times,
        [EPOCH, EPOCH, EPOCH + 108_000_000],
        "it goes on from what was written, somewhat slower than the clock"
    );
}

/// The clock was ten years ahead when an event was written. Afterwards it was corrected.
async fn a_clock_that_was_ahead_once_keeps_no_deadline_for_ever(world: World) {
    const HOUR: u64 = 3_600_000_000;
    const AHEAD: u64 = 10 * 365 * 24 * HOUR;
    let _ = world.create("before").await;
    world.clock.set(EPOCH + AHEAD);
    let run = world.create("ahead").await;
    let written = world.events(&run, 0, 10).await.unwrap().events[0].at;
    assert_eq!(written, Time(EPOCH + AHEAD));
    world.clock.set(EPOCH + HOUR);
    assert!(world.now() >= written, "it is never earlier than what was written");

    // The call is held for a day. It must not expire at once, as it would if the day counted from the clock's time, and
    // must not be held for ten years.
    let day = || Some(Time(world.now().0 + 24 * HOUR));
    let (decided, lapsing) =
        (world.held("decided", requiring(1, day())).await, world.held("lapsing", requiring(1, day())).await);
    world.clock.set(EPOCH + 24 * HOUR);
    assert_eq!(world.due(world.now(), 10).await.unwrap(), []);
    assert!(matches!(world.submit(&lapsing, Some(1), Expire).await, Err(SubmitError::Refused(Refused::NotDue))));
    let _ = world.decide(&decided, 1, "alice", Choice::Approve).await.unwrap();
    let _ = world.start(&decided, 1).await.unwrap();
    // The deadline comes somewhat later than a day, because the journal's time goes slower until the clock has caught
    // up.
    world.clock.set(EPOCH + 28 * HOUR);
    assert_eq!(world.due(world.now(), 10).await.unwrap(), [Deadline::Call(CallId { run: lapsing.clone(), call: 1 })]);
    let _ = world.submit(&lapsing, Some(1), Expire).await.unwrap();
    assert_eq!(world.phase(&lapsing, 1).await, "expired");
    let times: Vec<Time> =
        world.feed(Position(0), usize::MAX).await.unwrap().iter().map(|entry| entry.recorded.at).collect();
    assert!(times.is_sorted(), "{times:?}");
}

/// A client that lost an answer sends the request again and gets the same answer, whether the first request is on disk
/// or in the same batch.
async fn a_request_makes_one_run(world: World) {
    let request = |key: &[u8], asks: &[u8]| Request { key: Digest::of(key), asks: Digest::of(asks) };
    let ask = async |run: &str, request: Request| {
        let once = CreateRunOnce { request, create: create("pay") };
        world.submit(&RunId(run.into()), None, once).await
    };
    let find = async |request: Request| world.submit(&RunId("nothing".into()), None, FindRun(request)).await;
    let monday = request(b"monday", b"pay");
    assert_eq!(*refused(&find(monday).await.unwrap_err()), Refused::NoSuchRun);
    let at_once = |run| CreateRunOnce { request: monday, create: create(&format!("pay {run}")) };
    let together: Vec<_> = (0..8).map(|run| world.submit_now(&RunId(format!("run-{run}")), at_once(run))).collect();
    let mut made = BTreeSet::new();
    for submitted in together {
        made.insert((*submitted.await.unwrap()).clone());
    }
    let [first] = made.into_iter().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(*ask("later", monday).await.unwrap(), first);
    assert_eq!(*find(monday).await.unwrap(), first);
    let other = request(b"monday", b"pay twice");
    assert_eq!(*refused(&ask("other", other).await.unwrap_err()), Refused::KeyUsed(first.clone()));
    assert_eq!(*refused(&find(other).await.unwrap_err()), Refused::KeyUsed(first.clone()));
    assert_eq!(world.length().await, 1, "nothing but the run was written");
    assert_eq!(*ask("tuesday", request(b"tuesday", b"pay")).await.unwrap(), RunId("tuesday".into()));
    assert_eq!(*refused(&ask("tuesday", request(b"wednesday", b"pay")).await.unwrap_err()), Refused::RunExists);
    let event = world.events(&first, 0, 1).await.unwrap().events.pop().unwrap().event;
    assert!(matches!(event, Event::RunCreated { request: Some(request), .. } if request == monday), "{event:?}");
}

async fn commands_of_a_batch_see_each_other(world: World) {
    let run = RunId("run".into());
    let proposal = proposal("hello");
    let clearance = world.clearance(&run, 1, 1, &proposal);
    let position = world.length().await;
    let held = world.clock.hold();
    let created = world.submit_now(&run, create("task"));
    let proposed = world.submit_now(&run, hold(1, proposal));
    let approved = world.submit_at(&run, 1, decision("alice", clearance, Choice::Approve));
    let started = world.submit_at(&run, 1, START);
    let finished = world.submit_at(&run, 1, happened(1, json!("sent")));
    let ended = world.submit_now(&run, routine(2, "answer"));
    drop(held);
    assert_eq!(*created.await.unwrap(), run);
    assert_eq!(proposed.await.unwrap().state(), CallState::Held);
    assert_eq!(approved.await.unwrap().state, CallState::Approved);
    let authorized = started.await.unwrap();
    assert_eq!((authorized.call(), authorized.attempt(), authorized.clearance()), (1, 1, clearance));
    assert_eq!(*finished.await.unwrap(), CallState::Succeeded);
    let _ = ended.await.unwrap();
    assert_eq!(world.seqs(&run).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(world.length().await, position + 6);
}

async fn a_batch_may_come_back_to_an_earlier_call(world: World) {
    let run = world.held("run", proposal("hello")).await;
    let _ = world.decide(&run, 1, "alice", Choice::Approve).await.unwrap();
    let _ = world.start(&run, 1).await.unwrap();
    let held = world.clock.hold();
    let finished = world.submit_at(&run, 1, happened(1, json!("sent")));
    let next = world.submit_now(&run, hold(2, proposal("again")));
    // For the store, call 1 is still started. The current batch already has the outcome of call 1.
    let again = world.submit_at(&run, 1, happened(1, json!("sent twice")));
    let approved =
        world.submit_at(&run, 2, decision("alice", world.clearance(&run, 2, 1, &proposal("again")), Choice::Approve));
    drop(held);
    assert_eq!(*finished.await.unwrap(), CallState::Succeeded);
    assert_eq!(next.await.unwrap().state(), CallState::Held);
    let twice = again.await.unwrap_err();
    assert_eq!(*refused(&twice), Refused::AlreadyDecided { winner: None, state: CallState::Succeeded });
    assert_eq!(approved.await.unwrap().state, CallState::Approved);
    assert_eq!((world.phase(&run, 1).await, world.phase(&run, 2).await), ("succeeded", "approved"));
}

async fn a_refusal_within_a_batch_is_told_like_any_other(world: World) {
    let run = world.create("run").await;
    let held = world.clock.hold();
    let first = world.submit_now(&run, routine(1, "answer"));
    let gap = world.submit_now(&run, routine(3, "answer"));
    let twice = world.submit_now(&run, routine(1, "answer"));
    let second = world.submit_now(&run, routine(2, "answer"));
    let other = world.submit_now(&RunId("nobody".into()), routine(1, "answer"));
    drop(held);
    let _ = first.await.unwrap();
    assert_eq!(gap.await.unwrap_err(), Refused::OutOfOrder { last: 1, found: 3 }.into());
    assert_eq!(twice.await.unwrap_err(), Refused::OutOfOrder { last: 1, found: 1 }.into());
    let _ = second.await.unwrap();
    assert_eq!(other.await.unwrap_err(), Refused::NoSuchRun.into());
    assert_eq!(world.seqs(&run).await, [1, 2, 3]);
}

async fn a_newer_lease_fences_the_older(world: World) {
    let (run, other) = (world.create("run").await, world.create("other").await);
    let submit = |fence, call| world.submit_fenced(&run, fence, routine(call, "answer"));
    let older = world.lease(&run);
    let _ = submit((&older).into(), 1).await.unwrap();
    let newer = world.lease(&run);
    assert_eq!(submit((&older).into(), 2).await.unwrap_err(), SubmitError::Fenced);
    let _ = submit((&newer).into(), 2).await.unwrap();
    // Dropping the older lease does not end the newer one.
    drop(older);
    let _ = submit((&newer).into(), 3).await.unwrap();
    // A lease is valid only for its own run.
    let others = world.lease(&other);
    assert_eq!(submit((&others).into(), 4).await.unwrap_err(), SubmitError::Fenced);
    // A command that needs no lease is accepted without one.
    let _ = submit(Fence::None, 4).await.unwrap();
    let epoch = Fence::from(&newer);
    drop(newer);
    assert_eq!(submit(epoch, 5).await.unwrap_err(), SubmitError::Fenced, "a lease that is gone");
    // If another lease is taken while a command waits, the command is refused, because the writer compares the leases
    // only when it judges the command.
    let lease = world.lease(&run);
    let held = world.clock.hold();
    let first = world.submit_now(&other, routine(1, "answer"));
    let late = submit((&lease).into(), 5);
    let _newest = world.lease(&run);
    drop(held);
    let _ = first.await.unwrap();
    assert_eq!(late.await.unwrap_err(), SubmitError::Fenced);
    assert_eq!(world.seqs(&run).await, [1, 2, 3, 4, 5]);
}

/// Whether this is the refusal that the loser of a race must get.
type Lost = fn(&Refused) -> bool;

/// Pairs of commands that race for a held call, each command by its name, and what the loser is told.
const RACES: &[(&str, &str, Lost)] = &[
    ("approve", "approve by another", |why| won_by(why, "alice", &RecordedChoice::Approve, CallState::Approved)),
    ("approve", "reject by another", |why| won_by(why, "alice", &RecordedChoice::Approve, CallState::Approved)),
    ("reject", "approve by another", |why| won_by(why, "alice", &RecordedChoice::Reject, CallState::Rejected)),
    ("edit", "approve by another", |why| won_by(why, "alice", &RecordedChoice::Approve, CallState::Approved)),
    ("approve", "edit by another", |why| won_by(why, "alice", &RecordedChoice::Approve, CallState::Approved)),
    ("cancel", "approve by another", |why| {
        *why == Refused::AlreadyDecided { winner: None, state: CallState::Cancelled }
    }),
    ("expire", "approve by another", |why| *why == Refused::Expired),
    ("expire", "expire", |why| *why == Refused::NotDue),
    ("expire", "cancel by another", |_| panic!("a run whose call has expired can be cancelled")),
];

fn won_by(why: &Refused, reviewer: &str, verdict: &RecordedChoice, now: CallState) -> bool {
    let Refused::AlreadyDecided { winner: Some(winner), state } = why else { return false };
    let Decision { reviewer: by, verdict: how, .. } = &**winner;
    (by.as_str(), how, *state) == (reviewer, verdict, now)
}

async fn a_race_has_one_winner_and_the_loser_is_told_who(world: World) {
    for (n, (winner, loser, lost)) in RACES.iter().enumerate() {
        // Both commands are submitted in this order while the writer stands still, so that both are judged in one
        // batch.
        let expires_at = winner.starts_with("expire").then(|| world.clock.next());
        let run = world.held(&format!("run-{n:02}"), requiring(1, expires_at)).await;
        let clearance = world.call(&run, 1).await.clearance.unwrap();
        let held = world.clock.hold();
        let (first, second) = (enter(&world, &run, clearance, winner), enter(&world, &run, clearance, loser));
        drop(held);
        assert_eq!(first.await, Ok(()), "{winner}, then {loser}");
        match second.await {
            Err(SubmitError::Refused(why)) => assert!(lost(&why), "{winner}, then {loser}: {why:?}"),
            Ok(()) if (*winner, *loser) == ("expire", "cancel by another") => {}
            other => panic!("{winner}, then {loser}: {other:?}"),
        }
    }
    // A reviewer who decides on the old revision of an edited call is told the current digest, if the call still waits
    // for another approval.
    let run = world.held("edited", requiring(2, None)).await;
    let clearance = world.call(&run, 1).await.clearance.unwrap();
    let held = world.clock.hold();
    let (first, second) =
        (enter(&world, &run, clearance, "edit"), enter(&world, &run, clearance, "approve by another"));
    drop(held);
    first.await.unwrap();
    let current = world.call(&run, 1).await.clearance.unwrap();
    assert_eq!(second.await, Err(Refused::Stale { current, reheld: None }.into()));
    // If the same decision is sent twice, neither loses: the second sender is told the outcome too.
    let run = world.held("twice", proposal("hello")).await;
    let clearance = world.call(&run, 1).await.clearance.unwrap();
    let held = world.clock.hold();
    let once = world.submit_at(&run, 1, decision("alice", clearance, Choice::Approve));
    let again = world.submit_at(&run, 1, decision("alice", clearance, Choice::Approve));
    drop(held);
    let told = DecisionOutcome { state: CallState::Approved, still_needed: 0, clearance, repeated: false };
    assert_eq!(*once.await.unwrap(), told);
    assert_eq!(*again.await.unwrap(), DecisionOutcome { repeated: true, ..told });
    assert_eq!(world.seqs(&run).await, [1, 2, 3]);
}

/// Submits the command of one side of a race about call 1, which has just been held.
fn enter(
    world: &World,
    run: &RunId,
    clearance: Digest,
    what: &str,
) -> impl Future<Output = Result<(), SubmitError>> + use<> {
    let (what, by) = what.split_once(" by another").map_or((what, "alice"), |(what, _)| (what, "bob"));
    let choice = match what {
        "approve" => Choice::Approve,
        "reject" => Choice::Reject,
        "edit" => Choice::Edit(Box::new(Revision { proposal: proposal("hello, world") })),
        "cancel" => return to_unit(world.submit_now(run, cancel())),
        "expire" => return to_unit(world.submit_at(run, 1, Expire)),
        other => panic!("nobody knows how to {other}"),
    };
    to_unit(world.submit_at(run, 1, decision(by, clearance, choice)))
}

async fn many_reviewers_at_once_have_one_winner(world: World) {
    let run = world.held("run", proposal("hello")).await;
    let clearance = world.call(&run, 1).await.clearance.unwrap();
    let world = Arc::new(world);
    let reviewers = (0..32).map(|n| {
        let (world, run) = (world.clone(), run.clone());
        tokio::spawn(async move {
            let name = ReviewerName::new(format!("reviewer-{n}"));
            let choice = if n % 3 == 0 { Choice::Reject } else { Choice::Approve };
            (name.clone(), world.submit(&run, Some(1), decision(name, clearance, choice)).await)
        })
    });
    let (mut winners, mut told) = (Vec::new(), BTreeSet::new());
    for reviewer in reviewers.collect::<Vec<_>>() {
        match reviewer.await.unwrap() {
            (name, Ok(_)) => winners.push(name),
            (_, Err(SubmitError::Refused(Refused::AlreadyDecided { winner: Some(winner), .. }))) => {
                told.insert(winner.reviewer.clone());
            }
            (name, other) => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(told.into_iter().collect::<Vec<_>>(), winners);
    assert_eq!(world.seqs(&run).await, [1, 2, 3]);
}

async fn one_start_yields_one_permit(world: World) {
    let run = world.held("run", proposal("hello")).await;
    let _ = world.decide(&run, 1, "alice", Choice::Approve).await.unwrap();
    let held = world.clock.hold();
    let starts: Vec<_> = (0..8).map(|_| world.submit_at(&run, 1, START)).collect();
    drop(held);
    let mut permits = Vec::new();
    for start in starts {
        match start.await {
            Ok(authorized) => permits.push(perform(authorized)),
            Err(error) => assert_eq!(*refused(&error), Refused::WrongPhase(CallState::Started)),
        }
    }
    assert_eq!(permits, [world.effect_key(&run, 1).to_string()]);
    // If an effect has started, a cancellation cancels only the run.
    let _ = world.submit(&run, None, cancel()).await.unwrap();
    assert_eq!(*world.submit(&run, Some(1), happened(1, json!("sent"))).await.unwrap(), CallState::Succeeded);
    let late = world.submit(&run, Some(1), happened(1, json!("sent"))).await.unwrap_err();
    assert_eq!(*refused(&late), Refused::AlreadyDecided { winner: None, state: CallState::Succeeded });
    // The effect is resolved twice, by a lookup and by a reviewer. The later resolution is refused, because the effect
    // is no longer in doubt.
    let run = world.held("doubtful", proposal("hello")).await;
    let _ = world.decide(&run, 1, "alice", Choice::Approve).await.unwrap();
    let _ = world.start(&run, 1).await.unwrap();
    let unknown = Finish { attempt: 1, outcome: AttemptOutcome::Unknown("no reply".into()), evidence: None };
    let _ = world.submit(&run, Some(1), unknown).await.unwrap();
    let held = world.clock.hold();
    let by_lookup = world.submit_at(&run, 1, happened(1, json!("sent")));
    let resolve = Resolve { attempt: 1, by: "bob".into(), resolution: Resolution::NotDone, message: None };
    let by_person = world.submit_at(&run, 1, resolve);
    drop(held);
    assert_eq!(*by_lookup.await.unwrap(), CallState::Succeeded);
    let why = by_person.await.unwrap_err();
    assert_eq!(*refused(&why), Refused::AlreadyDecided { winner: None, state: CallState::Succeeded });
}

async fn every_call_has_its_own_effect_key(world: World) {
    let (one, other) = (world.held("one", proposal("hello")).await, world.held("other", proposal("hello")).await);
    let mut keys = Vec::new();
    for run in [&one, &other] {
        for call in 1..=3 {
            if call > 1 {
                let _ = world.submit(run, None, hold(call, proposal("hello"))).await.unwrap();
            }
            let _ = world.decide(run, call, "alice", Choice::Approve).await.unwrap();
            keys.push((run.clone(), call, perform(world.start(run, call).await.unwrap())));
            assert_eq!(world.subject_of(run, call).await.key, world.effect_key(run, call));
            let _ = world.submit(run, Some(call), happened(1, json!("sent"))).await.unwrap();
        }
    }
    for (run, call, key) in &keys {
        assert_eq!(
            *key,
            world.effect_key(run, *call).0,
            "call {call} of run {run}: the key that a lookup would ask for"
        );
    }
    let different: BTreeSet<&String> = keys.iter().map(|(.., key)| key).collect();
    assert_eq!(different.len(), 6, "two calls with one key would be done once");
}

async fn the_last_performed_call_of_a_kind_is_found(world: World) {
    let place = |path: &str| json!({ "host": "api.test", "method": "POST", "path": path });
    let kind = |path: &str| similar::kind(&"agent".into(), &"acme:mail/send@1.0.0#send".parse().unwrap(), &place(path));
    let found = async |world: &World, path: &str| {
        let found = world.last_performed(kind(path).unwrap()).await.unwrap();
        found.map(|(id, call)| (id.to_string(), call.action().arguments()["text"].clone()))
    };
    let performed = async |world: &World, name: &str, path: &str| {
        let run = world.held(name, Proposal { facts: place(path), ..proposal(name) }).await;
        let _ = world.decide(&run, 1, "alice", Choice::Approve).await.unwrap();
        let _ = world.start(&run, 1).await.unwrap();
        run
    };
    assert_eq!(kind("/a"), kind("/a"));
    let others = [json!({ "host": "api.test", "method": "POST" }), json!({ "host": 1, "method": 2, "path": 3 })];
    for facts in others {
        assert_eq!(similar::kind(&"agent".into(), &"a:b/c@1.0.0#d".parse().unwrap(), &facts), None);
    }
    let one = performed(&world, "one", "/a").await;
    let two = performed(&world, "two", "/a").await;
    let _ = performed(&world, "other", "/b").await;
    assert_eq!(found(&world, "/a").await, None, "nothing was performed");
    for (run, expected) in [(&two, "two"), (&one, "two")] {
        let _ = world.submit(run, Some(1), happened(1, json!("done"))).await.unwrap();
        assert_eq!(found(&world, "/a").await, Some((format!("{expected}.1"), json!(expected))));
    }
    assert_eq!(found(&world, "/b").await, None);
}

async fn what_is_read_is_a_prefix(world: World) {
    let world = Arc::new(world);
    let runs: Vec<RunId> = (0..4).map(|n| RunId(format!("run-{n}"))).collect();
    let writers = runs.iter().map(|run| {
        let (world, run) = (world.clone(), run.clone());
        tokio::spawn(async move {
            let mut last = Vec::new();
            let _ = world.submit(&run, None, create("task")).await.unwrap();
            for call in 1..=200 {
                // A driver does not await every routine result; now and then it awaits the latest one.
                last.push(world.submit_now(&run, routine(call, "answer")));
                if call % 20 == 0 {
                    for answer in last.drain(..) {
                        let _ = answer.await.unwrap();
                    }
                }
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut lengths = [0; 4];
    let mut before = Position(0);
    while lengths.iter().sum::<usize>() < 4 * 201 {
        for (run, length) in runs.iter().zip(&mut lengths) {
            let seqs = world.seqs(run).await;
            assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
            assert!(seqs.len() >= *length, "{run} lost what was read before");
            *length = seqs.len();
        }
        let feed = world.feed(before, usize::MAX).await.unwrap();
        let positions: Vec<u64> = feed.iter().map(|entry| entry.position.0).collect();
        assert_eq!(positions, (before.0 + 1..=before.0 + positions.len() as u64).collect::<Vec<_>>());
        before = Position(before.0 + positions.len() as u64);
        if writers.iter().any(|writer| writer.is_finished()) && writers.iter().all(|writer| writer.is_finished()) {
            assert_eq!(world.length().await, 4 * 201);
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

async fn a_step_that_was_not_written_leaves_no_gap(world: World) {
    let run = world.create("run").await;
    let _ = world.submit(&run, None, routine(1, "answer")).await.unwrap();
    // Call 2 was lost before it was written. So no later call can be written, above all no held call.
    let after = world.submit(&run, None, hold(3, proposal("hello"))).await.unwrap_err();
    assert_eq!(*refused(&after), Refused::OutOfOrder { last: 1, found: 3 });
    assert_eq!(world.seqs(&run).await, [1, 2]);
    assert_eq!(world.calls(all_calls()).await.unwrap(), []);
}

async fn runs_are_listed_newest_first_in_pages(world: World) {
    for n in 0..150 {
        let run = world.held(&format!("run-{n:03}"), proposal("hello")).await;
        match n % 3 {
            0 => drop(world.submit(&run, None, cancel()).await.unwrap()),
            1 => drop(world.decide(&run, 1, "alice", Choice::Reject).await.unwrap()),
            _ => {}
        }
    }
    for (phases, wanted) in [
        (vec![], vec![0, 1, 2]),
        (vec![RunState::Cancelled], vec![0]),
        (vec![RunState::Running, RunState::Waiting], vec![1, 2]),
    ] {
        let mut found: Vec<String> = Vec::new();
        loop {
            let before = found.last().cloned().map(RunId);
            let page = world.runs(RunFilter { states: phases.clone(), before, limit: 7 }).await.unwrap();
            assert!(page.len() <= 7);
            if page.is_empty() {
                break;
            }
            found.extend(page.into_iter().map(|row| row.id.0));
            assert!(found.len() <= 150, "a page brings what was on the one before");
        }
        let all = (0..150).rev().filter(|n| wanted.contains(&(n % 3))).map(|n| format!("run-{n:03}"));
        assert_eq!(found, all.collect::<Vec<_>>(), "{phases:?}");
    }
    assert_eq!(world.runs(RunFilter { states: vec![RunState::Diverged], ..all_runs() }).await.unwrap(), []);
}

async fn calls_are_listed_in_order_in_pages(world: World) {
    let mut all = Vec::new();
    let runs: Vec<RunId> = (0..10).map(|n| RunId(format!("run-{n}"))).collect();
    for run in &runs {
        let _ = world.submit(run, None, create("task")).await.unwrap();
    }
    for call in 1..=12 {
        // Newer runs make their calls first, so that the order of runs is not the order of calls.
        for run in runs.iter().rev() {
            let _ = world.submit(run, None, hold(call, proposal("hello"))).await.unwrap();
            let phase = match call % 3 {
                0 => world.decide(run, call, "alice", Choice::Reject).await.unwrap().state,
                _ => {
                    let _ = world.decide(run, call, "alice", Choice::Approve).await.unwrap();
                    let _ = world.start(run, call).await.unwrap();
                    *world.submit(run, Some(call), happened(1, json!("sent"))).await.unwrap()
                }
            };
            all.push((run.clone(), call, phase));
        }
    }
    let phases: [&[CallState]; 4] =
        [&[], &[CallState::Rejected], &[CallState::Rejected, CallState::Succeeded], &[CallState::Held]];
    for phases in phases {
        for only in [None, Some(&runs[3])] {
            let (mut found, mut place) = (Vec::new(), Position(0));
            loop {
                let filter = CallFilter { states: phases.to_vec(), run: only.cloned(), ..after(place, 7) };
                let page = world.calls(filter).await.unwrap();
                assert!(page.len() <= 7);
                let Some(last) = page.last() else { break };
                place = last.position;
                found.extend(page.into_iter().map(|row| (row.run, row.call, row.state)));
                assert!(found.len() <= 120, "a page brings what was on the one before");
            }
            let wanted = all.iter().filter(|(run, _, phase)| {
                (phases.is_empty() || phases.contains(phase)) && only.is_none_or(|only| only == run)
            });
            assert_eq!(found, wanted.cloned().collect::<Vec<_>>(), "{phases:?} {only:?}");
        }
    }
}

async fn what_is_in_a_phase_is_counted(world: World) {
    for n in 0..30 {
        let run = world.held(&format!("run-{n:02}"), proposal("hello")).await;
        match n % 5 {
            0 => drop(world.decide(&run, 1, "alice", Choice::Reject).await.unwrap()),
            1 => drop(world.submit(&run, None, cancel()).await.unwrap()),
            _ => {}
        }
    }
    for (phase, most, calls, runs) in [
        ("held", 1_000, 18, 0),
        ("rejected", 1_000, 6, 0),
        ("cancelled", 1_000, 6, 6),
        ("waiting", 1_000, 0, 18),
        ("running", 1_000, 0, 6),
        ("held", 7, 7, 0),
        ("waiting", 7, 0, 7),
        ("diverged", 1_000, 0, 0),
    ] {
        let counted = (
            match phase.parse() {
                Ok(state) => world.count_calls(CallFilter::in_states(&[state], most)).await.unwrap(),
                Err(_) => 0,
            },
            match phase.parse() {
                Ok(state) => world.count_runs(state, most).await.unwrap(),
                Err(_) => 0,
            },
        );
        assert_eq!(counted, (calls, runs), "{phase}, at most {most}");
    }
}

/// The names of the runs of the ranked calls, in their order.
async fn ranked(world: &World, filter: CallFilter) -> Vec<String> {
    let filter =
        CallFilter { states: vec![CallState::Held, CallState::InDoubt], order: CallOrder::Ranked(None), ..filter };
    world.calls(filter).await.unwrap().into_iter().map(|row| row.run.0).collect()
}

fn weighing(consequence: Option<Consequence>, expires_at: Option<u64>) -> Proposal {
    Proposal { consequence, ..requiring(1, expires_at.map(|after| Time(EPOCH + after))) }
}

async fn what_is_looked_at_first_comes_first(world: World) {
    use Consequence::{High, Low, Medium};
    const DAY: u64 = 86_400_000_000;
    // The calls are proposed from the last place to the first, so the order of proposal decides only between calls that
    // are equal in everything else.
    for (name, consequence, deadline) in [
        ("12 low", Some(Low), None),
        ("13 low, later", Some(Low), None),
        ("11 low, lapses", Some(Low), Some(DAY)),
        ("10 medium", Some(Medium), None),
        ("09 medium, lapses never that anybody sees", Some(Medium), Some(u64::MAX - EPOCH)),
        ("08 medium, lapses", Some(Medium), Some(2 * DAY)),
        ("06 high", Some(High), None),
        ("07 nobody says, later", None, None),
        ("05 nobody says, lapses later", None, Some(3 * DAY)),
        ("03 high, lapses", Some(High), Some(2 * DAY)),
        ("04 high, lapses then too", Some(High), Some(2 * DAY)),
        ("02 high, lapses first", Some(High), Some(DAY)),
        ("00 in doubt, low", Some(Low), None),
        ("01 in doubt, high", Some(High), Some(DAY)),
    ] {
        let run = world.held(name, weighing(consequence, deadline)).await;
        if name.contains("doubt") {
            let _ = world.decide(&run, 1, "alice", Choice::Approve).await.unwrap();
            let _ = world.start(&run, 1).await.unwrap();
            let _ = world.submit(&run, Some(1), unknown()).await.unwrap();
        }
    }
    let found = ranked(&world, all_calls()).await;
    let mut wanted = found.clone();
    wanted.sort();
    // Two of the medium calls count as calls without a deadline: one has none, and the deadline of the other is too far
    // away. They keep the order in which they were proposed.
    wanted.swap(9, 10);
    assert_eq!((found.len(), found), (14, wanted));
}

fn unknown() -> Finish {
    Finish { attempt: 1, outcome: AttemptOutcome::Unknown("no reply".into()), evidence: None }
}

/// Reads page by page, while calls of the page just read are decided and new calls are proposed. A call that is in the
/// list all the time must appear exactly once.
async fn a_cursor_stays_right_while_rows_come_and_go(world: World) {
    let consequence = |n: usize| [None, Some(Consequence::Medium), Some(Consequence::Low)][n % 3];
    for n in 0..60 {
        let deadline = (n % 4 == 0).then_some(1_000_000_000 + (n as u64 * 7 % 60) * 1_000_000);
        let _ = world.held(&format!("run-{n:02}"), weighing(consequence(n), deadline)).await;
    }
    let before = ranked(&world, all_calls()).await;
    let (mut met, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let filter = CallFilter { order: CallOrder::Ranked(after), ..CallFilter::in_states(&[CallState::Held], 7) };
        let page = world.calls(filter).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.rank, last.position));
        // The row that the cursor names is removed, another row of this page is removed, and rows are added before and
        // after the cursor's place.
        let (last, first) = (last.run.clone(), page[0].run.clone());
        let _ = world.decide(&last, 1, "alice", Choice::Reject).await.unwrap();
        if first != last {
            let _ = world.submit(&first, None, cancel()).await.unwrap();
        }
        for consequence in [None, Some(Consequence::Low)] {
            let name = format!("new-{pages}-{consequence:?}");
            let _ = world.held(&name, weighing(consequence, (pages % 2 == 0).then_some(500_000_000))).await;
        }
        met.extend(page.into_iter().map(|row| row.run.0));
        pages += 1;
    }
    let mut once = met.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), met.len(), "nothing twice");
    met.retain(|run| run.starts_with("run"));
    assert_eq!((met, pages > 8), (before, true));
}

async fn a_call_waits_for_whoever_can_still_do_something_about_it(world: World) {
    let named = |names: &[&str], quorum, four_eyes| {
        let mut proposal = requiring(quorum, None);
        proposal.requirement.stages[0][0].reviewers =
            Reviewers::Named(names.iter().map(|name| ReviewerName::new(*name)).collect());
        proposal.requirement.four_eyes = four_eyes;
        proposal
    };
    let mut anyone = requiring(2, None);
    anyone.requirement.four_eyes = true;
    // Runs are started by olga.
    let _ = world.held("1 anybody", requiring(2, None)).await;
    let _ = world.held("2 another than who started it", anyone.clone()).await;
    let _ = world.held("3 alice or olga", named(&["alice", "olga"], 1, false)).await;
    let _ = world.held("4 alice or olga, another than who started it", named(&["alice", "olga"], 1, true)).await;
    let _ = world.held("5 nobody", named(&[], 1, false)).await;
    let mine = async |name: &'static str| {
        let found = ranked(&world, CallFilter { waiting_for: vec![name.into()], ..all_calls() }).await;
        let counted = CallFilter {
            waiting_for: vec![name.into()],
            ..CallFilter::in_states(&[CallState::Held, CallState::InDoubt], 100)
        };
        assert_eq!(world.count_calls(counted).await.unwrap(), found.len(), "{name}");
        found.into_iter().map(|run| run[..1].to_owned()).collect::<String>()
    };
    assert_eq!(
        [mine("alice").await, mine("bob").await, mine("olga").await, mine("eve").await],
        ["1234", "12", "13", "12"]
    );
    // The call does not wait for a reviewer who has approved it, until the approved revision is replaced.
    let (first, second) = (RunId("1 anybody".into()), RunId("2 another than who started it".into()));
    let _ = world.decide(&first, 1, "alice", Choice::Approve).await.unwrap();
    let _ = world.decide(&second, 1, "bob", Choice::Approve).await.unwrap();
    assert_eq!([mine("alice").await, mine("bob").await, mine("olga").await], ["234", "1", "13"]);
    let edit =
        || Choice::Edit(Box::new(Revision { proposal: Proposal { summary: "another".into(), ..anyone.clone() } }));
    let _ = world.decide(&second, 1, "alice", edit()).await.unwrap();
    assert_eq!([mine("alice").await, mine("bob").await], ["34", "12"], "who edits is barred as well");
    // A call that is decided or started waits for nobody. A call in doubt waits for those who may resolve it, also if
    // they approved it.
    let _ = world.decide(&first, 1, "bob", Choice::Approve).await.unwrap();
    assert_eq!(mine("olga").await, "3");
    let _ = world.start(&first, 1).await.unwrap();
    assert_eq!(mine("olga").await, "3");
    let _ = world.submit(&first, Some(1), unknown()).await.unwrap();
    assert_eq!([mine("alice").await, mine("bob").await, mine("olga").await], ["134", "12", "13"]);
    let _ = world.submit(&first, Some(1), happened(1, json!("sent"))).await.unwrap();
    let _ = world.submit(&second, None, cancel()).await.unwrap();
    assert_eq!([mine("alice").await, mine("bob").await], ["34", ""]);
}

async fn decisions_are_listed_newest_first(world: World) {
    let run = world.held("run", requiring(2, None)).await;
    let other = world.held("other", proposal("to Zürich, <now>")).await;
    world.clock.pass_ms(1_000);
    let began = world.clock.next();
    let _ = world.decide(&run, 1, "alice", Choice::Approve).await.unwrap();
    let edit = Choice::Edit(Box::new(Revision { proposal: proposal("another text") }));
    let _ = world.decide(&run, 1, "bob", edit).await.unwrap();
    world.clock.pass_ms(1_000);
    let later = world.clock.next();
    let _ = world.submit(&other, None, cancel()).await.unwrap();
    let seen = async |filter: DecisionFilter| {
        let rows = world.decisions(filter).await.unwrap();
        rows.into_iter()
            .map(|row| format!("{} {:?} {}", row.kind, row.by.unwrap_or_default(), row.summary))
            .collect::<Vec<_>>()
    };
    let all = || DecisionFilter::all(10);
    // The editor's own vote is for the edited action.
    let voted = "approve \"bob\" send another text";
    let (cancelled, edited, approved) =
        ("cancel \"olga\" send to Zürich, <now>", "edit \"bob\" send hello", "approve \"alice\" send hello");
    assert_eq!(seen(all()).await, [cancelled, voted, edited, approved], "each on what it was about");
    assert_eq!(
        seen(DecisionFilter { from: Some(began), until: Some(later), ..all() }).await,
        [voted, edited, approved]
    );
    assert_eq!(seen(DecisionFilter { from: Some(later), ..all() }).await, [cancelled]);
    assert_eq!(seen(DecisionFilter { until: Some(began), ..all() }).await, [""; 0]);
    assert_eq!(seen(DecisionFilter { by: Some("bob".into()), ..all() }).await, [voted, edited]);
    assert_eq!(seen(DecisionFilter { states: vec![CallState::Cancelled], ..all() }).await, [cancelled]);
    let page = world.decisions(DecisionFilter::all(1)).await.unwrap();
    assert_eq!(seen(DecisionFilter { before: Some(page[0].position), ..all() }).await, [voted, edited, approved]);
    // A search finds finished calls by the beginnings of their words, in any order and case.
    for (search, finds) in
        [("ZÜR now", true), ("olg tASk", true), ("rich", false), ("now zurich", false), ("hello", false)]
    {
        let found = seen(DecisionFilter { search: Some(search.into()), ..all() }).await;
        assert_eq!(found, if finds { vec![cancelled] } else { vec![] }, "{search}");
    }
}

async fn what_is_due_comes_earliest_first(world: World) {
    assert_eq!(world.next_deadline().await.unwrap(), None);
    let mut wanted = Vec::new();
    for n in 0..60_u64 {
        let at = Time(EPOCH + 1_000_000 + (n * 37 % 60) * 1_000);
        let run = RunId(format!("run-{n:02}"));
        if n % 2 == 0 {
            let run = world.held(&run.0, requiring(1, Some(at))).await;
            wanted.push((at, Deadline::Call(CallId { run, call: 1 })));
        } else {
            let run = world.create(&run.0).await;
            let timer = holdshort_gate::command::SetTimer { timer: 1, until: at };
            let _ = world.submit(&run, None, timer).await.unwrap();
            wanted.push((at, Deadline::Timer { run, timer: 1 }));
        }
    }
    wanted.sort_by_key(|(at, _)| *at);
    assert_eq!(world.next_deadline().await.unwrap(), Some(wanted[0].0));
    assert_eq!(world.due(Time(wanted[0].0.0 - 1), 100).await.unwrap(), []);
    let all: Vec<Deadline> = wanted.iter().map(|(_, due)| due.clone()).collect();
    assert_eq!(world.due(wanted[9].0, 100).await.unwrap(), all[..10]);
    assert_eq!(world.due(Time(u64::MAX >> 1), 7).await.unwrap(), all[..7]);
    // A deadline is no longer due after the host has acted on it.
    world.clock.set(EPOCH + 10_000_000);
    for (n, due) in all.iter().take(10).enumerate() {
        match due {
            Deadline::Call(CallId { run, call }) => drop(world.submit(run, Some(*call), Expire).await.unwrap()),
            Deadline::Timer { run, timer } => {
                let fire = holdshort_gate::command::FireTimer { timer: *timer };
                drop(world.submit(run, None, fire).await.unwrap());
            }
        }
        assert_eq!(world.next_deadline().await.unwrap(), Some(wanted[n + 1].0));
    }
    assert_eq!(world.due(Time(u64::MAX >> 1), 100).await.unwrap(), all[10..]);
    let run = world.held("approved", proposal("hello")).await;
    let _ = world.decide(&run, 1, "alice", Choice::Approve).await.unwrap();
    let start_by = world.call(&run, 1).await.deadline().unwrap();
    assert_eq!(world.due(start_by, 100).await.unwrap().last(), Some(&Deadline::Call(CallId { run, call: 1 })));
}

async fn the_feed_is_every_event_in_order_of_commits(world: World) {
    let runs: Vec<RunId> = (0..30).map(|n| RunId(format!("run-{n:02}"))).collect();
    let mut wanted = Vec::new();
    for run in &runs {
        let _ = world.submit(run, None, create("task")).await.unwrap();
        wanted.push((run.clone(), 1));
    }
    for call in 1..=10 {
        for run in &runs {
            let _ = world.submit(run, None, routine(call, "answer")).await.unwrap();
            wanted.push((run.clone(), u64::from(call) + 1));
        }
    }
    for page in [1, 7, 64, 1_000] {
        let (mut found, mut place) = (Vec::new(), Position(0));
        loop {
            let entries = world.feed(place, page).await.unwrap();
            let Some(last) = entries.last() else { break };
            place = last.position;
            found.extend(entries.into_iter().map(|entry| (entry.run, entry.recorded.seq)));
            assert!(found.len() <= wanted.len(), "a page brings what was on the one before");
        }
        assert_eq!(found, wanted, "in pages of {page}");
    }
    assert_eq!(world.last_position().await.unwrap(), Position(330));
    let events = world.events(&runs[5], 4, 3).await.unwrap().events;
    assert_eq!(events.iter().map(|recorded| recorded.seq).collect::<Vec<_>>(), [5, 6, 7]);
    assert_eq!(world.events(&RunId("nobody".into()), 0, 3).await.unwrap().events, []);
}

async fn a_log_keeps_its_last_lines(world: World) {
    let (run, quiet) = (world.create("run").await, world.create("quiet").await);
    let line = |n: u64| LogLine { at: Time(EPOCH + n), level: "info".into(), message: format!("line {n}") };
    for n in 1..=10_050 {
        world.log(&run, line(n));
        if n % 5_000 == 0 {
            // Log lines wait in memory until the next batch, and lines over a limit are dropped. The blob makes a batch.
            let _ = world.put_blob(vec![1]).await.unwrap();
        }
    }
    let _ = world.put_blob(vec![2]).await.unwrap();
    let (mut found, mut after) = (Vec::new(), 0);
    loop {
        let page = world.log_lines(&run, after, 999).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        after = *last;
        found.extend(page);
        assert!(found.len() <= 10_000, "a page brings what was on the one before");
    }
    assert_eq!(found, (51..=10_050).map(|n| (n, line(n))).collect::<Vec<_>>());
    assert_eq!(world.log_lines(&quiet, 0, 10).await.unwrap(), []);
    world.log(&RunId("nobody".into()), line(1));
    world.log(&quiet, line(1));
    let _ = world.put_blob(vec![3]).await.unwrap();
    assert_eq!(
        world.log_lines(&quiet, 0, 10).await.unwrap(),
        [(1, line(1))],
        "each run's lines have their own numbers"
    );
}

async fn blobs_are_kept_by_digest(world: World) {
    let blobs = [Vec::new(), vec![0; 3 << 20], (0..=255).collect(), b"<script>".to_vec()];
    for bytes in &blobs {
        for _ in 0..2 {
            let digest = world.put_blob(bytes.clone()).await.unwrap();
            assert_eq!(*digest, Digest::of(bytes));
        }
    }
    for bytes in &blobs {
        assert_eq!(world.blob(&Digest::of(bytes)).await.unwrap().as_ref(), Some(bytes));
    }
    assert_eq!(world.blob(&Digest::of(b"never put")).await.unwrap(), None);
    assert_eq!(world.length().await, 0, "a blob is no event");
}

async fn large_payloads_come_back_whole(world: World) {
    let text = |bytes: usize| "é\u{202e}\"x".chars().cycle().take(bytes / 2).collect::<String>();
    let run = RunId("run".into());
    let task = text(300 << 10);
    let _ = world.submit(&run, None, create(&task)).await.unwrap();
    let large = proposal(&text(200 << 10));
    // These sizes are around the limit above which the body of an event is stored as a blob.
    for (call, bytes) in (1..).zip([1 << 10, (64 << 10) - 300, 64 << 10, (64 << 10) + 300, 1 << 20]) {
        let _ = world.submit(&run, None, routine(call, &text(bytes))).await.unwrap();
    }
    let _ = world.submit(&run, None, hold(6, large.clone())).await.unwrap();
    let _ = world.decide(&run, 6, "alice", Choice::Approve).await.unwrap();
    let authorized = world.start(&run, 6).await.unwrap();
    assert_eq!(*authorized.action(), large.action);
    let receipt = json!(text(100 << 10));
    let _ = world.submit(&run, Some(6), happened(1, receipt.clone())).await.unwrap();
    let call = world.call(&run, 6).await;
    assert_eq!(call.proposal(), Some(&large));
    assert_eq!(call.answer(), Some(holdshort_gate::Answer::Ok(receipt)));
    assert_eq!(world.runs(all_runs()).await.unwrap()[0].task, task);
    assert_eq!(world.calls(all_calls()).await.unwrap()[0].summary, large.summary);
    let events = world.events(&run, 0, 100).await.unwrap().events;
    let feed = world.feed(Position(0), 100).await.unwrap();
    assert_eq!(events, feed.into_iter().map(|entry| entry.recorded).collect::<Vec<_>>());
    for (recorded, bytes) in events[1..6].iter().zip([1 << 10, (64 << 10) - 300, 64 << 10, (64 << 10) + 300, 1 << 20]) {
        let Event::RoutineReturned { result, .. } = &recorded.event else { panic!("{recorded:?}") };
        assert_eq!(*result, json!(text(bytes)));
    }
}

async fn a_subject_is_the_run_and_the_call_that_was_named(world: World) {
    let run = world.held("run", proposal("first")).await;
    assert_eq!(world.subject(&RunId("nobody".into()), None).await.unwrap(), None);
    let _ = world.decide(&run, 1, "alice", Choice::Reject).await.unwrap();
    let _ = world.submit(&run, None, routine(2, "answer")).await.unwrap();
    let clear = Propose { call: 3, proposed: FirstVerdict::Clear(Box::new(proposal("second"))) };
    let _ = world.submit(&run, None, clear).await.unwrap();
    let subject = world.subject(&run, None).await.unwrap().unwrap();
    assert_eq!(subject.run.as_ref().unwrap().calls, 3);
    assert_eq!(subject.call.as_ref().map(|call| call.number), Some(3), "the last consequential call, if none is named");
    assert_eq!(world.call(&run, 1).await.phase.state().as_str(), "rejected");
    assert_eq!(world.subject_of(&run, 2).await.call, None, "a routine call has no life");
    assert_eq!(world.subject_of(&run, 4).await.call, None);
    // A command about an earlier call is judged on that call and does not change the later call.
    let _ = world.submit(&run, Some(3), START).await.unwrap();
    let late = world.submit(&run, Some(1), START).await.unwrap_err();
    assert_eq!(*refused(&late), Refused::WrongPhase(CallState::Rejected));
    assert_eq!(*world.submit(&run, Some(3), happened(1, json!("sent"))).await.unwrap(), CallState::Succeeded);
    let unknown = world.submit(&run, Some(2), START).await.unwrap_err();
    assert_eq!(*refused(&unknown), Refused::NoSuchCall);
}

async fn hints_come_after_the_commit(world: World) {
    let mut hints = world.hints();
    let expires_at = Time(EPOCH + 60_000_000);
    let run = world.held("run", requiring(1, Some(expires_at))).await;
    let gap = world.submit(&run, None, routine(9, "answer")).await.unwrap_err();
    assert!(matches!(gap, SubmitError::Refused(_)));
    let _ = world.decide(&run, 1, "alice", Choice::Approve).await.unwrap();
    let call = world.call(&run, 1).await;
    let (start_by, capability) = (call.deadline(), call.action().capability());
    assert!(start_by.is_some());
    let again = world.decide(&run, 1, "alice", Choice::Approve).await.unwrap();
    assert!(again.repeated);
    let _ = world.start(&run, 1).await.unwrap();
    let _ = world.submit(&run, None, cancel()).await.unwrap();
    let sleeper = world.create("sleeper").await;
    let timer = holdshort_gate::command::SetTimer { timer: 1, until: expires_at };
    let _ = world.submit(&sleeper, None, timer).await.unwrap();
    let hint = |position, run_state, call: Option<CallState>, deadline| Hint {
        position: Position(position),
        run: if position < 6 { run.clone() } else { sleeper.clone() },
        run_state,
        call: call.map(|state| CallHint { number: 1, capability: capability.clone(), state }),
        deadline,
    };
    let wanted = [
        hint(1, RunState::Running, None, None),
        hint(2, RunState::Waiting, Some(CallState::Held), Some(expires_at)),
        hint(3, RunState::Waiting, Some(CallState::Approved), start_by),
        hint(4, RunState::Waiting, Some(CallState::Started), None),
        hint(5, RunState::Cancelled, None, None),
        hint(6, RunState::Running, None, None),
        hint(7, RunState::Sleeping, None, Some(expires_at)),
    ];
    for wanted in wanted {
        assert_eq!(hints.recv().await.unwrap(), wanted);
    }
    // A refusal and a repetition give no hint.
    assert!(hints.is_empty());
    assert_eq!(world.health(), Health::Ok);
    // A listener that gets a hint finds the hint's events at once.
    let world = Arc::new(world);
    let mut hints = world.hints();
    let follower = tokio::spawn({
        let world = world.clone();
        async move {
            for _ in 0..200 {
                let hint = hints.recv().await.unwrap();
                assert!(world.last_position().await.unwrap() >= hint.position);
                let found = world.feed(Position(hint.position.0 - 1), 1).await.unwrap();
                assert_eq!(found[0].run, hint.run);
            }
        }
    });
    for n in 0..200 {
        let run = RunId(format!("followed-{n:03}"));
        let _ = world.submit(&run, None, create("task")).await.unwrap();
    }
    follower.await.unwrap();
}

async fn an_answer_that_nobody_awaits_is_written_all_the_same(world: World) {
    let run = RunId("run".into());
    drop(world.submit_now(&run, create("task")));
    drop(world.submit_now(&run, routine(1, "answer")));
    let _ = world.submit(&run, None, routine(2, "answer")).await.unwrap();
    assert_eq!(world.seqs(&run).await, [1, 2, 3]);
}

async fn drop_output<T>(submitted: impl Future<Output = Result<Flushed<T>, SubmitError>>) -> Result<(), SubmitError> {
    submitted.await.map(drop)
}

/// Drops the output and boxes the future, so that both sides of a race have one type.
fn to_unit<T: Send + 'static>(
    submitted: holdshort_journal::Submitted<T>,
) -> std::pin::Pin<Box<dyn Future<Output = Result<(), SubmitError>> + Send>> {
    Box::pin(drop_output(submitted))
}

async fn what_a_target_was_told_is_kept(world: World) {
    let told = |target: &str, up_to| NotificationRecord::Delivered { target: target.into(), up_to: Position(up_to) };
    assert_eq!(world.notified_up_to("ops").await.unwrap(), None);
    for note in [told("ops", 3), told("chat", 5), told("ops", 7)] {
        let _ = world.record_notification(note).await.unwrap();
    }
    assert_eq!(world.notified_up_to("ops").await.unwrap(), Some(Position(7)));
    // Targets that are no longer configured are removed.
    let _ = world
        .record_notification(NotificationRecord::KeepOnly { targets: vec!["ops".into(), "o'hara\"".into()] })
        .await
        .unwrap();
    assert_eq!(
        (world.notified_up_to("ops").await.unwrap(), world.notified_up_to("chat").await.unwrap()),
        (Some(Position(7)), None)
    );
    let _ = world.record_notification(NotificationRecord::KeepOnly { targets: Vec::new() }).await.unwrap();
    assert_eq!(world.notified_up_to("ops").await.unwrap(), None);
    assert_eq!(world.last_position().await.unwrap(), Position(0), "none of it is an event");
}

async fn a_target_is_reminded_once_for_each_revision(world: World) {
    let at = |minute: u64| Time(EPOCH + minute * 60_000_000);
    let late = world.held("late", requiring(2, Some(at(30)))).await;
    let soon = world.held("soon", requiring(2, Some(at(10)))).await;
    let _ = world.held("later", requiring(2, Some(at(90)))).await;
    let _ = world.held("never", requiring(2, None)).await;
    let due = async |target: &str| {
        let due = world.to_remind(target, (world.now(), at(60)), 10).await.unwrap();
        due.iter().map(CallId::to_string).collect::<Vec<_>>()
    };
    assert_eq!(due("ops").await, ["soon.1", "late.1"], "earliest first");
    assert_eq!(
        world.to_remind("ops", (world.now(), at(60)), 1).await.unwrap(),
        [CallId { run: soon.clone(), call: 1 }]
    );
    assert!(world.to_remind("ops", (at(30), at(60)), 10).await.unwrap().is_empty(), "what is over is not in it");
    let id = |run: &RunId| CallId { run: run.clone(), call: 1 };
    let reminded =
        |run: &RunId, revision| NotificationRecord::Reminded { target: "ops".into(), call: id(run), revision };
    let _ = world.record_notification(reminded(&soon, 1)).await.unwrap();
    assert_eq!((due("ops").await.len(), due("chat").await.len()), (1, 2), "each target by itself");
    // A vote does not remove the reminder; another revision does.
    let _ = world.decide(&soon, 1, "alice", Choice::Approve).await.unwrap();
    assert_eq!(due("ops").await, ["late.1"]);
    let edited = Revision { proposal: Proposal { action: action("bye"), ..requiring(2, Some(at(10))) } };
    let _ = world.decide(&soon, 1, "bob", Choice::Edit(Box::new(edited))).await.unwrap();
    assert_eq!(due("ops").await, ["soon.1", "late.1"]);
    // A reminder of an older revision, written too late, is not stored.
    let _ = world.record_notification(reminded(&soon, 1)).await.unwrap();
    assert_eq!(due("ops").await, ["soon.1", "late.1"]);
    let _ = world.record_notification(reminded(&soon, 2)).await.unwrap();
    let _ = world.decide(&late, 1, "alice", Choice::Reject).await.unwrap();
    assert!(due("ops").await.is_empty(), "what is decided waits no more");
    let _ = world.record_notification(reminded(&late, 1)).await.unwrap();
}

async fn a_call_is_shown_as_it_was(world: World) {
    let run = world.held("run", requiring(1, None)).await;
    let held = world.last_position().await.unwrap();
    let _ = world.decide(&run, 1, "alice", Choice::Approve).await.unwrap();
    let approved = world.last_position().await.unwrap();
    let phase =
        async |at| world.as_of(&run, Some(1), at).await.unwrap().unwrap().1.map(|call| call.phase.state().as_str());
    assert_eq!((phase(held).await, phase(approved).await), (Some("held"), Some("approved")));
    assert_eq!((phase(Position(0)).await, phase(Position(u64::MAX)).await), (None, Some("approved")));
    assert!(world.as_of(&run, None, held).await.unwrap().unwrap().1.is_none());
    assert!(world.as_of(&RunId("nobody".into()), None, held).await.unwrap().is_none());
}
