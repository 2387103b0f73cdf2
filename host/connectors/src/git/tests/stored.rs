//! Trees, modes and messages that git shows differently from how they are stored.

use super::*;

/// A tree that programs read in different ways is refused, because only one of its meanings could be shown.
#[tokio::test]
async fn a_tree_that_can_be_read_in_two_ways_is_refused() {
    let scratch = Scratch::new();
    scratch.commit("two", &[("b.txt", "2\n")]);
    let (one, two) = (scratch.run(&["rev-parse", "main:a.txt"]), scratch.run(&["rev-parse", "main:b.txt"]));
    let (one, two) = (one.as_str(), two.as_str());
    let folder = |entries: &[(&str, &str, &str)]| scratch.tree(entries);
    let (inner, other) = (folder(&[("100644", "x", one)]), folder(&[("100644", "x", two)]));
    let twice = folder(&[("100755", "t.sh", one), ("100755", "t.sh", two)]);
    let unsound = [
        ("a file twice", twice.clone()),
        ("the same file twice", folder(&[("100644", "a", one), ("100644", "a", one)])),
        ("a file twice, in a folder", folder(&[("40000", "d", &twice)])),
        ("a folder twice", folder(&[("40000", "d", &inner), ("40000", "d", &other)])),
        ("a file and a folder", folder(&[("100644", "d", one), ("100644", "d.x", one), ("40000", "d", &inner)])),
        ("out of order", folder(&[("100644", "b", one), ("100644", "a", two)])),
        ("a folder out of order", folder(&[("40000", "d", &inner), ("100644", "d.x", one)])),
        ("three times, apart", folder(&[("100644", "a", one), ("100644", "b", one), ("100644", "a", two)])),
    ];
    let objects = objects::Objects::of(&scratch.git()).await.unwrap();
    let main = scratch.tip("main");
    for (what, tree) in &unsound {
        let commit = scratch.commit_of(tree);
        for from in [Some(&main), None] {
            let error = diff::Diff::between(&objects, from, &commit).await.expect_err(what);
            assert!(matches!(error, GitError::Unsound { .. }) && error.is_permanent(), "{what}: {error}");
        }
        let mended = diff::Diff::between(&objects, Some(&commit), &main).await;
        assert!(mended.is_ok(), "{what}: and what mends it can be deployed: {mended:?}");
    }
    evidence::figure("T32", "trees that can be read in two ways", unsound.len() as u64);
    for sound in [
        folder(&[("100644", "d", one), ("100644", "d.x", one)]),
        folder(&[("100644", "d.x", one), ("40000", "d", &inner), ("100644", "d0", two)]),
        folder(&[("40000", "c", &inner), ("40000", "d", &inner)]),
    ] {
        diff::Diff::between(&objects, Some(&main), &scratch.commit_of(&sound)).await.unwrap();
    }
}

#[tokio::test]
async fn a_mode_is_told_as_it_is_stored() {
    let scratch = Scratch::new();
    scratch.commit("two", &[("b.txt", "2\n")]);
    let (one, two) = (scratch.run(&["rev-parse", "main:a.txt"]), scratch.run(&["rev-parse", "main:b.txt"]));
    let commit = |mode: &str, id: &str| {
        let inner = scratch.tree(&[(mode, "f", id)]);
        scratch.commit_of(&scratch.tree(&[("40000", "d", &inner)]))
    };
    let objects = objects::Objects::of(&scratch.git()).await.unwrap();
    let plain = commit("100644", &one);
    for (to, lines) in [(&one, (0, 0)), (&two, (1, 1))] {
        for mode in ["100664", "100600", "100777", "104755", "0100644"] {
            let diff = diff::Diff::between(&objects, Some(&plain), &commit(mode, to)).await.unwrap();
            let [file] = diff.files.as_slice() else { panic!("{mode}: {:?}", diff.files) };
            let (was, is) = (file.old.as_ref().unwrap(), file.new.as_ref().unwrap());
            assert_eq!((was.mode.as_str(), is.mode.as_str(), file.lines), ("100644", mode, Some(lines)));
            assert_eq!(is.path, b"d/f");
            let patch = String::from_utf8(diff.patch).unwrap();
            assert!(patch.contains(&format!("old mode 100644\nnew mode {mode}\n")), "{patch}");
            let new = diff::Diff::between(&objects, None, &commit(mode, to)).await.unwrap();
            assert_eq!(new.files[0].new.as_ref().unwrap().mode, mode);
        }
    }
    let kept = commit("100664", &one);
    let diff = diff::Diff::between(&objects, Some(&kept), &kept).await.unwrap();
    assert!(diff.files.is_empty(), "{:?}", diff.files);
}

#[tokio::test]
async fn a_message_that_is_stored_otherwise_than_shown_is_found() {
    let scratch = Scratch::new();
    let tree = scratch.run(&["rev-parse", "main^{tree}"]);
    let commit = |headings: &str, message: &str| -> CommitId {
        let text = format!("tree {tree}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n{headings}\n{message}");
        scratch.fed(&["hash-object", "-t", "commit", "-w", "--literally", "--stdin"], text).parse().unwrap()
    };
    let objects = objects::Objects::of(&scratch.git()).await.unwrap();
    let cases = [
        ("", "plain\n", None),
        ("", "", None),
        ("encoding UTF-8\n", "plain\n", None),
        ("encoding utf8\n", "encoding UTF-16\n\nin the message\n", None),
        ("", "looks good\0and deletes all\n", Some(None)),
        ("", "\0", Some(None)),
        ("encoding UTF-16\n", "l\0o\0o\0k\0s\0", Some(Some("UTF-16"))),
        ("encoding UTF-7\n", "+AGE-\n", Some(Some("UTF-7"))),
        ("encoding ISO-8859-1\n", "caf\u{e9}\n", Some(Some("ISO-8859-1"))),
        ("x-more none\nencoding EBCDIC-US\n", "a\n", Some(Some("EBCDIC-US"))),
    ];
    for (headings, message, expected) in cases {
        let id = commit(headings, message);
        let odd = messages::odd(&objects, &["-1", id.as_str()]).await.unwrap();
        let found = odd.first().map(|odd| (odd.id.as_str(), odd.charset.as_deref(), odd.message.as_slice()));
        assert_eq!(
            found,
            expected.map(|charset| (id.as_str(), charset, message.as_bytes())),
            "{headings:?} {message:?}"
        );
    }
    evidence::figure("T32", "messages as they are stored", cases.len() as u64);
}
