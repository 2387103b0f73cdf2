//! The similar calls of a proposal: other waiting calls with the same effect or the same subject. The list is made in
//! the transaction that writes the proposal. So, if two similar calls are proposed at the same time, the later one
//! lists the earlier one.
//!
//! **Invariant:** A connector recognises the effect of a listed call by the effect's key and by the digest of the
//! effect that was shown. An edit changes that digest, so the connector does not recognise the effect of an edited
//! call. A call that is proposed later is not added to the list, because that would change the digest of this proposal.
//! Pages and the API show later calls nevertheless: they look for them each time.

use serde_json::{Value, json};

use crate::action::{Capability, RATIONALE, canonical};
use crate::call::Call;
use crate::clearance::{Proposal, SimilarCall};
use crate::condition;
use crate::ids::{CallId, Digest};
use crate::name::AgentName;
use crate::phase::Phase;

/// The largest number of similar calls that a proposal lists; the oldest calls are listed. If a similar call that is
/// not listed has its effect first, this call is held again.
pub const LISTED_MAX: usize = 32;

/// The digests by which other calls with the same effect or the same subject are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Similarity {
    /// The digest of the proposal's effect.
    pub effect_digest: Digest,
    /// The digest of the proposal's subject, such as a payee, if the preconditions name a subject.
    pub about: Option<Digest>,
}

impl Similarity {
    /// Whether two calls are similar: they have the same effect or the same subject.
    pub fn meets(&self, other: &Self) -> bool {
        self.effect_digest == other.effect_digest || (self.about.is_some() && self.about == other.about)
    }
}

/// The facts that say where a call goes.
const KIND: [&str; 3] = ["host", "method", "path"];

/// The digest of a call's kind: the calls of one agent and one function that go to the same place. `None` for a call
/// without the facts that say where it goes.
pub fn kind(agent: &AgentName, capability: &Capability, facts: &Value) -> Option<Digest> {
    let place: Vec<&str> = KIND.iter().map(|name| facts.get(name)?.as_str()).collect::<Option<_>>()?;
    Some(Digest::tagged("holdshort/kind", canonical(&json!([agent, capability, place])).as_bytes()))
}

/// The digest of an action's effect, from its capability and its arguments without the rationale. The agent, the run
/// and the wording of the reasons do not change the digest.
pub fn effect_digest(capability: &Capability, arguments: &Value) -> Digest {
    let mut arguments = arguments.clone();
    if let Some(fields) = arguments.as_object_mut() {
        fields.remove(RATIONALE);
    }
    Digest::tagged("holdshort/deed", canonical(&json!([capability, arguments])).as_bytes())
}

impl Proposal {
    /// The digests by which other calls with the same effect or the same subject are found.
    pub fn similarity(&self) -> Similarity {
        let capability = self.action.capability();
        let about = condition::about(&self.preconditions);
        let about =
            about.map(|about| Digest::tagged("holdshort/about", canonical(&json!([capability, about])).as_bytes()));
        Similarity { effect_digest: effect_digest(capability, self.action.arguments()), about }
    }

    /// The calls with the same effect that waited when the proposal was written.
    pub fn same_effect_calls(&self) -> impl Iterator<Item = &SimilarCall> {
        let own = effect_digest(self.action.capability(), self.action.arguments());
        self.similar_calls.iter().filter(move |other| other.effect_digest == own)
    }
}

impl Call {
    /// The digests by which other calls find this call as similar; `None` once the call can have no further effect or
    /// answer.
    pub fn similarity(&self) -> Option<Similarity> {
        match &self.phase {
            Phase::Held | Phase::Cleared { .. } | Phase::Approved { .. } | Phase::Started | Phase::InDoubt { .. } => {
                self.proposal().map(Proposal::similarity)
            }
            Phase::Refused(_)
            | Phase::Succeeded { .. }
            | Phase::Failed { .. }
            | Phase::Unresolved { .. }
            | Phase::Rejected { .. }
            | Phase::Answered { .. }
            | Phase::Expired
            | Phase::Cancelled => None,
        }
    }

    /// The digest by which a later call of the same kind finds this one; `None` unless this call was performed.
    pub fn performed_kind(&self, agent: &AgentName) -> Option<Digest> {
        let performed = matches!(self.phase, Phase::Succeeded { .. });
        let proposal = self.proposal().filter(|_| performed)?;
        kind(agent, proposal.action.capability(), &proposal.facts)
    }

    /// This call as an entry in the list of similar calls of another call.
    pub fn as_similar_call(&self, id: CallId) -> Option<SimilarCall> {
        let proposal = self.proposal()?;
        let effect_digest = effect_digest(proposal.action.capability(), proposal.action.arguments());
        Some(SimilarCall { id, effect_digest, summary: proposal.summary.clone() })
    }
}
