//! Closed by default: a call for which the configuration says nothing is held or refused, and never performed.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::outside::{self, Maildir, Outside};
use crate::support::{Folder, Repository, until};
use crate::world::{World, id};

/// With a configuration that names only an agent, every consequential call of the agent is held.
#[test]
fn a_configuration_that_says_nothing_holds_everything() {
    let folder = Folder::new(&["scripted"], "");
    // The folder is a repository, as for a new user. It is bare, so that no checked-out file can be out of date.
    let bare = Repository::bare(&folder.path().join(".git"));
    let production = bare.tip("production");
    let mail = Maildir(folder.path().join(".holdshort/mail"));
    let host = folder.serve();
    let lines = ["email ann@localhost Hello", "deploy main production Notes", "ask May I?"];
    let run = host.start("scripted", &lines.join("\n"));
    for (number, line) in lines.iter().enumerate() {
        let approval = until("held call", || {
            let (status, approval) = host.request(&host.token, &format!("/v1/approvals/{run}.{}", number + 1), None);
            (status == 200).then_some(approval)
        });
        assert_eq!(approval["state"], "held", "{line}: {approval}");
        assert_eq!(approval["proposal"]["policy"]["determining"], json!(["hold-everything"]), "{line}");
        assert_eq!(approval["deadline"], Value::Null, "silence decides nothing: {approval}");
        assert_eq!(host.decide(&approval, "reject", &json!({ "message": "no" })).0, 200);
    }
    let told = host.over(&run)["result"]["ok"].as_str().unwrap().to_owned();
    assert_eq!(told.lines().filter(|line| line.starts_with("err Refusal::Rejected(")).count(), 3, "{told}");
    assert_eq!((mail.count(), bare.tip("production")), (0, production));
}

/// An import that the operator did not classify is refused when the agent is loaded. The error names the import, and
/// nothing of the agent runs.
#[test]
fn what_nobody_classified_is_refused_at_load() {
    let folder = Folder::new(&["overreach"], "");
    let host = folder.serve();
    let (status, problem) = host.post("/v1/runs", &json!({ "agent": "overreach", "task": "rm -rf /" }));
    let detail = problem["detail"].as_str().unwrap();
    assert_eq!((status, &problem["type"]), (422, &json!("urn:holdshort:problem:cannot-run")), "{problem}");
    assert!(detail.contains("is not classified") && detail.contains("[capabilities."), "{detail}");
    assert_eq!(host.get("/v1/runs")["runs"], json!([]), "there is no run of it");
    host.says("the agent `overreach` cannot be started");

    let file = crate::support::component("overreach");
    let output = Folder::new(&[], "").run(&["run", file.to_str().unwrap(), "--task", "rm -rf /"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("is not classified"), "{said}");
}

/// A host that no longer has the connector of a held call starts, and performs nothing.
#[test]
fn a_connector_that_is_gone_performs_nothing() {
    let world = World::new("");
    let host = world.folder.serve();
    let run = host.start("scripted", &world.branch.line());
    let approval = host.held(&run);
    host.kill();
    // Another repository with the same commits and branches, as a copy has them.
    let home = tempfile::tempdir().unwrap();
    let copy = home.path().join("other.git");
    world.branch.0.git(&["clone", "--quiet", "--bare", ".", copy.to_str().unwrap()]);
    let elsewhere = outside::Branch(Repository(copy));
    elsewhere.0.git(&["config", "core.logAllRefUpdates", "always"]);
    let text = std::fs::read_to_string(world.folder.path().join("holdshort.toml")).unwrap();
    world.folder.configure(&text.replace(&world.branch.section(), &elsewhere.section()));
    let host = world.folder.serve();
    host.approve(&approval);
    let again = until("another look", || Some(host.approval(id(&approval))).filter(|again| again["revision"] == 2));
    assert_eq!((world.branch.count(), elsewhere.count()), (0, 0), "{again}");
    assert!(again["reheld"].as_str().unwrap().contains("other.git now"), "{again}");
    host.approve(&again);
    host.effect(id(&approval), "succeeded");
    assert_eq!((world.branch.count(), elsewhere.count()), (0, 1), "where it was shown the second time");
}

/// A clearance covers the content in the journal. If this content was changed by hand, the clearance does not match it,
/// and nothing starts.
#[test]
fn a_journal_that_was_changed_clears_nothing() {
    let world = World::new("start-within = \"2s\"");
    let host = world.folder.serve();
    let (run, other) = (host.start("scripted", &world.mail.line()), host.start("scripted", &world.mail.line()));
    let (approval, others) = (host.held(&run), host.held(&other));
    host.kill();
    let change = "UPDATE events SET body = replace(body, 'ann@localhost', 'eve@localhost') \
                  WHERE seq = 2 AND run = (SELECT number FROM runs WHERE id = ?1)";
    assert_eq!(Connection::open(world.folder.journal()).unwrap().execute(change, [&run]).unwrap(), 1);
    let host = world.folder.serve();
    host.approve(&approval);
    // The call that was not changed is performed meanwhile.
    host.approve(&others);
    host.over(&other);
    until("lapse", || (host.approval(id(&approval))["state"] == "expired").then_some(()));
    assert!(host.said().contains("the clearance does not match"), "the operator is told: {}", host.said());
    assert_eq!(world.mail.count(), 1);
    assert!(!world.mail.messages()[0].contains("eve@localhost"));
}
