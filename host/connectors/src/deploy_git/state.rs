//! What the repository tells about an attempt: the branch, the marker, and what a git that was killed leaves behind.

use std::path::PathBuf;

use holdshort_gate::EffectKey;
use serde_json::{Value, json};

use crate::git::{CommitId, Git, GitError, Reference};
use crate::{Known, Sentence, key, say};
use holdshort_common::reference::ReferenceName;

/// What was cleared, as it stands in the preconditions: this branch, from this commit to that.
/// It is both deploy connectors': what the one moves, the other only reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Which repository: another one can hold the very same commits and branches.
    pub(crate) repository: String,
    pub(crate) branch: String,
    pub(crate) old: Option<CommitId>,
    pub(crate) new: CommitId,
    /// What `new` was found by: it is what policies clear by, so that a commit that is found by another one is judged again.
    pub(crate) reference: Option<ReferenceName>,
}

impl Facts {
    pub(crate) fn to_json(&self) -> Value {
        let old = self.old.as_ref().map(CommitId::as_str);
        let Self { repository, branch, old: _, new, reference } = self;
        json!({ "repository": repository, "branch": branch, "old": old, "new": new.as_str(), "reference": reference })
    }

    /// `None` if they are not those of this connector. Those that were written before 2026-12 name no reference.
    pub(crate) fn read(preconditions: &Value) -> Option<Self> {
        let old = preconditions.get("old")?;
        let old = if old.is_null() { None } else { Some(old.as_str()?.parse().ok()?) };
        let new = preconditions.get("new")?.as_str()?.parse().ok()?;
        let text = |name: &str| preconditions.get(name)?.as_str().map(str::to_owned);
        let reference = text("reference").and_then(|name| name.parse().ok());
        Some(Self { repository: text("repository")?, branch: text("branch")?, old, new, reference })
    }

    /// The transaction that moves the branch and leaves the marker: both, or neither.
    ///
    /// Git locks both references before it changes one, and then puts them in place one after the other in the order given here.
    /// Killed in between, it has moved the branch without a marker, which nobody takes for a deployment that happened or that did not.
    /// The other way round a marker would tell of a deployment that was never made.
    /// `no-deref`: should the branch have become a name for another one, that other one is not moved.
    pub(super) fn transaction(&self, key: &EffectKey) -> String {
        let Self { branch, old, new, .. } = self;
        let step = match old {
            Some(old) => format!("update {branch} {new} {old}"),
            None => format!("create {branch} {new}"),
        };
        let marker = marker(key);
        format!("start\noption no-deref\n{step}\noption no-deref\ncreate {marker} {new}\nprepare\ncommit\n")
    }
}

/// What no reference may be called, or there could be no marker.
pub(super) const MARKERS_ABOVE: [&str; 2] = ["refs/holdshort", "refs/holdshort/effects"];

/// The name of the reference that an attempt leaves behind.
pub(super) fn marker(key: &EffectKey) -> String {
    format!("refs/holdshort/effects/{}", key::plain(key))
}

/// The branch and the marker as they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) branch: Option<Reference>,
    pub(super) marker: Option<Reference>,
    /// Lock files of either. A running git holds them for milliseconds, a killed one for ever.
    pub(super) locks: Vec<PathBuf>,
}

impl State {
    pub(super) async fn look(git: &Git, facts: &Facts, key: &EffectKey) -> Result<Self, GitError> {
        let (branch_name, marker_name) = (facts.branch.as_str(), marker(key));
        // Locks first: what is put in place between the two looks is then seen.
        let common = git.common_folder().await?;
        let locks = [branch_name, &marker_name, "packed-refs", "reftable/tables.list"];
        let locks = locks.iter().map(|name| common.join(format!("{name}.lock")));
        let locks = locks.filter(|path| path.exists()).collect();
        let [branch, marker] = git.references([branch_name, &marker_name]).await?;
        Ok(Self { branch, marker, locks })
    }

    pub(super) fn tip(&self) -> Option<&CommitId> {
        self.branch.as_ref().map(|branch| &branch.id)
    }

    /// What both tell about an attempt of which no process runs any more.
    pub(super) fn judge(&self, facts: &Facts) -> Judged {
        let moved = self.tip() != facts.old.as_ref();
        match &self.marker {
            Some(marker) if marker.id != facts.new => Judged::Unclear,
            // A marker without its branch moved is a transaction that was cut, if its locks are there. Otherwise somebody moved the branch back.
            Some(_) if !moved && !self.locks.is_empty() => Judged::Unclear,
            Some(_) => Judged::Happened,
            None if moved || !self.locks.is_empty() => Judged::Unclear,
            None => Judged::DidNotHappen,
        }
    }

    /// In words, with every value.
    pub(super) fn describe(&self, facts: &Facts, key: &EffectKey) -> Sentence {
        let mut text = say!(
            "{} is {}, where it was {} before and {} was to be deployed; the marker {} is {}",
            Known::configured(&facts.branch),
            place(self.tip()),
            place(facts.old.as_ref()),
            Known::label(&facts.new),
            Known::label(marker(key)),
            place(self.marker.as_ref().map(|marker| &marker.id)),
        );
        for lock in &self.locks {
            text += say!("; `{}` is there: remove it if no git runs", Known::path(lock));
        }
        text
    }
}

/// Where a reference is, in words.
pub(super) fn place(id: Option<&CommitId>) -> Sentence {
    id.map_or("absent".into(), |id| say!("at {}", Known::label(id)))
}

/// What is known about an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Happened,
    DidNotHappen,
    Unclear,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: &str) -> CommitId {
        digit.repeat(40).parse().unwrap()
    }

    #[test]
    fn only_a_clear_state_is_a_verdict() {
        let facts = Facts {
            repository: "r".into(),
            branch: "refs/heads/p".into(),
            old: Some(id("1")),
            new: id("2"),
            reference: None,
        };
        let check = |branch: Option<&str>, marker: Option<&str>, locks: usize, expected: Judged| {
            let reference = |digit: &str| Reference { id: id(digit), symbolic: None };
            let locks = vec![PathBuf::from("x.lock"); locks];
            let state = State { branch: branch.map(reference), marker: marker.map(reference), locks };
            assert_eq!(state.judge(&facts), expected, "{state:?}");
        };
        check(Some("2"), Some("2"), 0, Judged::Happened);
        check(Some("2"), Some("2"), 1, Judged::Happened);
        // Somebody has moved it on, or back, or removed it.
        check(Some("3"), Some("2"), 0, Judged::Happened);
        check(Some("1"), Some("2"), 0, Judged::Happened);
        check(None, Some("2"), 0, Judged::Happened);
        check(Some("1"), None, 0, Judged::DidNotHappen);
        // Killed before, and in the middle of, putting the references in place.
        check(Some("1"), None, 2, Judged::Unclear);
        check(Some("2"), None, 1, Judged::Unclear);
        check(Some("1"), Some("2"), 1, Judged::Unclear);
        // Somebody else moved the branch.
        check(Some("2"), None, 0, Judged::Unclear);
        check(Some("3"), None, 0, Judged::Unclear);
        check(None, None, 0, Judged::Unclear);
        check(Some("2"), Some("3"), 0, Judged::Unclear);
    }

    #[test]
    fn facts_survive_the_journal_and_others_are_refused() {
        for old in [None, Some(id("1"))] {
            for reference in [None, Some("refs/heads/main".parse().unwrap())] {
                let (repository, branch, old) = ("r".into(), "refs/heads/p".into(), old.clone());
                let facts = Facts { repository, branch, old, new: id("2"), reference };
                assert_eq!(Facts::read(&facts.to_json()), Some(facts));
            }
        }
        for odd in [
            json!(null),
            json!({}),
            json!({"branch": "b", "old": "-x", "new": "2".repeat(40)}),
            json!({"branch": "b", "new": "2".repeat(40)}),
        ] {
            assert_eq!(Facts::read(&odd), None, "{odd}");
        }
    }
}
