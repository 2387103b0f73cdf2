//! Verifies an approval before a decision: computes the digests again from the shown content.

use holdshort_gate::{Clearance, Digest, Proposal};
use serde::Deserialize;

use crate::api::approvals::Approval;
use crate::api::shapes::Lenient;
use crate::cli::args::CallId;
use crate::cli::exit::{Exit, Failure};

/// A proposal whose computed digest equals the digest that the host gave.
#[derive(Debug)]
pub struct Verified {
    pub proposal: Proposal,
    /// The digest for the decision.
    pub digest: Digest,
    /// The revision, from 1. Each edit and each change of a material fact adds one.
    pub revision: u32,
}

/// The host's answer contradicts itself or the request, so no decision is possible.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disagrees {
    /// The answer contains no readable proposal, or no digest.
    #[error("the approval from the host cannot be read: {0}")]
    NotUnderstood(String),
    /// The answer is about another call.
    #[error("the host sent the approval `{found}` instead of `{asked}`")]
    AnotherCall {
        /// The requested call.
        asked: String,
        /// The call in the answer.
        found: String,
    },
    /// The action's digest is wrong.
    #[error("the shown action has the digest {computed}, but the host states {claimed}")]
    Action {
        /// The digest computed here.
        computed: Digest,
        /// The digest that the host gave.
        claimed: Digest,
    },
    /// The clearance digest is wrong: the shown content is not what the decision would cover.
    #[error("the shown content has the digest {computed}, but the host states {claimed}")]
    Clearance {
        /// The digest computed here.
        computed: Digest,
        /// The digest that the host gave.
        claimed: Digest,
    },
}

impl From<Disagrees> for Failure {
    fn from(error: Disagrees) -> Self {
        Self::new(Exit::Failed, error.to_string())
            .hint("nothing was sent: the host may have another version than this program, or a program between them may have changed the answer")
    }
}

/// Computes the digests of the approval `asked` and compares them with the host's digests. The proposal is taken out of
/// the approval, so that it can be shown only after this check.
pub fn verify(asked: &CallId, approval: &mut Approval) -> Result<Verified, Disagrees> {
    let proposal = match approval.proposal.take() {
        Some(Lenient::Known(proposal)) => Ok(*proposal),
        Some(Lenient::Unknown(part)) => Proposal::deserialize(part).map_err(|error| error.to_string()),
        None => Err("it has no proposal".into()),
    };
    let proposal = proposal.map_err(Disagrees::NotUnderstood)?;
    let claimed = approval.digest.ok_or_else(|| Disagrees::NotUnderstood("it has no digest".into()))?;
    let Approval { journal, run, call, revision, action_digest, .. } = &*approval;
    let found = format!("{run}.{call}");
    if found != asked.to_string() {
        return Err(Disagrees::AnotherCall { asked: asked.to_string(), found });
    }
    let action = proposal.action.digest();
    if action != *action_digest {
        return Err(Disagrees::Action { computed: action, claimed: *action_digest });
    }
    let computed = Clearance { journal, run, call: *call, revision: *revision, proposal: &proposal }.digest();
    if computed != claimed {
        return Err(Disagrees::Clearance { computed, claimed });
    }
    Ok(Verified { proposal, digest: claimed, revision: *revision })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A stored answer of the endpoint. Its digest must never change.
    fn approval() -> Value {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/review/approval.json");
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
    }

    fn id() -> CallId {
        "0k3v9m2e8q1c4z7d.5".parse().unwrap()
    }

    fn verified(asked: &CallId, answer: &Value) -> Result<Verified, Disagrees> {
        verify(asked, &mut Approval::deserialize(answer).unwrap())
    }

    #[test]
    fn an_honest_answer_is_accepted() {
        let verified = verified(&id(), &approval()).unwrap();
        assert_eq!(verified.digest.to_string(), approval()["digest"].as_str().unwrap());
        assert_eq!(verified.proposal.action.arguments()["confidence"], json!(0.9239575072598933));
    }

    #[test]
    fn whatever_is_changed_on_the_way_is_noticed() {
        let changes = [
            ("/proposal/action/arguments/target", json!("staging")),
            ("/proposal/action/capability", json!("holdshort:agent/deployment@0.1.0#undo")),
            ("/proposal/summary", json!("nothing much")),
            ("/proposal/exhibits/0/digest", json!(Digest::of(b"another diff"))),
            ("/proposal/exhibits", json!([])),
            ("/proposal/preconditions/tip", json!("0000")),
            ("/proposal/requirement/quorum", json!(1)),
            ("/proposal/requirement/expires_at", json!(1)),
            ("/proposal/policy/digest", json!(Digest::of(b"another policy"))),
            ("/proposal/class", json!("idempotent")),
            ("/journal", json!("another")),
            ("/revision", json!(3)),
            ("/digest", json!(Digest::of(b"x"))),
            ("/action_digest", json!(Digest::of(b"x"))),
        ];
        for (pointer, value) in changes {
            let mut changed = approval();
            let place = changed.pointer_mut(pointer).unwrap();
            assert_ne!(*place, value, "{pointer} is not changed");
            *place = value;
            assert!(verified(&id(), &changed).is_err(), "{pointer}");
        }
        let other = "0k3v9m2e8q1c4z7d.6".parse().unwrap();
        assert!(matches!(verified(&other, &approval()), Err(Disagrees::AnotherCall { .. })));
        for (pointer, value) in
            [("/proposal", json!(null)), ("/digest", json!(null)), ("/proposal/class", json!("free"))]
        {
            let mut changed = approval();
            *changed.pointer_mut(pointer).unwrap() = value;
            assert!(matches!(verified(&id(), &changed), Err(Disagrees::NotUnderstood(_))), "{pointer}");
        }
    }
}
