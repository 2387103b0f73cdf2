//! `holdshort review`: the held calls, read and decided on with the keyboard.

use serde_json::json;

use crate::deciding::{doubt, doubtful, large};
use crate::said::holdshort;
use crate::scene::{letters, post_office, shop};
use crate::screen::Screen;
use crate::support::{Folder, Host};
use crate::terminal::with_variables;

const USUAL: (u16, u16) = (80, 24);

fn review(folder: &Folder) -> Screen {
    Screen::open(folder, USUAL, &["review"], &[])
}

/// An email that is held. Returns the id of its approval.
fn letter(host: &Host, subject: &str) -> String {
    let run = host.start("scripted", &format!("email bob@example.org {subject}"));
    host.held(&run)["id"].as_str().unwrap().to_owned()
}

fn run_of(id: &str) -> &str {
    id.split('.').next().unwrap()
}

#[test]
fn what_waits_is_opened_read_and_approved() {
    let folder = post_office("");
    let host = folder.serve();
    let (first, second) = (letter(&host, "First"), letter(&host, "Second"));
    let digest = host.approval(&first)["digest"].clone();
    let mut screen = review(&folder);
    screen.sees(&["Holdshort: 2 held", &format!("> {first}"), &second, "Enter open"]);
    for key in ["a", "r", "e"] {
        screen.keys(key).sees(&["you decide on the page of the call"]);
        screen.keys("k").sees(&["Enter open"]);
    }
    screen.keys("\r").sees(&[&format!("{first}  held  1 of 2"), "a approve"]);
    // The page is longer than the screen, and a page that was not read to its end cannot be approved.
    screen.keys("a").sees(&["the end of this page has not been on the screen yet"]);
    screen.keys("y").sees(&["a approve"]);
    assert_eq!(host.approval(&first)["state"], "held");
    screen.keys("G").sees(&["100 %", "The agent's rationale"]);
    screen.keys("a").sees(&["Approve exactly this? [y/N]"]).keys("n").sees(&["not confirmed; nothing was sent"]);
    assert_eq!((host.approval(&first)["state"].as_str(), letters(&folder)), (Some("held"), 0));
    screen.keys("a").sees(&["Approve exactly this? [y/N]"]).keys("y");
    // Now the next approval is open, and it has not been read.
    screen.sees(&[&format!("{first} is approved"), &format!("{second}  held  1 of 1")]);
    host.effect(&first, "succeeded");
    assert_eq!((host.over(run_of(&first))["state"].as_str(), letters(&folder)), (Some("finished"), 1));
    let decision = &host.events(run_of(&first))[2]["data"]["decision"];
    assert_eq!((&decision["clearance"], &decision["verdict"]), (&digest, &json!("approve")), "{decision}");
    screen.keys("y").keys("a").sees(&["the end of this page has not been on the screen yet"]);
    screen.keys("q").sees(&["Holdshort: 1 held"]).keys("q").ends(0);
    assert_eq!(letters(&folder), 1);
}

#[test]
fn a_deployment_moves_its_branch_on_a_narrow_terminal_too() {
    let (folder, repository) = shop(&["release"]);
    let host = folder.serve();
    let held = host.held(&host.start("release", "main to production"));
    let id = held["id"].as_str().unwrap();
    let mut screen = Screen::open(&folder, (40, 20), &["review", "--no-color"], &[]);
    screen.sees(&[id, "release: "]).keys("\r").sees(&["a approve"]);
    // Scrolling row by row shows every row of the page, and no row is cut.
    let mut seen = String::new();
    for _ in 0..400 {
        seen += &screen.text();
        if screen.text().contains("100 %") {
            break;
        }
        let before = screen.text();
        screen.keys("j");
        crate::support::until("scrolled page", || {
            screen.sees(&[]);
            (screen.text() != before).then_some(())
        });
    }
    for part in ["What would be done", "│ +two", "Only if this is still true", "The agent's rationale"] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    assert!(!screen.raw().contains("\u{1b}[1m"), "bold is a colour too, for whoever wants none");
    // A screen that is too small to read the page is too small to decide.
    screen.resize(20, 20).sees(&["too small"]).keys("a").resize(40, 20).sees(&["a approve"]);
    assert_ne!(repository.tip("main"), repository.tip("production"));
    screen.keys("a").sees(&["Approve exactly this?"]).keys("y").sees(&["is approved", "nothing waits"]);
    host.effect(id, "succeeded");
    assert_eq!(repository.tip("main"), repository.tip("production"));
    screen.keys("q").ends(0);
}

#[test]
fn a_rejection_tells_the_agent_why_and_a_question_is_answered() {
    let folder = post_office("");
    let host = folder.serve();
    let id = letter(&host, "Hello");
    let question = host.start("scripted", "ask Shall I?");
    let asked = host.held(&question)["id"].as_str().unwrap().to_owned();
    let mut screen = review(&folder);
    screen.sees(&[&id, &asked]).keys("\r").sees(&["r reject"]);
    screen.keys("w").sees(&["this is not a question"]);
    screen.keys("r").sees(&["Guidance for the agent"]).keys("no\u{1b}").sees(&["not confirmed; nothing was sent"]);
    screen
        .keys("r")
        .keys("say it\u{1b}[200~ in\nLatin\u{1b}[201~x\u{7f}")
        .sees(&["say it in<U+000A>Latin_"])
        .keys("\r");
    screen.sees(&[&format!("{id} is rejected"), "w answer"]);
    let result = host.over(run_of(&id));
    assert!(result["result"]["ok"].as_str().unwrap().contains("say it in\\nLatin"), "{result}");
    screen.keys("Ga").sees(&["this is a question"]);
    screen.keys("w").sees(&["Your answer"]).keys("\r").sees(&["nothing was typed; nothing was sent"]);
    screen.keys("w").sees(&["Your answer"]).keys("yes, on Monday\r").sees(&["is answered", "nothing waits"]);
    assert_eq!(host.over(&question)["result"]["ok"], "ok \"yes, on Monday\"");
    assert_eq!(letters(&folder), 0);
    screen.keys("\u{3}").ends(130);
}

#[test]
fn an_edit_is_shown_before_it_is_sent_and_looked_at_after() {
    let folder = post_office("");
    let host = folder.serve();
    let id = letter(&host, "Hello");
    let editor = folder.write("editor", "#!/bin/sh\nsed -i 's/Hello\"/Good morning\"/' \"$1\"\n");
    let editor = format!("sh {}", editor.display());
    let mut screen =
        Screen::open(&folder, USUAL, &["review"], &[("EDITOR", &editor), ("TMPDIR", folder.path().to_str().unwrap())]);
    screen.sees(&[&id]).keys("\r").sees(&["e edit"]).keys("e").sees(&["read to the end first"]);
    screen.keys("G").sees(&["100 %"]).keys("e");
    screen.sees(&["What the edit changes", "- \"Hello\"", "+ \"Good morning\"", "a send this edit"]);
    screen.keys("a").sees(&["Send this edit? [y/N]"]).keys("y");
    screen.sees(&["is held; 1 more approval is needed", "a approve"]);
    assert_eq!((host.approval(&id)["revision"].as_u64(), letters(&folder)), (Some(2), 0));
    // The new revision is unread for its editor too.
    screen.keys("a").sees(&["the end of this page"]).keys("G").sees(&["100 %"]).keys("a").sees(&["[y/N]"]).keys("y");
    screen.sees(&["is approved"]);
    host.effect(&id, "succeeded");
    assert!(host.over(run_of(&id))["result"]["ok"].as_str().unwrap().contains("Good morning"));
    screen.keys("q").ends(0);
    let drafts = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!drafts.into_iter().any(|name| name.to_string_lossy().starts_with("holdshort-")), "no draft is left");
}

#[test]
fn what_others_decide_shows_at_once() {
    let folder = post_office("");
    let host = folder.serve();
    let (id, late) = (letter(&host, "Hello"), letter(&host, "Later"));
    let mut screen = review(&folder);
    screen.sees(&[&id, "2 held"]);
    let new = letter(&host, "New");
    screen.sees(&[&new, "3 held"]);
    screen.keys("\r").sees(&["a approve"]).keys("G").sees(&["100 %"]).keys("a").sees(&["[y/N]"]);
    // While the question is on the screen, another reviewer decides. A `y` after that answers nothing.
    host.decide(&host.approval(&id), "reject", &json!({ "message": "not now" }));
    screen.sees(&["meanwhile the call was rejected by olivia: \"not now\"", &format!("{id}  rejected")]);
    assert!(!screen.text().contains("[y/N]"), "{}", screen.text());
    screen.keys("y").keys("a").sees(&["the call does not wait for a decision: it is rejected"]);
    screen
        .keys("r")
        .sees(&["the call does not wait for a decision"])
        .keys("e")
        .sees(&["the call does not wait for a decision"]);
    host.over(run_of(&id));
    // The call is no longer in the list of held calls.
    screen.keys("q").sees(&["2 held", &late]);
    assert_eq!((screen.text().contains(&id), letters(&folder)), (false, 0));
    screen.keys("q").ends(0);
}

#[test]
fn what_is_in_doubt_is_on_top_with_the_way_out() {
    let folder = doubtful();
    let host = folder.serve();
    let waits = host.start("scripted", "ask Shall I?");
    host.held(&waits);
    let (_, id) = doubt(&host);
    let mut screen = review(&folder);
    screen.sees(&["Holdshort: 1 held, 1 in doubt", "In doubt: the page of each call says how to resolve it", &waits]);
    assert!(screen.text().find(&id) < screen.text().find(&waits), "{}", screen.text());
    screen
        .keys("\r")
        .sees(&[&format!("{id}  in-doubt"), &format!("holdshort runs resolve {id} done|not-done|abandon")]);
    screen.keys("Ga").sees(&["the call does not wait for a decision: it is in-doubt"]);
    holdshort(&folder, &["runs", "resolve", &id, "not-done"]).exits(0);
    screen.sees(&["meanwhile the call has changed; it is now failed"]);
    screen.keys("q").sees(&["Holdshort: 1 held"]).keys("q").ends(0);
}

#[test]
fn disguise_takes_a_word() {
    let folder = post_office("");
    let host = folder.serve();
    let id = letter(&host, "p\u{430}ypal \u{202e} 日本語");
    let mut screen = review(&folder);
    screen.sees(&["<U+202E> 日本語"]).keys("\r").sees(&["Warnings"]).keys("G").sees(&["100 %"]);
    screen.keys("a").sees(&["Read the warnings (marked with `!`) first", "Type `approve`:"]);
    screen.keys("y\r").sees(&["not confirmed; nothing was sent"]);
    screen.keys("a").keys("\u{1b}[200~approve\u{1b}[201~\r").sees(&["not confirmed; nothing was sent"]);
    assert_eq!(host.approval(&id)["state"], "held");
    screen.keys("a").sees(&["Type `approve`:"]).keys("approve\r").sees(&["is approved"]);
    host.effect(&id, "succeeded");
    screen.keys("q").ends(0);
}

#[test]
fn the_terminal_is_given_back_whatever_happens() {
    let folder = post_office("");
    let host = folder.serve();
    letter(&host, "Hello");
    for signal in [2, 15, 1] {
        let mut screen = review(&folder);
        screen.sees(&["1 held"]).keys("\r").sees(&["a approve"]).signal(signal).ends(130);
    }
    let mut screen = review(&folder);
    screen.sees(&["1 held"]);
    host.kill();
    screen.keys("\r").sees(&["cannot reach the host"]);
    screen.keys("q").ends(0);
    let mut screen = review(&folder);
    screen.ends(5);
}

#[test]
fn what_is_no_terminal_is_told_of_the_commands() {
    let folder = post_office("");
    let _host = folder.serve();
    let said = folder.run(&["review"]);
    let text = String::from_utf8(said.stderr).unwrap();
    assert!(said.status.code() == Some(2) && text.contains("`holdshort approvals` lists"), "{text}");
    let seen = with_variables(&folder, 80, &["review"], &[], &[("TERM", "dumb")]);
    assert!(seen.code == 2 && seen.raw.contains("`holdshort approvals` lists"), "{}", seen.raw);
    let json = folder.run(&["review", "--json"]);
    assert_eq!((json.status.code(), json.stdout.is_empty()), (Some(2), true));
}

#[test]
fn long_evidence_is_fetched_and_read_before_it_is_approved() {
    let (folder, repository) = large();
    let host = folder.serve();
    let id = host.held(&host.start("scripted", "deploy main production Large"))["id"].as_str().unwrap().to_owned();
    let mut screen = review(&folder);
    screen.sees(&[&id]).keys("\r").sees(&["f fetch evidence"]).keys("G").sees(&["press f", "100 %"]);
    screen.keys("a").sees(&["long evidence is not loaded yet"]).keys("e").sees(&["long evidence is not loaded yet"]);
    screen.keys("f").sees(&["a approve  e edit  r reject  n next"]);
    // The page has become longer, and its end has not been on the screen.
    screen.keys("a").sees(&["the end of this page has not been on the screen yet"]);
    screen.keys("   ").keys("   ").sees(&["│ +a line of a large file"]).keys("a").sees(&["the end of this page"]);
    screen.keys("G").sees(&["100 %"]).keys("a").sees(&["Approve exactly this? [y/N]"]).keys("y").sees(&["is approved"]);
    host.effect(&id, "succeeded");
    assert_eq!(repository.tip("main"), repository.tip("production"));
    screen.keys("?").sees(&["Keys", "approve exactly the content of the page"]).keys("q").keys("q").ends(0);
}

#[test]
fn whoever_is_too_late_or_may_not_is_told_why() {
    let folder = post_office("");
    let host = folder.serve();
    let id = letter(&host, "Hello");
    let mut screen = review(&folder);
    screen.sees(&[&id]).keys("\r").keys("G").sees(&["100 %"]).keys("a").sees(&["[y/N]"]);
    // The reviewer types `y` before the program can know of the other decision, and the answer arrives after that
    // decision.
    screen.signal(19);
    host.decide(&host.approval(&id), "reject", &json!({ "message": "not now" }));
    screen.keys("y").signal(18).sees(&["olivia", &format!("{id}  rejected")]);
    assert!(host.over(run_of(&id))["result"]["ok"].as_str().unwrap().contains("not now"));
    screen.keys("q").sees(&["nothing waits"]).keys("q").ends(0);
    drop(host);

    let bob = format!("[reviewers.bob]\ntoken-sha256 = \"{}\"\n", "0a".repeat(32));
    let folder = post_office(&format!("[approval]\nfour-eyes = true\n{bob}"));
    let host = folder.serve();
    let id = letter(&host, "Hello");
    let mut screen = review(&folder);
    screen.sees(&[&id]).keys("\r").keys("G").sees(&["100 %"]).keys("a").sees(&["[y/N]"]).keys("y");
    screen.sees(&["who started the run cannot approve its calls", &format!("{id}  held"), "a approve"]);
    assert_eq!((host.approval(&id)["state"].as_str(), letters(&folder)), (Some("held"), 0));
    screen.keys("q").sees(&["1 held"]).keys("q").ends(0);
}
