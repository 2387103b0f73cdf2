//! The schema of running totals.

use utoipa::ToSchema;

/// A running total at the time of the verdict.
#[derive(Debug, ToSchema)]
#[schema(as = Counted)]
#[serde(deny_unknown_fields)]
pub struct CountedShape {
    pub counter: CounterShape,
    pub total: TotalShape,
}

/// The identity of a total.
#[derive(Debug, ToSchema)]
#[schema(as = Counter)]
#[serde(deny_unknown_fields)]
pub struct CounterShape {
    pub scope: ScopeShape,
    pub capability: String,
}

/// The calls of a total; days are counted from 1970-01-01 in UTC.
#[derive(Debug, ToSchema)]
#[schema(as = Scope)]
#[serde(rename_all = "kebab-case")]
pub enum ScopeShape {
    /// The calls of one run.
    Run(String),
    /// The calls of all runs of an agent.
    Agent(String),
    /// The calls of an agent on one day: its name and the day.
    AgentDay(Vec<serde_json::Value>),
    /// All calls of one day.
    Day(u32),
    /// The calls that a grant cleared.
    Grant(CallIdShape),
}

/// A consequential call.
#[derive(Debug, ToSchema)]
#[schema(as = CallId)]
#[serde(deny_unknown_fields)]
pub struct CallIdShape {
    pub run: String,
    pub call: u32,
}

/// A number of calls, and their money in minor units by currency.
#[derive(Debug, ToSchema)]
#[schema(as = Total)]
#[serde(deny_unknown_fields)]
pub struct TotalShape {
    pub count: u64,
    pub sums: std::collections::BTreeMap<String, u64>,
}
