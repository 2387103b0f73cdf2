//! A token belongs to one person, whoever starts the host. A call that no one can decide stays held.

use std::fs;

use serde_json::{Value, json};

use crate::support::Host;
use crate::world::{ALICE, BOB, World, approve, decide, id};

/// Values of `$USER` with which the host is started later. The local operator stays `olivia`, who started the first
/// host. An empty `$USER` is not a name.
const OTHERS: [&str; 2] = ["mallory", ""];

/// Whether the host has noted, once, that the local operator's name differs from `$USER`.
fn noted(host: &Host) -> bool {
    let said = host.said();
    let times = said.matches("stays `olivia`, although the user is `mallory`").count();
    assert!(times < 2, "{said}");
    times == 1
}

/// Approvals are counted by name, so a token with a second name would count as a second person.
#[test]
fn a_token_votes_once_whoever_starts_the_host() {
    let world = World::new("quorum = 2");
    let mut host = world.folder.serve();
    for (number, line) in world.lines().iter().enumerate() {
        let run = host.start("scripted", line);
        let approval = host.held(&run);
        assert_eq!(decide(&host, &host.token, id(&approval), &approve(&approval)).0, 202);
        for user in OTHERS {
            host.kill();
            host = world.folder.serve_with(&[("USER", user)]);
            assert_eq!(decide(&host, &host.token, id(&approval), &approve(&approval)), (202, String::new()), "{user}");
            let standing = host.approval(id(&approval));
            assert_eq!((&standing["state"], &standing["still_needed"]), (&json!("held"), &json!(1)), "{standing}");
            assert_eq!(standing["votes"].as_array().map(Vec::len), Some(1), "{standing}");
            assert_eq!(standing["votes"][0]["reviewer"], "olivia");
            assert_eq!(world.effects(), number, "{line}");
            assert_eq!(noted(&host), user == "mallory");
        }
        assert_eq!(decide(&host, ALICE, id(&approval), &approve(&approval)).0, 200);
        host.over(&run);
        assert_eq!(world.effects(), number + 1, "{line}");
    }
}

/// Under four-eyes, a start under another name does not turn the person who started the run, or who edited the call,
/// into another person.
#[test]
fn a_token_has_the_same_eyes_whoever_starts_the_host() {
    let world = World::new("four-eyes = true");
    let host = world.folder.serve();
    let own = host.start("scripted", &world.lines()[0]);
    let started = host.held(&own);
    host.kill();
    for user in OTHERS {
        let host = world.folder.serve_with(&[("USER", user)]);
        let found = decide(&host, &host.token, id(&started), &approve(&started));
        assert_eq!((found.0, found.1.as_str()), (403, "not-eligible"), "{user}");
        assert_eq!(host.approval(id(&started)), started, "the call is as it was");
        host.kill();
    }

    let host = world.folder.serve();
    let body = json!({ "agent": "scripted", "task": world.lines()[0] });
    let run = host.request(BOB, "/v1/runs", Some(&body)).1["id"].as_str().unwrap().to_owned();
    let approval = host.held(&run);
    let mut arguments = approval["proposal"]["action"]["arguments"].clone();
    arguments["message"]["subject"] = json!("Edited");
    let edit = json!({ "type": "edit", "digest": approval["digest"], "arguments": arguments });
    assert_eq!(decide(&host, &host.token, id(&approval), &edit).0, 202);
    let edited = host.approval(id(&approval));
    host.kill();
    let host = world.folder.serve_with(&[("USER", "mallory")]);
    assert_eq!(decide(&host, &host.token, id(&approval), &approve(&edited)).1, "not-eligible");
    assert_eq!(world.effects(), 0);

    assert_eq!(decide(&host, ALICE, id(&started), &approve(&started)).0, 200);
    host.over(&own);
    assert_eq!(world.effects(), 1, "another person's eyes count");
}

/// The only person who may decide is removed from the configuration. The call still belongs to that person: no other
/// reviewer may decide on it, and it is not cleared as time passes.
#[test]
fn what_nobody_can_decide_is_held() {
    let world = World::new("reviewers = [\"alice\"]");
    let with_alice = fs::read_to_string(world.folder.path().join("holdshort.toml")).unwrap();
    let (before, after) = with_alice.split_once("[reviewers.alice]").unwrap();
    let (_, after) = after.split_once("[reviewers.bob]").unwrap();
    let without = format!("{before}[reviewers.bob]{after}").replace("reviewers = [\"alice\"]", "");
    for (number, line) in world.lines().iter().enumerate() {
        let host = world.folder.serve();
        let run = host.start("scripted", line);
        let approval = host.held(&run);
        host.kill();

        world.folder.configure(&without);
        let host = world.folder.serve();
        let nobody: [(&str, u16, &str); 3] =
            [(ALICE, 401, "unauthenticated"), (BOB, 403, "not-eligible"), (&host.token, 403, "not-eligible")];
        for (token, status, problem) in nobody {
            let reject = json!({ "type": "reject", "digest": approval["digest"], "message": "No." });
            for body in [&approve(&approval), &reject] {
                let found = decide(&host, token, id(&approval), body);
                assert_eq!((found.0, found.1.as_str()), (status, problem), "{line}: {body}");
            }
        }
        assert_eq!(host.approval(id(&approval)), approval, "{line}: it is held as it was");
        assert_eq!((&host.show_run(&run)["state"], world.effects()), (&Value::from("waiting"), number), "{line}");
        host.kill();

        world.folder.configure(&with_alice);
        let host = world.folder.serve();
        assert_eq!(decide(&host, ALICE, id(&approval), &approve(&approval)).0, 200, "she is back");
        host.over(&run);
        assert_eq!(world.effects(), number + 1, "{line}");
    }
}

/// Under four-eyes an edit excludes its editor. After this edit no one could clear the call, so the edit is refused.
/// The call stays unchanged, and both people can approve it.
#[test]
fn an_edit_that_leaves_nobody_is_refused() {
    let world = World::new("\n[policy]\nfiles = [\"p.cedar\"]\n");
    world.folder.write(
        "p.cedar",
        "@reviewers(\"alice, bob\") @quorum(\"2\") @four_eyes permit (principal, action == Action::\"review\", resource);\n\
         permit (principal, action == Action::\"decide\", resource);\n",
    );
    let host = world.folder.serve();
    let run = host.start("scripted", &world.lines()[0]);
    let held = host.held(&run);
    let mut arguments = held["proposal"]["action"]["arguments"].clone();
    arguments["message"]["subject"] = json!("another");
    let edit = json!({ "type": "edit", "digest": held["digest"], "arguments": arguments });
    let (status, problem) = host.request(ALICE, &format!("/v1/approvals/{}/decisions", id(&held)), Some(&edit));
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert_eq!(status, 422, "{problem}");
    assert!(
        detail.contains("the new requirement cannot be met: too few eligible reviewers in stage 1: 1 of 2"),
        "{problem}"
    );
    assert_eq!(host.approval(id(&held)), held, "the call is as it was");
    assert_eq!(decide(&host, ALICE, id(&held), &approve(&held)).0, 202);
    assert_eq!(world.effects(), 0);
    assert_eq!(decide(&host, BOB, id(&held), &approve(&held)).0, 200);
    host.over(&run);
    assert_eq!(world.effects(), 1);
}

/// Alice delegates to Bob until a day. Bob's decision counts as Alice's, and as one approval. It does not count where
/// four-eyes excludes Bob, nor after that day.
#[test]
fn a_delegation_is_somebodys_word_once_and_ends() {
    let delegated = |until: &str| {
        format!("reviewers = [\"alice\", \"olivia\"]\nquorum = 2\n[delegations.alice]\nto = \"bob\"\nuntil = {until}\n")
    };
    let world = World::new(&delegated("2099-12-31"));
    let host = world.folder.serve();
    let run = host.start("scripted", &world.lines()[0]);
    let held = host.held(&run);
    let mine = host.request(BOB, "/v1/approvals?mine=true", None).1;
    assert_eq!(mine["approvals"][0]["id"], held["id"], "what waits for her waits for him: {mine}");
    let named = |name: &str| {
        let mut body = approve(&held);
        body["stands_for"] = json!(name);
        body
    };
    for name in ["olivia", "nobody"] {
        assert_eq!(decide(&host, BOB, id(&held), &named(name)).1, "not-eligible", "{name}");
    }
    // With or without Alice's name, and however often Bob sends it, his decision counts once. Alice cannot add another.
    for body in [approve(&held), approve(&held), named("alice")] {
        assert_eq!(decide(&host, BOB, id(&held), &body).0, 202);
    }
    assert_eq!(decide(&host, ALICE, id(&held), &approve(&held)).0, 202);
    let standing = host.approval(id(&held));
    assert_eq!(
        standing["votes"],
        json!([{"reviewer": "bob", "stands_for": "alice", "at": standing["votes"][0]["at"], "stage": 1}])
    );
    assert_eq!(world.effects(), 0);
    assert_eq!(decide(&host, &host.token, id(&held), &approve(&held)).0, 200);
    host.over(&run);
    assert_eq!(world.effects(), 1);
    host.kill();

    // The delegation has ended, so Bob may not decide.
    let ended = std::fs::read_to_string(world.folder.path().join("holdshort.toml"))
        .unwrap()
        .replace("2099-12-31", "2026-11-20T12:00:00+01:00");
    world.folder.configure(&ended);
    let host = world.folder.serve();
    let run = host.start("scripted", &world.lines()[0]);
    let held = host.held(&run);
    assert_eq!(decide(&host, BOB, id(&held), &approve(&held)).1, "not-eligible");
    assert_eq!(host.request(BOB, "/v1/approvals?mine=true", None).1["approvals"], json!([]));
    host.kill();

    // Under four-eyes, neither the person who decides nor the person for whom they decide may have started the run.
    world.folder.configure(
        &ended.replace("2026-11-20T12:00:00+01:00", "2099-12-31").replace("quorum = 2", "quorum = 1\nfour-eyes = true"),
    );
    let host = world.folder.serve();
    let body = json!({ "agent": "scripted", "task": world.lines()[0] });
    let run = host.request(BOB, "/v1/runs", Some(&body)).1["id"].as_str().unwrap().to_owned();
    let held = host.held(&run);
    assert_eq!(decide(&host, BOB, id(&held), &approve(&held)).1, "not-eligible", "bob started it");
    assert_eq!(decide(&host, ALICE, id(&held), &approve(&held)).0, 200);
    host.over(&run);
    assert_eq!(world.effects(), 2);
}
