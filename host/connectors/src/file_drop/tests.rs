use std::path::Path;

use holdshort_gate::{RunId, Time};

use super::proofs::PROOFS;
use super::*;

type Swap = fn(&Path);

struct Typed(Arc<FunctionType>);

impl FunctionTypes for Typed {
    fn of<'a>(&'a self, _: &'a Action) -> BoxFuture<'a, Result<Arc<FunctionType>, Sentence>> {
        async { Ok(self.0.clone()) }.boxed()
    }
}

fn ty(content: WitType, ok: Option<WitType>) -> FunctionType {
    let params = vec![("name".to_owned(), WitType::String), ("content".to_owned(), content)];
    let result = WitType::Result { ok: ok.map(Box::new), err: Some(Box::new(WitType::String)) };
    FunctionType { params, result: Some(result) }
}

fn text() -> FunctionType {
    ty(WitType::String, Some(WitType::String))
}

fn drop_in(folder: &Path, ty: FunctionType) -> FileDrop {
    let settings =
        FileDropSettings { folder: folder.to_owned(), name_from: "name".into(), content_from: "content".into() };
    FileDrop::open(settings, Arc::new(Typed(Arc::new(ty)))).unwrap()
}

fn action(ty: &FunctionType, name: &str, content: &str) -> Action {
    let capability = "acme:reports/outbox@1.0.0#publish".parse().unwrap();
    Action::new(Digest::of(b""), capability, ty, &json!({ "name": name, "content": content })).unwrap()
}

/// The preconditions of a preview at this moment.
fn shown(drop: &FileDrop, action: &Action) -> Value {
    let id = Folders::open(&drop.settings.folder).map_or_else(|_| String::new(), |folders| folders.id);
    drop.settings.preconditions(&id, &drop.settings.read(action, &text()).unwrap())
}

fn attempt(drop: &FileDrop, action: &Action, key: &str) -> Attempt {
    let file = drop.settings.read(action, &text()).unwrap();
    drop.settings.attempt(&file, &shown(drop, action), &EffectKey(key.into()))
}

async fn found(drop: &FileDrop, action: &Action, key: &str) -> Finding {
    found_of(drop, action, shown(drop, action), key).await
}

/// The finding about an attempt with preconditions that were shown earlier.
async fn found_of(drop: &FileDrop, action: &Action, preconditions: Value, key: &str) -> Finding {
    let inquiry = Inquiry {
        run: RunId("r1".into()),
        call: 1,
        attempt: 1,
        started_at: Time(0),
        action: action.clone(),
        preconditions,
        key: EffectKey(key.into()),
    };
    drop.lookup(&inquiry).await
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_file_is_shown_and_put_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let drop = drop_in(folder.path(), text());
    let report = action(&text(), "report.txt", "All is well.\n");
    let previewed = drop.preview(&"a".into(), &report).await.unwrap();
    assert!(previewed.summary.as_str().starts_with("put the file \"report.txt\" (13 bytes) into "), "{previewed:?}");
    assert_eq!(previewed.exhibits[0].bytes(), b"All is well.\n");
    assert_eq!(previewed.facts, json!({ "bytes": 13, "sha256": Digest::of(b"All is well.\n") }));
    assert_eq!(EFFECT.undeclared(&previewed), Vec::<String>::new());
    assert_eq!(names(folder.path()), [PROOFS], "a preview changes nothing");

    assert!(matches!(found(&drop, &report, "k1").await, Finding::DidNotHappen { .. }));
    assert_eq!(attempt(&drop, &report, "k1"), Attempt::Done(json!("report.txt")));
    assert_eq!(std::fs::read_to_string(folder.path().join("report.txt")).unwrap(), "All is well.\n");
    assert_eq!(names(&folder.path().join(PROOFS)), ["id", "k1"], "the draft is gone, and the mark is there");
    assert_eq!(attempt(&drop, &report, "k1"), Attempt::Done(json!("report.txt")), "the same key once");

    // Nothing is overwritten, and the mark outlives the file.
    let other = action(&text(), "report.txt", "Another.");
    assert!(matches!(attempt(&drop, &other, "k2"), Attempt::FactsChanged(why) if why.contains("is taken now")));
    assert!(matches!(drop.preview(&"a".into(), &other).await, Err(CannotPreview::Impossible(_))));
    assert!(matches!(found(&drop, &other, "k2").await, Finding::DidNotHappen { .. }));
    std::fs::remove_file(folder.path().join("report.txt")).unwrap();
    let found = found(&drop, &report, "k1").await;
    assert!(matches!(&found, Finding::Happened { receipt, .. } if *receipt == json!("report.txt")), "{found:?}");
}

/// A host that dies in the middle of an attempt leaves a draft. If the file and the draft are the same file, the
/// attempt put it there. Otherwise the outcome is unknown: no file was put there, or it was renamed, or another program
/// linked the draft.
#[tokio::test]
async fn a_lost_attempt_is_told_by_its_draft() {
    let folder = tempfile::tempdir().unwrap();
    let drop = drop_in(folder.path(), text());
    let report = action(&text(), "report.txt", "All is well.\n");
    let draft = folder.path().join(PROOFS).join("k1.draft");
    std::fs::write(&draft, "All is well.\n").unwrap();
    assert!(matches!(found(&drop, &report, "k1").await, Finding::Unknown { .. }));
    assert!(matches!(attempt(&drop, &report, "k1"), Attempt::Unknown(_)));
    assert!(draft.exists(), "the draft of another attempt stays");
    std::fs::hard_link(&draft, folder.path().join("elsewhere")).unwrap();
    assert!(matches!(found(&drop, &report, "k1").await, Finding::Unknown { .. }), "a link that the host did not make");
    std::fs::rename(folder.path().join("elsewhere"), folder.path().join("report.txt")).unwrap();
    let before = shown(&drop, &report);
    assert!(matches!(found(&drop, &report, "k1").await, Finding::Happened { .. }));
    assert_eq!(attempt(&drop, &report, "k1"), Attempt::Done(json!("report.txt")), "the file is there");

    // If the marks cannot be read, a lookup finds an unknown outcome, and a new attempt fails before it
    // has done anything.
    std::fs::remove_dir_all(folder.path().join(PROOFS)).unwrap();
    std::fs::write(folder.path().join(PROOFS), "").unwrap();
    assert!(matches!(found_of(&drop, &report, before, "k1").await, Finding::Unknown { .. }));
    assert!(matches!(attempt(&drop, &report, "k3"), Attempt::NotDone(_)));
}

/// A lookup finds "did not happen" only in the folder of proofs that was shown. A new folder in its place has no proofs
/// of earlier effects.
#[tokio::test]
async fn another_folder_in_its_place_leaves_a_doubt() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("reports");
    let report = action(&text(), "report.txt", "All is well.\n");
    let swaps: [(&str, Swap); 3] = [
        ("rotated", |folder| {
            std::fs::rename(folder, folder.with_extension("old")).unwrap();
            std::fs::create_dir(folder).unwrap();
        }),
        ("without its proofs", |folder| std::fs::remove_dir_all(folder.join(PROOFS)).unwrap()),
        ("without its id", |folder| std::fs::remove_file(folder.join(PROOFS).join("id")).unwrap()),
    ];
    for (what, swap) in swaps {
        std::fs::create_dir(&folder).unwrap();
        let drop = drop_in(&folder, text());
        let before = shown(&drop, &report);
        let file = drop.settings.read(&report, &text()).unwrap();
        assert_eq!(drop.settings.attempt(&file, &before, &EffectKey("k".into())), Attempt::Done(json!("report.txt")));
        swap(&folder);
        let gone = found_of(&drop, &report, before.clone(), "k").await;
        assert!(matches!(gone, Finding::Unknown { .. }), "{what}, before a restart: {gone:?}");
        let again = drop_in(&folder, text());
        let found = found_of(&again, &report, before.clone(), "k").await;
        assert!(
            matches!(&found, Finding::Unknown { evidence } if evidence.contains("`proofs` was")),
            "{what}: {found:?}"
        );
        let attempt = again.settings.attempt(&file, &before, &EffectKey("k".into()));
        assert!(matches!(attempt, Attempt::FactsChanged(_)), "{what}: {attempt:?}");
        std::fs::remove_dir_all(parent.path()).unwrap();
        std::fs::create_dir(parent.path()).unwrap();
    }
}

/// With other settings the same arguments mean another file, which no reviewer was shown.
#[tokio::test]
async fn other_settings_put_nothing_there_that_was_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let drop = drop_in(folder.path(), text());
    let report = action(&text(), "report.txt", "All is well.\n");
    let before = shown(&drop, &report);
    for (name_from, content_from) in [("name", "name"), ("content", "content"), ("content", "name")] {
        let settings = FileDropSettings {
            name_from: name_from.into(),
            content_from: content_from.into(),
            ..(*drop.settings).clone()
        };
        let Ok(file) = settings.read(&report, &text()) else { continue };
        let attempt = settings.attempt(&file, &before, &EffectKey("k".into()));
        assert!(matches!(attempt, Attempt::FactsChanged(_)), "{name_from}, {content_from}: {attempt:?}");
        let found = settings.find(file, &before, &EffectKey("k".into()));
        assert!(matches!(found, Finding::Unknown { .. }), "{name_from}, {content_from}: {found:?}");
    }
    assert_eq!(names(folder.path()), [PROOFS]);
}

#[tokio::test]
async fn proofs_that_others_can_change_prove_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let drop = drop_in(folder.path(), text());
    let report = action(&text(), "report.txt", "All is well.\n");
    let before = shown(&drop, &report);
    for mode in [0o770, 0o702, 0o755] {
        std::fs::set_permissions(folder.path().join(PROOFS), std::fs::Permissions::from_mode(mode)).unwrap();
        let found = found_of(&drop, &report, before.clone(), "k").await;
        assert!(matches!(&found, Finding::Unknown { evidence } if evidence.contains("mode 0700")), "{found:?}");
        assert!(matches!(attempt(&drop, &report, "k"), Attempt::NotDone(_)), "{mode:o}");
        assert!(matches!(drop.preview(&"a".into(), &report).await, Err(CannotPreview::Unavailable(_))), "{mode:o}");
    }
    std::fs::set_permissions(folder.path().join(PROOFS), std::fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(attempt(&drop, &report, "k"), Attempt::Done(json!("report.txt")));
}

#[tokio::test]
async fn no_name_leads_out_of_the_folder_and_no_link_is_followed() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let drop = drop_in(folder.path(), text());
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    for name in
        ["", ".", "..", "a/b", "../a", "/a", ".holdshort-files", ".hidden", "-x", ":x", "a\nb", "a\0b", "a\\b", &long]
    {
        let previewed = drop.preview(&"a".into(), &action(&text(), name, "x")).await;
        assert!(matches!(&previewed, Err(CannotPreview::Impossible(_))), "{name:?}: {previewed:?}");
    }
    // Another program has put a link at the file's name. Its target exists in one case and is missing in the other.
    for (name, target) in [("dangling", outside.path().join("new")), ("linked", outside.path().to_path_buf())] {
        std::os::unix::fs::symlink(target, folder.path().join(name)).unwrap();
        assert!(matches!(attempt(&drop, &action(&text(), name, "x"), name), Attempt::FactsChanged(_)), "{name}");
    }
    assert_eq!(names(outside.path()), Vec::<String>::new());
    std::fs::remove_dir_all(folder.path().join(PROOFS)).unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join(PROOFS)).unwrap();
    assert!(matches!(attempt(&drop, &action(&text(), "a", "x"), "k"), Attempt::NotDone(_)), "the marks are elsewhere");
    assert_eq!(names(outside.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_function_and_its_arguments_must_fit() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = WitType::List(Box::new(WitType::U8));
    let plain = ty(bytes, None);
    let raw = action(&plain, "a.bin", "AP8=");
    let drop = drop_in(folder.path(), plain.clone());
    let file = drop.settings.read(&raw, &plain).unwrap();
    assert_eq!((file.content, file.receipt), (vec![0, 255], Value::Null));

    let number = ty(WitType::String, Some(WitType::U32));
    assert!(drop.settings.read(&action(&number, "a", "x"), &number).is_err(), "no receipt could be made");
    let other = FileDropSettings { name_from: "title".into(), ..(*drop.settings).clone() };
    assert!(other.read(&action(&text(), "a", "x"), &text()).is_err(), "no such parameter");
    // `check`, which the host uses when it loads an agent, finds the same errors.
    let list = ty(WitType::List(Box::new(WitType::String)), None);
    let checked = [&plain, &text(), &number, &list].map(|ty| drop.settings.check(ty).is_ok());
    assert_eq!((checked, other.check(&text()).is_ok()), ([true, true, false, false], false));
    let large = "x".repeat(FILE_BYTES_MAX + 1);
    assert!(drop.settings.read(&action(&text(), "a", &large), &text()).is_err());
    // The shown folder was another folder.
    let file = drop.settings.read(&raw, &plain).unwrap();
    let mut elsewhere = shown(&drop, &raw);
    elsewhere["folder"] = json!("/elsewhere");
    let attempted = drop.settings.attempt(&file, &elsewhere, &EffectKey("k".into()));
    assert!(matches!(attempted, Attempt::FactsChanged(_)), "{attempted:?}");
}
