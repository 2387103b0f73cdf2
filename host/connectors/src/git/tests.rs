use std::os::unix::fs::PermissionsExt;

use holdshort_gate::{Capability, RunId};
use serde_json::{Value, json};

use super::super::repository::Repository;
use super::super::{CannotPreview, Routine, RoutineCall};
use super::revision::NotResolved;
use super::*;

mod stored;

#[path = "../../../../tests/support/evidence.rs"]
#[allow(clippy::duplicate_mod, reason = "tests of several modules note what they tried")]
pub(crate) mod evidence;

/// A repository in a folder of its own, made with git and without the machine's configuration.
pub(crate) struct Scratch {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl Scratch {
    /// Makes a repository with `main` checked out, one commit, and `refs/heads/production` at that commit.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Self { path: folder.path().join("repository"), folder };
        std::fs::create_dir(&scratch.path).unwrap();
        scratch.run(&["init", "-q", "-b", "main", "."]);
        scratch.commit("one", &[("a.txt", "1\n")]);
        scratch.run(&["branch", "production"]);
        scratch
    }

    pub(crate) fn git(&self) -> Git {
        Git::at(&self.path)
    }

    /// Runs git as a developer would.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let mut command = std::process::Command::new("git");
        command.args(["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]).args(arguments);
        command.env_clear().env("PATH", std::env::var("PATH").unwrap()).env("HOME", self.folder.path());
        let output = command.current_dir(&self.path).output().unwrap();
        let (said, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "git {arguments:?}: {said}{complaint}");
        said.trim().to_owned()
    }

    /// Commits files on the checked-out branch.
    pub(crate) fn commit(&self, subject: &str, files: &[(&str, &str)]) -> CommitId {
        for (path, text) in files {
            let path = self.path.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.run(&["add", "--all", "."]);
        self.run(&["commit", "-q", "--allow-empty", "-m", subject]);
        self.tip("main")
    }

    /// Runs a command with `input`.
    pub(crate) fn fed(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> String {
        let file = self.folder.path().join("input");
        std::fs::write(&file, input).unwrap();
        let mut command = std::process::Command::new("git");
        command.args(arguments).current_dir(&self.path).stdin(std::fs::File::open(file).unwrap());
        let output = command.output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A commit with `levels` nested folders. Each folder has `names` entries that all name the next folder; in the
    /// last folder all entries name `leaf` (mode, kind and id).
    pub(crate) fn unfolding(&self, leaf: &str, names: usize, levels: usize) -> CommitId {
        let entry = (0..levels).fold(leaf.to_owned(), |entry, _| {
            let list = (0..names).map(|name| format!("{entry}\tn{name:03}\n")).collect::<String>();
            format!("040000 tree {}", self.fed(&["mktree"], &list))
        });
        self.run(&["commit-tree", "-m", "unfolds", entry.trim_start_matches("040000 tree ")]).parse().unwrap()
    }

    /// A tree exactly as given: modes, names and ids.
    fn tree(&self, entries: &[(&str, &str, &str)]) -> String {
        let bytes =
            |id: &str| (0..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap()).collect();
        let entry =
            |(mode, name, id): &(&str, &str, &str)| [format!("{mode} {name}\0").into_bytes(), bytes(id)].concat();
        let tree: Vec<u8> = entries.iter().flat_map(entry).collect();
        self.fed(&["hash-object", "-t", "tree", "-w", "--literally", "--stdin"], tree)
    }

    fn commit_of(&self, tree: &str) -> CommitId {
        self.run(&["commit-tree", "-m", "made by hand", tree]).parse().unwrap()
    }

    /// A commit with one file in nested folders.
    pub(crate) fn deep(&self, folders: usize) -> CommitId {
        let stream = format!(
            "commit refs/heads/deep\ncommitter A <a@b> 1 +0000\ndata 0\nM 100644 inline {}f\ndata 1\nx\n",
            "d/".repeat(folders)
        );
        self.fed(&["fast-import", "--quiet"], &stream);
        self.tip("refs/heads/deep")
    }

    /// The mode, kind and id of a committed file, for [`Self::unfolding`].
    pub(crate) fn leaf(&self, path: &str) -> String {
        format!("100644 blob {}", self.run(&["rev-parse", &format!("main:{path}")]))
    }

    pub(crate) fn tip(&self, revision: &str) -> CommitId {
        self.run(&["rev-parse", revision]).parse().unwrap()
    }

    /// Sets a trap for code that runs git: every mechanism by which a repository could run a program now runs a program
    /// that writes to a file. Returns the path of that file.
    pub(crate) fn trap(&self) -> PathBuf {
        let (canary, program) = (self.folder.path().join("canary"), self.folder.path().join("trap"));
        std::fs::write(&program, format!("#!/bin/sh\necho \"$0 $*\" >> {}\ncat\n", canary.display())).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let program = program.to_str().unwrap();
        let hooks = self.path.join(".git/hooks");
        std::fs::create_dir_all(&hooks).unwrap();
        for hook in
            ["reference-transaction", "post-checkout", "post-update", "update", "pre-receive", "post-index-change"]
        {
            std::fs::copy(program, hooks.join(hook)).unwrap();
        }
        std::fs::write(self.path.join(".git/info/attributes"), "* filter=trap diff=trap merge=trap\n").unwrap();
        for (name, value) in [
            ("core.fsmonitor", program),
            ("core.pager", program),
            ("core.editor", program),
            ("core.sshCommand", program),
            ("core.alternateRefsCommand", program),
            ("diff.external", program),
            ("diff.trap.command", program),
            ("diff.trap.textconv", program),
            ("filter.trap.smudge", program),
            ("filter.trap.clean", program),
            ("filter.trap.process", program),
            ("log.showSignature", "true"),
            ("gpg.program", program),
            ("credential.helper", program),
            ("uploadpack.packObjectsHook", program),
            ("core.hooksPath", hooks.to_str().unwrap()),
        ] {
            self.run(&["config", name, value]);
        }
        canary
    }
}

/// An action with a type that accepts these arguments, as in the published WIT.
pub(crate) fn action(interface: &str, function: &str, arguments: &Value) -> holdshort_gate::Action {
    use holdshort_gate::{Action, Digest, FunctionType, WitType};
    fn ty(value: &Value) -> WitType {
        match value {
            Value::Null => WitType::Option(Box::new(WitType::String)),
            Value::Bool(_) => WitType::Bool,
            Value::Number(_) => WitType::U32,
            Value::String(_) => WitType::String,
            Value::Array(_) => WitType::List(Box::new(WitType::String)),
            Value::Object(fields) => {
                WitType::Record(fields.iter().map(|(name, value)| (name.clone(), ty(value))).collect())
            }
        }
    }
    let params = arguments.as_object().unwrap().iter().map(|(name, value)| (name.clone(), ty(value))).collect();
    let ty = FunctionType { params, result: None };
    let capability = Capability::new(&format!("holdshort:agent/{interface}@0.1.0"), function).unwrap();
    Action::new(Digest::of(b"component"), capability, &ty, arguments).unwrap()
}

/// The answer of a routine connector.
pub(crate) async fn answer(routine: &impl Routine, action: &holdshort_gate::Action) -> Value {
    routine.answer(RoutineCall { agent: &"tester".into(), run: &RunId("r1".into()), action }).await.unwrap()
}

#[tokio::test]
async fn only_the_repository_itself_is_asked() {
    let scratch = Scratch::new();
    let nowhere = Git::at(&scratch.folder.path().join("nowhere"));
    assert!(matches!(nowhere.resolve("main").await, Err(NotResolved::Git(GitError::NotARepository(_)))));
    // A folder inside a repository is no repository: parent folders are not searched.
    std::fs::create_dir(scratch.path.join("inside")).unwrap();
    let inside = Git::at(&scratch.path.join("inside"));
    assert!(matches!(inside.resolve("main").await, Err(NotResolved::Git(GitError::NotARepository(_)))));
    // An unreadable reference is an error. It does not count as missing.
    std::fs::write(scratch.path.join(".git/refs/heads/missing"), "1".repeat(40) + "\n").unwrap();
    std::fs::write(scratch.path.join(".git/refs/heads/junk"), "junk\n").unwrap();
    for damaged in ["missing", "junk"] {
        assert!(
            matches!(scratch.git().resolve(damaged).await, Err(NotResolved::Git(GitError::Failed { .. }))),
            "{damaged}"
        );
    }
    assert!(scratch.git().resolve("main").await.is_ok());
}

#[tokio::test]
async fn references_are_matched_whole_and_a_damaged_one_is_not_absent() {
    let scratch = Scratch::new();
    scratch.run(&["branch", "production-2"]);
    scratch.run(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
    let git = scratch.git();
    let main = scratch.tip("main");
    let [production, alias, absent] =
        git.references(["refs/heads/production", "refs/heads/alias", "refs/heads/prod"]).await.unwrap();
    assert_eq!(production, Some(Reference { id: main.clone(), symbolic: None }));
    assert_eq!(alias, Some(Reference { id: main, symbolic: Some("refs/heads/main".into()) }));
    assert_eq!(absent, None);
    std::fs::write(scratch.path.join(".git/refs/heads/production"), "junk").unwrap();
    assert!(git.references(["refs/heads/production"]).await.is_err());
    // `prod-2` is damaged, but git does not read it for the request for `prod`.
    std::fs::write(scratch.path.join(".git/refs/heads/prod-2"), "junk").unwrap();
    scratch.run(&["update-ref", "refs/heads/prod", "main"]);
    assert!(git.references(["refs/heads/prod"]).await.unwrap()[0].is_some());
}

#[tokio::test]
async fn output_is_kept_up_to_a_limit_and_counted_beyond() {
    let scratch = Scratch::new();
    scratch.commit("large", &[("large.txt", &"0123456789\n".repeat(20_000))]);
    let looked = scratch.git().read(&["cat-file", "blob", "main:large.txt"], 100).await.unwrap();
    assert_eq!((looked.bytes.len(), looked.bytes_all, looked.is_whole()), (100, 220_000, false));
    let error = scratch.git().read(&["cat-file", "blob", "main:none"], 100).await.unwrap_err().to_string();
    assert!(error.starts_with("\"git cat-file\" failed: \"fatal:"), "{error}");
}

/// The diff between two commits.
async fn patch(scratch: &Scratch, from: Option<&CommitId>, to: &CommitId) -> String {
    let objects = objects::Objects::of(&scratch.git()).await.unwrap();
    String::from_utf8(diff::Diff::between(&objects, from, to).await.unwrap().patch).unwrap()
}

#[tokio::test]
async fn what_is_shown_is_what_the_commits_hold() {
    let scratch = Scratch::new();
    let one = scratch.tip("main");
    let two = scratch.commit("two", &[(".gitattributes", "* -diff\n"), ("a.txt", "evil\n")]);
    // A replacement that makes the second commit look like the first.
    scratch.run(&["replace", two.as_str(), one.as_str()]);
    let diff = patch(&scratch, Some(&one), &two).await;
    assert!(diff.contains("+evil\n") && !diff.contains("binary"), "{diff}");
}

#[tokio::test]
async fn a_repository_with_the_other_hash_function_is_read_too() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = Scratch { path: folder.path().to_owned(), folder };
    scratch.run(&["init", "-q", "-b", "main", "--object-format=sha256", "."]);
    let commit = scratch.commit("one", &[(".gitattributes", "* -diff\n"), ("a.txt", "1\n")]);
    assert_eq!(commit.as_str().len(), 64);
    for text in ["main", commit.as_str()] {
        assert_eq!(*scratch.git().resolve(text).await.unwrap().commit(), commit);
    }
    let short = scratch.git().resolve(&commit.as_str()[..40]).await.unwrap_err().to_string();
    assert!(short.contains("ids of this repository have 64 digits"), "{short}");
    assert!(patch(&scratch, None, &commit).await.contains("+1\n"));
}

/// A few small objects make a tree of any size. The agent gets the answer "too large", because a further try would have
/// the same result.
#[tokio::test]
async fn a_tree_that_unfolds_without_end_is_an_answer() {
    let scratch = Scratch::new();
    let leaf = scratch.leaf("a.txt");
    let bombs = [
        ("a million files", scratch.unfolding(&leaf, 32, 4), "67108864 bytes of output"),
        ("33 million files", scratch.unfolding(&leaf, 32, 5), "MiB of memory"),
        ("a thousand million files", scratch.unfolding(&leaf, 32, 6), "MiB of memory"),
        ("folders in folders", scratch.deep(2_100), "the depth of folders that git supports"),
    ];
    evidence::figure("T41", "commits without end that are to be compared", bombs.len() as u64);
    for (what, bomb, limit) in bombs {
        let objects = objects::Objects::of(&scratch.git()).await.unwrap();
        let error = diff::Diff::between(&objects, Some(&scratch.tip("main")), &bomb).await.unwrap_err();
        assert!(error.to_string().contains(limit), "{what}: {error}");
        let bounded = matches!(CannotPreview::from(error), CannotPreview::Impossible(_));
        assert!(bounded, "{what}: nobody is asked, and nothing tried again");
        let asked = json!({ "from": "main", "to": bomb.as_str() });
        let said = answer(&Repository::new(scratch.git()), &action("repository", "diff", &asked)).await;
        assert!(said["err"].as_str().unwrap_or_default().contains(limit), "{what}: {said}");
    }
    let honest = scratch.unfolding(&leaf, 30, 2);
    let objects = objects::Objects::of(&scratch.git()).await.unwrap();
    let diff = diff::Diff::between(&objects, Some(&scratch.tip("main")), &honest).await.unwrap();
    assert_eq!(diff.files.len(), 900, "and what is large is no bomb");
}

/// The kept part of an output does not grow with the output, and an endless output is not read to its end.
#[tokio::test]
async fn an_output_without_end_is_not_read_to_its_end() {
    let scratch = Scratch::new();
    let bomb = scratch.unfolding(&scratch.leaf("a.txt"), 32, 5);
    let error = scratch.git().look(&["ls-tree", "-r", bomb.as_str()], 100).await.unwrap_err();
    assert!(error.is_permanent() && error.to_string().contains("67108864 bytes of output"), "{error}");
}
