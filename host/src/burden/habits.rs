//! What people always say yes to, and what of it could go without them.
//!
//! **Invariant:** An approval that came too fast is a figure and refuses nothing. The figure stands beside each suggestion: an approval without
//! reading is no reason to ask less.

use std::collections::{BTreeMap, BTreeSet};

use holdshort_gate::{Capability, Time, totals};

use super::Known;
use super::open::{Open, Step};
use super::tally::End;
use crate::policy::like::{Fullest, Like, Suggested};

/// Fewer calls than these are no habit.
pub(super) const CALLS_MIN: u64 = 20;
/// Habits that are followed at once; what comes after is not.
const HABITS_MAX: usize = 1_000;

/// Calls of one agent and capability that the same policies held.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) agent: String,
    pub(super) capability: String,
    pub(super) policies: Vec<String>,
}

/// What became of them.
#[derive(Debug, Default)]
pub(super) struct Habit {
    /// Calls that were approved as the agent proposed them.
    pub(super) approved: u64,
    /// Decisions that it took.
    pub(super) prompts: u64,
    /// What these count as work, in microseconds.
    pub(super) work_us: u64,
    /// Approvals that came faster than reading, and so say little.
    pub(super) hasty: u64,
    /// What they had in common; nothing if no policy could say it.
    like: Option<Like>,
}

/// All habits.
#[derive(Debug, Default)]
pub(super) struct Habits {
    all: BTreeMap<Key, Habit>,
    /// Agents and capabilities of which some call was not approved as it was, or not by everybody who was asked, whichever policies held it: a policy that clears goes by these alone.
    doubted: BTreeSet<(String, String)>,
    /// The days of each agent and capability: what policies compare totals with is all of it, whatever held it.
    days: BTreeMap<(String, String), Days>,
    /// There were more than are followed, so that nothing is certain of the rest.
    full: bool,
}

/// What was cleared or approved on a day, and at most on any.
#[derive(Debug, Default)]
struct Days {
    day: u32,
    today: Fullest,
    fullest: Fullest,
}

impl Days {
    fn count<'a>(&mut self, money: impl Iterator<Item = (&'a String, &'a u64)>, at: Time) {
        // Time never goes back in a journal, so a day that is over does not come again.
        if totals::day(at) != self.day {
            (self.day, self.today) = (totals::day(at), Fullest::default());
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

impl Habits {
    /// Follows what happened to a call.
    pub(super) fn follow(&mut self, open: &Open, step: &Step, at: Time) {
        let ended = step.end.is_some_and(|end| end != End::NotStarted);
        if open.is_question() || !(ended || step.reheld) {
            return;
        }
        let (agent, capability) = (open.agent().to_owned(), open.capability());
        if step.end == Some(End::Approved) {
            self.day(&agent, &capability, open.like().into_iter().flat_map(Like::money), at);
        }
        if step.end != Some(End::Approved) || !open.is_first_revision() || open.split() {
            self.full |= self.doubted.len() >= HABITS_MAX;
            if !self.full {
                self.doubted.insert((agent, capability));
            }
            return;
        }
        let key = Key { agent, capability, policies: open.policies().to_vec() };
        self.full |= self.all.len() >= HABITS_MAX && !self.all.contains_key(&key);
        if !self.full {
            self.all.entry(key).or_default().approve(open);
        }
    }

    /// Counts a call that was cleared or approved.
    pub(super) fn day<'a>(
        &mut self,
        agent: &str,
        capability: &str,
        money: impl Iterator<Item = (&'a String, &'a u64)>,
        at: Time,
    ) {
        let key = (agent.to_owned(), capability.to_owned());
        self.full |= self.days.len() >= HABITS_MAX && !self.days.contains_key(&key);
        if !self.full {
            self.days.entry(key).or_default().count(money, at);
        }
    }

    /// Those whose calls were all approved, and often enough.
    pub(super) fn always_approved(&self) -> impl Iterator<Item = (&Key, &Habit)> {
        let doubted = |key: &Key| self.full || self.doubted.contains(&(key.agent.clone(), key.capability.clone()));
        self.all.iter().filter(move |(key, habit)| habit.approved >= CALLS_MIN && !doubted(key))
    }
}

impl Habit {
    /// An approval as it was; what came with it is kept for what a policy would have to let through.
    fn approve(&mut self, open: &Open) {
        self.prompts += open.prompts;
        self.work_us = self.work_us.saturating_add(open.work_us);
        self.hasty += open.hasty;
        self.like = match (self.like.take(), open.like(), self.approved) {
            (_, like, 0) => like.cloned(),
            (Some(mut all), Some(like), _) => {
                all.join(like);
                Some(all)
            }
            _ => None,
        };
        self.approved += 1;
    }
}

impl Habits {
    /// The policy that would clear the like of a habit, with its name.
    pub(super) fn suggested(&self, key: &Key, known: &Known, taken: &[String]) -> Option<(String, Suggested)> {
        let fullest = &self.days.get(&(key.agent.clone(), key.capability.clone()))?.fullest;
        let capability: Capability = key.capability.parse().ok()?;
        let plain = format!("like-{}-{}", key.agent, capability.function());
        let is_free = |id: &String| !known.policies.contains(id) && !taken.contains(id);
        let mut ids = std::iter::once(plain.clone()).chain((2..=HABITS_MAX).map(|n| format!("{plain}-{n}")));
        let id = ids.find(is_free)?;
        let suggested = self.all.get(key)?.like.as_ref()?.policy(&id, &key.agent, &capability, fullest)?;
        Some((id, suggested))
    }
}
