//! What changes in the files from one commit to another: every file by name, and of each either all the lines or what they leave unsaid.
//!
//! Git lists the files (their modes, objects and names, by bytes, never from a patch's headings). Their contents are read as they are stored and
//! compared here. So there is no attribute, driver or setting by which a file could leave the diff. What lines cannot tell is a [`Gap`].

mod classify;
mod hunks;
mod section;

use std::collections::BTreeSet;

use tokio::time::timeout;

use self::classify::Sides;
use super::blobs::{Blobs, Content};
use super::objects::Objects;
use super::trees::{OddMode, odd_modes};
use super::{CommitId, GitError, LOOK_MAX, Limit};
use crate::EXHIBIT_BYTES_MAX;
use holdshort_common::aside;

/// Files are paired as renamed if they have half of their content in common.
const RENAMES: &str = "-M50%";
/// In a partial clone only those of the very same content: others would have to be read.
const EXACT_RENAMES: &str = "-M100%";
/// The longest list of files. Each takes about as much of the patch as of the list, so the patch of a longer one would be too large as well.
const LIST_BYTES_MAX: usize = 2 * EXHIBIT_BYTES_MAX;
/// A symbolic link's mode; its content is the name that it points to.
const LINK: &str = "120000";
/// A submodule's mode; its object is a commit of another repository.
const SUBMODULE: &str = "160000";

/// All changes between two commits.
#[derive(Clone, Debug, Default)]
pub struct Diff {
    /// The files that differ, in git's order.
    pub files: Vec<FileChange>,
    /// A patch in git's form with a section for each file, if it is not larger than evidence may be.
    pub patch: Vec<u8>,
    /// How large the patch is in all.
    pub patch_bytes: u64,
}

/// What changes of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// The file before; none if it is new.
    pub old: Option<Version>,
    /// The file after; none if it is deleted.
    pub new: Option<Version>,
    /// For a renamed file how much of it is the same, in percent.
    pub similarity: Option<u8>,
    /// How many lines come and go; none if that is not known. The lines that a renamed file keeps count on both sides, because they stand where they
    /// did not stand before.
    pub lines: Option<(u64, u64)>,
    /// What the lines of the diff do not tell, each kind once with a sentence about it.
    pub gaps: Vec<(Gap, String)>,
}

/// A file as it is in one of the commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its mode, as six octal digits.
    pub mode: String,
    /// The id of its content.
    pub id: String,
    /// Its whole name, which need not be text.
    pub path: Vec<u8>,
}

/// Why the lines of a diff do not tell all about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gap {
    /// It is no text, by the rule of `classify`.
    Binary,
    /// It is too large to be read.
    TooLarge,
    /// The repository does not have its content.
    Missing,
    /// It is a submodule: other code, in another repository.
    Submodule,
    /// It stands for a file that is kept elsewhere (Git LFS, git-annex).
    Pointer,
    /// It is text with bytes NUL, at which programs may take it for something else.
    Nul,
    /// It is a symbolic link: to what, the diff shows, and not what is there.
    Link,
    /// It has another mode: it can be run, or cannot any more.
    Mode,
    /// It has another name: of the lines that it keeps the diff shows those near a change.
    Rename,
}

impl Gap {
    /// The name in facts and in lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::TooLarge => "too-large",
            Self::Missing => "missing",
            Self::Submodule => "submodule",
            Self::Pointer => "pointer",
            Self::Nul => "nul-bytes",
            Self::Link => "link",
            Self::Mode => "mode",
            Self::Rename => "rename",
        }
    }

    /// Whether the file's lines are another thing than its content, so that their number says nothing.
    fn hides_lines(self) -> bool {
        match self {
            Self::Binary | Self::TooLarge | Self::Missing | Self::Submodule | Self::Pointer => true,
            Self::Nul | Self::Link | Self::Mode | Self::Rename => false,
        }
    }
}

impl Diff {
    /// Compares two commits; `from` none is the state without files.
    pub async fn between(objects: &Objects, from: Option<&CommitId>, to: &CommitId) -> Result<Self, GitError> {
        // The time begins with the turn.
        let objects = objects.in_turn().await;
        let timed_out = |_| GitError::TimedOut { command: "diff".into() };
        timeout(LOOK_MAX, Self::compare(&objects, from, to)).await.map_err(timed_out)?
    }

    async fn compare(objects: &Objects, from: Option<&CommitId>, to: &CommitId) -> Result<Self, GitError> {
        let from = from.map_or(to.empty_tree(), CommitId::as_str);
        let renames = if objects.is_partial() { EXACT_RENAMES } else { RENAMES };
        let list = ["diff-tree", "-r", "-z", "--raw", "--no-abbrev", "-l1000", "--ignore-submodules=none", renames];
        let arguments: Vec<&str> = list.into_iter().chain([from, to.as_str()]).collect();
        let looked = objects.git().read(&arguments, LIST_BYTES_MAX).await?;
        if !looked.is_whole() {
            return Err(GitError::TooLarge {
                command: "diff-tree".into(),
                limit: Limit::OutputBytes(LIST_BYTES_MAX as u64),
            });
        }
        let listed = aside::for_agents(move || listed(&looked.bytes)).await?;
        let mut listed = listed.ok_or_else(|| failed("its list of files cannot be read".into()))?;
        let (mut diff, mut blobs) = (Self::default(), Blobs::open(objects)?);
        for odd in odd_modes(objects.git(), &mut blobs, from, to).await? {
            tell(&mut listed, odd);
        }
        for file in listed {
            let sides = Sides {
                old: content(&mut blobs, file.old.as_ref()).await?,
                new: content(&mut blobs, file.new.as_ref()).await?,
            };
            let compared = aside::for_agents(move || section::compare(file, &sides));
            let (file, section) = compared.await?;
            diff.patch_bytes += section.len() as u64;
            // Beyond the limit it is only counted: a part of a patch is never shown.
            if diff.patch_bytes <= EXHIBIT_BYTES_MAX as u64 {
                diff.patch.extend(section);
            }
            diff.files.push(file);
        }
        Ok(diff)
    }

    /// The files of which the lines do not tell all.
    pub fn not_shown(&self) -> impl Iterator<Item = &FileChange> {
        self.files.iter().filter(|file| !file.gaps.is_empty())
    }

    /// What kinds of gaps there are.
    pub fn gaps(&self) -> BTreeSet<Gap> {
        self.files.iter().flat_map(|file| file.gaps.iter().map(|(gap, _)| *gap)).collect()
    }

    /// How many lines come and go in all files; none if it is not known of one of them.
    pub fn lines(&self) -> Option<(u64, u64)> {
        self.files.iter().try_fold((0, 0), |(added, removed), file| {
            let lines = file.lines?;
            Some((added + lines.0, removed + lines.1))
        })
    }
}

impl FileChange {
    fn is_of(&self, mode: &str) -> bool {
        self.old.iter().chain(&self.new).any(|version| version.mode == mode)
    }
}

/// Gives a file the modes that are stored. Where git saw no change of it at all it comes to the list.
fn tell(listed: &mut Vec<FileChange>, odd: OddMode) {
    let is_file = |mode: &str| u32::from_str_radix(mode, 8).is_ok_and(|mode| mode & 0o170_000 == 0o100_000);
    let OddMode { path, id, old, new } = odd;
    match listed.iter_mut().find(|file| file.new.as_ref().is_some_and(|new| new.path == path)) {
        Some(file) if is_file(&new) => {
            let of = |version: Option<&mut Version>, mode: Option<String>| {
                version
                    .zip(mode.filter(|mode| is_file(mode)))
                    .into_iter()
                    .for_each(|(version, mode)| version.mode = mode);
            };
            of(file.old.as_mut().filter(|version| version.path == path), old);
            of(file.new.as_mut(), Some(new));
        }
        Some(_) => {}
        None => {
            let version = |mode: String| Version { mode, id: id.clone(), path: path.clone() };
            let (old, new) = (old.map(&version), Some(version(new)));
            listed.push(FileChange { old, new, similarity: None, lines: Some((0, 0)), gaps: Vec::new() });
        }
    }
}

/// What is compared: for a submodule the line that stands for it.
async fn content(blobs: &mut Blobs, version: Option<&Version>) -> Result<Option<Content>, GitError> {
    let Some(version) = version else { return Ok(None) };
    if version.mode == SUBMODULE {
        return Ok(Some(Content::Bytes(format!("Subproject commit {}\n", version.id).into_bytes())));
    }
    blobs.read(&version.id).await.map(Some)
}

/// The files of `git diff-tree -z --raw`: `:MODE MODE ID ID STATUS`, and one name, or two for a renamed file, each with a NUL behind it.
fn listed(raw: &[u8]) -> Option<Vec<FileChange>> {
    let mut parts = raw.split(|byte| *byte == 0).filter(|part| !part.is_empty());
    let mut files = Vec::new();
    while let Some(about) = parts.next() {
        let about = std::str::from_utf8(about).ok()?.strip_prefix(':')?;
        let [old_mode, new_mode, old_id, new_id, status]: [&str; 5] =
            about.split(' ').collect::<Vec<_>>().try_into().ok()?;
        let (kind, score) = status.split_at_checked(1)?;
        let old_path = parts.next()?.to_vec();
        let renamed = kind == "R";
        let new_path = if renamed { parts.next()?.to_vec() } else { old_path.clone() };
        if !["A", "D", "M", "T", "R"].contains(&kind) {
            return None;
        }
        let version = |mode: &str, id: &str, path: Vec<u8>| {
            (mode != "000000").then(|| Version { mode: mode.to_owned(), id: id.to_owned(), path })
        };
        files.push(FileChange {
            old: version(old_mode, old_id, old_path),
            new: version(new_mode, new_id, new_path),
            similarity: renamed.then(|| score.parse().unwrap_or(0)),
            lines: Some((0, 0)),
            gaps: Vec::new(),
        });
    }
    Some(files)
}

fn failed(complaint: String) -> GitError {
    GitError::Failed { command: "diff-tree".into(), complaint }
}
