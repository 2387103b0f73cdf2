//! Verifies an approval before a decision: computes the digests again from the shown content.

use holdshort_gate::{Clearance, Digest, JournalId, Proposal, RunId};
use serde::Deserialize;
use serde_json::Value;

use crate::cli::args::CallId;
use crate::cli::exit::{Exit, Failure};

/// A proposal whose digest equals the one that the host gave.
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
    /// The answer contains no proposal.
    #[error("the host's answer is not an approval that this program understands: {0}")]
    NotUnderstood(String),
    /// The answer is about another call.
    #[error("the host answered about `{found}` when asked about `{asked}`")]
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
            .hint("nothing was sent: either the host is of another version than this program, or something between them changes its answers")
    }
}

/// The part of an approval that the digest covers or that is needed to check it.
#[derive(Deserialize)]
struct Covered {
    journal: JournalId,
    run: RunId,
    call: u32,
    revision: u32,
    digest: Digest,
    action_digest: Digest,
    proposal: Proposal,
}

/// Computes the digests of the approval `asked` and compares them with the host's.
pub fn verify(asked: &CallId, approval: &Value) -> Result<Verified, Disagrees> {
    let covered = Covered::deserialize(approval).map_err(|error| Disagrees::NotUnderstood(error.to_string()))?;
    let Covered { journal, run, call, revision, digest, action_digest, proposal } = covered;
    let found = format!("{run}.{call}");
    if found != asked.to_string() {
        return Err(Disagrees::AnotherCall { asked: asked.to_string(), found });
    }
    let action = proposal.action.digest();
    if action != action_digest {
        return Err(Disagrees::Action { computed: action, claimed: action_digest });
    }
    let computed = Clearance { journal: &journal, run: &run, call, revision, proposal: &proposal }.digest();
    if computed != digest {
        return Err(Disagrees::Clearance { computed, claimed: digest });
    }
    Ok(Verified { proposal, digest, revision })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A stored answer of the endpoint. Its digest must never change.
    fn approval() -> Value {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/review/approval.json");
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
    }

    fn id() -> CallId {
        "0k3v9m2e8q1c4z7d.5".parse().unwrap()
    }

    #[test]
    fn an_honest_answer_is_accepted() {
        let verified = verify(&id(), &approval()).unwrap();
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
            assert!(verify(&id(), &changed).is_err(), "{pointer}");
        }
        let other = "0k3v9m2e8q1c4z7d.6".parse().unwrap();
        assert!(matches!(verify(&other, &approval()), Err(Disagrees::AnotherCall { .. })));
        assert!(matches!(verify(&id(), &json!({"proposal": null})), Err(Disagrees::NotUnderstood(_))));
    }
}
