//! Requests that the endpoint refuses, and effects that fail at the remote system: the problem documents, and what the
//! command line prints about them.

use std::net::TcpListener;

use serde_json::json;

use crate::said::{document, fails, holdshort, normal, refused};
use crate::scene::{SHOP, letters, post_office, shop};
use crate::support::{component, until};

#[test]
fn requests_that_cannot_be_answered() {
    let folder = post_office("[limits]\ntask-bytes-max = 1000\n");
    let host = folder.serve();
    refused("unknown-run", &folder, &host, "/v1/runs/06h14bpdc71h03qb", None);
    refused("unknown-approval", &folder, &host, "/v1/approvals/06h14bpdc71h03qb.1", None);
    refused("unknown-path", &folder, &host, "/v2/approvals", None);
    refused("unknown-agent", &folder, &host, "/v1/runs", Some(&json!({ "agent": "scribe", "task": "x" })));
    refused("unknown-field", &folder, &host, "/v1/runs", Some(&json!({ "agent": "scripted", "job": "x" })));
    let huge = "x".repeat(1_001);
    refused("task-too-long", &folder, &host, "/v1/runs", Some(&json!({ "agent": "scripted", "task": huge })));
    let bearer = format!("Bearer {}", host.token);
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    for (name, token, body) in
        [("bad-json", Some(&bearer), "{\"agent\": \"scripted\", \"task\""), ("no-token", None, "{}")]
    {
        let request = agent.post(format!("{}/v1/runs", host.url)).header("Content-Type", "application/json");
        let request = token.into_iter().fold(request, |request, token| request.header("Authorization", token));
        let mut answer = request.send(body).unwrap();
        let problem: serde_json::Value = answer.body_mut().read_json().unwrap();
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        document(
            name,
            &folder,
            &json!({ "request": format!("POST /v1/runs {body}"), "status": answer.status().as_u16(), "problem": problem }),
        );
    }

    fails("unknown-run", &folder, &["runs", "show", "06h14bpdc71h03qb"]).exits(4);
    fails("unknown-run-events", &folder, &["runs", "events", "06h14bpdc71h03qb"]).exits(4);
    fails("unknown-run-logs", &folder, &["runs", "logs", "06h14bpdc71h03qb"]).exits(4);
    fails("unknown-run-cancel", &folder, &["runs", "cancel", "06h14bpdc71h03qb"]).exits(4);
    fails("unknown-approval", &folder, &["approvals", "approve", "06h14bpdc71h03qb.1"]).exits(4);
    fails("unknown-agent", &folder, &["run", "scribe", "--task", "x", "--detach"]).exits(2);
    let said = holdshort(&folder, &["run", "scripted", "--task", &huge]).exits(4);
    assert!(said.err.contains("the task is 1001 bytes; at most 1000 are allowed"), "{said:?}");
    // An empty task is allowed.
    holdshort(&folder, &["run", "scripted", "--task", ""]).exits(0);
}

#[test]
fn decisions_that_come_too_late() {
    let folder = post_office("");
    let host = folder.serve();
    let held = host.held(&host.start("scripted", "email bob@example.org Hello"));
    let id = held["id"].as_str().unwrap();
    let path = format!("/v1/approvals/{id}/decisions");
    let stale = format!("sha256:{}", "0a".repeat(32));
    refused("stale-digest", &folder, &host, &path, Some(&json!({ "type": "approve", "digest": stale })));
    fails("stale-digest", &folder, &["approvals", "approve", id, "--yes", "--digest", &stale]).exits(4);
    refused(
        "respond-to-no-question",
        &folder,
        &host,
        &path,
        Some(&json!({ "type": "respond", "digest": held["digest"], "message": "yes" })),
    );

    let misfit = json!({ "message": { "to": "bob@example.org" } });
    let edit = json!({ "type": "edit", "digest": held["digest"], "arguments": misfit });
    refused("edit-that-does-not-fit", &folder, &host, &path, Some(&edit));
    folder.write("edit.json", &misfit.to_string());
    let digest = held["digest"].as_str().unwrap();
    let arguments = ["approvals", "edit", id, "--arguments", "edit.json", "--yes", "--digest", digest];
    fails("edit-that-does-not-fit", &folder, &arguments).exits(4);
    folder.write("broken.json", "{\"message\": ");
    let arguments = ["approvals", "edit", id, "--arguments", "broken.json", "--yes", "--digest", digest];
    fails("edit-that-is-no-json", &folder, &arguments).exits(2);
    let mut impossible = held["proposal"]["action"]["arguments"].clone();
    impossible["message"]["to"] = json!(["nobody at all"]);
    let edit = json!({ "type": "edit", "digest": held["digest"], "arguments": impossible });
    refused("edit-that-cannot-be-done", &folder, &host, &path, Some(&edit));
    assert_eq!((host.approval(id)["digest"].as_str(), letters(&folder)), (Some(digest), 0), "it is as it was");

    let reject = json!({ "type": "reject", "digest": digest, "message": "not today" });
    assert_eq!(host.post(&path, &reject).0, 200);
    let winner =
        refused("second-decision", &folder, &host, &path, Some(&json!({ "type": "approve", "digest": digest })));
    assert_eq!(winner["winner"]["reviewer"], "olivia");
    fails("second-decision", &folder, &["approvals", "approve", id]).exits(4);
    assert_eq!(letters(&folder), 0);
}

#[test]
fn a_branch_that_moved_meanwhile() {
    let (folder, repository) = shop(&["scripted"]);
    let host = folder.serve();
    let held = host.held(&host.start("scripted", "deploy main production notes"));
    let id = held["id"].as_str().unwrap();
    let (before, wanted) = (repository.tip("production"), repository.tip("main"));
    let tree = repository.git(&["rev-parse", "main^{tree}"]);
    let moved = repository.git(&["commit-tree", &tree, "-p", &before, "-m", "somebody was faster"]);
    repository.git(&["update-ref", "refs/heads/production", &moved]);
    host.approve(&held);
    let again = until("call that is held again", || {
        Some(host.approval(id)).filter(|approval| approval["state"] == "held" && approval["digest"] != held["digest"])
    });
    let reason = again["reheld"].as_str().unwrap();
    assert!(reason.contains(&before[..12]) && reason.contains(&moved[..12]), "both values: {reason}");
    let facts = json!({ "state": again["state"], "reheld": again["reheld"], "revision": again["revision"] });
    document("branch-moved", &folder, &facts);
    fails(
        "branch-moved",
        &folder,
        &["approvals", "approve", id, "--yes", "--digest", held["digest"].as_str().unwrap()],
    )
    .exits(4);
    let shown = holdshort(&folder, &["approvals", "show", id]).exits(0);
    assert!(normal(&shown.out.replace("\n    ┊ ", ""), &folder).contains("held again because: "), "{}", shown.out);
    assert_eq!(repository.tip("production"), moved, "nothing was done");
    host.approve(&again);
    host.effect(id, "succeeded");
    assert_eq!(repository.tip("production"), wanted, "and what was cleared on the facts of now is");
}

#[test]
fn a_mail_relay_that_is_down() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let relay = format!("{SHOP}[email]\nconnector = \"smtp\"\nhost = \"127.0.0.1\"\ntls = \"none\"\nport = {free}\n");
    let (folder, _) = shop(&["scripted"]);
    folder.configure(&format!("[agents.scripted]\ncomponent = \"{}\"\n{relay}", component("scripted").display()));
    let host = folder.serve();
    let run = host.start("scripted", "email bob@example.org Hello");
    let held = host.held(&run);
    host.approve(&held);
    let id = held["id"].as_str().unwrap();
    let waits = until("a mail that is put off", || Some(host.approval(id)).filter(|now| !now["put_off"].is_null()));
    let facts = json!({ "state": waits["state"], "effect": waits["effect"], "put_off": waits["put_off"] });
    document("relay-down", &folder, &facts);
    let shown = holdshort(&folder, &["approvals", "show", id]).exits(0);
    assert!(shown.out.contains("next attempt: at "), "{}", shown.out);
    let events = holdshort(&folder, &["runs", "events", &run]).exits(0);
    assert!(events.out.contains("call 1 did not happen in attempt 1, and the next attempt is at "), "{}", events.out);
    // A person who no longer wants the effect cancels the run. It is certain that nothing was sent.
    assert_eq!(host.post(&format!("/v1/runs/{run}/cancel"), &json!({})).0, 200);
    assert_eq!(host.over(&run)["state"], "cancelled");
    assert_eq!(host.approval(id)["state"], "cancelled");
}

#[test]
fn an_account_without_the_money() {
    let account = "[payments.accounts.operating]\nopening = [\"10.00 EUR\"]\n";
    let folder = post_office(account);
    let host = folder.serve();
    let run =
        host.start("scripted", "pay operating Acme 1001 EUR\npay operating Acme 600 EUR\npay operating Acme 600 EUR");
    // A payment of more than the balance is never put to a reviewer. A payment that was cleared and is no longer
    // covered is not paid.
    let first = host.held(&run);
    document("overdraft", &folder, &host.approval(&format!("{run}.1"))["refused"]["reason"]);
    assert!(first["id"].as_str().unwrap().ends_with(".2"), "{first}");
    host.approve(&first);
    let result = host.over(&run);
    let lines: Vec<&str> = result["result"]["ok"].as_str().unwrap().lines().collect();
    assert!(lines[0].starts_with("err Refusal::Invalid(") && lines[1].starts_with("ok "), "{result}");
    assert!(lines[2].starts_with("err Refusal::Invalid("), "{result}");
    let events = holdshort(&folder, &["runs", "events", &run]).exits(0);
    assert!(events.out.contains("call 1 is refused at once; the call is not possible: "), "{}", events.out);
    fails("overdraft", &folder, &["approvals", "show", &format!("{run}.1")]).exits(0);
    fails("overdraft-approve", &folder, &["approvals", "approve", &format!("{run}.1")]).exits(4);
}
