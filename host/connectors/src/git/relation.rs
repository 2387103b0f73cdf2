//! Relates the histories of two commits, as far as the repository knows them.
//!
//! In a shallow clone, the history ends early, and git takes the oldest commits of the clone for the first commits of
//! the repository. So git may find too few common ancestors, and may count a commit as new although the missing part of
//! the history contains it on both sides. Therefore a number is reported only if no missing commit could change it.
//! This holds if there is one best common ancestor, and all counted commits descend from it: then every missing commit
//! is an ancestor of this common ancestor, and both histories contain it.

use super::objects::Objects;
use super::{CommitId, GitError};

/// The commits that a move of a branch adds and removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The number of added commits, if known.
    pub added: Option<u64>,
    /// The number of removed commits, if known. If it is zero, the move is a fast-forward.
    pub dropped: Option<u64>,
}

impl Relation {
    /// The relation for a move from `old`, or for a new branch, to `new`.
    pub async fn of(objects: &Objects, old: Option<&CommitId>, new: &CommitId) -> Result<Self, GitError> {
        let Some(old) = old else {
            let added = if objects.is_shallow() { None } else { Some(count(objects, &[new.as_str()]).await?) };
            return Ok(Self { added, dropped: Some(0) });
        };
        let (added, dropped) = (format!("{old}..{new}"), format!("{new}..{old}"));
        if !objects.is_shallow() {
            let counts = (count(objects, &[&added]).await?, count(objects, &[&dropped]).await?);
            return Ok(Self { added: Some(counts.0), dropped: Some(counts.1) });
        }
        let looked = objects.git().look(&["merge-base", "--all", old.as_str(), new.as_str()], 64 * 1024).await?;
        let text = looked.text();
        let bases: Vec<&str> = text.lines().collect();
        let [base] = bases.as_slice() else { return Ok(Self { added: None, dropped: None }) };
        // If one of the two commits is itself the common ancestor, it adds no commits of its own. A shallow clone
        // cannot change this, because the path between the two commits is in the clone.
        let none_if = |side: &CommitId| (side.as_str() == *base).then_some(0);
        let (mut relation, mut all_descend) = (Self { added: none_if(new), dropped: none_if(old) }, true);
        for side in [old, new] {
            let beyond = format!("{base}..{side}");
            all_descend &= count(objects, &[&beyond]).await? == count(objects, &["--ancestry-path", &beyond]).await?;
        }
        if all_descend {
            relation = Self {
                added: Some(count(objects, &[&added]).await?),
                dropped: Some(count(objects, &[&dropped]).await?),
            };
        }
        Ok(relation)
    }

    /// Whether both numbers are known.
    pub fn is_known(self) -> bool {
        self.added.is_some() && self.dropped.is_some()
    }
}

async fn count(objects: &Objects, range: &[&str]) -> Result<u64, GitError> {
    let arguments: Vec<&str> = ["rev-list", "--count"].into_iter().chain(range.iter().copied()).collect();
    let looked = objects.git().read(&arguments, 64).await?;
    let complaint = || GitError::Failed { command: "rev-list".into(), complaint: looked.text() };
    looked.text().trim().parse().map_err(|_| complaint())
}
