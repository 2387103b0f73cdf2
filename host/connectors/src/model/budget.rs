//! The operator's limits on what models cost, judged before each question by the totals in the journal.
//!
//! A question that is under way is not in the totals yet, so the cost can pass a limit by the questions that are under
//! way at once.

use futures_util::future::BoxFuture;
use holdshort_gate::totals::{MODEL_COST, MODEL_TOKENS};
use holdshort_gate::{AgentName, RunId, Total};

use crate::Sentence;

/// Limits on one total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cap {
    /// In millionths of the currency.
    pub cost: Option<u64>,
    pub tokens: Option<u64>,
}

/// The limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    pub run: Cap,
    /// Of all runs of an agent on one day in UTC.
    pub agent_day: Cap,
    /// Of all agents on one day in UTC.
    pub day: Cap,
    /// The currency of the prices.
    pub currency: String,
}

/// What models have cost.
#[derive(Clone, Debug, Default)]
pub struct Spent {
    pub run: Total,
    pub agent_day: Total,
    pub day: Total,
}

/// Reads from the journal what models have cost.
pub trait Spending: Send + Sync {
    /// What they have cost for this run, for this agent today, and for all agents today.
    fn spent<'a>(&'a self, run: &'a RunId, agent: &'a AgentName) -> BoxFuture<'a, Result<Spent, Sentence>>;
}

impl Budget {
    /// The limit that is reached, in a sentence for the agent.
    pub(super) fn reached(&self, spent: &Spent) -> Option<String> {
        let scopes = [
            (self.run, &spent.run, "for this run"),
            (self.agent_day, &spent.agent_day, "for this agent today"),
            (self.day, &spent.day, "for all agents today"),
        ];
        scopes.into_iter().find_map(|(cap, total, whose)| {
            let sum = |name: &str| total.sums.get(name).copied().unwrap_or(0);
            let (cost, tokens) = (sum(MODEL_COST), sum(MODEL_TOKENS));
            if let Some(most) = cap.cost.filter(|most| cost >= *most) {
                let (cost, most, currency) = (shown(cost), shown(most), &self.currency);
                return Some(format!("models have cost {cost} {currency} {whose}, and the limit is {most} {currency}"));
            }
            let most = cap.tokens.filter(|most| tokens >= *most)?;
            Some(format!("models have taken {tokens} tokens {whose}, and the limit is {most}"))
        })
    }
}

/// Millionths of a currency as people write them.
fn shown(millionths: u64) -> String {
    format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000)
}
