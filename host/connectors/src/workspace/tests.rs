use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::super::git::tests::{action, answer};
use super::*;

/// A folder with the agent's `files/`, and `secret.txt` beside it.
fn scratch() -> (tempfile::TempDir, PathBuf, Workspace) {
    let scratch = tempfile::tempdir().unwrap();
    let files = scratch.path().join("files");
    std::fs::create_dir(&files).unwrap();
    std::fs::write(scratch.path().join("secret.txt"), "secret").unwrap();
    let workspace = Workspace::open([("tester".into(), files.clone())].into()).unwrap();
    (scratch, files, workspace)
}

async fn read(workspace: &Workspace, path: &str) -> Value {
    // The time limit ends the test if the host reads a pipe or a device, which could block forever.
    let question = action("workspace", "read-file", &json!({ "path": path }));
    tokio::time::timeout(Duration::from_secs(20), answer(workspace, &question)).await.unwrap()
}

async fn listed(workspace: &Workspace) -> Value {
    let question = action("workspace", "list-files", &json!({}));
    tokio::time::timeout(Duration::from_secs(20), answer(workspace, &question)).await.unwrap()
}

/// The agent's error, after a check that it does not contain the secret.
async fn refused(workspace: &Workspace, path: &str) -> String {
    let answer = read(workspace, path).await;
    assert!(!answer.to_string().contains("\"secret\""), "{path:?}: {answer}");
    answer["err"].as_str().unwrap_or_else(|| panic!("{path:?}: {answer}")).to_owned()
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[tokio::test]
async fn files_are_listed_by_path_with_size_and_digest_and_read_as_text() {
    let (_scratch, files, workspace) = scratch();
    assert_eq!(listed(&workspace).await, json!({ "ok": [] }));
    std::fs::create_dir_all(files.join("b/deep")).unwrap();
    std::fs::create_dir(files.join("empty")).unwrap();
    for (path, text) in
        [("b.txt", ""), ("b/deep/ü.txt", "abc"), ("a b.txt", "two\nlines\u{1b}[31m\n"), (".hidden", "h")]
    {
        std::fs::write(files.join(path), text).unwrap();
    }
    let listed = listed(&workspace).await;
    let paths: Vec<&str> = listed["ok"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    // The list is sorted by the bytes of the whole path: a point comes before a slash.
    assert_eq!(paths, [".hidden", "a b.txt", "b.txt", "b/deep/ü.txt"]);
    // Digests as `sha256sum` prints them.
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(listed["ok"][3], json!({ "path": "b/deep/ü.txt", "bytes": "3", "sha256": abc }));
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(listed["ok"][2], json!({ "path": "b.txt", "bytes": "0", "sha256": empty }));
    assert_eq!(read(&workspace, "b/deep/ü.txt").await, json!({ "ok": "abc" }));
    assert_eq!(read(&workspace, "a b.txt").await, json!({ "ok": "two\nlines\u{1b}[31m\n" }));
    assert_eq!(read(&workspace, "b.txt").await, json!({ "ok": "" }));
}

/// For reading bytes, the same paths are refused as for reading text. The content can be any bytes.
#[tokio::test]
async fn bytes_are_handed_over_as_they_are_and_up_to_a_limit() {
    let (scratch, files, workspace) = scratch();
    let of = async |path: &str| {
        let question = action("workspace", "read-bytes", &json!({ "path": path }));
        answer(&workspace, &question).await
    };
    let all: Vec<u8> = (0..=255).collect();
    for (name, bytes) in [("all", all), ("none", vec![]), ("most", vec![0xff; 256 * 1024])] {
        std::fs::write(files.join(name), &bytes).unwrap();
        assert_eq!(of(name).await, json!({ "ok": STANDARD.encode(&bytes) }), "{name}");
    }
    std::fs::write(files.join("more"), vec![0; 256 * 1024 + 1]).unwrap();
    let why = "`more` is 262145 bytes, more than the 262144 bytes that can be read at once";
    assert_eq!(of("more").await, json!({ "err": why }));
    symlink(scratch.path().join("secret.txt"), files.join("link")).unwrap();
    for path in ["../secret.txt", "/etc/passwd", "link", "", "nothing"] {
        assert!(of(path).await["err"].is_string(), "{path:?}");
    }
}

#[tokio::test]
async fn a_path_cannot_lead_out() {
    let (scratch, files, workspace) = scratch();
    std::fs::create_dir(files.join("sub")).unwrap();
    let absolute = scratch.path().join("secret.txt");
    for path in [
        "../secret.txt",
        "sub/../../secret.txt",
        "./../secret.txt",
        "/etc/passwd",
        absolute.to_str().unwrap(),
        "..",
        "",
        "sub/",
        "sub//x",
        "a.txt\0.png",
        "\0",
        "\\x2E\\x2E/secret.txt",
        "sub\\x2F..\\x2F../secret.txt",
        "a\nb",
    ] {
        assert!(refused(&workspace, path).await.contains("is not a path inside the folder"), "{path:?}");
    }
    // The host decodes no percent signs or similar escapes, so no file has these names.
    for path in [
        "%2e%2e/secret.txt",
        "..\\secret.txt",
        "~/secret.txt",
        "sub/...",
        &"x".repeat(300),
        "d/".repeat(1_000).trim_end_matches('/'),
    ] {
        assert!(refused(&workspace, path).await.contains("there is no file `"), "{path:?}");
    }
}

#[tokio::test]
async fn links_devices_and_pipes_are_not_there_for_the_agent() {
    let (scratch, files, workspace) = scratch();
    let outside = scratch.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret.txt"), "secret").unwrap();
    std::fs::write(files.join("own.txt"), "own").unwrap();
    symlink("../secret.txt", files.join("relative")).unwrap();
    symlink("/etc/passwd", files.join("absolute")).unwrap();
    symlink(&outside, files.join("folder")).unwrap();
    symlink("..", files.join("up")).unwrap();
    symlink(".", files.join("round")).unwrap();
    symlink("nowhere", files.join("dangling")).unwrap();
    // A link is refused even if its target is inside, because the target can change between a check and the reading.
    symlink("own.txt", files.join("own-link")).unwrap();
    pipe(&files.join("pipe"));
    let _socket = std::os::unix::net::UnixListener::bind(files.join("socket")).unwrap();
    std::fs::create_dir(files.join("sub")).unwrap();
    for path in [
        "relative",
        "absolute",
        "folder",
        "folder/secret.txt",
        "up/secret.txt",
        "round/own.txt",
        "dangling",
        "own-link",
        "pipe",
        "socket",
        "sub",
        "own.txt/x",
    ] {
        assert!(refused(&workspace, path).await.contains("is not a file"), "{path:?}");
    }
    let listed = listed(&workspace).await;
    let listed = listed["ok"].as_array().unwrap_or_else(|| panic!("{listed}"));
    assert_eq!(listed.iter().map(|file| &file["path"]).collect::<Vec<_>>(), ["own.txt"]);
    assert_eq!(read(&workspace, "own.txt").await, json!({ "ok": "own" }));
}

#[tokio::test]
async fn somebody_who_changes_the_folder_meanwhile_gets_nothing_out() {
    let (scratch, files, workspace) = scratch();
    let (real, kept) = (files.join("sub"), scratch.path().join("kept"));
    std::fs::create_dir(&real).unwrap();
    std::fs::write(real.join("secret.txt"), "mine").unwrap();
    let top = scratch.path().to_owned();
    // Another thread repeatedly replaces the folder by a link to its parent and back while the test reads files in it.
    let swapper = std::thread::spawn(move || {
        for _ in 0..500 {
            std::fs::rename(&real, &kept).unwrap();
            symlink(&top, &real).unwrap();
            std::fs::remove_file(&real).unwrap();
            std::fs::rename(&kept, &real).unwrap();
        }
    });
    let mut reads = 0;
    while !swapper.is_finished() || reads == 0 {
        let answer = read(&workspace, "sub/secret.txt").await;
        assert!(answer["ok"] == "mine" || answer["err"].is_string(), "{answer}");
        let listed = listed(&workspace).await;
        assert!(listed["ok"].as_array().is_some_and(|files| files.len() <= 1), "{listed}");
        reads += 1;
    }
    swapper.join().unwrap();
    assert_eq!(read(&workspace, "sub/secret.txt").await, json!({ "ok": "mine" }));
}

#[tokio::test]
async fn what_cannot_be_handed_over_is_an_error_that_says_so() {
    let (_scratch, files, workspace) = scratch();
    let most = usize::try_from(FILE_BYTES_MAX).unwrap();
    std::fs::write(files.join("most.txt"), "x".repeat(most)).unwrap();
    std::fs::write(files.join("large.txt"), "x".repeat(most + 1)).unwrap();
    std::fs::write(files.join("binary"), [0xff, 0xfe]).unwrap();
    assert_eq!(read(&workspace, "most.txt").await["ok"].as_str().unwrap().len(), most);
    let why = refused(&workspace, "large.txt").await;
    assert_eq!(why, "`large.txt` is 1048577 bytes, more than the 1048576 bytes that can be read at once");
    assert!(refused(&workspace, "binary").await.contains("is not UTF-8"));
    assert_eq!(refused(&workspace, "none").await, "there is no file `none` in the workspace; see `list-files`");
    // The list has all three files, also the two that cannot be read as text.
    assert_eq!(listed(&workspace).await["ok"].as_array().unwrap().len(), 3);

    let nobody = Workspace::open(BTreeMap::new()).unwrap();
    assert!(refused(&nobody, "most.txt").await.contains("this agent has no workspace"));
    let other = answer(&workspace, &action("workspace", "write-file", &json!({ "path": "most.txt" }))).await;
    assert!(other["err"].as_str().unwrap().contains("write-file"), "{other}");
    // A missing folder, as after an unmount, is a failure of the host, and the call is retried.
    std::fs::remove_dir_all(&files).unwrap();
    let (run, action) = (holdshort_gate::RunId("r1".into()), action("workspace", "list-files", &json!({})));
    let call = RoutineCall { agent: &"tester".into(), run: &run, action: &action };
    assert!(workspace.answer(call).await.is_err());
}

#[tokio::test]
async fn a_workspace_that_is_too_large_is_not_listed_in_part() {
    let check = async |fill: &dyn Fn(&Path)| {
        let (_scratch, files, workspace) = scratch();
        fill(&files);
        let listed = listed(&workspace).await;
        assert!(listed["err"].as_str().is_some_and(|why| why.contains("too large for a list")), "{listed}");
    };
    check(&|files| {
        for number in 0..=ENTRIES_MAX {
            std::fs::create_dir(files.join(number.to_string())).unwrap();
        }
    })
    .await;
    check(&|files| std::fs::create_dir_all(files.join("d/".repeat(DEPTH_MAX + 1))).unwrap()).await;
    check(&|files| {
        let file = File::create(files.join("sparse")).unwrap();
        file.set_len(LISTED_BYTES_MAX + 1).unwrap();
    })
    .await;
    check(&|files| {
        for number in 0..3_000 {
            std::fs::write(files.join(format!("{number:0>240}")), "").unwrap();
        }
    })
    .await;
}

/// Every listed file can be read by exactly its listed path, whatever its name contains.
#[tokio::test]
async fn what_is_listed_can_be_read() {
    let (_scratch, files, workspace) = scratch();
    let mut made = std::collections::BTreeSet::new();
    for name in [
        &b"plain.txt"[..],
        b"caf\xe9.txt",
        b"caf\\xE9.txt",
        b"caf\xe8.txt",
        b"caf\xef\xbf\xbd.txt",
        b"a\\b.txt",
        b"a\\\\b.txt",
        b"\\",
        b"..\\up",
        b"-x",
        b"--all",
        b":(top)x",
        b"two\nlines",
        b"\x1b[31m",
        b"\x7f",
        b"\xc2\x85",
        b" ",
        b"\xff",
        b"\xff\xfe",
        b"%2e%2e",
        b"~",
        b"folder \xe9/inner \xe8.txt",
        b"folder\\/\\",
    ] {
        let path = files.join(std::ffi::OsString::from_vec(name.to_vec()));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, name.escape_ascii().to_string()).unwrap();
        made.insert(name.escape_ascii().to_string());
    }
    let mut found = std::collections::BTreeSet::new();
    for file in listed(&workspace).await["ok"].as_array().unwrap() {
        let path = file["path"].as_str().unwrap();
        let read = read(&workspace, path).await;
        found.insert(read["ok"].as_str().unwrap_or_else(|| panic!("{path:?}: {read}")).to_owned());
    }
    assert_eq!(found, made);
    assert_eq!(read(&workspace, "caf\\xE9.txt").await["ok"], "caf\\xe9.txt");
    assert_eq!(read(&workspace, "a\\b.txt").await["ok"], "a\\\\b.txt");
}

#[tokio::test]
async fn what_an_agent_asks_for_waits_for_its_turn() {
    let (_scratch, _, workspace) = scratch();
    let (free, held) = std::sync::mpsc::channel::<()>();
    let another = tokio::spawn(aside::for_files(move || held.recv().is_err()));
    tokio::task::yield_now().await;
    let mut asked = Box::pin(listed(&workspace));
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut asked).await.is_err());
    drop(free);
    assert!(another.await.unwrap().unwrap());
    assert_eq!(asked.await, json!({ "ok": [] }));
}
