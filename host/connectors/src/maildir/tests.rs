use holdshort_gate::{RunId, Time};
use serde_json::json;

use super::super::message::tests::{composer, email};
use super::*;

fn maildir() -> (tempfile::TempDir, Maildir) {
    let folder = tempfile::tempdir().unwrap();
    let clock: Clock = Arc::new(|| Time(1_700_000_000_000_000));
    let maildir = Maildir::open(&folder.path().join("mail"), composer(None), clock).unwrap();
    (folder, maildir)
}

fn attempt(maildir: &Maildir, action: &Action, key: &str) -> Attempt {
    let shown = maildir.0.composer.preview(&"inbox".into(), action).unwrap().preconditions;
    maildir.0.attempt(&"inbox".into(), action, &shown, &EffectKey(key.into()))
}

fn names(maildir: &Maildir, folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(maildir.0.folder.join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn inquiry(action: &Action, key: &str) -> Inquiry {
    Inquiry {
        run: RunId("r1".into()),
        call: 1,
        attempt: 1,
        started_at: Time(0),
        action: action.clone(),
        preconditions: Value::Null,
        key: EffectKey(key.into()),
    }
}

#[tokio::test]
async fn a_message_is_delivered_once_however_often_it_is_attempted() {
    let (_folder, maildir) = maildir();
    let action = email(json!({ "bcc": ["dan@evil.test"] }));
    let Attempt::Done(receipt) = attempt(&maildir, &action, "key1") else { panic!() };
    assert_eq!(receipt["message-id"], "<key1@example.com>");
    assert_eq!(&receipt["sent"], &action.arguments()["message"]);
    assert_eq!(receipt["accepted-by"], format!("maildir {}", maildir.0.folder.display()));
    assert_eq!((names(&maildir, "new"), names(&maildir, "tmp").len()), (vec!["key1".to_owned()], 0));
    let text = std::fs::read_to_string(maildir.0.folder.join("new/key1")).unwrap();
    assert!(
        text.contains("\nBcc: dan@evil.test\n") && text.contains("\nSubject: Hello\n") && !text.contains('\r'),
        "{text}"
    );

    let before = std::fs::metadata(maildir.0.folder.join("new/key1")).unwrap().modified().unwrap();
    assert_eq!(attempt(&maildir, &action, "key1"), Attempt::Done(receipt.clone()), "the same receipt");
    assert_eq!(std::fs::metadata(maildir.0.folder.join("new/key1")).unwrap().modified().unwrap(), before);
    assert!(matches!(attempt(&maildir, &action, "key2"), Attempt::Done(_)));
    assert_eq!(names(&maildir, "new").len(), 2, "another key is another message");

    // A mail reader moves the message to `cur`. A second attempt still delivers nothing.
    std::fs::rename(maildir.0.folder.join("new/key1"), maildir.0.folder.join("cur/key1:2,S")).unwrap();
    assert_eq!(attempt(&maildir, &action, "key1"), Attempt::Done(receipt.clone()));
    assert_eq!(names(&maildir, "new"), ["key2"]);
    assert_eq!(maildir.receipt(&inquiry(&action, "key1")), Some(receipt));
}

#[tokio::test]
async fn a_lookup_believes_a_file_and_never_its_absence() {
    let (_folder, maildir) = maildir();
    let action = email(json!({}));
    let unknown = maildir.lookup(&inquiry(&action, "key1")).await;
    assert!(
        matches!(&unknown, Finding::Unknown { evidence } if evidence.contains("a mail program may have removed it")),
        "{unknown:?}"
    );
    let Attempt::Done(delivered) = attempt(&maildir, &action, "key1") else { panic!() };
    for place in ["new/key1", "cur/key1:2,RS", "cur/key1"] {
        let from = maildir.0.whereabouts(&EffectKey("key1".into())).unwrap().unwrap();
        std::fs::rename(from, maildir.0.folder.join(place)).unwrap();
        match maildir.lookup(&inquiry(&action, "key1")).await {
            Finding::Happened { receipt, evidence } => {
                assert_eq!(receipt, delivered);
                assert!(evidence.contains(place), "{evidence}");
            }
            other => panic!("{place}: {other:?}"),
        }
    }
    assert!(
        matches!(maildir.lookup(&inquiry(&action, "key")).await, Finding::Unknown { .. }),
        "a prefix is another key"
    );
}

#[tokio::test]
async fn what_cannot_be_flushed_is_not_reported_as_delivered() {
    let (_folder, maildir) = maildir();
    let action = email(json!({}));
    let Attempt::Done(_) = attempt(&maildir, &action, "key1") else { panic!() };
    std::fs::rename(maildir.0.folder.join("cur"), maildir.0.folder.join("away")).unwrap();
    let found = maildir.lookup(&inquiry(&action, "key1")).await;
    assert!(
        matches!(&found, Finding::Unknown { evidence } if evidence.contains("is there, but a power cut may remove it: ")),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_draft_that_an_attempt_left_behind_is_not_written_over() {
    let (_folder, maildir) = maildir();
    let action = email(json!({}));
    attempt(&maildir, &action, "key1");
    // The state after a host that died between `link` and `unlink`, and a mail reader that moved the message
    // to another folder.
    std::fs::hard_link(maildir.0.folder.join("new/key1"), maildir.0.folder.join("tmp/key1")).unwrap();
    std::fs::rename(maildir.0.folder.join("new/key1"), maildir.0.folder.join("filed")).unwrap();
    let filed = std::fs::read(maildir.0.folder.join("filed")).unwrap();
    attempt(&maildir, &email(json!({ "body": "other" })), "key1");
    assert_eq!(std::fs::read(maildir.0.folder.join("filed")).unwrap(), filed);
}

#[tokio::test]
async fn what_cannot_be_delivered_is_not_done() {
    let (_folder, maildir) = maildir();
    let action = email(json!({}));
    std::fs::remove_dir(maildir.0.folder.join("tmp")).unwrap();
    assert!(matches!(attempt(&maildir, &action, "k"), Attempt::NotDone(why) if why.contains("could not be written")));
    std::fs::create_dir(maildir.0.folder.join("tmp")).unwrap();
    std::fs::remove_dir(maildir.0.folder.join("new")).unwrap();
    assert!(matches!(attempt(&maildir, &action, "k"), Attempt::NotDone(why) if why.contains("cannot make the link")));
    assert!(names(&maildir, "tmp").is_empty());
    let changed =
        maildir.0.attempt(&"inbox".into(), &action, &json!({ "from": "root@example.com" }), &EffectKey("k".into()));
    assert!(matches!(changed, Attempt::FactsChanged(_)));
}

/// If a folder cannot be read, the message may be in it. (The test replaces the folder by a file, because permissions
/// would not stop root.)
#[tokio::test]
async fn where_nobody_can_look_nothing_is_delivered_a_second_time() {
    let (_folder, maildir) = maildir();
    let action = email(json!({}));
    let Attempt::Done(_) = attempt(&maildir, &action, "key1") else { panic!() };
    std::fs::rename(maildir.0.folder.join("new/key1"), maildir.0.folder.join("cur/key1:2,S")).unwrap();
    std::fs::rename(maildir.0.folder.join("cur"), maildir.0.folder.join("away")).unwrap();
    std::fs::write(maildir.0.folder.join("cur"), "not a folder").unwrap();
    let unknown = attempt(&maildir, &action, "key1");
    let cur = maildir.0.folder.join("cur").display().to_string();
    assert!(
        matches!(&unknown, Attempt::Unknown(why) if why.contains(&cur) && why.contains("nothing was delivered now")),
        "{unknown:?}"
    );
    assert!(names(&maildir, "new").is_empty() && names(&maildir, "tmp").is_empty());
    let found = maildir.lookup(&inquiry(&action, "key1")).await;
    assert!(matches!(&found, Finding::Unknown { evidence } if evidence.contains(&cur)), "{found:?}");

    std::fs::remove_file(maildir.0.folder.join("cur")).unwrap();
    std::fs::rename(maildir.0.folder.join("away"), maildir.0.folder.join("cur")).unwrap();
    assert!(matches!(attempt(&maildir, &action, "key1"), Attempt::Done(_)), "it can be looked at again");
    assert!(names(&maildir, "new").is_empty());
}

#[tokio::test]
async fn a_link_that_failed_means_what_can_be_excluded() {
    let (_folder, maildir) = maildir();
    let (action, key) = (email(json!({})), EffectKey("key1".into()));
    let failed = |kind: io::ErrorKind| maildir.0.not_linked(&action, &key, &kind.into());
    let (refusals, others) = (
        [io::ErrorKind::StorageFull, io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied],
        [io::ErrorKind::AlreadyExists, io::ErrorKind::Other, io::ErrorKind::TimedOut, io::ErrorKind::Interrupted],
    );
    for refusal in refusals {
        assert!(matches!(failed(refusal), Attempt::NotDone(_)), "{refusal}");
    }
    for other in others {
        let attempt = failed(other);
        assert!(
            matches!(&attempt, Attempt::Unknown(why) if why.contains("a mail program may have removed it")),
            "{attempt:?}"
        );
    }
    // The link was made although the system reported an error. In some cases a mail program has moved
    // the message since.
    for place in ["new/key1", "cur/key1:2,", "cur/key1:2,S"] {
        std::fs::write(maildir.0.folder.join(place), "").unwrap();
        for kind in refusals.into_iter().chain(others) {
            assert!(matches!(failed(kind), Attempt::Done(_)), "{place}: {kind}");
        }
        std::fs::remove_file(maildir.0.folder.join(place)).unwrap();
    }
    std::fs::remove_dir(maildir.0.folder.join("cur")).unwrap();
    assert!(matches!(failed(io::ErrorKind::StorageFull), Attempt::Unknown(_)), "`cur` cannot be looked at");

    // A whole attempt, whose name in `new` is a dangling link: no file can be linked to this name, and no file
    // is found there.
    std::fs::create_dir(maildir.0.folder.join("cur")).unwrap();
    std::os::unix::fs::symlink("nowhere", maildir.0.folder.join("new/key1")).unwrap();
    let attempt = attempt(&maildir, &action, "key1");
    assert!(matches!(&attempt, Attempt::Unknown(why) if why.contains("cannot make the link")), "{attempt:?}");
}

#[tokio::test]
async fn a_preview_changes_nothing() {
    let (_folder, maildir) = maildir();
    let previewed = maildir.preview(&"inbox".into(), &email(json!({}))).await.unwrap();
    assert!(previewed.summary.starts_with("email to ann@example.com"));
    assert!(names(&maildir, "new").is_empty() && names(&maildir, "tmp").is_empty());
    assert!(matches!(
        maildir.preview(&"inbox".into(), &email(json!({ "to": [] }))).await,
        Err(CannotPreview::Impossible(_))
    ));
}
