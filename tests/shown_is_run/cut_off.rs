//! If a repository lacks objects, the host says that something is unknown. A shallow, partial or damaged repository
//! must not make the host say something false.

use std::collections::BTreeSet;
use std::path::Path;

use holdshort::connectors::CannotPreview;
use holdshort::connectors::git::objects::Objects;
use holdshort::connectors::git::relation::Relation;
use holdshort::connectors::git::{CommitId, Git};
use serde_json::json;

use crate::evidence::figure;
use crate::imported::{Import, file, git};
use crate::unsaid::preview;

/// The number of histories that are tried.
const HISTORIES: usize = 120;
/// The number of commits in each.
const COMMITS: usize = 14;

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

/// The parents of each commit, which come before it. Some histories are nearly straight, others are not.
fn history(dice: &mut Dice) -> Vec<Vec<usize>> {
    let straight = dice.roll(4);
    let parents = |dice: &mut Dice, commit: usize| {
        let near = |dice: &mut Dice| commit - 1 - dice.roll(commit.min(1 + straight));
        let count = if commit == 0 || dice.roll(12) == 0 { 0 } else { 1 + usize::from(dice.roll(3) == 0) };
        (0..count).map(|_| near(dice)).collect::<BTreeSet<_>>().into_iter().collect()
    };
    (0..COMMITS).map(|commit| parents(dice, commit)).collect()
}

/// A commit and all its ancestors.
fn ancestors(history: &[Vec<usize>], commit: usize) -> BTreeSet<usize> {
    let mut all: BTreeSet<usize> = history[commit].iter().flat_map(|parent| ancestors(history, *parent)).collect();
    all.insert(commit);
    all
}

fn difference(one: &BTreeSet<usize>, other: &BTreeSet<usize>) -> u64 {
    one.difference(other).count() as u64
}

/// In a history that is cut off at any place, every number that the host tells is the number of the whole history. The
/// host does tell many numbers.
#[tokio::test]
async fn a_number_of_commits_is_told_only_if_it_is_the_true_one() {
    let folder = tempfile::tempdir().unwrap();
    let (repository, mut import, mut dice) = (folder.path().join("r.git"), Import::default(), Dice(1));
    let histories: Vec<_> = (0..HISTORIES).map(|_| history(&mut dice)).collect();
    for (number, history) in histories.iter().enumerate() {
        for (commit, parents) in history.iter().enumerate() {
            let parents: Vec<usize> = parents.iter().map(|parent| number * COMMITS + parent + 1).collect();
            import.commit(&format!("h/{number}/{commit}"), &parents, &[file("a", format!("{number} {commit}"))]);
        }
    }
    import.into_repository(&repository);
    let tips = git(&repository, &["for-each-ref", "--format=%(objectname)", "--sort=v:refname", "refs/heads/h"]);
    let tips: Vec<CommitId> = tips.lines().map(|id| id.parse().unwrap()).collect();
    assert_eq!(tips.len(), HISTORIES * COMMITS);
    let (mut known, mut unknown) = (0, 0);
    for (number, history) in histories.iter().enumerate() {
        let id = |commit: usize| &tips[number * COMMITS + commit];
        let cut: String = (0..1 + dice.roll(3)).map(|_| format!("{}\n", id(dice.roll(COMMITS)))).collect();
        std::fs::write(repository.join("shallow"), cut).unwrap();
        let objects = Objects::of(&Git::at(&repository)).await.unwrap();
        assert!(objects.is_shallow());
        for _ in 0..3 {
            let (old, new) = (dice.roll(COMMITS), dice.roll(COMMITS));
            let told = Relation::of(&objects, Some(id(old)), id(new)).await.unwrap();
            let (before, after) = (ancestors(history, old), ancestors(history, new));
            for (told, truth) in
                [(told.added, difference(&after, &before)), (told.dropped, difference(&before, &after))]
            {
                assert!(
                    told.is_none_or(|told| told == truth),
                    "history {number}, {old}..{new}: {told:?} is {truth}: {history:?}"
                );
                if told.is_some() { known += 1 } else { unknown += 1 }
            }
        }
    }
    assert!(known > unknown / 4 && unknown > known / 4, "{known} known, {unknown} not");
    figure("T32", "numbers of commits in histories that are cut off", known + unknown);
}

/// A clone with a limited depth says what it does not know about a branch that is four commits behind another branch.
#[tokio::test]
async fn a_clone_with_a_depth_says_what_it_does_not_know() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, mut import) = (folder.path().join("r.git"), Import::default());
    let mut last = import.commit("old", &[], &[file("a", "0\n")]);
    for line in 1..5 {
        last = import.commit("new", &[last], &[file("a", format!("{line}\n"))]);
    }
    import.into_repository(&whole);
    let url = format!("file://{}", whole.display());
    let clone = |name: &str, options: &[&str]| {
        let path = folder.path().join(name);
        let fixed = ["clone", "--quiet", "--bare", "--no-single-branch"];
        git(folder.path(), &[&fixed, options, &[&url, path.to_str().unwrap()]].concat());
        path
    };
    let depth = clone("one.git", &["--depth=1"]);
    let told = preview(&depth, "old", "new").await.unwrap();
    assert!(told.summary.contains("the lost and gained commits are NOT KNOWN"), "{}", told.summary);
    for fact in ["commit-count", "lost-commit-count", "commits"] {
        assert!(told.facts.get(fact).is_none(), "{}", told.facts);
    }
    assert_eq!((&told.facts["history-known"], &told.facts["lines-added"]), (&json!(false), &json!(1)));
    assert_eq!(told.exhibits[0].title(), "the history is NOT KNOWN");
    assert!(!told.exhibits.iter().any(|exhibit| exhibit.title().contains("fast-forward")));
    // A clone with enough depth knows as much as the whole repository.
    for path in [whole.clone(), clone("five.git", &["--depth=5"])] {
        let told = preview(&path, "old", "new").await.unwrap();
        let facts = ["commit-count", "lost-commit-count", "history-known"].map(|name| told.facts[name].clone());
        assert_eq!(facts, [json!(4), json!(0), json!(true)], "{}", told.facts);
        let back = preview(&path, "new", "old").await.unwrap();
        assert!(
            back.summary.contains("NOT A FAST-FORWARD") && back.facts["lost-commit-count"] == 4,
            "{}",
            back.summary
        );
    }
}

#[tokio::test]
async fn what_a_partial_clone_has_not_fetched_is_named_and_its_lines_are_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, mut import) = (folder.path().join("r.git"), Import::default());
    let old = import.commit("old", &[], &[file("a", "1\n"), file("b", "1\n")]);
    import.commit("new", &[old], &[file("a", "2\n"), file("c", "1\n")]);
    import.into_repository(&whole);
    git(&whole, &["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", whole.display());
    let clone = |name: &str, filter: &str| {
        let path = folder.path().join(name);
        git(folder.path(), &["clone", "--quiet", "--bare", filter, &url, path.to_str().unwrap()]);
        path
    };
    let told = preview(&clone("blobs.git", "--filter=blob:none"), "old", "new").await.unwrap();
    let facts = &told.facts;
    assert_eq!((&facts["commit-count"], &facts["files-not-shown"]), (&json!(1), &json!(2)), "{facts}");
    assert_eq!(facts["kinds-not-shown"], json!(["missing", "rename"]));
    assert!(facts.get("lines-added").is_none() && facts.get("lines-removed").is_none(), "{facts}");
    // Without tree objects nothing can be listed, so the call is not put to reviewers.
    let none = preview(&clone("trees.git", "--filter=tree:0"), "old", "new").await;
    assert!(matches!(&none, Err(CannotPreview::Unavailable(why)) if why.contains("diff-tree")), "{none:?}");
}

/// Removes, empties or changes the file of an object.
fn damage(repository: &Path, revision: &str, how: &str) {
    let id = git(repository, &["rev-parse", revision]);
    let path = repository.join("objects").join(&id[..2]).join(&id[2..]);
    std::fs::remove_file(&path).unwrap();
    match how {
        "gone" => {}
        "empty" => std::fs::write(&path, "").unwrap(),
        _ => std::fs::write(&path, "no object at all").unwrap(),
    }
}

#[tokio::test]
async fn a_damaged_repository_shows_nothing() {
    let objects = ["refs/heads/new", "refs/heads/new^{tree}", "refs/heads/new:a", "refs/heads/old", "refs/heads/old:a"];
    let mut tried = 0;
    for object in objects {
        for how in ["gone", "empty", "changed"] {
            let folder = tempfile::tempdir().unwrap();
            let (repository, mut import) = (folder.path().join("r.git"), Import::default());
            let old = import.commit("old", &[], &[file("a", "1\n")]);
            import.commit("new", &[old], &[file("a", "2\n")]);
            import.into_repository(&repository);
            // Unpacks the objects: loose objects can be damaged one by one.
            let pack = repository.join("objects/pack");
            for entry in std::fs::read_dir(&pack).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.extension().is_some_and(|ending| ending == "pack") {
                    let moved = folder.path().join("moved.pack");
                    std::fs::rename(&entry, &moved).unwrap();
                    std::fs::remove_file(entry.with_extension("idx")).unwrap();
                    let file = std::fs::File::open(moved).unwrap();
                    let unpack = std::process::Command::new("git")
                        .arg("unpack-objects")
                        .arg("-q")
                        .current_dir(&repository)
                        .stdin(file)
                        .status();
                    assert!(unpack.unwrap().success());
                }
            }
            assert!(preview(&repository, "old", "new").await.is_ok());
            damage(&repository, object, how);
            let told = preview(&repository, "old", "new").await;
            assert!(told.is_err(), "{object} {how}: {told:?}");
            tried += 1;
        }
    }
    figure("T32", "damaged objects", tried);
}
