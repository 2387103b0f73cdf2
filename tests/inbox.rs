//! Mail, end to end. The example agent `inbox` reads messages in the form that mail programs save, and a reviewer
//! decides over HTTP. The tests read the delivered replies in a Maildir and at a real SMTP server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, reason = "modules of a test")]

#[path = "support/outside.rs"]
mod outside;
#[path = "support/mod.rs"]
mod support;

#[path = "inbox/reading.rs"]
mod reading;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use outside::{Maildir, Outside, Relay};
use serde_json::{Value, json};
use support::{Folder, Host, evidence, top};

/// A script that prints what a mail program would show of a message. It uses Python's own mail reader.
const READER: &str = "
import sys, json, email, email.policy
mail = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
shown = {name: mail[name] for name in ('To', 'Subject', 'In-Reply-To')}
print(json.dumps({**shown, 'body': mail.get_content().strip(), 'bcc': mail['Bcc']}))
";

/// The reviewer's answer to the question.
const ANSWER: &str = "Wir rufen Sie morgen früh zurück.";

/// For each approval at which the agent waits, in the order of the files: a part of the text that a reviewer reads.
const SHOWN: [&str; 6] = [
    "je ne trouve pas l'invoice de décembre",
    "I cannot find the invoice for November.",
    r#"How shall I answer \"Rückfrage zu Brücke und Türmen, zweiter Versuch\" from juergen@example.net?"#,
    "Es geht um die große Brücke.",
    "I forgot my password and cannot log in any more 🙁",
    "Thank you for everything.",
];

#[test]
fn replies_are_delivered_into_a_maildir() {
    let home = tempfile::tempdir().unwrap();
    let mail = Maildir(home.path().join("mail"));
    check(&mail.section(), || mail.messages());
}

#[test]
fn replies_are_sent_through_a_relay() {
    let home = tempfile::tempdir().unwrap();
    let Some(relay) = Relay::start(home.path()) else { return };
    check(&relay.mailbox("").section(), || relay.messages());
}

/// Lets the agent answer every message, and compares its report and the arrived messages with the expected ones.
fn check(email: &str, arrived: impl Fn() -> Vec<String>) {
    let folder = Folder::new(&[], "");
    fs::create_dir(folder.path().join("mails")).unwrap();
    for entry in fs::read_dir(top().join("tests/data/inbox")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join("mails").join(entry.file_name())).unwrap();
    }
    folder.configure(&format!("{email}\n{}workspace = \"mails\"\n", outside::agent("inbox")));
    let host = folder.serve();
    let run = host.start("inbox", "");
    decide(&host, &run);

    let over = host.over(&run);
    let told = over["result"]["ok"].as_str().unwrap_or_else(|| panic!("{over}"));
    let mut lines = told.lines();
    assert_eq!(lines.next(), Some("answered 5 of 5 messages"), "{told}");
    assert!(lines.all(|line| line.contains(".eml: answered with <")), "{told}");
    let logs = host.logs(&run);
    assert_eq!(logs.len(), 5, "{logs:?}");
    assert_eq!(logs[0], ("info".to_owned(), "0-latin-1.eml: from renee@example.fr: Facture".to_owned()));

    let mut replies: Vec<Value> = arrived().iter().map(|message| read(message)).collect();
    replies.sort_by_key(|reply| reply["To"].as_str().unwrap().to_owned());
    let reply = |to: &str, subject: &str, id: &str, body: &str| json!({ "To": to, "Subject": subject, "In-Reply-To": id, "body": body, "bcc": null });
    let password = "You can set a new password with the link on the sign-in page.";
    let invoice = "Your invoice is in your account under Billing, as a PDF.";
    let thanks = "Thank you for the kind words. We have passed them on.";
    let coded = "Re: Rückfrage zu Brücke und Türmen, zweiter Versuch";
    assert_eq!(
        replies,
        [
            reply("ada@example.com", "Re: Where is my invoice?", "<0d5b1c6e-plain@example.com>", invoice),
            reply("grace@example.com", "Re: Sign-in", "<CAF-multipart@mail.example.com>", password),
            reply("juergen@example.net", coded, "<20261124-coded@example.net>", ANSWER),
            reply("mallory@example.com", "Re: Your message", "<coded-twice@example.com>", thanks),
            reply("renee@example.fr", "Re: Facture", "<latin-1@example.fr>", invoice),
        ]
    );
}

/// Approves every reply and answers the one question, and first checks what each approval shows.
fn decide(host: &Host, run: &str) {
    for shown in SHOWN {
        let held = host.held(run);
        assert!(held.to_string().contains(shown), "{shown}: {held}");
        if shown.contains("How shall I answer") {
            let (status, answer) = host.decide(&held, "respond", &json!({ "message": ANSWER }));
            assert_eq!(status, 200, "{answer}");
        } else {
            host.approve(&held);
            host.effect(held["id"].as_str().unwrap(), "succeeded");
        }
    }
}

fn read(message: &str) -> Value {
    let mut python = Command::new("python3");
    let mut python = python.args(["-c", READER]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(message.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{message}");
    serde_json::from_slice(&output.stdout).unwrap()
}
