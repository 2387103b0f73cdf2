//! A check that takes over the first process of its sandbox. That process has the check's own user, so the kernel
//! allows the check to trace it. The host must be able to end a check even then.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use holdshort::connectors::confined::{Folders, SandboxAccess};

use super::evidence;
use super::skipped::skipped;
use super::world::{World, sandbox};

/// What the check does with the first process, and whether this ends the check.
const WAYS: [(&str, bool); 6] = [
    ("stays", false),
    ("reports", true),
    ("exits", true),
    ("forks", false),
    ("writes by file", true),
    ("writes by call", false),
];

/// Words that show that the takeover succeeded, or that the kernel's settings (Yama) forbid it.
const SAID: [&str; 3] = ["the first process was taken over", "not to be had: [Errno 1]", "not to be had: [Errno 13]"];

fn argv(way: &str, mark: &str) -> Vec<String> {
    ["python3", "-c", include_str!("takeover.py"), way, mark].map(str::to_owned).into()
}

fn mark(number: usize) -> String {
    format!("{}.{number}", 86_400 + std::process::id())
}

#[tokio::test]
async fn a_check_that_takes_over_its_first_process_ends_all_the_same() {
    let Some(sandbox) = sandbox() else { return };
    if !cfg!(target_arch = "x86_64") {
        return skipped("a check that takes over its first process: the attack is written for x86-64");
    }
    let world = World::new();
    for (number, (way, ends)) in WAYS.into_iter().enumerate() {
        let mark = mark(number);
        let time_out = Duration::from_secs(if ends { 30 } else { 3 });
        let confined = Some((sandbox.clone(), SandboxAccess::default()));
        let ended = world.run_argv(argv(way, &mark), confined, time_out, &[]).await;
        let is_said = SAID.iter().any(|words| ended.output.contains(words));
        // A check that ends at once prints nothing more.
        assert!(is_said || ["exits", "writes by file"].contains(&way), "{way}: {ended:?}");
        assert!(ends || ended.output.contains("[stopped after"), "{way}: {ended:?}");
        world.has_lost(&mark, way).await;
    }
    evidence::figure("T33", "takeovers of a check's first process", WAYS.len() as u64);
}

#[tokio::test]
async fn a_check_that_takes_over_its_first_process_ends_with_the_host() {
    let Some(sandbox) = sandbox() else { return };
    if !cfg!(target_arch = "x86_64") {
        return skipped("a check that takes over its first process: the attack is written for x86-64");
    }
    let world = World::new();
    for (number, way) in ["stays", "forks"].into_iter().enumerate() {
        let folders = Folders::make(world.path(&format!("host/.holdshort/{number}"))).unwrap();
        sandbox.hand_over(&folders).unwrap();
        let mark = mark(WAYS.len() + number);
        // A shell plays the host. When the shell is killed, it does not tell its child.
        let mut host = Command::new("sh");
        host.args(["-c", "\"$@\"; :", "sh"]).args(sandbox.argv(&folders, &SandboxAccess::default(), &argv(way, &mark)));
        let mut host = host.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(host.stdout.take().unwrap()).lines().map(Result::unwrap);
        let said = lines.take_while(|line| !line.starts_with("the first process")).collect::<Vec<_>>();
        host.kill().unwrap();
        host.wait().unwrap();
        world.has_lost(&mark, &format!("{way}: {said:?}")).await;
    }
}
