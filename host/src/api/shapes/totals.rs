//! Running totals, and what they are of.

use utoipa::ToSchema;

/// A running total as it was when the verdict was made.
#[derive(Debug, ToSchema)]
#[schema(as = Counted)]
#[serde(deny_unknown_fields)]
pub struct CountedShape {
    pub counter: CounterShape,
    pub total: TotalShape,
}

/// Which total.
#[derive(Debug, ToSchema)]
#[schema(as = Counter)]
#[serde(deny_unknown_fields)]
pub struct CounterShape {
    pub scope: ScopeShape,
    pub capability: String,
}

/// Which calls it is of; days are counted from 1970-01-01 in UTC.
#[derive(Debug, ToSchema)]
#[schema(as = Scope)]
#[serde(rename_all = "kebab-case")]
pub enum ScopeShape {
    /// Those of one run.
    Run(String),
    /// Those of all runs of an agent.
    Agent(String),
    /// Those of an agent on one day: its name and the day.
    AgentDay(Vec<serde_json::Value>),
    /// Everybody's on one day.
    Day(u32),
    /// Those that a standing grant cleared.
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

/// How many calls, and their money in minor units by currency.
#[derive(Debug, ToSchema)]
#[schema(as = Total)]
#[serde(deny_unknown_fields)]
pub struct TotalShape {
    pub count: u64,
    pub sums: std::collections::BTreeMap<String, u64>,
}
