//! Reads facts and policy again for the dispatcher, before an effect happens.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use holdshort_gate::{AgentName, Call, CallId, Capability, Phase, Proposal, Run};
use holdshort_journal::Driver;
use holdshort_words::{Sentence, quote, say};

use super::exhibits::{freeze, measure};
use super::look::look;
use super::propose::{Proposer, RunHistory, proposal};
use super::{Catalogue, DisplayLimit, Runs};
use crate::connectors::CannotPreview;
use crate::effects::Refresh;
use crate::policy::{JudgedCall, Policy, facts};

/// Gives the dispatcher previews and policy, which it does not hold itself. The dispatcher asks for both again before
/// an effect, because facts may have changed and time has passed.
struct Refresher {
    journal: Driver,
    catalogue: Arc<Catalogue>,
    policy: Arc<dyn Policy>,
    display_limit: DisplayLimit,
}

impl Runs {
    /// The dispatcher's access to previews and policy.
    pub fn refresher(&self) -> Arc<dyn Refresh> {
        let (journal, catalogue) = (self.0.journal.clone(), self.0.catalogue.clone());
        let Proposer { policy, display_limit, .. } = &self.0.proposer;
        Arc::new(Refresher { journal, catalogue, policy: policy.clone(), display_limit: *display_limit })
    }
}

impl Refresher {
    /// The proposal of the same action as it would be made now.
    async fn present(&self, agent: &AgentName, id: &CallId, old: &Proposal) -> Result<Proposal, Sentence> {
        let Some(preview) = self.catalogue.preview(old.action.capability()) else {
            return Err(say!("this host no longer offers `{}`", old.action.capability().clone()));
        };
        let mut followed = RunHistory::default();
        let before = followed.up_to(&self.journal, &id.run, id.call).await.map_err(quote)?;
        let previewed = look(&self.journal, preview.as_ref(), agent, &old.action, before).await;
        let mut previewed = previewed.map_err(CannotPreview::sentence)?;
        let evidence = measure(std::mem::take(&mut previewed.exhibits)).await.map_err(CannotPreview::sentence)?;
        let exhibits = freeze(&self.journal, evidence).await.map_err(quote)?;
        // The operator may have configured another connector since the call was shown.
        let new = (previewed, exhibits);
        let (action, requirement, policy) = (old.action.clone(), old.requirement.clone(), old.policy.clone());
        let new = proposal(preview.as_ref(), action, new, requirement, policy);
        Ok(Proposal { similar_calls: old.similar_calls.clone(), ..new })
    }
}

impl Refresh for Refresher {
    fn forbidden_now(&self, run: &Run, id: &CallId, call: &Call) -> Option<Sentence> {
        let proposal = call.proposal()?;
        let by_policy = matches!(call.started_from, Some(Phase::Cleared { .. })) && proposal.policy.grant.is_none();
        let judged = JudgedCall { started_by: &run.started_by, agent: &run.agent, run: &id.run, proposal, by_policy };
        self.policy.forbidden_now(&judged, self.journal.now())
    }

    fn depends_on_time(&self) -> bool {
        self.policy.depends_on_time()
    }

    fn connector(&self, capability: &Capability) -> Option<String> {
        Some(self.catalogue.preview(capability)?.effect().connector.into())
    }

    fn refresh<'a>(
        &'a self,
        agent: &'a AgentName,
        id: &'a CallId,
        old: &'a Proposal,
    ) -> BoxFuture<'a, Result<Proposal, Sentence>> {
        Box::pin(async move {
            // A call that policy cleared may be larger than what reviewers are shown.
            self.display_limit.admits(&old.action)?;
            self.present(agent, id, old).await
        })
    }

    fn material_change<'a>(
        &'a self,
        agent: &'a AgentName,
        id: &'a CallId,
        old: &'a Proposal,
    ) -> BoxFuture<'a, Result<Option<(Sentence, Proposal)>, Sentence>> {
        Box::pin(async move {
            let now = self.present(agent, id, old).await?;
            let Some(reason) = facts::changed(&old.policy.material, &old.facts, &now.facts)? else { return Ok(None) };
            self.display_limit.admits(&old.action)?;
            Ok(Some((reason, now)))
        })
    }
}
