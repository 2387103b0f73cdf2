//! How much a commit's files take where they are written, found out before any of them is.
//!
//! A tree names its files by their contents, and may name one content any number of times, and a tree in trees again. So a few small objects make
//! files without end, and neither the repository's size nor the largest file says anything about it.

use super::{CommitId, Git, GitError, Limit};
use holdshort_common::aside;

/// What a file takes at least, as far as it is not empty.
const BLOCK_BYTES: u64 = 4096;
/// More than any answer about one object.
const ABOUT_BYTES_MAX: usize = 96;

/// The files and folders of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfolded {
    /// How many there are.
    pub entries: u64,
    /// What the files take on a disk.
    pub bytes: u64,
}

impl Git {
    /// Walks no further than `entries_max`; none if there are more. Contents are not read, only asked for their sizes, each once.
    pub async fn unfolded(&self, commit: &CommitId, entries_max: usize) -> Result<Option<Unfolded>, GitError> {
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
        let failed = || GitError::Failed { command: "cat-file".into(), complaint: "it left out an object".into() };
        summed.map(Some).ok_or_else(failed)
    }
}

/// Each id once, in lines, and how often it was named.
fn count(listed: &[u8]) -> (Vec<u8>, Vec<u64>) {
    let mut named: Vec<&[u8]> = listed.split(|byte| *byte == b'\n').filter(|id| !id.is_empty()).collect();
    named.sort_unstable();
    let same = || named.chunk_by(|one, other| one == other);
    let ids = same().filter_map(|group| group.first()).flat_map(|id| [id, b"\n".as_slice()].concat()).collect();
    (ids, same().map(|group| group.len() as u64).collect())
}

/// The sizes, each as often as it was named; none if there are not as many answers. Folders take room of their own. What the repository does not
/// have (a submodule, or what a partial clone has left out) takes none here.
fn sum(sizes: &str, times: &[u64]) -> Option<Unfolded> {
    let (mut unfolded, mut answers) = (Unfolded { entries: 0, bytes: 0 }, 0);
    for (answer, times) in sizes.lines().zip(times) {
        let bytes = match answer.split_once(' ') {
            Some(("blob", size)) => size.parse::<u64>().ok()?.checked_next_multiple_of(BLOCK_BYTES)?,
            Some(("tree", _)) => BLOCK_BYTES,
            Some(_) | None => 0,
        };
        unfolded.entries += times;
        unfolded.bytes = unfolded.bytes.saturating_add(bytes.saturating_mul(*times));
        answers += 1;
    }
    (answers == times.len()).then_some(unfolded)
}
