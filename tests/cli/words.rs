//! Arguments that make no sense; the configuration; help, completions, and output whose reader ends early.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::said::{fails, holdshort};
use crate::support::skipped::skipped;
use crate::support::{Folder, HOLDSHORT, component};

#[test]
fn wrong_words_say_what_is_wrong_with_them() {
    let folder = Folder::new(&[], "");
    #[rustfmt::skip]
    let cases: &[(&str, &[&str])] = &[
        ("no-such-subcommand", &["frobnicate"]),
        ("a-slip-in-a-subcommand", &["aprovals"]),
        ("no-such-flag", &["runs", "--verbose"]),
        ("no-task", &["run", "agent.wasm"]),
        ("no-such-agent", &["run", "release", "--task", "x"]),
        ("run-id-of-an-approval", &["approvals", "show", "06h14bpdc71h03qb"]),
        ("id-that-climbs", &["approvals", "show", "../../etc.1"]),
        ("call-that-is-no-number", &["approvals", "show", "06h14bpdc71h03qb.x"]),
        ("run-that-is-no-id", &["runs", "show", "a/b"]),
        ("digest-that-is-none", &["approvals", "approve", "06h14bpdc71h03qb.1", "--yes", "--digest", "9f86"]),
        ("yes-without-digest", &["approvals", "approve", "06h14bpdc71h03qb.1", "--yes"]),
        ("respond-without-answer", &["approvals", "respond", "06h14bpdc71h03qb.1"]),
        ("no-such-finding", &["runs", "resolve", "06h14bpdc71h03qb.1", "maybe"]),
        ("no-such-state", &["approvals", "--state", "pending"]),
        ("no-such-time", &["stats", "--since", "monthly"]),
        ("no-such-shell", &["completions", "tcsh"]),
        ("listen-without-port", &["serve", "--listen", "127.0.0.1"]),
        ("listen-beyond-loopback", &["serve", "--listen", "0.0.0.0:0"]),
    ];
    for (name, arguments) in cases {
        fails(name, &folder, arguments).exits(2);
    }
    assert!(!folder.path().join(".holdshort").exists(), "nothing was tried");
}

#[test]
fn a_mistake_in_the_configuration_is_shown_with_its_line() {
    let folder = Folder::new(&[], "");
    folder.configure("[server]\nlisten = \"127.0.0.1:0\"\n\n[aproval]\nquorum = 2\n");
    for command in [&["config"][..], &["serve"], &["run", "a.wasm", "--task", "x"], &["approvals"], &["runs"]] {
        let said = holdshort(&folder, command).exits(2);
        assert!(said.err.contains("holdshort.toml:4:2: `aproval`: unknown setting"), "{command:?}: {said:?}");
    }
    fails("configuration-unknown-key", &folder, &["config"]).exits(2);
    folder.configure("[server]\nlisten = 127.0.0.1:0\n");
    fails("configuration-malformed", &folder, &["config"]).exits(2);
    folder.configure("[limits]\nmemory-mib = \"much\"\n");
    fails("configuration-wrong-value", &folder, &["serve"]).exits(2);
    fails("configuration-missing-file", &folder, &["--config", "other.toml", "config"]).exits(2);
}

#[test]
fn what_is_in_force_is_printed() {
    let folder = Folder::new(&["release"], "[limits]\nlinger-ms = 7\n");
    let said = holdshort(&folder, &["config"]).exits(0);
    assert!(said.out.starts_with(&format!("# The settings in force: from {}", folder.path().display())), "{said:?}");
    assert!(said.out.contains("a report, not a file to load"), "{said:?}");
    assert!(said.out.contains("linger-ms = 7") && said.out.contains("cpu-ms = 10000"), "set and default: {said:?}");
    let config = holdshort(&folder, &["config", "--json"]).exits(0).json();
    assert_eq!(config["limits"]["linger-ms"], 7);
    let token = folder.path().join(".holdshort/token");
    let operator = serde_json::json!({ "name": "olivia", "token-file": token });
    assert_eq!(config["reviewers"], serde_json::json!([operator]), "who runs the host is a reviewer");
    assert!(said.out.contains("[[reviewers]]\nname = \"olivia\"\n"), "{said:?}");
    assert_eq!(config["agents"]["release"]["component"], component("release").to_str().unwrap());
    fs::remove_file(folder.path().join("holdshort.toml")).unwrap();
    assert!(holdshort(&folder, &["config"]).exits(0).out.starts_with("# The settings in force: the defaults"));
    assert!(!folder.path().join(".holdshort").exists(), "looking changes nothing");
}

#[test]
fn help_tells_everything_and_completions_are_scripts() {
    let folder = Folder::new(&[], "");
    let help = holdshort(&folder, &["--help"]).exits(0);
    for word in [
        "run",
        "serve",
        "demo",
        "new",
        "check",
        "inspect",
        "review",
        "approvals",
        "runs",
        "stats",
        "config",
        "completions",
        "Exit codes:",
        "130",
    ] {
        assert!(help.out.contains(word), "{word}: {}", help.out);
    }
    assert!(holdshort(&folder, &[]).exits(2).err.contains("Usage: holdshort"), "nothing to do");
    assert_eq!(holdshort(&folder, &["--version"]).exits(0).out, format!("holdshort {}\n", env!("CARGO_PKG_VERSION")));
    for shell in ["bash", "zsh", "fish"] {
        let script = holdshort(&folder, &["completions", shell]).exits(0).out;
        assert!(
            script.contains("approvals") && script.contains("review") && script.contains("holdshort"),
            "{shell}: {script}"
        );
        let file = folder.write(shell, &script);
        match Command::new(shell).arg("-n").arg(&file).status() {
            Ok(status) => assert!(status.success(), "{shell} cannot read its completions"),
            Err(_) => skipped(&format!("{shell} is not installed, so that it cannot check its completions")),
        }
    }
}

#[test]
fn whoever_has_read_enough_may_go() {
    let folder = Folder::new(&[], "");
    // The output is longer than a pipe can hold, so that the program still writes when its reader has ended.
    let long = "x".repeat(300_000);
    folder.configure(&format!("[agents.a]\ncomponent = \"{long}.wasm\"\n"));
    for arguments in [&["config"][..], &["config", "--json"], &["--help"], &["completions", "bash"]] {
        let mut child = Command::new(HOLDSHORT)
            .args(arguments)
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::with_capacity(1, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(!line.is_empty() && err.is_empty(), "{arguments:?}: {err}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn colours_are_for_terminals() {
    let folder = Folder::new(&[], "");
    for arguments in [&["--help"][..], &["frobnicate"], &["inspect", component("release").to_str().unwrap()]] {
        let said = holdshort(&folder, arguments);
        assert!(!said.out.contains('\u{1b}') && !said.err.contains('\u{1b}'), "{said:?}");
    }
}
