//! The limits of a run: CPU time over all parks, sleeps, bytes in the journal, the size of one value, and the size of
//! what a reviewer is shown.

use std::fs;

use serde_json::json;

use crate::support::until;
use crate::{decide_honest, folder, honest};

#[test]
fn a_flood_of_held_calls_is_capped_and_reaches_nobody() {
    let (folder, host) = folder(&["flood", "many-calls"], "held-calls = 3\ncalls = 20").into_served();
    let run = host.start("flood", "email 5000");
    for _ in 0..3 {
        decide_honest(&host, &honest(&host));
        let approval = host.held(&run);
        let (status, answer) = host.decide(&approval, "reject", &json!({ "message": "no" }));
        assert_eq!((status, &answer["state"]), (200, &json!("rejected")));
        until("answer to the rejection", || {
            let calls = host.show_run(&run)["calls"].as_u64().unwrap();
            (calls > approval["call"].as_u64().unwrap()).then_some(())
        });
    }
    let row = host.over(&run);
    assert_eq!((&row["state"], &row["calls"]), (&json!("trapped"), &json!(20)), "{row}");
    assert!(row["reason"].as_str().unwrap().contains("more than 20 host calls"), "{row}");
    let events = host.events(&run);
    let refusals: Vec<&str> = events
        .iter()
        .filter(|event| event["type"] == "call-refused")
        .map(|event| event["data"]["refusal"]["forbidden"].as_str().unwrap())
        .collect();
    assert_eq!(refusals.len(), 17);
    assert!(
        refusals.iter().all(|reason| reason
            .starts_with("over a limit of this host: this run has had 3 held calls, and no more are allowed:")),
        "{refusals:?}"
    );
    assert_eq!(events.iter().filter(|event| event["type"] == "call-held").count(), 3);
    // Only the honest run's messages were sent.
    let mail = folder.path().join(".holdshort/mail/new");
    for message in fs::read_dir(mail).unwrap() {
        let text = fs::read_to_string(message.unwrap().path()).unwrap();
        assert!(!text.contains("victim"), "{text}");
    }
}

/// An agent that sleeps after each short computation has one limit for its whole life, and no new limit after each
/// sleep.
#[test]
fn cpu_time_counts_over_all_parks() {
    let (_folder, host) = folder(&["clock"], "cpu-ms = 300").into_served();
    let some = host.over(&host.start("clock", &"spin=1 sleep=150 ".repeat(4)));
    assert_eq!(some["state"], "finished", "{some}");
    // Long enough that the limit on replays, which is ten times this one, is not reached first on a fast machine.
    let row = host.over(&host.start("clock", &"spin=60 sleep=150 ".repeat(1_000)));
    assert_eq!(row["state"], "trapped", "{row}");
    assert!(row["reason"].as_str().unwrap().contains("used up its 300 ms of CPU time"), "{row}");
    let parks = host.events(row["id"].as_str().unwrap()).iter().filter(|event| event["type"] == "timer-fired").count();
    assert!(parks > 1, "it was stopped after {parks} sleeps, so that nothing was counted over a park");
}

/// Each replay costs as much CPU time as the run had used by then. Without a limit, an agent that sleeps often would
/// use the host's CPU for ever.
#[test]
fn a_run_is_not_brought_back_for_ever() {
    let (_folder, host) = folder(&["clock"], "cpu-ms = 500").into_served();
    let row = host.over(&host.start("clock", &format!("spin=40 {}", "sleep=110 ".repeat(1_000))));
    assert_eq!(row["state"], "trapped", "{row}");
    let said = "the agent slept or waited too often: after each wait the host replays the run, \
                and the replays have together taken more than 5000 ms of CPU time";
    assert_eq!(row["reason"], said, "{row}");
}

/// Sleeps count against a limit, and so do the bytes that the journal keeps.
#[test]
fn sleeps_and_what_is_kept_are_bounded() {
    let (folder, host) = folder(&["clock", "scripted"], "calls = 50\njournal-mib = 1").into_served();
    let row = host.over(&host.start("clock", &"sleep=1 ".repeat(60)));
    assert_eq!(row["state"], "trapped", "{row}");
    assert!(row["reason"].as_str().unwrap().contains("more than 50 host calls"), "{row}");

    folder.write("files/large.txt", &"x".repeat(100_000));
    let row = host.over(&host.start("scripted", &"read large.txt\n".repeat(2)));
    assert_eq!(row["state"], "finished", "{row}");
    let row = host.over(&host.start("scripted", &"read large.txt\n".repeat(40)));
    assert_eq!(row["state"], "trapped", "{row}");
    assert!(row["reason"].as_str().unwrap().contains("more than 1048576 bytes in the journal"), "{row}");
    assert_eq!(row["calls"], 11, "{row}");
}

/// The size of each value that an agent passes is limited: its calls, its result, a log line, and its task.
#[test]
fn what_passes_at_once_is_bounded() {
    let limits = "arguments-bytes-max = 4_096\ncall-bytes-max = 16_384\ntask-bytes-max = 200_000";
    let (_folder, host) = folder(&["clock", "escape", "scripted"], limits).into_served();
    let all_random = "bytes ".repeat(20_000);
    for (agent, task) in [("escape", "huge"), ("clock", all_random.as_str())] {
        let row = host.over(&host.start(agent, task));
        assert_eq!(row["state"], "trapped", "{agent}: {row}");
        assert!(row["reason"].as_str().unwrap().contains("one call passes more than 16384 bytes"), "{agent}: {row}");
    }
    let long = host.start("scripted", &format!("log {}\nlog {}", "a line ".repeat(2_000), "short"));
    assert_eq!(host.over(&long)["state"], "finished");
    let logs = until("log lines", || Some(host.logs(&long)).filter(|logs| logs.len() == 2));
    let (cut, dropped) = logs[0].1.split_at(4_096);
    assert!(cut.starts_with("a line a line "), "{cut}");
    assert_eq!(dropped, format!(" [{} bytes were dropped here]", "a line ".len() * 2_000 - 1 - 4_096));
    assert_eq!(logs[1], ("info".to_owned(), "short".to_owned()));
    let (status, problem) = host.post("/v1/runs", &json!({ "agent": "clock", "task": "x".repeat(200_001) }));
    assert!([413, 422].contains(&status), "{status} {problem}");
    assert!(problem["detail"].as_str().unwrap().contains("at most 200000 are allowed"), "{problem}");
}

/// A call that is too long to be shown whole is refused and not cut. A call exactly at the display limit is shown
/// whole.
#[test]
fn the_display_limit_refuses_and_never_cuts() {
    let (folder, host) = folder(&["escape", "scripted"], "").into_served();
    for (task, said) in [("huge", "at most 65536 bytes and 400 lines"), ("lines", "at most 65536 bytes and 400 lines")]
    {
        let row = host.over(&host.start("escape", task));
        assert!(row["result"]["ok"].as_str().unwrap().contains(said), "{row}");
        let refused = host.approval(&format!("{}.1", row["id"].as_str().unwrap()));
        assert_eq!((&refused["state"], &refused["proposal"]), (&json!("refused"), &json!(null)), "{task}");
        assert!(refused["refused"]["reason"]["forbidden"].as_str().unwrap().contains(said), "{task}");
    }
    let question = format!("{}the end", "word ".repeat(6_000));
    let run = host.start("scripted", &format!("ask {question}"));
    let approval = host.held(&run);
    assert_eq!(approval["proposal"]["action"]["arguments"]["question"]["text"], question.as_str());
    let shown = folder.run(&["approvals", "show", approval["id"].as_str().unwrap()]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    let (_, matter) = shown.split_once("What would be done").unwrap();
    let (matter, _) = matter.split_once("The agent's rationale").unwrap();
    assert_eq!(matter.matches("word").count(), 6_000);
    assert!(matter.contains("the end\""));
}
