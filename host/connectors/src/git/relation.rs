//! Relates the histories of two commits, as far as the repository knows them.
//!
//! A shallow clone treats the commits at its end as first ones: counting there finds too few
//! ancestors, and counts commits as new that both sides have behind the end. So a number is
//! reported only if no missing commit could change it. That is so if there is one best common
//! ancestor, and all further commits on either side descend from it: then everything missing is
//! below that ancestor, which both sides have.

use super::objects::Objects;
use super::{CommitId, GitError};

/// The commits that a move of a branch adds and removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The number of added commits, if known.
    pub added: Option<u64>,
    /// The number of removed commits, if known. With zero it is a fast-forward.
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
        // An existing path in the clone is conclusive: a commit that it reaches is an ancestor.
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
