//! Running totals of cleared and approved calls by capability, and of what language models cost. With a total, a policy
//! limits a series of calls that are each harmless.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::{Action, Capability};
use crate::ids::{CallId, RunId, Time};
use crate::name::AgentName;

/// Microseconds of a day.
const DAY: u64 = 86_400_000_000;

/// The calls that a total counts. Days are days in UTC, by the time at which a call was cleared or approved.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Scope {
    /// Calls of one run.
    Run(RunId),
    /// Calls of all runs of an agent.
    Agent(AgentName),
    /// Calls of an agent on one day: the agent's name, and the day counted from 1970-01-01.
    #[cfg_attr(feature = "schema", schema(value_type = Vec<Value>))]
    AgentDay((AgentName, u32)),
    /// Calls of all agents on one day.
    Day(u32),
    /// Calls that a grant cleared. The id is that of the call with which the grant was made.
    Grant(CallId),
}

impl Scope {
    /// The day, if the total counts the calls of one day only.
    pub fn day(&self) -> Option<u32> {
        match self {
            Self::AgentDay((_, day)) | Self::Day(day) => Some(*day),
            Self::Run(_) | Self::Agent(_) | Self::Grant(_) => None,
        }
    }
}

/// The name of a total: which calls it counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Counter {
    /// The run, agent, day or grant whose calls are counted.
    pub scope: Scope,
    /// Only calls of this capability are counted.
    pub capability: Capability,
}

/// A total of the cleared and approved calls whose effect may happen, has happened, or may have happened. A call that
/// certainly did not happen is subtracted again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Total {
    /// How many calls.
    pub count: u64,
    /// The money of these calls, in minor units by currency.
    pub sums: BTreeMap<String, u64>,
}

/// A total with the value that a verdict used. The verdict is written only if the total still has this value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = Counted))]
pub struct RecordedTotal {
    /// The total.
    pub counter: Counter,
    /// The value of the total.
    pub total: Total,
}

impl Counter {
    /// The total of the calls of this capability that a grant has cleared. `grant` is the call with which the grant was
    /// made.
    pub fn of_grant(grant: &CallId, capability: &Capability) -> Self {
        Self { scope: Scope::Grant(grant.clone()), capability: capability.clone() }
    }
}

impl Total {
    /// The total with one more call, which moves `money`.
    #[must_use]
    pub fn with(&self, money: &BTreeMap<String, u64>) -> Self {
        let mut after = Self { count: self.count.saturating_add(1), sums: self.sums.clone() };
        for (currency, minor_units) in money {
            let sum = after.sums.entry(currency.clone()).or_default();
            *sum = sum.saturating_add(*minor_units);
        }
        after
    }

    /// The total without one of its calls, which moves `money`.
    #[must_use]
    pub fn without(&self, money: &BTreeMap<String, u64>) -> Self {
        let mut after = Self { count: self.count.saturating_sub(1), sums: self.sums.clone() };
        for (currency, minor_units) in money {
            // A sum that has reached the maximum stays there. The sum may be larger in truth, so a subtraction would
            // remove the money of other calls too.
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

/// The counters of a call that is counted at `at`; the call belongs to a run of `agent`. The counter of a grant is not
/// among them.
pub fn counters(run: &RunId, agent: &AgentName, capability: &Capability, at: Time) -> [Counter; 4] {
    let day = day(at);
    let scopes =
        [Scope::Run(run.clone()), Scope::Agent(agent.clone()), Scope::AgentDay((agent.clone(), day)), Scope::Day(day)];
    scopes.map(|scope| Counter { scope, capability: capability.clone() })
}

/// The name of a model's cost in the sums of [`spent`], in millionths of the currency of the operator's prices.
pub const MODEL_COST: &str = "cost";
/// The name of a model's tokens in the sums of [`spent`].
pub const MODEL_TOKENS: &str = "tokens";

/// The function that asks language models.
pub fn model() -> Option<Capability> {
    Capability::new("holdshort:agent/model@0.1.0", "complete").ok()
}

/// What the answer of a model cost; `None` if the call asked no model, or got no answer. Sums of money have the names of
/// currencies in capitals, so these names are no currencies.
pub fn spent(capability: &Capability, result: &Value) -> Option<BTreeMap<String, u64>> {
    // Only an interface of Holdshort's own package has this name, and only the host answers its functions.
    let usage = Some(result).filter(|_| model().as_ref() == Some(capability))?;
    let usage = usage.pointer("/ok/usage").or_else(|| usage.pointer("/err/malformed/usage"))?;
    let number = |name: &str| usage.get(name).and_then(Value::as_str).and_then(|digits| digits.parse().ok());
    let tokens = ["input-tokens", "output-tokens"].into_iter().filter_map(number).fold(0, u64::saturating_add);
    Some(BTreeMap::from([(MODEL_COST.into(), number("cost").unwrap_or(0)), (MODEL_TOKENS.into(), tokens)]))
}

/// The money that an action moves, in minor units by currency: every record in its arguments that is exactly
/// `{minor-units, currency}`. A sum that does not fit into a `u64` becomes the largest `u64`.
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
