//! What people had to do, and would have had to: how often they were asked, and for how long.
//!
//! A person's time is from when something was put before people to when that person decided, but [`SECONDS_MAX`] at most: a night's sleep is no work.
//! Approvals that nobody was asked for really are reckoned with the median of the decisions on the same capability; where fewer would be asked for, so much less of
//! the time counts. Escalations are taken to have happened as they did, and a deputy's time is that of the group of whom they stand for.

use std::collections::BTreeMap;

use holdshort_gate::{Capability, Requirement, Reviewers};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::People;
use super::steps::Key;

/// The most that a decision is reckoned to take.
const SECONDS_MAX: usize = 900;

/// What is asked of a group, as it was and as it would have been.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BacktestBurden)]
pub struct GroupBurden {
    /// The group's name; null for everybody.
    #[schema(required = true)]
    pub group: Option<String>,
    /// How often something was put before people of it.
    pub prompts: u64,
    /// How often it would have been.
    pub prompts_then: u64,
    /// The time that they took, 15 minutes at most for each decision.
    pub minutes: f64,
    /// What would be new is reckoned with the median of the capability; of what would be less, so much is left out.
    pub minutes_then: f64,
}

/// What is counted of one group; the first is everybody.
#[derive(Default)]
struct Group {
    name: String,
    /// Nothing for everybody.
    members: Option<Vec<String>>,
    prompts: u64,
    prompts_then: u64,
    seconds: u64,
    seconds_then: u64,
    /// Approvals that nobody was asked for really.
    added: BTreeMap<Capability, u64>,
}

/// What was asked of people, and would have been.
#[derive(Clone, Copy)]
pub(super) struct Asks<'a> {
    /// Nothing, if it was not held.
    pub(super) was: Option<&'a Requirement>,
    pub(super) then: Option<&'a Requirement>,
    /// How often it was escalated.
    pub(super) level: usize,
}

/// Counts of all groups, and what is open.
pub(super) struct Burden {
    groups: Vec<Group>,
    /// With whose right people decided on what is open, and how long it took them.
    spent: BTreeMap<Key, Vec<(String, usize)>>,
    /// How many decisions took so many seconds.
    took: BTreeMap<Capability, Vec<u32>>,
}

impl Burden {
    pub(super) fn new(people: &People) -> Self {
        let group = |(name, members): (&String, &Vec<String>)| Group {
            name: name.clone(),
            members: Some(members.clone()),
            ..Group::default()
        };
        let groups = std::iter::once(Group::default()).chain(people.groups.iter().map(group)).collect();
        Self { groups, spent: BTreeMap::new(), took: BTreeMap::new() }
    }

    /// Somebody decided on what is open, so long after it had been put before people.
    pub(super) fn decided(&mut self, key: &Key, capability: &Capability, right_of: &str, micros: u64) {
        let seconds = usize::try_from(micros / 1_000_000).unwrap_or(SECONDS_MAX).min(SECONDS_MAX);
        self.spent.entry(key.clone()).or_default().push((right_of.to_owned(), seconds));
        let took = self.took.entry(capability.clone()).or_insert_with(|| vec![0; SECONDS_MAX + 1]);
        took.iter_mut().skip(seconds).take(1).for_each(|count| *count += 1);
    }

    /// It is decided: who had to, and who would have had to.
    pub(super) fn add(&mut self, key: &Key, capability: &Capability, asks: Asks<'_>) {
        let spent = self.spent.remove(key).unwrap_or_default();
        for group in &mut self.groups {
            let theirs = spent.iter().filter(|(name, _)| group.has(name));
            let seconds = theirs.map(|(_, seconds)| *seconds as u64).sum::<u64>();
            group.add(capability, asks, seconds);
        }
    }

    /// Everybody, then each group.
    pub(super) fn groups(self) -> Vec<GroupBurden> {
        let all = self.took.values().fold(vec![0; SECONDS_MAX + 1], |all: Vec<u32>, took| {
            all.iter().zip(took).map(|(one, other)| one + other).collect()
        });
        let median = |capability: &Capability| median(self.took.get(capability).unwrap_or(&all));
        let minutes = |seconds: u64| seconds as f64 / 60.0;
        let group = |group: Group| {
            let added = group.added.iter().map(|(capability, approvals)| approvals * median(capability));
            GroupBurden {
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

impl Group {
    /// Whether somebody is in the group.
    fn has(&self, name: &str) -> bool {
        self.members.as_ref().is_none_or(|members| members.iter().any(|member| member == name))
    }

    /// So many seconds of theirs went into something.
    fn add(&mut self, capability: &Capability, asks: Asks<'_>, seconds: u64) {
        let (was, then) = (self.asked(asks.was, asks.level), self.asked(asks.then, asks.level));
        self.prompts += u64::from(was > 0);
        self.prompts_then += u64::from(then > 0);
        self.seconds += seconds;
        // Who decided though nobody had named them would have done so once more.
        let was = if was == 0 && seconds > 0 { then.min(1) } else { was };
        if asks.then.is_some() {
            self.seconds_then += if was > then { seconds * then / was } else { seconds };
        }
        if then > was {
            *self.added.entry(capability.clone()).or_default() += then - was;
        }
    }

    /// How many approvals people of this group are asked for, themselves or together with others. Who is called in counts for every demand.
    fn asked(&self, requirement: Option<&Requirement>, level: usize) -> u64 {
        let Some(requirement) = requirement else { return 0 };
        let of = |reviewers: &Reviewers| {
            self.members.as_ref().is_none_or(|members| members.iter().any(|member| reviewers.include(member)))
        };
        let called_in = requirement.escalated(level).any(of);
        let demands = requirement.stages.iter().flatten().filter(|demand| called_in || of(&demand.reviewers));
        demands.map(|demand| u64::from(demand.quorum.max(1))).sum()
    }
}

/// The middle one of so many times; 0 if there is none.
fn median(took: &[u32]) -> u64 {
    let half = took.iter().map(|count| u64::from(*count)).sum::<u64>().div_ceil(2);
    let mut seen = 0;
    let at = took.iter().position(|count| {
        seen += u64::from(*count);
        half > 0 && seen >= half
    });
    at.unwrap_or(0) as u64
}
