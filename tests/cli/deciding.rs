//! Decisions from the command line: on exactly what was shown, once, and never by accident.

use std::fs;

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::said::{Said, fails, holdshort, prints};
use crate::scene::{in_file, letters, post_office, shop};
use crate::support::{Folder, Host, Repository, component, until};
use crate::terminal::{on_terminal, with_variables};

/// A host, and an email that is held.
fn letter(folder: &Folder) -> (Host, String, Value, String) {
    let host = folder.serve();
    let run = host.start("scripted", "email bob@example.org Hello");
    let held = host.held(&run);
    let id = held["id"].as_str().unwrap().to_owned();
    (host, run, held, id)
}

#[test]
fn approving_shows_asks_and_sends_the_digest_of_what_it_showed() {
    let folder = post_office("");
    let (host, run, held, id) = letter(&folder);
    let digest = held["digest"].as_str().unwrap();
    let seen = on_terminal(&folder, 100, &["approvals", "approve", &id], &[("Approve exactly this? [y/N]", "n\n")]);
    assert!(seen.code == 1 && seen.screen.contains("not confirmed; nothing was sent"), "{}", seen.screen);
    assert!(seen.screen.contains(digest) && seen.screen.contains("bob@example.org"), "{}", seen.screen);
    let seen = on_terminal(&folder, 100, &["approvals", "approve", &id], &[("Approve exactly this? [y/N]", "\u{4}")]);
    assert!(seen.code == 1, "nothing is typed: {}", seen.screen);
    let seen = on_terminal(&folder, 100, &["approvals", "approve", &id], &[("Approve exactly this? [y/N]", "\u{3}")]);
    assert_eq!(seen.code, -2, "Ctrl-C: {}", seen.screen);
    assert_eq!(letters(&folder), 0);

    let question = [("Approve exactly this? [y/N]", "y\n")];
    let seen = on_terminal(&folder, 100, &["approvals", "approve", &id, "-m", "go on"], &question);
    assert!(seen.code == 0 && seen.screen.contains(&format!("{id} is approved")), "{}", seen.screen);
    host.effect(&id, "succeeded");
    let decision = &host.events(&run)[2]["data"]["decision"];
    assert_eq!((&decision["clearance"], &decision["message"]), (&json!(digest), &json!("go on")));
    assert_eq!((host.over(&run)["state"].as_str(), letters(&folder)), (Some("finished"), 1));
}

#[test]
fn without_a_terminal_the_digest_must_be_named() {
    let folder = post_office("");
    let (host, _, held, id) = letter(&folder);
    let digest = held["digest"].as_str().unwrap();
    let said = holdshort(&folder, &["approvals", "approve", &id]).exits(2);
    assert!(said.err.starts_with("error: there is no terminal for the question; nothing was sent\n"), "{said:?}");
    // A `y` on a piped stdin does not approve.
    let mut piped = folder.command(&["approvals", "approve", &id]);
    let mut child = piped.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"y\n").unwrap();
    Said::from(child.wait_with_output().unwrap()).exits(2);
    assert_eq!((host.approval(&id)["state"].as_str(), letters(&folder)), (Some("held"), 0));

    let said = holdshort(&folder, &["approvals", "approve", &id, "--yes", "--digest", digest, "--json"]).exits(0);
    assert_eq!(said.json()["state"], "approved", "{said:?}");
    host.effect(&id, "succeeded");
    assert_eq!(letters(&folder), 1);
}

#[test]
fn rejecting_tells_the_agent_why() {
    let folder = post_office("");
    let (host, run, _, id) = letter(&folder);
    let said = holdshort(&folder, &["approvals", "reject", &id, "-m", "say it in Latin"]).exits(0);
    assert_eq!(said.out, format!("{id} is rejected\n"));
    let result = host.over(&run);
    assert!(result["result"]["ok"].as_str().unwrap().contains("say it in Latin"), "{result}");
    fails("reject-again", &folder, &["approvals", "reject", &id, "-m", "no"]).exits(4);
    assert_eq!(letters(&folder), 0);
}

#[test]
fn questions_are_answered() {
    let folder = post_office("");
    let host = folder.serve();
    for (arguments, answer) in [(vec!["yes"], "ok \"yes\""), (vec!["--json-answer", "\"no\""], "ok \"no\"")] {
        let run = host.start("scripted", "ask Shall I?");
        let id = host.held(&run)["id"].as_str().unwrap().to_owned();
        let arguments = [&["approvals", "respond", &id][..], &arguments].concat();
        assert_eq!(holdshort(&folder, &arguments).exits(0).out, format!("{id} is answered\n"));
        assert_eq!(host.over(&run)["result"]["ok"], answer);
    }
    let run = host.start("scripted", "ask Shall I?");
    let id = host.held(&run)["id"].as_str().unwrap().to_owned();
    fails("answer-that-is-no-json", &folder, &["approvals", "respond", &id, "--json-answer", "maybe"]).exits(2);
    fails("answer-that-does-not-fit", &folder, &["approvals", "respond", &id, "--json-answer", "[1]"]).exits(4);
    fails(
        "approve-a-question",
        &folder,
        &["approvals", "approve", &id, "--yes", "--digest", host.approval(&id)["digest"].as_str().unwrap(), "--json"],
    )
    .exits(4);
}

#[test]
fn editing_proposes_something_else() {
    let folder = post_office("");
    let (host, run, held, id) = letter(&folder);
    let before = held["digest"].as_str().unwrap();
    let mut arguments = held["proposal"]["action"]["arguments"].clone();
    folder.write("same.json", &arguments.to_string());
    fails(
        "edit-that-changes-nothing",
        &folder,
        &["approvals", "edit", &id, "--arguments", "same.json", "--yes", "--digest", before],
    )
    .exits(1);
    fails("edit-without-editor", &folder, &["approvals", "edit", &id]).exits(2);
    // If nothing is changed in the editor, nothing is sent, and no draft is left.
    let drafts = folder.path().join("drafts");
    fs::create_dir(&drafts).unwrap();
    let mut unchanged = folder.command(&["approvals", "edit", &id, "--yes", "--digest", before]);
    let unchanged = unchanged.env("EDITOR", "true").env("TMPDIR", &drafts).output().unwrap();
    assert!(String::from_utf8_lossy(&unchanged.stderr).contains("nothing was changed"), "{unchanged:?}");
    assert_eq!((unchanged.status.code(), fs::read_dir(&drafts).unwrap().count()), (Some(1), 0));

    // An edit on a terminal, in the reviewer's own editor.
    let editor = folder.write("editor", "#!/bin/sh\nsed -i 's/Hello\"/Good morning\"/' \"$1\"\n");
    let editor = format!("sh {}", editor.display());
    let steps = [("Send this edit? [y/N]", "y\n")];
    let seen = with_variables(&folder, 100, &["approvals", "edit", &id], &steps, &[("EDITOR", &editor)]);
    assert_eq!(seen.code, 0, "{}", seen.screen);
    let next = format!("to see it in full and approve it: holdshort approvals approve {id}");
    let (shown, proposed) = seen.screen.split_once("Send this edit?").unwrap();
    assert!(shown.contains("What the host found out") && shown.contains("Subject: Hello"), "what it was: {shown}");
    assert!(proposed.contains(" is held"), "{proposed}");
    for part in ["- \"Hello\"", "+ \"Good morning\"", "is held; 1 more approval is needed", "its digest is now sha256:"]
    {
        assert!(seen.screen.contains(part), "{part}: {}", seen.screen);
    }
    assert!(seen.screen.replace("\n  ┊ ", "").contains(&next), "{next}: {}", seen.screen);
    assert_eq!(letters(&folder), 0, "the message as it would be sent now has been shown to nobody");
    let seen = on_terminal(&folder, 100, &["approvals", "approve", &id], &[("Approve exactly this? [y/N]", "y\n")]);
    assert!(seen.code == 0 && seen.screen.contains("Subject: Good morning"), "{}", seen.screen);
    host.effect(&id, "succeeded");
    let result = host.over(&run);
    assert!(
        result["result"]["ok"].as_str().unwrap().contains("Good morning"),
        "the agent gets what was done: {result}"
    );
    assert_eq!(letters(&folder), 1);

    // An edit without a terminal, from a file or a pipe.
    let run = host.start("scripted", "email bob@example.org Hello");
    let held = host.held(&run);
    let (id, digest) = (held["id"].as_str().unwrap(), held["digest"].as_str().unwrap());
    arguments["message"]["subject"] = "Good evening".into();
    let mut piped =
        folder.command(&["approvals", "edit", id, "--arguments", "-", "--yes", "--digest", digest, "--json"]);
    let mut child = piped.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(arguments.to_string().as_bytes()).unwrap();
    let said = Said::from(child.wait_with_output().unwrap()).exits(0);
    let said = said.json();
    assert_ne!(said["digest"], digest);
    assert_eq!((&said["state"], &said["still_needed"]), (&"held".into(), &1.into()), "{said}");
    let approve = ["approvals", "approve", id, "--yes", "--digest", said["digest"].as_str().unwrap()];
    assert!(holdshort(&folder, &approve).exits(0).out.ends_with("is approved\n"));
    assert!(host.over(&run)["result"]["ok"].as_str().unwrap().contains("Good evening"));
}

#[test]
fn a_quorum_is_told_how_many_more_are_needed() {
    let bob = "8d3a6e9f0b";
    let sha = {
        use std::process::Command;
        let output = Command::new("sh").args(["-c", &format!("printf %s {bob} | sha256sum | cut -c1-64")]).output();
        String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
    };
    let folder = post_office(&format!("[approval]\nquorum = 2\n[reviewers.bob]\ntoken-sha256 = \"{sha}\"\n"));
    let (host, _, held, id) = letter(&folder);
    folder.write("bobs-token", &format!("{bob}\n"));
    let digest = held["digest"].as_str().unwrap();
    let approve = ["approvals", "approve", &id, "--yes", "--digest", digest];
    let said = holdshort(&folder, &approve).exits(0);
    assert!(said.out.ends_with(&format!("{id} is held; 1 more approval is needed\n")), "{said:?}");
    let said = holdshort(&folder, &approve).exits(0);
    assert!(said.out.ends_with("1 more approval is needed (this decision was recorded before)\n"), "{said:?}");
    let said = holdshort(&folder, &[&approve[..], &["--token-file", "bobs-token"]].concat()).exits(0);
    assert!(said.out.ends_with(&format!("{id} is approved\n")), "{said:?}");
    host.effect(&id, "succeeded");
    assert_eq!(letters(&folder), 1);
}

#[test]
fn what_is_disguised_is_not_approved_by_habit() {
    let folder = post_office("");
    let host = folder.serve();
    let held = host.held(&host.start("scripted", "email bob@example.org Invoice\u{202e}fdp.exe"));
    let id = held["id"].as_str().unwrap();
    let question = "Type `approve`:";
    let seen = on_terminal(&folder, 100, &["approvals", "approve", id], &[(question, "y\n")]);
    assert!(seen.code == 1 && seen.screen.contains("Warnings"), "{}", seen.screen);
    assert!(seen.screen.contains("Invoice<U+202E>fdp.exe") && !seen.raw.contains('\u{202e}'), "{}", seen.screen);
    assert_eq!(letters(&folder), 0);
    assert_eq!(on_terminal(&folder, 100, &["approvals", "approve", id], &[(question, "approve\n")]).code, 0);
    host.effect(id, "succeeded");
    assert_eq!(letters(&folder), 1);
}

/// A deploy program whose exit code does not tell the result. The effect is in doubt, and no lookup is possible.
const DOUBT: &str = r#"
[deployment]
connector = "command"
command = ["sh", "-c", "echo tried >> FOLDER/tried; echo half-way; exit 9"]
repository = "shop.git"
targets = { production = "production" }

[repository]
path = "shop.git"
"#;

/// A person who watches the run is told what the host found, and what they can do.
#[test]
fn a_run_that_is_watched_says_what_was_found_out() {
    let (folder, _) = shop(&[]);
    let scripted = component("scripted");
    folder.configure(&DOUBT.replace("FOLDER", folder.path().to_str().unwrap()));
    let err = std::fs::File::create(folder.path().join("err")).unwrap();
    let arguments = ["run", scripted.to_str().unwrap(), "--task", "deploy main production notes"];
    let mut run = folder.command(&arguments).stdout(Stdio::null()).stderr(err).spawn().unwrap();
    let line = |begins: &str| {
        in_file(begins, &folder.path().join("err"), |said| {
            let complete = said.get(..said.rfind('\n')?)?;
            complete.lines().map(str::trim).find(|line| line.contains(begins)).map(str::to_owned)
        })
    };
    let id = line("holdshort approvals approve ").split_whitespace().last().unwrap().to_owned();
    let digest = holdshort(&folder, &["approvals", "show", &id, "--json"]).exits(0).json()["digest"].clone();
    holdshort(&folder, &["approvals", "approve", &id, "--yes", "--digest", digest.as_str().unwrap()]).exits(0);
    assert!(line("is in doubt: ").ends_with("exit status 9: \"half-way\""));
    line("is still in doubt and must be resolved by a reviewer; lookup: ");
    assert_eq!(
        line("resolve it: "),
        format!("resolve it: holdshort runs resolve {id} done|not-done|abandon|send-again")
    );
    holdshort(&folder, &["runs", "resolve", &id, "not-done"]).exits(0);
    assert!(run.wait().unwrap().success());
}

/// A run whose deployment is in doubt. Returns the id of the run and the id of its approval.
pub fn doubt(host: &Host) -> (String, String) {
    let run = host.start("scripted", "deploy main production notes");
    let held = host.held(&run);
    host.approve(&held);
    let id = held["id"].as_str().unwrap().to_owned();
    until("evidence", || (!host.approval(&id)["effect"]["evidence"].is_null()).then_some(()));
    (run, id)
}

/// A folder whose deployments end in doubt.
pub fn doubtful() -> Folder {
    let (folder, _) = shop(&[]);
    let scripted = component("scripted");
    let doubt_here = DOUBT.replace("FOLDER", folder.path().to_str().unwrap());
    folder.configure(&format!("{doubt_here}\n[agents.scripted]\ncomponent = \"{}\"\n", scripted.display()));
    folder
}

#[test]
fn what_is_in_doubt_is_settled_by_a_person() {
    let folder = doubtful();
    let host = folder.serve();
    let (run, id) = doubt(&host);
    prints("approval-in-doubt", &folder, &["approvals", "show", &id]);
    prints("events-in-doubt", &folder, &["runs", "events", &run]);
    fails("resolve-sends-again-what-cannot-be", &folder, &["runs", "resolve", &id, "send-again"]).exits(4);
    fails("resolve-another-attempt", &folder, &["runs", "resolve", &id, "abandon", "--attempt", "2"]).exits(4);
    fails("resolve-receipt-for-nothing", &folder, &["runs", "resolve", &id, "not-done", "--receipt", "{}"]).exits(2);
    fails("resolve-receipt-that-is-no-json", &folder, &["runs", "resolve", &id, "done", "--receipt", "{"]).exits(2);
    fails("resolve-receipt-that-does-not-fit", &folder, &["runs", "resolve", &id, "done", "--receipt", "{}"]).exits(4);
    let said = holdshort(&folder, &["runs", "resolve", &id, "not-done", "-m", "I looked"]).exits(0);
    assert_eq!(said.out, format!("{id} is resolved as not-done: failed\n"));
    assert!(host.over(&run)["result"]["ok"].as_str().unwrap().starts_with("err Refusal::Failed("), "the agent is told");
    let events = holdshort(&folder, &["runs", "events", &run]).exits(0).out;
    assert!(events.contains("call 1 is resolved by olivia as not done: \"I looked\""), "{events}");
    fails("resolve-again", &folder, &["runs", "resolve", &id, "done"]).exits(4);

    let (run, id) = doubt(&host);
    let said = holdshort(&folder, &["runs", "resolve", &id, "abandon", "--json"]).exits(0);
    assert_eq!(said.json()["state"], "unresolved", "{said:?}");
    assert!(host.over(&run)["result"]["ok"].as_str().unwrap().starts_with("err Refusal::Unresolved("));
    assert_eq!(std::fs::read_to_string(folder.path().join("tried")).unwrap(), "tried\n".repeat(2), "each once");
}

/// A folder whose repository has a commit that is too large to be shown at once.
pub fn large() -> (Folder, Repository) {
    let (folder, repository) = shop(&["scripted"]);
    let work = tempfile::tempdir().unwrap();
    repository.git(&["clone", "--quiet", ".", work.path().to_str().unwrap()]);
    let work = Repository(work.path().to_path_buf());
    std::fs::write(work.0.join("large.txt"), "a line of a large file\n".repeat(2_000)).unwrap();
    work.git(&["add", "."]);
    work.git(&["commit", "--quiet", "--message", "A large file"]);
    work.git(&["push", "--quiet", "origin", "main"]);
    (folder, repository)
}

#[test]
fn evidence_that_is_left_out_is_not_approved_by_habit() {
    let (folder, _) = large();
    let host = folder.serve();
    let held = host.held(&host.start("scripted", "deploy main production Large"));
    let id = held["id"].as_str().unwrap();
    let careful = "Evidence is not shown here; `--full` shows it. Approve exactly this? Type `approve`:";
    let seen = on_terminal(&folder, 100, &["approvals", "approve", id], &[(careful, "y\n")]);
    assert!(seen.code == 1 && seen.screen.contains("not confirmed; nothing was sent"), "{}", seen.screen);
    // An edit needs a confirmation word too, because an edit of the notes alone also approves the same change.
    let mut arguments = held["proposal"]["action"]["arguments"].clone();
    arguments["release"]["notes"] = "Larger".into();
    folder.write("larger.json", &arguments.to_string());
    let careful = "Evidence is not shown here; `--full` shows it. Send this edit? Type `edit`:";
    let edit = ["approvals", "edit", id, "--arguments", "larger.json"];
    let seen = on_terminal(&folder, 100, &edit, &[(careful, "y\n")]);
    assert!(seen.code == 1 && seen.screen.contains("not confirmed; nothing was sent"), "{}", seen.screen);
    let seen =
        on_terminal(&folder, 100, &["approvals", "approve", id, "--full"], &[("Approve exactly this? [y/N]", "y\n")]);
    assert!(seen.code == 0 && seen.screen.contains("a line of a large file"), "{}", seen.screen);
    host.effect(id, "succeeded");
}
