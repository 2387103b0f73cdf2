//! A disk that is really full: no batch is written in part, errors say that the disk is full, and once there is space
//! the journal can be written again without a restart.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "../../../tests/support/skipped.rs"]
mod skipped;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::*;
use holdshort_gate::command::Choice;
use holdshort_gate::{CallState, Digest, RunId};
use holdshort_journal::{Health, Journal, Position, SubmitError};
use skipped::skipped;
use tempfile::TempDir;

/// A file system of its own in memory. It is removed with this value.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts the file system. Without the right to mount, which an ordinary user lacks, the result is an error with
    /// the reason.
    fn mount(size: &str) -> Result<Self, String> {
        let folder = TempDir::new().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs"])
            .arg(folder.path())
            .output()
            .map_err(|error| format!("`mount` cannot be run: {error}"))?;
        if mount.status.success() {
            Ok(Self(folder))
        } else {
            Err(format!("`mount` said: {}", String::from_utf8_lossy(&mount.stderr).trim()))
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills all the space that is left.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut filler = File::create(&path).unwrap();
        for size in [64 << 10, 4 << 10, 1] {
            while filler.write_all(&vec![0; size]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(self.path()).output());
    }
}

/// The numbers of events, runs and calls in the file, read by a connection of the test's own.
fn in_the_file(path: &Path) -> (i64, i64, i64) {
    let file = rusqlite::Connection::open(path).unwrap();
    let count = |table: &str| file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
    (count("events"), count("runs"), count("calls"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_writes_nothing_and_recovers_by_itself() {
    let disk = match SmallDisk::mount("3m") {
        Ok(disk) => disk,
        Err(why) => return skipped(&why),
    };
    let path = disk.path().join("journal.db");
    let clock = TestClock::starting_at(EPOCH);
    let journal = Journal::open(&path, clock.clock()).unwrap();
    let fence = holdshort_journal::Fence::None;
    let submit = |run: &RunId, task: &str| journal.submit(run, None, fence, create(task));
    let held = RunId("held".into());
    let _ = submit(&held, "task").await.unwrap();
    let _ = journal.submit(&held, None, fence, hold(1, proposal("hello"))).await.unwrap();
    let clearance = journal.subject(&held, Some(1)).await.unwrap().unwrap().call.unwrap().clearance.unwrap();
    let before = in_the_file(&path);
    assert_eq!(before, (2, 1, 1));

    for round in 0..3 {
        let filler = disk.fill();
        let at = clock.next();
        // Two steps of a run at once: neither is written, so there is no gap and nothing to undo.
        let run = RunId(format!("run-{round}"));
        let large = "x".repeat(600 << 10);
        let mut hints = journal.hints();
        let (first, second) = (submit(&run, &large), journal.submit(&run, None, fence, routine(1, "answer")));
        let told = first.await.unwrap_err();
        assert!(matches!(&told, SubmitError::NotWritten(cause) if cause.contains("full")), "{told}");
        assert_eq!(told.to_string(), "the journal could not be written: database or disk is full");
        // The second step was lost with the first or was judged after it; in both cases it is not written.
        let told = second.await.unwrap_err();
        assert!(matches!(told, SubmitError::NotWritten(_) | SubmitError::Refused(_)), "{told}");
        let blob = journal.put_blob(large.clone().into_bytes()).await.unwrap_err();
        assert!(matches!(blob, SubmitError::NotWritten(_)), "{blob}");
        let Health::Failing { since, cause } = journal.health() else { panic!("a full disk is healthy") };
        assert!(since >= at && cause == "database or disk is full", "{since:?} {cause}");
        assert!(hints.is_empty(), "nobody is told of what was not written");

        // Nothing of the batch is visible, neither to this host nor to a program that opens the file; reads still work.
        assert_eq!(journal.subject(&run, None).await.unwrap(), None);
        assert_eq!(journal.blob(&Digest::of(large.as_bytes())).await.unwrap(), None);
        assert_eq!(journal.last_position().await.unwrap(), Position(u64::try_from(before.0).unwrap() + round));
        assert_eq!(
            in_the_file(&path),
            (before.0 + i64::try_from(round).unwrap(), 1 + i64::try_from(round).unwrap(), 1)
        );
        assert_eq!(
            journal.subject(&held, Some(1)).await.unwrap().unwrap().call.unwrap().phase.state().as_str(),
            "held"
        );

        // With space again the journal can be written, after a command or after its own check, without a restart.
        fs::remove_file(filler).unwrap();
        if round == 0 {
            for _ in 0..2_000 {
                if journal.health() == Health::Ok {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(journal.health(), Health::Ok, "nobody asked, and it has found out");
        }
        let _ = submit(&run, "task").await.unwrap();
        assert_eq!(journal.health(), Health::Ok);
        assert_eq!(hints.recv().await.unwrap().run, run);
        assert_eq!(journal.events(&run, 0, 10).await.unwrap().events.len(), 1);
    }
    // A call that was held before the disk was full can be decided as usual, and its effect is performed once.
    let approve = decision("alice", clearance, Choice::Approve);
    assert_eq!(journal.submit(&held, Some(1), fence, approve).await.unwrap().state, CallState::Approved);
    let authorized = journal.submit(&held, Some(1), fence, START).await.unwrap();
    assert_eq!(perform(authorized), journal.effect_key(&held, 1).0);
    drop(journal);
    let journal = Journal::open(&path, clock.clock()).unwrap();
    assert_eq!(journal.last_position().await.unwrap(), Position(7));
}

/// On a disk that is full from the beginning no journal is created, and no file is left that could not be opened later.
#[test]
fn a_journal_is_not_begun_on_a_full_disk() {
    let disk = match SmallDisk::mount("1m") {
        Ok(disk) => disk,
        Err(why) => return skipped(&why),
    };
    let filler = disk.fill();
    let path = disk.path().join("journal.db");
    let clock = TestClock::starting_at(EPOCH);
    let error = Journal::open(&path, clock.clock()).err().expect("there is no space for a journal");
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    fs::remove_file(filler).unwrap();
    drop(Journal::open(&path, clock.clock()).unwrap());
}
