//! The counters for one name, and tables with a limited number of names.

use std::collections::BTreeMap;

use holdshort_gate::WaitEnd;

use super::times::Times;

/// The maximum number of names in a table. Further names are counted as [`OTHER`].
pub const NAMES_MAX: usize = 200;
/// The name for all names beyond the limit.
pub const OTHER: &str = "other";

/// The counters for one name.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Calls that policy cleared.
    pub cleared: u64,
    /// Held calls. A revised call counts once.
    pub held: u64,
    /// Calls refused by policy, by a limit, or because they were impossible.
    pub refused: u64,
    /// The ends of holds. Each held revision counts as one hold, unless the editor's own vote approves it at once.
    pub ends: BTreeMap<WaitEnd, u64>,
    /// Calls that were held again because a material fact changed.
    pub reheld: u64,
    /// Escalations.
    pub escalated: u64,
    /// Approvals by reviewers.
    pub approvals: u64,
    /// Rejections, including those that did not stop the call.
    pub rejections: u64,
    /// Edits. Each makes another revision.
    pub edits: u64,
    /// Answers to questions.
    pub answers: u64,
    /// Approvals faster than reading the new content takes.
    pub hasty: u64,
    /// Approved holds that needed several reviewers.
    pub several: u64,
    /// Holds in which one reviewer approved and another rejected or edited.
    pub split: u64,
    /// The times from asking a reviewer to the decision that ended the hold or a stage.
    pub times: Times,
}

impl Tally {
    /// The number of holds that ended in this way.
    pub fn ends(&self, end: WaitEnd) -> u64 {
        self.ends.get(&end).copied().unwrap_or(0)
    }

    /// Adds the decisions of another tally.
    pub fn merge_decisions(&mut self, other: &Self) {
        self.approvals += other.approvals;
        self.rejections += other.rejections;
        self.edits += other.edits;
        self.answers += other.answers;
        self.hasty += other.hasty;
        self.times.merge(&other.times);
    }
}

/// The key of a table.
pub trait Label: Ord + Clone {
    /// The key under which a new name is counted once the table is full.
    fn other(self) -> Self;
}

impl Label for String {
    fn other(self) -> Self {
        OTHER.into()
    }
}

impl Label for (String, String) {
    /// Only the second part becomes `other`. The first part comes from the configuration and has
    /// few values.
    fn other(self) -> Self {
        (self.0, OTHER.into())
    }
}

/// Tallies by name, for a limited number of names.
#[derive(Clone, Debug)]
pub struct Table<K>(BTreeMap<K, Tally>);

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Label> Table<K> {
    /// The tally of a name; the tally of [`OTHER`] if the name is new and the table is full.
    pub fn get(&mut self, name: K) -> &mut Tally {
        let full = self.0.len() >= NAMES_MAX && !self.0.contains_key(&name);
        self.0.entry(if full { name.other() } else { name }).or_default()
    }

    /// All tallies in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Tally)> {
        self.0.iter()
    }

    /// Whether the table has a tally for the name.
    pub fn has(&self, name: &K) -> bool {
        self.0.contains_key(name)
    }
}
