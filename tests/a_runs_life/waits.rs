//! Waiting runs hold nothing that computing runs need: beside them, a run that does not wait finishes at once, and the
//! waiting runs go on later. The host's work for a call does not grow with the number of earlier calls.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Folder, Host, PATIENCE, Repository, component, until};
use crate::{LONG, evidence};

/// What runs wait for: the agent, its task, and words in its result when it has gone on.
const WAITS: [(&str, &str, &str); 5] = [
    ("scripted", "check slow main", "passed: true"),
    ("scripted", "deploy main production", "err"),
    ("scripted", "ask which one?", "ok"),
    ("third-party", "find Ada", "no such contact"),
    ("clock", "sleep=30000", ""),
];

/// A host in which checks, previews and programs wait for the file `go-on`. The check is unconfined, so that it can see
/// the file.
fn world(live_runs: u32) -> (Folder, Host) {
    let folder = Folder::new(&["third-party", "clock"], "");
    let agents = fs::read_to_string(folder.path().join("holdshort.toml")).unwrap();
    let wait = format!("until [ -e {}/go-on ]; do sleep 0.05; done", folder.path().display());
    Repository::bare(&folder.path().join("shop.git"));
    let git = std::env::split_paths(&std::env::var_os("PATH").unwrap()).map(|at| at.join("git")).find(|at| at.exists());
    let script = |name: &str, text: &str| {
        let path = folder.write(name, &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    };
    script("bin/git", &format!("{wait}\nexec {} \"$@\"", git.unwrap().display()));
    let find = script("find", &format!("cat > /dev/null; {wait}; echo '{{\"err\": \"no such contact\"}}'"));
    folder.configure(&format!(
        r#"{agents}
[agents.scripted]
component = "{}"
workspace = "files"
[limits]
live-runs = {live_runs}
linger-ms = {LONG}
[deployment]
repository = "shop.git"
[checks.slow]
command = ["sh", "-c", "{wait}"]
confinement = "off"
[capabilities."acme:crm/contacts@1.0.0#find-contact"]
class = "routine"
command = ["{find}"]
timeout = "10m"
[capabilities."acme:crm/contacts@1.0.0#*"]
class = "consequential"
command = ["false"]
"#,
        component("scripted").display()
    ));
    folder.write("files/a", "a");
    let path = format!("{}:{}", folder.path().join("bin").display(), std::env::var("PATH").unwrap());
    let host = folder.serve_with(&[("PATH", &path)]);
    (folder, host)
}

/// Answers the questions of these runs as they are asked, until all runs are over.
fn all_over(host: &Host, runs: &[String]) -> Vec<Value> {
    until("end of all that waited", || {
        let rows: Vec<Value> = runs.iter().map(|run| host.show_run(run)).collect();
        for row in rows.iter().filter(|row| row["state"] == "waiting") {
            let approval = host.approval(&format!("{}.{}", row["id"].as_str().unwrap(), row["waiting_for"]));
            let kind = if approval["class"] == "question" { "respond" } else { "reject" };
            if approval["state"] == "held" {
                host.decide(&approval, kind, &json!({ "message": "this one" }));
            }
        }
        rows.iter().all(|row| row["state"] == "finished" || row["state"] == "failed").then_some(rows)
    })
}

#[test]
fn whatever_runs_wait_for_one_that_does_nothing_is_done() {
    let mut tried = 0;
    for live_runs in [1, 2] {
        let (folder, host) = world(live_runs);
        let mut waiting = Vec::new();
        for (agent, task, _) in WAITS {
            waiting.extend((0..2 * live_runs + 2).map(|_| host.start(agent, task)));
            let idle = host.over(&host.start("scripted", "log nothing to do"));
            assert_eq!(idle["state"], "finished", "beside {task}: {idle}");
            let works = host.over(&host.start("scripted", "list\nread a\nlist"));
            assert_eq!(works["state"], "finished", "beside {task}: {works}");
            tried += 1;
        }
        let still = waiting.iter().filter(|run| !host.show_run(run)["state"].as_str().unwrap().starts_with("fin"));
        assert_eq!(still.count(), waiting.len(), "they waited no more");
        folder.write("go-on", "");
        let asleep = waiting.split_off(waiting.len() - 2 * live_runs as usize - 2);
        for (row, (_, task, words)) in
            all_over(&host, &waiting).iter().zip(WAITS.iter().flat_map(|wait| vec![wait; 2 * live_runs as usize + 2]))
        {
            assert!(row["result"].to_string().contains(words), "{task}: {row}");
        }
        for run in asleep {
            assert_eq!(host.post(&format!("/v1/runs/{run}/cancel"), &json!({})).0, 200);
        }
        host.all_parked();
    }
    evidence::figure("T35", "kinds of waiting beside which a run is done", tried);
}

/// Each call gets all earlier calls of its run as evidence, and for that the host reads only the new events.
#[test]
fn the_work_for_a_call_does_not_grow_with_the_calls_before() {
    const CALLS: u64 = 5_000;
    let folder = Folder::new(&["flood"], "[limits]\nheld-calls = 1\n");
    let host = folder.serve();
    let run = host.start("flood", &format!("email {CALLS}"));
    assert_eq!(host.decide(&host.held(&run), "reject", &json!({ "message": "no" })).0, 200);
    let (mut calls, mut since) = (0, Instant::now());
    let row = loop {
        let row = host.show_run(&run);
        if row["state"] != "running" && row["state"] != "waiting" {
            break row;
        }
        if row["calls"] != calls {
            (calls, since) = (row["calls"].as_u64().unwrap(), Instant::now());
        }
        assert!(since.elapsed() < PATIENCE, "it stands still: {row}");
        sleep(Duration::from_millis(50));
    };
    assert_eq!(row["result"]["ok"], format!("made {CALLS} calls, {CALLS} of them refused"), "{row}");
    let read = host.figure("holdshort_events_recalled_total");
    println!("{read} events read for {CALLS} calls");
    // The host reads one event for each call, and a few for the held call.
    assert!((CALLS - 1..CALLS + 10).contains(&read), "{read} events were read for {CALLS} calls");
    evidence::figure("T35", "calls of one run, each event of which is read once", CALLS);
}
