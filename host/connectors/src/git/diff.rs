//! Compares the files of two commits. Every changed file is listed by name. For each file, the diff shows all
//! changed lines, or states which changes the lines do not show.
//!
//! Git lists the files with modes, objects and names, and this module never parses a patch's
//! headings. Contents are read as stored and compared here. So no attribute, driver or setting can
//! remove a file from the diff. Something that lines cannot show is a [`Gap`].

mod classify;
mod hunks;
mod section;

use std::collections::BTreeSet;

use tokio::time::timeout;

use self::classify::Sides;
use super::blobs::{BlobContent, Blobs};
use super::objects::Objects;
use super::trees::{OddMode, odd_modes};
use super::{CommitId, GitError, LOOK_MAX, Limit};
use crate::EXHIBIT_BYTES_MAX;
use holdshort_common::aside;

/// Files count as renamed if at least half of their content is the same.
const RENAMES: &str = "-M50%";
/// In a partial clone, only files with the same content count as renamed, because other contents
/// would have to be fetched.
const EXACT_RENAMES: &str = "-M100%";
/// The maximum length of the list of files. A file needs about as many bytes in the patch as in the list, so the patch
/// of a longer list would be too large to be shown.
const LIST_BYTES_MAX: usize = 2 * EXHIBIT_BYTES_MAX;
/// The mode of a symbolic link, whose content is its target.
const LINK: &str = "120000";
/// The mode of a submodule, whose object is a commit of another repository.
const SUBMODULE: &str = "160000";

/// All changes between two commits.
#[derive(Clone, Debug, Default)]
pub struct Diff {
    /// The changed files in git's order.
    pub files: Vec<FileChange>,
    /// A patch in git's format with a section for each file, unless it exceeds the maximum size of
    /// an exhibit.
    pub patch: Vec<u8>,
    /// The total size of the patch.
    pub patch_bytes: u64,
}

/// The changes of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// The old version; `None` for a new file.
    pub old: Option<Version>,
    /// The new version; `None` for a deleted file.
    pub new: Option<Version>,
    /// For a renamed file, how much of its content is the same, in per cent.
    pub similarity: Option<u8>,
    /// The numbers of added and removed lines, if known. In a renamed file, each unchanged line counts as removed at
    /// the old name and added at the new name.
    pub lines: Option<(u64, u64)>,
    /// The changes that the lines of the diff do not show. Each kind of gap occurs once, with a sentence about it.
    pub gaps: Vec<(Gap, String)>,
}

/// A file in one of the commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The mode as six octal digits.
    pub mode: String,
    /// The id of its content.
    pub id: String,
    /// The full name, which may be no text.
    pub path: Vec<u8>,
}

/// A change of a file that the lines of a diff do not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gap {
    /// The file is no text, by the rule of `classify`.
    Binary,
    /// The file is too large to be read.
    TooLarge,
    /// The repository lacks the content.
    Missing,
    /// A submodule: code of another repository.
    Submodule,
    /// A pointer to a file stored elsewhere (Git LFS, git-annex).
    Pointer,
    /// A text with NUL bytes, which programs may interpret differently.
    Nul,
    /// A symbolic link: the diff shows its target's name, not the target's content.
    Link,
    /// The mode changed: the file became executable, or no longer is.
    Mode,
    /// The name changed: of the unchanged lines, the diff shows only those near a change.
    Rename,
}

impl Gap {
    /// The name in facts and lists.
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

    /// Whether the lines in the diff are not the file's content, so that their number has no meaning.
    fn hides_lines(self) -> bool {
        match self {
            Self::Binary | Self::TooLarge | Self::Missing | Self::Submodule | Self::Pointer => true,
            Self::Nul | Self::Link | Self::Mode | Self::Rename => false,
        }
    }
}

impl Diff {
    /// Compares two commits. `from` of `None` is the empty tree.
    pub async fn between(objects: &Objects, from: Option<&CommitId>, to: &CommitId) -> Result<Self, GitError> {
        // The turn is taken before the time limit begins, so that waiting for other git processes does not count.
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
        let mut listed = listed.ok_or_else(|| failed("the list of files cannot be read".into()))?;
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
            // A patch beyond the limit is never shown, so only its size is counted from there on.
            if diff.patch_bytes <= EXHIBIT_BYTES_MAX as u64 {
                diff.patch.extend(section);
            }
            diff.files.push(file);
        }
        Ok(diff)
    }

    /// The files with gaps.
    pub fn not_shown(&self) -> impl Iterator<Item = &FileChange> {
        self.files.iter().filter(|file| !file.gaps.is_empty())
    }

    /// The kinds of gaps.
    pub fn gaps(&self) -> BTreeSet<Gap> {
        self.files.iter().flat_map(|file| file.gaps.iter().map(|(gap, _)| *gap)).collect()
    }

    /// The numbers of added and removed lines in all files; `None` if they are unknown for a file.
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

/// Sets the stored modes of a file. If git saw no change in the file, the file is added to the
/// list.
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

/// The content of a file for the comparison. For a submodule, it is a line with the id of its
/// commit.
async fn content(blobs: &mut Blobs, version: Option<&Version>) -> Result<Option<BlobContent>, GitError> {
    let Some(version) = version else { return Ok(None) };
    if version.mode == SUBMODULE {
        return Ok(Some(BlobContent::Bytes(format!("Subproject commit {}\n", version.id).into_bytes())));
    }
    blobs.read(&version.id).await.map(Some)
}

/// Parses `git diff-tree -z --raw`: `:MODE MODE ID ID STATUS` and one name, or two for a renamed
/// file, each ended by NUL.
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
