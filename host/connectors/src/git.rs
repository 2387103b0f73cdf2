//! Runs git on one repository so that nothing in the repository is executed, and nothing in it
//! changes what is shown.
//!
//! There is no shell; an agent's revision is looked up by its exact name ([`revision`]); and the
//! environment is built from nothing: no user or system configuration, no prompts, no network. Git
//! reads the repository's own configuration, but everything in it that could run a program (hooks,
//! external diffs, text conversions, file system monitors, signature checks) is switched off for
//! every command, and everything that could falsify the output (replacement objects, grafts,
//! attributes, mail maps) is ignored.

pub mod blobs;
pub mod diff;
pub mod messages;
pub mod objects;
pub mod relation;
pub mod revision;
mod run;
pub mod tips;
pub mod tree_size;
mod trees;
mod turns;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

pub use self::run::{BOUNDS, GitOutput, Limit, limit_of};
use self::turns::Turns;
use super::{Sentence, Trusted, child, quote, say, sentence_error};
use holdshort_common::aside;

/// The time limit for a command that changes nothing. A diff of a large history takes seconds.
const LOOK_MAX: Duration = Duration::from_secs(60);
/// The maximum size of a list of references. Git also lists the names below a requested name, and
/// these can be many.
const REFERENCES_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Git settings that override the repository's own.
const SETTINGS: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    // Git reads attributes from the empty tree, so there are none. The attribute `-diff` would reduce a diff to
    // "differs". Where git does not know this tree (another hash function, git before 2.43), it reads no attributes
    // either, because there is no work tree and no index.
    "attr.tree=4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    // Larger files are treated as binary; this is git's own limit.
    "core.bigFileThreshold=512m",
    "core.fsmonitor=false",
    // The commit graph is a second record of the parents of commits, which can be outdated. Git ignores it.
    "core.commitGraph=false",
    // Git takes a full id only as an id. It does not look for a reference of the same name, and gives no
    // warning about one.
    "core.warnAmbiguousRefs=false",
    "core.quotePath=false",
    "log.showSignature=false",
    // Git makes a moved reference durable, so that the move survives a power cut.
    "core.fsync=all",
    "core.fsyncMethod=fsync",
];

/// Git on one repository.
#[derive(Clone, Debug)]
pub struct Git {
    repository: PathBuf,
    git_dir: PathBuf,
    /// The folder of the objects, if it is not inside `git_dir`.
    objects: Option<PathBuf>,
    turns: Turns,
}

/// The full id of a commit: 40 or 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitId(String);

impl CommitId {
    /// The id with all its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }

    /// The id of the empty tree in the repository's hash function. Git knows it without storing it.
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

/// The state of a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The commit or object that it points to.
    pub id: CommitId,
    /// The target, if the reference is symbolic.
    pub symbolic: Option<String>,
}

/// Git failed.
#[derive(Debug)]
pub enum GitError {
    /// There is no repository.
    NotARepository(PathBuf),
    /// Git cannot be run.
    NotRun(std::io::Error),
    /// The host failed to process git's output.
    NotWorkedOut(std::io::Error),
    /// The host has no folder for git to run in.
    NoFolder(std::io::Error),
    /// Git exceeded its time limit.
    TimedOut {
        /// The command with its arguments.
        command: String,
    },
    /// Git exceeded another limit.
    TooLarge { command: String, limit: Limit },
    /// A tree can be read in two ways.
    Unsound {
        tree: String,
        /// The repeated or unsorted name; empty if the tree has another error.
        name: String,
    },
    /// Git returned an error.
    Failed {
        /// The command, with or without its arguments.
        command: String,
        /// The error output.
        complaint: String,
    },
}

impl From<aside::Failed> for GitError {
    fn from(error: aside::Failed) -> Self {
        Self::NotWorkedOut(std::io::Error::other(error))
    }
}

impl GitError {
    /// Whether the same command would fail again.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Unsound { .. })
    }

    /// The error as a sentence. A command's arguments may be an agent's, and git's output repeats
    /// them.
    pub fn sentence(&self) -> Sentence {
        let git = |command: &String| quote(format_args!("git {command}"));
        match self {
            Self::NotARepository(path) => say!(
                "`{}` is not a git repository; give the folder that holds `.git`, or a bare repository",
                Trusted::path(path)
            ),
            Self::NotWorkedOut(error) => quote(error).into(),
            Self::NotRun(error) => {
                say!("the program `git` cannot be run: {}; install git, and check that it is on the PATH", quote(error))
            }
            Self::NoFolder(error) => {
                say!("cannot make a temporary folder for git: {}; make room for temporary files", quote(error))
            }
            Self::TimedOut { command } => say!("{} took longer than {} seconds", git(command), LOOK_MAX.as_secs()),
            Self::TooLarge { command, limit } => say!("{} takes more than {}", git(command), Trusted::label(limit)),
            Self::Unsound { tree, name } => say!(
                "the tree {} lists {} twice or out of order, so different programs read different files from the tree; make the commit again (`git fsck` shows details)",
                Trusted::label(tree),
                quote(name)
            ),
            Self::Failed { command, complaint } => say!("{} failed: {}", git(command), quote(complaint)),
        }
    }
}

sentence_error!(GitError);

impl Git {
    /// The repository at `path`, which may not exist yet. Parent folders are not searched.
    pub fn at(path: &Path) -> Self {
        let inner = path.join(".git");
        let git_dir = if inner.exists() { inner } else { path.to_owned() };
        Self { repository: path.to_owned(), git_dir, objects: None, turns: Turns::new() }
    }

    /// The same repository with turns of its own (see `turns`), so that this work and the work with other turns do not
    /// wait for each other.
    pub fn with_own_turns(&self) -> Self {
        Self { turns: Turns::new(), ..self.clone() }
    }

    /// The same repository with one turn (see `turns`), which is taken now and kept. It is for work that needs several
    /// processes, some of them at the same time.
    pub async fn in_turn(&self) -> Self {
        Self { turns: self.turns.take().await, ..self.clone() }
    }

    /// The repository's path as given.
    pub fn repository(&self) -> &Path {
        &self.repository
    }

    /// References by full name; a missing reference is `None`, and a damaged reference is an error.
    pub async fn references<const N: usize>(&self, names: [&str; N]) -> Result<[Option<Reference>; N], GitError> {
        let format = "--format=%(objectname) %(refname) %(symref)";
        let arguments: Vec<&str> = ["for-each-ref", format].into_iter().chain(names).collect();
        let looked = self.read(&arguments, REFERENCES_BYTES_MAX).await?;
        // Git lists more references than the requested ones, and its warnings about the others do not matter here.
        let others = |line: &str| {
            let warned = line.strip_prefix("warning: ignoring broken ref ");
            warned.is_some_and(|name| !names.contains(&name))
        };
        if !looked.complaint.lines().all(others) || !looked.is_whole() {
            return Err(GitError::Failed { command: "for-each-ref".into(), complaint: looked.complaint });
        }
        let text = looked.text();
        Ok(names.map(|name| {
            // Git matches by prefix too; only the exact name counts.
            text.lines().find_map(|line| {
                let mut words = line.split(' ');
                let id = words.next()?.parse().ok()?;
                let found = words.next()? == name;
                let symbolic = words.next().filter(|target| !target.is_empty()).map(str::to_owned);
                found.then_some(Reference { id, symbolic })
            })
        }))
    }

    /// The tags in a commit's history, as lines of `ID NAME` in git's own bytes. A damaged tag is
    /// left out.
    pub async fn tags(&self, commit: &CommitId) -> Result<Vec<u8>, GitError> {
        let merged = format!("--merged={commit}");
        let arguments = ["for-each-ref", &merged, "--format=%(objectname) %(refname)", "refs/tags/"];
        let looked = self.read(&arguments, REFERENCES_BYTES_MAX).await?;
        if looked.is_whole() {
            return Ok(looked.bytes);
        }
        let complaint = format!("the names of all tags together are more than {REFERENCES_BYTES_MAX} bytes");
        Err(GitError::Failed { command: "for-each-ref".into(), complaint })
    }

    /// The first existing reference among `names` or below `below`. It is an obstacle, because git creates
    /// no reference above or below another reference.
    pub async fn obstacle(&self, names: &[&str], below: &str) -> Result<Option<String>, GitError> {
        let below = format!("{below}/");
        let patterns = names.iter().copied().chain([below.as_str()]);
        let arguments: Vec<&str> = ["for-each-ref", "--format=%(refname)"].into_iter().chain(patterns).collect();
        let listed = self.read(&arguments, REFERENCES_BYTES_MAX).await?.text();
        Ok(listed.lines().find(|found| names.contains(found) || found.starts_with(&below)).map(str::to_owned))
    }

    /// The target of a symbolic reference, whether or not it exists.
    pub async fn target_of(&self, name: &str) -> Result<Option<String>, GitError> {
        let looked = self.look(&["symbolic-ref", "--quiet", name], 64 * 1024).await?;
        Ok((looked.status == 0).then(|| looked.text().trim_end().to_owned()))
    }

    /// The folder of the references, which linked work trees share.
    pub async fn common_folder(&self) -> Result<PathBuf, GitError> {
        let looked = self.read(&["rev-parse", "--git-common-dir"], 64 * 1024).await?;
        let folder = self.folder().unwrap_or(&self.git_dir);
        Ok(folder.join(looked.text().trim_end_matches('\n')))
    }

    /// The complete command line with all protective settings.
    pub fn argv(&self, arguments: &[&str]) -> Vec<String> {
        let git_dir = std::path::absolute(&self.git_dir).unwrap_or_else(|_| self.git_dir.clone());
        let guards = SETTINGS.iter().flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]);
        let head = ["git".to_owned(), "--no-pager".to_owned(), format!("--git-dir={}", git_dir.display())];
        head.into_iter().chain(guards).chain(arguments.iter().map(|argument| (*argument).to_owned())).collect()
    }

    /// The folder in which git runs. It is git's own folder, because a work tree contains files that an agent
    /// may have written.
    pub fn folder(&self) -> Option<&Path> {
        if self.git_dir.is_dir() {
            return Some(&self.git_dir);
        }
        // In a linked work tree, `.git` is a file. Then git runs in the work tree.
        self.git_dir.is_file().then_some(self.repository.as_path())
    }
}

/// Git's complete environment.
pub fn environment() -> Vec<(String, String)> {
    let own = [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_ATTR_NOSYSTEM", "1"),
        // Git finds no index there, so it reads no attributes from one; see `attr.tree`.
        ("GIT_INDEX_FILE", "/nonexistent/index"),
        ("GIT_NO_REPLACE_OBJECTS", "1"),
        ("GIT_GRAFT_FILE", "/dev/null"),
        ("GIT_LITERAL_PATHSPECS", "1"),
        ("GIT_NO_LAZY_FETCH", "1"),
        ("GIT_ALLOW_PROTOCOL", "none"),
        ("GIT_OPTIONAL_LOCKS", "0"),
        ("GIT_TERMINAL_PROMPT", "0"),
        // A reference log, if the repository keeps one, names who moved the branch.
        ("GIT_COMMITTER_NAME", "Holdshort"),
        ("GIT_COMMITTER_EMAIL", "holdshort@localhost"),
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
    ];
    child::environment(&[], &own.map(|(name, value)| (name, value.to_owned())))
}

#[cfg(test)]
pub(super) mod tests;
