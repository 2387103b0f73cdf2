//! Log lines of a run, and its events, which clients receive as they happen.

use std::io::{BufRead, BufReader};
use std::sync::mpsc;
use std::thread;

use serde_json::{Value, json};

use crate::support::{Host, PATIENCE, Repository, until};
use crate::{answer, folder, host, kinds};

#[test]
fn a_program_prints_log_lines() {
    let (_folder, host) = host(&["command"], 0, "");
    let run = host.start("command", "say hello");
    let row = host.over(&run);
    assert_eq!((&row["state"], &row["result"]), (&json!("finished"), &json!({ "ok": "" })), "{row}");
    let logs = until("log line", || Some(host.logs(&run)).filter(|logs| !logs.is_empty()));
    assert_eq!(logs, [("stdout".to_owned(), "2 arguments, task: say hello".to_owned())]);
    let failed = host.start("command", "fail");
    assert_eq!(host.over(&failed)["result"], json!({ "err": "exit status 1" }));
    let logs = until("log line", || Some(host.logs(&failed)).filter(|logs| !logs.is_empty()));
    assert_eq!(logs, [("stderr".to_owned(), "failed as asked".to_owned())]);
    // Log lines are not events.
    assert_eq!(kinds(&host, &run), ["run-created", "run-finished"]);
}

/// A log line before a call is not written again when the run is replayed.
#[test]
fn a_replay_says_nothing_twice() {
    let folder = folder(&["scripted"], "[deployment]\nrepository = \"shop.git\"\n\n[limits]\nlinger-ms = 0\n");
    Repository::bare(&folder.path().join("shop.git"));
    let host = folder.serve();
    let run = host.start("scripted", "log one\nask first\nlog two\nask second\nlog three");
    for text in ["yes", "no"] {
        host.held(&run);
        host.all_parked();
        answer(&host, &run, text);
    }
    assert_eq!(host.over(&run)["state"], "finished");
    assert!(host.figure("holdshort_events_replayed_total") > 3);
    let logs = until("log lines", || Some(host.logs(&run)).filter(|logs| logs.len() >= 3));
    assert_eq!(logs.iter().map(|(_, message)| message.as_str()).collect::<Vec<_>>(), ["one", "two", "three"]);
}

#[test]
fn events_are_told_as_they_happen_and_once() {
    let (_folder, host) = host(&["clock"], 0, "");
    let (first, second) = (host.start("clock", "ask"), host.start("clock", "random sleep=20 ask"));
    let from_the_beginning = stream(&host, "?after=0");
    answer(&host, &first, "yes");
    let from_now_on = stream(&host, "");
    answer(&host, &second, "yes");
    let everything = collect(&from_the_beginning, 2);
    let positions: Vec<u64> = everything.iter().map(|event| event["position"].as_u64().unwrap()).collect();
    assert_eq!(positions, (1..=everything.len() as u64).collect::<Vec<_>>());
    for run in [&first, &second] {
        host.over(run);
        let told: Vec<Value> = everything.iter().filter(|event| event["run"] == **run).map(without_place).collect();
        assert_eq!(told, host.events(run), "the stream and the history say the same");
    }
    let later = collect(&from_now_on, 1);
    let seen = everything.iter().position(|event| event == &later[0]).unwrap();
    assert!(seen > 0, "a stream without a beginning starts in the middle");
    assert!(later.iter().all(|event| everything.contains(event)));
}

/// An event of the stream without `position` and `run`, which the run's history does not have.
fn without_place(event: &Value) -> Value {
    let mut event = event.clone();
    let fields = event.as_object_mut().unwrap();
    fields.remove("position");
    fields.remove("run");
    event
}

/// Reads `/v1/events` on its own thread. When this returns, the stream is open.
fn stream(host: &Host, query: &str) -> mpsc::Receiver<Value> {
    let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build();
    let request = config.new_agent().get(format!("{}/v1/events{query}", host.url));
    let response = request.header("Authorization", format!("Bearer {}", host.token)).call().unwrap();
    let (sender, events) = mpsc::channel();
    thread::spawn(move || {
        let mut last = (None, None);
        for line in BufReader::new(response.into_body().into_reader()).lines().map_while(Result::ok) {
            if let Some(id) = line.strip_prefix("id: ") {
                last.0 = id.parse::<u64>().ok();
            } else if let Some(kind) = line.strip_prefix("event: ") {
                last.1 = Some(kind.to_owned());
            } else if let Some(data) = line.strip_prefix("data: ") {
                let data: Value = serde_json::from_str(data).unwrap();
                assert_eq!((data["position"].as_u64(), data["type"].as_str()), (last.0, last.1.as_deref()));
                if sender.send(data).is_err() {
                    return;
                }
            }
        }
    });
    events
}

/// Receives the events until this many runs have finished.
fn collect(events: &mpsc::Receiver<Value>, runs: usize) -> Vec<Value> {
    let (mut found, mut left) = (Vec::new(), runs);
    while left > 0 {
        let event = events.recv_timeout(PATIENCE).expect("the stream ended early");
        left -= usize::from(event["type"] == "run-finished");
        found.push(event);
    }
    found
}
