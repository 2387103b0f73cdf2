//! What does not clear a call: a decision that is missing, names another digest, is another person's or comes too late,
//! and too few approvals.

use holdshort::kill::VARIABLE;
use serde_json::{Value, json};

use crate::support::skipped::skipped;
use crate::support::{Host, until};
use crate::world::{ALICE, BOB, World, approve, decide, id};

/// Whatever happens around a held call, its effect does not happen. After the approval the effect happens once.
#[test]
fn nothing_happens_while_a_call_is_held() {
    let world = World::new("");
    for line in world.lines() {
        let before = world.effects();
        let host = world.folder.serve();
        let run = host.start("scripted", &line);
        let approval = host.held(&run);
        // Requests that only read do not decide.
        for path in ["", "?state=all"] {
            host.get(&format!("/v1/approvals{path}"));
        }
        for exhibit in approval["proposal"]["exhibits"].as_array().unwrap() {
            let path = format!("/v1/approvals/{}/exhibits/{}", id(&approval), exhibit["digest"].as_str().unwrap());
            assert_eq!(host.request(ALICE, &path, None).0, 200, "{path}");
        }
        host.kill();
        // A restart of the host does not decide.
        let host = world.folder.serve();
        assert_eq!(host.approval(id(&approval)), approval, "what waits is as it was");
        assert_eq!(world.effects(), before, "{line}");
        assert_eq!(host.show_run(&run)["state"], "waiting");

        assert_eq!(decide(&host, ALICE, id(&approval), &approve(&approval)), (200, String::new()));
        assert!(host.over(&run)["result"]["ok"].as_str().unwrap().starts_with("ok "), "{line}");
        assert_eq!(world.effects(), before + 1, "{line}");
    }
}

/// When a held call has ended without a clearance, its effect never happens: not after a late approval and not after a
/// restart.
#[test]
fn what_ended_without_a_clearance_never_happens() {
    type End = (&'static str, fn(&Host, &Value), u16, &'static str, &'static str);
    let reject = |host: &Host, approval: &Value| {
        let body = json!({ "type": "reject", "digest": approval["digest"], "message": "No." });
        assert_eq!(decide(host, BOB, id(approval), &body).0, 200);
    };
    let expire = |host: &Host, approval: &Value| {
        until("expiry", || (host.approval(id(approval))["state"] == "expired").then_some(()));
    };
    let cancel = |host: &Host, approval: &Value| {
        let run = approval["run"].as_str().unwrap();
        assert_eq!(host.post(&format!("/v1/runs/{run}/cancel"), &json!({})).0, 200);
    };
    let ends: [End; 3] = [
        ("", reject, 409, "already-decided", "err Refusal::Rejected(\"No.\")"),
        ("expires-after = \"1500ms\"", expire, 410, "expired", "err Refusal::Expired"),
        ("", cancel, 409, "already-decided", ""),
    ];
    for (approval_section, end, status, problem, told) in ends {
        let world = World::new(approval_section);
        let mut host = world.folder.serve();
        for line in world.lines() {
            let run = host.start("scripted", &line);
            let approval = host.held(&run);
            end(&host, &approval);
            let late = decide(&host, ALICE, id(&approval), &approve(&approval));
            assert_eq!((late.0, late.1.as_str()), (status, problem), "{line}");
            let row = host.over(&run);
            assert_eq!(row["result"]["ok"].as_str().unwrap_or_default(), told, "{row}");
            host.kill();
            host = world.folder.serve();
            let late = decide(&host, ALICE, id(&approval), &approve(&approval));
            assert_eq!((late.0, late.1.as_str()), (status, problem), "{line}, after a restart");
            assert_eq!(host.approval(id(&approval))["effect"], Value::Null);
            assert_eq!(world.effects(), 0, "{line}");
        }
    }
}

/// Decisions that do not count. After each of them the call is unchanged, and the right decision still clears it.
#[test]
fn decisions_that_do_not_count() {
    let world = World::new("reviewers = [\"olivia\", \"alice\"]\nfour-eyes = true");
    let host = world.folder.serve();
    let line = &world.lines()[0];
    let (run, twin) = (host.start("scripted", line), host.start("scripted", line));
    let (approval, twin) = (host.held(&run), host.held(&twin));
    let approval = host.approval(id(&approval));
    assert_eq!(approval["same_waiting"], json!([twin["id"]]), "each is pointed out beside the other");
    assert_eq!(twin["same_waiting"], json!([approval["id"]]));
    assert_eq!(approval["action_digest"], twin["action_digest"], "the same action, twice");

    let by = |digest: &Value| json!({ "type": "approve", "digest": digest });
    let (own, of_twin) = (approve(&approval), approve(&twin));
    let (nobody, starter) = ("token-of-mallory", host.token.as_str());
    let (of_action, made_up) = (by(&approval["action_digest"]), by(&json!(format!("sha256:{}", "0".repeat(64)))));
    let answer = json!({ "type": "respond", "digest": approval["digest"], "answer": "yes" });
    let shortened = by(&json!(&approval["digest"].as_str().unwrap()[..70]));
    let rows: [(&str, &str, &Value, u16, &str); 9] = [
        ("without a token", "", &own, 401, "unauthenticated"),
        ("a token that is nobody's", nobody, &own, 401, "unauthenticated"),
        ("who started the run (four-eyes)", starter, &own, 403, "not-eligible"),
        ("who is not named", BOB, &own, 403, "not-eligible"),
        ("the digest of an identical call", ALICE, &of_twin, 409, "stale-digest"),
        ("the digest of the action alone", ALICE, &of_action, 409, "stale-digest"),
        ("a digest that was made up", ALICE, &made_up, 409, "stale-digest"),
        ("a part of the digest", ALICE, &shortened, 400, "bad-request"),
        ("an answer to what is no question", ALICE, &answer, 422, "wrong-type"),
    ];
    for (what, token, body, status, problem) in rows {
        let found = decide(&host, token, id(&approval), body);
        assert_eq!((found.0, found.1.as_str()), (status, problem), "{what}");
        assert_eq!(host.approval(id(&approval)), approval, "{what}: the call is as it was");
        assert_eq!(world.effects(), 0, "{what}");
    }
    let found = decide(&host, ALICE, "nosuchrun.1", &own);
    assert_eq!((found.0, found.1.as_str()), (404, "not-found"));

    assert_eq!(decide(&host, ALICE, id(&approval), &own).0, 200);
    host.over(&run);
    assert_eq!(world.effects(), 1);
    let mut left = twin.clone();
    left["same_waiting"] = json!([]);
    assert_eq!(host.approval(id(&twin)), left, "a clearance clears one call; it only waits alone now");
}

/// After an edit, and after an edit back to the first content, an old digest does not count. Each revision has its own
/// clearance.
#[test]
fn an_old_vote_falls_with_an_edit() {
    let world = World::new("quorum = 2");
    let host = world.folder.serve();
    let run = host.start("scripted", &world.lines()[0]);
    let first = host.held(&run);
    assert_eq!(decide(&host, ALICE, id(&first), &approve(&first)).0, 202);

    let original = first["proposal"]["action"]["arguments"].clone();
    let mut changed = original.clone();
    changed["message"]["subject"] = json!("Another report");
    let mut current = host.approval(id(&first));
    for arguments in [&changed, &original] {
        let edit = json!({ "type": "edit", "digest": current["digest"], "arguments": arguments });
        assert_eq!(decide(&host, BOB, id(&first), &edit).0, 202);
        current = host.approval(id(&first));
        assert_eq!((&current["still_needed"], &current["votes"]), (&json!(2), &json!([])), "nobody has seen it yet");
        assert_eq!(decide(&host, BOB, id(&first), &approve(&current)).0, 202);
        let voted = host.approval(id(&first));
        assert_eq!((&voted["still_needed"], &voted["votes"][0]["reviewer"]), (&json!(1), &json!("bob")));
        assert_ne!(current["digest"], first["digest"]);
        let stale = decide(&host, ALICE, id(&first), &approve(&first));
        assert_eq!((stale.0, stale.1.as_str()), (409, "stale-digest"));
    }
    assert_eq!(current["action_digest"], first["action_digest"], "it is what it was, but nobody has approved it since");
    assert_eq!(world.effects(), 0);
    assert_eq!(decide(&host, ALICE, id(&first), &approve(&current)).0, 200);
    host.over(&run);
    assert_eq!(world.effects(), 1);
}

/// A quorum of two needs two people, however often one person approves.
#[test]
fn a_quorum_counts_people() {
    let world = World::new("quorum = 2");
    let mut host = world.folder.serve();
    for (number, line) in world.lines().iter().enumerate() {
        let run = host.start("scripted", line);
        let approval = host.held(&run);
        for _ in 0..2 {
            assert_eq!(decide(&host, ALICE, id(&approval), &approve(&approval)).0, 202);
            let again = json!({ "type": "approve", "digest": approval["digest"], "message": "Really." });
            assert_eq!(decide(&host, ALICE, id(&approval), &again).0, 202);
            let standing = host.approval(id(&approval));
            assert_eq!((&standing["state"], &standing["still_needed"]), (&json!("held"), &json!(1)), "{standing}");
            assert_eq!(world.effects(), number, "{line}");
            host.kill();
            host = world.folder.serve();
        }
        assert_eq!(decide(&host, BOB, id(&approval), &approve(&approval)).0, 200);
        host.over(&run);
        assert_eq!(world.effects(), number + 1, "{line}");
    }
}

/// Under four-eyes, neither the person who started the run nor the person who edited the call counts.
#[test]
fn four_eyes_are_two_other_eyes() {
    let world = World::new("four-eyes = true");
    let host = world.folder.serve();
    let run = host.start("scripted", &world.lines()[0]);
    let approval = host.held(&run);
    let mut arguments = approval["proposal"]["action"]["arguments"].clone();
    arguments["message"]["subject"] = json!("Edited");
    let edit = json!({ "type": "edit", "digest": approval["digest"], "arguments": arguments });
    assert_eq!(decide(&host, ALICE, id(&approval), &edit).0, 202);
    let edited = host.approval(id(&approval));
    for token in [ALICE, &host.token] {
        assert_eq!(decide(&host, token, id(&approval), &approve(&edited)).1, "not-eligible");
    }
    assert_eq!(world.effects(), 0);
    assert_eq!(decide(&host, BOB, id(&approval), &approve(&edited)).0, 200);
    host.over(&run);
    assert!(world.mail.messages()[0].contains("\nSubject: Edited\n"), "{:?}", world.mail.messages());
}

/// A clearance has a deadline. If no host runs until the deadline has passed, nothing starts, and the agent is told
/// that it is too late.
#[test]
fn a_clearance_that_lapsed_starts_nothing() {
    if !cfg!(debug_assertions) {
        return skipped("a release build cannot be told where to die; run it without `--release`");
    }
    for (start_within, told, effects) in [("1s", "err Refusal::Expired", 0), ("1h", "ok ", 1)] {
        let world = World::new(&format!("start-within = \"{start_within}\""));
        for (number, line) in world.lines().iter().enumerate() {
            let host = world.folder.serve_with(&[(VARIABLE, "before-effect-started")]);
            let run = host.start("scripted", line);
            let approval = host.held(&run);
            // It does not matter whether the reply arrived before the host ended.
            let path = format!("/v1/approvals/{}/decisions", id(&approval));
            drop(host.try_request(&host.token, &path, Some(&approve(&approval))));
            host.ended();
            std::thread::sleep(std::time::Duration::from_millis(1_200));
            let host = world.folder.serve();
            let row = host.over(&run);
            assert!(row["result"]["ok"].as_str().unwrap().starts_with(told), "{start_within}: {row}");
            let approval = host.approval(id(&approval));
            assert_eq!(approval["decisions"].as_array().unwrap().len(), 1, "the decision is there: {approval}");
            assert_eq!(world.effects(), effects * (number + 1), "{start_within}: {line}");
        }
    }
}
