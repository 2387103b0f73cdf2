use holdshort_gate::{Consequence, FunctionType, WitType};
use serde_json::json;

use super::*;
use crate::CannotPreview;
use crate::exhibit::tests::{host_words, refused_alike, words};

#[path = "../../../../tests/support/evidence.rs"]
#[allow(clippy::duplicate_mod, reason = "tests of several modules note what they tried")]
mod evidence;

/// The action of `email.send-email`, with `fields` replaced in a plain message to one inside recipient.
pub(crate) fn email(fields: Value) -> Action {
    let strings = || WitType::List(Box::new(WitType::String));
    let record =
        |fields: &[(&str, WitType)]| WitType::Record(fields.iter().map(|(n, t)| ((*n).into(), t.clone())).collect());
    let attachment = record(&[("path", WitType::String), ("sha256", WitType::String)]);
    let message = record(&[
        ("to", strings()),
        ("cc", strings()),
        ("bcc", strings()),
        ("subject", WitType::String),
        ("body", WitType::String),
        ("in-reply-to", WitType::Option(Box::new(WitType::String))),
        ("attachments", WitType::List(Box::new(attachment))),
    ]);
    let ty = FunctionType { params: vec![("message".into(), message)], result: None };
    let mut message = json!({
        "to": ["ann@example.com"], "cc": [], "bcc": [], "subject": "Hello", "body": "One.\n.\nTwo ✓\n",
        "in-reply-to": null, "attachments": [],
    });
    message.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let capability = "holdshort:agent/email@0.1.0#send-email".parse().unwrap();
    Action::new(Digest::of(b"agent"), capability, &ty, &json!({ "message": message })).unwrap()
}

/// A composer for the agent `inbox` with the files in `workspace`.
pub(crate) fn composer(workspace: Option<PathBuf>) -> Composer {
    let workspaces = workspace.map(|folder| ("inbox".into(), folder)).into_iter().collect();
    Composer::new("Agents <agent@example.com>", &[], workspaces).unwrap()
}

fn composed(composer: &Composer, action: &Action, bcc: Bcc) -> Result<ComposedMessage, NotComposed> {
    let preconditions =
        composer.preview(&"inbox".into(), action).map_or(Value::Null, |previewed| previewed.preconditions);
    composer.compose(
        &"inbox".into(),
        action,
        &preconditions,
        &EffectKey("key1".into()),
        Time(1_700_000_000_000_000),
        bcc,
    )
}

use holdshort_gate::Time;

mod attachments;

fn impossible(fields: Value) -> String {
    match composer(None).preview(&"inbox".into(), &email(fields.clone())) {
        Err(CannotPreview::Impossible(why)) => why.into_string(),
        other => panic!("{fields}: {other:?}"),
    }
}

#[test]
fn a_preview_names_recipients_first_and_says_who_is_outside() {
    let action = email(json!({
        "to": ["ann@example.com", "bob@exämple.com"], "cc": ["carl@sub.example.com"], "bcc": ["bob@EXÄMPLE.com", "dan@evil.test"],
        "subject": "Zahlen für März", "in-reply-to": "<a@b>",
    }));
    let previewed = composer(None).preview(&"inbox".into(), &action).unwrap();
    assert_eq!(
        previewed.summary,
        "email to ann@example.com, bob@xn--exmple-cua.com, cc carl@sub.example.com, bcc bob@xn--exmple-cua.com, bcc dan@evil.test \
         (4 recipients, 3 outside example.com): \"Zahlen für März\""
    );
    let exhibit = |index: usize| String::from_utf8(previewed.exhibits[index].bytes.clone()).unwrap();
    assert_eq!(
        exhibit(0),
        "From: Agents <agent@example.com>\nTo: ann@example.com, bob@xn--exmple-cua.com\nCc: carl@sub.example.com\n\
         Bcc: bob@xn--exmple-cua.com, dan@evil.test\nSubject: Zahlen für März\nIn-Reply-To: <a@b>\nDate: (when it is sent)\n\
         Message-ID: (the call's key)@example.com\n\nOne.\n.\nTwo ✓\n"
    );
    assert_eq!(exhibit(1), "evil.test: 1\nsub.example.com: 1\nxn--exmple-cua.com: 1\n");
    assert_eq!(
        previewed.facts,
        json!({
            "recipients": 4, "outside-recipients": 3, "attachments": 0, "attachment-bytes": 0,
            "outside-domains": ["evil.test", "sub.example.com", "xn--exmple-cua.com"],
        })
    );
    assert_eq!(previewed.consequence, Consequence::Medium);
}

#[test]
fn the_letter_is_ascii_and_keeps_blind_copies_out_of_sight() {
    let action = email(json!({ "bcc": ["dan@evil.test", "ann@example.com"], "subject": "Grüße" }));
    let letter = composed(&composer(None), &action, Bcc::Remove).unwrap();
    let text = String::from_utf8(letter.bytes.clone()).unwrap();
    assert!(text.is_ascii() && !text.contains("dan@"), "{text}");
    assert!(
        text.contains("Message-ID: <key1@example.com>\r\n") && text.contains("Date: Tue, 14 Nov 2023 22:13:20"),
        "{text}"
    );
    let to: Vec<&str> = letter.envelope.to().iter().map(AsRef::as_ref).collect();
    assert_eq!(to, ["ann@example.com", "dan@evil.test"], "each recipient once");
    let kept = composed(&composer(None), &action, Bcc::Keep).unwrap();
    assert!(String::from_utf8(kept.bytes).unwrap().contains("Bcc: dan@evil.test, ann@example.com\r\n"));
    assert_eq!(
        letter.bytes,
        composed(&composer(None), &action, Bcc::Remove).unwrap().bytes,
        "the same letter for the same key and time"
    );
}

/// Compares the judgement about each address with the expected one: inside, outside or impossible. It is impossible if
/// a relay could forward the message.
#[test]
fn an_address_is_judged_as_a_relay_will() {
    let (inside, outside, refused) = ("inside", "outside", "refused");
    let table = [
        (inside, "ann@example.com"),
        (inside, "ann@EXAMPLE.com"),
        (inside, "Ann.Lee@Example.Com"),
        (inside, "ann+invoices@example.com"),
        (inside, "ann_lee-x@example.com"),
        (inside, "o'hara@example.com"),
        (inside, "bounce=ann=evil.test@example.com"),
        (inside, "ann@example\u{3002}com"),
        (outside, "ann@sub.example.com"),
        (outside, "ann@example.com.evil.test"),
        (outside, "ann@evil-example.com"),
        (outside, "ann@examp1e.com"),
        (outside, "ann@ex\u{430}mple.com"),
        (outside, "ann@b\u{fc}cher.example"),
        (outside, "ann@xn--bcher-kva.example"),
        (outside, "ann@example.co"),
        (outside, "ann@example"),
        (outside, "ann@com"),
        (outside, "ann@localhost"),
        (refused, "attacker%evil.test@example.com"),
        (refused, "a%b%evil.test@example.com"),
        (refused, "evil.test!ann@example.com"),
        (refused, "a!evil.test!ann@example.com"),
        (refused, "/S=ann/ADMD=evil/C=de/@example.com"),
        (refused, "/var/mail/ann@example.com"),
        (refused, "|mail@example.com"),
        (refused, "evil::ann@example.com"),
        (refused, "smtp:ann@example.com"),
        (refused, "@evil.test:ann@example.com"),
        (refused, "@evil.test,@b.test:ann@example.com"),
        (refused, "<@evil.test:ann@example.com>"),
        (refused, "\"ann@evil.test\"@example.com"),
        (refused, "\"ann\"@example.com"),
        (refused, "\"ann%evil.test\"@example.com"),
        (refused, "ann@evil.test@example.com"),
        (refused, "ann\\@evil.test@example.com"),
        (refused, "ann(evil.test)@example.com"),
        (refused, "ann@example.com(evil.test)"),
        (refused, "ann@(evil.test)example.com"),
        (refused, "ann@[192.0.2.1]"),
        (refused, "ann@[IPv6:2001:db8::1]"),
        (refused, "ann@192.0.2.1"),
        (refused, "ann@3221225985"),
        (refused, "ann@0x7f000001"),
        (refused, "ann@0X7F000001"),
        (refused, "ann@\u{ff10}x7f000001"),
        (refused, "ann@0x7f.0.0.0x1"),
        (refused, "ann@127.0.0.0x"),
        (refused, "ann@0177.0.0.01"),
        (outside, "ann@0x7f000001.example"),
        (outside, "ann@host.0xg"),
        (refused, "=?utf-8?q?x?=@example.com"),
        (refused, "=?UTF-8?B?eA==?=@example.com"),
        (refused, "a=?utf-8?q?x@example.com"),
        (inside, "a=b?c@example.com"),
        (refused, "ann@example.com."),
        (refused, "ann@.example.com"),
        (refused, "ann@example..com"),
        (refused, "ann@example.com:25"),
        (refused, "ann@example.com>evil.test"),
        (refused, "ann@example.com, eve@evil.test"),
        (refused, "ann @example.com"),
        (refused, "ann@ example.com"),
        (refused, ".ann@example.com"),
        (refused, "ann.@example.com"),
        (refused, "a..b@example.com"),
        (refused, "-oQ/tmp@example.com"),
        (refused, "-f@example.com"),
        (refused, "\u{430}nn@example.com"),
        (refused, "ann\u{200b}@example.com"),
        (refused, "ann\u{ff05}evil.test@example.com"),
        (refused, "@example.com"),
        (refused, "ann@"),
    ];
    for (expected, text) in table {
        let found = match composer(None).preview(&"inbox".into(), &email(json!({ "to": [text] }))) {
            Ok(previewed) if previewed.facts["outside-recipients"] == 0 => inside,
            Ok(_) => outside,
            Err(CannotPreview::Impossible(_)) => refused,
            Err(error) => panic!("{text}: {error:?}"),
        };
        assert_eq!(found, expected, "{text}");
    }
    evidence::figure("T39", "addresses judged", table.len() as u64);
}

#[test]
fn an_attachment_is_labelled_by_its_name_as_far_as_its_content_agrees() {
    let zip: &[u8] = b"PK\x03\x04\x14\x00\x06\x00";
    let unknown = "application/octet-stream";
    for (path, bytes, label) in [
        ("a.txt", "gr\u{fc}n\n".as_bytes(), "text/plain; charset=utf-8"),
        ("A.TXT", b"", "text/plain; charset=utf-8"),
        ("data.csv", b"a,b\r\n", "text/csv; charset=utf-8"),
        ("page.html", b"<p>x</p>", "text/html; charset=utf-8"),
        ("latin.txt", b"gr\xfcn", unknown),
        ("nul.txt", b"a\0b", unknown),
        ("report.pdf", b"%PDF-1.7\n", "application/pdf"),
        ("report.pdf", b"MZ\x90\x00\x03", unknown),
        ("report.pdf", b"plain words", unknown),
        ("photo.png", b"\x89PNG\r\n\x1a\n", "image/png"),
        ("photo.png", b"GIF89a", unknown),
        ("notes.txt", b"%PDF-1.7\n", unknown),
        ("archive.zip", zip, "application/zip"),
        ("letter.docx", zip, "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("data.json", b"{}", "application/json"),
        ("mail.eml", b"From: x\n\n", unknown),
        ("no-ending", b"x", unknown),
        ("strange.qqq", b"x", unknown),
    ] {
        assert_eq!(super::attached::content_type(path, bytes), label, "{path}");
    }
}

#[test]
fn the_operators_sender_and_address_for_answers_are_written_and_must_stay() {
    let to_help = composer(None).with_reply_to(Some("Help <help@example.com>")).unwrap();
    let action = email(json!({}));
    let shown =
        String::from_utf8(to_help.preview(&"inbox".into(), &action).unwrap().exhibits[0].bytes.clone()).unwrap();
    assert!(shown.starts_with("From: Agents <agent@example.com>\nReply-To: Help <help@example.com>\n"), "{shown}");
    let letter = |action| String::from_utf8(composed(&to_help, action, Bcc::Remove).unwrap().bytes).unwrap();
    assert!(letter(&action).contains("Reply-To: Help <help@example.com>\r\n"));
    // The message is marked as automatic (RFC 3834).
    assert!(letter(&action).contains("\r\nAuto-Submitted: auto-generated\r\n"));
    assert!(letter(&email(json!({ "in-reply-to": "<a@b>" }))).contains("\r\nAuto-Submitted: auto-replied\r\n"));
    // A changed reply address holds the call again, whether the address was added or removed.
    let key = EffectKey("key1".into());
    for (before, after) in [(composer(None), to_help.clone()), (to_help, composer(None))] {
        let shown = before.preview(&"inbox".into(), &action).unwrap().preconditions;
        let changed = after.compose(&"inbox".into(), &action, &shown, &key, Time(0), Bcc::Remove);
        assert!(matches!(changed, Err(NotComposed::FactsChanged(why)) if why.starts_with("the reply address was")));
    }
    let refused = composer(None).with_reply_to(Some("a%b@example.com"));
    assert!(matches!(refused, Err(ComposerError::Sender { .. })), "{refused:?}");
}

#[test]
fn what_could_mislead_or_inject_is_impossible() {
    let cases = [
        (json!({ "to": [] }), "no recipients"),
        (json!({ "to": ["Ann <ann@example.com>"] }), "write only the address"),
        (json!({ "to": ["ann"] }), "no `@`"),
        (json!({ "to": ["ann@example.com\r\nBcc: x@y.z"] }), "not a valid mail address"),
        (json!({ "to": ["\"a b\"@example.com"] }), "write only the address"),
        (json!({ "to": ["аnn@example.com"] }), "plain ASCII"),
        (json!({ "to": ["ann@[127.0.0.1]"] }), "not a domain"),
        (json!({ "to": ["a@example.com,b@evil.test"] }), "write only the address"),
        (json!({ "to": ["<a@example.com>"] }), "write only the address"),
        (json!({ "to": (0..101).map(|n| format!("a{n}@example.com")).collect::<Vec<_>>() }), "101 recipients"),
        (json!({ "subject": "x\r\nBcc: evil@evil.test" }), "U+000D"),
        (json!({ "subject": "x\u{85}y" }), "U+0085"),
        (json!({ "subject": "x".repeat(901) }), "longer than 900"),
        (json!({ "subject": "Invoice =?utf-8?B?wqMxMCwwMDA=?= paid" }), "show as other text"),
        (json!({ "body": "a\u{0}b" }), "NUL"),
        (json!({ "body": "pay 1\r00 EUR" }), "U+000D"),
        (json!({ "body": "a\r\r\nb" }), "U+000D"),
        (json!({ "in-reply-to": "<a@b>\r\nX: y" }), "not a message id"),
        (json!({ "in-reply-to": "a@b" }), "not a message id"),
        (json!({ "attachments": [{ "path": "a.txt", "sha256": "00" }] }), "this agent has no workspace"),
    ];
    for (fields, expected) in cases {
        let why = impossible(fields.clone());
        assert!(why.contains(expected), "{fields}: {why}");
        assert!(!why.chars().any(char::is_control), "{why:?}");
    }
}

#[test]
fn another_functions_arguments_are_impossible() {
    let ty = FunctionType { params: vec![("n".into(), WitType::U8)], result: None };
    let action = Action::new(Digest::of(b"a"), "a:b/c#d".parse().unwrap(), &ty, &json!({ "n": 1 })).unwrap();
    let error = composer(None).preview(&"inbox".into(), &action).unwrap_err();
    assert!(error.to_string().starts_with("the arguments of `a:b/c#d` are not a message"), "{error}");
}

#[test]
fn a_sender_that_changed_is_a_changed_fact() {
    let action = email(json!({}));
    let shown = composer(None).preview(&"inbox".into(), &action).unwrap().preconditions;
    let other = Composer::new("root@example.com", &[], BTreeMap::new()).unwrap();
    let refused =
        other.compose(&"inbox".into(), &action, &shown, &EffectKey("k".into()), Time(0), Bcc::Remove).unwrap_err();
    assert_eq!(
        refused,
        NotComposed::FactsChanged(
            "the sender was `Agents <agent@example.com>` when the call was shown and is `root@example.com` now".into()
        )
    );
    assert!(Composer::new("nobody", &[], BTreeMap::new()).is_err());
    assert!(Composer::new("a@b.c", &["not a domain".into()], BTreeMap::new()).is_err());
}

/// The host's own words about a message do not change with the names of the message and its attachments.
#[test]
fn somebody_elses_words_never_go_on_with_the_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let composer = composer(Some(folder.path().into()));
    let said = |subject: &str, path: &str| {
        std::fs::write(folder.path().join(path), b"x").ok()?;
        let attachments = json!([{ "path": path, "sha256": Digest::of(b"x") }]);
        let action = email(json!({ "subject": subject, "body": subject, "attachments": attachments }));
        composer.preview(&"inbox".into(), &action).ok().map(|previewed| host_words(&previewed))
    };
    // The content type is left out of the comparison. It is the host's word too, but it depends on the ending of
    // the file's name.
    let label = |piece: &String| match piece.strip_prefix(": ").and_then(|rest| rest.split_once(" bytes")) {
        Some((label, after)) => format!(": {}{after}", label.rsplit(", ").next().unwrap()),
        None => piece.clone(),
    };
    let said = |subject: &str, path: &str| Some(said(subject, path)?.iter().map(label).collect::<Vec<_>>());
    let plain = said("Hello", "report.txt").unwrap();
    let mut tried = 0;
    for words in words() {
        for found in [said(&words, "report.txt"), said("Hello", &words)].into_iter().flatten() {
            assert_eq!(found, plain, "{words:?}");
            tried += 1;
        }
    }
    assert!(tried > 150, "{tried}");
}

/// The host's own words in a refusal do not change with the recipient, the message id or the name of an attachment.
#[test]
fn a_refusal_is_in_the_hosts_words() {
    let folder = tempfile::tempdir().unwrap();
    let composer = composer(Some(folder.path().into()));
    let why = |fields: Value| match composer.preview(&"inbox".into(), &email(fields)) {
        Err(CannotPreview::Impossible(why)) => Some(why.into_string()),
        Ok(_) | Err(CannotPreview::Unavailable(_)) => None,
    };
    let attachment = |path: &str, sha256: &str| why(json!({ "attachments": [{ "path": path, "sha256": sha256 }] }));
    let some = Digest::of(b"x").to_string();
    assert!(refused_alike("recipient", |words| why(json!({ "to": [words] }))) > 150);
    assert!(refused_alike("domain", |words| why(json!({ "to": [format!("ann@{words}")] }))) > 100);
    assert!(refused_alike("in-reply-to", |words| why(json!({ "in-reply-to": words }))) > 150);
    assert!(refused_alike("path", |words| attachment(words, &some)) > 150);
    assert!(refused_alike("sha256", |words| attachment("a.txt", words)) > 150);
}
