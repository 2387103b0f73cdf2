use std::path::{Path, PathBuf};
use std::time::Duration;

use holdshort_gate::{EffectKey, RunId, Time};

use super::super::child::How;
use super::super::git::tests::{Scratch, action};
use super::*;

/// A connector whose program is `script`, run with a shell that appends each of its starts to `runs`.
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
    DeployCommand::new(program, scratch.git(), ["production".to_owned()].into(), children)
}

fn runs(scratch: &Scratch) -> PathBuf {
    scratch.folder.path().join("runs")
}

fn started(scratch: &Scratch) -> usize {
    std::fs::read_to_string(runs(scratch)).unwrap_or_default().lines().count()
}

fn deploy(revision: &str) -> Action {
    let release = json!({ "target": "production", "revision": revision, "notes": "n" });
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
    connector.attempt(action, preconditions, Origin { run: &run, call: 2, attempt: 1, key: &key }).await
}

/// What comes of a program that is shown and then run.
async fn outcome(script: &str) -> Attempt {
    let scratch = Scratch::new();
    let (connector, action) = (connector(&scratch, script), deploy("main"));
    let shown = connector.preview("release", &action).await.unwrap().preconditions;
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
    let script = format!(
        "cat > {}; echo $HOLDSHORT_TARGET $HOLDSHORT_REVISION $HOLDSHORT_COMMIT $HOLDSHORT_KEY $CARGO_MANIFEST_DIR > {}",
        heard.display(),
        plain.display()
    );
    let (connector, action, commit) = (connector(&scratch, &script), deploy("main"), scratch.tip("main"));
    let previewed = connector.preview("release", &action).await.unwrap();
    assert_eq!(previewed.summary, format!("deploy {} to production by running `sh`", commit.short()));
    let shown = json!({ "commit": commit.as_str(), "program": ["sh", "-c", connector.program.argv[2]] });
    assert_eq!(previewed.preconditions, shown);
    let [of_commit, of_program] = &previewed.exhibits[..] else { panic!("{previewed:?}") };
    assert!(String::from_utf8_lossy(&of_commit.bytes).contains(&format!("commit {commit}\nAuthor: Ann")));
    let program: Value = serde_json::from_slice(&of_program.bytes).unwrap();
    assert_eq!(program["exit-status"], json!({ "done": 0, "nothing-done": [75] }));
    assert_eq!(started(&scratch), 0, "a preview runs nothing");

    let release = action.arguments()["release"].clone();
    let receipt = json!({ "deployed": release, "commit": commit.as_str(), "previous": null });
    assert_eq!(perform(&connector, &action, &previewed.preconditions).await, Attempt::Done(receipt.clone()));
    let expected = json!({
        "release": release, "commit": commit.as_str(), "key": "k1", "run": "r1", "call": 2, "attempt": 1,
    });
    assert_eq!(said(&heard), expected);
    // Nothing of the host's environment: the last word is absent.
    assert_eq!(std::fs::read_to_string(plain).unwrap(), format!("production main {commit} k1\n"));
    assert_eq!(connector.receipt(&inquiry(&action, &previewed.preconditions)), Some(receipt));
}

#[tokio::test]
async fn how_it_ends_says_what_came_of_it() {
    assert!(matches!(outcome("echo fine").await, Attempt::Done(_)));
    let not_done = outcome("echo nothing to do >&2; exit 75").await;
    assert!(matches!(&not_done, Attempt::NotDone(why) if why == "exit status 75: nothing to do"), "{not_done:?}");
    for (script, needle) in [
        ("echo half-way; exit 1", "exit status 1: half-way"),
        ("kill -9 $$", "signal 9"),
        ("sleep 60 & exit 75", "what it started still runs"),
    ] {
        let attempt = outcome(script).await;
        assert!(matches!(&attempt, Attempt::Unknown(why) if why.contains(needle)), "{script}: {attempt:?}");
    }
    let scratch = Scratch::new();
    let mut slow = connector(&scratch, "sleep 60");
    slow.program.time_out = Duration::from_millis(200);
    let shown = slow.preview("release", &deploy("main")).await.unwrap().preconditions;
    let attempt = perform(&slow, &deploy("main"), &shown).await;
    assert!(matches!(&attempt, Attempt::Unknown(why) if why.contains("ran longer than")), "{attempt:?}");
    let mut missing = connector(&scratch, "");
    missing.program.argv = vec!["/no/such/program".into()];
    let shown = missing.preview("release", &deploy("main")).await.unwrap().preconditions;
    let attempt = perform(&missing, &deploy("main"), &shown).await;
    assert!(matches!(&attempt, Attempt::NotDone(why) if why.contains("/no/such/program")), "{attempt:?}");
}

#[tokio::test]
async fn a_name_that_has_moved_since_is_not_deployed() {
    let scratch = Scratch::new();
    let (connector, action, old) = (connector(&scratch, "true"), deploy("main"), scratch.tip("main"));
    let shown = connector.preview("release", &action).await.unwrap().preconditions;
    let new = scratch.commit("two", &[("a.txt", "2\n")]);
    let attempt = perform(&connector, &action, &shown).await;
    let both = format!("`main` was {old} when it was shown and is {new} now");
    assert!(matches!(&attempt, Attempt::FactsChanged(why) if *why == both), "{attempt:?}");
    assert!(matches!(perform(&connector, &action, &json!({})).await, Attempt::NotDone(_)));
    assert_eq!(started(&scratch), 0);
    for (target, revision) in [("staging", "main"), ("production", "nope"), ("production", "--x")] {
        let release = json!({ "target": target, "revision": revision, "notes": "" });
        let action = self::action("deployment", "deploy", &json!({ "release": release }));
        assert!(
            matches!(connector.preview("release", &action).await, Err(CannotPreview::Impossible(_))),
            "{target} {revision}"
        );
    }
}

#[tokio::test]
async fn a_clearance_is_for_the_program_that_was_shown() {
    let scratch = Scratch::new();
    let (shown, other, action) = (connector(&scratch, "true"), connector(&scratch, "false"), deploy("main"));
    let shown = shown.preview("release", &action).await.unwrap().preconditions;
    let attempt = perform(&other, &action, &shown).await;
    assert!(
        matches!(&attempt, Attempt::FactsChanged(why) if why.contains("; true\"] when it was shown and is [") && why.ends_with("; false\"] now")),
        "{attempt:?}"
    );
    assert_eq!(started(&scratch), 0);
}

#[tokio::test]
async fn a_lookup_waits_for_the_program_and_claims_nothing() {
    let scratch = Scratch::new();
    let (connector, action) = (connector(&scratch, "sleep 1; exit 3"), deploy("main"));
    let shown = connector.preview("release", &action).await.unwrap().preconditions;
    let lost = inquiry(&action, &shown);
    let evidence = async || match connector.lookup(&lost).await {
        Finding::Unknown { evidence } => evidence,
        other @ (Finding::Happened { .. } | Finding::DidNotHappen { .. }) => panic!("{other:?}"),
    };
    assert!(evidence().await.contains("has left no"), "it was never started");
    // A host that is killed takes no notice of its child; a dropped future stands for it here, with the child let go.
    let order = connector.order(
        &Release::of(&action).unwrap(),
        &scratch.tip("main"),
        &Origin { run: &lost.run, call: lost.call, attempt: lost.attempt, key: &lost.key },
    );
    let running = connector.children.run("effect-k1-1", order);
    let (ended, seen) = tokio::join!(running, async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        evidence().await
    });
    assert_eq!(ended.unwrap().how, How::Exited(3));
    assert!(seen.contains("the program has ended"), "{seen}");
    assert_eq!(started(&scratch), 1, "a lookup starts nothing");
}
