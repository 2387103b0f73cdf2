//! What language models have cost, read from the journal.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_gate::totals::{counters, model};
use holdshort_gate::{AgentName, RunId, Scope};
use holdshort_journal::{Clock, Journal};
use holdshort_words::{Sentence, quote};

use crate::connectors::model::{Spending, Spent};

/// The running totals of the journal.
pub(super) struct ModelSpending {
    pub(super) journal: Journal,
    pub(super) clock: Clock,
}

impl Spending for ModelSpending {
    fn spent<'a>(&'a self, run: &'a RunId, agent: &'a AgentName) -> BoxFuture<'a, Result<Spent, Sentence>> {
        async move {
            let model = model();
            let counted = model.iter().flat_map(|model| counters(run, agent, model, (self.clock)()));
            let mut spent = Spent::default();
            for recorded in
                self.journal.totals(counted.collect()).await.map_err(|error| Sentence::from(quote(error)))?
            {
                match recorded.counter.scope {
                    Scope::Run(_) => spent.run = recorded.total,
                    Scope::AgentDay(_) => spent.agent_day = recorded.total,
                    Scope::Day(_) => spent.day = recorded.total,
                    Scope::Agent(_) | Scope::Grant(_) => {}
                }
            }
            Ok(spent)
        }
        .boxed()
    }
}
