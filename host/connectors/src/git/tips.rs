//! The branches whose tip is exactly a commit: what a policy can go by where an agent names a commit by its id.

use super::{CommitId, Git, GitError, REFERENCES_BYTES_MAX};
use holdshort_common::reference::ReferenceName;

/// How many branches are told. A list with a part missing would mislead a policy that asks whether a branch is not on it, so of more none is.
pub const BRANCHES_MAX: usize = 64;

impl Git {
    /// Their whole names, sorted; none if there are more than [`BRANCHES_MAX`]. A symbolic name of a branch is no branch.
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
