//! One history in two stores: random histories leave both stores with the same lists, and the lists are those that
//! follow from the events.
//!
//! `HOLDSHORT_SEEDS=20000 cargo test -p holdshort-journal --test histories` makes a long run, and `HOLDSHORT_SEED=17`
//! tests one seed. Every seed that has ever failed is a line of `data/seeds.txt`, and these seeds are tried first.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "../../../tests/support/evidence.rs"]
mod evidence;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::script::{Dice, Model, Step, counters_of, grant_filters, is_unwritten, same, shown, take};
use common::{EPOCH, Kept, World, create, paying};
use evidence::Tries;
use holdshort_gate::command::CreateRun;
use holdshort_gate::totals::day;
use holdshort_gate::{AgentName, Counter, RunId, Scope, Time};
use holdshort_journal::Position;

/// How many seeds are tried.
const SEEDS: Tries = Tries { landing: 150, long: 500 };
/// The number of steps in a history.
const STEPS: usize = 80;
const RUNS: [&str; 4] = ["a", "b", "c", "d"];

fn seeds() -> Vec<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    if let Some(seed) = number("HOLDSHORT_SEED") {
        return vec![seed];
    }
    let kept = include_str!("data/seeds.txt").lines().filter(|line| !line.starts_with('#'));
    let kept = kept.map(|line| line.parse().expect("a seed"));
    kept.chain(0..number("HOLDSHORT_SEEDS").unwrap_or(SEEDS.now())).collect()
}

/// A journal in SQLite with the name of a journal in memory, so that both compute the same clearances.
fn twins() -> [World; 2] {
    let memory = World::new(Kept::InMemory);
    let id = memory.id().0.clone();
    let sqlite = World::new(Kept::InSqlite).reopened(|path| {
        let file = rusqlite::Connection::open(path).unwrap();
        assert_eq!(file.execute("UPDATE meta SET value = ?1 WHERE key = 'id'", [id.as_bytes()]).unwrap(), 1);
    });
    assert_eq!(memory.id(), sqlite.id());
    [memory, sqlite]
}

/// Draws steps, submits them to both journals in groups of a batch, and compares every answer.
async fn history(seed: u64, worlds: &[World; 2], kinds: &mut BTreeMap<String, u32>) {
    let mut dice = Dice(seed);
    let mut now = EPOCH;
    let mut done = 0;
    let mut trail = Vec::new();
    while done < STEPS {
        now += dice.below(3_000);
        let mut group: Vec<(RunId, Step)> = Vec::new();
        for _ in 0..=dice.below(4) {
            let run = RunId(dice.one_of(&RUNS).into());
            let subject = worlds[0].subject(&run, None).await.unwrap();
            let (state, call) = subject.map_or((None, None), |subject| (subject.run, subject.call));
            let mut step = dice.step(state.as_ref(), call.as_ref(), Time(now));
            if let (Step::Clear(call), 0..2) = (&step, dice.below(3)) {
                let counters = counters_of(std::slice::from_ref(&run));
                let mut totals = worlds[0].totals(counters).await.unwrap();
                totals.rotate_left(usize::try_from(dice.below(8)).unwrap());
                totals.truncate(usize::try_from(dice.below(4)).unwrap());
                step = Step::ClearBy { call: *call, totals };
            }
            if let (Step::Clear(call), 0) = (&step, dice.below(2)) {
                // The grant that was made last, whether it is still valid or not.
                let filter = grant_filters(Position(0)).swap_remove(0);
                if let Some(row) = worlds[0].grants(filter).await.unwrap().into_iter().next() {
                    step = Step::ClearByGrant { call: *call, grant: row.id, used: row.used };
                }
            }
            group.push((run, step));
        }
        done += group.len();
        let mut answers = Vec::new();
        for world in worlds {
            world.clock.set(now);
            let held = world.clock.hold();
            let taken: Vec<_> = group.iter().map(|(run, step)| take(world, run, step)).collect();
            drop(held);
            let mut told = Vec::new();
            for answer in taken {
                told.push(answer.await);
            }
            answers.push(told);
        }
        trail.extend(group.into_iter().zip(answers[0].clone()));
        assert_eq!(answers[0], answers[1], "seed {seed}, after {trail:#?}");
        assert!(!answers[0].iter().any(|answer| is_unwritten(answer)), "seed {seed}: {answers:?}");
    }
    for world in worlds {
        // Log lines are written with the next batch. This blob makes a batch, and so the last log lines are written
        // too.
        let _ = world.put_blob(vec![1]).await.unwrap();
    }
    for ((_, step), answer) in trail.iter().filter(|(_, answer)| answer.starts_with("Ok")) {
        let name = format!("{step:?}");
        let name = name.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned();
        *kinds.entry(name).or_default() += u32::from(!answer.is_empty());
    }
}

/// One history in both stores; returns the number of its events.
async fn compare(seed: u64, kinds: &mut BTreeMap<String, u32>) -> usize {
    let runs = RUNS.map(|run| RunId(run.into()));
    let worlds = twins();
    history(seed, &worlds, kinds).await;
    let [memory, sqlite] = worlds;
    let expected = shown(&memory, &runs).await;
    Model::of(&expected.feed).check(&expected, &runs, &format!("seed {seed}, in memory"));
    let found = shown(&sqlite, &runs).await;
    same(&found, &expected, &format!("seed {seed}: the stores differ"));
    if seed.is_multiple_of(4) {
        // The lists are read twice more: after the file was opened again, and after all projections were made again
        // from the events.
        let sqlite = sqlite.reopened(|_| {});
        same(&shown(&sqlite, &runs).await, &expected, &format!("seed {seed}: after it was opened again"));
        let sqlite = sqlite.reopened(|path| {
            let file = rusqlite::Connection::open(path).unwrap();
            file.execute_batch("UPDATE meta SET value = CAST('0' AS BLOB) WHERE key = 'projection'").unwrap();
        });
        same(&shown(&sqlite, &runs).await, &expected, &format!("seed {seed}: after its projections were made anew"));
    }
    expected.feed.len()
}

#[test]
fn the_same_history_leaves_both_stores_the_same() {
    let seeds = seeds();
    let next = AtomicUsize::new(0);
    let (kinds, events) = (Mutex::new(BTreeMap::<String, u32>::new()), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from).min(8) {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let mut mine = BTreeMap::new();
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    events.fetch_add(runtime.block_on(compare(*seed, &mut mine)), Ordering::Relaxed);
                }
                let mut kinds = kinds.lock().unwrap();
                mine.into_iter().for_each(|(kind, count)| *kinds.entry(kind).or_default() += count);
            });
        }
    });
    let (kinds, events) = (kinds.into_inner().unwrap(), events.into_inner());
    println!("{} histories, {events} events; steps that were taken: {kinds:?}", seeds.len());
    // If the random histories did not contain every kind of step, the comparison would be worth little.
    if seeds.len() as u64 >= SEEDS.now() {
        let missing: Vec<&str> = KINDS.iter().filter(|kind| !kinds.contains_key(**kind)).copied().collect();
        assert!(missing.is_empty(), "no history ever did {missing:?}");
        evidence::scaled("T13", "histories", seeds.len() as u64, SEEDS);
    }
}

/// Each of two payments is within what the agent may pay, but both together are not. Policy was asked about both at the
/// same time.
#[test]
fn a_series_is_not_cleared_piece_by_piece() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for together in [false, true] {
        runtime.block_on(async {
            let runs = ["a", "b", "c"].map(|run| RunId(run.into()));
            for world in &twins() {
                for run in &runs {
                    let _ = take(world, run, &Step::Create).await;
                }
                let agent = counters_of(&[]).swap_remove(0);
                let totals = world.totals(vec![agent.clone()]).await.unwrap();
                let held = together.then(|| world.clock.hold());
                let mut answers = Vec::new();
                for run in &runs[..2] {
                    let answer = take(world, run, &Step::ClearBy { call: 1, totals: totals.clone() });
                    answers.push(if together { answer } else { Box::pin(std::future::ready(answer.await)) });
                }
                drop(held);
                let mut told = Vec::new();
                for answer in answers {
                    told.push(answer.await);
                }
                Model::of(&world.feed(Position(0), usize::MAX).await.unwrap());
                assert!(told[0].starts_with("Ok") && told[1].contains("TotalsChanged"), "{told:?}");
                // A call that did not happen is subtracted again, on the day on which it was cleared.
                let (start, attempt) = (Step::Start(1), 1);
                world.clock.pass_ms(1_000);
                let counted = world.totals(vec![agent.clone()]).await.unwrap().swap_remove(0).total;
                assert_eq!((counted.count, counted.sums["EUR"]), (1, 101));
                for step in [start, Step::DidNotHappen { call: 1, attempt }] {
                    let answer = take(world, &runs[0], &step).await;
                    assert!(answer.starts_with("Ok"), "{answer}");
                }
                assert_eq!(world.totals(vec![agent]).await.unwrap(), totals, "nothing is left of it");
                let again = take(world, &runs[2], &Step::ClearBy { call: 1, totals }).await;
                assert!(again.starts_with("Ok"), "{again}");
            }
        });
    }
}

/// Two agents are each judged by the total that all agents paid that day. A verdict that is written after midnight
/// counts for the next day, and it was not judged by that day's total. This holds whichever agent asks and however long
/// the verdict took.
#[test]
fn a_verdict_of_yesterday_is_judged_again() {
    const DAY_MS: u64 = 86_400_000;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut tried = 0;
    for before_ms in [1, 2, 900, 60_000, 3_600_000, DAY_MS] {
        for after_ms in [0, 1, 59_000, DAY_MS - 1, 3 * DAY_MS] {
            for until_ms in [after_ms + before_ms, before_ms - 1] {
                runtime.block_on(around_midnight(EPOCH + (DAY_MS - before_ms) * 1_000, until_ms));
                tried += 1;
            }
        }
    }
    evidence::figure("T36", "pairs of verdicts around midnight", tried);
}

/// Both verdicts are made at `judged_at` and written `later_ms` after it.
async fn around_midnight(judged_at: u64, later_ms: u64) {
    let runs = ["a", "b"].map(|run| RunId(run.into()));
    let is_over = day(Time(judged_at + later_ms * 1_000)) != day(Time(judged_at));
    for world in &twins() {
        world.clock.set(judged_at);
        for run in &runs {
            let agent = AgentName::new(format!("agent-{run}"));
            let _ = world.submit(run, None, CreateRun { agent, ..create("pay") }).await.unwrap();
        }
        let of_today = |at: u64| {
            let capability = paying(1).action.capability().clone();
            vec![Counter { scope: Scope::Day(day(Time(at))), capability }]
        };
        let before = world.totals(of_today(judged_at)).await.unwrap();
        world.clock.pass_ms(later_ms);
        let now = judged_at + later_ms * 1_000;
        let mut written = Vec::new();
        for run in &runs {
            written.push(take(world, run, &Step::ClearBy { call: 1, totals: before.clone() }).await);
        }
        let [first, second] = [0, 1].map(|at| written[at].starts_with("Ok"));
        assert_eq!((first, second), (!is_over, false), "a verdict of yesterday is written: {written:?}");
        // If a verdict was not written, policy evaluates the call again with the totals of that time, and the new
        // verdict is written.
        for (run, done) in runs.iter().zip([first, second]) {
            let totals = world.totals(of_today(now)).await.unwrap();
            if !done {
                let again = take(world, run, &Step::ClearBy { call: 1, totals }).await;
                assert!(again.starts_with("Ok"), "{again}");
            }
        }
        assert_eq!(world.totals(of_today(now)).await.unwrap()[0].total.count, 2);
    }
}

/// Every kind of step that gets an answer.
const KINDS: &[&str] = &[
    "Create",
    "Routine",
    "Clear",
    "ClearBy",
    "ClearByGrant",
    "Hold",
    "Ask",
    "Refuse",
    "Approve",
    "Grant",
    "Revoke",
    "Reject",
    "Respond",
    "Edit",
    "Expire",
    "Start",
    "Happened",
    "DidNotHappen",
    "PutOff",
    "Unknown",
    "LookedUp",
    "FactsChanged",
    "Resolve",
    "SetTimer",
    "FireTimer",
    "Finish",
    "Trap",
    "Diverge",
    "Cancel",
    "Blob",
];
