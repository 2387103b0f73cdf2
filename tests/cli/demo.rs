//! `demo`: the first minute of a new user, with and without a terminal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use endpoint::Endpoint;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::said::{Said, fails, holdshort, normal};
use crate::support::{Folder, Repository};
use crate::terminal::on_terminal;

#[allow(dead_code, reason = "not every test reads what the server has answered")]
#[path = "../sdks/endpoint.rs"]
mod endpoint;

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
    let said = Said::from(output).exits(3);
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

/// The emails in the folder of the demo.
fn letters(folder: &Folder) -> Vec<String> {
    let entries = fs::read_dir(folder.path().join("tour/mail/new")).into_iter().flatten();
    entries.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
}

/// What the account of the demo has, in cents.
fn balance(folder: &Folder) -> i64 {
    let books = Connection::open(folder.path().join("tour/.holdshort/ledger.db")).unwrap();
    let sum = "SELECT sum(amount) FROM postings JOIN accounts ON accounts.number = account WHERE name = 'operating'";
    books.query_row(sum, [], |row| row.get(0)).unwrap()
}

const ASSISTANT: [&str; 5] = ["demo", "--agent", "assistant", "--keep", "tour"];

#[test]
fn a_scripted_model_pays_and_writes_without_a_network() {
    let folder = Folder::new(&[], "");
    let said = holdshort(&folder, &ASSISTANT).exits(0);
    assert!(said.out.starts_with("Done. The email was sent to ann@example.org: "), "{said:?}");
    for part in ["A scripted model, a part of this program,", "it knows this task alone, and understands nothing"] {
        assert!(said.err.contains(part), "{part}: {said:?}");
    }
    let letters = letters(&folder);
    assert!(letters.len() == 1 && letters[0].contains("Invoice INV-7 is paid: "), "{letters:?}");
    assert_eq!(balance(&folder), 100_000 - 12_050);
}

#[test]
fn on_a_terminal_the_scripted_model_gets_guidance() {
    let folder = Folder::new(&[], "");
    let steps = [(ASKS, "n\n"), ("(Try: name the date)", "it is paid already\n"), (ASKS, "y\n")];
    let seen = on_terminal(&folder, 100, &ASSISTANT, &steps).without_residue();
    assert_eq!(seen.code, 0, "{}", seen.screen);
    let letters = letters(&folder);
    assert!(letters.len() == 1 && letters[0].contains("is not paid. From review: it is paid already"), "{letters:?}");
    assert_eq!(balance(&folder), 100_000, "a rejected payment is not made");
    let folder = Folder::new(&[], "");
    let reject = |why| [(ASKS, "n\n"), ("(Try: name the date)", why)];
    let steps = [reject("no\n"), reject("not this\n"), reject("stop\n")].concat();
    let seen = on_terminal(&folder, 100, &ASSISTANT, &steps).without_residue();
    assert_eq!(seen.code, 1, "{}", seen.screen);
    assert!(seen.screen.contains("no email was cleared, so none was sent"), "{}", seen.screen);
    assert_eq!((self::letters(&folder).len(), balance(&folder)), (0, 100_000));
}

#[test]
fn a_real_model_may_ask_and_its_key_is_shown_nowhere() {
    let folder = Folder::new(&[], "");
    fails("demo-release-with-a-model", &folder, &["demo", "--model", "http://localhost:1/v1"]).exits(2);
    let model = ["--model", "http://127.0.0.1:1/v1", "--credential", "NO_SUCH_KEY"];
    fails("demo-without-the-key", &folder, &[&ASSISTANT[..3], &model].concat()).exits(2);

    let address = endpoint::address(8);
    let tool = |name: &str, arguments: Value| json!({ "tool_calls": [{ "name": name, "arguments": arguments }] });
    let email = json!({ "to": "ann@example.org", "subject": "INV-7", "body": "Decided.", "why": "asked" });
    let question = json!({ "question": "Which account?", "why": "unclear" });
    let told = |text: &str| json!({ "tool_result_contains": text });
    let rules = [
        (told("sent to ann@example.org"), json!({ "content": "Told." })),
        (told("Nobody is here to answer."), tool("send_email", email)),
        (json!({ "messages_contain": "INV-7" }), tool("ask_person", question)),
    ];
    let rules = rules.map(|(mut when, respond)| {
        when["header.authorization"] = format!("Bearer {}", endpoint::KEY).into();
        json!({ "name": "a rule", "when": when, "respond": respond })
    });
    let rules = rules.into_iter().collect();
    let url = format!("http://{address}/v1");
    for credential in ["THE_KEY", "key.txt"] {
        // The server goes on with a conversation that it knows, so each demo has a new one.
        let Some(_server) = Endpoint::start(&address, &rules) else { return };
        folder.write("key.txt", endpoint::KEY);
        drop(fs::remove_dir_all(folder.path().join("tour")));
        let model = ["--model", &url, "--model-name", "m", "--credential", credential];
        let mut command = folder.command(&[&ASSISTANT[..], &model].concat());
        let said = Said::from(command.env("THE_KEY", endpoint::KEY).output().unwrap()).exits(0);
        assert_eq!(said.out, "Told.\n", "{said:?}");
        assert!(!said.err.contains("scripted") && !said.err.contains(endpoint::KEY), "{said:?}");
        assert_eq!((letters(&folder).len(), balance(&folder)), (1, 100_000));
    }
}
