//! The host is killed again and again at random moments while agents propose and reviewers approve. In the end every
//! effect has happened once.
//!
//! A long run by hand: `HOLDSHORT_KILLS=10000 cargo test -p holdshort --test nothing_lost storm -- --nocapture`. It
//! takes some hours. Each round has ten kills and its own agents and journal, so that there is always work to
//! interrupt.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::evidence::figure;
use crate::kept::{Kept, is_counted};
use crate::operator::{Operator, in_order};
use crate::outside::{self, Maildir};
use crate::support::{Host, until};

/// How often the host of a round is killed. By then about half of its effects have happened.
const KILLS: u32 = 10;
const RUNS: usize = 8;
const MESSAGES: usize = 4;
/// The longest life of a host, in milliseconds. All runs of a round together take about this long, so that kills hit
/// every part of their work.
const LIFE_MS_MAX: u32 = 400;

#[test]
fn whenever_the_host_is_killed_everything_happens_once() {
    let kills: u32 = std::env::var("HOLDSHORT_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let mut random = 1u32;
    for round in 0..kills.div_ceil(KILLS) {
        println!("round {round}");
        storm(KILLS, &mut random);
    }
    figure("T3", "random kills", (kills.div_ceil(KILLS) * KILLS).into());
}

/// Runs one round; `random` decides how long the hosts live.
fn storm(kills: u32, random: &mut u32) {
    let home = tempfile::tempdir().unwrap();
    let mail = Maildir(home.path().join("mail"));
    let folder = outside::folder(&mail, "[limits]\nlinger-ms = 20\n");
    let host = folder.serve();
    let line = |run: usize, message: usize| format!("list\nemail ann@localhost Run {run} message {message}\n");
    let task = |run| (0..MESSAGES).map(|message| line(run, message)).collect::<String>();
    let runs: Vec<String> = (0..RUNS).map(|run| host.start("scripted", &task(run))).collect();
    host.kill();

    for _ in 0..kills {
        // A linear congruential generator: the hosts live for different times, which are the same in each test run.
        *random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let life = Duration::from_millis(u64::from((*random >> 8) % LIFE_MS_MAX));
        let host = folder.serve();
        thread::scope(|scope| {
            scope.spawn(|| while push(&host).is_ok() {});
            thread::sleep(life);
            host.kill_now();
        });
        host.ended();
        Kept::read(&folder.journal()).is_whole();
    }
    let host = folder.serve();
    until("end of every run", || {
        push(&host).unwrap();
        let rows = host.get("/v1/runs?state=finished");
        (rows["runs"].as_array().unwrap().len() == RUNS).then_some(())
    });
    let mut expected: Vec<String> = (0..RUNS)
        .flat_map(|run| (0..MESSAGES).map(move |message| format!("Subject: Run {run} message {message}")))
        .collect();
    let subject = |message: &String| message.lines().find(|line| line.starts_with("Subject: ")).unwrap().to_owned();
    let mut delivered: Vec<String> = mail.messages().iter().map(subject).collect();
    expected.sort();
    delivered.sort();
    assert_eq!(delivered, expected, "every message once");
    for run in &runs {
        let told = host.show_run(run)["result"]["ok"].as_str().unwrap().to_owned();
        assert_eq!(told.lines().filter(|line| line.starts_with("ok EmailReceipt")).count(), MESSAGES, "{told}");
        in_order(&host.events(run));
    }
    host.kill();
    let mut operator = Operator::new(&folder, &[]);
    assert_eq!(operator.run(&runs[0])["state"], "finished");
    is_counted(&mut operator);
}

/// Approves the held calls, and resolves effects in doubt with send-again. An error means that the host was killed.
fn push(host: &Host) -> Result<(), ureq::Error> {
    let (_, page) = host.try_request(&host.token, "/v1/approvals?state=open&limit=200", None)?;
    for row in page["approvals"].as_array().unwrap() {
        let (id, state) = (row["id"].as_str().unwrap(), row["state"].as_str().unwrap());
        if state == "held" {
            let body = json!({ "type": "approve", "digest": row["digest"] });
            let (status, answer) =
                host.try_request(&host.token, &format!("/v1/approvals/{id}/decisions"), Some(&body))?;
            assert_eq!(status, 200, "{answer}");
        } else if state == "in-doubt" {
            let (run, call) = id.split_once('.').unwrap();
            let body = json!({ "type": "send-again", "attempt": row["attempts"] });
            let path = format!("/v1/runs/{run}/calls/{call}/resolution");
            let (status, answer) = host.try_request(&host.token, &path, Some(&body))?;
            // A lookup may have found the effect meanwhile.
            assert!([200, 409].contains(&status), "{answer}");
        }
    }
    Ok(())
}
