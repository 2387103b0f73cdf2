//! Evidence is complete, however long it is, or the call is refused. So no one can approve evidence that was cut.

use serde_json::json;

use crate::support::Repository;
use crate::{assert_digests, evidence, folder};

/// Adds to `main` of a bare repository a commit with a file of this many lines and a last line.
fn commit(repository: &Repository, name: &str, lines: usize) {
    let work = tempfile::tempdir().unwrap();
    repository.git(&["clone", "--quiet", "--branch=main", ".", work.path().to_str().unwrap()]);
    let work = Repository(work.path().to_path_buf());
    std::fs::write(work.0.join(name), "one line of many\n".repeat(lines) + "the last line\n").unwrap();
    work.git(&["add", "."]);
    work.git(&["commit", "--quiet", "--message", name]);
    work.git(&["push", "--quiet", "origin", "main"]);
}

#[test]
fn a_large_change_is_shown_whole_and_a_larger_one_is_refused() {
    let (folder, repository) = folder("");
    commit(&repository, "large", 150_000);
    let host = folder.serve();
    let held = host.held(&host.start("scripted", "deploy main production Large"));
    // Every exhibit has the length and the digest that the approval names.
    assert_digests(&folder, &host, &held);
    let diff = evidence(&host, &held, "diff ");
    assert!(diff.len() > 2_500_000 && diff.contains("\n+one line of many\n+the last line\n"), "{} bytes", diff.len());
    host.approve(&held);
    host.effect(held["id"].as_str().unwrap(), "succeeded");
    let deployed = repository.tip("main");
    assert_eq!(repository.tip("production"), deployed);

    commit(&repository, "larger", 1_000_000);
    let row = host.over(&host.start("scripted", "deploy main production Larger"));
    let told = row["result"]["ok"].as_str().unwrap();
    assert!(told.starts_with("err Refusal::Invalid(\"over a limit of this host: `diff "), "{told}");
    assert!(told.contains("and evidence is never cut"), "{told}");
    assert_eq!(host.get("/v1/approvals")["approvals"], json!([]), "nobody is asked about it");
    assert_eq!(repository.tip("production"), deployed);
}

/// An edit leads to other evidence. Its editor sees that evidence before they approve.
#[test]
fn an_edit_deploys_nothing_that_its_editor_has_not_seen() {
    let (folder, repository) = folder("");
    commit(&repository, "small", 1);
    let before = repository.tip("production");
    let host = folder.serve();
    let first = repository.tip("main~1");
    let held = host.held(&host.start("scripted", &format!("deploy {first} production One")));
    let edited = |revision: &str, notes: &str| {
        let mut arguments = held["proposal"]["action"]["arguments"].clone();
        arguments["release"]["revision"] = json!(revision);
        arguments["release"]["notes"] = json!(notes);
        json!({ "arguments": arguments })
    };
    let (status, answer) = host.decide(&held, "edit", &edited("main", "One"));
    assert_eq!((status, &answer["state"], &answer["still_needed"]), (202, &json!("held"), &json!(1)), "{answer}");
    let shown = host.approval(held["id"].as_str().unwrap());
    assert_eq!((&shown["votes"], repository.tip("production")), (&json!([]), before));
    assert!(evidence(&host, &shown, "diff ").contains("+the last line"));

    // An edit of the notes alone rests on evidence that the editor has now seen, so the edit is also an approval.
    let (status, answer) = host.decide(&shown, "edit", &edited("main", "Two"));
    assert_eq!((status, &answer["state"]), (200, &json!("approved")), "{answer}");
    host.effect(shown["id"].as_str().unwrap(), "succeeded");
    assert_eq!(repository.tip("production"), repository.tip("main"));
}
