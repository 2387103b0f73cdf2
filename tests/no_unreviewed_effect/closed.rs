//! Closed by default: what nobody said is held or refused, never done.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::outside::{self, Maildir, Outside};
use crate::support::{Folder, Repository, until};
use crate::world::{World, id};

/// A configuration that names an agent and nothing else holds everything that this agent can do.
#[test]
fn a_configuration_that_says_nothing_holds_everything() {
    let folder = Folder::new(&["scripted"], "");
    // The folder is a repository, as where a newcomer begins; nothing is checked out that could be left behind.
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

/// An import that nobody classified is refused at load, by name, whoever asks; nothing of the agent runs.
#[test]
fn what_nobody_classified_is_refused_at_load() {
    let folder = Folder::new(&["overreach"], "");
    let host = folder.serve();
    let (status, problem) = host.post("/v1/runs", &json!({ "agent": "overreach", "task": "rm -rf /" }));
    let detail = problem["detail"].as_str().unwrap();
    assert_eq!((status, &problem["type"]), (422, &json!("urn:holdshort:problem:cannot-run")), "{problem}");
    assert!(detail.contains("is not classified") && detail.contains("[capabilities."), "{detail}");
    assert_eq!(host.get("/v1/runs")["runs"], json!([]), "there is no run of it");
    assert!(host.said().contains("the agent `overreach` cannot be started"), "the operator is told: {}", host.said());

    let file = crate::support::component("overreach");
    let output = Folder::new(&[], "").run(&["run", file.to_str().unwrap(), "--task", "rm -rf /"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("is not classified"), "{said}");
}

/// A host that no longer offers what a run asked for starts, and does nothing.
#[test]
fn a_connector_that_is_gone_performs_nothing() {
    let world = World::new("");
    let host = world.folder.serve();
    let run = host.start("scripted", &world.branch.line());
    let approval = host.held(&run);
    host.kill();
    let home = tempfile::tempdir().unwrap();
    let elsewhere = outside::Branch::new(&home.path().join("other.git"));
    // Made within the same second it would hold the very same commits.
    let other = elsewhere.0.git(&["commit-tree", "-p", "main", "-m", "Another history", "main^{tree}"]);
    elsewhere.0.git(&["update-ref", "refs/heads/main", &other]);
    let text = std::fs::read_to_string(world.folder.path().join("holdshort.toml")).unwrap();
    world.folder.configure(&text.replace(&world.branch.section(), &elsewhere.section()));
    // Another repository is there now, which has never heard of the commit that was shown.
    let host = world.folder.serve();
    host.approve(&approval);
    let state = until("end or another look", || {
        let approval = host.approval(id(&approval));
        let state = approval["effect"]["state"].as_str().map(str::to_owned);
        state.filter(|state| state == "failed").or((approval["revision"] == 2).then(|| "held again".to_owned()))
    });
    assert_eq!((world.branch.count(), elsewhere.count()), (0, 0), "{state}");
}

/// What was cleared is what the journal holds: if that was changed by hand, the clearance covers something else, and nothing starts.
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
    // The one that nobody touched goes through meanwhile.
    host.approve(&others);
    host.over(&other);
    until("lapse", || (host.approval(id(&approval))["state"] == "expired").then_some(()));
    assert!(host.said().contains("the clearance does not match"), "the operator is told: {}", host.said());
    assert_eq!(world.mail.count(), 1);
    assert!(!world.mail.messages()[0].contains("eve@localhost"));
}
