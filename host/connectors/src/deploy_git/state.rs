//! The repository's evidence of an attempt: the branch, the marker, and the locks that a killed git process left.

use std::path::PathBuf;

use holdshort_gate::EffectKey;
use serde_json::{Value, json};

use crate::descriptor::{Class, Descriptor, Effect, Precondition};
use crate::git::{CommitId, Git, GitError, Reference};
use crate::{Sentence, Trusted, key, say};
use holdshort_common::reference::ReferenceName;

/// The facts about the branch that a clearance contains as preconditions. Both deploy connectors use them: one moves
/// the branch, and the other only reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeployFacts {
    /// The repository, because another repository can have the same commits and branches.
    pub(crate) repository: String,
    pub(crate) branch: String,
    pub(crate) old: Option<CommitId>,
    pub(crate) new: CommitId,
    /// The reference by which `new` was found. It is a precondition, because a policy may have cleared the call
    /// for this reference.
    pub(crate) reference: Option<ReferenceName>,
}

/// The descriptor of a connector for deployments.
pub(crate) const fn deployment(effect: Effect) -> Descriptor {
    Descriptor {
        section: "[deployment]",
        interface: Some("holdshort:agent/deployment@0.1.0"),
        functions: &["deploy"],
        class: Class::Consequential(effect),
    }
}

/// The facts of [`DeployFacts`] as preconditions of a clearance. Each must be the same when the effect starts.
pub(crate) const PRECONDITIONS: [Precondition; 5] = [
    Precondition::same("repository"),
    Precondition::same("branch"),
    Precondition::same("old"),
    Precondition::same("new"),
    Precondition::same("reference"),
];

impl DeployFacts {
    pub(crate) fn to_json(&self) -> Value {
        let old = self.old.as_ref().map(CommitId::as_str);
        let Self { repository, branch, old: _, new, reference } = self;
        json!({ "repository": repository, "branch": branch, "old": old, "new": new.as_str(), "reference": reference })
    }

    /// Reads the preconditions; `None` if another connector wrote them. Preconditions from before 2026-12
    /// have no reference.
    pub(crate) fn read(preconditions: &Value) -> Option<Self> {
        let old = preconditions.get("old")?;
        let old = if old.is_null() { None } else { Some(old.as_str()?.parse().ok()?) };
        let new = preconditions.get("new")?.as_str()?.parse().ok()?;
        let text = |name: &str| preconditions.get(name)?.as_str().map(str::to_owned);
        let reference = text("reference").and_then(|name| name.parse().ok());
        Some(Self { repository: text("repository")?, branch: text("branch")?, old, new, reference })
    }

    /// The transaction that moves the branch and creates the marker: both or neither.
    ///
    /// Git locks both references, and then replaces them in the order given here. If git is killed between the two
    /// replacements, the branch has moved without a marker, and the outcome is unknown. In the other order, a marker
    /// could report a deployment that never happened. `no-deref`: if the branch has become a symbolic reference, its
    /// target is not moved.
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

/// References that must not exist, because they would prevent markers.
pub(super) const MARKERS_ABOVE: [&str; 2] = ["refs/holdshort", "refs/holdshort/effects"];

/// The name of an attempt's marker reference.
pub(super) fn marker(key: &EffectKey) -> String {
    format!("refs/holdshort/effects/{}", key::plain(key))
}

/// The branch and the marker as they are now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BranchState {
    pub(super) branch: Option<Reference>,
    pub(super) marker: Option<Reference>,
    /// The lock files of the branch and the marker. A running git process holds them for milliseconds. A killed process
    /// leaves them forever.
    pub(super) locks: Vec<PathBuf>,
}

impl BranchState {
    pub(super) async fn look(git: &Git, facts: &DeployFacts, key: &EffectKey) -> Result<Self, GitError> {
        let (branch_name, marker_name) = (facts.branch.as_str(), marker(key));
        // Locks are read before references. So a process that ends between the two reads is noticed: by its lock, and
        // by the references that it has replaced.
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

    /// Concludes the outcome of an attempt of which no process runs.
    pub(super) fn judge(&self, facts: &DeployFacts) -> StateFinding {
        let moved = self.tip() != facts.old.as_ref();
        match &self.marker {
            Some(marker) if marker.id != facts.new => StateFinding::Unclear,
            // The marker exists, but the branch has not moved. With locks, the transaction was interrupted. Without
            // locks, another program moved the branch back after the deployment.
            Some(_) if !moved && !self.locks.is_empty() => StateFinding::Unclear,
            Some(_) => StateFinding::Happened,
            None if moved || !self.locks.is_empty() => StateFinding::Unclear,
            None => StateFinding::DidNotHappen,
        }
    }

    /// The state as text, with all values.
    pub(super) fn describe(&self, facts: &DeployFacts, key: &EffectKey) -> Sentence {
        let mut text = say!(
            "{} is now {}, and was {} before the deployment of {}; the marker {} is {}",
            Trusted::configured(&facts.branch),
            place(self.tip()),
            place(facts.old.as_ref()),
            Trusted::label(&facts.new),
            Trusted::label(marker(key)),
            place(self.marker.as_ref().map(|marker| &marker.id)),
        );
        for lock in &self.locks {
            text += say!("; the lock `{}` exists: remove the lock if no git process runs", Trusted::path(lock));
        }
        text
    }
}

/// The commit at which a reference points, as text; "absent" if the reference does not exist.
pub(super) fn place(id: Option<&CommitId>) -> Sentence {
    id.map_or("absent".into(), |id| say!("at {}", Trusted::label(id)))
}

/// The outcome of an attempt, as far as the repository's state proves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StateFinding {
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
        let facts = DeployFacts {
            repository: "r".into(),
            branch: "refs/heads/p".into(),
            old: Some(id("1")),
            new: id("2"),
            reference: None,
        };
        let check = |branch: Option<&str>, marker: Option<&str>, locks: usize, expected: StateFinding| {
            let reference = |digit: &str| Reference { id: id(digit), symbolic: None };
            let locks = vec![PathBuf::from("x.lock"); locks];
            let state = BranchState { branch: branch.map(reference), marker: marker.map(reference), locks };
            assert_eq!(state.judge(&facts), expected, "{state:?}");
        };
        check(Some("2"), Some("2"), 0, StateFinding::Happened);
        check(Some("2"), Some("2"), 1, StateFinding::Happened);
        // After the deployment, another program moved the branch on or back, or removed it.
        check(Some("3"), Some("2"), 0, StateFinding::Happened);
        check(Some("1"), Some("2"), 0, StateFinding::Happened);
        check(None, Some("2"), 0, StateFinding::Happened);
        check(Some("1"), None, 0, StateFinding::DidNotHappen);
        // Git was killed before it replaced the references, or after it had replaced only the branch.
        check(Some("1"), None, 2, StateFinding::Unclear);
        check(Some("2"), None, 1, StateFinding::Unclear);
        check(Some("1"), Some("2"), 1, StateFinding::Unclear);
        // Another program moved the branch.
        check(Some("2"), None, 0, StateFinding::Unclear);
        check(Some("3"), None, 0, StateFinding::Unclear);
        check(None, None, 0, StateFinding::Unclear);
        check(Some("2"), Some("3"), 0, StateFinding::Unclear);
    }

    #[test]
    fn facts_survive_the_journal_and_others_are_refused() {
        for old in [None, Some(id("1"))] {
            for reference in [None, Some("refs/heads/main".parse().unwrap())] {
                let (repository, branch, old) = ("r".into(), "refs/heads/p".into(), old.clone());
                let facts = DeployFacts { repository, branch, old, new: id("2"), reference };
                assert_eq!(DeployFacts::read(&facts.to_json()), Some(facts));
            }
        }
        for odd in [
            json!(null),
            json!({}),
            json!({"branch": "b", "old": "-x", "new": "2".repeat(40)}),
            json!({"branch": "b", "new": "2".repeat(40)}),
        ] {
            assert_eq!(DeployFacts::read(&odd), None, "{odd}");
        }
    }
}
