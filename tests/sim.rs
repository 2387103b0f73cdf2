//! A simulated world from one seed: the real driver, dispatcher, policy and gate with a real agent, on a journal in
//! memory, under many kinds of failure.
//!
//! A host dies at any moment: every task and handle is dropped where it waits, and everything that was not written is
//! lost. Another host then starts with the contents of the disk. Disks are slow, full, or do not know whether they have
//! written.
//! Replies are lost or come twice, requests arrive late, connectors decline, fail, or find that facts have changed. The
//! clock jumps. Reviewers decide late, twice, against each other, or on an old revision, and they resolve effects in
//! doubt. Effects are counted in an outside world that no crash rolls back. After each step all rules of `sim/world.rs`
//! must hold. Every call is in some state. Every effect has exactly one start, with the same bytes and with the
//! reviewers or the policy that cleared it. Nothing that was acknowledged is lost. At the end the failures stop, and
//! every run that can go on must end.
//!
//! *What is reproducible:* everything except the ids of runs. A world has one thread, and its clock stands still while
//! any task has work (tokio's paused clock). The journal writes when `sim/host.rs` tells it to, and reads in the thread
//! that asks. The engine's ticks do not interrupt agents. So the order of all events, and with it the requests to the
//! one random generator, depends on the seed alone. The ids of runs, and the values derived from them, are random. The
//! trace, which `one_seed_is_one_world` compares, replaces the first of these values by `1`, and so on.
//!
//! `HOLDSHORT_SEED=17 cargo test -p holdshort --locked --test sim` tries one seed, and `HOLDSHORT_SEEDS=100000` makes a
//! long run. Each seed that ever failed is a line of `data/seeds/sim.txt`. These seeds are tried first.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    unreachable_pub,
    reason = "a test fails by panicking"
)]
#![allow(clippy::print_stdout, reason = "the command that tells a failed seed again")]

#[path = "sim/book.rs"]
mod book;
#[path = "support/evidence.rs"]
mod evidence;
#[path = "sim/host.rs"]
mod host;
#[path = "sim/outside.rs"]
mod outside;
#[path = "sim/people.rs"]
mod people;
#[path = "sim/story.rs"]
mod story;
#[path = "sim/weather.rs"]
mod weather;
#[path = "sim/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use evidence::Tries;
use story::{tell, trace};

/// How many seeds are tried.
const SEEDS: Tries = Tries { landing: 300, long: 1_000 };
/// The number of consequential calls in each world.
const CALLS: u64 = 50;
/// The average number of crashes in each world must be at least this. In fact there are nearly twice as many.
const CRASHES: u64 = 5;

fn seeds() -> Vec<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    if let Some(seed) = number("HOLDSHORT_SEED") {
        return vec![seed];
    }
    let kept = include_str!("data/seeds/sim.txt").lines().filter(|line| !line.starts_with('#'));
    let kept = kept.map(|line| line.parse().expect("a seed"));
    kept.chain(0..number("HOLDSHORT_SEEDS").unwrap_or(SEEDS.now())).collect()
}

/// When this many seeds have failed, no more are tried.
const FAILED_MAX: usize = 10;

/// Runs the world of each seed, as many at a time as there are cores. Returns how often each thing happened in all of
/// them.
fn tell_all(seeds: &[u64]) -> BTreeMap<String, u64> {
    let (next, seen) = (AtomicUsize::new(0), Mutex::new(BTreeMap::<String, u64>::new()));
    let failed = Mutex::new(BTreeMap::new());
    let work = || {
        while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed))
            && failed.lock().unwrap().len() < FAILED_MAX
        {
            match tell(*seed, CALLS) {
                Ok(story) => {
                    let mut seen = seen.lock().unwrap();
                    story.seen.into_iter().for_each(|(what, times)| *seen.entry(what).or_default() += times);
                }
                Err(why) => drop(failed.lock().unwrap().insert(*seed, why)),
            }
        }
    };
    thread::scope(|scope| {
        (0..thread::available_parallelism().map_or(1, usize::from)).for_each(|_| drop(scope.spawn(work)))
    });
    for (seed, why) in &*failed.lock().unwrap() {
        println!("seed {seed}: {why}\n\nHOLDSHORT_SEED={seed} cargo test -p holdshort --locked --test sim\n");
    }
    assert!(failed.lock().unwrap().is_empty(), "seeds failed: {:?}", failed.lock().unwrap().keys());
    seen.into_inner().unwrap()
}

#[test]
fn nothing_unreviewed_and_nothing_lost_whatever_happens() {
    if std::env::var_os("RUST_LOG").is_some() {
        // Prints the log of the hosts.
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt().with_env_filter(filter).without_time().with_ansi(false).init();
    }
    let seeds = seeds();
    let seen = tell_all(&seeds);
    for (what, times) in &seen {
        println!("{times:>9} {what}");
    }
    let tried = seeds.len() as u64;
    if tried < SEEDS.now() {
        return;
    }
    // A world in which nothing happened would pass every check, so each kind of event must have happened.
    let missing: Vec<&str> = KINDS.iter().filter(|kind| !seen.contains_key(**kind)).copied().collect();
    assert!(missing.is_empty(), "in no world was there ever {missing:?}");
    evidence::scaled("T5", "seeds", tried, SEEDS);
    evidence::scaled("T5", "calls", seen["proposed"], SEEDS.times(CALLS));
    evidence::scaled("T5", "crashes", seen["crashes"], SEEDS.times(CRASHES));
    // All rules are checked after each step, and there are at least as many steps as calls.
    evidence::scaled("T6", "steps", seen["steps"], SEEDS.times(CALLS));
}

#[test]
fn one_seed_is_one_world() {
    for seed in 0..8 {
        let (first, second) = (tell(seed, CALLS).unwrap(), tell(seed, CALLS).unwrap());
        let (here, there) = (trace(&first.world), trace(&second.world));
        assert!(here.len() > 100, "seed {seed}: {} lines", here.len());
        let differ = here.iter().zip(&there).find(|(here, there)| here != there);
        assert!(differ.is_none(), "seed {seed}: {differ:#?}");
        assert_eq!((here.len(), first.seen), (there.len(), second.seen), "seed {seed}");
    }
}

/// The kinds of events that a world notes. Each must have happened in at least one world.
const KINDS: &[&str] = &[
    "acknowledged Approve",
    "acknowledged Edit",
    "acknowledged Reject",
    "acknowledged Respond",
    "acknowledged again",
    "arrives late",
    "clock jumps",
    "connectors that fail",
    "crash: after a transaction",
    "crash: before a transaction",
    "crash: between steps",
    "crash: done, not known",
    "crash: in a lookup",
    "crash: started, not sent",
    "crash: under way",
    "decisions on what is no longer so",
    "decisions sent twice",
    "declined",
    "disk full",
    "ended answered",
    "ended cancelled",
    "ended expired",
    "ended failed",
    "ended refused",
    "ended rejected",
    "ended succeeded",
    "ended unresolved",
    "facts changed",
    "late arrivals",
    "lookup cannot tell",
    "lookup: did not happen",
    "lookup: happened",
    "lookup: may be under way",
    "lost replies",
    "not settled: NotEligible",
    "not settled: OtherAttempt",
    "not settled: WrongKind",
    "preview impossible",
    "preview unavailable",
    "refused: AlreadyDecided",
    "refused: Expired",
    "refused: NotEligible",
    "refused: Stale",
    "refused: WrongKind",
    "routine calls",
    "runs cancelled",
    "runs finished",
    "second reply refused",
    "sent again",
    "settled: done",
    "settled: nobody will know",
    "settled: not done",
    "transactions of several events",
    "two at once",
    "unknown, not written",
    "unknown, written",
];
