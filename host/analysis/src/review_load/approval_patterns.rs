//! Approval patterns: groups of calls that reviewers always approve, as the basis for suggested
//! policies.

use std::collections::{BTreeMap, BTreeSet};

use holdshort_gate::{AgentName, Capability, Time, WaitEnd, totals};

use super::Directory;
use super::open::OpenCall;
use super::suggestion::{DayMax, SharedProperties, SuggestedPolicy};
use crate::life::{RevisionOrigin, Step};

/// The minimum number of calls for a pattern.
pub(super) const CALLS_MIN: u64 = 20;
/// The maximum number of patterns, and of pairs of agent and capability. If there are more, nothing
/// is counted any more and nothing is suggested.
const PATTERNS_MAX: usize = 1_000;

/// The calls of one agent and capability that the same policies held.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PatternKey {
    pub(super) agent: AgentName,
    pub(super) capability: String,
    pub(super) policies: Vec<String>,
}

/// The decisions on the calls of one pattern.
#[derive(Debug, Default)]
pub(super) struct ApprovalPattern {
    /// Calls that were approved as the agent proposed them.
    pub(super) approved: u64,
    /// Decisions on these calls.
    pub(super) prompts: u64,
    /// The work for these decisions, in microseconds.
    pub(super) work_us: u64,
    /// Approvals that were made faster than a person can read. They say little about the calls, so
    /// the suggestion mentions them.
    pub(super) hasty: u64,
    /// The properties that all calls share; `None` if no policy can express them.
    shared: Option<SharedProperties>,
}

/// All patterns.
#[derive(Debug, Default)]
pub(super) struct ApprovalPatterns {
    all: BTreeMap<PatternKey, ApprovalPattern>,
    /// Agents and capabilities with at least one call that, under any policy, was not simply approved:
    /// it was edited, rejected, held again or left undecided. They get no suggestion, because a
    /// suggested policy would also have cleared this call.
    doubted: BTreeSet<(AgentName, String)>,
    /// The daily totals of each agent and capability. Policies compare totals of all calls, so a call
    /// counts whichever policy cleared or held it.
    days: BTreeMap<(AgentName, String), Days>,
    /// Whether there were more patterns, or more pairs of agent and capability, than are kept. Then the data is
    /// incomplete, and nothing is suggested.
    full: bool,
}

/// The total that was cleared or approved today, and the highest total of a day.
#[derive(Debug, Default)]
struct Days {
    day: u32,
    today: DayMax,
    fullest: DayMax,
}

impl Days {
    fn count<'a>(&mut self, money: impl Iterator<Item = (&'a String, &'a u64)>, at: Time) {
        // Time never goes backwards in a journal, so no event belongs to a past day.
        if totals::day(at) != self.day {
            (self.day, self.today) = (totals::day(at), DayMax::default());
        }
        self.today.count += 1;
        self.fullest.count = self.fullest.count.max(self.today.count);
        for (currency, units) in money {
            let sum = self.today.sums.entry(currency.clone()).or_default();
            *sum = sum.saturating_add(*units);
            let most = self.fullest.sums.entry(currency.clone()).or_default();
            *most = (*sum).max(*most);
        }
    }
}

impl ApprovalPatterns {
    /// Records what an event did to a call.
    pub(super) fn follow(&mut self, open: &OpenCall, step: &Step<'_>, at: Time) {
        let ended = step.end.is_some_and(|end| end != WaitEnd::NotStarted);
        if open.is_question() || !(ended || step.revised == Some(RevisionOrigin::Reheld)) {
            return;
        }
        let (agent, capability) = (open.agent().clone(), open.capability());
        if step.end == Some(WaitEnd::Approved) {
            self.day(&agent, &capability, open.shared().into_iter().flat_map(SharedProperties::money), at);
        }
        if step.end != Some(WaitEnd::Approved) || !open.is_first_revision() || open.split() {
            self.full |= self.doubted.len() >= PATTERNS_MAX;
            if !self.full {
                self.doubted.insert((agent, capability));
            }
            return;
        }
        let key = PatternKey { agent, capability, policies: open.policies().to_vec() };
        self.full |= self.all.len() >= PATTERNS_MAX && !self.all.contains_key(&key);
        if !self.full {
            self.all.entry(key).or_default().approve(open);
        }
    }

    /// Adds a cleared or approved call to the totals of its day.
    pub(super) fn day<'a>(
        &mut self,
        agent: &AgentName,
        capability: &str,
        money: impl Iterator<Item = (&'a String, &'a u64)>,
        at: Time,
    ) {
        let key = (agent.clone(), capability.to_owned());
        self.full |= self.days.len() >= PATTERNS_MAX && !self.days.contains_key(&key);
        if !self.full {
            self.days.entry(key).or_default().count(money, at);
        }
    }

    /// The patterns with enough calls, if reviewers simply approved all calls of the agent and capability.
    pub(super) fn always_approved(&self) -> impl Iterator<Item = (&PatternKey, &ApprovalPattern)> {
        let doubted =
            |key: &PatternKey| self.full || self.doubted.contains(&(key.agent.clone(), key.capability.clone()));
        self.all.iter().filter(move |(key, pattern)| pattern.approved >= CALLS_MIN && !doubted(key))
    }
}

impl ApprovalPattern {
    /// Records an approval without edits, and widens the shared properties to include this call.
    fn approve(&mut self, open: &OpenCall) {
        self.prompts += open.prompts;
        self.work_us = self.work_us.saturating_add(open.work_us);
        self.hasty += open.hasty;
        self.shared = match (self.shared.take(), open.shared(), self.approved) {
            (_, shared, 0) => shared.cloned(),
            (Some(mut all), Some(shared), _) => {
                all.join(shared);
                Some(all)
            }
            _ => None,
        };
        self.approved += 1;
    }
}

impl ApprovalPatterns {
    /// The policy that would clear the calls of a pattern, with its id.
    pub(super) fn suggested(
        &self,
        key: &PatternKey,
        directory: &Directory,
        taken: &[String],
    ) -> Option<(String, SuggestedPolicy)> {
        let fullest = &self.days.get(&(key.agent.clone(), key.capability.clone()))?.fullest;
        let capability: Capability = key.capability.parse().ok()?;
        let plain = format!("like-{}-{}", key.agent, capability.function());
        let is_free = |id: &String| !directory.policies.contains(id) && !taken.contains(id);
        let mut ids = std::iter::once(plain.clone()).chain((2..=PATTERNS_MAX).map(|n| format!("{plain}-{n}")));
        let id = ids.find(is_free)?;
        let suggested = self.all.get(key)?.shared.as_ref()?.policy(&id, &key.agent, &capability, fullest)?;
        Some((id, suggested))
    }
}
