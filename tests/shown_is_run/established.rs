//! The host's own knowledge about a run is shown beside the agent's claims: the reports of checks on the same commit,
//! and the other calls of the run.

use std::collections::BTreeSet;

use holdshort::connectors::DESCRIPTORS;
use holdshort::connectors::descriptor::{Class, DeclaredFacts, Effect, FactReaders};
use serde_json::{Value, json};

use crate::support::{Folder, Host, component};
use crate::{assert_digests, evidence, folder, token};

/// A folder whose check `tests` prints `prints` and ends with `status`.
fn checked(more: &str, prints: &str, status: u8) -> (Folder, crate::support::Repository) {
    let release = component("release");
    folder(&format!(
        "{more}\n[agents.release]\ncomponent = \"{}\"\n\
         [checks.tests]\ncommand = [\"sh\", \"-c\", \"echo '{prints}'; exit {status}\"]\n",
        release.display()
    ))
}

const PASSED: &str = "test result: ok. 3 passed; 0 failed; 0 ignored";
const FAILED: &str = "test result: FAILED. 3 passed; 1 failed; 0 ignored";

fn shown(folder: &Folder, approval: &Value) -> String {
    let shown = folder.run(&["approvals", "show", approval["id"].as_str().unwrap(), "--full"]);
    String::from_utf8(shown.stdout).unwrap()
}

fn facts(approval: &Value) -> &Value {
    &approval["proposal"]["facts"]
}

#[test]
fn an_honest_release_shows_its_report_and_no_difference() {
    let (folder, repository) = checked("", PASSED, 0);
    let host = folder.serve();
    let held = host.held(&host.start("release", "Release main to production"));
    let (old, new) = (repository.tip("production"), repository.tip("main"));
    let report = evidence(&host, &held, &format!("checks that this host ran on {}: 1 passed", &new[..12]));
    let line = format!("tests: passed on {} (call 1); 3 passed; 0 failed; 0 skipped\n    \"{PASSED}\"\n", &new[..12]);
    assert_eq!(report, line);
    let counts = json!({ "passed": 3, "failed": 0, "skipped": 0 });
    assert_eq!(
        facts(&held),
        &json!({
            "old-commit": old, "new-commit": new, "reference": null, "commit-count": 1, "lost-commit-count": 0,
            "commits": [{ "id": new, "subject": "The second commit" }],
            "history-known": true, "files-changed": 1, "files-not-shown": 0, "kinds-not-shown": [],
            "lines-added": 1, "lines-removed": 0, "branches": ["refs/heads/main"],
            "checks": [{ "name": "tests", "passed": true, "counts": counts, "runs": 1, "failures": 0 }],
            "checks-on-other-commits": 0,
        })
    );
    assert_eq!(held["proposal"]["consequence"], "high");
    let before = evidence(&host, &held, "earlier in this run (3 calls)");
    assert!(before.starts_with("1 × holdshort:agent/checks@0.1.0#run, which changes nothing\n"), "{before}");
    assert_digests(&folder, &host, &held);
    let page = shown(&folder, &held);
    assert!(!page.contains("Warnings"), "{page}");
    let places =
        ["What would be done", "What the host found out", "checks that this host ran", "The agent's rationale"];
    assert!(places.map(|heading| page.find(heading).expect(heading)).is_sorted(), "{page}");
}

/// A connector finds only the facts that it declares. In a debug build the host panics if a connector finds another
/// fact.
#[test]
fn every_declared_fact_is_found_by_its_connector() {
    let (folder, _) = folder("[payments.accounts.operating]\nopening = [\"10.00 EUR\"]\n");
    let host = folder.serve();
    for (connector, task) in [
        ("git", "deploy main production notes"),
        ("ledger", "pay operating acme 1 EUR"),
        ("maildir", "email ann@localhost Hello"),
        ("guidance", "ask Go on?"),
    ] {
        let held = host.held(&host.start("scripted", task));
        assert_eq!(held["proposal"]["connector"], connector);
        let found: BTreeSet<&str> = facts(&held).as_object().into_iter().flatten().map(|(name, _)| &**name).collect();
        let declared = DESCRIPTORS.iter().find_map(|one| match one.class {
            Class::Consequential(Effect { connector: name, facts: DeclaredFacts::Fixed(facts), .. }) => {
                (name == connector).then_some(facts)
            }
            Class::Log | Class::Routine | Class::Consequential(_) => None,
        });
        let declared = declared.unwrap().iter().filter(|fact| fact.readers != FactReaders::Policies);
        assert_eq!(found, declared.map(|fact| fact.name).collect(), "{connector}");
    }
}

/// The agent claims that all tests passed. The host's own report, which the agent received, says that they failed.
#[test]
fn a_lying_release_is_pointed_out_before_everything_else() {
    let (folder, repository) = checked("", FAILED, 1);
    let host = folder.serve();
    let held = host.held(&host.start("scripted", "check tests main\ndeploy main production All tests pass"));
    let short = &repository.tip("main")[..12];
    let report = evidence(&host, &held, &format!("checks that this host ran on {short}: 1 of 1 FAILED"));
    assert!(report.contains("FAILED with exit status 1") && report.contains("; 1 failed; "), "{report}");
    let page = shown(&folder, &held);
    let difference = "says that checks passed, but on this host \"tests\" failed";
    let joined = page.split_whitespace().filter(|word| *word != "┊").collect::<Vec<_>>().join(" ");
    assert!(joined.contains(difference), "{page}");
    assert!(page.find("Warnings") < page.find("What would be done"), "{page}");
    // The difference is not a decision: the reviewer may still approve.
    host.approve(&held);
    host.effect(held["id"].as_str().unwrap(), "succeeded");
}

#[test]
fn a_report_on_another_commit_counts_for_nothing() {
    let (folder, repository) = checked("", PASSED, 0);
    let host = folder.serve();
    let held =
        host.held(&host.start("scripted", "check tests production\ncheck lint main\ndeploy main production CI ok"));
    let (old, new) = (repository.tip("production"), repository.tip("main"));
    let report = evidence(&host, &held, &format!("checks that this host ran on {}: none", &new[..12]));
    assert!(report.starts_with("No check has run on this commit in this run.\n\nReports on other commits"), "{report}");
    assert!(report.contains(&format!("tests: passed on {} (call 1)", &old[..12])), "{report}");
    assert!(report.contains("call 2 asked for a check that did not run: "), "{report}");
    assert_eq!((&facts(&held)["checks"], &facts(&held)["checks-on-other-commits"]), (&json!([]), &json!(1)));
    assert!(shown(&folder, &held).contains("says that checks passed, but this host ran checks only"));
}

/// An edited call, and a call whose facts changed, still show the history of the run.
#[test]
fn an_edit_and_changed_facts_keep_what_the_run_did() {
    let (folder, repository) = checked("[approval]\nquorum = 2\n", PASSED, 0);
    let host = folder.serve();
    let first = host.held(&host.start("scripted", "check tests main\ndeploy main production notes"));
    let id = first["id"].as_str().unwrap();
    let decide = |host: &Host, who: &str, approval: &Value, kind: &str, more: Value| {
        let mut decision = json!({ "type": kind, "digest": approval["digest"] });
        decision.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        let (status, answer) = host.request(&token(who), &format!("/v1/approvals/{id}/decisions"), Some(&decision));
        assert!([200, 202].contains(&status), "{answer}");
    };
    let mut arguments = first["proposal"]["action"]["arguments"].clone();
    arguments["release"]["notes"] = json!("better notes");
    decide(&host, "alice", &first, "edit", json!({ "arguments": arguments }));
    let edited = host.approval(id);
    assert_eq!(edited["proposal"]["exhibits"], first["proposal"]["exhibits"]);
    assert_eq!(
        (facts(&edited), edited["votes"].as_array().unwrap().len()),
        (facts(&first), 1),
        "nothing new was found"
    );

    // The target moves before the deployment.
    let other = repository.git(&["commit-tree", "-m", "a hotfix", "refs/heads/production^{tree}"]);
    repository.git(&["update-ref", "refs/heads/production", &other]);
    decide(&host, "bob", &edited, "approve", json!({}));
    let again = crate::support::until("another look", || Some(host.approval(id)).filter(|now| now["revision"] == 3));
    assert_eq!((&facts(&again)["old-commit"], &facts(&again)["checks"]), (&json!(other), &facts(&first)["checks"]));
    let titles = |approval: &Value| -> Vec<String> {
        let exhibits = approval["proposal"]["exhibits"].as_array().unwrap().iter();
        exhibits.map(|exhibit| exhibit["title"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(titles(&again)[0], titles(&first)[0]);
    assert_eq!(titles(&again).last(), titles(&first).last());
    assert_digests(&folder, &host, &again);
}

/// Git reads the first three spellings as the unreviewed commit. A pattern on the agent's text would accept them.
#[test]
fn no_spelling_of_an_unreviewed_commit_passes_for_an_allowed_branch() {
    let (folder, repository) = folder(&format!(
        "\n[agents.release]\ncomponent = \"{}\"\n\
         [checks.tests]\ncommand = [\"true\"]\nrevisions = [\"main\", \"release/*\"]\n",
        component("release").display()
    ));
    let evil = repository.git(&["commit-tree", "main^{tree}", "-p", "main", "-m", "evil"]);
    repository.git(&["branch", "feature", &evil]);
    repository.git(&["tag", "release/1.0", &evil]);
    let host = folder.serve();
    for (revision, why) in [
        (format!("release/x-0-g{evil}"), "there is no branch or tag"),
        (format!("main-0-g{}", &evil[..7]), "there is no branch or tag"),
        ("feature^{commit}".into(), "does not name a git revision"),
        ("release/1.0".into(), r#"may not run on \"refs/tags/release/1.0\", only on `refs/heads/main`"#),
        ("feature".into(), r#"may not run on \"refs/heads/feature\""#),
        (evil.clone(), "may not run on the bare commit id"),
    ] {
        let row = host.over(&host.start("release", &format!("{revision} to production")));
        assert_eq!(row["state"], "failed", "{revision}: {row}");
        assert!(row.to_string().contains(why), "{revision}: {row}");
    }
    host.held(&host.start("release", "main to production"));
}

/// The release agent is tried with a tag that has the branch's name, more commits than the notes should name, very long
/// subjects, and a diff larger than the limit.
#[test]
fn the_release_agent_lives_within_the_hosts_limits() {
    let (folder, repository) = checked("", PASSED, 0);
    let large = folder.path().join("large");
    std::fs::write(&large, "0123456789\n".repeat(150_000)).unwrap();
    let blob = repository.git(&["hash-object", "-w", large.to_str().unwrap()]);
    std::fs::write(&large, format!("100644 blob {blob}\tlock\n")).unwrap();
    let tree = std::process::Command::new("sh")
        .args(["-c", "git mktree < ../large"])
        .current_dir(folder.path().join("shop.git"))
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap().trim().to_owned();
    let mut tip = repository.tip("main");
    for number in 0..120 {
        let message = format!("{number} {}\n\n{}", "\"subject\" ".repeat(100), "body\n".repeat(3_000));
        tip = repository.git(&["commit-tree", &tree, "-p", &tip, "-m", &message]);
    }
    repository.git(&["update-ref", "refs/heads/main", &tip]);
    repository.git(&["tag", "production", "main"]);
    let host = folder.serve();
    let held = host.held(&host.start("release", "main to production"));
    assert_eq!((&facts(&held)["new-commit"], &facts(&held)["commit-count"]), (&json!(tip), &json!(121)));
    let claims = &held["proposal"]["action"]["arguments"]["rationale"];
    assert!(claims["summary"].as_str().unwrap().contains("1 commit or more would go live"), "{claims}");
    assert!(claims["exhibits"][1]["text"].as_str().unwrap().contains("the diff is 1"), "{claims}");
}
