//! Running totals: what was cleared or approved so far, by capability, so that a safe call cannot be part of an unsafe series.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::{Action, Capability};
use crate::ids::{CallId, RunId, Time};

/// Microseconds of a day.
const DAY: u64 = 86_400_000_000;

/// Which calls a total is of. Days are those of UTC, on which the calls were cleared or approved.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Those of one run.
    Run(RunId),
    /// Those of all runs of an agent, by its configured name.
    Agent(String),
    /// Those of an agent on one day, counted from 1970-01-01.
    AgentDay(String, u32),
    /// Everybody's on one day.
    Day(u32),
    /// Those that a standing grant cleared; it is named by the call that it was made with.
    Grant(CallId),
}

impl Scope {
    /// The day that it is of, if it is of one day.
    pub fn day(&self) -> Option<u32> {
        match self {
            Self::AgentDay(_, day) | Self::Day(day) => Some(*day),
            Self::Run(_) | Self::Agent(_) | Self::Grant(_) => None,
        }
    }
}

/// Names a total.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Counter {
    /// Which calls.
    pub scope: Scope,
    /// Of which capability.
    pub capability: Capability,
}

/// A total: of calls that were cleared or approved and may still happen, happened, or may have happened. Those that certainly did not are taken out again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Total {
    /// How many calls.
    pub count: u64,
    /// Their money, in minor units by currency.
    pub sums: BTreeMap<String, u64>,
}

/// A total as it was when a verdict was made of it. The verdict counts only while it is so still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Which total.
    pub counter: Counter,
    /// What it was.
    pub total: Total,
}

impl Counter {
    /// What a standing grant, named by the call that it was made with, has cleared of this capability.
    pub fn of_grant(grant: &CallId, capability: &Capability) -> Self {
        Self { scope: Scope::Grant(grant.clone()), capability: capability.clone() }
    }
}

impl Total {
    /// This total with a call that moves so much money.
    #[must_use]
    pub fn with(&self, money: &BTreeMap<String, u64>) -> Self {
        let mut after = Self { count: self.count.saturating_add(1), sums: self.sums.clone() };
        for (currency, minor_units) in money {
            let sum = after.sums.entry(currency.clone()).or_default();
            *sum = sum.saturating_add(*minor_units);
        }
        after
    }

    /// This total without it.
    #[must_use]
    pub fn without(&self, money: &BTreeMap<String, u64>) -> Self {
        let mut after = Self { count: self.count.saturating_sub(1), sums: self.sums.clone() };
        for (currency, minor_units) in money {
            // What was more than it can say stays so: less would forget what else is in it.
            if let Some(sum) = after.sums.get_mut(currency).filter(|sum| **sum < u64::MAX) {
                *sum = sum.saturating_sub(*minor_units);
            }
        }
        after.sums.retain(|_, sum| *sum > 0);
        after
    }
}

/// The day of a time, counted from 1970-01-01 in UTC.
pub fn day(at: Time) -> u32 {
    u32::try_from(at.0 / DAY).unwrap_or(u32::MAX)
}

/// The counters of a call of `agent`'s `run` that is counted at `at`, apart from a grant's.
pub fn counters(run: &RunId, agent: &str, capability: &Capability, at: Time) -> [Counter; 4] {
    let day = day(at);
    let scopes =
        [Scope::Run(run.clone()), Scope::Agent(agent.into()), Scope::AgentDay(agent.into(), day), Scope::Day(day)];
    scopes.map(|scope| Counter { scope, capability: capability.clone() })
}

/// The money that an action moves, in minor units by currency: every record in its arguments that is exactly `{minor-units, currency}`.
/// Amounts that no `u64` holds together are the largest that one holds.
pub fn money(action: &Action) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    collect(action.arguments(), &mut found);
    found
}

fn collect(value: &Value, found: &mut BTreeMap<String, u64>) {
    match value {
        Value::Object(fields) => match (fields.len(), fields.get("minor-units"), fields.get("currency")) {
            (2, Some(Value::String(digits)), Some(Value::String(currency))) => {
                let amount = digits.parse().unwrap_or(u64::MAX);
                let sum: &mut u64 = found.entry(currency.clone()).or_default();
                *sum = sum.saturating_add(amount);
            }
            _ => fields.values().for_each(|field| collect(field, found)),
        },
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
