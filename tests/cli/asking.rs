//! Lists and single items, for people and for programs, and the meaning of the exit codes.

use serde_json::json;

use crate::said::{holdshort, normal};
use crate::scene::{post_office, shop};
use crate::terminal::on_terminal;

#[test]
fn lists_are_for_people_and_for_programs() {
    let folder = post_office("");
    let host = folder.serve();
    let none = holdshort(&folder, &["approvals"]).exits(0);
    assert_eq!((none.out.as_str(), none.err.as_str()), ("", "nothing waits for a decision\n"));
    assert_eq!(holdshort(&folder, &["runs"]).exits(0).err, "there are no such runs\n");
    let long = "a subject that is long enough not to fit into a hundred columns ".repeat(3);
    // The runs are started one after the other, because agents that run at the same time ask in any order.
    let runs: Vec<String> = (1..=3)
        .map(|n| {
            let run = host.start("scripted", &format!("email bob@example.org {n} {long}"));
            host.held(&run);
            run
        })
        .collect();

    let list = holdshort(&folder, &["approvals"]).exits(0);
    assert_eq!(list.out.lines().count(), 3, "a line each, for a program that reads lines: {}", list.out);
    let first = normal(list.out.lines().next().unwrap(), &folder);
    assert!(
        first.starts_with("RUN.1  TIME  scripted: send “1 a subject") || first.starts_with("RUN.1  TIME  scripted: "),
        "{first}"
    );
    let page = holdshort(&folder, &["approvals", "list", "--limit", "2", "--json"]).exits(0).json();
    assert_eq!(page["approvals"].as_array().unwrap().len(), 2);
    let next = page["next"].as_str().unwrap();
    let human = holdshort(&folder, &["approvals", "--limit", "2"]).exits(0);
    assert!(human.err.contains(&format!("--after {next}")), "{human:?}");
    let rest = holdshort(&folder, &["approvals", "--limit", "2", "--after", next, "--json"]).exits(0).json();
    assert_eq!(rest["approvals"][0]["id"], format!("{}.1", runs[2]));

    holdshort(&folder, &["runs", "cancel", &runs[2], "-m", "not needed"]).exits(0);
    let all = holdshort(&folder, &["approvals", "--state", "all"]).exits(0);
    assert!(all.out.contains("  cancelled  ") && all.out.contains("  held  "), "{}", all.out);
    let waiting = holdshort(&folder, &["runs", "--state", "waiting", "--json"]).exits(0).json();
    assert_eq!(waiting["runs"].as_array().unwrap().len(), 2);
    let human = holdshort(&folder, &["runs", "list", "--limit", "1"]).exits(0);
    assert!(normal(&human.out, &folder).starts_with("RUN  TIME  cancelled  scripted: email"), "{human:?}");
    assert!(human.err.contains("--before "), "{human:?}");
}

#[test]
fn a_run_is_shown_with_all_that_happened() {
    let folder = post_office("");
    let host = folder.serve();
    let run = host.start("scripted", "log hello\nemail bob@example.org Hello\nfail that is all");
    let held = host.held(&run);
    let shown = holdshort(&folder, &["runs", "show", &run]).exits(0);
    assert!(shown.out.contains(&format!("state: waiting for {run}.1")), "{}", shown.out);
    host.approve(&held);
    host.over(&run);
    let shown = holdshort(&folder, &["runs", "show", &run]).exits(0).out;
    assert!(shown.contains("state: failed\n") && shown.contains("err: \"that is all\""), "{shown}");
    assert_eq!(holdshort(&folder, &["runs", "show", &run, "--json"]).exits(0).json()["state"], "failed");

    let events = holdshort(&folder, &["runs", "events", &run]).exits(0).out;
    let sentences: Vec<String> = normal(&events, &folder).lines().map(|line| line[12..].to_owned()).collect();
    let expected = [
        "olivia starts the agent scripted: \"log hello\\nemail bob@example.org Hello\\nfail that is all\"",
        "call 1 is held: ",
        "call 1 is approved by olivia",
        "call 1 is in progress, attempt 1",
        "call 1 is done",
        "the agent reports a failure: \"that is all\"",
    ];
    assert_eq!(sentences.len(), expected.len(), "{events}");
    for (sentence, expected) in sentences.iter().zip(expected) {
        assert!(sentence.trim_start().starts_with(expected), "{sentence} instead of {expected}");
    }
    let json = holdshort(&folder, &["runs", "events", &run, "--json"]).exits(0).out;
    let kinds: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["type"].clone()).collect();
    let expected = ["run-created", "call-held", "decision-made", "effect-started", "effect-succeeded", "run-finished"];
    assert_eq!(json!(kinds), json!(expected));
    assert_eq!(holdshort(&folder, &["runs", "events", &run, "--after", "5", "--json"]).exits(0).out.lines().count(), 1);
    holdshort(&folder, &["runs", "events", &run, "--follow"]).exits(3);
}

#[test]
fn following_a_run_ends_with_it() {
    let folder = post_office("");
    let host = folder.serve();
    let run = host.start("scripted", "email bob@example.org Hello");
    let held = host.held(&run);
    let follower =
        folder.command(&["runs", "events", &run, "--follow"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    host.approve(&held);
    let output = follower.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().contains("the agent returns: \"ok EmailReceipt"), "to the end");
}

#[test]
fn what_an_agent_said_is_listed_and_followed() {
    let folder = post_office("");
    let host = folder.serve();
    let run = host.start("scripted", "log one\u{1b}[2J\nlog two\nask Shall I?\nlog three");
    let held = host.held(&run);
    let logs = |more: &[&str]| holdshort(&folder, &[&["runs", "logs", &run], more].concat()).exits(0).out;
    let expected = "   1  TIME  info   one<U+001B>[2J\n   2  TIME  info   two\n";
    assert_eq!(normal(&logs(&[]), &folder), expected);
    assert_eq!(normal(&logs(&["--after", "1"]), &folder), expected.split_inclusive('\n').nth(1).unwrap());
    let lines = logs(&["--json"]);
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json!(lines), host.get(&format!("/v1/runs/{run}/logs"))["lines"], "a document a line");

    let follower =
        folder.command(&["runs", "logs", &run, "--follow"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let (status, answer) = host.decide(&held, "respond", &json!({ "message": "yes" }));
    assert_eq!(status, 200, "{answer}");
    let output = follower.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(normal(&text, &folder), format!("{expected}   3  TIME  info   three\n"), "to the end");
    let silent = host.start("scripted", "fail no");
    host.over(&silent);
    assert_eq!(holdshort(&folder, &["runs", "logs", &silent]).exits(0).out, "");
    holdshort(&folder, &["runs", "logs", &silent, "--follow"]).exits(3);
}

#[test]
fn a_question_takes_one_answer_whatever_effects_take() {
    let reviewer = |name, hash: &str| format!("[reviewers.{name}]\ntoken-sha256 = \"{}\"\n", hash.repeat(32));
    let others = reviewer("bob", "0a") + &reviewer("carol", "0b");
    let folder = post_office(&format!("[approval]\nquorum = 2\nfour-eyes = true\n{others}"));
    let host = folder.serve();
    let run = host.start("scripted", "ask Shall I?\nemail bob@example.org Hello");
    host.held(&run);
    let (question, email) = (format!("{run}.1"), format!("{run}.2"));
    let shown = holdshort(&folder, &["approvals", "show", &question]).exits(0).out;
    assert!(shown.contains("  state: held; an answer is needed\n"), "{shown}");
    assert!(shown.contains("  needs: an answer of: any reviewer\n"), "{shown}");
    let said = holdshort(&folder, &["approvals", "respond", &question, "yes"]).exits(0);
    assert_eq!(said.out, format!("{question} is answered\n"), "by who started the run, and alone");
    host.held(&run);
    let shown = holdshort(&folder, &["approvals", "show", &email]).exits(0).out;
    assert!(shown.contains("  state: held; 2 approvals are needed\n"), "{shown}");
    assert!(
        shown.contains("  needs: 2 of: any reviewer, except the person who started the run or edited the call; then "),
        "{shown}"
    );
}

#[test]
fn an_approval_is_shown_whole_and_its_digest_can_be_copied() {
    let (folder, repository) = shop(&["release"]);
    let host = folder.serve();
    let held = host.held(&host.start("release", "main to production"));
    let (id, digest) = (held["id"].as_str().unwrap(), held["digest"].as_str().unwrap());
    let shown = holdshort(&folder, &["approvals", "show", id]).exits(0).out;
    for part in [
        &format!("  digest: {digest}\n"),
        "What would be done\n",
        &format!("revision: \"{}\"", repository.tip("main")),
        "Only if this is still true\n",
        "│ +two\n",
        "The agent's rationale (its own words, not verified)\n",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(
        shown.find("target: ").unwrap() < shown.find("revision: \"").unwrap(),
        "as the interface declares: {shown}"
    );
    assert_eq!(holdshort(&folder, &["approvals", "show", id, "--json"]).exits(0).json(), held);
    host.approve(&held);
    host.effect(id, "succeeded");
    let shown = holdshort(&folder, &["approvals", "show", id]).exits(0).out;
    assert!(shown.contains("state: approved\n") && shown.contains("effect: succeeded, attempt 1"), "{shown}");
    assert!(shown.contains("What was done (the connector's receipt)\n"), "{shown}");
}

#[test]
fn a_narrow_terminal_gets_narrow_lines() {
    let (folder, _) = shop(&["release"]);
    let host = folder.serve();
    let held = host.held(&host.start("release", "main to production"));
    let id = held["id"].as_str().unwrap();
    for arguments in
        [&["approvals"][..], &["approvals", "show", id], &["runs"], &["runs", "events", held["run"].as_str().unwrap()]]
    {
        let seen = on_terminal(&folder, 50, arguments, &[]);
        assert_eq!(seen.code, 0, "{}", seen.screen);
        let widest = seen.screen.lines().max_by_key(|line| line.chars().count()).unwrap();
        assert!(widest.chars().count() <= 50, "{arguments:?}: {widest}");
    }
    let seen = on_terminal(&folder, 100, &["approvals", "show", id], &[]);
    assert!(seen.raw.contains("\u{1b}[1m"), "headings stand out on a terminal");
    let seen = on_terminal(&folder, 100, &["approvals", "show", id, "--no-color"], &[]);
    assert!(!seen.raw.contains('\u{1b}'), "unless that is not wanted");
}
