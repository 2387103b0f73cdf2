use std::path::Path;

use super::super::git::tests::{Scratch, action, answer, evidence};
use super::*;

/// A check that runs `script` with a shell, as an operator would configure it.
fn shell(script: &str) -> Check {
    Check {
        argv: ["sh", "-c", script].map(str::to_owned).into(),
        time_out: Duration::from_secs(30),
        revisions: ["main", "release/*"].map(|pattern| pattern.parse().unwrap()).into(),
        environment: Vec::new(),
        confined: None,
    }
}

fn checks(scratch: &Scratch, named: &[(&str, Check)]) -> Checks {
    let children = Children::open(&scratch.folder.path().join("children")).unwrap();
    let named = named.iter().map(|(name, check)| ((*name).to_owned(), check.clone())).collect();
    Checks::open(scratch.git(), named, children, checkouts(scratch)).unwrap()
}

fn checkouts(scratch: &Scratch) -> PathBuf {
    scratch.folder.path().join("checkouts")
}

async fn run(checks: &Checks, name: &str, revision: &str) -> Value {
    answer(checks, &action("checks", "run", &json!({ "name": name, "revision": revision }))).await
}

fn entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn a_check_reports_what_its_command_did() {
    let scratch = Scratch::new();
    let passing = shell("cat a.txt; echo; echo 'Ran 2 tests in 0.000s'; echo OK");
    let checks = checks(&scratch, &[("tests", passing), ("broken", shell("echo oh no >&2; exit 3"))]);
    let report = run(&checks, "tests", "main").await["ok"].clone();
    let expected = json!({
        "name": "tests", "revision": scratch.tip("main").as_str(), "passed": true, "exit-status": 0,
        "counts": { "passed": 2, "failed": 0, "skipped": 0 }, "output-tail": "1\n\nRan 2 tests in 0.000s\nOK\n",
    });
    assert_eq!(report, expected);
    let report = run(&checks, "broken", "main").await["ok"].clone();
    assert_eq!(
        (&report["passed"], &report["exit-status"], &report["counts"]),
        (&json!(false), &json!(3), &Value::Null)
    );
    assert_eq!(report["output-tail"], "oh no\n");
}

#[tokio::test]
async fn a_check_runs_on_the_commit_and_not_on_the_work_tree() {
    let scratch = Scratch::new();
    std::fs::write(scratch.path.join("a.txt"), "not committed\n").unwrap();
    let checks = checks(&scratch, &[("show", shell("cat a.txt; echo changed > a.txt; ls -A"))]);
    let report = run(&checks, "show", "main").await["ok"].clone();
    assert_eq!(report["output-tail"], "1\n.git\na.txt\n");
    assert_eq!(std::fs::read_to_string(scratch.path.join("a.txt")).unwrap(), "not committed\n");
    assert_eq!(
        run(&checks, "show", "main").await["ok"]["output-tail"],
        "1\n.git\na.txt\n",
        "and each time on a fresh one"
    );
}

#[tokio::test]
async fn only_named_checks_run_and_only_on_allowed_revisions() {
    let scratch = Scratch::new();
    scratch.run(&["branch", "release/1.0"]);
    scratch.run(&["branch", "feature"]);
    let checks = checks(&scratch, &[("tests", shell("echo ran"))]);
    assert_eq!(run(&checks, "tests", "release/1.0").await["ok"]["output-tail"], "ran\n");
    for (name, revision, needle) in [
        ("deploy", "main", "there is no check \"deploy\"; configured: `tests`"),
        (
            "tests",
            "feature",
            "may not run on \"refs/heads/feature\", only on `refs/heads/main`, `refs/heads/release/*`",
        ),
        // The pattern allows `release/1.0`, but not a range that begins with this name.
        ("tests", "release/1.0..feature", "does not name a git revision"),
        ("tests", "release/none", "there is no branch or tag \"release/none\""),
        ("tests", "--all", "does not name a git revision"),
    ] {
        let answer = run(&checks, name, revision).await;
        assert!(answer["err"].as_str().unwrap_or_default().contains(needle), "{name} {revision}: {answer}");
    }
}

/// A build with `git describe` finds its version and its branch. The checkout lacks everything else of the repository.
#[tokio::test]
async fn a_checkout_has_the_tags_and_the_branch_that_was_asked_for() {
    let scratch = Scratch::new();
    scratch.run(&["tag", "-a", "v1.0", "-m", "first"]);
    scratch.commit("two", &[("a.txt", "2\n")]);
    scratch.run(&["tag", "light/2"]);
    scratch.run(&["branch", "release/1.0", "v1.0"]);
    scratch.run(&["branch", "secret"]);
    let script = "git describe --tags; git symbolic-ref --short HEAD || echo detached; git tag --list; git for-each-ref --format='%(refname)' refs/heads; git status --porcelain";
    let mut check = shell(script);
    check.revisions.push(RevisionPattern::Any);
    let checks = checks(&scratch, &[("tests", check)]);
    let main = scratch.tip("main");
    for (revision, expected) in [
        ("main", "light/2\nmain\nlight/2\nv1.0\nrefs/heads/main\n"),
        ("release/1.0", "v1.0\nrelease/1.0\nv1.0\nrefs/heads/release/1.0\n"),
        ("refs/tags/v1.0", "v1.0\nfatal: ref HEAD is not a symbolic ref\ndetached\nv1.0\n"),
        (main.as_str(), "light/2\nfatal: ref HEAD is not a symbolic ref\ndetached\nlight/2\nv1.0\n"),
    ] {
        assert_eq!(run(&checks, "tests", revision).await["ok"]["output-tail"], expected, "{revision}");
    }
    // The checkout's history ends at the same commit as the repository's history.
    let shallow = scratch.folder.path().join("shallow");
    scratch.run(&[
        "clone",
        "-q",
        "--depth=1",
        &format!("file://{}", scratch.path.display()),
        shallow.to_str().unwrap(),
    ]);
    let children = Children::open(&scratch.folder.path().join("children")).unwrap();
    let log = [("log".to_owned(), shell("git log --oneline | wc -l"))].into();
    let checks = Checks::open(Git::at(&shallow), log, children, checkouts(&scratch)).unwrap();
    assert_eq!(run(&checks, "log", "main").await["ok"]["output-tail"], "1\n");
}

/// A few objects can describe a tree of any size, because the same content can occur any number of times. The agent
/// gets a final error, because a failure of the host would be retried. No file is written.
#[tokio::test]
async fn a_commit_that_unfolds_without_end_is_answered_and_not_written() {
    let scratch = Scratch::new();
    scratch.commit("large", &[("large", &"x".repeat(1 << 20))]);
    let (small, large) = (scratch.leaf("a.txt"), scratch.leaf("large"));
    let mut check = shell("ls | wc -l");
    check.revisions.push(RevisionPattern::Any);
    let checks = checks(&scratch, &[("tests", check)]);
    let bombs = [
        (
            "one content 10,000 times",
            scratch.unfolding(&large, 100, 2),
            "the files of the commit take 10486169600 bytes",
        ),
        ("a trillion bytes in 100 folders", scratch.unfolding(&large, 99, 3), "the files of the commit take"),
        ("a million names", scratch.unfolding(&small, 32, 4), "more than 1000000 files and folders"),
        ("33 million names", scratch.unfolding(&small, 32, 5), "more than 1000000 files and folders"),
        ("names without end", scratch.unfolding(&small, 32, 30), "more than 1000000 files and folders"),
        ("folders in folders", scratch.deep(2_100), "the depth of folders that git supports"),
    ];
    evidence::figure("T41", "commits without end that are to be checked out", bombs.len() as u64);
    for (what, bomb, needle) in bombs {
        let answer = run(&checks, "tests", bomb.as_str()).await;
        let said = answer["err"].as_str().unwrap_or_default();
        assert!(
            said.contains("the check `tests` does not run on this commit: ") && said.contains(needle),
            "{what}: {answer}"
        );
    }
    let wide = scratch.unfolding(&small, 20, 2);
    assert_eq!(run(&checks, "tests", wide.as_str()).await["ok"]["output-tail"], "20\n", "and what is large is no bomb");
}

#[tokio::test]
async fn what_a_commit_unfolds_to_is_counted_by_what_it_names() {
    let scratch = Scratch::new();
    let four = scratch.commit("four", &[("a.txt", ""), ("b", "1"), ("c/d", "1"), ("c/e", &"x".repeat(4097))]);
    let tree_size = |commit: CommitId| {
        let git = scratch.git();
        async move { git.tree_size(&commit, 100).await.unwrap().map(|it| (it.entries, it.bytes)) }
    };
    assert_eq!(tree_size(four.clone()).await, Some((5, 5 * 4096)));
    let module = format!("160000 commit {four}");
    assert_eq!(tree_size(scratch.unfolding(&module, 7, 1)).await, Some((7, 0)), "a submodule's files are not there");
    let leaf = scratch.leaf("b");
    assert_eq!(tree_size(scratch.unfolding(&leaf, 9, 2)).await, Some((90, 90 * 4096)));
    assert_eq!(tree_size(scratch.unfolding(&leaf, 10, 2)).await, None, "110 are more than 100");
}

#[tokio::test]
async fn what_hangs_or_floods_is_stopped_and_said_to_be() {
    let scratch = Scratch::new();
    let mut hangs = shell("echo begun; sleep 60 & sleep 60");
    hangs.time_out = Duration::from_millis(200);
    let many = shell("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done");
    let checks = checks(&scratch, &[("hangs", hangs), ("many", many), ("killed", shell("kill -9 $$"))]);
    let report = run(&checks, "hangs", "main").await["ok"].clone();
    assert_eq!((&report["passed"], &report["exit-status"]), (&json!(false), &json!(-1)));
    assert_eq!(report["output-tail"], "begun\n\n[stopped after 0.2 seconds]\n");
    let report = run(&checks, "many", "main").await["ok"].clone();
    let tail = report["output-tail"].as_str().unwrap();
    assert!(tail.starts_with("[the first ") && tail.ends_with("line 19999\n") && tail.len() <= TAIL_BYTES_MAX + 100);
    assert_eq!(tail.lines().nth(1).unwrap().split(' ').count(), 2, "from the beginning of a line");
    assert!(run(&checks, "killed", "main").await["ok"]["output-tail"].as_str().unwrap().contains("signal 9"));
}

#[tokio::test]
async fn a_check_gets_nothing_of_the_host() {
    let scratch = Scratch::new();
    let mut checks_environment = shell("env | cut -d= -f1 | sort | tr '\\n' ' '; ls -A \"$HOME\" | wc -l");
    checks_environment.environment = vec!["CARGO_MANIFEST_DIR".into()];
    let checks =
        checks(&scratch, &[("env", checks_environment), ("hooks", shell("git config --get core.fsmonitor; true"))]);
    let report = run(&checks, "env", "main").await["ok"].clone();
    assert_eq!(report["output-tail"], "CARGO_MANIFEST_DIR CI HOME LANG PATH PWD TMPDIR 0\n");
    let mut by_home = shell("echo $HOME $LANG");
    by_home.environment = vec!["HOME".into(), "HOLDSHORT_ABSENT".into()];
    let report = run(&self::checks(&scratch, &[("home", by_home)]), "home", "main").await["ok"].clone();
    let home = std::env::var("HOME").unwrap();
    assert_eq!(report["output-tail"], format!("{home} C.UTF-8\n"), "the host's own, because it was named");
    let canary = scratch.trap();
    let report = run(&checks, "hooks", "main").await["ok"].clone();
    assert_eq!(report["output-tail"], "", "the repository's own settings are not the checkout's");
    assert!(!canary.exists());
}

#[tokio::test]
async fn checkouts_are_removed_also_those_of_an_earlier_host() {
    let scratch = Scratch::new();
    let left = checkouts(&scratch).join("check-0011");
    std::fs::create_dir_all(left.join("tree")).unwrap();
    std::fs::write(checkouts(&scratch).join("notes.txt"), "somebody's").unwrap();
    let checks = checks(
        &scratch,
        &[("tests", shell("true")), ("missing", Check { argv: vec!["/no/such".into()], ..shell("") })],
    );
    assert!(!left.exists() && checkouts(&scratch).join("notes.txt").exists());
    assert_eq!(run(&checks, "tests", "main").await["ok"]["passed"], true);
    let answer = run(&checks, "missing", "main").await;
    assert!(answer["err"].as_str().unwrap().contains("ask the operator to correct it"), "{answer}");
    // The removal runs in the background, so the test waits for it. Nothing later would remove a
    // leftover folder.
    let left = || (entries(&checkouts(&scratch)), entries(&scratch.folder.path().join("children")));
    for _ in 0..500 {
        if left() == (1, 0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(left(), (1, 0), "only what is no checkout is left, and nothing of a child");
}
