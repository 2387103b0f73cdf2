//! Tests the client over a real socket against a host with scripted answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use holdshort_gate::Digest;
use serde_json::json;

use super::*;
use crate::api::approvals::Approval;
use crate::api::history::EventPage;
use crate::api::inbox::ApprovalPage;
use crate::api::runs::RunPage;
use crate::api::shapes::Lenient;
use crate::cli::args::{Cli, Command};
use crate::cli::output::Output;
use clap::Parser;

/// A received request: its first line, its `Authorization`, its body.
type Request = (String, String, String);

/// A host with scripted answers.
struct Host {
    base: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

/// Starts a host. Each of the `answers` has the expected beginning of the request line, the status line with headers,
/// and the body.
fn host(answers: Vec<(&'static str, String, Vec<u8>)>) -> Host {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut line, mut token, mut length) = (String::new(), String::new(), 0);
            stream.read_line(&mut line).unwrap();
            loop {
                let mut header = String::new();
                stream.read_line(&mut header).unwrap();
                let Some((name, value)) = header.split_once(':') else { break };
                match name.to_ascii_lowercase().as_str() {
                    "authorization" => token = value.trim().into(),
                    "content-length" => length = value.trim().parse().unwrap(),
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            log.lock().unwrap().push((line.trim().to_owned(), token, String::from_utf8(body).unwrap()));
            let missing = (
                " ",
                "404 Not Found".to_owned(),
                br#"{"title":"not found","status":404,"detail":"there is no such thing"}"#.to_vec(),
            );
            let (_, head, body) = answers.iter().find(|(begin, ..)| line.starts_with(begin)).unwrap_or(&missing);
            let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.get_mut().write_all(head.as_bytes()).unwrap();
            stream.get_mut().write_all(body).unwrap();
        }
    });
    Host { base, seen }
}

fn approval() -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/review/approval.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn an_approval(approval: &Value, exhibit: &[u8]) -> Host {
    let decided = json!({"state": "approved", "digest": approval["digest"], "still_needed": 0, "repeated": false});
    host(vec![
        ("GET /v1/approvals/0k3v9m2e8q1c4z7d.5/exhibits/sha256:", "200 OK".into(), exhibit.to_vec()),
        ("GET /v1/approvals/0k3v9m2e8q1c4z7d.5 ", "200 OK".into(), approval.to_string().into_bytes()),
        ("POST /v1/approvals/0k3v9m2e8q1c4z7d.5/decisions ", "200 OK".into(), decided.to_string().into_bytes()),
    ])
}

/// Runs `holdshort approvals …` against the scripted host.
fn run(host: &Host, words: &[&str]) -> Result<Exit, Failure> {
    let words = ["holdshort", "approvals"].into_iter().chain(words.iter().copied());
    let Command::Approvals(args) = Cli::try_parse_from(words).unwrap().command else { panic!("not approvals") };
    crate::cli::approvals::run(args, &Client::new(&host.base, "s3cret"), &Output::new(false, true))
}

fn posted(host: &Host) -> Vec<Value> {
    let seen = host.seen.lock().unwrap();
    seen.iter()
        .filter(|(line, ..)| line.starts_with("POST"))
        .map(|(_, _, body)| serde_json::from_str(body).unwrap())
        .collect()
}

const ID: &str = "0k3v9m2e8q1c4z7d.5";
const DIFF: &[u8] = b"-old\n+new\n";

#[test]
fn an_approval_names_the_digest_of_what_was_shown() {
    let approval = approval();
    let host = an_approval(&approval, DIFF);
    let digest = approval["digest"].as_str().unwrap();
    assert_eq!(run(&host, &["approve", ID, "--yes", "--digest", digest]), Ok(Exit::Done));
    assert_eq!(posted(&host), [json!({"type": "approve", "digest": digest})]);
    assert!(host.seen.lock().unwrap().iter().all(|(_, token, _)| token == "Bearer s3cret"));

    assert_eq!(run(&host, &["reject", ID, "-m", "not on a Friday"]), Ok(Exit::Done));
    assert_eq!(run(&host, &["respond", ID, "yes"]), Ok(Exit::Done));
    assert_eq!(run(&host, &["respond", ID, "--json-answer", "[1]"]), Ok(Exit::Done));
    assert_eq!(
        posted(&host)[1..],
        [
            json!({"type": "reject", "digest": digest, "message": "not on a Friday"}),
            json!({"type": "respond", "digest": digest, "message": "yes"}),
            json!({"type": "respond", "digest": digest, "answer": [1]}),
        ]
    );
}

#[test]
fn nothing_is_sent_when_anything_disagrees() {
    let honest = approval();
    let digest = honest["digest"].as_str().unwrap().to_owned();
    let yes = ["approve", ID, "--yes", "--digest", &digest];
    let mut forged = honest.clone();
    forged["proposal"]["action"]["arguments"]["target"] = json!("staging");
    let mut decided = honest.clone();
    decided["state"] = json!("rejected");
    let other = Digest::of(b"what was reviewed before").to_string();
    let stale = ["approve", ID, "--yes", "--digest", &other];
    for (approval, exhibit, words, exit) in [
        (&forged, DIFF, yes, Exit::Failed),
        (&honest, b"+other\n".as_slice(), yes, Exit::Failed),
        (&decided, DIFF, yes, Exit::Refused),
        (&honest, DIFF, stale, Exit::Refused),
    ] {
        let host = an_approval(approval, exhibit);
        assert_eq!(run(&host, &words).unwrap_err().exit, exit);
        assert_eq!(posted(&host), [] as [Value; 0]);
    }
}

#[test]
fn an_edit_sends_the_arguments_whole() {
    let approval = approval();
    let host = an_approval(&approval, DIFF);
    let digest = approval["digest"].as_str().unwrap();
    let mut arguments = approval["proposal"]["action"]["arguments"].clone();
    arguments["target"] = json!("staging");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), arguments.to_string()).unwrap();
    let path = file.path().to_str().unwrap();
    assert_eq!(run(&host, &["edit", ID, "--arguments", path, "--yes", "--digest", digest]), Ok(Exit::Done));
    assert_eq!(posted(&host), [json!({"type": "edit", "digest": digest, "arguments": arguments})]);

    std::fs::write(file.path(), approval["proposal"]["action"]["arguments"].to_string()).unwrap();
    assert!(
        run(&host, &["edit", ID, "--arguments", path, "--yes", "--digest", digest]).is_err(),
        "nothing was changed"
    );
    std::fs::write(file.path(), "{").unwrap();
    assert_eq!(
        run(&host, &["edit", ID, "--arguments", path, "--yes", "--digest", digest]).unwrap_err().exit,
        Exit::Usage
    );
    assert_eq!(posted(&host).len(), 1);
}

#[test]
fn refusals_come_in_the_hosts_words() {
    let said = br#"{"type":"about:blank","title":"Conflict","status":409,"detail":"already decided: bob rejected it"}"#;
    let host = host(vec![
        ("GET /v1/runs ", "409 Conflict".into(), said.to_vec()),
        ("GET /v1/approvals ", "500 Internal Server Error".into(), b"<html>".to_vec()),
    ]);
    let client = Client::new(&host.base, "s3cret");
    let failure = client.get::<Value>("/runs", &[]).unwrap_err();
    assert_eq!((failure.exit, failure.message.as_str()), (Exit::Refused, "already decided: bob rejected it"));
    assert_eq!(client.get::<Value>("/approvals", &[]).unwrap_err().exit, Exit::Failed);
    assert_eq!(client.get::<Value>("/nothing", &[]).unwrap_err().message, "there is no such thing");
}

#[test]
fn the_token_follows_no_redirect() {
    let elsewhere = host(vec![]);
    let head = format!("302 Found\r\nLocation: {}/v1/runs", elsewhere.base);
    let host = host(vec![("GET /v1/runs ", head, Vec::new())]);
    let failure = Client::new(&host.base, "s3cret").get::<Value>("/runs", &[]).unwrap_err();
    assert!(failure.hint.is_some_and(|hint| hint.contains("redirects")));
    assert!(elsewhere.seen.lock().unwrap().is_empty());
}

#[test]
fn a_host_that_is_not_there_has_its_own_code() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failure = Client::new(&format!("http://{free}"), "s3cret").run(&"r".parse().unwrap()).unwrap_err();
    assert_eq!(failure.exit, Exit::Unreachable);
    assert!(!format!("{failure:?}").contains("s3cret"));
}

/// Adds a member to every object below `value`.
fn grown(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(grown);
            members.insert("of-a-newer-host".into(), json!({"a": [1]}));
        }
        Value::Array(items) => items.iter_mut().for_each(grown),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A newer host has more members, states and kinds. This program shows unknown values as the host wrote them, and sends
/// no decision on a proposal that has unknown values.
#[test]
fn answers_of_a_newer_host_are_shown() {
    let mut changed = approval();
    grown(&mut changed);
    changed["state"] = json!("on-fire");
    changed["proposal"]["class"] = json!("free");
    let mut detail = read::<Approval>(&changed).unwrap();
    assert_eq!(detail.state.to_string(), "on-fire");
    assert!(verify(&ID.parse().unwrap(), &mut detail).is_err());

    let mut page = json!({"approvals": [{
        "id": ID, "run": "0k3v9m2e8q1c4z7d", "call": 5, "agent": "release", "started_by": "bob", "capability": "a:b/c#d",
        "summary": "pays", "consequence": "dire", "state": "on-fire", "proposed_at": approval()["proposed_at"],
        "deadline": null, "digest": null, "approved_by": [], "waiting_for": [], "still_needed": 1, "attempts": 0, "revision": 1
    }], "next": null});
    grown(&mut page);
    let row = read::<ApprovalPage>(&page).unwrap().approvals.remove(0);
    assert_eq!((row.state.to_string(), row.consequence), ("on-fire".into(), Some(Lenient::Unknown(json!("dire")))));

    let mut page = json!({"runs": [{
        "id": "0k3v9m2e8q1c4z7d", "agent": "release", "task": "", "started_by": "bob", "component": Digest::of(b""),
        "state": "frozen", "waiting_for": null, "calls": 0, "created_at": approval()["proposed_at"],
        "updated_at": approval()["proposed_at"], "result": null, "reason": null, "delayed": null, "last_event": 1
    }], "next": null});
    grown(&mut page);
    let row = read::<RunPage>(&page).unwrap().runs.remove(0);
    assert_eq!((row.state.to_string(), row.is_over()), ("frozen".into(), false));

    let mut page = json!({"events": [
        {"seq": 1, "at": approval()["proposed_at"], "type": "call-frozen", "data": {"call": 5}},
        {"seq": 2, "at": approval()["proposed_at"], "type": "call-expired", "data": {"call": 5}},
    ], "next": null});
    grown(&mut page);
    let known: Vec<bool> =
        read::<EventPage>(&page).unwrap().events.iter().map(|event| event.known().is_some()).collect();
    assert_eq!(known, [false, true]);
}

/// The host loses the first answers, and the client sends the same request with the same key until
/// an answer arrives.
#[test]
fn a_request_whose_answer_was_lost_is_sent_again_with_its_key() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let host = std::thread::spawn(move || {
        let mut seen = Vec::new();
        // No answer, a partial answer, and the answer "not now".
        for answer in [
            "",
            "HTTP/1.1 201 Cre",
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.1 201 Created\r\nContent-Length: 11\r\n\r\n{\"id\":\"a1\"}",
        ] {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let (mut key, mut length) = (String::new(), 0);
            loop {
                let mut header = String::new();
                stream.read_line(&mut header).unwrap();
                if header.trim().is_empty() {
                    break;
                }
                let (name, value) = header.split_once(':').unwrap_or((&header, ""));
                match name.to_ascii_lowercase().as_str() {
                    "idempotency-key" => key = value.trim().into(),
                    "content-length" => length = value.trim().parse().unwrap(),
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            seen.push((key, String::from_utf8(body).unwrap()));
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
        seen
    });
    let client = Client::new(&base, "s3cret");
    let answer: Value = client.post_once("/runs", &json!({"agent": "a", "task": "b"})).unwrap();
    assert_eq!(answer["id"], "a1");
    let seen = host.join().unwrap();
    assert!(seen.iter().all(|one| *one == seen[0]) && seen[0].0.len() == 34, "{seen:?}");
    // A refused connection is no lost answer, and is reported at once.
    assert!(client.post_once::<Value>("/runs", &json!({})).is_err());
}
