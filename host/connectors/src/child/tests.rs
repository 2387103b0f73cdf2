use super::*;

fn order(script: &str) -> ChildCommand {
    ChildCommand {
        argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
        folder: None,
        environment: environment(&[], &[("HOLDSHORT_KEY", "k1".into())]),
        stdin: Vec::new(),
        time_out: Duration::from_secs(20),
        kept_bytes_max: 1 << 20,
        written_bytes_max: 8 << 20,
        reserve: None,
        bounds: None,
        merged: false,
        leftovers: Leftovers::Leave,
    }
}

fn children() -> (tempfile::TempDir, Children) {
    let folder = tempfile::tempdir().unwrap();
    let children = Children::open(&folder.path().join("children")).unwrap();
    (folder, children)
}

#[tokio::test]
async fn a_child_gets_its_input_and_a_scrubbed_environment_and_its_output_is_handed_back() {
    let (folder, children) = children();
    let order = ChildCommand {
        stdin: b"{\"a\":1}".to_vec(),
        folder: Some(folder.path().to_owned()),
        ..order("cat; echo; env; pwd; echo oops >&2; exit 7")
    };
    let ended = children.run("c", order).await.unwrap();
    assert_eq!(ended.how, ExitKind::Exited(7));
    assert!(!ended.lingers);
    assert_eq!(ended.stderr.tail(100), "oops");
    let said = String::from_utf8(ended.stdout.bytes).unwrap();
    assert!(said.starts_with("{\"a\":1}\n"), "{said}");
    assert!(said.contains("HOLDSHORT_KEY=k1\n") && said.contains("PATH="), "{said}");
    assert!(!said.contains("CARGO") && !said.contains("HOME="), "the host's own variables are kept from it: {said}");
    assert!(said.trim_end().ends_with(&*folder.path().canonicalize().unwrap().to_string_lossy()), "{said}");
    assert_eq!(children.wait_until_gone("c", Duration::ZERO).await, LockState::Gone);
    children.forget("c").await;
    assert_eq!(children.wait_until_gone("c", Duration::ZERO).await, LockState::None);
}

#[tokio::test]
async fn merged_output_is_in_the_order_in_which_it_was_written_and_only_the_end_is_kept() {
    let (_folder, children) = children();
    let ended = children
        .run(
            "c",
            ChildCommand { merged: true, kept_bytes_max: 8, ..order("echo a1; echo b2 >&2; echo c3; echo d4 >&2") },
        )
        .await
        .unwrap();
    assert_eq!(ended.stderr.bytes, b"2\nc3\nd4\n");
    assert_eq!(ended.stderr.written_bytes, 12);
    assert!(ended.stderr.is_cut());
    assert_eq!(ended.stderr.tail(2), "…d4");
    assert_eq!(ended.stdout, ChildOutput::default());
}

#[tokio::test]
async fn a_child_is_killed_with_all_its_group_when_its_time_is_up() {
    let (_folder, children) = children();
    let ended = children
        .run("c", ChildCommand { time_out: Duration::from_millis(300), ..order("sleep 30 & echo begun; sleep 30") })
        .await
        .unwrap();
    assert_eq!(ended.how, ExitKind::TimedOut);
    assert_eq!(ended.stdout.tail(9), "begun");
    assert!(!ended.lingers, "the process in the background was killed too");
}

#[tokio::test]
async fn a_child_that_writes_without_end_is_killed() {
    let (_folder, children) = children();
    let ended = children.run("c", ChildCommand { written_bytes_max: 1 << 20, ..order("exec yes") }).await.unwrap();
    assert_eq!(ended.how, ExitKind::WroteTooMuch);
    assert!(ended.stdout.is_cut());
}

#[tokio::test]
async fn what_a_child_leaves_behind_is_seen_or_killed_as_ordered() {
    let (_folder, children) = children();
    let ended = children.run("left", order("sleep 1 & exit 0")).await.unwrap();
    assert_eq!((ended.how, ended.lingers), (ExitKind::Exited(0), true));
    assert!(matches!(children.run("left", order("true")).await, Err(NotStarted::Busy(_))));
    children.forget("left").await;
    assert_eq!(children.wait_until_gone("left", Duration::from_secs(10)).await, LockState::Gone);
    children.run("left", order("true")).await.unwrap();

    let ended = children
        .run("killed", ChildCommand { leftovers: Leftovers::Kill, ..order("sleep 30 & exit 0") })
        .await
        .unwrap();
    assert_eq!((ended.how, ended.lingers), (ExitKind::Exited(0), false));
}

#[tokio::test]
async fn dropping_the_future_kills_the_child() {
    let (_folder, children) = children();
    let run = children.run("c", order("sleep 30"));
    assert!(timeout(Duration::from_millis(200), run).await.is_err());
    assert_eq!(children.wait_until_gone("c", Duration::from_secs(5)).await, LockState::Gone);
}

#[tokio::test]
async fn what_cannot_be_started_says_so() {
    let (_folder, children) = children();
    let nothing = ChildCommand { argv: Vec::new(), ..order("") };
    assert!(matches!(children.run("c", nothing).await, Err(NotStarted::EmptyCommand)));
    let missing = ChildCommand { argv: vec!["/no/such/program".into()], ..order("") };
    let error = children.run("c", missing).await.unwrap_err();
    assert!(error.to_string().starts_with("`/no/such/program` cannot be run"), "{error}");
}

/// Not a test: the code of a host that the next test starts in a process of its own and kills. It gets its folder from
/// the environment. Without a folder, as in an ordinary test run, it does nothing.
#[tokio::test]
async fn host_to_be_killed() {
    let Ok(folder) = std::env::var("HOLDSHORT_TEST_FOLDER") else { return };
    let children = Children::open(Path::new(&folder)).unwrap();
    let _ = children.run("c", order("echo begun; sleep 1; echo ended; echo ended >&2")).await;
}

#[tokio::test]
async fn a_child_outlives_a_killed_host_and_is_waited_for() {
    let (_folder, children) = children();
    // `module_path!` begins with the name of the crate. The test program's names of tests lack this name.
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut host = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::host_to_be_killed")])
        .env("HOLDSHORT_TEST_FOLDER", &children.folder)
        .current_dir(&children.folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while read_end(&children.out("c"), 9).bytes != b"begun\n" {
        assert_eq!(host.try_wait().unwrap(), None, "the host to be killed has ended by itself");
        sleep(Duration::from_millis(10)).await;
    }
    host.kill().unwrap();
    host.wait().unwrap();
    assert_eq!(children.wait_until_gone("c", Duration::ZERO).await, LockState::Running, "the child lives on");
    assert_eq!(children.wait_until_gone("c", Duration::from_secs(20)).await, LockState::Gone);
    assert_eq!(read_end(&children.out("c"), 99).bytes, b"begun\nended\n", "and wrote on undisturbed");
}
