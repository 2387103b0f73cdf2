//! The effect is exactly what was cleared, to the byte. If the facts have changed since, the call is held again.

use serde_json::{Value, json};

use crate::outside::Outside;
use crate::support::until;
use crate::world::{ALICE, BOB, World, approve, decide, id};

#[test]
fn mail_is_sent_as_it_was_approved() {
    let world = World::new("");
    let host = world.folder.serve();
    let run = host.start("scripted", "email ann@localhost Grüße, \"quoted\" <b>and</b> so on");
    let approval = host.held(&run);
    host.approve(&approval);
    host.over(&run);
    let approved = &approval["proposal"]["action"]["arguments"]["message"];
    assert_eq!(sent(&world), [(approved["to"][0].clone(), approved["body"].clone())]);
    let receipt = &host.approval(id(&approval))["effect"]["receipt"];
    assert_eq!(&receipt["sent"], approved, "and the agent is told so");
}

#[test]
fn mail_is_sent_as_it_was_edited() {
    let world = World::new("");
    let host = world.folder.serve();
    let run = host.start("scripted", &world.mail.line());
    let approval = host.held(&run);
    let mut edited = approval["proposal"]["action"]["arguments"].clone();
    edited["message"]["to"] = json!(["bob@localhost"]);
    edited["message"]["body"] = json!("Another text.");
    let edit = json!({ "type": "edit", "digest": approval["digest"], "arguments": edited });
    assert_eq!(decide(&host, ALICE, id(&approval), &edit), (202, String::new()));
    // The editor looks at the new content and approves it.
    assert_eq!(sent(&world), []);
    let current = host.approval(id(&approval));
    assert_eq!(decide(&host, ALICE, id(&approval), &approve(&current)), (200, String::new()));
    let row = host.over(&run);
    assert_eq!(sent(&world), [(json!("bob@localhost"), json!("Another text."))], "not what the agent had written");
    let told = row["result"]["ok"].as_str().unwrap();
    assert!(told.contains("bob@localhost") && !told.contains("ann@localhost"), "the agent is told: {told}");
    let receipt = &host.approval(id(&approval))["effect"]["receipt"];
    assert_eq!(receipt["sent"], edited["message"]);
}

/// The recipient and the text of every message in the Maildir.
fn sent(world: &World) -> Vec<(Value, Value)> {
    let part = |message: &String| {
        let (head, body) = message.split_once("\n\n").unwrap();
        let to = head.lines().find_map(|line| line.strip_prefix("To: ")).unwrap();
        (json!(to), json!(body.trim_end()))
    };
    world.mail.messages().iter().map(part).collect()
}

#[test]
fn exactly_the_commit_that_was_shown_is_deployed() {
    let world = World::new("");
    let host = world.folder.serve();
    let git = |arguments: &[&str]| world.branch.0.git(arguments);
    let shown = world.branch.0.tip("main");
    let run = host.start("scripted", &world.branch.line());
    let approval = host.held(&run);
    // The git revision is a branch, and the branch moves on while reviewers think.
    let later = git(&["commit-tree", "-m", "Later", "-p", "main", "main^{tree}"]);
    git(&["update-ref", "refs/heads/main", &later]);
    host.approve(&approval);
    let row = host.over(&run);
    assert_eq!(world.branch.0.tip("production"), shown, "the commit that was shown, not what the name means by now");
    assert!(row["result"]["ok"].as_str().unwrap().contains(&shown), "{row}");
}

#[test]
fn an_edit_deploys_what_it_says() {
    let world = World::new("");
    let host = world.folder.serve();
    let git = |arguments: &[&str]| world.branch.0.git(arguments);
    let fix = git(&["commit-tree", "-m", "A fix", "-p", "production", "production^{tree}"]);
    git(&["update-ref", "refs/heads/fix", &fix]);
    let run = host.start("scripted", &world.branch.line());
    let approval = host.held(&run);
    let mut edited = approval["proposal"]["action"]["arguments"].clone();
    edited["release"]["revision"] = json!("fix");
    let edit = json!({ "type": "edit", "digest": approval["digest"], "arguments": edited });
    assert_eq!(decide(&host, ALICE, id(&approval), &edit).0, 202);
    let current = host.approval(id(&approval));
    assert_eq!(decide(&host, ALICE, id(&approval), &approve(&current)).0, 200);
    host.over(&run);
    assert_eq!(world.branch.0.tip("production"), fix);
}

/// The target moves after it was shown: nothing is deployed, and the reviewers see both commits before they decide
/// again.
#[test]
fn a_branch_that_moved_is_put_to_people_again() {
    let world = World::new("quorum = 2");
    let host = world.folder.serve();
    let run = host.start("scripted", &world.branch.line());
    let first = host.held(&run);
    let shown = world.branch.0.tip("production");
    let moved = world.branch.0.git(&["commit-tree", "-m", "A fix", "-p", "production", "production^{tree}"]);
    world.branch.0.git(&["update-ref", "refs/heads/production", &moved]);
    for token in [ALICE, BOB] {
        decide(&host, token, id(&first), &approve(&first));
    }
    let second = until("call that is held again", || {
        Some(host.approval(id(&first))).filter(|approval| approval["revision"] == 2)
    });
    assert_eq!(world.branch.0.tip("production"), moved, "nothing was deployed");
    let expected = format!("refs/heads/production was at {shown} when the call was shown and is at {moved} now");
    assert_eq!(second["reheld"], json!(expected));
    assert_eq!(
        (&second["state"], &second["still_needed"]),
        (&json!("held"), &json!(2)),
        "earlier votes fell: {second}"
    );
    assert_eq!(second["proposal"]["preconditions"]["old"], json!(moved), "what is shown now is what is there now");
    for token in [ALICE, BOB] {
        assert_eq!(decide(&host, token, id(&first), &approve(&first)).1, "stale-digest");
    }
    for token in [ALICE, BOB] {
        decide(&host, token, id(&first), &approve(&second));
    }
    assert!(host.over(&run)["result"]["ok"].as_str().unwrap().contains(&format!("previous: Some(\"{moved}\")")));
    assert_eq!(world.branch.0.tip("production"), world.branch.0.tip("main"));
}

/// Another run pays the payee after the call was shown: nothing is paid, and the reviewers see what has changed before
/// they decide again.
#[test]
fn a_payee_who_was_paid_meanwhile_is_put_to_people_again() {
    let world = World::new("");
    let host = world.folder.serve();
    let one = host.start("scripted", &world.books.line());
    let first = host.held(&one);
    let two = host.start("scripted", &world.books.line());
    host.approve(&host.held(&two));
    host.over(&two);
    assert_eq!(world.books.count(), 1);
    host.approve(&first);
    let again = until("call that is held again", || {
        Some(host.approval(id(&first))).filter(|approval| approval["revision"] == 2)
    });
    let why = again["reheld"].as_str().unwrap();
    assert!(why.contains("received 0 payments") && why.contains("received 1 payment now"), "both are shown: {why}");
    assert_eq!((world.books.count(), &again["state"]), (1, &json!("held")));
    assert_eq!(decide(&host, ALICE, id(&first), &approve(&first)).1, "stale-digest");
    host.approve(&again);
    assert!(host.over(&one)["result"]["ok"].as_str().unwrap().contains(&world.books.receipt()));
    assert_eq!(world.books.count(), 2);
}

/// The balance no longer covers the payment: nothing is paid, and no reviewer is asked to approve it.
#[test]
fn a_balance_that_no_longer_covers_it_pays_nothing() {
    let world = World::new("");
    let host = world.folder.serve();
    let run = host.start("scripted", &world.books.line());
    let held = host.held(&run);
    let other = host.start("scripted", "pay operating bob 96000 EUR");
    host.approve(&host.held(&other));
    host.over(&other);
    host.approve(&held);
    let told = host.over(&run)["result"]["ok"].as_str().unwrap().to_owned();
    for part in ["had 1,000.00 EUR when the call was shown", "has 40.00 EUR now, which does not cover 50.00 EUR"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(world.books.count(), 0);
}

/// The operator's configuration is a part of what was shown. If the sender changes, the call is held again.
#[test]
fn mail_under_another_sender_is_put_to_people_again() {
    let world = World::new("");
    let host = world.folder.serve();
    let run = host.start("scripted", &world.mail.line());
    let first = host.held(&run);
    host.kill();
    let text = std::fs::read_to_string(world.folder.path().join("holdshort.toml")).unwrap();
    world.folder.configure(&text.replace("[email]\n", "[email]\nfrom = \"sales@localhost\"\n"));
    let host = world.folder.serve();
    host.approve(&first);
    let second = until("call that is held again", || {
        Some(host.approval(id(&first))).filter(|approval| approval["revision"] == 2)
    });
    let why = second["reheld"].as_str().unwrap();
    assert!(why.contains("agent@localhost") && why.contains("sales@localhost"), "both are shown: {why}");
    assert_eq!(world.mail.count(), 0);
    host.approve(&second);
    host.over(&run);
    assert!(world.mail.messages()[0].contains("From: sales@localhost\n"), "{:?}", world.mail.messages());
}

/// A fact that the policy marks as material is compared again when the effect starts. Here the operator removes a
/// domain from the own domains while the call waits. If the policy marks the facts, the reviewer who approved a message
/// to an own domain is asked again and sees the difference. If it marks none, no reviewer is asked again.
#[test]
fn a_material_fact_that_changed_holds_it_again() {
    for (marked, asked_again) in [("@material(\"outside_recipients, outside_domains\")", true), ("", false)] {
        let world = World::new("\n[policy]\nfiles = [\"p.cedar\"]\n");
        let policy = format!(
            "{marked} permit (principal, action == Action::\"review\", resource is email::SendEmail);\n\
             permit (principal, action == Action::\"decide\", resource);\n"
        );
        world.folder.write("p.cedar", &policy);
        let host = world.folder.serve();
        let run = host.start("scripted", &world.lines()[0]);
        let held = host.held(&run);
        assert_eq!(held["proposal"]["facts"]["outside-recipients"], 0);
        host.kill();
        let narrower = std::fs::read_to_string(world.folder.path().join("holdshort.toml")).unwrap();
        world.folder.configure(&narrower.replace("[email]\n", "[email]\nown-domains = [\"example.org\"]\n"));
        let host = world.folder.serve();
        assert_eq!(decide(&host, ALICE, id(&held), &approve(&held)).0, 200);
        if asked_again {
            let again = until("the call is held again", || {
                let now = host.approval(id(&held));
                (now["revision"] == 2).then_some(now)
            });
            assert_eq!(again["state"], "held");
            assert_eq!(
                again["reheld"],
                "`outside_domains` was [] and is now [\"localhost\"]; `outside_recipients` was 0 and is now 1"
            );
            assert_eq!(again["proposal"]["policy"]["material"], json!(["outside_domains", "outside_recipients"]));
            assert_eq!(world.effects(), 0, "nothing was sent");
            assert_eq!(decide(&host, ALICE, id(&held), &approve(&held)).1, "stale-digest");
            assert_eq!(decide(&host, ALICE, id(&again), &approve(&again)).0, 200);
        }
        host.over(&run);
        assert_eq!(world.effects(), 1, "{marked}");
        host.kill();
    }
}
