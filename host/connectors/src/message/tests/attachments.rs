//! Attachments are sent as they were named, and no link is followed.

use super::*;

#[test]
fn an_attachment_is_sent_only_as_it_was_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("in")).unwrap();
    std::fs::write(folder.path().join("in/report.txt"), "a\nb\r\nc\r").unwrap();
    std::fs::write(folder.path().join("secret"), "s").unwrap();
    std::os::unix::fs::symlink(folder.path().join("secret"), folder.path().join("in/link")).unwrap();
    let composer = composer(Some(folder.path().join("in")));
    let attach =
        |path: &str, bytes: &[u8]| email(json!({ "attachments": [{ "path": path, "sha256": Digest::of(bytes) }] }));

    let action = attach("report.txt", b"a\nb\r\nc\r");
    let previewed = composer.preview(&"inbox".into(), &action).unwrap();
    assert!(
        previewed.summary.contains("(1 recipient, none outside example.com, 1 attachment)"),
        "{}",
        previewed.summary
    );
    assert_eq!((&previewed.facts["attachment-bytes"], previewed.consequence), (&json!(7), Consequence::Low));
    let listed = String::from_utf8(previewed.exhibits[1].bytes.clone()).unwrap();
    assert_eq!(listed, format!("\"report.txt\": text/plain; charset=utf-8, 7 bytes, {}\n", Digest::of(b"a\nb\r\nc\r")));
    let letter = String::from_utf8(composed(&composer, &action, Bcc::Remove).unwrap().bytes).unwrap();
    assert!(letter.contains("filename=\"report.txt\"") && letter.contains("\r\n\r\nYQpiDQpjDQ==\r\n"), "{letter}");

    for (path, bytes) in
        [("../secret", "s"), ("/etc/hostname", ""), ("link", "s"), ("gone", ""), ("", ""), ("report.txt", "other")]
    {
        let refused = composer.preview(&"inbox".into(), &attach(path, bytes.as_bytes()));
        assert!(matches!(refused, Err(CannotPreview::Impossible(_))), "{path}: {refused:?}");
    }
    // The agent does not see another agent's files, whatever their names are.
    std::fs::create_dir(folder.path().join("out")).unwrap();
    std::fs::write(folder.path().join("out/plan.txt"), "p").unwrap();
    let folders =
        [("inbox", "in"), ("outbox", "out")].map(|(agent, name)| (AgentName::from(agent), folder.path().join(name)));
    let both = Composer::new("Agents <agent@example.com>", &[], folders.into()).unwrap();
    let plan = attach("plan.txt", b"p");
    assert!(both.preview(&"outbox".into(), &plan).is_ok() && both.preview(&"inbox".into(), &action).is_ok());
    for (agent, action) in [("inbox", &plan), ("outbox", &action), ("nobody", &plan)] {
        let refused = both.preview(&agent.into(), action);
        assert!(matches!(refused, Err(CannotPreview::Impossible(_))), "{agent}: {refused:?}");
        let composed =
            both.compose(&agent.into(), action, &previewed.preconditions, &EffectKey("k".into()), Time(0), Bcc::Keep);
        assert!(matches!(composed, Err(NotComposed::Impossible(_))), "{agent}: {composed:?}");
    }
    // The file changes between the preview and the effect.
    std::fs::write(folder.path().join("in/report.txt"), "forged").unwrap();
    let key = EffectKey("k".into());
    let refused =
        composer.compose(&"inbox".into(), &action, &previewed.preconditions, &key, Time(0), Bcc::Remove).unwrap_err();
    assert!(matches!(&refused, NotComposed::FactsChanged(why) if why.contains("report.txt")), "{refused:?}");
}

/// Another program replaces an attachment by a link while the attachment is read. The link's target is never sent.
#[test]
fn an_attachment_that_becomes_a_link_meanwhile_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (inside, secret) = (folder.path().join("in"), folder.path().join("secret"));
    std::fs::create_dir(&inside).unwrap();
    std::fs::write(&secret, "s").unwrap();
    std::fs::write(inside.join("a.txt"), "a").unwrap();
    let composer = composer(Some(inside.clone()));
    let read = |bytes: &str| {
        composer.preview(
            &"inbox".into(),
            &email(json!({ "attachments": [{ "path": "a.txt", "sha256": Digest::of(bytes.as_bytes()) }] })),
        )
    };
    assert!(read("a").is_ok());
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                std::os::unix::fs::symlink(&secret, inside.join("next")).unwrap();
                std::fs::rename(inside.join("next"), inside.join("a.txt")).unwrap();
                std::fs::write(inside.join("next"), "a").unwrap();
                std::fs::rename(inside.join("next"), inside.join("a.txt")).unwrap();
            }
        });
        let sent = (0..5_000).filter(|_| read("s").is_ok()).count();
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(sent, 0, "the secret was read as an attachment");
    });
}
