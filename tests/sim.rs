//! A world from one seed: the real driver, dispatcher, policy and gate with a real agent, on a journal in memory, among everything that can go wrong.
//!
//! A host dies at any moment (every task and handle is dropped where it waits, what was not written is gone) and another one starts over what the disk holds.
//! Disks are slow, full, or do not know whether they have written. Replies are lost or come twice, requests arrive late, connectors decline, fail, or find
//! that facts have changed. The clock jumps. People decide late, twice, against each other, or on what is no longer so; and settle what is in doubt.
//! The effects are counted in an outside world that no crash rolls back, and after each step all of `sim/world.rs` must hold: every call is somewhere,
//! every effect has its one start for its bytes, with the people or the policy that cleared them, and nothing that was acknowledged is lost.
//! At the end the weather is calm, and everything that can go on must come to its end.
//!
//! *What is reproducible:* everything but the names of runs. A world has one thread, whose clock stands still while anybody has something to do (tokio's
//! paused clock); the journal writes when `sim/host.rs` tells it to, and reads where it is asked; agents are not interrupted by the engine's ticks. So the order of
//! all that happens, and with it what the one generator of random numbers is asked for, depends on the seed alone. The names of runs, and what is derived from
//! them, are random: the trace, which `one_seed_is_one_world` compares, holds the first of them as `1`, and so on.
//!
//! `HOLDSHORT_SEED=17 cargo test -p holdshort --locked --test sim` for one seed, `HOLDSHORT_SEEDS=100000` for a long run.
//! A seed that ever failed is a line of `data/seeds/sim.txt`, which is tried first.
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
/// Consequential calls of each.
const CALLS: u64 = 50;
/// Crashes of each, on average; there are nearly twice as many.
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

/// How many seeds may fail before no more are tried.
const FAILED_MAX: usize = 10;

/// Tells each seed's story, as many at a time as there are cores; what happened in all of them.
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
        // What the hosts of one seed say.
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
    // A world in which nothing happened would keep every promise.
    let missing: Vec<&str> = KINDS.iter().filter(|kind| !seen.contains_key(**kind)).copied().collect();
    assert!(missing.is_empty(), "in no world was there ever {missing:?}");
    evidence::scaled("T5", "seeds", tried, SEEDS);
    evidence::scaled("T5", "calls", seen["proposed"], SEEDS.times(CALLS));
    evidence::scaled("T5", "crashes", seen["crashes"], SEEDS.times(CRASHES));
    // Conservation is held after each of at least as many steps as there are calls.
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

/// What must have happened in some world.
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
