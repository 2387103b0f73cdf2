//! The host is killed while people decide. Every decision that the host acknowledged is on disk afterwards, and people
//! send the other decisions again.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::operator::Operator;
use crate::outside::{self, Maildir};
use crate::support::{Folder, Host, until};

/// The number of held runs when people begin.
const RUNS: usize = 12;
/// The number of people who decide at the same time.
const PEOPLE: usize = 4;

#[test]
fn acknowledged_decisions_on_parked_runs() {
    for acknowledged in [1, 5, 9] {
        killed_after(acknowledged, 0);
    }
}

#[test]
fn acknowledged_decisions_on_runs_that_linger() {
    for acknowledged in [1, 5, 9] {
        killed_after(acknowledged, 60_000);
    }
}

/// Every third call is rejected.
fn kind(number: usize) -> &'static str {
    if number % 3 == 2 { "reject" } else { "approve" }
}

fn killed_after(acknowledged: usize, linger_ms: u64) {
    let home = tempfile::tempdir().unwrap();
    let mail = Maildir(home.path().join("mail"));
    let folder = outside::folder(&mail, &format!("[limits]\nlinger-ms = {linger_ms}\n"));
    let host = folder.serve();
    let runs: Vec<String> =
        (0..RUNS).map(|number| host.start("scripted", &format!("email ann@localhost Report {number}"))).collect();
    let approvals: Vec<Value> = runs.iter().map(|run| host.held(run)).collect();

    let acknowledgements = decide_until_killed(host, &approvals, acknowledged);
    assert!(acknowledgements.len() >= acknowledged, "{acknowledgements:?}");

    let mut operator = Operator::new(&folder, &[]);
    for number in &acknowledgements {
        let approval = operator.approval(approvals[*number]["id"].as_str().unwrap());
        let verdict = &approval["decisions"][0]["decision"]["verdict"];
        assert_eq!(verdict, kind(*number), "decision {number} was acknowledged: {approval}");
    }
    finish(&mut operator, &runs, &approvals);

    let mut delivered: Vec<String> = mail.messages().iter().map(|message| subject(message)).collect();
    delivered.sort();
    let mut approved: Vec<String> =
        (0..RUNS).filter(|number| kind(*number) == "approve").map(|number| format!("Report {number}")).collect();
    approved.sort();
    assert_eq!(delivered, approved, "everything that was approved, once, and nothing else");
}

/// Several people decide, each on the next approval that no one has taken. The host is killed when `acknowledged`
/// decisions have been acknowledged. Returns which ones.
fn decide_until_killed(host: Host, approvals: &[Value], acknowledged: usize) -> BTreeSet<usize> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
    thread::scope(|scope| {
        for _ in 0..PEOPLE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(approval) = approvals.get(number) else { return };
                    let decision = json!({ "type": kind(number), "digest": approval["digest"] });
                    let path = format!("/v1/approvals/{}/decisions", approval["id"].as_str().unwrap());
                    // A decision without an answer is not acknowledged.
                    let Ok((status, answer)) = host.try_request(&host.token, &path, Some(&decision)) else { return };
                    assert_eq!(status, 200, "{answer}");
                    done.lock().unwrap().insert(number);
                }
            });
        }
        until("acknowledgements", || (done.lock().unwrap().len() >= acknowledged).then_some(()));
        host.kill_now();
    });
    assert_eq!(host.ended().signal(), Some(9));
    done.into_inner().unwrap()
}

/// Decides on everything, partly for the second time, resolves effects in doubt, and follows every run to its end.
fn finish(operator: &mut Operator<'_>, runs: &[String], approvals: &[Value]) {
    for (number, approval) in approvals.iter().enumerate() {
        operator.decide(approval, kind(number), &json!({}));
    }
    for (number, run) in runs.iter().enumerate() {
        let id = format!("{run}.1");
        let row = until("end of the run", || {
            let row = operator.run(run);
            let approval = operator.approval(&id);
            // A lookup may find the effect first. Then the resolution comes too late, and the result is correct too.
            if approval["effect"]["state"] == "in-doubt" {
                let body = json!({ "type": "send-again", "attempt": 1 });
                let (status, answer) = operator.ask(&format!("/v1/runs/{run}/calls/1/resolution"), Some(&body));
                assert!([200, 409].contains(&status), "{answer}");
            }
            (row["state"] == "finished").then_some(row)
        });
        let told = row["result"]["ok"].as_str().unwrap();
        let expected = if kind(number) == "approve" { "ok EmailReceipt {" } else { "err Refusal::Rejected(" };
        assert!(told.starts_with(expected), "{told}");
        let decisions = operator.events(run).iter().filter(|event| *event == "decision-made").count();
        assert_eq!(decisions, 1, "a decision that is sent again counts once");
    }
}

fn subject(message: &str) -> String {
    message.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap().to_owned()
}

/// A host that starts while another host has the journal does not touch the journal.
#[test]
fn a_second_host_does_not_get_the_journal() {
    let folder = Folder::new(&["clock"], "");
    let host = folder.serve();
    let run = host.start("clock", "ask");
    let approval = host.held(&run);
    let second = folder.run(&["serve", "--listen", "127.0.0.1:0"]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains("is in use by another host"), "{said}");
    let (status, answer) = host.decide(&approval, "respond", &json!({ "answer": "yes" }));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(host.over(&run)["result"]["ok"], "ask yes");
}
