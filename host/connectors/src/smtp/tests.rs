use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use holdshort_gate::{EffectKey, Time};
use serde_json::json;

use super::super::message::tests::{composer, email};
use super::*;
use skipped::skipped;

#[path = "../../../../tests/support/skipped.rs"]
mod skipped;

fn relay(port: u16) -> Relay {
    Relay {
        host: "127.0.0.1".into(),
        port,
        encryption: Encryption::None,
        authority: None,
        login: None,
        hello: "agents.example.com".into(),
        time_out: Duration::from_secs(5),
        retry_after: Duration::from_secs(60),
    }
}

fn smtp(relay: Relay) -> Smtp {
    Smtp::new(relay, composer(None), Arc::new(|| Time(1_700_000_000_000_000))).unwrap()
}

async fn send(relay: Relay, fields: Value) -> Attempt {
    let smtp = smtp(relay);
    let (action, key) = (email(fields), EffectKey("key1".into()));
    let shown = smtp.preview(&"inbox".into(), &action).await.unwrap().preconditions;
    let letter = smtp.composer.compose(&"inbox".into(), &action, &shown, &key, (smtp.clock)(), Bcc::Remove).unwrap();
    smtp.send(&letter, 1, |reply| smtp.composer.receipt(&action, &key, reply)).await
}

/// A relay with a scripted answer for each command, which records its input. An empty answer closes the connection, and
/// `-` sends no answer in time.
fn misbehaving(answers: &'static [(&'static str, &'static str)]) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"220 hello\r\n").unwrap();
        let mut heard = String::new();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|count| count > 0) {
            heard.push_str(&line);
            let answer = answers.iter().find(|(start, _)| line.starts_with(start)).map(|(_, answer)| *answer);
            match answer {
                Some("") => break,
                Some("-") => std::thread::sleep(Duration::from_millis(900)),
                Some(answer) => stream.write_all(format!("{answer}\r\n").as_bytes()).unwrap(),
                None => {}
            }
            line.clear();
        }
        heard
    });
    (port, heard)
}

const FINE: [(&str, &str); 5] =
    [("EHLO", "250 x"), ("MAIL", "250 ok"), ("RCPT", "250 ok"), ("DATA", "354 go on"), ("QUIT", "221 bye")];

macro_rules! with {
    ($($start:literal => $answer:literal),+) => {{
        const ANSWERS: &[(&str, &str)] = &[$(($start, $answer)),+, FINE[0], FINE[1], FINE[2], FINE[3], FINE[4]];
        misbehaving(ANSWERS)
    }};
}

#[tokio::test]
async fn a_relay_that_never_took_the_message_leaves_no_doubt() {
    const AGAIN: bool = true;
    const FOR_GOOD: bool = false;
    let cases = [
        (with!("EHLO" => "554 no service", "HELO" => "554 no service"), "no connection", FOR_GOOD),
        (with!("EHLO" => "421 too busy", "HELO" => "421 too busy"), "no connection", AGAIN),
        (with!("MAIL" => "451 try later"), "the sender was refused: \"transient error (451)", AGAIN),
        (with!("MAIL" => "452 no room"), "the sender was refused: \"transient error (452)", AGAIN),
        (with!("MAIL" => "553 not you"), "the sender was refused: \"permanent error (553)", FOR_GOOD),
        (
            with!("RCPT TO:<bob" => "550 unknown"),
            "not sent, because the relay refused these recipients: bob@example.com: \"permanent error (550): unknown\"",
            FOR_GOOD,
        ),
        (with!("RCPT TO:<bob" => "450 greylisted"), "not sent, because the relay refused these recipients", AGAIN),
        (with!("RCPT TO:<bob" => "451 greylisted"), "not sent, because the relay refused these recipients", AGAIN),
        // The relay defers one recipient and refuses the other for good. The message is sent to neither, and no later
        // attempt is made.
        (
            with!("RCPT TO:<ann" => "451 later", "RCPT TO:<bob" => "550 unknown"),
            "not sent, because the relay refused these recipients",
            FOR_GOOD,
        ),
        (with!("RCPT TO:<bob" => ""), "bob@example.com", AGAIN),
        (with!("DATA" => "554 no"), "`DATA` was refused", FOR_GOOD),
        (with!("DATA" => "451 not now"), "`DATA` was refused", AGAIN),
        (with!("DATA" => "421 going down"), "`DATA` was refused", AGAIN),
        (with!("DATA" => ""), "`DATA` was refused", AGAIN),
        (with!("DATA" => "250 what"), "`DATA` was answered with \"250 what\"", FOR_GOOD),
        (with!("." => "554 spam"), "the message was refused: \"permanent error (554): spam\"", FOR_GOOD),
        (with!("." => "451 full"), "the message was refused: \"transient error (451): full\"", AGAIN),
        (with!("." => "421 going down"), "the message was refused: \"transient error (421): going down\"", AGAIN),
    ];
    for ((port, heard), expected, again) in cases {
        match (send(relay(port), json!({ "to": ["ann@example.com", "bob@example.com"] })).await, again) {
            (Attempt::NotDone(why), FOR_GOOD) => assert!(why.contains(expected), "{expected}: {why}"),
            (Attempt::Postponed(why, after), AGAIN) => {
                assert!(why.contains(expected) && after == Duration::from_secs(60), "{expected}: {why}, {after:?}");
            }
            (other, _) => panic!("{expected}: {other:?}"),
        }
        let heard = heard.join().unwrap();
        if expected.contains("nobody") || expected.contains("bob") {
            assert!(!heard.contains("DATA") && !heard.contains("Hello"), "no partial sending: {heard}");
        }
    }
}

#[test]
fn each_wait_is_twice_as_long_up_to_a_quarter_of_an_hour() {
    let smtp = smtp(relay(25));
    let waits = [1, 2, 3, 4, 5, 6, 40, u32::MAX].map(|attempt| smtp.again_in(attempt).as_secs());
    assert_eq!(waits, [60, 120, 240, 480, 900, 900, 900, 900]);
}

#[tokio::test]
async fn silence_after_the_message_is_doubt() {
    let cases = [
        with!("." => ""),          // hangs up
        with!("." => "-"),         // says nothing in time
        with!("." => "gibberish"), // says nothing that means anything
        with!("Subject" => ""),    // hangs up in the middle
        with!("." => "354 more?"), // an answer that is none
    ];
    for (port, _heard) in cases {
        match send(Relay { time_out: Duration::from_millis(400), ..relay(port) }, json!({})).await {
            Attempt::Unknown(why) => assert!(why.contains("may have accepted it"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_relay_that_does_not_answer_or_does_not_exist_is_tried_again() {
    let (port, _heard) = with!("MAIL" => "-");
    let slow = send(Relay { time_out: Duration::from_millis(300), ..relay(port) }, json!({})).await;
    assert!(matches!(&slow, Attempt::Postponed(why, _) if why.contains("no answer within 0.3 s")), "{slow:?}");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused = send(relay(free), json!({})).await;
    assert!(matches!(&refused, Attempt::Postponed(why, _) if why.contains("no connection")), "{refused:?}");
    // A relay that does not offer TLS gets no message and no login.
    let (port, heard) = with!("AUTH" => "235 ok");
    let login = Login { user: "u".into(), password: Secret::new("s3cret".into()) };
    let protected =
        Relay { encryption: Encryption::StartTls, host: "localhost".into(), login: Some(login), ..relay(port) };
    assert!(!format!("{protected:?}").contains("s3cret"));
    let plain = send(protected, json!({})).await;
    assert!(matches!(&plain, Attempt::NotDone(why) if why.contains("no TLS")), "{plain:?}");
    assert!(!heard.join().unwrap().contains("AUTH"));
}

#[tokio::test]
async fn an_accepted_message_is_done_even_if_the_relay_says_no_goodbye() {
    let (port, heard) = with!("." => "250 2.0.0 queued as\u{9b}1m X1", "QUIT" => "");
    let Attempt::Done(receipt) = send(relay(port), json!({ "bcc": ["dan@evil.test"] })).await else { panic!() };
    assert_eq!(receipt["accepted-by"], "250 2.0.0 queued as 1m X1", "without control characters");
    let heard = heard.join().unwrap();
    assert!(heard.contains("EHLO agents.example.com\r\nMAIL FROM:<agent@example.com>\r\n"), "{heard}");
    assert!(heard.contains("RCPT TO:<dan@evil.test>\r\n") && heard.matches("evil").count() == 1, "{heard}");
}

#[test]
fn plain_text_stays_on_this_machine() {
    let clock: Clock = Arc::new(|| Time(0));
    for host in ["relay.example.com", "192.0.2.1", "localhost.example.com"] {
        let refused = Smtp::new(Relay { host: host.into(), ..relay(25) }, composer(None), clock.clone());
        assert!(matches!(refused, Err(RelayError::PlainToAnotherMachine(_))), "{host}");
    }
    for host in ["localhost", "127.0.0.1", "::1"] {
        assert!(Smtp::new(Relay { host: host.into(), ..relay(25) }, composer(None), clock.clone()).is_ok(), "{host}");
    }
}

/// A real relay: aiosmtpd in a process of its own, which stores accepted messages in a Maildir.
struct Real {
    process: Child,
    port: u16,
    mail: PathBuf,
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The command of a Python that has aiosmtpd: `HOLDSHORT_AIOSMTPD`, or else `python3`. `None` if there is none.
fn python() -> Option<String> {
    let python = std::env::var("HOLDSHORT_AIOSMTPD").unwrap_or_else(|_| "python3".into());
    let probe = Command::new(&python).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
    let found = probe.is_ok_and(|status| status.success()).then_some(python);
    if found.is_none() {
        skipped("no aiosmtpd; tests/run installs it, or name a Python that has it in HOLDSHORT_AIOSMTPD");
    }
    found
}

fn real(folder: &Path, extra: &[&str]) -> Option<Real> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mail = folder.join("mail");
    let process = Command::new(python()?)
        .args(["-m", "aiosmtpd", "-n", "-l", &format!("localhost:{port}")])
        .args(extra)
        .args(["-c", "aiosmtpd.handlers.Mailbox", &mail.to_string_lossy()])
        .spawn()
        .unwrap();
    let real = Real { process, port, mail };
    for _ in 0..200 {
        if std::net::TcpStream::connect(("localhost", port)).is_ok() {
            return Some(real);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("aiosmtpd does not listen");
}

fn only_mail(real: &Real) -> String {
    let mut files = std::fs::read_dir(real.mail.join("new")).unwrap();
    let text = std::fs::read_to_string(files.next().unwrap().unwrap().path()).unwrap();
    assert!(files.next().is_none(), "one message was accepted");
    text
}

#[tokio::test]
async fn a_real_relay_accepts_the_message() {
    let folder = tempfile::tempdir().unwrap();
    let Some(real) = real(folder.path(), &[]) else { return };
    let local = Relay { host: "localhost".into(), ..relay(real.port) };
    let Attempt::Done(receipt) = send(local, json!({ "bcc": ["dan@evil.test"], "subject": "Grüße" })).await else {
        panic!()
    };
    assert_eq!(receipt["accepted-by"], "250 OK");
    let mail = only_mail(&real);
    assert!(
        mail.contains("Message-ID: <key1@example.com>") && mail.contains("X-RcptTo: ann@example.com, dan@evil.test"),
        "{mail}"
    );
    assert!(!mail.contains("Bcc") && mail.contains("One.\n.\nTwo =E2=9C=93"), "{mail}");
}

#[tokio::test]
async fn a_real_relay_is_spoken_to_under_tls_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .args([&key, Path::new("-out"), &cert])
        .stderr(Stdio::null())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return skipped("no openssl to make a certificate with");
    }
    let files = [cert.to_str().unwrap(), key.to_str().unwrap()];
    for (encryption, flags) in
        [(Encryption::StartTls, ["--tlscert", "--tlskey"]), (Encryption::Implicit, ["--smtpscert", "--smtpskey"])]
    {
        let folder = tempfile::tempdir().unwrap();
        let Some(real) = real(folder.path(), &[flags[0], files[0], flags[1], files[1]]) else { return };
        let trusted = Relay {
            host: "localhost".into(),
            encryption,
            authority: Some(std::fs::read(&cert).unwrap()),
            ..relay(real.port)
        };
        let stranger = Relay { authority: None, ..trusted.clone() };
        let refused = send(stranger, json!({})).await;
        assert!(matches!(&refused, Attempt::NotDone(_)), "an unknown certificate: {refused:?}");
        let sent = send(trusted, json!({})).await;
        assert!(matches!(&sent, Attempt::Done(_)), "{encryption:?}: {sent:?}");
        assert!(only_mail(&real).contains("Subject: Hello"));
    }
}
