//! How the `inbox` agent reads real mail, and which mail it must not answer: messages from a parser's own tests,
//! messages from machines and mailing lists, and the character encodings of many countries.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::evidence::figure;
use crate::outside::{self, Maildir};
use crate::support::skipped::skipped;
use crate::support::{Folder, top};

/// A policy that clears every reply, so that no reviewer is asked.
const POLICY: &str = r#"
permit (principal, action == Action::"call", resource is email::SendEmail);
forbid (principal, action == Action::"call", resource is guidance::Ask);
permit (principal, action == Action::"decide", resource);
"#;

/// Python's own mail reader says who should be answered and under which subject. It is an independent second opinion.
const READER: &str = "
import sys, json, email, email.header, email.utils
def words(value):
    try: text = str(email.header.make_header(email.header.decode_header(value or '')))
    except Exception: text = str(value)
    return ' '.join(text.split())
def first(mail, name):
    fields = [str(value) for value in mail.get_all(name, [])[-1:]]
    return next((address for _, address in email.utils.getaddresses(fields) if '@' in address), None)
read = {}
for path in sys.argv[1:]:
    mail = email.message_from_bytes(open(path, 'rb').read().removeprefix(b'\\xef\\xbb\\xbf'))
    read[path.rsplit('/', 1)[1]] = [first(mail, 'Reply-To') or first(mail, 'From'), words(mail['Subject'])[:200].strip()]
print(json.dumps(read))
";

/// What the agent said about each message, by the name of the message's file: its log line (`from SENDER: SUBJECT`) and
/// its line of the report.
struct Told {
    log: BTreeMap<String, String>,
    report: BTreeMap<String, String>,
    replies: Vec<String>,
}

/// Lets the agent answer the messages that `fill` writes into the folder `mails`.
fn answered(fill: impl Fn(&Path)) -> (Told, PathBuf, Folder) {
    let folder = Folder::new(&[], "");
    let mails = folder.path().join("mails");
    fs::create_dir(&mails).unwrap();
    fill(&mails);
    folder.write("p.cedar", POLICY);
    let replies = Maildir(folder.path().join("replies"));
    folder.configure(&format!(
        "[email]\nfrom = \"help@example.org\"\npath = \"replies\"\n[policy]\nfiles = [\"p.cedar\"]\n{}workspace = \"mails\"\n",
        outside::agent("inbox")
    ));
    let host = folder.serve();
    let run = host.start("inbox", "");
    let over = host.over(&run);
    let report = over["result"]["ok"].as_str().unwrap_or_else(|| panic!("{over}")).to_owned();
    let split = |line: &str| line.split_once(": ").map(|(file, rest)| (file.to_owned(), rest.to_owned()));
    let log = host.logs(&run).iter().filter(|(level, _)| level == "info").filter_map(|(_, line)| split(line)).collect();
    let report = report.lines().skip(1).filter_map(split).collect();
    (Told { log, report, replies: replies.messages() }, mails, folder)
}

/// The messages in the tests of the parser that the agent uses, from the parser's package.
fn corpus() -> Option<Vec<PathBuf>> {
    let manifest = top().join("guest-examples/Cargo.toml");
    let mut metadata = Command::new("cargo");
    metadata.args(["metadata", "--locked", "--format-version=1", "--manifest-path"]).arg(manifest);
    let output = metadata.output().unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let package = metadata["packages"].as_array()?.iter().find(|package| package["name"] == "mail-parser")?;
    let folder = Path::new(package["manifest_path"].as_str()?).parent()?.join("resources/eml");
    let folders = fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path());
    let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    Some(files.filter(|file| file.extension().is_some_and(|end| end == "eml")).collect())
}

#[test]
fn messages_of_a_parsers_corpus_are_read() {
    let Some(corpus) = corpus() else {
        return skipped("the package mail-parser could not be fetched for its messages");
    };
    let (told, mails, _folder) = answered(|mails| {
        for file in &corpus {
            let folder = file.parent().unwrap().file_name().unwrap().to_str().unwrap();
            fs::copy(file, mails.join(format!("{folder}-{}", file.file_name().unwrap().to_str().unwrap()))).unwrap();
        }
    });
    let files = fs::read_dir(mails).unwrap().map(|entry| entry.unwrap().path());
    let python = Command::new("python3").args(["-c", READER]).args(files).output().unwrap();
    let expected: BTreeMap<String, (Option<String>, String)> = serde_json::from_slice(&python.stdout).unwrap();
    assert_eq!(told.report.len(), corpus.len(), "each message has its line");
    let (mut senders, mut better) = (0, 0);
    for (file, (sender, subject)) in &expected {
        let Some(sender) = sender else {
            assert_eq!(told.report[file], "not answered: it names no sender", "{file}");
            continue;
        };
        let line = &told.log[file];
        let found =
            line.strip_prefix(&format!("from {sender}: ")).unwrap_or_else(|| panic!("{file}: {line}, {sender}"));
        let found = found.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(!found.contains("=?") && !found.contains(char::is_control), "{file}: {found}");
        // Python does not decode an encoded word with a non-ASCII letter. The agent does.
        let given_up = subject.contains("=?") || subject.contains('\u{fffd}');
        assert!(found == *subject || (given_up && !found.contains('\u{fffd}')), "{file}: {found}, {subject}");
        senders += 1;
        better += u32::from(found != *subject);
    }
    assert!(corpus.len() >= 100 && senders >= 70 && better <= 10, "{} {senders} {better}", corpus.len());
    figure("T39", "messages of a parser's corpus read", corpus.len() as u64);
}

/// A message about an invoice, which the agent answers without a question.
fn message(name: &str, head: &str) -> (String, Vec<u8>) {
    let rest = "Subject: Invoice\r\nMessage-ID: <1@example.com>\r\n\r\nWhere is my invoice?\r\n";
    let has = |field: &str| head.to_lowercase().lines().any(|line| line.starts_with(field));
    let from = if has("from:") { "" } else { "From: Ann <ann@example.com>\r\n" };
    let to = if has("to:") { "" } else { "To: help@example.org\r\n" };
    (name.into(), format!("{head}{from}{to}{rest}").into_bytes())
}

#[test]
fn what_machines_and_lists_send_is_not_answered() {
    let silent = [
        "Auto-Submitted: auto-replied\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "auto-submitted: Auto-Notified; owner-email=\"x@example.com\"\r\n",
        "Precedence: bulk\r\n",
        "Precedence: list\r\n",
        "Precedence: junk\r\n",
        "PRECEDENCE:  Bulk\r\n",
        "List-Id: <talk.example.com>\r\n",
        "List-Unsubscribe: <mailto:leave@example.com>\r\n",
        "List-Post: NO\r\n",
        "Return-Path: <>\r\n",
        "Return-Path:<>\r\n",
        "X-Auto-Response-Suppress: All\r\n",
        "X-Auto-Response-Suppress: DR, OOF, AutoReply\r\n",
        "X-Autoreply: yes\r\n",
        "X-Loop: ann@example.com\r\n",
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n",
        "From: MAILER-DAEMON@mx.example.com (Mail Delivery System)\r\n",
        "From: Postmaster <postmaster@example.com>\r\n",
        "From: <no-reply@shop.example>\r\n",
        "From: noreply@shop.example\r\n",
        "From: Do-Not-Reply@shop.example\r\n",
        "From: owner-talk@example.com\r\n",
        "From: talk-request@example.com\r\n",
        "From: talk-bounces+help=example.org@example.com\r\n",
        "From: bounces@example.com\r\n",
        "Reply-To: noreply@shop.example\r\n",
        "From: mailer-daemon@example.com\r\nReply-To: admin@example.com\r\n",
        "From: help@example.org\r\nReply-To: team@example.org\r\n",
        "From: help@example.org\r\n",
        "From: Help <Help@Example.org>\r\nTo: Help <help@example.org>\r\n",
        "Delivered-To: ann@example.com\r\n",
    ];
    let spoken = [
        ("", "ann@example.com"),
        ("Auto-Submitted: no\r\n", "ann@example.com"),
        ("Precedence: first-class\r\n", "ann@example.com"),
        ("Return-Path: <ann@example.com>\r\n", "ann@example.com"),
        ("X-Auto-Response-Suppress: DR, NDR\r\n", "ann@example.com"),
        ("Reply-To: Office <office@example.com>\r\n", "office@example.com"),
        ("Reply-To:\r\n", "ann@example.com"),
        ("From: annette.reply@example.com\r\n", "annette.reply@example.com"),
        ("Cc: ann@example.com\r\n", "ann@example.com"),
    ];
    let (told, ..) = answered(|mails| {
        let silent = silent.iter().enumerate().map(|(n, head)| message(&format!("silent-{n}.eml"), head));
        let spoken = spoken.iter().enumerate().map(|(n, (head, _))| message(&format!("spoken-{n}.eml"), head));
        silent.chain(spoken).for_each(|(name, bytes)| fs::write(mails.join(name), bytes).unwrap());
    });
    for (n, head) in silent.iter().enumerate() {
        let report = &told.report[&format!("silent-{n}.eml")];
        assert!(report.starts_with("not answered: a machine or a list has sent it: "), "{head}: {report}");
    }
    for (n, (head, to)) in spoken.iter().enumerate() {
        let name = format!("spoken-{n}.eml");
        assert!(told.report[&name].starts_with("answered with <"), "{head}: {}", told.report[&name]);
        assert!(told.log[&name].starts_with(&format!("from {to}: ")), "{head}: {}", told.log[&name]);
    }
    assert_eq!(told.replies.len(), spoken.len());
    assert!(told.replies.iter().all(|reply| reply.contains("\nAuto-Submitted: auto-replied\n")));
    figure("T39", "messages of machines, lists and people told apart", (silent.len() + spoken.len()) as u64);
}

#[test]
fn mail_is_read_in_every_coding_and_form() {
    let form = |subject: &str, more: &str| {
        format!(
            "From: ann@example.com\r\nTo: help@example.org\r\nSubject: {subject}\r\n{more}\r\n\r\nAn invoice, please.\r\n"
        )
    };
    let id = "Message-ID: <1@example.com>";
    let quoted: String = (0..500).map(|line| format!("> line {line} about a refund and a lawyer\r\n")).collect();
    let long: String = (0..500).map(|line| format!("line {line}\r\n")).collect();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("jp.eml", form("=?ISO-2022-JP?B?GyRCQEE1YT1xGyhC?=", id).into(), "\u{8acb}\u{6c42}\u{66f8}"),
        ("gb.eml", form("=?GB2312?B?t6LGsQ==?=", id).into(), "\u{53d1}\u{7968}"),
        ("gbk.eml", form("=?gbk?Q?=B7=A2=C6=B1?=", id).into(), "\u{53d1}\u{7968}"),
        ("big5.eml", form("=?big5?B?tW+yvA==?=", id).into(), "\u{767c}\u{7968}"),
        ("sjis.eml", form("=?shift_jis?B?kL+LgY+R?=", id).into(), "\u{8acb}\u{6c42}\u{66f8}"),
        ("eucjp.eml", form("=?euc-jp?B?wMG14b3x?=", id).into(), "\u{8acb}\u{6c42}\u{66f8}"),
        ("euckr.eml", form("=?euc-kr?B?w7uxuLytt84=?=", id).into(), "\u{ccad}\u{ad6c}\u{c11c}\u{b85c}"),
        ("koi8.eml", form("=?koi8-r?B?896j1A==?=", id).into(), "\u{421}\u{447}\u{451}\u{442}"),
        ("cp1251.eml", form("=?windows-1251?B?0fe48g==?=", id).into(), "\u{421}\u{447}\u{451}\u{442}"),
        ("latin.eml", form("=?iso-8859-1?Q?Rechnung_f=FCr_M=E4rz?=", id).into(), "Rechnung f\u{fc}r M\u{e4}rz"),
        ("bom.eml", [b"\xef\xbb\xbf".to_vec(), form("Bom", id).into()].concat(), "Bom"),
        ("no-id.eml", form("No id", "X-Note: none").into(), "No id"),
        ("UPPER.EML", form("Upper", id).into(), "Upper"),
        ("quoted.eml", form("Quoted", &format!("{id}\r\n\r\nMy invoice?\r\n{quoted}")).into(), "Quoted"),
        ("long.eml", form("Long", &format!("{id}\r\n\r\nMy invoice?\r\n{long}")).into(), "Long"),
        ("courtesy.eml", form("As a courtesy: illegal, passwords", id).into(), "As a courtesy: illegal, passwords"),
        ("raw.eml", [form("Raw", id).into_bytes(), b"caf\xe9\r\n".to_vec()].concat(), "Raw"),
        ("again.eml", form("RE: Again", id).into(), "RE: Again"),
    ];
    let (told, ..) = answered(|mails| {
        cases.iter().for_each(|(name, bytes, _)| fs::write(mails.join(name), bytes).unwrap());
    });
    for (name, _, subject) in &cases {
        assert!(told.report[*name].starts_with("answered with <"), "{name}: {}", told.report[*name]);
        let found = told.log[*name].strip_prefix("from ann@example.com: ").unwrap();
        assert_eq!(found, *subject, "{name}");
    }
    let reply =
        |subject: &str| told.replies.iter().find(|text| text.contains(&format!("\nSubject: {subject}\n"))).unwrap();
    assert!(!reply("Re: No id").contains("In-Reply-To"), "there is nothing to reply to");
    assert!(reply("RE: Again").contains("\nIn-Reply-To: <1@example.com>\n"), "one `Re:` is enough");
    figure("T39", "codings and forms of mail answered", cases.len() as u64);
}
