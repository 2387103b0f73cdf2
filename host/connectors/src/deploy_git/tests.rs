use holdshort_gate::{RunId, Time};
use serde_json::json;

use super::git::tests::{Scratch, action};
use super::*;
use crate::exhibit::tests::refused_alike;

mod shown;

fn connector(scratch: &Scratch) -> DeployGit {
    let children = Children::open(&scratch.folder.path().join("children")).unwrap();
    let targets = [("production", "refs/heads/production"), ("staging", "refs/heads/env/staging")];
    let targets = targets.map(|(name, branch)| (name.to_owned(), branch.parse().unwrap())).into();
    DeployGit::new(scratch.git(), targets, children)
}

fn deploy(target: &str, revision: &str) -> Action {
    let release = json!({ "target": target, "revision": revision, "notes": "n" });
    action("deployment", "deploy", &json!({ "release": release, "rationale": { "summary": "trust me" } }))
}

fn inquiry(action: &Action, preconditions: &Value, key: &str) -> Inquiry {
    Inquiry {
        run: RunId("r1".into()),
        call: 1,
        attempt: 1,
        started_at: Time(0),
        action: action.clone(),
        preconditions: preconditions.clone(),
        key: EffectKey(key.into()),
    }
}

async fn perform(git: &DeployGit, action: &Action, preconditions: &Value, key: &str) -> Attempt {
    git.attempt(action, preconditions, &EffectKey(key.into()), "holdshort: run r1, call 1").await
}

fn text(previewed: &Previewed, title: &str) -> String {
    let exhibit = previewed.exhibits.iter().find(|exhibit| exhibit.title.starts_with(title));
    String::from_utf8(exhibit.unwrap_or_else(|| panic!("{title}: {previewed:?}")).bytes.clone()).unwrap()
}

async fn refusal(git: &DeployGit, target: &str, revision: &str) -> String {
    match git.preview(&"release".into(), &deploy(target, revision)).await {
        Err(CannotPreview::Impossible(why)) => why.into_string(),
        other => panic!("{target} {revision}: {other:?}"),
    }
}

#[tokio::test]
async fn a_preview_tells_the_true_change_and_the_deployment_makes_it() {
    let scratch = Scratch::new();
    let old = scratch.tip("production");
    scratch.commit("two", &[("a.txt", "2\n")]);
    let new = scratch.commit("three\n\ncommit 0000 in the message", &[("b/c.txt", "3\n")]);
    let git = connector(&scratch);
    let action = deploy("production", "main");
    let previewed = git.preview(&"release".into(), &action).await.unwrap();
    let (from, to) = (old.short(), new.short());
    assert_eq!(
        previewed.summary,
        format!(
            "deploy {to} to production: moves refs/heads/production from {from} by 2 commits; 2 files changed, 2 insertions(+), 1 deletion(-)"
        )
    );
    let titles: Vec<&str> = previewed.exhibits.iter().map(|exhibit| exhibit.title.as_str()).collect();
    assert_eq!(
        titles,
        [
            format!("files {from}..{to}"),
            format!("commits {from}..{to} (2)"),
            format!("deployed now: {from}"),
            format!("diff {from}..{to}")
        ]
    );
    assert!(text(&previewed, "deployed now").starts_with(&format!("commit {old}\nAuthor: Ann")));
    let subjects = [("three", new.as_str()), ("two", &scratch.tip("main~1").to_string())];
    assert_eq!(
        previewed.facts,
        json!({
            "old-commit": old.as_str(), "new-commit": new.as_str(), "reference": "refs/heads/main", "branches": ["refs/heads/main"], "commit-count": 2, "lost-commit-count": 0,
            "commits": subjects.map(|(subject, id)| json!({ "id": id, "subject": subject })),
            "history-known": true, "files-changed": 2, "files-not-shown": 0, "kinds-not-shown": [],
            "lines-added": 2, "lines-removed": 1,
        })
    );
    assert!(text(&previewed, "files").contains("added    \"b/c.txt\"  +1 -0\n"));
    let log = text(&previewed, "commits");
    assert!(log.contains("Author: Ann <ann@example.com>") && log.contains("\n    commit 0000 in"), "{log}");
    assert!(text(&previewed, "diff").contains("-1\n+2\n"));
    let branch = "refs/heads/production";
    let repository = scratch.path.to_str().unwrap();
    let shown = json!({
        "repository": repository, "branch": branch, "old": old.as_str(), "new": new.as_str(), "reference": "refs/heads/main",
    });
    assert_eq!(previewed.preconditions, shown);
    assert_eq!(scratch.tip("production"), old, "a preview changes nothing");

    let receipt =
        json!({ "deployed": action.arguments()["release"], "commit": new.as_str(), "previous": old.as_str() });
    assert_eq!(perform(&git, &action, &previewed.preconditions, "k1").await, Attempt::Done(receipt.clone()));
    assert_eq!(scratch.tip("production"), new);
    assert_eq!(scratch.tip("refs/holdshort/effects/k1"), new);
    assert!(scratch.run(&["reflog", "production"]).contains("holdshort: run r1, call 1"));
    assert_eq!(git.receipt(&inquiry(&action, &previewed.preconditions, "k1")), Some(receipt.clone()));
    // If the key is used again, the earlier success is reported, even after the branch has moved on.
    scratch.run(&["update-ref", "refs/heads/production", old.as_str()]);
    assert_eq!(perform(&git, &action, &previewed.preconditions, "k1").await, Attempt::Done(receipt));
    assert_eq!(scratch.tip("production"), old, "and is not done again");
}

#[tokio::test]
async fn a_branch_that_does_not_exist_yet_is_made() {
    let scratch = Scratch::new();
    let (git, action) = (connector(&scratch), deploy("staging", "main"));
    let previewed = git.preview(&"release".into(), &action).await.unwrap();
    assert!(
        previewed.summary.contains("creates refs/heads/env/staging, which does not exist yet"),
        "{}",
        previewed.summary
    );
    assert!(text(&previewed, "diff nothing..").contains("+1\n"));
    assert_eq!((&previewed.facts["old-commit"], &previewed.facts["commit-count"]), (&Value::Null, &json!(1)));
    assert_eq!(previewed.preconditions["old"], Value::Null);
    // Another program creates the branch meanwhile.
    scratch.run(&["branch", "env/staging"]);
    let attempt = perform(&git, &action, &previewed.preconditions, "k").await;
    assert!(matches!(&attempt, Attempt::FactsChanged(why) if why.contains("was absent")), "{attempt:?}");
    scratch.run(&["branch", "-D", "env/staging"]);
    let Attempt::Done(receipt) = perform(&git, &action, &previewed.preconditions, "k").await else { panic!() };
    assert_eq!(receipt["previous"], Value::Null);
    assert_eq!(scratch.tip("env/staging"), scratch.tip("main"));
}

#[tokio::test]
async fn what_is_not_a_fast_forward_is_said_first() {
    let scratch = Scratch::new();
    scratch.run(&["switch", "-q", "-c", "other"]);
    scratch.commit("hotfix on production", &[("fix.txt", "f\n")]);
    scratch.run(&["branch", "-f", "production", "other"]);
    scratch.run(&["switch", "-q", "main"]);
    scratch.commit("two", &[("a.txt", "2\n")]);
    let previewed = connector(&scratch).preview(&"release".into(), &deploy("production", "main")).await.unwrap();
    assert!(
        previewed.summary.contains("NOT A FAST-FORWARD") && previewed.summary.contains("loses 1 commit and gains 1")
    );
    assert_eq!(previewed.exhibits[0].title, "not a fast-forward: commits that `production` would lose (1)");
    assert!(text(&previewed, "not a fast").contains("hotfix on production"));
    assert_eq!(previewed.facts["lost-commit-count"], 1);
    assert!(text(&previewed, "diff").contains("deleted file"), "what the move takes away is in the diff");
}

#[tokio::test]
async fn what_cannot_be_deployed_is_refused_with_the_reason() {
    let scratch = Scratch::new();
    let git = connector(&scratch);
    let why = refusal(&git, "prod", "main").await;
    assert_eq!(why, "there is no target \"prod\"; configured: `production`, `staging`");
    assert!(refusal(&git, "production", "nope").await.contains("no branch or tag \"nope\""));
    for odd in ["--upload-pack=touch canary", "-x", "^main", "main:a.txt", "main..main", ""] {
        assert!(refusal(&git, "production", odd).await.contains("does not name a git revision"), "{odd}");
    }
    assert!(refusal(&git, "production", "main").await.contains("is already at"), "already deployed");
    scratch.commit("two", &[("a.txt", "2\n")]);
    scratch.run(&["worktree", "add", "-q", "../linked", "production"]);
    let why = refusal(&git, "production", "main").await;
    assert!(why.contains("is checked out in \"") && why.contains("linked"), "{why}");
    scratch.run(&["worktree", "remove", "../linked"]);
    scratch.run(&["symbolic-ref", "refs/heads/production", "refs/heads/main"]);
    assert!(refusal(&git, "production", "main").await.contains("a symbolic reference to \"refs/heads/main\""));
}

/// A preview finds the references that would make git refuse the move.
#[tokio::test]
async fn a_branch_that_git_could_not_make_is_refused_at_the_preview() {
    let scratch = Scratch::new();
    scratch.commit("two", &[("a.txt", "2\n")]);
    let git = connector(&scratch);
    for (target, made, found) in [
        ("staging", "refs/heads/env", "refs/heads/env"),
        ("staging", "refs/heads/env/staging/eu", "refs/heads/env/staging/eu"),
        ("staging", "refs/heads/env/staging/eu/west", "refs/heads/env/staging/eu/west"),
        ("staging", "refs/holdshort", "refs/holdshort"),
        ("production", "refs/holdshort/effects", "refs/holdshort/effects"),
    ] {
        assert!(git.preview(&"release".into(), &deploy(target, "main")).await.is_ok(), "{target} without {made}");
        scratch.run(&["update-ref", made, "main"]);
        let why = refusal(&git, target, "main").await;
        assert!(why.contains(&format!("cannot be moved while \"{found}\" exists:")), "{made}: {why}");
        // Git itself would refuse the move too.
        let facts = json!({
            "repository": scratch.path, "branch": git.targets[target].as_str(), "new": scratch.tip("main").as_str(),
            "old": if target == "production" { json!(scratch.tip("production").as_str()) } else { Value::Null },
        });
        let (key, facts) = (EffectKey("k".into()), DeployFacts::read(&facts).unwrap());
        let ended = git.children.run("move", git.order(&facts, &key, "r")).await.unwrap();
        assert!(matches!(ended.how, ExitKind::Exited(code) if code != 0), "{made}: {ended:?}");
        scratch.run(&["update-ref", "-d", made]);
    }
    scratch.run(&["symbolic-ref", "refs/heads/env/staging", "refs/heads/nothing"]);
    assert!(refusal(&git, "staging", "main").await.contains("a symbolic reference to \"refs/heads/nothing\""));
}

#[tokio::test]
async fn facts_that_changed_stop_the_deployment() {
    let scratch = Scratch::new();
    let old = scratch.tip("production");
    let (two, three) = (scratch.commit("two", &[("a.txt", "2\n")]), scratch.commit("three", &[("a.txt", "3\n")]));
    let (git, action) = (connector(&scratch), deploy("production", three.as_str()));
    let shown = git.preview(&"release".into(), &action).await.unwrap().preconditions;
    let check = async |needle: &str| {
        let attempt = perform(&git, &action, &shown, "k").await;
        assert!(matches!(&attempt, Attempt::FactsChanged(why) if why.contains(needle)), "{attempt:?}");
    };
    scratch.run(&["branch", "-f", "production", two.as_str()]);
    check(&format!("was at {old} when the call was shown and is at {two} now")).await;
    scratch.run(&["branch", "-D", "production"]);
    check("is absent now").await;
    scratch.run(&["branch", "production", old.as_str()]);
    scratch.run(&["switch", "-q", "production"]);
    check("is checked out in").await;
    scratch.run(&["switch", "-q", "main"]);
    let elsewhere = BTreeMap::from([("production".to_owned(), "live".parse().unwrap())]);
    let other = DeployGit::new(scratch.git(), elsewhere, git.children.clone());
    assert!(
        matches!(perform(&other, &action, &shown, "k").await, Attempt::FactsChanged(why) if why.contains("refs/heads/live"))
    );
    // A copy of the repository has the same commits and branches, but is not the repository that was shown.
    let copy = scratch.folder.path().join("copy");
    scratch.run(&["clone", "-q", "--mirror", ".", copy.to_str().unwrap()]);
    let other = DeployGit::new(Git::at(&copy), git.targets.clone(), git.children.clone());
    let attempt = perform(&other, &action, &shown, "k").await;
    assert!(
        matches!(&attempt, Attempt::FactsChanged(why) if why.contains("is in") && why.contains("copy now")),
        "{attempt:?}"
    );
    let found = other.lookup(&inquiry(&action, &shown, "k")).await;
    assert!(
        matches!(&found, Finding::Unknown { evidence } if evidence.contains("but this host no longer deploys there")),
        "{found:?}"
    );
    // The name of the revision means a newer commit now. The shown commit is deployed nevertheless.
    let by_name = deploy("production", "main");
    scratch.commit("four", &[("a.txt", "4\n")]);
    assert!(matches!(perform(&git, &by_name, &shown, "k").await, Attempt::Done(_)));
    assert_eq!(scratch.tip("production"), three);
}

#[tokio::test]
async fn of_two_deployments_from_the_same_state_one_happens() {
    let scratch = Scratch::new();
    scratch.commit("two", &[("a.txt", "2\n")]);
    let git = connector(&scratch);
    let (one, other) = (deploy("production", "main"), deploy("production", "refs/heads/main"));
    let shown = git.preview(&"release".into(), &one).await.unwrap().preconditions;
    for round in 0..8 {
        let (first, second) = (format!("a{round}"), format!("b{round}"));
        // The two attempts skip the first check, which would notice the earlier move. So only git's own transaction can
        // prevent a second move.
        let facts = DeployFacts::read(&shown).unwrap();
        let raced = async |action: &Action, key: &str| {
            let key = EffectKey(key.into());
            let ended = git.children.run(&child_name(&key), git.order(&facts, &key, "race")).await.unwrap();
            git.outcome(&Release::of(action).unwrap(), &facts, &key, &ended).await
        };
        let (a, b) = tokio::join!(raced(&one, &first), raced(&other, &second));
        let done = |attempt: &Attempt| matches!(attempt, Attempt::Done(_));
        // The slower attempt finds the other attempt's lock, or the branch already moved.
        let lost = |attempt: &Attempt| matches!(attempt, Attempt::FactsChanged(_) | Attempt::NotDone(_));
        assert!(done(&a) && lost(&b) || lost(&a) && done(&b), "{a:?} {b:?}");
        let markers = scratch.run(&["for-each-ref", "refs/holdshort"]);
        assert_eq!(markers.lines().count(), round + 1, "{markers}");
        scratch.run(&["branch", "-f", "production", facts.old.unwrap().as_str()]);
    }
}

#[tokio::test]
async fn a_lost_outcome_is_found_in_the_repository() {
    let scratch = Scratch::new();
    let old = scratch.tip("production");
    let new = scratch.commit("two", &[("a.txt", "2\n")]);
    let (git, action) = (connector(&scratch), deploy("production", "main"));
    let shown = git.preview(&"release".into(), &action).await.unwrap().preconditions;
    let facts = DeployFacts::read(&shown).unwrap();
    // The host died before git was started.
    let found = git.lookup(&inquiry(&action, &shown, "k1")).await;
    assert!(matches!(&found, Finding::DidNotHappen { evidence } if evidence.contains(old.as_str())), "{found:?}");
    // The host died after git ended and before the outcome was recorded.
    let key = EffectKey("k1".into());
    git.children.run(&child_name(&key), git.order(&facts, &key, "r")).await.unwrap();
    let Finding::Happened { receipt, evidence } = git.lookup(&inquiry(&action, &shown, "k1")).await else { panic!() };
    assert_eq!((&receipt["commit"], &receipt["previous"]), (&json!(new.as_str()), &json!(old.as_str())));
    assert!(evidence.contains("refs/holdshort/effects/k1") && evidence.contains(new.as_str()), "{evidence}");
    // The branch was moved for call `k1`, so a lookup for `k2` cannot tell whether `k2` moved it too.
    let found = git.lookup(&inquiry(&action, &shown, "k2")).await;
    assert!(matches!(&found, Finding::Unknown { evidence } if evidence.contains("effects/k2 is absent")), "{found:?}");
    assert!(matches!(git.lookup(&inquiry(&action, &json!({}), "k1")).await, Finding::Unknown { .. }));
    std::fs::rename(&scratch.path, scratch.folder.path().join("gone")).unwrap();
    let found = git.lookup(&inquiry(&action, &shown, "k1")).await;
    assert!(matches!(&found, Finding::Unknown { evidence } if evidence.contains("cannot be read")), "{found:?}");
}

#[tokio::test]
async fn a_git_that_still_runs_is_waited_for() {
    let scratch = Scratch::new();
    scratch.commit("two", &[("a.txt", "2\n")]);
    let (git, action) = (connector(&scratch), deploy("production", "main"));
    let shown = git.preview(&"release".into(), &action).await.unwrap().preconditions;
    let facts = DeployFacts::read(&shown).unwrap();
    let key = EffectKey("slow".into());
    // The same git command, but a shell delays its start by a second.
    let mut order = git.order(&facts, &key, "slow");
    order.argv.splice(0..0, ["sh", "-c", "sleep 1; exec \"$@\"", "sh"].map(str::to_owned));
    let name = child_name(&key);
    let (_, found) = tokio::join!(git.children.run(&name, order), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        git.lookup(&inquiry(&action, &shown, "slow")).await
    });
    assert!(matches!(found, Finding::Happened { .. }), "not `DidNotHappen` because it looked too early: {found:?}");
}

#[tokio::test]
async fn a_git_that_was_killed_in_the_middle_leaves_a_doubt_and_its_locks_are_named() {
    let scratch = Scratch::new();
    let new = scratch.commit("two", &[("a.txt", "2\n")]);
    let (git, action) = (connector(&scratch), deploy("production", "main"));
    let shown = git.preview(&"release".into(), &action).await.unwrap().preconditions;
    let facts = DeployFacts::read(&shown).unwrap();
    let key = EffectKey("cut".into());
    // Git gets no `commit` step: it waits for more input after `prepare`, and is killed while it waits.
    let mut order = git.order(&facts, &key, "cut");
    let orders = facts.transaction(&key).replace("commit\n", "");
    order.stdin = Vec::new();
    order.argv.splice(0..0, ["sh", "-c", &format!("(printf '{orders}'; sleep 30) | \"$@\""), "sh"].map(str::to_owned));
    // The time limit is long enough for `prepare` on a busy machine.
    order.time_out = Duration::from_secs(5);
    let ended = git.children.run(&child_name(&key), order).await.unwrap();
    assert_eq!(ended.how, ExitKind::TimedOut);
    assert!(String::from_utf8_lossy(&ended.stdout.bytes).contains("prepare: ok"));
    let release = Release::of(&action).unwrap();
    let attempt = git.outcome(&release, &facts, &key, &ended).await;
    assert!(matches!(&attempt, Attempt::Unknown(why) if why.contains("production.lock")), "{attempt:?}");
    let found = git.lookup(&inquiry(&action, &shown, "cut")).await;
    assert!(matches!(&found, Finding::Unknown { evidence } if evidence.contains("cut.lock")), "{found:?}");
    // A second deployment fails because of the locks that git left, and changes nothing.
    let attempt = perform(&git, &action, &shown, "next").await;
    assert!(matches!(&attempt, Attempt::NotDone(why) if why.contains("production.lock")), "{attempt:?}");

    // Now git was killed after it had replaced the branch, which it does first, and before it created the marker.
    let refs = scratch.path.join(".git/refs");
    std::fs::rename(refs.join("heads/production.lock"), refs.join("heads/production")).unwrap();
    assert_eq!(scratch.tip("production"), new);
    let found = git.lookup(&inquiry(&action, &shown, "cut")).await;
    assert!(matches!(&found, Finding::Unknown { evidence } if evidence.contains("effects/cut is absent")), "{found:?}");
}
