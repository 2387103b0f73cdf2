use super::super::git::tests::{Scratch, action, answer};
use super::*;

async fn ask(scratch: &Scratch, function: &str, arguments: &Value) -> Value {
    answer(&Repository::new(scratch.git()), &action("repository", function, arguments)).await
}

async fn ok(scratch: &Scratch, function: &str, arguments: &Value) -> Value {
    let answer = ask(scratch, function, arguments).await;
    answer.get("ok").cloned().unwrap_or_else(|| panic!("{function} {arguments}: {answer}"))
}

async fn refused(scratch: &Scratch, function: &str, arguments: &Value) -> String {
    let answer = ask(scratch, function, arguments).await;
    answer["err"].as_str().unwrap_or_else(|| panic!("{function} {arguments}: {answer}")).to_owned()
}

fn read(revision: &str, path: &str) -> Value {
    json!({ "revision": revision, "path": path })
}

#[tokio::test]
async fn the_log_lists_commits_newest_first() {
    let scratch = Scratch::new();
    let two = scratch.commit("two\n\nwhy\nit is so", &[("a.txt", "2\n")]);
    let three = scratch.commit("three", &[("a.txt", "3\n")]);
    let listed = ok(&scratch, "log", &json!({ "from": "production", "to": "main", "limit": 9 })).await;
    let [first, second] = &listed.as_array().unwrap()[..] else { panic!("{listed}") };
    assert_eq!(
        (&first["id"], &first["subject"], &first["body"]),
        (&three.as_str().into(), &"three".into(), &"".into())
    );
    assert_eq!((&second["id"], &second["body"]), (&two.as_str().into(), &"why\nit is so".into()));
    assert_eq!(second["author"], "Ann <ann@example.com>");
    assert!(second["date"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{second}");
    let all = ok(&scratch, "log", &json!({ "from": null, "to": "main", "limit": 9 })).await;
    assert_eq!(all.as_array().unwrap().len(), 3);
    let some = ok(&scratch, "log", &json!({ "from": null, "to": "main", "limit": 1 })).await;
    assert_eq!(some.as_array().unwrap().len(), 1, "{some}");
    assert_eq!(ok(&scratch, "log", &json!({ "from": "main", "to": "main", "limit": 9 })).await, json!([]));
    assert!(
        refused(&scratch, "log", &json!({ "from": "--all", "to": "main", "limit": 9 })).await.contains("\"--all\"")
    );
    assert!(refused(&scratch, "log", &json!({ "from": null, "to": "nope", "limit": 9 })).await.contains("\"nope\""));
}

#[tokio::test]
async fn a_diff_is_whole_or_refused() {
    let scratch = Scratch::new();
    scratch.commit("two", &[("a.txt", "2\n"), ("new.txt", "new\n")]);
    let diff = ok(&scratch, "diff", &json!({ "from": "production", "to": "main" })).await;
    let diff = diff.as_str().unwrap();
    assert!(diff.contains("-1\n+2\n") && diff.contains("+++ b/new.txt\n") && !diff.starts_with('#'), "{diff}");
    std::fs::write(scratch.path.join("latin1.txt"), b"caf\xe9\n").unwrap();
    scratch.commit("latin 1", &[]);
    let diff = ok(&scratch, "diff", &json!({ "from": scratch.tip("main~1").as_str(), "to": "main" })).await;
    assert!(
        diff.as_str().unwrap().starts_with("# Bytes that are not UTF-8")
            && diff.as_str().unwrap().contains("caf\u{fffd}")
    );
    scratch.commit("large", &[("large.txt", &"line\n".repeat(250_000))]);
    let why = refused(&scratch, "diff", &json!({ "from": scratch.tip("main~1").as_str(), "to": "main" })).await;
    assert!(why.contains("the diff is 1") && why.contains("closer to each other"), "{why}");
}

#[tokio::test]
async fn a_file_is_read_as_it_was_at_a_revision() {
    let scratch = Scratch::new();
    scratch.commit("two", &[("a.txt", "2\n"), ("sub/b.txt", "b\n"), ("[x]*.txt", "literal\n")]);
    std::os::unix::fs::symlink("/etc/passwd", scratch.path.join("link")).unwrap();
    std::fs::write(scratch.path.join("bytes.bin"), [0xff, 0xfe]).unwrap();
    std::fs::write(scratch.path.join("huge.txt"), "x".repeat(ANSWER_BYTES_MAX + 1)).unwrap();
    scratch.commit("three", &[]);
    std::fs::write(scratch.path.join("a.txt"), "of the work tree, not committed\n").unwrap();
    assert_eq!(ok(&scratch, "read-file", &read("main", "a.txt")).await, "2\n");
    assert_eq!(ok(&scratch, "read-file", &read("production", "a.txt")).await, "1\n");
    assert_eq!(ok(&scratch, "read-file", &read("main", "sub/b.txt")).await, "b\n");
    assert_eq!(ok(&scratch, "read-file", &read("main", "[x]*.txt")).await, "literal\n");
    for (path, needle) in [
        ("nope.txt", "there is no `nope.txt`"),
        ("*.txt", "there is no `*.txt`"),
        ("sub", "a folder"),
        ("link", "a symbolic link"),
        ("bytes.bin", "not UTF-8"),
        ("huge.txt", "1048577 bytes"),
        ("../a.txt", "not a path inside"),
        ("/etc/passwd", "not a path inside"),
        (":(top)a.txt", "not a path inside"),
    ] {
        let why = refused(&scratch, "read-file", &read("main", path)).await;
        assert!(why.contains(needle), "{path}: {why}");
    }
}

#[tokio::test]
async fn nothing_in_the_repository_runs_while_it_is_read() {
    let scratch = Scratch::new();
    scratch.commit("two", &[("a.txt", "2\n")]);
    let canary = scratch.trap();
    ok(&scratch, "log", &json!({ "from": null, "to": "main", "limit": 9 })).await;
    ok(&scratch, "diff", &json!({ "from": "production", "to": "main" })).await;
    ok(&scratch, "read-file", &read("main", "a.txt")).await;
    assert!(!canary.exists(), "{}", std::fs::read_to_string(&canary).unwrap_or_default());
}

#[tokio::test]
async fn a_repository_that_cannot_be_read_is_the_hosts_failure() {
    let scratch = Scratch::new();
    let repository = Repository::new(Git::at(&scratch.folder.path().join("nowhere")));
    let action = action("repository", "read-file", &read("main", "a.txt"));
    let call = RoutineCall { agent: &"tester".into(), run: &holdshort_gate::RunId("r1".into()), action: &action };
    assert!(repository.answer(call).await.unwrap_err().0.contains("nowhere"));
    assert!(ask(&scratch, "erase", &json!({ "revision": "main" })).await["err"].as_str().unwrap().contains("#erase`"));
}
