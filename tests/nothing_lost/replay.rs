//! A replay performs nothing, asks no reviewer, and writes nothing. If a run does not fit its journal, only that run
//! stops.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use holdshort::kill::VARIABLE;
use rusqlite::Connection;
use serde_json::json;

use crate::operator::Operator;
use crate::outside::{self, Branch, Maildir, Outside};
use crate::support::{Folder, component, until};

#[test]
fn a_replayed_run_does_nothing_twice() {
    let home = tempfile::tempdir().unwrap();
    let (mail, branch) = (Maildir(home.path().join("mail")), Branch::new(&home.path().join("shop.git")));
    let counted = home.path().join("counted");
    let check = format!(
        "[checks.count]\ncommand = [\"sh\", \"-c\", \"echo x >> {}\"]\nconfinement = \"off\"\n",
        counted.display()
    );
    let more = format!("[limits]\nlinger-ms = 0\n{}{check}", branch.section());
    let folder = outside::folder(&mail, &more);
    let checks = || fs::read_to_string(&counted).unwrap_or_default().lines().count();

    let mut operator = Operator::new(&folder, &[]);
    let task = format!("list\ncheck count main\n{}\n{}\nask Go on?\nask Really?", mail.line(), branch.line());
    let run = operator.start("scripted", &task);
    for (call, kind) in [(3, "approve"), (4, "approve"), (5, "respond"), (6, "respond")] {
        let id = format!("{run}.{call}");
        let approval = operator.held(&id);
        let before = operator.events(&run);
        operator.kill();
        assert_eq!(operator.approval(&id), approval, "what waits is as it was, to the digest");
        assert_eq!(operator.events(&run), before, "a start writes nothing");
        let answer = if kind == "respond" { json!({ "answer": "yes" }) } else { json!({}) };
        operator.decide(&approval, kind, &answer);
    }
    // By now the agent has run from its beginning five times.
    let row = operator.over(&run);
    let told: Vec<&str> = row["result"]["ok"].as_str().unwrap().lines().collect();
    assert_eq!(told.len(), 6, "{row}");
    assert!(told[2].contains(&mail.receipt()) && told[3].contains(&branch.receipt()), "{row}");
    assert_eq!((checks(), mail.count(), branch.count()), (1, 1, 1), "each happened once");
    let approvals = operator.get("/v1/approvals?state=all");
    assert_eq!(approvals["approvals"].as_array().unwrap().len(), 4, "nobody was asked twice: {approvals}");
    let events = operator.events(&run);
    let count = |kind: &str| events.iter().filter(|event| *event == kind).count();
    assert_eq!((count("routine-returned"), count("call-held"), count("effect-started")), (2, 4, 2), "{events:?}");
}

/// A grant outlives the call with whose approval it was made. It is revoked while the agent computes, and a replay must
/// not take the revocation for an action of the agent.
#[test]
fn a_grant_that_is_taken_back_is_nothing_to_a_replay() {
    let home = tempfile::tempdir().unwrap();
    let (mail, branch) = (Maildir(home.path().join("mail")), Branch::new(&home.path().join("shop.git")));
    let gone = home.path().join("gone");
    let wait = format!("until [ -e {} ]; do sleep 0.05; done", gone.display());
    let check = format!("[checks.slow]\ncommand = [\"sh\", \"-c\", \"{wait}\"]\nconfinement = \"off\"\n");
    let policy = "[policy]\nfiles = [\"p.cedar\"]\n";
    let folder = outside::folder(&mail, &format!("[limits]\nlinger-ms = 0\n{policy}{}{check}", branch.section()));
    let permit = |action: &str| format!("permit (principal, action == Action::\"{action}\", resource);\n");
    folder.write("p.cedar", &(permit("decide") + &permit("grant")));

    let host = folder.serve();
    let run = host.start("scripted", &format!("{}\ncheck slow main\nask Go on?\nask Really?", mail.line()));
    let first = host.held(&run);
    let (id, digest) = (first["id"].as_str().unwrap(), first["digest"].as_str().unwrap());
    let said = folder.run(&["approvals", "approve", id, "--yes", "--digest", digest, "--grant", "3", "--for", "2h"]);
    assert!(said.status.success(), "{said:?}");
    host.effect(id, "succeeded");
    assert!(folder.run(&["grants", "revoke", id]).status.success());
    fs::write(&gone, "").unwrap();
    let question = host.held(&run);
    let kinds: Vec<String> = host.events(&run).iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    let place = |kind: &str| kinds.iter().position(|other| other == kind).unwrap();
    assert!(place("effect-succeeded") < place("grant-revoked"), "{kinds:?}");
    assert!(place("grant-revoked") < place("routine-returned"), "{kinds:?}");
    host.kill();

    let host = folder.serve();
    assert_eq!(host.show_run(&run)["state"], "waiting");
    assert_eq!(host.decide(&question, "respond", &json!({ "answer": "yes" })).0, 200);
    until("the next question", || (host.show_run(&run)["waiting_for"] == 4).then_some(()));
    let question = host.approval(&format!("{run}.4"));
    assert_eq!(host.decide(&question, "respond", &json!({ "answer": "yes" })).0, 200);
    let row = host.over(&run);
    assert_eq!((&row["state"], mail.count()), (&json!("finished"), 1), "{row}");
}

/// The end of a timer depends on the time that the agent sees, and that time must be the same in every replay.
#[test]
fn a_replayed_run_sees_the_same_time() {
    let folder = Folder::new(&["clock"], "[limits]\nlinger-ms = 0\n");
    let mut operator = Operator::new(&folder, &[]);
    let task = "now wall sleep=20 now ask now sleep=20 random race=30,20 ask now";
    let run = operator.start("clock", task);
    for call in [1, 2] {
        let approval = operator.held(&format!("{run}.{call}"));
        operator.kill();
        operator.decide(&approval, "respond", &json!({ "answer": "yes" }));
    }
    let row = operator.over(&run);
    assert_eq!(row["state"], "finished", "a run that saw another time would have diverged: {row}");
    let told: Vec<String> = row["result"]["ok"].as_str().unwrap().lines().map(str::to_owned).collect();
    let times: Vec<u64> =
        told.iter().filter_map(|line| line.strip_prefix("now ")).map(|time| time.parse().unwrap()).collect();
    assert!(times.is_sorted(), "time does not run backwards: {told:?}");
}

/// Changes a journal by hand while its host is down.
fn tamper(folder: &Folder, sql: &str) {
    let changed = Connection::open(folder.journal()).unwrap().execute(sql, []).unwrap();
    assert_eq!(changed, 1, "{sql}");
}

/// A run whose agent no longer does what its journal says. The agent's code is kept by its digest and the task is in
/// the journal. So this happens only if the journal was changed, or if a host runs agents differently. Here the test
/// changes the task by hand.
fn diverges(agent: &str, task: &str, change: (&str, &str), expected: &str) {
    let home = tempfile::tempdir().unwrap();
    let mail = Maildir(home.path().join("mail"));
    let clock = format!("{}workspace = \"files\"\n", outside::agent("clock"));
    let folder = outside::folder(&mail, &format!("[limits]\nlinger-ms = 0\n{clock}"));
    folder.write("files/c.txt", "");
    let mut operator = Operator::new(&folder, &[]);
    let run = operator.start(agent, task);
    let other = operator.start("scripted", &mail.line());
    let waits = until("held call", || operator.run(&run)["waiting_for"].as_u64());
    let id = format!("{run}.{waits}");
    let (approval, others) = (operator.held(&id), operator.held(&format!("{other}.1")));
    operator.kill();
    let (old, new) = change;
    tamper(
        &folder,
        &format!(
            "UPDATE events SET body = replace(body, '{old}', '{new}') \
             WHERE seq = 1 AND run = (SELECT number FROM runs WHERE id = '{run}')"
        ),
    );
    // A call that was held before can still be decided on. Only then does the agent run again.
    operator.decide(&approval, "respond", &json!({ "answer": "yes" }));
    let row = operator.over(&run);
    assert_eq!(row["state"], "diverged", "{row}");
    assert_eq!(without_times(row["reason"].as_str().unwrap()), expected);
    assert_eq!(operator.events(&run).last().unwrap(), "run-diverged");
    // The run stays diverged after a restart, and no other run is affected.
    operator.kill();
    assert_eq!(operator.run(&run)["state"], "diverged");
    operator.decide(&others, "approve", &json!({}));
    assert_eq!(operator.over(&other)["state"], "finished");
    assert_eq!(mail.count(), 1);
}

fn without_times(text: &str) -> String {
    let is_time = |word: &&str| word.len() > 9 && word.bytes().all(|byte| byte.is_ascii_digit());
    text.split(' ').map(|word| if is_time(&word) { "…" } else { word }).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_run_that_makes_another_call_stops_and_shows_both() {
    diverges(
        "scripted",
        "list\nread a.txt\nask Go on?",
        ("read a.txt", "read b.txt"),
        "at call 2: the journal holds call 2, `holdshort:agent/workspace@0.1.0#read-file` with {\"path\":\"a.txt\"}, \
         the agent now does call 2, `holdshort:agent/workspace@0.1.0#read-file` with {\"path\":\"b.txt\"}",
    );
}

#[test]
fn a_run_that_ends_too_soon_stops_and_shows_what_is_missing() {
    diverges(
        "scripted",
        "list\nread a.txt\nask Go on?",
        ("read a.txt", "fail a.txt"),
        "at the end: the journal holds call 2, `holdshort:agent/workspace@0.1.0#read-file` with {\"path\":\"a.txt\"}, \
         the agent now does nothing more: it returned",
    );
}

#[test]
fn a_run_that_calls_instead_of_sleeping_stops_and_shows_both() {
    diverges(
        "clock",
        "list sleep=5 ask",
        ("sleep=5", "list"),
        "at call 2: the journal holds timer 1, a sleep until … µs, \
         the agent now does call 2, `holdshort:agent/workspace@0.1.0#list-files` with {}",
    );
    diverges(
        "clock",
        "list list ask",
        ("list list", "list sleep=5"),
        "at timer 1: the journal holds call 2, `holdshort:agent/workspace@0.1.0#list-files` with {}, \
         the agent now does timer 1, a sleep until … µs",
    );
}

/// A component with other bytes is not run, because the reviewers cleared calls of the component with this digest.
#[test]
fn a_component_that_was_swapped_is_not_run() {
    let home = tempfile::tempdir().unwrap();
    let mail = Maildir(home.path().join("mail"));
    let agent = outside::agent("diverges-a");
    let more = format!("[limits]\nlinger-ms = 0\n{agent}");
    let folder = outside::folder(&mail, &more);
    // The host dies when the answer is on disk and the agent has not received it.
    let host = folder.serve_with(&[(VARIABLE, "after-call-answered")]);
    let run = host.start("diverges-a", "");
    let decision = json!({ "type": "respond", "answer": "yes", "digest": host.held(&run)["digest"] });
    // It does not matter whether the reply arrived before the host ended.
    drop(host.try_request(&host.token, &format!("/v1/approvals/{run}.3/decisions"), Some(&decision)));
    assert_eq!(host.ended().signal(), Some(9));
    let mut operator = Operator::new(&folder, &[]);
    swap(&folder, &component("diverges-a"), &component("diverges-b"));
    // Only the journal has the component now. The file of the same agent would be accepted too, because it has the
    // right bytes.
    folder.configure(&fs::read_to_string(folder.path().join("holdshort.toml")).unwrap().replace(&agent, ""));
    let before = operator.events(&run);
    until("complaint", || operator.said().contains("the bytes stored under sha256:").then_some(()));
    until("delay", || (operator.run(&run)["state"] == "delayed").then_some(()));
    assert!(operator.run(&run)["reason"].to_string().contains("the bytes stored under sha256:"));
    let after: Vec<String> = operator.events(&run).into_iter().filter(|kind| kind != "run-delayed").collect();
    assert_eq!(after, before, "it is the host's failure: the run is as it was");
    operator.kill();
    swap(&folder, &component("diverges-b"), &component("diverges-a"));
    let row = operator.over(&run);
    assert_eq!(row["state"], "finished", "with its own bytes it goes on: {row}");
}

fn swap(folder: &Folder, old: &Path, new: &Path) {
    let journal = Connection::open(folder.journal()).unwrap();
    let update = "UPDATE blobs SET bytes = ?2 WHERE bytes = ?1";
    assert_eq!(journal.execute(update, (fs::read(old).unwrap(), fs::read(new).unwrap())).unwrap(), 1);
}

/// A host that accepts decisions but cannot perform them would be worse than no host, so it ends.
#[test]
fn a_host_that_cannot_read_what_it_must_perform_ends_and_says_so() {
    let home = tempfile::tempdir().unwrap();
    let mail = Maildir(home.path().join("mail"));
    let folder = outside::folder(&mail, "");
    let host = folder.serve_with(&[(VARIABLE, "before-effect-started")]);
    let approval = host.held(&host.start("scripted", &mail.line()));
    let digest = &approval["digest"];
    let decisions = format!("/v1/approvals/{}/decisions", approval["id"].as_str().unwrap());
    // The host may die before it has answered.
    drop(host.try_request(&host.token, &decisions, Some(&json!({ "type": "approve", "digest": digest }))));
    assert_eq!(host.ended().signal(), Some(9));
    tamper(&folder, "UPDATE events SET body = '{' WHERE seq = 2");
    let ended = folder.run(&["serve", "--listen", "127.0.0.1:0"]);
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("the host has stopped, because the part that performs effects has stopped"), "{said}");
    assert_eq!(mail.count(), 0);
}
