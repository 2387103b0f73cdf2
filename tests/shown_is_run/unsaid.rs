//! The diff is complete: every file that differs is named, and its lines stand in the diff or the diff says why not.
//! Neither the repository's settings nor objects that the repository lacks make the host show something that is false.

use std::collections::BTreeMap;
use std::path::Path;

use holdshort::connectors::child::Children;
use holdshort::connectors::deploy_git::DeployGit;
use holdshort::connectors::git::Git;
use holdshort::connectors::{CannotPreview, Preview, Previewed};
use holdshort::review::visible;
use holdshort_gate::{Action, Capability, Digest, FunctionType, WitType};
use serde_json::{Value, json};

use crate::cases::{Case, all};
use crate::evidence::figure;
use crate::imported::{Import, command, file, git, git_bytes, with_mode};

/// A deployment of `revision` to the target whose branch is `target`.
pub fn deploy(target: &str, revision: &str) -> Action {
    let texts = ["notes", "revision", "target"].map(|name| (name.to_owned(), WitType::String));
    let ty = FunctionType { params: vec![("release".into(), WitType::Record(texts.into()))], result: None };
    let capability = Capability::new("holdshort:agent/deployment@0.1.0", "deploy").unwrap();
    let release = json!({ "release": { "target": target, "revision": revision, "notes": "n" } });
    Action::new(Digest::of(b"component"), capability, &ty, &release).unwrap()
}

/// The evidence that the host finds about a deployment of `new` to the branch `old` of a repository.
pub async fn preview(repository: &Path, old: &str, new: &str) -> Result<Previewed, CannotPreview> {
    let children = tempfile::tempdir().unwrap();
    let targets = BTreeMap::from([("target".to_owned(), format!("refs/heads/{old}").parse().unwrap())]);
    let connector = DeployGit::new(Git::at(repository), targets, Children::open(children.path()).unwrap());
    connector.preview(&"release".into(), &deploy("target", new)).await
}

/// The lines of an exhibit as a page draws them.
fn drawn(previewed: &Previewed, title: &str) -> Vec<String> {
    let exhibit = previewed.exhibits.iter().find(|exhibit| exhibit.title().starts_with(title));
    let exhibit = exhibit.unwrap_or_else(|| panic!("no `{title}` in {:?}", previewed.summary));
    visible::byte_lines(exhibit.bytes())
}

/// The names of all files that differ between two branches, by git's own list.
fn names(repository: &Path, old: &str, new: &str) -> Vec<Vec<u8>> {
    let range = [format!("refs/heads/{old}"), format!("refs/heads/{new}")];
    let list = git_bytes(repository, &["diff-tree", "-r", "-z", "--name-only", "--no-renames", &range[0], &range[1]]);
    list.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect()
}

/// A name as it is written between quotation marks.
fn quoted(name: &[u8]) -> String {
    let escape = |byte: &u8| match byte {
        b'"' | b'\\' => vec![b'\\', *byte],
        b'\n' => b"\\n".to_vec(),
        b'\t' => b"\\t".to_vec(),
        0..32 => format!("\\{byte:03o}").into_bytes(),
        _ => vec![*byte],
    };
    visible::byte_line(&[b"\"", name.iter().flat_map(escape).collect::<Vec<_>>().as_slice(), b"\""].concat())
}

fn check(case: &Case, previewed: &Previewed, names: &[Vec<u8>]) {
    let Case { what, files, not_shown, kinds, lines, .. } = case;
    let facts = &previewed.facts;
    let told = |name: &str| facts.get(name).cloned();
    assert_eq!(told("files-changed"), Some(json!(files)), "{what}: {facts}");
    assert_eq!(told("files-not-shown"), Some(json!(not_shown)), "{what}: {facts}");
    assert_eq!(told("kinds-not-shown"), Some(json!(kinds)), "{what}: {facts}");
    let (added, removed) = lines.map_or((None, None), |(added, removed)| (Some(json!(added)), Some(json!(removed))));
    assert_eq!((told("lines-added"), told("lines-removed")), (added, removed), "{what}: {facts}");
    assert_eq!(previewed.summary.contains("NOT SHOWN IN FULL"), *not_shown > 0, "{what}: {}", previewed.summary);
    let (list, diff) = (drawn(previewed, "files "), drawn(previewed, "diff "));
    for name in names {
        let name = quoted(name);
        assert!(list.iter().any(|line| line.contains(&name)), "{what}: {name} is not in {list:#?}");
    }
    let headings = diff.iter().filter(|line| line.starts_with("diff --git ")).count() as u64;
    assert_eq!(headings, *files, "{what}: {diff:#?}");
    for line in &case.drawn {
        assert!(diff.iter().any(|drawn| drawn.contains(line)), "{what}: `{line}` is not in {:.3000}", diff.join("\n"));
    }
    if *not_shown > 0 {
        let unsaid = drawn(previewed, "NOT SHOWN IN FULL in the diff").join("\n");
        assert!(kinds.iter().all(|kind| unsaid.contains(&format!("    {kind}: "))), "{what}: {unsaid}");
    } else {
        assert!(!previewed.exhibits.iter().any(|exhibit| exhibit.title().contains("NOT SHOWN")), "{what}");
    }
}

/// Checks that the lines of the diff are exactly the lines that git finds when it treats every file as text. Cases that
/// git counts differently are left out: here git does not pair renamed files, and it shows a file that becomes a link
/// as two files.
fn has_every_line(case: &Case, previewed: &Previewed, repository: &Path, [old, new]: [&str; 2]) {
    if case.lines.is_none() || case.kinds.contains(&"rename") || case.what.contains("becomes") || case.files > 100 {
        return;
    }
    let range = [format!("refs/heads/{old}"), format!("refs/heads/{new}")];
    let plain = ["-c", "core.quotePath=false", "diff-tree", "-p", "-r", "--text", "--no-renames", &range[0], &range[1]];
    let sorted = |lines: Vec<String>| {
        let is_changed =
            |line: &String| line.starts_with(['+', '-']) && !line.starts_with("+++ ") && !line.starts_with("--- ");
        let mut lines: Vec<String> = lines.into_iter().filter(is_changed).collect();
        lines.sort();
        lines
    };
    let plain = sorted(visible::byte_lines(&git_bytes(repository, &plain)));
    assert_eq!(sorted(drawn(previewed, "diff ")), plain, "{}", case.what);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_is_named_and_its_lines_are_shown_or_it_is_said_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let (repository, cases, mut import) = (folder.path().join("r.git"), all(), Import::default());
    for (number, case) in cases.iter().enumerate() {
        let old = import.commit(&format!("old/{number}"), &[], &case.old);
        import.commit(&format!("new/{number}"), &[old], &case.new);
    }
    import.into_repository(&repository);
    let branches = |number: usize| (format!("old/{number}"), format!("new/{number}"));
    let previews = (0..cases.len()).map(|number| {
        let (repository, (old, new)) = (repository.clone(), branches(number));
        tokio::spawn(async move { preview(&repository, &old, &new).await })
    });
    let previews: Vec<_> = previews.collect();
    let mut wrong = Vec::new();
    for (number, (case, previewed)) in cases.iter().zip(previews).enumerate() {
        let previewed = previewed.await.unwrap().unwrap_or_else(|error| panic!("{}: {error}", case.what));
        let (old, new) = branches(number);
        // All cases are checked before the test fails, so that a change of the code shows all its effects.
        let checked = std::panic::catch_unwind(|| {
            check(case, &previewed, &names(&repository, &old, &new));
            has_every_line(case, &previewed, &repository, [&old, &new]);
        });
        wrong.extend(checked.err().map(|_| case.what));
    }
    assert_eq!(wrong, [""; 0]);
    assert!(cases.len() >= 60);
    figure("T32", "changes made to leave the diff", cases.len() as u64);
}

/// Settings that the owner of a repository, or a program of theirs, may have written into its folder: settings as
/// `NAME=VALUE`, files as `PATH:TEXT`.
const SETTINGS: &[&str] = &[
    "info/attributes:* -diff\n",
    "info/attributes:* binary\n",
    "info/attributes:* diff=trap\n",
    "info/attributes:* text eol=crlf working-tree-encoding=UTF-16\n",
    "info/attributes:*.sh -text -diff\n*.txt ident filter=trap\n",
    "info/grafts:GRAFT\n",
    "info/exclude:*\n",
    "info/sparse-checkout:/none\n",
    "attributes:* -diff\n",
    "shallow.bak:1\n",
    "core.attributesFile=FOLDER/attributes",
    "attr.tree=refs/heads/hidden",
    "diff.trap.binary=true",
    "diff.trap.textconv=true",
    "diff.trap.command=true",
    "diff.trap.xfuncname=.*",
    "diff.external=true",
    "diff.orderFile=FOLDER/order",
    "diff.renames=false",
    "diff.renames=copies",
    "diff.renameLimit=1",
    "diff.algorithm=patience",
    "diff.noprefix=true",
    "diff.mnemonicPrefix=true",
    "diff.srcPrefix=x/",
    "diff.relative=true",
    "diff.submodule=log",
    "diff.ignoreSubmodules=all",
    "submodule.lib.ignore=all",
    "diff.context=0",
    "diff.interHunkContext=100",
    "diff.suppressBlankEmpty=true",
    "diff.indentHeuristic=false",
    "diff.wsErrorHighlight=all",
    "diff.colorMoved=zebra",
    "diff.statGraphWidth=1",
    "diff.wordRegex=.",
    "color.ui=always",
    "core.quotePath=true",
    "core.bigFileThreshold=1",
    "core.precomposeUnicode=true",
    "core.ignoreCase=true",
    "core.autocrlf=true",
    "core.whitespace=cr-at-eol",
    "core.abbrev=4",
    "core.useReplaceRefs=true",
    "core.commitGraph=true",
    "log.showSignature=true",
    "log.date=relative",
    "log.mailmap=true",
    "log.diffMerges=off",
    "log.follow=true",
    "mailmap.blob=refs/heads/mailmap:.mailmap",
    "i18n.logOutputEncoding=UTF-16",
    "i18n.commitEncoding=latin1",
    "format.pretty=short",
    "notes.displayRef=*",
    "format.notes=true",
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_the_repository_is_set_to_changes_what_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (repository, mut import) = (folder.path().join("r.git"), Import::default());
    let text: String = (0..40).map(|line| format!("line {line} of a file that is long enough\n")).collect();
    let submodule = |digit: &str| with_mode("160000", "lib", digit.repeat(40));
    let old = [file("a.sh", "one\n\ntwo\n"), file("b.txt", &text), file("caf\u{e9}", b"\xe9\n"), submodule("1")];
    let new = [
        file("a.sh", "one\n\n two\r\n\0"),
        file("c.txt", text.replace("line 7 ", "line seven ").replace("line 20 ", "line twenty ")),
        with_mode("100755", "caf\u{e9}", b"\xe8\n"),
        submodule("2"),
        file(".mailmap", "Somebody Else <else@example.com> <ann@example.com>\n"),
    ];
    let first = import.commit("old", &[], &old);
    import.commit("new", &[first], &new);
    import.commit("hidden", &[], &[file(".gitattributes", "* -diff\n")]);
    import.commit("mailmap", &[], &new);
    import.into_repository(&repository);
    git(&repository, &["notes", "add", "-m", "a note", "refs/heads/new"]);
    git(&repository, &["replace", "refs/heads/new", "refs/heads/hidden"]);
    std::fs::write(repository.join("order"), "z\n").unwrap();
    let plain = preview(&repository, "old", "new").await.unwrap();
    assert!(
        plain.summary.contains("5 files changed") && plain.summary.contains("(submodule, nul-bytes, mode, rename)"),
        "{}",
        plain.summary
    );
    // A setting can also make a person's git fail.
    let of_a_person = |path: &Path| {
        let log = command(path, &["log", "-p", "--notes", "--stat", "refs/heads/new"]).output().unwrap();
        (log.status.code(), log.stdout)
    };
    let (honest, mut differ) = (of_a_person(&repository), 0);
    let config = std::fs::read(repository.join("config")).unwrap();
    let graft = git(&repository, &["rev-parse", "refs/heads/new"]);
    for setting in SETTINGS {
        let text = setting.replace("FOLDER", repository.to_str().unwrap()).replace("GRAFT", &graft);
        let written = match text.split_once(':').filter(|(name, _)| !name.contains('=')) {
            Some((name, text)) => {
                std::fs::write(repository.join(name), text).unwrap();
                Some(repository.join(name))
            }
            None => {
                let (name, value) = text.split_once('=').unwrap();
                git(&repository, &["config", name, value]);
                // A diff driver has no effect without the attribute that names it, and the attribute has none without
                // its driver.
                std::fs::write(repository.join("info/attributes"), "*.sh diff=trap\n").unwrap();
                Some(repository.join("info/attributes"))
            }
        };
        assert_eq!(preview(&repository, "old", "new").await.unwrap(), plain, "{setting}");
        differ += u64::from(of_a_person(&repository) != honest);
        written.map(std::fs::remove_file).transpose().unwrap();
        std::fs::write(repository.join("config"), &config).unwrap();
    }
    // A repository whose objects are kept in another repository, and a linked work tree.
    let (shared, linked) = (folder.path().join("shared.git"), folder.path().join("linked"));
    git(
        folder.path(),
        &["clone", "--quiet", "--bare", "--shared", repository.to_str().unwrap(), shared.to_str().unwrap()],
    );
    git(
        &repository,
        &["worktree", "add", "--quiet", "--detach", "--no-checkout", linked.to_str().unwrap(), "refs/heads/old"],
    );
    for path in [&shared, &linked] {
        let told = preview(path, "old", "new").await.unwrap();
        assert_eq!((&told.exhibits, &told.facts), (&plain.exhibits, &plain.facts), "{path:?}");
    }
    // Many of these settings change what a person's git shows for the same commit, so the settings do work.
    assert!(differ >= 10, "only {differ} settings change what a person's git shows");
    figure("T32", "settings that change nothing", SETTINGS.len() as u64);
    let facts: &Value = &plain.facts;
    assert_eq!(facts["kinds-not-shown"], json!(["submodule", "nul-bytes", "mode", "rename"]));
}
