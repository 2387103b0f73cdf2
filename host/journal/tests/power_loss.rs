//! After a power loss at any instant, the journal opens. Its events are a beginning of its history, and every
//! acknowledged event is among them.
//!
//! `HOLDSHORT_CUTS=10000 cargo test -p holdshort-journal --test power_loss` makes a long run, and `HOLDSHORT_SEED=17`
//! tests one history.
//!
//! A history is drawn from a seed. First a reference journal in memory takes the steps of the history. Its answers and
//! events are those that are expected of the real journal. Then the real journal takes the steps, and every write,
//! resize, name and flush is recorded together with the time of each acknowledgement (`tests/disk`). Then the power is
//! cut at many places of that record: `remains` constructs possible contents of the disk at that place, and the
//! product's own code opens them.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "../../../tests/support/evidence.rs"]
mod evidence;
#[path = "power_loss/remains.rs"]
mod remains;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use common::script::{Answer, Dice, Model, Step, same, shown, take};
use common::{EPOCH, scratch};
use holdshort_gate::{Digest, JournalId, RunId, Time};
use holdshort_journal::{Clock, Journal, JournalEntry, Position};
use holdshort_test_disk::{Disk, Op};
use remains::{HANDS, Hand, Remains, Tree, lay_down, tree};

/// How many times the power is cut.
const CUTS: u64 = 240;
/// The number of places in one history.
const CUTS_OF_A_HISTORY: usize = 40;
/// The number of steps in a history.
const STEPS: usize = 160;
/// The number of steps after which other runs are used.
const GENERATION: usize = 40;
/// How far the clock advances between two commands.
const TICK: u64 = 1_000;

/// The contents of the disk when a history begins.
const LEFT: [Left; 3] = [Left::Nothing, Left::Folder, Left::EmptyFile];

/// The mark that says: the journal has been created and opened.
const MADE: u64 = 1;
/// The mark that says: the journal has the name of the journal in memory.
const NAMED: u64 = 2;
/// The mark `ANSWERED + n` says: `n` steps have been answered.
const ANSWERED: u64 = 3;

/// One step of a history. A reference journal, which is in memory and loses nothing, takes the step first. `answer` is
/// the reference journal's answer, and the real journal must give the same answer.
struct Told {
    run: RunId,
    step: Step,
    /// How often the clock was read before this step.
    reads: u64,
    answer: String,
    /// The position of the reference journal's last event after this step.
    position: u64,
    /// Whether the step is submitted together with the step before.
    together: bool,
}

struct History {
    seed: u64,
    id: JournalId,
    told: Vec<Told>,
    feed: Vec<JournalEntry>,
}

/// A clock that counts its readings and advances by one tick with each. A test can stop it.
#[derive(Clone)]
struct Ticks(Arc<(AtomicU64, Mutex<()>)>);

impl Ticks {
    fn from(reads: u64) -> Self {
        Self(Arc::new((AtomicU64::new(reads), Mutex::new(()))))
    }

    fn reads(&self) -> u64 {
        self.0.0.load(Ordering::SeqCst)
    }

    fn clock(&self) -> Clock {
        let this = self.clone();
        Arc::new(move || {
            drop(this.0.1.lock().unwrap_or_else(PoisonError::into_inner));
            Time(EPOCH + TICK * this.0.0.fetch_add(1, Ordering::SeqCst))
        })
    }
}

/// The bytes of the blob that a step writes. They differ from step to step.
fn blob(index: usize, size: u64) -> Vec<u8> {
    let mut dice = Dice(index as u64);
    (0..size * 300).map(|_| dice.below(256) as u8).collect()
}

fn hand_over(journal: &Journal, index: usize, told: &Told) -> Answer {
    let Step::Blob(size) = told.step else { return take(journal, &told.run, &told.step) };
    let journal = journal.clone();
    Box::pin(async move { format!("{:?}", journal.put_blob(blob(index, size)).await) })
}

impl History {
    async fn new(seed: u64) -> Self {
        let ticks = Ticks::from(0);
        let journal = Journal::in_memory(ticks.clock()).unwrap();
        let mut dice = Dice(seed);
        let mut told = Vec::new();
        for index in 0..STEPS {
            let run = RunId(format!("{:02}-{}", index / GENERATION, dice.one_of(&["a", "b", "c"])));
            let subject = journal.subject(&run, None).await.unwrap();
            let (state, call) = subject.map_or((None, None), |subject| (subject.run, subject.call));
            let reads = ticks.reads();
            let step = dice.step(state.as_ref(), call.as_ref(), Time(EPOCH + TICK * reads));
            let together = dice.below(2) == 0;
            let mut next = Told { run, step, reads, answer: String::new(), position: 0, together };
            next.answer = hand_over(&journal, index, &next).await;
            next.position = journal.last_position().await.unwrap().0;
            told.push(next);
        }
        let feed = journal.feed(Position(0), usize::MAX).await.unwrap();
        Self { seed, id: journal.id().clone(), told, feed }
    }

    /// How many steps a journal has taken if its last event has this position; `None` if the position is in the middle
    /// of a step.
    fn steps_at(&self, position: u64) -> Option<usize> {
        let steps = self.told.partition_point(|told| told.position <= position);
        let last = steps.checked_sub(1).map_or(0, |last| self.told[last].position);
        (last == position).then_some(steps)
    }
}

/// The settings with which a journal is recorded.
#[derive(Clone, Copy, Debug)]
struct How {
    /// The setting `synchronous` of SQLite; `None` for the setting of the product.
    synchronous: Option<&'static str>,
    checkpoint_pages: Option<u32>,
    left: Left,
}

/// What a host that was killed while it created the journal has left behind. Nothing of it was flushed.
#[derive(Clone, Copy, Debug)]
enum Left {
    Nothing,
    Folder,
    EmptyFile,
}

fn leave_behind(path: &Path, left: Left) {
    if matches!(left, Left::Folder | Left::EmptyFile) {
        fs::create_dir(path.parent().unwrap()).unwrap();
    }
    if matches!(left, Left::EmptyFile) {
        drop(fs::File::create_new(path).unwrap());
    }
}

/// The recorded requests to the disk, and the contents of the disk before them.
struct Record {
    root: PathBuf,
    before: Tree,
    ops: Vec<Op>,
}

fn path_in(root: &Path) -> PathBuf {
    root.join("state").join("journal.db")
}

/// The real journal takes the steps from `from` on, in the folder that the earlier steps left.
async fn record(history: &History, from: usize, root: &Path, how: How) -> Result<Record, String> {
    let root = root.canonicalize().unwrap();
    let before = tree(&root);
    let disk = Disk::watch(&root, how.synchronous, how.checkpoint_pages);
    let path = path_in(&root);
    if from == 0 && !before.contains_key(path.parent().unwrap()) {
        leave_behind(&path, how.left);
    }
    let ticks = Ticks::from(history.told.get(from).map_or(0, |told| told.reads));
    let open = || Journal::open(&path, ticks.clock()).map_err(|error| error.to_string());
    let mut journal = Some(open()?);
    disk.mark(MADE);
    if from == 0 {
        drop(journal.take());
        let file = rusqlite::Connection::open(&path).unwrap();
        let name = "UPDATE meta SET value = ?1 WHERE key = 'id'";
        assert_eq!(file.execute(name, [history.id.0.as_bytes()]).unwrap(), 1);
        drop(file);
        disk.mark(NAMED);
    }
    // The power loss may have removed blobs, because the position of the last event does not show whether a blob was
    // stored. So blobs are submitted again, as by a client without an answer.
    for (index, told) in history.told[..from].iter().enumerate().rev().take(20) {
        if matches!(told.step, Step::Blob(_)) {
            assert_eq!(hand_over(journal.as_ref().unwrap(), index, told).await, told.answer);
        }
    }
    let mut index = from;
    while index < history.told.len() {
        let end = (index + 1..history.told.len()).find(|next| !history.told[*next].together);
        let end = end.unwrap_or(history.told.len());
        if journal.is_none() || index % 50 == 49 {
            drop(journal.take());
            journal = Some(open()?);
        }
        let open = journal.as_ref().unwrap();
        let stopped = ticks.0.1.lock().unwrap();
        let answers: Vec<_> = (index..end).map(|index| hand_over(open, index, &history.told[index])).collect();
        drop(stopped);
        for (answer, index) in answers.into_iter().zip(index..) {
            let answer = answer.await;
            disk.mark(ANSWERED + index as u64 + 1);
            let expected = &history.told[index].answer;
            if answer != *expected {
                return Err(format!("step {index} was answered {answer}, not {expected}"));
            }
        }
        index = end;
    }
    drop(journal);
    Ok(Record { root, before, ops: disk.ops() })
}

/// Places at which the power is cut: some while the journal is being created, some just before a flush, when everything
/// is written and nothing is safe, some near rare operations, and some anywhere.
fn places(ops: &[Op], count: usize, dice: &mut Dice) -> Vec<usize> {
    let those = |wanted: fn(&Op) -> bool| -> Vec<usize> {
        ops.iter().enumerate().filter(|(_, op)| wanted(op)).map(|(place, _)| place).collect()
    };
    let flushes = those(is_flush);
    let made = ops.iter().position(|op| *op == Op::Mark(NAMED)).unwrap_or(ops.len());
    let rare = those(|op| !is_flush(op) && !matches!(op, Op::Write { .. } | Op::Found { .. } | Op::Mark(_)));
    let mut places: Vec<usize> = (0..count)
        .map(|nth| match nth % 6 {
            0 => dice.below(made as u64 + 1) as usize,
            1 | 2 if !flushes.is_empty() => dice.one_of(&flushes),
            3 | 4 if !rare.is_empty() => dice.one_of(&rare) + dice.below(2) as usize,
            _ => dice.below(ops.len() as u64 + 1) as usize,
        })
        .collect();
    places.sort_unstable();
    places
}

fn is_flush(op: &Op) -> bool {
    matches!(op, Op::Sync { .. } | Op::SyncFolder { .. })
}

/// The number of the last mark before the power was cut; `before` if there is no mark.
fn acknowledged(ops: &[Op], before: u64) -> u64 {
    ops.iter().rev().find_map(|op| if let Op::Mark(mark) = op { Some(*mark) } else { None }).unwrap_or(before)
}

/// The state that clients have seen when the power is cut.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// The last mark.
    acknowledged: u64,
    /// How many events have been read.
    shown: u64,
}

/// Opens a journal after a power loss with the product's own code. Returns how many steps the journal has taken.
async fn check(history: &History, root: &Path, known: Known, rebuilt: bool) -> Result<usize, String> {
    let path = path_in(root);
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let open = || Journal::open(&path, Ticks::from(STEPS as u64).clock()).map_err(|error| error.to_string());
    let journal = open()?;
    let position = journal.last_position().await.map_err(|error| told(&error))?.0;
    let feed = journal.feed(Position(0), usize::MAX).await.map_err(|error| told(&error))?;
    if feed.len() as u64 != position || feed[..] != history.feed[..feed.len().min(history.feed.len())] {
        return Err(format!("its {} events up to {position} are not the history's", feed.len()));
    }
    let steps = history.steps_at(position).ok_or_else(|| format!("it has half of a step: it ends at {position}"))?;
    let Known { acknowledged, shown: events } = known;
    let answered = acknowledged.saturating_sub(ANSWERED) as usize;
    let lost = |what: &str| Err(format!("LOST: {what}; the journal has {position} events"));
    if acknowledged >= NAMED && journal.id() != &history.id {
        return lost("the journal's name");
    }
    if answered > steps || events > position {
        return lost(&format!("step {answered} of {steps}, or event {events} that was shown"));
    }
    for (index, put) in history.told[..answered].iter().enumerate().rev().take(40) {
        let Step::Blob(size) = put.step else { continue };
        let bytes = blob(index, size);
        let kept = journal.blob(&Digest::of(&bytes)).await.map_err(|error| told(&error))?;
        if kept != Some(bytes) {
            return lost(&format!("the blob of step {index}"));
        }
    }
    let runs: Vec<RunId> = feed.iter().rev().map(|entry| entry.run.clone()).take(1).collect();
    let found = shown(&journal, &runs).await;
    Model::of(&feed).check(&found, &runs, "after a power loss");
    drop(journal);
    let file = rusqlite::Connection::open(&path).unwrap();
    let sound: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).map_err(|error| told(&error))?;
    if sound != "ok" {
        return Err(format!("SQLite says: {sound}"));
    }
    if rebuilt {
        file.execute_batch("UPDATE meta SET value = CAST('0' AS BLOB) WHERE key = 'projection'").unwrap();
        drop(file);
        same(&shown(&open()?, &runs).await, &found, "after its projections were made anew");
    }
    Ok(steps)
}

/// The results of all cuts.
#[derive(Default)]
struct Tally {
    cuts: usize,
    states: usize,
    again: usize,
    killed: usize,
    /// The next two are numbers of cuts: while the journal was being created, and while SQLite's log was being copied
    /// back.
    making: usize,
    copying: usize,
    /// The errors that were found, as texts.
    wrong: Vec<String>,
    /// How many checks found that something acknowledged was missing.
    lost: usize,
    ops: BTreeMap<&'static str, usize>,
}

impl Tally {
    fn failed(&mut self, what: &str, why: String) {
        self.lost += usize::from(why.starts_with("LOST"));
        self.wrong.push(format!("{what}: {why}"));
    }
}

fn kind(op: &Op) -> &'static str {
    match op {
        Op::Found { .. } => "found",
        Op::Make { .. } => "make",
        Op::Write { .. } => "write",
        Op::Resize { .. } => "resize",
        Op::Sync { .. } => "sync",
        Op::MakeFolder { .. } => "make folder",
        Op::SyncFolder { .. } => "sync folder",
        Op::Remove { .. } => "remove",
        Op::Rename { .. } => "rename",
        Op::Mark(_) => "mark",
    }
}

/// Checks a journal, and notes in the tally what was wrong.
async fn checked(
    history: &Arc<History>,
    root: &Path,
    known: Known,
    rebuilt: bool,
    what: &str,
    tally: &mut Tally,
) -> Option<usize> {
    let (history, root) = (history.clone(), root.to_path_buf());
    // The check may panic on a damaged journal.
    let checked = tokio::spawn(async move { check(&history, &root, known, rebuilt).await });
    match checked.await.unwrap_or_else(|panic| Err(panic.to_string())) {
        Ok(steps) => Some(steps),
        Err(why) => {
            tally.failed(what, why);
            None
        }
    }
}

/// At this place only the process dies, and the power stays on. Another host opens the journal and shows its contents,
/// although some of them were not flushed. Then the power is cut.
async fn killed(history: &Arc<History>, cut: &Cut<'_>, tally: &mut Tally, dice: &mut Dice) {
    let folder = scratch();
    lay_down(&cut.remains.after(Hand::Everything, dice), cut.root, folder.path());
    let disk = Disk::watch(folder.path(), cut.how.synchronous, cut.how.checkpoint_pages);
    let journal = Journal::open(&path_in(disk.root()), Ticks::from(STEPS as u64).clock()).unwrap();
    let shown = journal.last_position().await.unwrap().0;
    let root = disk.root().to_path_buf();
    let ops = disk.ops();
    drop(journal);
    let mut remains = cut.remains.clone();
    remains.ask_elsewhere(&ops, &root, cut.root);
    for hand in [Hand::Nothing, Hand::Coins] {
        let folder = scratch();
        lay_down(&remains.after(hand, dice), cut.root, folder.path());
        let what = format!("{}, killed first, {hand:?}", cut.what);
        tally.states += 1;
        tally.killed += 1;
        checked(history, folder.path(), Known { acknowledged: cut.acknowledged, shown }, false, &what, tally).await;
    }
}

/// A place at which the power is cut.
struct Cut<'a> {
    remains: &'a Remains,
    root: &'a Path,
    how: How,
    acknowledged: u64,
    what: &'a str,
}

/// Cuts the power at `count` places of a record. After some cuts the journal goes on with its history, and the power is
/// cut again.
async fn cut(
    history: &Arc<History>,
    record: &Record,
    before: u64,
    count: usize,
    how: How,
    depth: usize,
    tally: &mut Tally,
) {
    let mut dice = Dice(history.seed ^ 0xc07);
    let mut remains = Remains::new(record.before.clone());
    let mut asked = 0;
    for op in &record.ops {
        *tally.ops.entry(kind(op)).or_default() += 1;
    }
    for (nth, place) in places(&record.ops, count, &mut dice).into_iter().enumerate() {
        record.ops[asked..place].iter().for_each(|op| remains.ask(op));
        asked = place;
        tally.cuts += 1;
        let acknowledged = acknowledged(&record.ops[..place], before);
        tally.making += usize::from(acknowledged < MADE);
        tally.copying += usize::from(remains.is_changing(&path_in(&record.root)));
        let hands =
            if remains.is_uncertain() { vec![HANDS[nth % HANDS.len()], Hand::Coins] } else { vec![Hand::Nothing] };
        for hand in hands {
            let what = format!(
                "seed {}, cut {depth} before operation {place} of {} ({:?} acknowledged), {hand:?}",
                history.seed,
                record.ops.len(),
                acknowledged
            );
            tally.states += 1;
            let folder = scratch();
            lay_down(&remains.after(hand, &mut dice), &record.root, folder.path());
            let known = Known { acknowledged, shown: 0 };
            let Some(steps) = checked(history, folder.path(), known, nth % 4 == 0, &what, tally).await else {
                continue;
            };
            if depth == 1 && record.ops.get(place).is_some_and(is_flush) && hand == Hand::Coins {
                let cut = Cut { remains: &remains, root: &record.root, how, acknowledged, what: &what };
                killed(history, &cut, tally, &mut dice).await;
            }
            if depth == 1 && nth % 10 == 9 {
                tally.again += 1;
                match self::record(history, steps, folder.path(), how).await {
                    Ok(again) => {
                        Box::pin(cut(history, &again, acknowledged, 4, how, depth + 1, tally)).await;
                    }
                    Err(why) => tally.failed(&what, format!("it does not go on: {why}")),
                }
            }
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Takes histories one after another until the power has been cut `count` times.
async fn cuts(count: usize, synchronous: Option<&'static str>) -> Tally {
    let mut tally = Tally::default();
    let first = number("HOLDSHORT_SEED");
    for seed in first.unwrap_or(0).. {
        // In every second history the log is copied back often.
        let how = How {
            synchronous,
            checkpoint_pages: (seed % 2 == 1).then_some(25),
            left: LEFT[seed as usize % LEFT.len()],
        };
        let history = Arc::new(History::new(seed).await);
        let folder = scratch();
        let record = record(&history, 0, folder.path(), how).await.unwrap();
        cut(&history, &record, 0, CUTS_OF_A_HISTORY, how, 1, &mut tally).await;
        if tally.cuts >= count || first.is_some() {
            break;
        }
    }
    println!(
        "{} cuts, {} disks, {} went on and were cut again, {} after a kill, {} while the journal was made, {} while the log was copied back; {} were wrong, of which {} had lost something; asked: {:?}",
        tally.cuts,
        tally.states,
        tally.again,
        tally.killed,
        tally.making,
        tally.copying,
        tally.wrong.len(),
        tally.lost,
        tally.ops
    );
    tally
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_power_loss() {
    let count = number("HOLDSHORT_CUTS").unwrap_or(CUTS);
    let tally = cuts(count as usize, None).await;
    assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
    if (tally.cuts as u64) < CUTS {
        // A single history does not contain every kind of operation.
        return;
    }
    for kind in ["make", "write", "resize", "sync", "make folder", "sync folder", "remove", "mark"] {
        assert!(tally.ops.contains_key(kind), "no history ever did: {kind}");
    }
    for (what, count) in
        [("again", tally.again), ("killed", tally.killed), ("making", tally.making), ("copying", tally.copying)]
    {
        assert!(count >= 10, "{what}: {count}");
    }
    assert!(tally.states > tally.cuts);
    evidence::figure("T4", "cut points", CUTS);
}

/// The same test without SQLite's flushes: then the test must notice that something is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_flushes_it_is_seen_that_something_is_lost() {
    for level in ["OFF", "NORMAL"] {
        let tally = cuts(CUTS_OF_A_HISTORY, Some(level)).await;
        assert!(tally.lost >= 5, "{level}: {}", tally.wrong.join("\n"));
    }
}
