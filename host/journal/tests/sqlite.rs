//! The journal in a file: all data is there after the file was closed, projections follow from the events, and a file
//! that is not a Holdshort journal is refused with a helpful text.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use common::script::{Model, Step, play, same, shown, varied};
use common::*;
use holdshort_gate::command::{Choice, CreateRunOnce, REVISIONS_MAX, Revision};
use holdshort_gate::{
    Call, CallId, CallState, Consequence, Digest, Event, Proposal, Request, Resolution, RunId, RunState, SimilarCall,
    Time,
};
use holdshort_journal::{
    CallFilter, CallOrder, DecisionFilter, Events, Health, Journal, LogLine, OpenError, Position, ReadError,
};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::json;
use tempfile::TempDir;

const RUNS: [&str; 7] = ["done", "edited", "doubtful", "asleep", "withdrawn", "waiting", "failing"];

fn runs() -> Vec<RunId> {
    RUNS.iter().map(|run| RunId((*run).into())).collect()
}

fn sql(path: &Path, batch: &str) {
    Connection::open(path).unwrap().execute_batch(batch).unwrap();
}

/// A history in which every kind of event happens.
async fn everything(world: &World) {
    let plain = |call| Step::Hold { call, quorum: 1, expires_at: None };
    let clearance = |run: &str, call, revision, proposal: &holdshort_gate::Proposal| {
        world.clearance(&RunId(run.into()), call, revision, proposal)
    };
    let first = |run, call| clearance(run, call, 1, &varied(call, 1, None));
    let expires_at = Some(Time(EPOCH + 50_000));
    play(
        world,
        &[
            ("done", Step::Create),
            ("done", Step::Routine(1)),
            ("done", Step::Clear(2)),
            ("done", Step::Start(2)),
            ("done", Step::Happened { call: 2, attempt: 1 }),
            ("done", Step::Refuse(3)),
            ("done", Step::Ask(4)),
            ("done", Step::Respond { call: 4, clearance: clearance("done", 4, 1, &question("which?")) }),
            ("done", Step::Finish(true)),
            ("edited", Step::Create),
            ("edited", plain(1)),
            ("edited", Step::Edit { call: 1, clearance: first("edited", 1) }),
            ("edited", Step::Start(1)),
            ("edited", Step::FactsChanged { call: 1, attempt: 1, pays: false }),
            (
                "edited",
                Step::Reject { call: 1, clearance: clearance("edited", 1, 3, &proposal("with the facts of now")) },
            ),
            ("edited", Step::Trap),
            ("doubtful", Step::Create),
            ("doubtful", plain(1)),
            ("doubtful", Step::Approve { call: 1, reviewer: "alice", clearance: first("doubtful", 1) }),
            ("doubtful", Step::Start(1)),
            ("doubtful", Step::Unknown { call: 1, attempt: 1 }),
            ("doubtful", Step::LookedUp { call: 1, attempt: 1, found: "nothing there" }),
            ("doubtful", Step::Resolve { call: 1, attempt: 1, resolution: Resolution::SendAgain }),
            ("doubtful", Step::Start(1)),
            ("doubtful", Step::DidNotHappen { call: 1, attempt: 2 }),
            ("doubtful", Step::Diverge),
            ("asleep", Step::Create),
            ("asleep", Step::SetTimer { timer: 1, until: Time(EPOCH) }),
            ("asleep", Step::FireTimer(1)),
            ("asleep", Step::SetTimer { timer: 2, until: Time(EPOCH + 9_000_000) }),
            ("withdrawn", Step::Create),
            ("withdrawn", plain(1)),
            ("withdrawn", Step::Cancel),
            ("waiting", Step::Create),
            ("waiting", Step::Hold { call: 1, quorum: 1, expires_at }),
            ("waiting", Step::Log(1)),
        ],
    )
    .await;
    world.clock.set(EPOCH + 60_000);
    let two = Step::Hold { call: 2, quorum: 2, expires_at: None };
    // All calls have the same effect, so each lists those that may still have an effect: the one in doubt, then also
    // the waiting one.
    let open = [("doubtful", 1), ("waiting", 2)].map(|(run, call)| SimilarCall {
        id: CallId { run: RunId(run.into()), call },
        effect_digest: proposal("hello").similarity().effect_digest,
        summary: "send hello".into(),
    });
    let voted = clearance("waiting", 2, 1, &Proposal { similar_calls: open[..1].to_vec(), ..varied(2, 2, None) });
    let failing = clearance("failing", 1, 1, &Proposal { similar_calls: open.to_vec(), ..varied(1, 1, None) });
    play(
        world,
        &[
            ("waiting", Step::Expire(1)),
            ("waiting", two),
            ("waiting", Step::Approve { call: 2, reviewer: "alice", clearance: voted }),
            ("waiting", Step::Blob(100)),
            ("failing", Step::Create),
            ("failing", plain(1)),
            ("failing", Step::Approve { call: 1, reviewer: "alice", clearance: failing }),
            ("failing", Step::Start(1)),
            ("failing", Step::PutOff { call: 1, attempt: 1 }),
        ],
    )
    .await;
    world.clock.set(EPOCH + 1_100_000);
    play(world, &[("failing", Step::Start(1)), ("failing", Step::DidNotHappen { call: 1, attempt: 2 })]).await;
}

/// The kinds of the events, by their names in the journal.
fn kinds(feed: &[holdshort_journal::JournalEntry]) -> Vec<String> {
    let kind = |event: &Event| serde_json::to_value(event).unwrap()["type"].as_str().unwrap().to_owned();
    let mut kinds: Vec<String> = feed.iter().map(|entry| kind(&entry.recorded.event)).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

#[tokio::test]
async fn everything_is_there_after_it_was_closed() {
    let world = World::new(Kept::InSqlite);
    everything(&world).await;
    let (id, before) = (world.id().clone(), shown(&world, &runs()).await);
    assert_eq!(kinds(&before.feed).len(), 24, "every kind of event: {:?}", kinds(&before.feed));
    let run = RunId("waiting".into());
    let (seed, key) = (world.seed(&run), world.effect_key(&run, 2));
    // A command that was submitted and not yet answered is written before the file is closed.
    drop(world.submit_now(&RunId("last".into()), create("in the last moment")));
    let world = world.reopened(|path| {
        assert!(path.exists());
        assert!(!path.with_extension("db.address").exists());
        assert!(
            !path.with_extension("db-wal").exists(),
            "a journal that was closed is one file, to be copied or moved"
        );
    });
    assert_eq!((world.id(), world.seed(&run), world.effect_key(&run, 2)), (&id, seed, key));
    assert_eq!(world.seqs(&RunId("last".into())).await, [1]);
    let mut after = shown(&world, &runs()).await;
    assert_eq!(after.feed.pop().unwrap().run.0, "last");
    assert_eq!((after.feed, after.subjects, after.due), (before.feed, before.subjects, before.due));
    // The journal goes on where it stopped: the earlier vote counts, and the next number follows.
    let decided = world.decide(&run, 2, "bob", Choice::Approve).await.unwrap();
    assert_eq!((decided.state, decided.still_needed), (CallState::Approved, 0));
    assert_eq!(perform(world.start(&run, 2).await.unwrap()), world.effect_key(&run, 2).0);
    assert_eq!(world.seqs(&run).await, (1..=7).collect::<Vec<_>>());
}

/// A key is valid as long as the journal exists, also after the table of keys was made again from the events.
#[tokio::test]
async fn a_request_is_known_again_after_the_journal_was_closed() {
    let world = World::new(Kept::InSqlite);
    let request = Request { key: Digest::of(b"monday"), asks: Digest::of(b"pay") };
    let ask = async |world: &World, run: &str| {
        let once = CreateRunOnce { request, create: create("pay") };
        (*world.submit(&RunId(run.into()), None, once).await.unwrap()).clone()
    };
    let first = RunId("first".into());
    assert_eq!(ask(&world, "first").await, first);
    let world = world.reopened(|_| {});
    assert_eq!(ask(&world, "second").await, first);
    let world = world.reopened(|path| sql(path, "UPDATE meta SET value = CAST('0' AS BLOB) WHERE key = 'projection'"));
    assert_eq!(ask(&world, "third").await, first);
    assert_eq!(world.length().await, 1);
}

#[tokio::test]
async fn projections_follow_from_the_events_alone() {
    let world = World::new(Kept::InSqlite);
    everything(&world).await;
    let before = shown(&world, &runs()).await;
    Model::of(&before.feed).check(&before, &runs(), "as it was written");
    // Every column that is a projection is set to nonsense.
    let nonsense =
        "UPDATE runs SET phase = 'running', last_seq = 99, calls = 99, held = 99, last_consequential = 99, timers = 99,
                        detail = 'nonsense', deadline = 99, updated_at = 99;
                    DELETE FROM calls WHERE call > 1; DELETE FROM decisions; DELETE FROM exceptions;
                    UPDATE calls SET phase = 'held', deadline = 99, urgency = 0, everybody = 1, agent = 99, capability = 99;
                    INSERT INTO words (words) VALUES ('delete-all');";
    let tables = |path: &Path| {
        let file = Connection::open(path).unwrap();
        let dump = |table: &str| {
            let mut statement = file.prepare(&format!("SELECT * FROM {table} ORDER BY 1")).unwrap();
            let columns = statement.column_count();
            let row = |row: &rusqlite::Row<'_>| {
                Ok((0..columns).map(|n| format!("{:?}", row.get_ref(n).unwrap())).collect::<Vec<_>>().join(" "))
            };
            statement.query_map([], row).unwrap().map(Result::unwrap).collect::<Vec<_>>()
        };
        (dump("runs"), dump("calls"), dump("events"))
    };
    let mut kept = None;
    let world = world.reopened(|path| {
        kept = Some(tables(path));
        sql(path, nonsense);
        assert_ne!(kept, Some(tables(path)));
    });
    assert_ne!(world.runs(all_runs()).await.ok(), Some(before.runs[0].clone()), "nonsense is what the lists show then");
    // Another version of the projections: opening the journal makes them again.
    let world = world.reopened(|path| sql(path, "UPDATE meta SET value = CAST('0' AS BLOB) WHERE key = 'projection'"));
    same(&shown(&world, &runs()).await, &before, "made anew");
    world.reopened(|path| {
        assert_eq!(kept, Some(tables(path)));
        let version = "SELECT CAST(value AS TEXT) FROM meta WHERE key = 'projection'";
        let version: String = Connection::open(path).unwrap().query_row(version, [], |row| row.get(0)).unwrap();
        assert_ne!(version, "0", "made anew once, not whenever it is opened");
    });
}

/// The first page of ten thousand waiting calls reads only the events of that page; the same is true with any filter.
#[tokio::test]
async fn a_list_reads_only_the_events_of_its_page() {
    let world = World::new(Kept::InSqlite);
    let names: Vec<String> = (0..20).map(|n| format!("run-{n:02}")).collect();
    for (n, name) in (0..).zip(&names) {
        let consequence = Some([Consequence::Low, Consequence::High][usize::from(n >= 18)]);
        let run = world.held(name, Proposal { consequence, ..proposal("hello") }).await;
        if n < 4 {
            let _ = world.decide(&run, 1, "alice", Choice::Reject).await.unwrap();
        }
    }
    // The events of other runs are damaged, so that reading one gives an error.
    let world = world.reopened(|path| {
        let others = "UPDATE events SET body = 'not json' WHERE run IN (SELECT number FROM runs WHERE id NOT IN ('run-03', 'run-18', 'run-19'))";
        sql(path, others);
    });
    let ranked = CallFilter { order: CallOrder::Ranked(None), ..CallFilter::in_states(&[CallState::Held], 2) };
    let mine = CallFilter { waiting_for: vec!["bob".into()], agent: Some("agent".into()), ..ranked.clone() };
    for filter in [ranked.clone(), mine] {
        let page = world.calls(filter.clone()).await.unwrap();
        assert_eq!(page.iter().map(|row| row.run.0.as_str()).collect::<Vec<_>>(), ["run-18", "run-19"]);
        assert_eq!(world.count_calls(CallFilter { limit: 100, ..filter }).await.unwrap(), 16);
    }
    assert!(world.calls(CallFilter { limit: 3, ..ranked }).await.is_err());
    for search in [None, Some("alice".into())] {
        let newest = DecisionFilter { search, by: Some("alice".into()), ..DecisionFilter::all(1) };
        assert_eq!(world.decisions(newest.clone()).await.unwrap()[0].call.run.0, "run-03");
        assert!(world.decisions(DecisionFilter { limit: 2, ..newest }).await.is_err());
    }
}

/// However often a call was edited and decided on, its row is made only from the events since its current revision
/// began. The row of a decision is made from the events since that revision began on which the reviewer decided.
#[tokio::test]
async fn a_row_is_read_without_the_history_of_its_call() {
    let world = World::new(Kept::InSqlite);
    let run = world.held("run", requiring(5, None)).await;
    let digest = |call: Call| call.clearance.unwrap();
    for revision in 1..REVISIONS_MAX {
        let current = digest(world.call(&run, 1).await);
        let _ = world.decide(&run, 1, "alice", Choice::Approve).await.unwrap();
        let proposal = Proposal { requirement: requiring(5, None).requirement, ..proposal(&format!("{revision}")) };
        let edit = Choice::Edit(Box::new(Revision { proposal }));
        let _ = world
            .submit(&run, Some(1), decision(if revision % 2 == 0 { "carol" } else { "dave" }, current, edit))
            .await
            .unwrap();
    }
    let _ = world.decide(&run, 1, "alice", Choice::Approve).await.unwrap();
    let _ = world.decide(&run, 1, "bob", Choice::Approve).await.unwrap();
    let rows = world.calls(all_calls()).await.unwrap();
    let newest = DecisionFilter::all(2);
    let decisions = world.decisions(newest.clone()).await.unwrap();
    // The editor's own vote followed the edit.
    assert_eq!(
        (rows[0].revision, rows[0].approved_by.join(" "), rows[0].still_needed),
        (REVISIONS_MAX, "dave alice bob".into(), 2)
    );
    assert_eq!(decisions[0].call, rows[0]);
    // The events of earlier revisions are damaged, so that reading one gives an error.
    let world = world.reopened(|path| {
        let revised = "(SELECT max(position) FROM events WHERE body LIKE '%call-revised%')";
        sql(path, &format!("UPDATE events SET body = 'not json' WHERE call IS NOT NULL AND position < {revised}"));
    });
    assert!(world.subject(&run, Some(1)).await.is_err());
    assert_eq!(world.calls(all_calls()).await.unwrap(), rows);
    assert_eq!(world.decisions(newest).await.unwrap(), decisions);
    assert!(world.decisions(DecisionFilter::all(5)).await.is_err());
}

#[tokio::test]
async fn a_call_is_found_by_index_not_by_reading_its_run() {
    let world = World::new(Kept::InSqlite);
    let run = world.create("run").await;
    for call in 1..=20 {
        let _ = world.submit(&run, None, routine(call, "answer")).await.unwrap();
    }
    let _ = world.submit(&run, None, hold(21, proposal("hello"))).await.unwrap();
    // The events of routine calls are damaged, so that reading one gives an error.
    let world = world.reopened(|path| sql(path, "UPDATE events SET body = 'not json' WHERE seq BETWEEN 2 AND 21"));
    assert!(matches!(world.events(&run, 0, 100).await, Err(ReadError::Damaged(why)) if why.contains("event 2:")));
    assert_eq!(world.phase(&run, 21).await, "held");
    assert_eq!(world.calls(all_calls()).await.unwrap().len(), 1);
    assert_eq!(world.runs(all_runs()).await.unwrap()[0].calls, 21);
    let _ = world.decide(&run, 21, "alice", Choice::Approve).await.unwrap();
    let _ = world.start(&run, 21).await.unwrap();
}

#[tokio::test]
async fn time_goes_on_from_what_an_earlier_host_wrote() {
    let world = World::new(Kept::InSqlite);
    world.clock.set(EPOCH + 60_000_000);
    let run = world.create("run").await;
    let written = world.events(&run, 0, 10).await.unwrap().events[0].at;
    world.clock.set(EPOCH);
    let world = world.reopened(|_| ());
    let opened = world.now();
    assert!(opened >= written, "{opened:?} before {written:?}");
    world.clock.pass_ms(10_000);
    assert!(world.now().0 >= opened.0 + 8_000_000, "and does not stand still");
    // The clock is one minute behind the journal's time. The journal's time goes slower than the clock until the clock
    // has caught up, which takes ten minutes.
    world.clock.pass_ms(591_000);
    assert_eq!(world.now(), Time(world.clock.next().0 - 1), "the clock has caught up");
}

#[tokio::test]
async fn counting_reads_no_events() {
    let world = World::new(Kept::InSqlite);
    let _ = world.held("run", proposal("hello")).await;
    // All events are damaged, so that reading one gives an error.
    let world = world.reopened(|path| sql(path, "UPDATE events SET body = 'not json'"));
    assert!(world.calls(all_calls()).await.is_err() && world.runs(all_runs()).await.is_err());
    assert_eq!(world.count_calls(CallFilter::in_states(&[CallState::Held], 10)).await.unwrap(), 1);
    assert_eq!(world.count_runs(RunState::Waiting, 10).await.unwrap(), 1);
}

#[tokio::test]
async fn a_large_body_lies_beside_its_row() {
    let world = World::new(Kept::InSqlite);
    let (small, large) = ("x".repeat(60 << 10), "x".repeat(70 << 10));
    for (run, task) in [("small", &small), ("large", &large), ("another", &large)] {
        let _ = world.submit(&RunId(run.into()), None, create(task)).await.unwrap();
    }
    let world = world.reopened(|path| {
        let file = Connection::open(path).unwrap();
        let count = |sql: &str| file.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count("SELECT count(*) FROM events WHERE body IS NOT NULL AND blob IS NULL"), 1);
        assert_eq!(count("SELECT count(*) FROM events WHERE body IS NULL AND blob IS NOT NULL"), 2);
        assert_eq!(count("SELECT count(*) FROM blobs"), 1, "kept once, by its digest");
        sql(path, "DELETE FROM blobs");
    });
    let error = world.subject(&RunId("large".into()), None).await.unwrap_err();
    assert_eq!(error.to_string(), "the journal is damaged: the body of event 1 is missing");
    assert!(world.subject(&RunId("small".into()), None).await.unwrap().is_some());
}

/// Opens `path` and fails unless opening is refused with the text in `data/errors`.
fn refused_with(path: &Path, name: &str) -> OpenError {
    let Err(error) = Journal::open(path, TestClock::starting_at(EPOCH).clock()) else { panic!("{name} was opened") };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/errors").join(name).with_extension("txt");
    let folder = path.parent().unwrap().display().to_string();
    let found = error.to_string().replace(&folder, "FOLDER").replace(&std::process::id().to_string(), "PID");
    if std::env::var(WRITE).is_ok_and(|what| what == "errors") {
        fs::write(&file, format!("{found}\n")).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(found, expected.trim_end(), "{}", file.display());
    error
}

/// A journal in `folder` that no host has open.
fn made_in(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("journal.db");
    drop(Journal::open(&path, TestClock::starting_at(EPOCH).clock()).unwrap());
    path
}

#[test]
fn what_cannot_be_opened_is_refused_in_words_that_help() {
    let check = |name: &str, spoil: &dyn Fn(&Path)| {
        let folder = TempDir::new().unwrap();
        let path = made_in(folder.path());
        spoil(&path);
        let before = fs::read(&path).ok();
        let error = refused_with(&path, name);
        assert!(fs::read(&path).ok() == before, "{name}: what is refused is left as it was");
        error
    };
    let newer = check("newer", &|path| sql(path, "PRAGMA user_version = 7"));
    assert!(matches!(newer, OpenError::Newer { found: 7, known: 2, .. }));
    let text = check("text", &|path| fs::write(path, "dear diary, ".repeat(1_000)).unwrap());
    assert!(matches!(text, OpenError::NotAJournal { .. }));
    let other = check("other-database", &|path| {
        fs::remove_file(path).unwrap();
        sql(path, "CREATE TABLE recipes (name TEXT)");
    });
    assert!(matches!(other, OpenError::NotAJournal { .. }));
    let secret = check("cut-secret", &|path| sql(path, "UPDATE meta SET value = x'00' WHERE key = 'secret'"));
    assert!(matches!(secret, OpenError::Damaged { .. }));
    check("no-id", &|path| sql(path, "DELETE FROM meta WHERE key = 'id'"));
    check("no-projection", &|path| sql(path, "DELETE FROM meta WHERE key = 'projection'"));
    check("no-meta", &|path| sql(path, "DROP TABLE meta"));
    check("cut-short", &|path| {
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(4_096 + 100).unwrap();
    });
    check("folder", &|path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    });
}

/// However many events are asked for, one read brings only a few large results into memory; further reads give the
/// others.
#[tokio::test]
async fn a_read_is_bounded_in_bytes() {
    let world = World::new(Kept::InSqlite);
    let run = world.create("run").await;
    let large = "x".repeat(1 << 20);
    for call in 1..=20 {
        let _ = world.submit(&run, None, routine(call, &large)).await.unwrap();
    }
    let (mut after, mut reads, mut rest) = (0, 0, true);
    while rest {
        let Events { events, more } = world.events(&run, after, usize::MAX).await.unwrap();
        assert!(events.len() <= 5, "{} events", events.len());
        after = events.last().map_or(after, |last| last.seq);
        (reads, rest) = (reads + 1, more);
    }
    // The fifth read is full, so only a sixth read can tell that there are no more events.
    assert_eq!((after, reads), (21, 6));
    let (mut place, mut seen) = (Position(0), 0);
    while let entries @ [.., last] = &world.feed(place, usize::MAX).await.unwrap()[..] {
        assert!(entries.len() <= 5, "{} entries", entries.len());
        (place, seen) = (last.position, seen + entries.len());
    }
    assert_eq!(seen, 21);
}

#[tokio::test]
async fn events_that_do_not_fit_together_are_told_by_their_place() {
    let world = World::new(Kept::InSqlite);
    everything(&world).await;
    let world = world.reopened(|path| {
        sql(
            path,
            "UPDATE events SET format = 9 WHERE run = 1 AND seq = 1;
                   UPDATE events SET body = substr(body, 1, 40) WHERE run = 2 AND seq = 3;
                   DELETE FROM events WHERE run = 3 AND seq = 2;
                   UPDATE runs SET phase = 'dancing' WHERE number = 4",
        );
    });
    let told = async |run: &str, call| {
        let error = world.subject(&RunId(run.into()), call).await.unwrap_err();
        error.to_string().split(" at line").next().unwrap().to_owned()
    };
    let found = [
        told("done", None).await,
        told("edited", Some(1)).await,
        told("doubtful", Some(1)).await,
        told("asleep", None).await,
    ];
    let expected = [
        "the journal is damaged: event 1 has format 9, but this version of Holdshort reads formats up to 5",
        "the journal is damaged: event 3: EOF while parsing an object",
        "the journal is damaged: call 1 of run doubtful: the first event does not open the call",
        "the journal is damaged: run asleep: unknown phase `dancing`",
    ];
    assert_eq!(found, expected);
    // A command on a damaged run is not written; other runs go on.
    let error = world.submit(&RunId("done".into()), None, cancel()).await.unwrap_err();
    assert!(
        error.to_string().starts_with("the journal could not be written: the journal is damaged: event 1"),
        "{error}"
    );
    let _ = world.submit(&RunId("withdrawn".into()), None, cancel()).await.unwrap();
    let _ = world.create("new").await;
    assert_eq!(world.health(), Health::Ok);
    // No projections are made from damaged events. The journal is refused instead, before anything relies on such
    // projections.
    let mut world = world;
    world.close();
    sql(&world.path(), "UPDATE meta SET value = CAST('0' AS BLOB) WHERE key = 'projection'");
    let Err(error) = world.open() else { panic!("it was opened") };
    assert!(matches!(&error, OpenError::Damaged { why, .. } if why.contains("event 1 has format 9")), "{error}");
}

#[tokio::test]
async fn one_host_at_a_time_has_a_journal() {
    let mut world = World::new(Kept::InSqlite);
    world.announce("http://127.0.0.1:7001").unwrap();
    let address = world.path().with_extension("db.address");
    assert_eq!(fs::read_to_string(&address).unwrap(), "http://127.0.0.1:7001\n");
    let error = refused_with(&world.path(), "locked");
    assert!(matches!(error, OpenError::Locked { holder: Some(_), .. }));
    assert!(address.exists(), "who is refused does not take the other's address away");
    // The host that holds the journal goes on.
    let _ = world.create("run").await;
    let path = world.path();
    world.close();
    assert!(!address.exists(), "an address goes with its host");
    // Another process holds the journal and is killed: its lock ends with the process, and its writes are still there.
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "another_process_holds_a_journal", "--nocapture"])
        .env(HOLD, &path)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mine = RunId("of another process".into());
    let written = async || {
        let file = Connection::open(&path).unwrap();
        file.query_row("SELECT count(*) FROM runs WHERE id = ?1", [&mine.0], |row| row.get::<_, i64>(0)).unwrap() == 1
    };
    while !written().await {
        assert!(child.try_wait().unwrap().is_none(), "the other process ended before it wrote");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let Err(OpenError::Locked { holder, .. }) = world.open() else { panic!("two processes have it") };
    assert_eq!(holder, Some(format!("process {}", child.id())));
    child.kill().unwrap();
    child.wait().unwrap();
    let journal = world.open().unwrap();
    assert_eq!(journal.events(&mine, 0, 10).await.unwrap().events.len(), 1);
}

/// Names the journal that the other process holds.
const HOLD: &str = "HOLDSHORT_TEST_HOLD";

/// Does nothing in an ordinary test run. In the other process it holds a journal until the process is killed.
#[tokio::test]
async fn another_process_holds_a_journal() {
    let Some(path) = std::env::var_os(HOLD) else { return };
    let journal = Journal::open(Path::new(&path), TestClock::starting_at(EPOCH).clock()).unwrap();
    let fence = holdshort_journal::Fence::None;
    let _ = journal.submit(&RunId("of another process".into()), None, fence, create("task")).await.unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn nobody_else_can_read_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state/deep/journal.db");
    let journal = Journal::open(&path, TestClock::starting_at(EPOCH).clock()).unwrap();
    journal.announce("http://127.0.0.1:7001").unwrap();
    let _ = journal.put_blob(vec![1; 100_000]).await.unwrap();
    assert!(journal.blob(&Digest::of(b"nothing")).await.unwrap().is_none());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("state")), 0o700);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(path.parent().unwrap()).unwrap().map(Result::unwrap) {
        assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.path());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    let all = ["journal.db", "journal.db-shm", "journal.db-wal", "journal.db.address", "journal.db.lock"];
    assert_eq!(names, all);
}

#[test]
fn the_bundled_sqlite_is_new_enough() {
    // Before version 3.51.3, a database in WAL mode with two connections can be corrupted when the log starts again.
    assert!(rusqlite::version_number() >= 3_051_003, "SQLite {}", rusqlite::version());
}

/// The environment variable with which the test writes the expected texts (`errors`) or the old journal (`journal`)
/// again, instead of comparing with them.
const WRITE: &str = "HOLDSHORT_WRITE_EXPECTED";

/// A journal that version 1 wrote, as SQL, so that a person can read it. A new version of the tables gets another file.
/// This file is never changed, because an old journal must stay readable for ever.
const GOLDEN: &str = "tests/data/journal-1.sql";

#[tokio::test]
async fn a_journal_of_long_ago_still_opens_and_goes_on() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (golden, listing) = (here.join(GOLDEN), here.join(GOLDEN).with_extension("txt"));
    let anew = std::env::var(WRITE).is_ok_and(|what| what == "journal");
    if anew {
        let mut world = World::new(Kept::InSqlite);
        everything(&world).await;
        let _ = world.submit(&RunId("large".into()), None, create(&"large ".repeat(11_000))).await.unwrap();
        world.close();
        fs::write(&golden, dump(&world.path())).unwrap();
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("journal.db");
    sql(&path, &fs::read_to_string(&golden).unwrap());
    let clock = TestClock::starting_at(EPOCH + 1_000_000);
    let journal = Journal::open(&path, clock.clock()).unwrap();
    let found = list(&journal).await;
    if anew {
        fs::write(&listing, &found).unwrap();
    }
    assert_eq!(found, fs::read_to_string(&listing).unwrap());
    let seen = shown(&journal, &runs()).await;
    assert_eq!(kinds(&seen.feed).len(), 22, "every kind of event of then is in it");
    Model::of(&seen.feed).check(&seen, &runs(), "its projections, which are of now");
    // A vote from the old journal and a new vote together clear the same digest, and the effect has the key that it
    // would have had before.
    let run = RunId("waiting".into());
    let call = journal.subject(&run, Some(2)).await.unwrap().unwrap().call.unwrap();
    let fence = holdshort_journal::Fence::None;
    let approve = decision("bob", call.clearance.unwrap(), Choice::Approve);
    assert_eq!(journal.submit(&run, Some(2), fence, approve).await.unwrap().state, CallState::Approved);
    let authorized = journal.submit(&run, Some(2), fence, START).await.unwrap();
    assert_eq!(*authorized.action(), action("hello"));
    let key = format!("key of waiting.2: {}\n", perform(authorized));
    assert!(found.contains(&key), "{key}");
    assert_eq!(*journal.submit(&run, Some(2), fence, happened(1, json!("sent"))).await.unwrap(), CallState::Succeeded);
    // The journal has the current version now. Its tables were made again once, and are not made again each time it is
    // opened.
    let seen = shown(&journal, &runs()).await;
    drop(journal);
    let file = Connection::open(&path).unwrap();
    let text = |sql: &str| file.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(text("SELECT user_version || '' FROM pragma_user_version"), "2");
    assert_eq!(text("SELECT CAST(value AS TEXT) FROM meta WHERE key = 'projection'"), "8");
    assert_eq!(text("PRAGMA integrity_check"), "ok");
    drop(file);
    let journal = Journal::open(&path, clock.clock()).unwrap();
    same(&shown(&journal, &runs()).await, &seen, "opened again");
}

/// The contents of a journal, for a reader.
async fn list(journal: &Journal) -> String {
    let mut text = format!("journal {}\n", journal.id().0);
    for row in journal.runs(all_runs()).await.unwrap() {
        let task: String = row.task.chars().take(40).collect();
        text += &format!("run {} is {}, {} events, {} calls: {task}\n", row.id, row.state, row.last_seq, row.calls);
        for (number, LogLine { level, message, .. }) in journal.log_lines(&row.id, 0, 100).await.unwrap() {
            text += &format!("  log {number} {level} {message}\n");
        }
    }
    for row in journal.calls(all_calls()).await.unwrap() {
        let clearance = row.clearance.map_or("none".into(), |digest| digest.to_string());
        text += &format!("call {}.{} revision {} is {}: {clearance}\n", row.run, row.call, row.revision, row.state);
    }
    for entry in journal.feed(Position(0), usize::MAX).await.unwrap() {
        let event = serde_json::to_string(&entry.recorded).unwrap();
        text += &format!("{} {} {}\n", entry.position.0, entry.run, event.chars().take(200).collect::<String>());
    }
    text += &format!("key of waiting.2: {}\n", journal.effect_key(&RunId("waiting".into()), 2));
    text
}

/// A value as SQL; bytes that are text are written as text.
fn literal(value: ValueRef<'_>) -> String {
    let quote = |text: &str| format!("'{}'", text.replace('\'', "''"));
    match value {
        ValueRef::Null => "NULL".into(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => quote(std::str::from_utf8(text).unwrap()),
        ValueRef::Blob(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains(|c: char| c.is_control()) => format!("CAST({} AS BLOB)", quote(text)),
            _ => format!("x'{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        },
    }
}

/// The whole file as SQL.
fn dump(path: &Path) -> String {
    let file = Connection::open(path).unwrap();
    let pragma = |name| file.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
    let mut text = format!(
        "PRAGMA application_id = {};\nPRAGMA user_version = {};\nBEGIN;\n",
        pragma("application_id"),
        pragma("user_version")
    );
    let lines = |sql: &str| {
        let mut statement = file.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>()
    };
    for statement in lines("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid") {
        text += &format!("{statement};\n");
    }
    for table in lines("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY rowid")
    {
        let mut statement = file.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<String> = (0..columns).map(|n| literal(row.get_ref(n).unwrap())).collect();
            text += &format!("INSERT INTO {table} VALUES ({});\n", values.join(", "));
        }
    }
    text + "COMMIT;\n"
}
