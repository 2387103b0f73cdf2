//! Measures that waiting runs cost nothing but disk and are all there after a restart, and how fast a run is replayed
//! to the call at which it waited.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::Mutex;

use crate::client::{Connection, Events, Held, Told};
use crate::table::{Table, Times, millis};
use crate::world::{World, client, effects};

/// The bytes of the arguments of each waiting call.
const ARGUMENT_BYTES: usize = 400;
const CONNECTIONS: usize = 32;

pub fn measure(table: &Table) {
    let folder = table.folder.join("waiting");
    std::fs::create_dir(&folder).unwrap();
    let (last, base) = wait(table, &folder);
    restart(table, &folder, &last, base);
}

pub fn replay(table: &Table) {
    let folder = table.folder.join("replay");
    std::fs::create_dir(&folder).unwrap();
    let world = World::open(&folder, Duration::ZERO);
    let entries = table.size.entries;
    let task = format!("routine={entries} held=1");
    let work = || {
        client().block_on(async {
            let (mut events, mut connection) = (Events::open(world.at).await, Connection::open(world.at).await);
            connection.start("many-calls", &task).await;
            let held = events.held().await;
            parked(&world).await;
            // Nothing is performed: after the decision the host only wakes the run and replays it to the call at which
            // it waited.
            let begin = Instant::now();
            connection.decide(&held, "reject").await;
            let result = events.finished().await;
            assert!(result.contains(&format!("listed {entries} of {entries}, sent 0 of 1")), "{result}");
            begin.elapsed()
        })
    };
    let (took, flush) = table.beside_flushes(work);
    let rate = f64::from(entries) / took.as_secs_f64();
    let what = format!("replay, entries a second ({entries} entries, from the decision to the run's end)");
    table.number(&what, &format!("{rate:.0}"), Some(&flush), "300,000");
}

async fn parked(world: &World) {
    while world.live() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Starts the runs that wait, and measures memory and disk. Returns the last held call, and the bytes of the journal
/// without these runs.
fn wait(table: &Table, folder: &Path) -> (Held, u64) {
    // The first run shows how long the arguments are, and stores everything that all runs share.
    let world = World::open(folder, Duration::ZERO);
    let subject = client().block_on(async {
        let (mut events, mut connection) = (Events::open(world.at).await, Connection::open(world.at).await);
        connection.start("scripted", "email ada@example.com x").await;
        let held = events.held().await;
        // The subject is in the arguments twice: in the message and in the agent's own words.
        let missing = ARGUMENT_BYTES.saturating_sub(world.connector.argument_bytes()) / 2;
        connection.decide(&held, "reject").await;
        events.finished().await;
        "x".repeat(1 + missing)
    });
    drop(world);
    let base = journal_bytes(folder);

    let world = World::open(folder, Duration::ZERO);
    let warm = table.size.waiting / 5;
    let task = format!("email ada@example.com {subject}");
    let (last, growth, bytes) = client().block_on(async {
        start_all(&world, &task, warm).await;
        let before = memory_bytes();
        let last = start_all(&world, &task, table.size.waiting - warm).await;
        (last, memory_bytes() as i64 - before as i64, world.connector.argument_bytes())
    });
    assert_eq!(world.live(), 0, "nobody has a task while it waits");
    let waiting = table.size.waiting;
    let each = growth as f64 / f64::from(waiting - warm);
    let what = format!("memory growth per waiting run, from {warm} to {waiting} waiting");
    table.number(&what, &format!("{each:.0} bytes"), None, "none");
    drop(world);
    let disk = (journal_bytes(folder) - base) / u64::from(waiting);
    let what = format!("disk per waiting run, {waiting} waiting, {bytes} bytes of arguments");
    table.number(&what, &format!("{disk} bytes"), None, "under 2,048");
    (last, base)
}

/// Starts `count` runs over a few connections, and waits until all are held and parked. Returns one of the held calls.
async fn start_all(world: &World, task: &str, count: u32) -> Held {
    let mut events = Events::open(world.at).await;
    let left = Arc::new(Mutex::new(count));
    for _ in 0..CONNECTIONS {
        let (left, task) = (left.clone(), task.to_owned());
        let mut connection = Connection::open(world.at).await;
        tokio::spawn(async move {
            loop {
                {
                    let mut left = left.lock().await;
                    if *left == 0 {
                        return;
                    }
                    *left -= 1;
                }
                connection.start("scripted", &task).await;
            }
        });
    }
    let mut last = None;
    for _ in 0..count {
        match events.next().await {
            Told::Held(held) => last = Some(held),
            Told::Finished(run, result) => panic!("run {run} has ended: {result}"),
        }
    }
    parked(world).await;
    last.unwrap()
}

/// Measures a restarted host in a process of its own, from its start to its first effect.
fn restart(table: &Table, folder: &Path, last: &Held, base: u64) {
    let performed = effects(folder);
    let work = || {
        let begin = Instant::now();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(RESTARTED)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let at = lines.next().unwrap().parse().unwrap();
        let (serving, pages, decided) = client().block_on(async {
            let mut connection = Connection::open(at).await;
            // The host serves once a reviewer gets a list of waiting approvals.
            let list = connection.ask("GET", "/v1/approvals?limit=50", "", 200).await;
            let serving = begin.elapsed();
            assert!(String::from_utf8(list).unwrap().contains("scripted"));
            let pages = pages(&mut connection).await;
            let decided = Instant::now();
            connection.decide(last, "approve").await;
            (serving, pages, decided)
        });
        assert_eq!(lines.next().unwrap(), ENTERED);
        let effect = decided.elapsed();
        while effects(folder) == performed {
            std::thread::sleep(Duration::from_millis(1));
        }
        // The process ends when its input ends.
        drop(child.stdin.take());
        let memory = lines.next().unwrap();
        assert!(child.wait().unwrap().success());
        (serving, pages, effect, memory)
    };
    let ((serving, pages, effect, memory), flush) = table.beside_flushes(work);
    assert_eq!(effects(folder), performed + 1, "one decision, one effect");
    let waiting = table.size.waiting;
    table.number(&format!("restart with {waiting} waiting: to serving"), &millis(serving), Some(&flush), "1 s");
    table.number("and from the first decision to its effect", &millis(effect), Some(&flush), "0.2 s");
    table.times(&format!("first inbox page of 50, {waiting} waiting for me, over HTTP"), &pages.0, "1 s");
    table.times("and the page in the middle of them", &pages.1, "1 s");
    let journal = journal_bytes(folder) / (1 << 20);
    let what =
        format!("private memory of that process ({journal} MiB of journal, {} KiB without the runs)", base >> 10);
    table.number(&what, &memory, None, "");
}

/// Measures how long the first page of a reviewer's inbox takes, and a page in the middle of the inbox.
async fn pages(connection: &mut Connection) -> (Times, Times) {
    const PAGES: usize = 100;
    let inbox = "/v1/approvals?order=rank&state=waiting&mine=true";
    let (mut first, mut middle) = (Vec::new(), Vec::new());
    let mut after = String::new();
    for page in 0..PAGES {
        let target = format!("{inbox}&limit=50");
        let begin = Instant::now();
        connection.ask("GET", &target, "", 200).await;
        first.push(begin.elapsed());
        let target = format!("{inbox}&limit=50{after}");
        let begin = Instant::now();
        let answer = connection.ask("GET", &target, "", 200).await;
        if page > PAGES / 2 {
            middle.push(begin.elapsed());
            continue;
        }
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        after = answer["next"].as_str().map(|next| format!("&after={next}")).unwrap_or_default();
    }
    (first.into_iter().collect(), middle.into_iter().collect())
}

/// The argument that makes this program the restarted host.
pub const RESTARTED: &str = "restarted";
const ENTERED: &str = "entered";

/// The restarted host: it opens the folder of the first host, and runs until its input ends.
pub fn restarted(folder: &Path) {
    let say = |line: &str| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
    };
    let world = World::open(folder, Duration::from_secs(5));
    world.connector.on_entered(move || say(ENTERED));
    say(&world.at.to_string());
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
    say(&format!("{:.1} MiB", memory_bytes() as f64 / f64::from(1 << 20)));
}

/// The length of the journal's file. A closed journal has no other file.
fn journal_bytes(folder: &Path) -> u64 {
    std::fs::metadata(folder.join("journal.db")).unwrap().len()
}

/// The memory of this process in bytes, without mapped files.
fn memory_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}
