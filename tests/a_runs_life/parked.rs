//! Waiting runs: for a short time in memory, so that a fast answer finds them there, and then only as rows of the
//! journal.

use std::fs;

use crate::support::{Host, until};
use crate::{LONG, answer, folder, host, kinds, lines};

const STARTED: &str = "holdshort_instances_started_total";
const REPLAYED: &str = "holdshort_events_replayed_total";
const LIVE: &str = "holdshort_live_runs";

#[test]
fn a_fast_answer_finds_the_agent_where_it_was() {
    let (_folder, host) = host(&["clock"], LONG, "");
    let run = host.start("clock", "ask ask");
    answer(&host, &run, "first");
    answer(&host, &run, "second");
    assert_eq!(lines(&host.over(&run)), ["ask first", "ask second"]);
    // One instance ran from beginning to end, and read one event: its task.
    assert_eq!((host.figure(STARTED), host.figure(REPLAYED)), (1, 1));
    host.all_parked();
}

#[test]
fn a_slow_answer_brings_a_parked_run_back() {
    let (_folder, host) = host(&["clock"], 0, "");
    let run = host.start("clock", "ask ask");
    for (number, text) in ["first", "second"].into_iter().enumerate() {
        host.held(&run);
        host.all_parked();
        assert_eq!(host.figure(STARTED), number as u64 + 1);
        answer(&host, &run, text);
    }
    assert_eq!(lines(&host.over(&run)), ["ask first", "ask second"]);
    assert_eq!(host.figure(STARTED), 3);
    let expected = ["run-created", "call-held", "decision-made", "call-answered"];
    let again = ["call-held", "decision-made", "call-answered", "run-finished"];
    assert_eq!(kinds(&host, &run), [expected, again].concat());
}

#[test]
fn a_long_sleep_is_a_row_and_its_timer_wakes_it() {
    let (folder, host) = host(&["clock"], 0, "");
    let woken = host.start("clock", "sleep=1500 sleep=0");
    let after_restart = host.start("clock", "sleep=4000");
    until("sleepers", || (host.show_run(&after_restart)["state"] == "sleeping").then_some(()));
    host.all_parked();
    assert_slept(&host, &woken, 1500);
    // No host runs when the other run is due to wake. The next host finds that it is due.
    host.kill();
    let host = folder.serve();
    assert_slept(&host, &after_restart, 4000);
    assert_eq!(kinds(&host, &after_restart), ["run-created", "timer-set", "timer-fired", "run-finished"]);
}

/// Checks that the run finishes, and slept for at least `ms` by its own clock.
fn assert_slept(host: &Host, run: &str, ms: u64) {
    let lines = lines(&host.over(run));
    let nanoseconds: u64 = lines[0].strip_prefix("sleep ").unwrap().parse().unwrap();
    assert!(nanoseconds >= ms * 1_000_000, "{lines:?}");
}

#[test]
fn a_short_sleep_is_waited_for_in_place() {
    let (_folder, host) = host(&["clock"], LONG, "");
    let run = host.start("clock", "sleep=50 race=3600000,20 now");
    let row = host.over(&run);
    assert_slept(&host, &run, 50);
    assert_eq!(lines(&row)[1], "race [1]", "the earlier one of two, by its place in the list");
    let expected = ["run-created", "timer-set", "timer-fired", "timer-set", "timer-fired", "run-finished"];
    assert_eq!(kinds(&host, &run), expected);
    assert_eq!(host.figure(STARTED), 1);
}

/// The numbers of parked runs at which the test measures memory. Already the first number is above a thousand, the most
/// entries that the host's caches keep. The smallest growth between two steps counts: memory that each run costs grows
/// in every step, but the stack of a thread that a busy machine adds grows in one step only.
const STEPS: [usize; 4] = [1_200, 1_600, 2_000, 2_400];
/// The memory that each parked run may cost. The aim is zero, some tens of bytes were measured, and the rest is room
/// for the allocator.
const BYTES_PER_RUN_MAX: usize = 512;

#[test]
fn a_parked_run_costs_no_memory_and_no_task() {
    let folder = folder(&["clock"], "[limits]\nlinger-ms = 0\n");
    // One heap for all threads. With several heaps, free memory of one heap cannot be used by another, and the process
    // grows although it keeps nothing more.
    let host = folder.serve_with(&[("MALLOC_ARENA_MAX", "1")]);
    let park = |from: usize, to: usize| {
        (from..to).for_each(|_| drop(host.start("clock", "random ask")));
        until("parked runs", || (waiting(&host) == to).then_some(()));
        host.all_parked();
        // The host updates its figures on its own, apart from the requests for them. On a busy machine the figures are
        // late, and a host that still reads the journal needs memory for that.
        until("figures of all of them", || (held(&host) == to as u64).then_some(()));
        (resident(&host), threads(&host))
    };
    let first = park(0, STEPS[0]);
    let (mut before, mut growths) = (first, Vec::new());
    for step in STEPS.windows(2) {
        let after = park(step[0], step[1]);
        growths.push(after.0.saturating_sub(before.0) / (step[1] - step[0]));
        before = after;
    }
    assert_eq!(host.figure(LIVE), 0);
    println!("{first:?} to {before:?}: {growths:?} bytes for each parked run");
    assert!(growths.iter().any(|each| *each <= BYTES_PER_RUN_MAX), "{growths:?} bytes for each parked run");
    assert!(before.1 <= first.1 + 16, "{} threads with the first runs, {} with all", first.1, before.1);
}

/// The number of waiting runs, by the list of runs.
fn waiting(host: &Host) -> usize {
    let (mut count, mut before) = (0, String::new());
    loop {
        let page = host.get(&format!("/v1/runs?state=waiting&limit=200{before}"));
        count += page["runs"].as_array().unwrap().len();
        match page["next"].as_str() {
            Some(next) => before = format!("&before={next}"),
            None => return count,
        }
    }
}

/// The number of held calls that the figures have counted.
fn held(host: &Host) -> u64 {
    let lines = host.metric_lines("holdshort_calls_judged_total");
    let held = lines.iter().filter(|line| line.contains("verdict=\"held\""));
    held.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// A field of the process's `/proc/PID/status`.
fn status(host: &Host, field: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
    value.trim().trim_end_matches(" kB").parse().unwrap()
}

fn resident(host: &Host) -> usize {
    status(host, "VmRSS") * 1024
}

fn threads(host: &Host) -> usize {
    status(host, "Threads")
}

/// To bring a run back, the host reads each of its events once, however many there are.
#[test]
fn a_replay_reads_every_event_once() {
    const ROUTINE: u64 = 2_000;
    const HELD: u64 = 3;
    let (folder, host) = host(&["many-calls"], 0, "");
    let run = host.start("many-calls", &format!("routine={ROUTINE} held={HELD}"));
    for _ in 0..HELD {
        let approval = host.held(&run);
        host.all_parked();
        host.approve(&approval);
        host.effect(approval["id"].as_str().unwrap(), "succeeded");
    }
    assert_eq!(lines(&host.over(&run)), [format!("listed {ROUTINE} of {ROUTINE}, sent {HELD} of {HELD}")]);
    let succeeded: Vec<u64> = all_events(&host, &run)
        .iter()
        .filter(|event| event["type"] == "effect-succeeded")
        .map(|event| event["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(succeeded.len() as u64, HELD);
    // The first instance reads its task. Each later instance reads all events up to the outcome that woke it.
    assert_eq!(host.figure(REPLAYED), 1 + succeeded.iter().sum::<u64>());
    assert_eq!(host.figure(STARTED), 1 + HELD);
    let sent = fs::read_dir(folder.path().join(".holdshort/mail/new")).unwrap().count();
    assert_eq!(sent as u64, HELD, "replay sends nothing");
}

fn all_events(host: &Host, run: &str) -> Vec<serde_json::Value> {
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        let page = host.get(&format!("/v1/runs/{run}/events?limit=1000&after={after}"));
        events.extend(page["events"].as_array().unwrap().iter().cloned());
        match page["next"].as_u64() {
            Some(next) => after = next,
            None => return events,
        }
    }
}
