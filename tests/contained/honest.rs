//! A confined check has what an honest check needs.

use std::time::Duration;

use holdshort::connectors::confined::SandboxAccess;

use super::evidence;
use super::world::{World, sandbox};

const TIME: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_honest_check_finds_what_it_needs() {
    let Some(sandbox) = sandbox() else { return };
    let world = World::new();
    let scripts = [
        ("the commit's files", "cat a.txt", "2"),
        ("a compiler", "cc -o hello hello.c && ./hello", "hello"),
        ("git's status", "echo new > new; git status --porcelain", "?? new"),
        ("git's history", "git log --format=%s | tr '\\n' ' '", "two one "),
        ("the tags", "git describe", "v1.0-1-g"),
        (
            "a commit of its own",
            "git -c user.name=A -c user.email=a@b commit -q --allow-empty -m x && git log -1 --format=%s",
            "x",
        ),
        ("the repository whole", "git fsck --full 2>&1 && echo whole", "whole"),
        ("a home", "echo x > ~/x && cat ~/x && echo $HOME", "/home/check"),
        ("temporary files", "f=$(mktemp) && echo y > $f && cat $f && echo $TMPDIR", "/tmp"),
        (
            "shared memory",
            "python3 -c 'from multiprocessing import Semaphore; Semaphore(); print(\"shared\")'",
            "shared",
        ),
        ("a name", "id -un; whoami", "check"),
        ("its processes", "sleep 1 & kill $! && wait; echo $?", "0"),
        ("a terminal", "script -qec 'echo typed' /dev/null", "typed"),
        (
            "a server of its own",
            "python3 -c 'import socket; s = socket.create_server((\"localhost\", 0)); socket.create_connection(s.getsockname()[:2]); print(\"served\")'",
            "served",
        ),
        ("random numbers and nothing", "head -c 8 /dev/urandom | wc -c; cat /dev/null", "8"),
        ("its exit status", "exit 3", ""),
    ];
    for (what, script, expected) in scripts {
        let ended = world.run(script, Some((sandbox.clone(), SandboxAccess::default())), TIME).await;
        assert!(ended.output.contains(expected), "{what}: {ended:?}");
        assert_eq!(ended.status, if expected.is_empty() { 3 } else { 0 }, "{what}: {ended:?}");
    }
    evidence::figure("T33", "needs of an honest check", scripts.len() as u64);
}

#[tokio::test]
async fn what_the_operator_names_is_there_and_no_more() {
    let Some(sandbox) = sandbox() else { return };
    let world = World::new();
    std::fs::create_dir_all(world.path("tools/bin")).unwrap();
    std::fs::write(world.path("tools/bin/tool"), "#!/bin/sh\necho the tool\n").unwrap();
    std::fs::write(world.path("beside"), "beside").unwrap();
    std::fs::set_permissions(world.path("tools/bin/tool"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let tools = world.path("tools").to_str().unwrap().to_owned();
    let given = SandboxAccess { paths: vec![world.path("tools")], ..SandboxAccess::default() };
    let script = format!("{tools}/bin/tool; touch {tools}/x; ls {tools}/..");
    let ended = world.run(&script, Some((sandbox.clone(), given.clone())), TIME).await;
    assert!(ended.output.starts_with("the tool\n") && ended.output.ends_with("\ntools\n"), "{ended:?}");
    assert!(ended.output.contains("Read-only file system") && !ended.output.contains("beside"), "{ended:?}");

    // The operator's own program is visible in the sandbox because it is the command.
    let argv = vec![format!("{tools}/bin/tool")];
    let ended = world.run_argv(argv, Some((sandbox.clone(), SandboxAccess::default())), TIME, &[]).await;
    assert_eq!((ended.status, ended.output.as_str()), (0, "the tool\n"));

    let network = SandboxAccess { network: true, ..SandboxAccess::default() };
    let script =
        "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", PORT), 2); print(\"reached\")'; ls HOST";
    let ended = world.run(script, Some((sandbox.clone(), network)), TIME).await;
    assert!(ended.output.starts_with("reached\n") && ended.output.contains("No such file"), "{ended:?}");
    // Variables of the host are passed by name.
    let argv = ["sh", "-c", "echo $CARGO_MANIFEST_DIR; echo $HOME"].map(str::to_owned).to_vec();
    let ended = world.run_argv(argv, Some((sandbox, SandboxAccess::default())), TIME, &["CARGO_MANIFEST_DIR"]).await;
    assert_eq!(ended.output, format!("{}\n/home/check\n", env!("CARGO_MANIFEST_DIR")));
}
