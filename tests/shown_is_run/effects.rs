//! For each capability: the effect outside is exactly what was shown.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Host, until};
use crate::{assert_digests, evidence, folder};

/// A message with everything that a mail system might change during delivery.
fn message() -> Value {
    json!({
        "to": ["ada@example.com", "bob@localhost"],
        "cc": ["carol@example.org"],
        "bcc": ["dave@example.net"],
        "subject": "Grüße =?= — 100 € and a subject that is far too long for one line of a header, so that it has to be folded",
        "body": "Dear Ada,\n.\n\nFrom here on: naïve café 日本語 = =20\n  indented, with trailing spaces   \n\ttab\n-- \nlong: ".to_owned()
            + &"x".repeat(1_200) + "\n\nlast",
        "in-reply-to": "<42@example.com>",
        "attachments": [],
    })
}

#[test]
fn the_mail_that_leaves_is_the_mail_that_was_shown() {
    let (folder, _) = folder("");
    let host = folder.serve();
    let run = host.start("scripted", "email ada@example.com Hello there\nemail ada@example.com Hello again");
    let mailbox = folder.path().join(".holdshort/mail/new");

    let first = host.held(&run);
    assert_digests(&folder, &host, &first);
    host.approve(&first);
    assert_sent(&host, &first, &mailbox);

    let second = host.held(&run);
    let mut arguments = second["proposal"]["action"]["arguments"].clone();
    arguments["message"] = message();
    let (status, answer) = host.decide(&second, "edit", &json!({ "arguments": arguments }));
    assert_eq!((status, &answer["state"]), (202, &json!("held")), "{answer}");
    assert_ne!(answer["digest"], second["digest"]);
    let edited = host.approval(second["id"].as_str().unwrap());
    assert_eq!((&edited["digest"], &edited["revision"]), (&answer["digest"], &json!(2)));
    assert_eq!(edited["proposal"]["action"]["arguments"]["message"], message());
    assert_digests(&folder, &host, &edited);
    host.approve(&edited);
    assert_sent(&host, &edited, &mailbox);
}

/// Checks, with Python's parser, that the newest message in the mailbox is the one that `approval` shows, and that the
/// receipt names it.
fn assert_sent(host: &Host, approval: &Value, mailbox: &Path) {
    let done = host.effect(approval["id"].as_str().unwrap(), "succeeded");
    let shown = &approval["proposal"]["action"]["arguments"]["message"];
    let receipt = &done["effect"]["receipt"];
    assert_eq!(receipt["sent"], *shown);
    let id = receipt["message-id"].as_str().unwrap();
    let name = id.trim_start_matches('<').split('@').next().unwrap();
    let sent = parse_mail(&std::fs::read(mailbox.join(name)).unwrap());

    let list = |field: &str| shown[field].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect::<Vec<_>>();
    let mut expected = vec![
        ("From", approval["proposal"]["preconditions"]["from"].as_str().unwrap().to_owned()),
        ("Subject", shown["subject"].as_str().unwrap().to_owned()),
        ("Message-ID", id.to_owned()),
    ];
    for (header, field) in [("To", "to"), ("Cc", "cc"), ("Bcc", "bcc")] {
        expected.extend(Some((header, list(field).join(", "))).filter(|(_, addresses)| !addresses.is_empty()));
    }
    if let Some(answered) = shown["in-reply-to"].as_str() {
        expected.extend([("In-Reply-To", answered.to_owned()), ("References", answered.to_owned())]);
    }
    // A message from a program is marked as automatic (RFC 3834).
    let automatic = if shown["in-reply-to"].is_null() { "auto-generated" } else { "auto-replied" };
    expected.push(("Auto-Submitted", automatic.to_owned()));
    let headers = sent["headers"].as_array().unwrap();
    let header =
        |name: &str| headers.iter().filter(|header| header[0] == name).map(|h| h[1].clone()).collect::<Vec<_>>();
    for (name, value) in &expected {
        assert_eq!(header(name), [json!(value)], "{name}: {headers:?}");
    }
    let format = ["Date", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"];
    for header in headers {
        let name = header[0].as_str().unwrap();
        let known = format.contains(&name) || expected.iter().any(|(expected, _)| *expected == name);
        assert!(known, "`{name}` was not shown: {headers:?}");
    }
    // The last line of a delivered mail ends with a newline. Nothing else is added to the body.
    assert_eq!(sent["body"], format!("{}\n", shown["body"].as_str().unwrap()));
    let shown_text = evidence(host, approval, "message as it would be sent");
    let (_, body) = shown_text.split_once("\n\n").unwrap();
    assert_eq!(body, shown["body"].as_str().unwrap());
}

/// The headers in order, and the decoded body.
fn parse_mail(bytes: &[u8]) -> Value {
    const PARSE: &str = "import sys, json, email, email.policy\n\
        message = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)\n\
        headers = [[name, str(value)] for name, value in message.items()]\n\
        body = message.get_payload(decode=True).decode(message.get_content_charset() or 'ascii')\n\
        json.dump({'headers': headers, 'body': body}, sys.stdout)";
    let mut python = Command::new("python3");
    let mut child = python.args(["-c", PARSE]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?} of {}", String::from_utf8_lossy(bytes));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A subject with an encoded word is refused: mail readers would show `Refund approved`, but the reviewer would have
/// seen the encoded form.
#[test]
fn a_subject_that_readers_decode_is_refused() {
    let (folder, _) = folder("");
    let host = folder.serve();
    let row = host.over(&host.start("scripted", "email ada@example.com =?utf-8?q?Refund_approved?= 7"));
    let said = row["result"]["ok"].as_str().unwrap();
    assert!(said.starts_with("err Refusal::Invalid(") && said.contains("show as other text"), "{said}");
}

/// An operator replaces the connector that was shown. The approved action is not performed with the other connector.
#[test]
fn another_connector_does_not_do_what_was_approved() {
    let (folder, _) = folder("");
    let host = folder.serve();
    let first = host.held(&host.start("scripted", "email ada@example.com Hello"));
    assert_eq!(first["proposal"]["connector"], "maildir");
    host.kill();
    let relay = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    relay.set_nonblocking(true).unwrap();
    let config = std::fs::read_to_string(folder.path().join("holdshort.toml")).unwrap();
    let port = relay.local_addr().unwrap().port();
    folder.configure(&format!(
        "{config}\n[email]\nconnector = \"smtp\"\nfrom = \"agent@localhost\"\nhost = \"127.0.0.1\"\ntls = \"none\"\nport = {port}\n"
    ));
    let host = folder.serve();
    host.approve(&first);
    let id = first["id"].as_str().unwrap();
    let second = until("new revision", || Some(host.approval(id)).filter(|approval| approval["revision"] == 2));
    assert_eq!((&second["state"], &second["proposal"]["connector"]), (&json!("held"), &json!("smtp")));
    assert_eq!(second["reheld"], "the connector was `maildir` when the call was shown and is `smtp` now");
    assert_eq!((&second["proposal"]["class"], &second["effect"]), (&json!("one-shot"), &Value::Null));
    assert_digests(&folder, &host, &second);
    assert!(relay.accept().is_err(), "nobody was connected to");
    assert_eq!(folder.path().join(".holdshort/mail/new").read_dir().unwrap().count(), 0);
}

#[test]
fn the_money_that_moves_is_the_money_that_was_shown() {
    let (folder, _) = folder("[payments.accounts.operating]\nopening = [\"10000.00 EUR\"]\n");
    let host = folder.serve();
    let run = host.start("scripted", "pay operating ACME 12345 EUR");
    let approval = host.held(&run);
    assert_digests(&folder, &host, &approval);
    let id = approval["id"].as_str().unwrap();
    // A reviewer edits the payment to a lower amount and another payee.
    let mut arguments = approval["proposal"]["action"]["arguments"].clone();
    arguments["transfer"]["payee"] = json!("Überweisung GmbH & Co. \"KG\"");
    arguments["transfer"]["amount"]["minor-units"] = json!("12005");
    let (status, answer) = host.decide(&approval, "edit", &json!({ "arguments": arguments }));
    assert_eq!((status, &answer["state"]), (202, &json!("held")), "{answer}");
    host.approve(&host.approval(id));
    let done = host.effect(id, "succeeded");
    assert_eq!(done["digest"], answer["digest"]);
    assert_digests(&folder, &host, &done);
    let shown = &done["proposal"]["action"]["arguments"]["transfer"];
    assert_eq!(*shown, arguments["transfer"]);
    let terminal = folder.run(&["approvals", "show", id]);
    let terminal = String::from_utf8(terminal.stdout).unwrap();
    for text in ["pay 120.05 EUR to", "Überweisung GmbH & Co.", "\"12005\""] {
        assert!(terminal.contains(text), "no `{text}` in\n{terminal}");
    }
    assert_eq!(done["effect"]["receipt"]["transferred"], *shown);
    assert_eq!(done["effect"]["receipt"]["source-balance"], json!({ "minor-units": "987995", "currency": "EUR" }));

    let ledger = rusqlite::Connection::open(folder.path().join(".holdshort/ledger.db")).unwrap();
    let rows = "SELECT name, currency, amount, reference FROM postings JOIN accounts ON accounts.number = account \
                JOIN entries ON entries.number = entry WHERE entries.kind = 'transfer' ORDER BY amount";
    let mut rows = ledger.prepare(rows).unwrap();
    let found: Vec<(String, String, i64, String)> = rows
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let row = |name: &Value, amount| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(name), text(&shown["amount"]["currency"]), amount, text(&shown["reference"]))
    };
    assert_eq!(found, [row(&shown["source"], -12_005), row(&shown["payee"], 12_005)]);
}

#[test]
fn the_commit_that_is_deployed_is_the_commit_that_was_shown() {
    let (folder, repository) = folder("");
    let host = folder.serve();
    let (old, new) = (repository.tip("production"), repository.tip("main"));
    let run = host.start("scripted", "deploy main production Two commits, tested");
    let approval = host.held(&run);
    assert_digests(&folder, &host, &approval);
    assert_eq!(
        approval["proposal"]["preconditions"],
        json!({
            "repository": repository.0, "branch": "refs/heads/production", "old": old, "new": new,
            "reference": "refs/heads/main",
        })
    );
    let diff = repository.git(&["diff", "--no-color", &old, &new]);
    assert_eq!(without_abbreviations(&evidence(&host, &approval, "diff ")), without_abbreviations(&diff));
    assert!(evidence(&host, &approval, "commits ").contains(&format!("commit {new}\n")));
    // The branch that was named moves to another commit. Only the commit that was shown is cleared.
    let later = repository.git(&["commit-tree", "-p", &new, "-m", "Not shown to anybody", &format!("{new}^{{tree}}")]);
    repository.git(&["update-ref", "refs/heads/main", &later]);
    host.approve(&approval);
    let done = host.effect(approval["id"].as_str().unwrap(), "succeeded");
    assert_eq!(repository.tip("production"), new);
    let shown = &approval["proposal"]["action"]["arguments"]["release"];
    assert_eq!(done["effect"]["receipt"], json!({ "deployed": shown, "commit": new, "previous": old }));
}

/// A diff without the lines whose text depends on how git was called.
fn without_abbreviations(diff: &str) -> Vec<&str> {
    diff.trim_end().lines().filter(|line| !line.starts_with("index ")).collect()
}

#[test]
fn the_answer_that_was_given_is_the_answer_that_arrives() {
    let (folder, _) = folder("");
    let host = folder.serve();
    let run = host.start("scripted", "ask Which colour?");
    let approval = host.held(&run);
    assert_digests(&folder, &host, &approval);
    let words = "rød 🎉 \"quoted\" \\n not a line end\u{202e}";
    let (status, answer) = host.decide(&approval, "respond", &json!({ "answer": words }));
    assert_eq!((status, &answer["state"]), (200, &json!("answered")), "{answer}");
    assert_eq!(host.over(&run)["result"]["ok"], format!("ok {words:?}"));
    let answered = host.events(&run).into_iter().find(|event| event["type"] == "call-answered").unwrap();
    assert_eq!(answered["data"]["answer"], words);
}
