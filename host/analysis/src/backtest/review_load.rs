//! Computes the review load, as it was and as it would have been under the candidate policies: how
//! many approvals were asked for, and how much time they took.
//!
//! A reviewer's time runs from the request to their decision, but counts at most [`SECONDS_MAX`],
//! because nobody works on a call overnight. If the candidate asks for an additional approval, the
//! approval counts with the median time of decisions on the same capability. If the candidate asks
//! for fewer approvals, the same share of the time is left out. Escalations are assumed to happen as
//! they did. The time of a delegate counts for the group of the absent reviewer.

use std::collections::BTreeMap;

use holdshort_gate::{Capability, Requirement, ReviewerName, Reviewers};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::People;
use super::steps::CallKey;

/// A decision counts with at most this time: 15 minutes.
const SECONDS_MAX: usize = 900;

/// The review load of a group, actual and under the candidate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = BacktestBurden)]
pub struct GroupLoad {
    /// The group's name; null for everybody.
    #[schema(required = true)]
    pub group: Option<String>,
    /// How often reviewers of the group were asked.
    pub prompts: u64,
    /// How often reviewers of the group would have been asked under the candidate.
    pub prompts_then: u64,
    /// The minutes that the decisions took, with at most 15 minutes for each.
    pub minutes: f64,
    /// The minutes that the decisions would have taken under the candidate. An additional decision counts with the
    /// capability's median; for fewer decisions a share is left out.
    pub minutes_then: f64,
}

/// The counters of one group. The first counters in a list are those of everybody.
#[derive(Default)]
struct GroupCounters {
    name: String,
    /// `None` for everybody.
    members: Option<Vec<ReviewerName>>,
    prompts: u64,
    prompts_then: u64,
    seconds: u64,
    seconds_then: u64,
    /// Approvals that only the candidate asks for.
    added: BTreeMap<Capability, u64>,
}

/// The approvals that a proposal required, and those that the candidate would have required.
#[derive(Clone, Copy)]
pub(super) struct AskedApprovals<'a> {
    /// The recorded requirement; `None` if the proposal was not held.
    pub(super) was: Option<&'a Requirement>,
    pub(super) then: Option<&'a Requirement>,
    /// The number of escalations.
    pub(super) level: usize,
}

/// The counters of all groups, and the open proposals.
pub(super) struct LoadCounters {
    groups: Vec<GroupCounters>,
    /// The time that each reviewer spent on an open proposal.
    spent: BTreeMap<CallKey, Vec<(ReviewerName, usize)>>,
    /// For each capability: `took[n]` is the number of decisions that took `n` whole seconds.
    took: BTreeMap<Capability, Vec<u32>>,
}

impl LoadCounters {
    pub(super) fn new(people: &People) -> Self {
        let group = |(name, members): (&String, &Vec<ReviewerName>)| GroupCounters {
            name: name.clone(),
            members: Some(members.clone()),
            ..GroupCounters::default()
        };
        let groups = std::iter::once(GroupCounters::default()).chain(people.groups().iter().map(group)).collect();
        Self { groups, spent: BTreeMap::new(), took: BTreeMap::new() }
    }

    /// Adds a reviewer's decision on an open proposal, with the time that it took.
    pub(super) fn decided(&mut self, key: &CallKey, capability: &Capability, on_behalf_of: &ReviewerName, micros: u64) {
        let seconds = usize::try_from(micros / 1_000_000).unwrap_or(SECONDS_MAX).min(SECONDS_MAX);
        self.spent.entry(key.clone()).or_default().push((on_behalf_of.clone(), seconds));
        let took = self.took.entry(capability.clone()).or_insert_with(|| vec![0; SECONDS_MAX + 1]);
        took.iter_mut().skip(seconds).take(1).for_each(|count| *count += 1);
    }

    /// Closes a proposal, and counts the approvals that were asked for and the approvals that the
    /// candidate would have asked for.
    pub(super) fn add(&mut self, key: &CallKey, capability: &Capability, asks: AskedApprovals<'_>) {
        let spent = self.spent.remove(key).unwrap_or_default();
        for group in &mut self.groups {
            let theirs = spent.iter().filter(|(name, _)| group.has(name));
            let seconds = theirs.map(|(_, seconds)| *seconds as u64).sum::<u64>();
            group.add(capability, asks, seconds);
        }
    }

    /// The review load of everybody, and then of each group.
    pub(super) fn groups(self) -> Vec<GroupLoad> {
        let all = self.took.values().fold(vec![0; SECONDS_MAX + 1], |all: Vec<u32>, took| {
            all.iter().zip(took).map(|(one, other)| one + other).collect()
        });
        let median = |capability: &Capability| median(self.took.get(capability).unwrap_or(&all));
        let minutes = |seconds: u64| seconds as f64 / 60.0;
        let group = |group: GroupCounters| {
            let added = group.added.iter().map(|(capability, approvals)| approvals * median(capability));
            GroupLoad {
                group: group.members.is_some().then_some(group.name),
                prompts: group.prompts,
                prompts_then: group.prompts_then,
                minutes: minutes(group.seconds),
                minutes_then: minutes(group.seconds_then + added.sum::<u64>()),
            }
        };
        self.groups.into_iter().map(group).collect()
    }
}

impl GroupCounters {
    /// Whether a reviewer is in the group.
    fn has(&self, name: &ReviewerName) -> bool {
        self.members.as_ref().is_none_or(|members| members.contains(name))
    }

    /// Counts a proposal on which the group spent this many seconds.
    fn add(&mut self, capability: &Capability, asks: AskedApprovals<'_>, seconds: u64) {
        let (was, then) = (self.asked(asks.was, asks.level), self.asked(asks.then, asks.level));
        self.prompts += u64::from(was > 0);
        self.prompts_then += u64::from(then > 0);
        self.seconds += seconds;
        // A reviewer of the group decided although no approval of the group was required. So the first approval that
        // the candidate requires of the group is not an additional one.
        let was = if was == 0 && seconds > 0 { then.min(1) } else { was };
        if asks.then.is_some() {
            self.seconds_then += if was > then { seconds * then / was } else { seconds };
        }
        if then > was {
            *self.added.entry(capability.clone()).or_default() += then - was;
        }
    }

    /// How many approvals the group is asked for, alone or together with others. After an
    /// escalation, the added reviewers may meet every demand.
    fn asked(&self, requirement: Option<&Requirement>, level: usize) -> u64 {
        let Some(requirement) = requirement else { return 0 };
        let of = |reviewers: &Reviewers| {
            self.members.as_ref().is_none_or(|members| members.iter().any(|member| reviewers.includes(member)))
        };
        let called_in = requirement.escalated(level).any(of);
        let demands = requirement.stages.iter().flatten().filter(|demand| called_in || of(&demand.reviewers));
        demands.map(|demand| u64::from(demand.quorum.max(1))).sum()
    }
}

/// The median in seconds, if `took[n]` decisions took `n` seconds; 0 without decisions.
fn median(took: &[u32]) -> u64 {
    let half = took.iter().map(|count| u64::from(*count)).sum::<u64>().div_ceil(2);
    let mut seen = 0;
    let at = took.iter().position(|count| {
        seen += u64::from(*count);
        half > 0 && seen >= half
    });
    at.unwrap_or(0) as u64
}
