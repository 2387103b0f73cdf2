//! What is counted for a name, and how many names there may be.

use std::collections::BTreeMap;

use super::times::Times;

/// Names of one kind that are counted apart; what comes after is counted as [`OTHER`].
pub const NAMES_MAX: usize = 200;
/// All names beyond them.
pub const OTHER: &str = "other";

/// How a hold ends: a revision of a call that waits for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Everybody who had to has approved it.
    Approved,
    /// Somebody has said no, or as many as it took.
    Rejected,
    /// A question was answered.
    Answered,
    /// Somebody has made another revision of it.
    Edited,
    /// Nobody has decided in time.
    Expired,
    /// Its run was ended.
    Cancelled,
    /// No hold any more: it was cleared or approved, and its effect did not start in time.
    NotStarted,
}

impl End {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Approved,
        Self::Rejected,
        Self::Answered,
        Self::Edited,
        Self::Expired,
        Self::Cancelled,
        Self::NotStarted,
    ];

    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Answered => "answered",
            Self::Edited => "edited",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::NotStarted => "not-started",
        }
    }
}

/// What is counted for a name.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Calls that policy cleared, held and refused.
    pub cleared: u64,
    /// Each call once, however often it was revised.
    pub held: u64,
    /// By policy, a limit, or because they could not be done.
    pub refused: u64,
    /// How holds ended. Each revision is a hold of its own; one that its editor's vote approves at once is none.
    pub ends: BTreeMap<End, u64>,
    /// Calls that went back to people because facts had changed.
    pub reheld: u64,
    /// How often others were called in because nobody had decided in time.
    pub escalated: u64,
    /// Decisions that people made, by kind.
    pub approvals: u64,
    /// Also those that did not stop the call yet.
    pub rejections: u64,
    /// Each made another revision.
    pub edits: u64,
    /// To questions.
    pub answers: u64,
    /// Approvals that came faster than what was new can be read.
    pub hasty: u64,
    /// Holds that took several people's approval, and were approved.
    pub several: u64,
    /// Holds in which one approved and another rejected.
    pub split: u64,
    /// From when somebody was first asked to the decision that ended a hold, or a stage of it.
    pub times: Times,
}

impl Tally {
    /// How many holds ended so.
    pub fn ends(&self, end: End) -> u64 {
        self.ends.get(&end).copied().unwrap_or(0)
    }

    /// Adds another's decisions.
    pub fn merge_decisions(&mut self, other: &Self) {
        self.approvals += other.approvals;
        self.rejections += other.rejections;
        self.edits += other.edits;
        self.answers += other.answers;
        self.hasty += other.hasty;
        self.times.merge(&other.times);
    }
}

/// What a table is kept by.
pub trait Label: Ord + Clone {
    /// What is counted instead, if there is no more room.
    fn other(self) -> Self;
}

impl Label for String {
    fn other(self) -> Self {
        OTHER.into()
    }
}

impl Label for (String, String) {
    /// The first is one of few; the configuration names it.
    fn other(self) -> Self {
        (self.0, OTHER.into())
    }
}

/// Tallies by name, of a bounded number of names.
#[derive(Clone, Debug)]
pub struct Table<K>(BTreeMap<K, Tally>);

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Label> Table<K> {
    /// That of a name.
    pub fn get(&mut self, name: K) -> &mut Tally {
        let full = self.0.len() >= NAMES_MAX && !self.0.contains_key(&name);
        self.0.entry(if full { name.other() } else { name }).or_default()
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Tally)> {
        self.0.iter()
    }

    /// Whether a name was counted.
    pub fn has(&self, name: &K) -> bool {
        self.0.contains_key(name)
    }
}
