//! Calls that wait beside a proposal: the same thing once more, or another one about the same. They are found in the transaction that writes the
//! proposal, so that of two calls that are proposed at the same time the later one lists the earlier.
//!
//! **Invariant:** A listed call is recognised in the books by its effect's key and by the action that was shown; an edited call does something
//! that was not shown. A call that comes later changes no digest: pages and the endpoint name it beside, live.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::action::{Capability, RATIONALE, canonical};
use crate::call::Call;
use crate::clearance::Proposal;
use crate::condition;
use crate::ids::{CallId, Digest, EffectKey};
use crate::phase::Phase;

/// How many calls are listed beside a proposal at most; the oldest. What is not listed is not allowed for, and asks a person again.
pub const LISTED_MAX: usize = 32;

/// A call that waited when a proposal was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// The call.
    #[serde(flatten)]
    pub id: CallId,
    /// What it would do. If it is edited it does something else, which was not shown.
    pub deed: Digest,
    /// The line that said what would happen.
    pub summary: String,
}

/// What an effect of a listed call is recognised by: its key, and what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The effect's key.
    pub key: EffectKey,
    /// What it does.
    pub deed: Digest,
}

/// What other calls are found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Likeness {
    /// What the proposal would do.
    pub deed: Digest,
    /// What it is about, if its preconditions name something.
    pub about: Option<Digest>,
}

impl Likeness {
    /// Whether two calls are listed beside each other.
    pub fn meets(&self, other: &Self) -> bool {
        self.deed == other.deed || (self.about.is_some() && self.about == other.about)
    }
}

/// What an action does, whoever asks for it and whatever reasons they give: its capability and its arguments without the rationale.
/// Another wording of the reasons makes no other deed.
pub fn deed(capability: &Capability, arguments: &Value) -> Digest {
    let mut arguments = arguments.clone();
    if let Some(fields) = arguments.as_object_mut() {
        fields.remove(RATIONALE);
    }
    Digest::tagged("holdshort/deed", canonical(&json!([capability, arguments])).as_bytes())
}

impl Proposal {
    /// What other calls are found by.
    pub fn likeness(&self) -> Likeness {
        let capability = self.action.capability();
        let about = condition::about(&self.preconditions);
        let about =
            about.map(|about| Digest::tagged("holdshort/about", canonical(&json!([capability, about])).as_bytes()));
        Likeness { deed: deed(capability, self.action.arguments()), about }
    }

    /// The calls that would do the very same, of those that waited when it was written.
    pub fn same_beside(&self) -> impl Iterator<Item = &Beside> {
        let own = deed(self.action.capability(), self.action.arguments());
        self.beside.iter().filter(move |other| other.deed == own)
    }
}

impl Call {
    /// What other calls find it by, while its effect or its answer may still come.
    pub fn likeness(&self) -> Option<Likeness> {
        match &self.phase {
            Phase::Held | Phase::Cleared { .. } | Phase::Approved { .. } | Phase::Started | Phase::InDoubt { .. } => {
                self.proposal().map(Proposal::likeness)
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

    /// How it stands in the lists of others.
    pub fn listed_as(&self, id: CallId) -> Option<Beside> {
        let proposal = self.proposal()?;
        let deed = deed(proposal.action.capability(), proposal.action.arguments());
        Some(Beside { id, deed, summary: proposal.summary.clone() })
    }
}
