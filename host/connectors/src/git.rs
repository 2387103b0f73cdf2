//! Running the git program on one repository, so that nothing in the repository runs and nothing in it changes what is shown.
//!
//! There is no shell, a revision that an agent wrote is looked up as the exact name that it is ([`revision`]), and the environment is made
//! here from nothing: no user's or system's configuration, no prompts, no network. The repository's own configuration is read by git, but what could run a program through
//! it (hooks, external diffs, text conversions, a file system monitor, signature checks) is switched off for every command, and what could
//! show something other than the truth (replacement objects, grafts, attributes in a commit, a mail map) is left aside.

pub mod blobs;
pub mod diff;
pub mod messages;
pub mod objects;
pub mod relation;
pub mod revision;
mod run;
pub mod tips;
mod trees;
mod turns;
pub mod unfolded;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

pub use self::run::{BOUNDS, Limit, Looked, limit_of};
use self::turns::Turns;
use super::{Known, Sentence, child, error_said, quote, say};
use holdshort_common::aside;

/// How long looking may take. A diff of a large history takes seconds.
const LOOK_MAX: Duration = Duration::from_secs(60);
/// How much of a list of references is read: names below the one that is asked for are listed too, and there may be many.
const REFERENCES_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Settings that stand above the repository's own.
const SETTINGS: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    // Attributes are read from the tree without files: one of them, `-diff`, makes a diff say no more than that a file differs.
    // Where that id is not known (another hash function, git before 2.43) nothing is read either: there is no work tree and no index.
    "attr.tree=4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    // Larger files are called binary and not shown; this is the program's own limit.
    "core.bigFileThreshold=512m",
    "core.fsmonitor=false",
    // A file beside the commits that tells their parents: what it says may be older than they are.
    "core.commitGraph=false",
    // An id is an id: no reference of the same name is looked for, and nothing is said of it.
    "core.warnAmbiguousRefs=false",
    "core.quotePath=false",
    "log.showSignature=false",
    // A reference that was moved stays moved when the power fails.
    "core.fsync=all",
    "core.fsyncMethod=fsync",
];

/// The git program on one repository.
#[derive(Clone, Debug)]
pub struct Git {
    repository: PathBuf,
    git_dir: PathBuf,
    /// Where the objects are, if not in the folder that git runs in.
    objects: Option<PathBuf>,
    turns: Turns,
}

/// The full id of a commit: 40 or 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitId(String);

impl CommitId {
    /// All digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }

    /// The id of the tree without files, in the repository's own hash function. Git knows it without storing it.
    pub fn empty_tree(&self) -> &'static str {
        match self.0.len() {
            64 => "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
            _ => "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
        }
    }
}

impl FromStr for CommitId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_hex && [40, 64].contains(&text.len()) { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A reference as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// What it points to.
    pub id: CommitId,
    /// The other reference that it is a mere name of, if it is one.
    pub symbolic: Option<String>,
}

/// Git could not look.
#[derive(Debug)]
pub enum GitError {
    /// There is no repository.
    NotARepository(PathBuf),
    /// The program cannot be run.
    NotRun(std::io::Error),
    /// The host failed at what git had printed.
    NotWorkedOut(std::io::Error),
    /// The host has no folder for it to run in.
    NoFolder(std::io::Error),
    /// It takes too long.
    TimedOut {
        /// Which command, with its arguments.
        command: String,
    },
    /// It takes more than any question may.
    TooLarge {
        /// Which.
        command: String,
        /// The limit.
        limit: Limit,
    },
    /// A tree that can be read in two ways.
    Unsound {
        /// Its id.
        tree: String,
        /// The name; empty if there is none to tell.
        name: String,
    },
    /// It failed.
    Failed {
        /// Which command, with its arguments or without.
        command: String,
        /// What it said.
        complaint: String,
    },
}

impl From<aside::Failed> for GitError {
    fn from(error: aside::Failed) -> Self {
        Self::NotWorkedOut(std::io::Error::other(error))
    }
}

impl GitError {
    /// Whether the same question would come to the same, so that asking again is no use.
    pub fn is_of_the_question(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Unsound { .. })
    }

    /// In words. A command's arguments may be an agent's, and what git says repeats them.
    pub fn sentence(&self) -> Sentence {
        let git = |command: &String| quote(format_args!("git {command}"));
        match self {
            Self::NotARepository(path) => say!(
                "`{}` is not a git repository; give the folder that holds `.git`, or a bare repository",
                Known::path(path)
            ),
            Self::NotWorkedOut(error) => quote(error).into(),
            Self::NotRun(error) => {
                say!("the program `git` cannot be run: {}; install it and see that it is on the PATH", quote(error))
            }
            Self::NoFolder(error) => say!(
                "a folder for git to run in cannot be made: {}; see that there is room for temporary files",
                quote(error)
            ),
            Self::TimedOut { command } => say!("{} took longer than {} seconds", git(command), LOOK_MAX.as_secs()),
            Self::TooLarge { command, limit } => say!("{} takes more than {}", git(command), Known::label(limit)),
            Self::Unsound { tree, name } => say!(
                "the tree {} names {} twice or out of order, so that programs read different files in it; `git fsck` has details, and a newly made commit is free of this fault",
                Known::label(tree),
                quote(name)
            ),
            Self::Failed { command, complaint } => say!("{} failed: {}", git(command), quote(complaint)),
        }
    }
}

error_said!(GitError);

impl Git {
    /// Uses the repository at `path`, which need not exist yet. No folder above it is searched.
    pub fn at(path: &Path) -> Self {
        let inner = path.join(".git");
        let git_dir = if inner.exists() { inner } else { path.to_owned() };
        Self { repository: path.to_owned(), git_dir, objects: None, turns: Turns::new() }
    }

    /// The same repository for other work: neither waits for the other's turns.
    pub fn apart(&self) -> Self {
        Self { turns: Turns::new(), ..self.clone() }
    }

    /// The same with a turn of its own, as long as this value lasts: for what takes several programs, some of them at once.
    pub async fn in_turn(&self) -> Self {
        Self { turns: self.turns.take().await, ..self.clone() }
    }

    /// Where the repository is, as it was given.
    pub fn repository(&self) -> &Path {
        &self.repository
    }

    /// References by their whole names; those that are absent are `None`. One that is damaged is an error, not absent.
    pub async fn references<const N: usize>(&self, names: [&str; N]) -> Result<[Option<Reference>; N], GitError> {
        let format = "--format=%(objectname) %(refname) %(symref)";
        let arguments: Vec<&str> = ["for-each-ref", format].into_iter().chain(names).collect();
        let looked = self.read(&arguments, REFERENCES_BYTES_MAX).await?;
        // The program also warns of damaged references that are listed beside these.
        let others = |line: &str| {
            let warned = line.strip_prefix("warning: ignoring broken ref ");
            warned.is_some_and(|name| !names.contains(&name))
        };
        if !looked.complaint.lines().all(others) || !looked.is_whole() {
            return Err(GitError::Failed { command: "for-each-ref".into(), complaint: looked.complaint });
        }
        let text = looked.text();
        Ok(names.map(|name| {
            // The program matches by prefix too; only the very name counts.
            text.lines().find_map(|line| {
                let mut words = line.split(' ');
                let id = words.next()?.parse().ok()?;
                let found = words.next()? == name;
                let symbolic = words.next().filter(|target| !target.is_empty()).map(str::to_owned);
                found.then_some(Reference { id, symbolic })
            })
        }))
    }

    /// The tags within a commit's history as they stand, a line of `ID NAME` each, in git's own bytes. A damaged one is left out.
    pub async fn tags(&self, commit: &CommitId) -> Result<Vec<u8>, GitError> {
        let merged = format!("--merged={commit}");
        let arguments = ["for-each-ref", &merged, "--format=%(objectname) %(refname)", "refs/tags/"];
        let looked = self.read(&arguments, REFERENCES_BYTES_MAX).await?;
        if looked.is_whole() {
            return Ok(looked.bytes);
        }
        let complaint = format!("the names of all tags are more than {REFERENCES_BYTES_MAX} bytes");
        Err(GitError::Failed { command: "for-each-ref".into(), complaint })
    }

    /// The first reference that there is of these, or below `below`. Git makes no reference above or below another one.
    pub async fn obstacle(&self, names: &[&str], below: &str) -> Result<Option<String>, GitError> {
        let below = format!("{below}/");
        let patterns = names.iter().copied().chain([below.as_str()]);
        let arguments: Vec<&str> = ["for-each-ref", "--format=%(refname)"].into_iter().chain(patterns).collect();
        let listed = self.read(&arguments, REFERENCES_BYTES_MAX).await?.text();
        Ok(listed.lines().find(|found| names.contains(found) || found.starts_with(&below)).map(str::to_owned))
    }

    /// The reference that this one is a symbolic reference to, whether or not there is such a one.
    pub async fn target_of(&self, name: &str) -> Result<Option<String>, GitError> {
        let looked = self.look(&["symbolic-ref", "--quiet", name], 64 * 1024).await?;
        Ok((looked.status == 0).then(|| looked.text().trim_end().to_owned()))
    }

    /// The folder that holds the references, which linked work trees share.
    pub async fn common_folder(&self) -> Result<PathBuf, GitError> {
        let looked = self.read(&["rev-parse", "--git-common-dir"], 64 * 1024).await?;
        let folder = self.folder().unwrap_or(&self.git_dir);
        Ok(folder.join(looked.text().trim_end_matches('\n')))
    }

    /// The whole command line of a command, with everything that guards it.
    pub fn argv(&self, arguments: &[&str]) -> Vec<String> {
        let git_dir = std::path::absolute(&self.git_dir).unwrap_or_else(|_| self.git_dir.clone());
        let guards = SETTINGS.iter().flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]);
        let head = ["git".to_owned(), "--no-pager".to_owned(), format!("--git-dir={}", git_dir.display())];
        head.into_iter().chain(guards).chain(arguments.iter().map(|argument| (*argument).to_owned())).collect()
    }

    /// Where git runs: in its own folder, so that no file of a work tree, which an agent may have written, is beside it.
    pub fn folder(&self) -> Option<&Path> {
        if self.git_dir.is_dir() {
            return Some(&self.git_dir);
        }
        // `.git` is a file in a linked work tree.
        self.git_dir.is_file().then_some(self.repository.as_path())
    }
}

/// Git's whole environment.
pub fn environment() -> Vec<(String, String)> {
    let own = [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_ATTR_NOSYSTEM", "1"),
        // Not from an index either; see `attr.tree`.
        ("GIT_INDEX_FILE", "/nonexistent/index"),
        ("GIT_NO_REPLACE_OBJECTS", "1"),
        ("GIT_GRAFT_FILE", "/dev/null"),
        ("GIT_LITERAL_PATHSPECS", "1"),
        ("GIT_NO_LAZY_FETCH", "1"),
        ("GIT_ALLOW_PROTOCOL", "none"),
        ("GIT_OPTIONAL_LOCKS", "0"),
        ("GIT_TERMINAL_PROMPT", "0"),
        // A reference log that the repository keeps says who moved the branch.
        ("GIT_COMMITTER_NAME", "Holdshort"),
        ("GIT_COMMITTER_EMAIL", "holdshort@localhost"),
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
    ];
    child::environment(&[], &own.map(|(name, value)| (name, value.to_owned())))
}

#[cfg(test)]
pub(super) mod tests;
