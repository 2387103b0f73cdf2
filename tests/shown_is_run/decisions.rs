//! A decision is about exactly one clearance. It does not count for an earlier revision, for the same call again, or
//! for the same action with other facts.

use serde_json::{Value, json};

use crate::support::{Host, until};
use crate::{action_digest, assert_digests, folder, token};

/// Decides as `reviewer` on the clearance `digest`.
fn decide(host: &Host, reviewer: &str, id: &str, kind: &str, digest: &Value, more: &Value) -> (u16, Value) {
    let mut decision = json!({ "type": kind, "digest": digest });
    decision.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    host.request(&token(reviewer), &format!("/v1/approvals/{id}/decisions"), Some(&decision))
}

fn votes(approval: &Value) -> Vec<&str> {
    approval["votes"].as_array().unwrap().iter().map(|vote| vote["reviewer"].as_str().unwrap()).collect()
}

#[test]
fn an_edit_and_an_edit_back_revive_no_vote() {
    let (folder, _) = folder("[approval]\nquorum = 2\n");
    let host = folder.serve();
    let run = host.start("scripted", "email ada@example.com Hello");
    let first = host.held(&run);
    let id = first["id"].as_str().unwrap();
    let (status, answer) = decide(&host, "alice", id, "approve", &first["digest"], &json!({}));
    assert_eq!((status, &answer["still_needed"]), (202, &json!(1)), "{answer}");

    let original = first["proposal"]["action"]["arguments"].clone();
    let mut changed = original.clone();
    changed["message"]["to"] = json!(["mallory@example.com"]);
    let (status, answer) = decide(&host, "bob", id, "edit", &first["digest"], &json!({ "arguments": changed }));
    assert_eq!(status, 202, "{answer}");
    let second = host.approval(id);
    assert_eq!((&second["revision"], votes(&second)), (&json!(2), vec![]), "alice voted for something else");
    assert_digests(&folder, &host, &second);
    let (status, answer) = decide(&host, "bob", id, "approve", &second["digest"], &json!({}));
    assert_eq!(status, 202, "{answer}");

    let (status, answer) = decide(&host, "bob", id, "edit", &second["digest"], &json!({ "arguments": original }));
    assert_eq!(status, 202, "{answer}");
    let third = host.approval(id);
    assert_eq!((&third["revision"], votes(&third)), (&json!(3), vec![]), "the same action, and not the same vote");
    assert_digests(&folder, &host, &third);
    let (status, answer) = decide(&host, "bob", id, "approve", &third["digest"], &json!({}));
    assert_eq!(status, 202, "{answer}");
    assert_eq!(third["action_digest"], first["action_digest"]);
    assert_ne!(third["digest"], first["digest"]);

    // No decision on an earlier revision counts any more.
    for (reviewer, old) in [("carol", &first), ("carol", &second), ("olivia", &first)] {
        for kind in ["approve", "reject", "edit"] {
            let more = if kind == "edit" { json!({ "arguments": original }) } else { json!({}) };
            let who = if reviewer == "olivia" { host.token.clone() } else { token(reviewer) };
            let mut decision = json!({ "type": kind, "digest": old["digest"] });
            decision.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
            let (status, problem) = host.request(&who, &format!("/v1/approvals/{id}/decisions"), Some(&decision));
            assert_eq!((status, &problem["current_digest"]), (409, &third["digest"]), "{reviewer} {kind}: {problem}");
        }
    }
    // Alice's own earlier approval, sent again, does not count either.
    let (status, problem) = decide(&host, "alice", id, "approve", &first["digest"], &json!({}));
    assert_eq!((status, &problem["current_digest"]), (409, &third["digest"]), "{problem}");
    assert_eq!(votes(&host.approval(id)), ["bob"]);
    assert!(!mail_exists(&folder), "nothing was sent so far");

    let (status, answer) = decide(&host, "alice", id, "approve", &third["digest"], &json!({}));
    assert_eq!((status, &answer["state"]), (200, &json!("approved")), "{answer}");
    let done = host.effect(id, "succeeded");
    assert_eq!(done["effect"]["receipt"]["sent"], original["message"]);
}

fn mail_exists(folder: &crate::support::Folder) -> bool {
    folder.path().join(".holdshort/mail/new").read_dir().unwrap().count() > 0
}

#[test]
fn the_same_call_again_is_another_clearance() {
    let (folder, _) = folder("");
    let host = folder.serve();
    let task = "email ada@example.com Hello\nemail ada@example.com Hello";
    let (run, other_run) = (host.start("scripted", task), host.start("scripted", task));
    let first = host.held(&run);
    host.approve(&first);
    host.effect(first["id"].as_str().unwrap(), "succeeded");
    let second = until("second call", || Some(host.held(&run)).filter(|held| held["call"] == 2));
    let elsewhere = host.held(&other_run);
    for later in [&second, &elsewhere] {
        assert_eq!(action_digest(later), action_digest(&first), "the very same action");
        assert_ne!(later["digest"], first["digest"]);
        assert_digests(&folder, &host, later);
        let mut old = (*later).clone();
        old["digest"] = first["digest"].clone();
        let (status, problem) = host.decide(&old, "approve", &json!({}));
        assert_eq!((status, &problem["current_digest"]), (409, &later["digest"]), "{problem}");
        assert_eq!(host.approval(later["id"].as_str().unwrap())["state"], "held");
    }
    assert_ne!(second["digest"], elsewhere["digest"]);
}

#[test]
fn other_facts_are_another_clearance() {
    let (folder, repository) = folder("");
    let host = folder.serve();
    let run = host.start("scripted", "deploy main production Notes");
    let first = host.held(&run);
    let id = first["id"].as_str().unwrap();
    let (main, old) = (repository.tip("main"), repository.tip("production"));
    // Another person moves the branch after it was shown.
    let moved = repository.git(&["commit-tree", "-p", &old, "-m", "A hotfix", &format!("{old}^{{tree}}")]);
    repository.git(&["update-ref", "refs/heads/production", &moved]);
    host.approve(&first);
    let second = until("new revision", || Some(host.approval(id)).filter(|approval| approval["revision"] == 2));
    assert_eq!((&second["state"], &second["effect"], votes(&second)), (&json!("held"), &Value::Null, vec![]));
    assert_eq!(second["action_digest"], first["action_digest"]);
    assert_ne!(second["digest"], first["digest"]);
    assert_digests(&folder, &host, &second);
    let why = second["reheld"].as_str().unwrap();
    assert!([&old, &moved].iter().all(|commit| why.contains(&commit[..12])), "both values: {why}");
    assert_eq!(second["proposal"]["preconditions"]["old"], moved);
    assert_eq!(repository.tip("production"), moved, "nothing was deployed");

    let (status, problem) = decide(&host, "alice", id, "approve", &first["digest"], &json!({}));
    assert_eq!((status, &problem["current_digest"]), (409, &second["digest"]), "{problem}");
    host.approve(&second);
    host.effect(id, "succeeded");
    assert_eq!(repository.tip("production"), main);
}
