use std::path::{Path, PathBuf};
use std::time::Duration;

use holdshort_gate::{EffectKey, RunId, Time};

use super::super::child::ExitKind;
use super::super::git::tests::{Scratch, action};
use super::*;

/// A connector whose program is `script`, run with a shell that records each start in `runs`.
fn connector(scratch: &Scratch, script: &str) -> DeployCommand {
    let counted = format!("echo started >> {}; {script}", runs(scratch).display());
    let program = Program {
        argv: ["sh", "-c", &counted].map(str::to_owned).into(),
        folder: scratch.path.clone(),
        time_out: Duration::from_secs(20),
        environment: Vec::new(),
        not_done: vec![75],
    };
    let children = Children::open(&scratch.folder.path().join("children")).unwrap();
    let targets = [("production", "refs/heads/production"), ("new", "refs/heads/new")];
    let targets = targets.map(|(name, branch)| (name.to_owned(), branch.parse().unwrap())).into();
    DeployCommand::new(program, scratch.git(), targets, children)
}

fn runs(scratch: &Scratch) -> PathBuf {
    scratch.folder.path().join("runs")
}

fn started(scratch: &Scratch) -> usize {
    std::fs::read_to_string(runs(scratch)).unwrap_or_default().lines().count()
}

fn deploy(revision: &str) -> Action {
    deploy_to("production", revision)
}

fn deploy_to(target: &str, revision: &str) -> Action {
    let release = json!({ "target": target, "revision": revision, "notes": "n" });
    action("deployment", "deploy", &json!({ "release": release, "rationale": { "summary": "trust me" } }))
}

fn inquiry(action: &Action, preconditions: &Value) -> Inquiry {
    Inquiry {
        run: RunId("r1".into()),
        call: 2,
        attempt: 1,
        started_at: Time(0),
        action: action.clone(),
        preconditions: preconditions.clone(),
        key: EffectKey("k1".into()),
    }
}

async fn perform(connector: &DeployCommand, action: &Action, preconditions: &Value) -> Attempt {
    let (run, key) = (RunId("r1".into()), EffectKey("k1".into()));
    connector.attempt(action, preconditions, AttemptOrigin { run: &run, call: 2, attempt: 1, key: &key }).await
}

/// The outcome of a program that is previewed and then run.
async fn outcome(script: &str) -> Attempt {
    let scratch = Scratch::new();
    let (connector, action) = (connector(&scratch, script), deploy("main"));
    let shown = connector.preview(&"release".into(), &action).await.unwrap().preconditions;
    let attempt = perform(&connector, &action, &shown).await;
    assert_eq!(started(&scratch), 1, "{script}");
    attempt
}

fn said(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[tokio::test]
async fn the_program_gets_the_commit_that_was_shown_and_its_success_is_the_receipt() {
    let scratch = Scratch::new();
    let (heard, plain) = (scratch.folder.path().join("stdin"), scratch.folder.path().join("environment"));
    let words = "$HOLDSHORT_TARGET $HOLDSHORT_REVISION $HOLDSHORT_REFERENCE $HOLDSHORT_COMMIT $HOLDSHORT_PREVIOUS $HOLDSHORT_KEY $CARGO_MANIFEST_DIR";
    let script = format!("cat > {}; echo {words} > {}", heard.display(), plain.display());
    let (connector, old) = (connector(&scratch, &script), scratch.tip("production"));
    let (action, new) = (deploy("main"), scratch.commit("two", &[("a.txt", "2\n")]));
    let previewed = connector.preview(&"release".into(), &action).await.unwrap();
    let program: Value = serde_json::from_slice(&previewed.exhibits.last().unwrap().bytes).unwrap();
    assert_eq!(program["exit-status"], json!({ "done": 0, "nothing-done": [75] }));
    assert_eq!(started(&scratch), 0, "a preview runs nothing");

    let release = action.arguments()["release"].clone();
    let receipt = json!({ "deployed": release, "commit": new.as_str(), "previous": old.as_str() });
    assert_eq!(perform(&connector, &action, &previewed.preconditions).await, Attempt::Done(receipt.clone()));
    let expected = json!({
        "release": release, "reference": "refs/heads/main", "commit": new.as_str(), "previous": old.as_str(),
        "key": "k1", "run": "r1", "call": 2, "attempt": 1,
    });
    assert_eq!(said(&heard), expected);
    // The program has none of the host's variables: `$CARGO_MANIFEST_DIR`, the last word of the script's
    // line, is empty.
    assert_eq!(std::fs::read_to_string(plain).unwrap(), format!("production main refs/heads/main {new} {old} k1\n"));
    assert_eq!(connector.receipt(&inquiry(&action, &previewed.preconditions)), Some(receipt));
}

/// The commits and the diff of the target's branch are shown, as `deploy_git` shows them.
#[tokio::test]
async fn a_reviewer_sees_what_would_change() {
    let scratch = Scratch::new();
    let (connector, old) = (connector(&scratch, "true"), scratch.tip("main"));
    let look = async |target: &str, revision: &str| {
        let Previewed { summary, exhibits, preconditions, .. } =
            connector.preview(&"release".into(), &deploy_to(target, revision)).await.unwrap();
        let text = |exhibit: &Exhibit| (exhibit.title.to_string(), String::from_utf8(exhibit.bytes.clone()).unwrap());
        (summary, exhibits.iter().map(text).collect::<Vec<_>>(), preconditions)
    };
    let titles = |exhibits: &[(String, String)]| exhibits.iter().map(|(title, _)| title.clone()).collect::<Vec<_>>();

    let new = scratch.commit("two", &[("a.txt", "2\n")]);
    let (summary, exhibits, preconditions) = look("production", "main").await;
    let span = format!("{}..{}", old.short(), new.short());
    let more = "1 commit more than refs/heads/production, which is at";
    let files = "1 file changed, 1 insertion(+), 1 deletion(-)";
    let begins = format!("deploy {} to production by running `sh`: ", new.short());
    assert_eq!(summary, format!("{begins}{more} {}; {files}", old.short()));
    let (files, commits, diff) = (format!("files {span}"), format!("commits {span} (1)"), format!("diff {span}"));
    let now = format!("deployed now: {}", old.short());
    assert_eq!(titles(&exhibits), [files, commits, now, diff, "the program".into()]);
    assert!(exhibits[1].1.contains("\n    two\n") && exhibits[3].1.contains("\n-1\n+2\n"), "{exhibits:?}");
    let shown = json!({
        "repository": scratch.path.display().to_string(), "branch": "refs/heads/production",
        "old": old.as_str(), "new": new.as_str(), "reference": "refs/heads/main", "program": connector.program.argv,
    });
    assert_eq!(preconditions, shown);

    // The branch would move backwards: the evidence lists first the commits that it would lose.
    scratch.run(&["update-ref", "refs/heads/production", new.as_str()]);
    let (summary, exhibits, _) = look("production", old.as_str()).await;
    let lacks = "NOT A FAST-FORWARD: the commit lacks 1 commit of refs/heads/production, which is at";
    assert!(summary.contains(&format!("{lacks} {}, and has 0 commits more; ", new.short())), "{summary}");
    assert!(exhibits[0].0.starts_with("not a fast-forward: commits that `production` would lose (1)"));

    // A call without a diff says why there is none. Deploying the same commit again is permitted.
    for (target, says) in [
        ("production", "refs/heads/production is already at this commit"),
        ("new", "the replaced commit is NOT KNOWN, because there is no refs/heads/new; no diff is shown"),
    ] {
        let (summary, exhibits, _) = look(target, "main").await;
        assert!(summary.ends_with(&format!(" to {target} by running `sh`: {says}")), "{summary}");
        assert_eq!(titles(&exhibits), ["the commit", "the program"]);
        assert!(exhibits[0].1.starts_with(&format!("commit {new}\nAuthor: Ann")), "{exhibits:?}");
    }
}

/// A target without a branch has no previous state.
#[tokio::test]
async fn a_first_deployment_has_no_previous() {
    let scratch = Scratch::new();
    let connector = connector(&scratch, "test -z \"$HOLDSHORT_PREVIOUS\"");
    let action = deploy_to("new", "main");
    let shown = connector.preview(&"release".into(), &action).await.unwrap().preconditions;
    let attempt = perform(&connector, &action, &shown).await;
    assert!(matches!(&attempt, Attempt::Done(receipt) if receipt["previous"].is_null()), "{attempt:?}");
}

#[tokio::test]
async fn how_it_ends_says_what_came_of_it() {
    assert!(matches!(outcome("echo fine").await, Attempt::Done(_)));
    let not_done = outcome("echo nothing to do >&2; exit 75").await;
    assert!(matches!(&not_done, Attempt::NotDone(why) if why == "exit status 75: \"nothing to do\""), "{not_done:?}");
    for (script, needle) in [
        ("echo half-way; exit 1", "exit status 1: \"half-way\""),
        ("kill -9 $$", "signal 9"),
        ("sleep 60 & exit 75", "a process of the program still runs"),
    ] {
        let attempt = outcome(script).await;
        assert!(matches!(&attempt, Attempt::Unknown(why) if why.contains(needle)), "{script}: {attempt:?}");
    }
    let scratch = Scratch::new();
    let mut slow = connector(&scratch, "sleep 60");
    slow.program.time_out = Duration::from_millis(200);
    let shown = slow.preview(&"release".into(), &deploy("main")).await.unwrap().preconditions;
    let attempt = perform(&slow, &deploy("main"), &shown).await;
    assert!(matches!(&attempt, Attempt::Unknown(why) if why.contains("ran longer than")), "{attempt:?}");
    let mut missing = connector(&scratch, "");
    missing.program.argv = vec!["/no/such/program".into()];
    let shown = missing.preview(&"release".into(), &deploy("main")).await.unwrap().preconditions;
    let attempt = perform(&missing, &deploy("main"), &shown).await;
    assert!(matches!(&attempt, Attempt::NotDone(why) if why.contains("/no/such/program")), "{attempt:?}");
}

#[tokio::test]
async fn a_target_is_deployed_to_by_one_at_a_time() {
    let scratch = Scratch::new();
    let (begun, go_on) = (scratch.folder.path().join("begun"), scratch.folder.path().join("go-on"));
    let script = format!("touch {}; until [ -e {} ]; do sleep 0.02; done", begun.display(), go_on.display());
    let (connector, action) = (connector(&scratch, &script), deploy("main"));
    let shown = connector.preview(&"release".into(), &action).await.unwrap().preconditions;
    let second = async {
        while !begun.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (run, key) = (RunId("r2".into()), EffectKey("k2".into()));
        let attempt =
            connector.attempt(&action, &shown, AttemptOrigin { run: &run, call: 1, attempt: 1, key: &key }).await;
        std::fs::write(&go_on, "").unwrap();
        attempt
    };
    let (first, second) = tokio::join!(perform(&connector, &action, &shown), second);
    assert!(matches!(first, Attempt::Done(_)), "{first:?}");
    let why = "another deployment to `production` was running";
    assert_eq!((second, started(&scratch)), (Attempt::FactsChanged(why.into()), 1));
    // After the first deployment the target is free again.
    assert!(matches!(perform(&connector, &action, &shown).await, Attempt::Done(_)));
}

#[tokio::test]
async fn what_has_moved_since_is_not_deployed() {
    let scratch = Scratch::new();
    let (connector, action, old) = (connector(&scratch, "true"), deploy("main"), scratch.tip("main"));
    let shown = connector.preview(&"release".into(), &action).await.unwrap().preconditions;
    let new = scratch.commit("two", &[("a.txt", "2\n")]);
    let attempt = perform(&connector, &action, &shown).await;
    let both = format!("\"main\" was {old} when the call was shown and is {new} now");
    assert!(matches!(&attempt, Attempt::FactsChanged(why) if *why == both), "{attempt:?}");
    // Meanwhile another deployment changes the commit of the target's branch.
    let shown = connector.preview(&"release".into(), &action).await.unwrap().preconditions;
    scratch.run(&["update-ref", "refs/heads/production", new.as_str()]);
    let attempt = perform(&connector, &action, &shown).await;
    let both = format!("refs/heads/production was at {old} when the call was shown and is at {new} now");
    assert!(matches!(&attempt, Attempt::FactsChanged(why) if *why == both), "{attempt:?}");
    // Meanwhile the operator changes the configuration: first it names another branch for the target, and then it
    // lacks the target.
    let shown = connector.preview(&"release".into(), &action).await.unwrap().preconditions;
    let mut elsewhere = connector.clone();
    elsewhere.targets.insert("production".into(), "refs/heads/main".parse().unwrap());
    let attempt = perform(&elsewhere, &action, &shown).await;
    let both =
        "the branch of `production` was refs/heads/production when the call was shown and is refs/heads/main now";
    assert!(matches!(&attempt, Attempt::FactsChanged(why) if *why == both), "{attempt:?}");
    elsewhere.targets.clear();
    let attempt = perform(&elsewhere, &action, &shown).await;
    assert!(matches!(&attempt, Attempt::FactsChanged(why) if why.contains("there is no target")), "{attempt:?}");
    assert!(matches!(perform(&connector, &action, &json!({})).await, Attempt::NotDone(_)));
    assert_eq!(started(&scratch), 0);
    for (target, revision) in [("staging", "main"), ("production", "nope"), ("production", "--x")] {
        let release = json!({ "target": target, "revision": revision, "notes": "" });
        let action = self::action("deployment", "deploy", &json!({ "release": release }));
        assert!(
            matches!(connector.preview(&"release".into(), &action).await, Err(CannotPreview::Impossible(_))),
            "{target} {revision}"
        );
    }
}

#[tokio::test]
async fn a_clearance_is_for_the_program_that_was_shown() {
    let scratch = Scratch::new();
    let (shown, other, action) = (connector(&scratch, "true"), connector(&scratch, "false"), deploy("main"));
    let shown = shown.preview(&"release".into(), &action).await.unwrap().preconditions;
    let attempt = perform(&other, &action, &shown).await;
    assert!(
        matches!(&attempt, Attempt::FactsChanged(why) if why.contains("; true\"] when the call was shown and is [") && why.ends_with("; false\"] now")),
        "{attempt:?}"
    );
    assert_eq!(started(&scratch), 0);
}

#[tokio::test]
async fn a_lookup_waits_for_the_program_and_claims_nothing() {
    let scratch = Scratch::new();
    let (connector, action) = (connector(&scratch, "sleep 1; exit 3"), deploy("main"));
    let shown = connector.preview(&"release".into(), &action).await.unwrap().preconditions;
    let lost = inquiry(&action, &shown);
    let evidence = async || match connector.lookup(&lost).await {
        Finding::Unknown { evidence } => evidence,
        other @ (Finding::Happened { .. } | Finding::DidNotHappen { .. }) => panic!("{other:?}"),
    };
    assert!(evidence().await.contains("there is no file"), "it was never started");
    // The test runs the program as if its host had been killed: no attempt waits for it. The lookup begins while the
    // program still runs.
    let order = connector.order(
        &Release::of(&action).unwrap(),
        &DeployFacts::read(&shown).unwrap(),
        &AttemptOrigin { run: &lost.run, call: lost.call, attempt: lost.attempt, key: &lost.key },
    );
    let running = connector.children.run("effect-k1-1", order);
    let (ended, seen) = tokio::join!(running, async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        evidence().await
    });
    assert_eq!(ended.unwrap().how, ExitKind::Exited(3));
    assert!(seen.contains("the program has ended"), "{seen}");
    assert_eq!(started(&scratch), 1, "a lookup starts nothing");
}
