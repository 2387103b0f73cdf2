//! The branches whose tip is a given commit. Policies can use them if an agent names a commit by its id.

use super::{CommitId, Git, GitError, REFERENCES_BYTES_MAX};
use holdshort_common::reference::ReferenceName;

/// The maximum number of listed branches. If there are more, no branch is listed, because a partial list would
/// mislead a policy that asks whether a branch is missing.
pub const BRANCHES_MAX: usize = 64;

impl Git {
    /// The full names of the branches at the commit, sorted; `None` if there are more than
    /// [`BRANCHES_MAX`]. Symbolic references do not count.
    pub async fn branches_at(&self, commit: &CommitId) -> Result<Option<Vec<String>>, GitError> {
        let (at, count) = (format!("--points-at={commit}"), format!("--count={}", BRANCHES_MAX + 1));
        let format = "--format=%(objectname) %(refname) %(symref)";
        let looked = self.read(&["for-each-ref", format, &at, &count, "refs/heads/"], REFERENCES_BYTES_MAX).await?;
        let text = looked.text();
        if !looked.is_whole() || text.lines().count() > BRANCHES_MAX {
            return Ok(None);
        }
        let named = |line: &str| {
            let mut words = line.split(' ');
            let (id, name, symbolic) = (words.next()?, words.next()?, words.next()?);
            let is_tip = id == commit.as_str() && symbolic.is_empty() && name.parse::<ReferenceName>().is_ok();
            is_tip.then(|| name.to_owned())
        };
        let mut branches: Vec<String> = text.lines().filter_map(named).collect();
        branches.sort();
        Ok(Some(branches))
    }
}
