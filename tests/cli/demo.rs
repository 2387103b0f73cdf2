//! `demo`: the first minute of a new user, with and without a terminal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::said::{holdshort, normal};
use crate::support::{Folder, Repository};
use crate::terminal::on_terminal;

const ASKS: &str = "[q] quit:";
const GUIDANCE: &str = "(Try: keep the notes short)";

/// Whether the branch `production` of the demo's project, in its folder `tour`, is at `main`.
fn moved(folder: &Folder) -> bool {
    let project = Repository(folder.path().join("tour/project"));
    project.tip("production") == project.tip("main")
}

#[test]
fn without_a_terminal_it_drives_the_same_path_over_http() {
    let folder = Folder::new(&[], "");
    let said = holdshort(&folder, &["demo", "--keep", "tour"]).exits(0);
    let err = normal(&said.err, &folder);
    assert!(said.out.starts_with("deployed ") && said.out.lines().count() == 1, "{said:?}");
    for part in [
        "note: checks run the repository's own code ",
        "There is no terminal for the question: the demo approves sha256:DIGEST over HTTP at http://127.0.0.1:PORT\n",
        "`production` moved from COMMIT to COMMIT: exactly what was cleared.\n",
        "To look around: `cd FOLDER/tour`",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
    assert!(moved(&folder));
    let again = holdshort(&folder, &["demo", "--keep", "tour"]).exits(2);
    assert!(again.err.contains("cannot make the folder `tour`"), "{again:?}");
}

#[test]
fn it_fails_when_the_branch_did_not_move() {
    let folder = Folder::new(&[], "");
    // The tests of the project fail, because they find a python3 that fails.
    let python = folder.write("bin/python3", "#!/bin/sh\nexit 1\n");
    // In a sandbox the tests would not use that python3. So the sandbox program fails too.
    let sandbox = folder.write("bin/bwrap", "#!/bin/sh\nexit 1\n");
    for program in [&python, &sandbox] {
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", folder.path().join("bin").display(), std::env::var("PATH").unwrap());
    let output = folder.command(&["demo", "--keep", "tour"]).env("PATH", path).output().unwrap();
    let said = crate::said::Said::from(output).exits(3);
    assert!(said.err.contains("`tests` failed on main with exit status 1; not released"), "{said:?}");
    assert!(said.err.contains("`production` has not moved") && said.out.is_empty(), "{said:?}");
    assert!(!moved(&folder));
}

#[test]
fn on_a_terminal_yes_moves_the_branch() {
    let folder = Folder::new(&[], "");
    let seen = on_terminal(&folder, 100, &["demo", "--keep", "tour"], &[(ASKS, "y\n")]).without_residue();
    assert_eq!(seen.code, 0, "{}", seen.screen);
    assert!(seen.screen.contains("exactly what was cleared.") && moved(&folder), "{}", seen.screen);
}

#[test]
fn on_a_terminal_guidance_makes_the_agent_propose_again() {
    let folder = Folder::new(&[], "");
    let steps =
        [(ASKS, "maybe\n"), (ASKS, "n\n"), (GUIDANCE, "\n"), (GUIDANCE, "mention the price list\n"), (ASKS, "yes\n")];
    let seen = on_terminal(&folder, 100, &["demo", "--keep", "tour"], &steps).without_residue();
    assert_eq!(seen.code, 0, "{}", seen.screen);
    assert!(seen.screen.contains("From review: mention the price list") && moved(&folder), "{}", seen.screen);
}

#[test]
fn on_a_terminal_quitting_does_nothing() {
    let scratch = |screen: &str| {
        let folder = screen.split("The folder ").nth(1).unwrap().split(" has a small project").next().unwrap();
        folder.replace(['\r', '\n'], "")
    };
    let folder = Folder::new(&[], "");
    // The person types `q`, the end of input, or Ctrl-C.
    for (typed, code) in [("q\n", 1), ("\u{4}", 1), ("\u{3}", 130)] {
        let seen = on_terminal(&folder, 140, &["demo"], &[(ASKS, typed)]);
        assert_eq!(seen.code, code, "{}", seen.screen);
        assert!(seen.screen.contains("nothing was") || seen.screen.contains("the demo stops here"), "{}", seen.screen);
        let left = scratch(&seen.screen);
        assert!(left.contains("holdshort-demo-") && !Path::new(&left).exists(), "{left} is left behind");
    }
    let seen = on_terminal(&folder, 100, &["demo", "--keep", "tour"], &[(ASKS, "q\n")]);
    assert!(seen.code == 1 && !moved(&folder), "{}", seen.screen);
}
