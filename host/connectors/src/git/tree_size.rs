//! Computes the size of a commit's files on disk before any is written.
//!
//! A tree names files by their contents, and can name one content, or one subtree, any number of
//! times. So a few small objects can describe endless files, and neither the repository's size nor
//! the largest file limits the total.

use super::{CommitId, Git, GitError, Limit};
use holdshort_common::aside;

/// The minimum disk space of a file that is not empty.
const BLOCK_BYTES: u64 = 4096;
/// The maximum length of git's answer about one object. The answers are shorter.
const ABOUT_BYTES_MAX: usize = 96;

/// The files and folders of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeSize {
    pub entries: u64,
    /// The disk space of the files and folders.
    pub bytes: u64,
}

impl Git {
    /// Walks at most `entries_max` entries; `None` if there are more. Contents are not read: git is
    /// asked once for the size of each object.
    pub async fn tree_size(&self, commit: &CommitId, entries_max: usize) -> Result<Option<TreeSize>, GitError> {
        let arguments = ["ls-tree", "-r", "-t", "--full-tree", "--format=%(objectname)", commit.as_str()];
        let list_bytes_max = entries_max.saturating_mul(commit.as_str().len() + 1);
        let listed = match self.read(&arguments, list_bytes_max).await {
            Ok(listed) if listed.is_whole() => listed.bytes,
            Ok(_) | Err(GitError::TooLarge { limit: Limit::OutputBytes(_), .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (ids, times) = aside::for_agents(move || count(&listed)).await?;
        let answers_max = times.len().saturating_mul(ABOUT_BYTES_MAX);
        let check = ["cat-file", "--buffer", "--batch-check=%(objecttype) %(objectsize)"];
        let sizes = self.read_of(&check, ids, answers_max).await?;
        let summed = aside::for_agents(move || sum(&sizes.text(), &times)).await?;
        let failed = || GitError::Failed { command: "cat-file".into(), complaint: "the output lacks an object".into() };
        summed.map(Some).ok_or_else(failed)
    }
}

/// The listed ids as lines, each id once, and for each id how often it was listed.
fn count(listed: &[u8]) -> (Vec<u8>, Vec<u64>) {
    let mut named: Vec<&[u8]> = listed.split(|byte| *byte == b'\n').filter(|id| !id.is_empty()).collect();
    named.sort_unstable();
    let same = || named.chunk_by(|one, other| one == other);
    let ids = same().filter_map(|group| group.first()).flat_map(|id| [id, b"\n".as_slice()].concat()).collect();
    (ids, same().map(|group| group.len() as u64).collect())
}

/// The sum of the sizes; `None` if answers are missing. The size of an object counts as often as the object was
/// listed. A folder takes space too. An object that the repository lacks (a submodule, or an omission of a partial
/// clone) takes none.
fn sum(sizes: &str, times: &[u64]) -> Option<TreeSize> {
    let (mut tree_size, mut answers) = (TreeSize { entries: 0, bytes: 0 }, 0);
    for (answer, times) in sizes.lines().zip(times) {
        let bytes = match answer.split_once(' ') {
            Some(("blob", size)) => size.parse::<u64>().ok()?.checked_next_multiple_of(BLOCK_BYTES)?,
            Some(("tree", _)) => BLOCK_BYTES,
            Some(_) | None => 0,
        };
        tree_size.entries += times;
        tree_size.bytes = tree_size.bytes.saturating_add(bytes.saturating_mul(*times));
        answers += 1;
    }
    (answers == times.len()).then_some(tree_size)
}
