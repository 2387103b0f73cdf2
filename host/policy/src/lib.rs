//! Policy: decides which calls are cleared, held or refused, and who must decide on held calls.
//!
//! Judging is synchronous and uses an immutable snapshot of the policies: the same question gets
//! the same verdict, and each revision of a call is judged once. Without policy files, every
//! consequential call is held ([`HoldEverything`]). With policy files, [`CedarPolicy`] judges. Read
//! in this order: [`schema`] (what policies can refer to), [`load`], [`annotations`] (who must
//! decide), `cedar`.
//!
//! **Invariant:** a cleared call gets a requirement too. If its facts change, reviewers decide by
//! this requirement, and policy is not asked again.
#![cfg_attr(test, allow(clippy::wildcard_enum_match_arm, reason = "a test fails on whatever it did not expect"))]

// `tests/asks.rs` is also a part of the tests of `host/analysis`, so it names this package
// `holdshort_policy`.
#[cfg(test)]
extern crate self as holdshort_policy;

pub mod annotations;
pub mod batch;
pub mod candidate;
pub mod cases;
mod cedar;
mod context;
mod depth;
pub mod facts;
pub mod grants;
mod hints;
pub mod isolated;
pub mod load;
mod partition;
mod people;
mod question;
mod recheck;
pub mod schema;
mod setup;
#[cfg(test)]
mod tests;
mod unmet;
mod values;

use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::{
    Action, AgentName, Consequence, Digest, FunctionType, PolicyVerdict, RecordedTotal, Requirement, ReviewerName,
    RunId, Time,
};
use holdshort_words::Sentence;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use holdshort_config::Approval;

pub use cedar::{CedarPolicy, Defaults};
pub use holdshort_config::Zone;
pub use people::People;
pub use recheck::JudgedCall;
pub use setup::PolicySetup;
pub use values::currency;

/// A question to policy about a consequential call.
#[derive(Clone, Copy, Debug)]
pub struct CallQuestion<'a> {
    pub started_by: &'a ReviewerName,
    pub agent: &'a AgentName,
    pub run: &'a RunId,
    /// The action with its typed arguments.
    pub action: &'a Action,
    pub ty: &'a FunctionType,
    /// The facts that the host found: an object, or null.
    pub facts: &'a Value,
    /// How much is at stake, as the connector rates it.
    pub consequence: Consequence,
    /// The totals of the earlier calls that were cleared or approved, if policy [uses](Policy::uses_totals) them.
    pub totals: &'a [RecordedTotal],
    /// The time that policies see as `context.now`.
    pub now: Time,
}

/// Policy's verdict with its requirement and record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    pub verdict: Verdict,
    /// The requirement in case the call is held, now or later.
    pub requirement: Requirement,
    /// The determining policies, the digest of all policies, and the evaluation errors. With an
    /// error, nothing is cleared.
    pub record: PolicyRecord,
}

/// Policy's verdict on a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// A policy cleared the call, and no policy failed. So no reviewer is needed.
    Clear,
    /// The call waits for decisions.
    Hold,
    /// The call is forbidden, for this reason.
    Refuse(#[serde(serialize_with = "written", deserialize_with = "reread")] Sentence),
}

impl Verdict {
    /// The verdict in one word, without the reason of a refusal.
    pub fn word(&self) -> PolicyVerdict {
        match self {
            Self::Clear => PolicyVerdict::Clear,
            Self::Hold => PolicyVerdict::Hold,
            Self::Refuse(_) => PolicyVerdict::Refuse,
        }
    }
}

fn written<S: Serializer>(sentence: &Sentence, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(sentence)
}

fn reread<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Sentence, D::Error> {
    Ok(holdshort_words::reread(&String::deserialize(deserializer)?))
}

/// Judges calls.
pub trait Policy: Send + Sync {
    /// Judges a call.
    fn judge(&self, question: &CallQuestion<'_>) -> Judgement;

    /// The ids of the policies; empty without policy files.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether policies use running totals. If they do, a verdict is valid only until the totals
    /// change.
    fn uses_totals(&self) -> bool {
        false
    }

    /// The totals of language models that policies read: `model_cost`, which is known only with prices, and
    /// `model_tokens`.
    fn model_totals(&self) -> &[&'static str] {
        &[]
    }

    /// Whether a verdict can depend on the time. If it can, policy judges the call again just before the effect starts.
    fn depends_on_time(&self) -> bool {
        false
    }

    /// The time zone of the policies.
    fn zone(&self) -> Zone {
        Zone::UTC
    }

    /// Why the call must not start now although policy allowed it earlier; `None` if it may start.
    /// The only possible reason is that time has passed; see [`JudgedCall`].
    fn forbidden_now(&self, _call: &JudgedCall<'_>, _now: Time) -> Option<Sentence> {
        None
    }
}

/// Holds every consequential call under the configured requirement.
#[derive(Clone, Debug)]
pub struct HoldEverything(pub Approval);

impl Policy for HoldEverything {
    fn judge(&self, question: &CallQuestion<'_>) -> Judgement {
        let requirement = self.0.requirement(question.now);
        let digest = Digest::tagged("holdshort/policy/hold-everything", format!("{self:?}").as_bytes());
        let record = PolicyRecord { determining: vec!["hold-everything".into()], ..PolicyRecord::new(digest) };
        Judgement { verdict: Verdict::Hold, requirement, record }
    }
}
