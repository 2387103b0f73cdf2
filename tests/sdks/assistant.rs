//! What every assistant does, whatever its language: a model asks a person, pays half of an invoice after a reviewer has
//! rejected the whole, and writes an email about it. The host is killed at each step.

use std::fs;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::endpoint::{Endpoint, KEY};
use crate::support::{Folder, Host};

/// How long a debug build of the host may take to compile a component, beside other tests.
const COMPILED_WITHIN: Duration = Duration::from_secs(600);

/// What the model does: the name of each rule, when it fits and what the model says. The first rule that fits answers.
/// `whole` and `half` are the amounts, in the form that the tool of the assistant has.
pub fn rules(whole: Value, half: Value) -> [(&'static str, Value, Value); 5] {
    let tool = |name: &str, arguments: Value| json!({ "tool_calls": [{ "name": name, "arguments": arguments }] });
    let transfer = |amount: Value| {
        let (payee, reference) = ("ACME GmbH", "INV-7");
        let arguments = json!({ "payee": payee, "minor_units": amount, "currency": "EUR", "reference": reference, "why": "the task" });
        tool("transfer_funds", arguments)
    };
    let body = "Paid 60.25 EUR.";
    let email = json!({ "to": "ann@example.org", "subject": "INV-7", "body": body, "why": "the task" });
    let question = json!({ "question": "Pay from operating?", "why": "the task names no account" });
    let told = |text: &str| json!({ "tool_result_contains": text });
    [
        ("is done", told("sent to ann@example.org: Paid 60.25 EUR."), json!({ "content": "ACME has half of it." })),
        ("paid", told("transferred 6025 EUR to ACME GmbH"), tool("send_email", email)),
        ("pays half", told("a reviewer rejected the call: half of it"), transfer(half)),
        ("pays", told("Yes, from operating."), transfer(whole)),
        ("reads the task", json!({ "messages_contain": "invoice INV-7" }), tool("ask_person", question)),
    ]
}

fn serve(folder: &Folder, more: &[(&str, &str)]) -> Host {
    folder.serve_with(&[&[("OPENAI_API_KEY", KEY)], more].concat())
}

/// Starts a run, as soon as the host has compiled the component.
fn start(host: &Host, agent: &str) -> String {
    let start = Instant::now();
    loop {
        match host.post("/v1/runs", &json!({ "agent": agent, "task": "Pay invoice INV-7 and tell Ann." })) {
            (201, run) => return run["id"].as_str().unwrap().to_owned(),
            (503, said) => assert!(start.elapsed() < COMPILED_WITHIN, "{said}"),
            (status, said) => panic!("{status}: {said}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Approves a call on a host that dies when the call has just been performed.
fn approved_then_killed(folder: &Folder, call: &Value) {
    let host = serve(folder, &[("HOLDSHORT_KILL_AT", "after-perform")]);
    let decision = json!({ "type": "approve", "digest": call["digest"] });
    let path = format!("/v1/approvals/{}/decisions", call["id"].as_str().unwrap());
    drop(host.try_request(&host.token, &path, Some(&decision)));
    host.ended();
}

/// The story, in a project that `new` wrote with the template `assistant`.
pub fn pays(folder: &Folder, agent: &str, server: &Endpoint) {
    let letters = || fs::read_dir(folder.path().join("mail/new")).map_or(0, Iterator::count);
    let (sent_before, asked_before) = (letters(), server.answered().len());
    let decide = |host: &Host, call: &Value, kind: &str, message: &str| {
        let (status, said) = host.decide(call, kind, &json!({ "message": message }));
        assert_eq!(status, 200, "{said}");
    };
    let argument = |call: &Value, place: &str| call["proposal"]["action"]["arguments"].pointer(place).unwrap().clone();

    let host = serve(folder, &[]);
    let run = start(&host, agent);
    let question = host.held(&run);
    assert_eq!(argument(&question, "/question/text"), "Pay from operating?", "{question}");
    host.all_parked();
    host.kill();

    let host = serve(folder, &[]);
    decide(&host, &question, "respond", "Yes, from operating.");
    let payment = host.held(&run);
    assert_eq!(argument(&payment, "/transfer/amount/minor-units"), "12050", "{payment}");
    decide(&host, &payment, "reject", "half of it");
    let payment = host.held(&run);
    assert_eq!(argument(&payment, "/transfer/amount/minor-units"), "6025", "{payment}");
    host.kill();

    approved_then_killed(folder, &payment);
    let host = serve(folder, &[]);
    let email = host.held(&run);
    assert_eq!(argument(&email, "/message/body"), "Paid 60.25 EUR.", "{email}");
    assert_eq!(letters(), sent_before, "nothing is sent before the approval");
    host.kill();

    approved_then_killed(folder, &email);
    let host = serve(folder, &[]);
    let over = host.over(&run);
    assert_eq!(over["result"]["ok"], "ACME has half of it.", "{over}");
    assert_eq!(letters() - sent_before, 1, "one email");
    let books = Connection::open(folder.path().join(".holdshort/ledger.db")).unwrap();
    let balance =
        "SELECT sum(amount) FROM postings JOIN accounts ON accounts.number = account WHERE name = 'operating'";
    assert_eq!(books.query_row(balance, [], |row| row.get::<_, i64>(0)).unwrap(), 100_000 - 6_025, "one payment");
    let answered = &server.answered()[asked_before..];
    assert_eq!(answered, ["reads the task", "pays", "pays half", "paid", "is done"], "no question was asked twice");
    let said = format!("{}{}{}", host.said(), json!(host.events(&run)), json!(host.logs(&run)));
    assert!(!said.contains(KEY), "the key stays with the host");
}
