//! A host that cannot start, that cannot be reached, or that does not know the sender.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use rusqlite::Connection;
use serde_json::Value;

use crate::said::{fails, holdshort, normal};
use crate::scene::post_office;
use crate::support::{Folder, component};

#[test]
fn a_port_that_is_taken() {
    let folder = Folder::new(&[], "");
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().to_string();
    fails("port-taken", &folder, &["serve", "--listen", &taken]).exits(1);
    drop(other);
    assert_eq!(folder.serve().stop().code(), Some(0), "the journal was left free");
}

#[test]
fn a_journal_has_one_host() {
    let folder = Folder::new(&[], "");
    let host = folder.serve();
    fails("journal-locked", &folder, &["serve"]).exits(1);
    assert_eq!(host.stop().code(), Some(0));
    assert_eq!(folder.serve().stop().code(), Some(0));
}

#[test]
fn a_journal_that_this_version_does_not_know() {
    let folder = post_office("");
    folder.serve().stop();
    let journal = folder.path().join(".holdshort/journal.db");
    let version = |version: i64| {
        let connection = Connection::open(&journal).unwrap();
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        connection.pragma_update(None, "user_version", version).unwrap();
        found
    };
    let ours = version(999);
    fails("journal-newer", &folder, &["serve"]).exits(1);
    fails("journal-newer-run", &folder, &["run", component("scripted").to_str().unwrap(), "--task", ""]).exits(1);
    assert_eq!(version(ours), 999, "it was left as it is");
    folder.serve().stop();
    fs::write(&journal, "Dear diary, today I was taken for a journal.\n".repeat(40)).unwrap();
    fails("journal-of-something-else", &folder, &["serve"]).exits(1);
}

#[test]
fn a_host_that_is_not_there() {
    let folder = Folder::new(&[], "");
    fails("no-host-ever", &folder, &["approvals"]).exits(5);
    let host = folder.serve();
    let (url, token) = (host.url.clone(), folder.write("mine", "a-token-of-my-own"));
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    host.stop();
    folder.configure("[server]\nlisten = \"127.0.0.1:9\"\n");
    fails("no-host-now", &folder, &["runs"]).exits(5);
    fails("no-host-there", &folder, &["runs", "--url", &url, "--token-file", token.to_str().unwrap()]).exits(5);
    // A killed host leaves its address in its folder.
    folder.configure("");
    folder.serve().kill();
    let said = holdshort(&folder, &["runs"]).exits(5);
    assert!(said.err.contains("cannot reach the host of `"), "{said:?}");
}

#[test]
fn an_address_that_is_none() {
    let folder = Folder::new(&[], "");
    folder.serve().stop();
    for (name, url) in [
        ("url-nonsense", "nonsense"),
        ("url-of-another-protocol", "ftp://127.0.0.1/"),
        ("url-in-clear", "http://192.0.2.1:7411"),
        ("url-empty", ""),
    ] {
        fails(name, &folder, &["runs", "--url", url]).exits(2);
    }
    let host = folder.serve();
    let bare = host.url.trim_start_matches("http://").to_owned();
    assert_eq!(holdshort(&folder, &["runs", "--url", &bare]).exits(0).err, "there are no such runs\n");
}

#[test]
fn a_token_that_is_not_yours() {
    let folder = post_office("");
    let host = folder.serve();
    folder.write("wrong", "holdshort_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
    folder.write("empty", "\n");
    folder.write("letter", "Dear host, please let me in.\n");
    for name in ["wrong", "empty", "letter"] {
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    fails("token-wrong", &folder, &["runs", "--token-file", "wrong"]).exits(4);
    fails("token-empty", &folder, &["runs", "--token-file", "empty"]).exits(2);
    fails("token-that-is-none", &folder, &["runs", "--token-file", "letter"]).exits(2);
    fails("token-file-missing", &folder, &["runs", "--token-file", "missing"]).exits(2);
    let token = folder.path().join(".holdshort/token");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    fails("token-that-others-can-read", &folder, &["runs"]).exits(0);
    host.stop();
    fails("token-that-others-can-read-serve", &folder, &["serve", "--listen", "127.0.0.1:0"]).exits(1);
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&token, "swordfish").unwrap();
    fails("token-that-is-none-serve", &folder, &["serve", "--listen", "127.0.0.1:0"]).exits(1);
}

#[test]
fn a_host_says_when_it_is_ready_and_ends_when_it_is_asked() {
    for signal in ["TERM", "INT"] {
        let folder = post_office("");
        let host = folder.serve();
        let held = host.held(&host.start("scripted", "email bob@example.org Hello"));
        let ready = "holdshort 0.1.0 is ready at http://127.0.0.1:PORT\nyour token is in FOLDER/.holdshort/token\n";
        assert!(normal(&host.said(), &folder).contains(ready), "{}", host.said());
        let state = folder.path().join(".holdshort");
        assert_eq!(fs::read_to_string(state.join(".gitignore")).unwrap(), "*\n", "no token goes into a commit");
        assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
        let killed = Command::new("kill").args(["-s", signal, &host.pid().to_string()]).status().unwrap();
        assert!(killed.success());
        assert_eq!(host.ended().code(), Some(0), "{signal}");
        assert!(!state.join("journal.db.address").exists(), "nobody is sent to where nobody is");
        let host = folder.serve();
        host.approve(&held);
        host.effect(held["id"].as_str().unwrap(), "succeeded");
    }
}

#[test]
fn what_a_host_tells_programs_is_json() {
    let folder = Folder::new(&[], "[agents.gone]\ncomponent = \"gone.wasm\"\n");
    let mut command = folder.command(&["serve", "--listen", "127.0.0.1:0", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    assert_eq!(ready["token_file"], folder.path().join(".holdshort/token").to_str().unwrap());
    holdshort(&folder, &["runs", "--url", ready["url"].as_str().unwrap()]).exits(0);
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let log = String::from_utf8(output.stderr).unwrap();
    let log: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |text: &str| log.iter().any(|line| line["fields"]["message"].as_str().unwrap().contains(text));
    assert!(said("the agent `gone` cannot be started") && said("shutting down; every waiting run"), "{log:?}");
}
