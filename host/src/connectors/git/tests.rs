use std::os::unix::fs::PermissionsExt;

use holdshort_gate::{Capability, RunId};
use serde_json::Value;

use super::super::{Routine, RoutineCall};
use super::revision::NotResolved;
use super::*;

/// A repository in a folder of its own, made with the git program and nothing of the machine's configuration.
pub(in crate::connectors) struct Scratch {
    pub(in crate::connectors) folder: tempfile::TempDir,
    pub(in crate::connectors) path: PathBuf,
}

impl Scratch {
    /// With `main` checked out and one commit on it, and `refs/heads/production` at that commit.
    pub(in crate::connectors) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Self { path: folder.path().join("repository"), folder };
        std::fs::create_dir(&scratch.path).unwrap();
        scratch.run(&["init", "-q", "-b", "main", "."]);
        scratch.commit("one", &[("a.txt", "1\n")]);
        scratch.run(&["branch", "production"]);
        scratch
    }

    pub(in crate::connectors) fn git(&self) -> Git {
        Git::at(&self.path)
    }

    /// Runs git as a person would who works there.
    pub(in crate::connectors) fn run(&self, arguments: &[&str]) -> String {
        let mut command = std::process::Command::new("git");
        command.args(["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]).args(arguments);
        command.env_clear().env("PATH", std::env::var("PATH").unwrap()).env("HOME", self.folder.path());
        let output = command.current_dir(&self.path).output().unwrap();
        let (said, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "git {arguments:?}: {said}{complaint}");
        said.trim().to_owned()
    }

    /// Commits files on the branch that is checked out.
    pub(in crate::connectors) fn commit(&self, subject: &str, files: &[(&str, &str)]) -> CommitId {
        for (path, text) in files {
            let path = self.path.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.run(&["add", "--all", "."]);
        self.run(&["commit", "-q", "--allow-empty", "-m", subject]);
        self.tip("main")
    }

    pub(in crate::connectors) fn tip(&self, revision: &str) -> CommitId {
        self.run(&["rev-parse", revision]).parse().unwrap()
    }

    /// Makes every way in which a repository could run a program run one that leaves a file, which is returned.
    pub(in crate::connectors) fn trap(&self) -> PathBuf {
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

/// An action with a type that takes any arguments of these shapes, as the published WIT has them.
pub(in crate::connectors) fn action(interface: &str, function: &str, arguments: &Value) -> holdshort_gate::Action {
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

/// What a routine connector answers.
pub(in crate::connectors) async fn answer(routine: &impl Routine, action: &holdshort_gate::Action) -> Value {
    routine.answer(RoutineCall { agent: "tester", run: &RunId("r1".into()), action }).await.unwrap()
}

#[tokio::test]
async fn only_the_repository_itself_is_asked() {
    let scratch = Scratch::new();
    let nowhere = Git::at(&scratch.folder.path().join("nowhere"));
    assert!(matches!(nowhere.resolve("main").await, Err(NotResolved::Git(GitError::NotARepository(_)))));
    // A folder inside a repository is not one: nothing above it is searched.
    std::fs::create_dir(scratch.path.join("inside")).unwrap();
    let inside = Git::at(&scratch.path.join("inside"));
    assert!(matches!(inside.resolve("main").await, Err(NotResolved::Git(GitError::NotARepository(_)))));
    // What cannot be read is not said to be absent, or to be something else.
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
    // Its neighbour is damaged and is not asked for.
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
    assert!(error.starts_with("`git cat-file` failed: fatal:"), "{error}");
}

/// The diff from one commit to another.
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
