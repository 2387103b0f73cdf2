//! A child process may outlive the host that started it. The next host waits for the child to end before it looks up
//! what happened.
//!
//! The git that moves the branch is delayed by a program with the same name that comes first on the PATH. A hook would
//! not work, because the host allows no hooks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde_json::json;

use crate::outside::{self, Branch, Outside};
use crate::support::{Folder, Host, until};

/// A git that waits for the file `go` before it moves a branch. Meanwhile the file `waits` contains its process id.
struct SlowGit {
    home: tempfile::TempDir,
}

impl SlowGit {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let at = home.path().display();
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in *update-ref*)\n  echo $$ > {at}/pid && mv {at}/pid {at}/waits\n  \
             while [ ! -e {at}/go ]; do sleep 0.05; done;;\nesac\n\
             PATH=${{PATH#*:}} exec git \"$@\"\n"
        );
        let program = home.path().join("git");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self { home }
    }

    fn path(&self) -> String {
        format!("{}:{}", self.home.path().display(), std::env::var("PATH").unwrap())
    }

    /// Waits until this git waits for the file `go`, and returns its process id.
    fn waits(&self) -> Pid {
        let file = self.home.path().join("waits");
        let pid = until("git that waits", || fs::read_to_string(&file).ok());
        Pid::from_raw(pid.trim().parse().unwrap()).unwrap()
    }

    fn go(&self) -> PathBuf {
        let file = self.home.path().join("go");
        fs::write(&file, "").unwrap();
        file
    }
}

/// A deployment whose git waits while its host is killed. Returns the next host, the run, the call, and the process of
/// git.
fn outlived(folder: &Folder, git: &SlowGit, branch: &Branch) -> (Host, String, String, Pid) {
    let host = folder.serve_with(&[("PATH", &git.path())]);
    let run = host.start("scripted", &branch.line());
    let approval = host.held(&run);
    host.approve(&approval);
    let child = git.waits();
    host.kill();
    assert!(rustix::process::test_kill_process(child).is_ok(), "the child outlives its host");
    let host = folder.serve_with(&[("PATH", &git.path())]);
    let id = format!("{run}.1");
    host.effect(&id, "in-doubt");
    // A host that did not wait would have looked the effect up within this second, and the test would fail.
    thread::sleep(Duration::from_secs(1));
    assert_eq!(host.approval(&id)["effect"]["state"], "in-doubt", "the child may still do it");
    assert_eq!(branch.count(), 0);
    (host, run, id, child)
}

fn settled(host: &Host, run: &str, id: &str, state: &str) -> String {
    let row = host.over(run);
    let approval = host.approval(id);
    assert_eq!(approval["effect"]["state"], state, "{approval}");
    assert_eq!(approval["effect"]["attempts"], 1, "{approval}");
    let events = host.events(run);
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let outcome = format!("effect-{state}");
    let expected =
        ["run-created", "call-held", "decision-made", "effect-started", "effect-in-doubt", &outcome, "run-finished"];
    assert_eq!(kinds, expected);
    row["result"]["ok"].as_str().unwrap().to_owned()
}

#[test]
fn a_child_that_does_it_after_all_is_waited_for() {
    let (home, git) = (tempfile::tempdir().unwrap(), SlowGit::new());
    let branch = Branch::new(&home.path().join("shop.git"));
    let folder = outside::folder(&branch, "");
    let (host, run, id, _) = outlived(&folder, &git, &branch);
    git.go();
    let told = settled(&host, &run, &id, "succeeded");
    assert!(told.contains(&branch.receipt()), "{told}");
    assert_eq!(branch.count(), 1);
}

#[test]
fn a_child_that_dies_first_has_done_nothing() {
    let (home, git) = (tempfile::tempdir().unwrap(), SlowGit::new());
    let branch = Branch::new(&home.path().join("shop.git"));
    let folder = outside::folder(&branch, "");
    let (host, run, id, child) = outlived(&folder, &git, &branch);
    rustix::process::kill_process_group(child, Signal::KILL).unwrap();
    let told = settled(&host, &run, &id, "failed");
    assert!(told.starts_with("err Refusal::Failed("), "{told}");
    assert_eq!(branch.count(), 0);
    // After that the branch can be deployed to as usual.
    git.go();
    let run = host.start("scripted", &branch.line());
    let approval = host.held(&run);
    host.approve(&approval);
    let row = host.over(&run);
    assert!(row["result"]["ok"].as_str().unwrap().contains(&branch.receipt()), "{row}");
    assert_eq!(branch.count(), 1);
    assert_ne!(json!(id), approval["id"]);
}
