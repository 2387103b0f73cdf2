//! What is cleared, held or refused, and who must decide.
//!
//! Judging is synchronous and on an immutable snapshot: the same question gets the same answer, and it is asked once per revision of a call.
//! Without policy files every consequential call is held, and nothing is ever cleared without a person ([`HoldEverything`]). With them
//! [`CedarPolicy`] judges: read [`schema`] (what policies can speak of), [`load`], [`annotations`] (who must decide), `cedar`.
//!
//! **Invariant:** The requirement is also made for a call that policy clears: if the facts of that call change, people are asked by this
//! requirement, and policy is not asked twice.
#![cfg_attr(test, allow(clippy::wildcard_enum_match_arm, reason = "a test fails on whatever it did not expect"))]

pub mod annotations;
mod apart;
pub mod backtest;
pub mod candidate;
pub mod cases;
mod cedar;
mod context;
mod depth;
pub mod explain;
pub mod facts;
pub mod grants;
mod hints;
pub mod isolated;
pub mod like;
pub mod load;
mod overtaken;
mod people;
mod question;
pub mod schema;
mod setting;
#[cfg(test)]
mod tests;
mod unmet;
mod values;

use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::{Action, Consequence, Counted, Digest, FunctionType, Requirement, RunId, Time};
use holdshort_words::Sentence;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use holdshort_config::Approval;

pub use cedar::{Base, CedarPolicy};
pub use holdshort_config::Zone;
pub use overtaken::JudgedCall;
pub use people::People;
pub use setting::Setting;

/// What policy is asked about a consequential call.
#[derive(Clone, Copy, Debug)]
pub struct CallQuestion<'a> {
    /// Who started the run.
    pub started_by: &'a str,
    /// The agent's configured name.
    pub agent: &'a str,
    /// The run that asks.
    pub run: &'a RunId,
    /// What it wants to do, with typed arguments.
    pub action: &'a Action,
    /// The type of the function.
    pub ty: &'a FunctionType,
    /// What the host found out about it; an object, or null.
    pub facts: &'a Value,
    /// How much is at stake, as the connector sees it.
    pub consequence: Consequence,
    /// What was cleared or approved before, if policy [uses](Policy::uses_totals) it.
    pub totals: &'a [Counted],
    /// When it asks.
    pub now: Time,
}

/// Policy's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// What becomes of the call.
    pub verdict: Verdict,
    /// Who must decide, should it be held now or later.
    pub requirement: Requirement,
    /// The policies that determined the verdict, the digest of the set, and what went wrong: with an error nothing is cleared.
    pub record: PolicyRecord,
}

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// No person is needed, if some policy determined so and none failed.
    Clear,
    /// It waits for decisions.
    Hold,
    /// It is forbidden, for this reason.
    Refuse(#[serde(serialize_with = "written", deserialize_with = "reread")] Sentence),
}

fn written<S: Serializer>(sentence: &Sentence, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(sentence)
}

fn reread<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Sentence, D::Error> {
    Ok(holdshort_words::reread(&String::deserialize(deserializer)?))
}

/// Judges calls.
pub trait Policy: Send + Sync {
    /// What becomes of this call.
    fn judge(&self, question: &CallQuestion<'_>) -> Judgement;

    /// The policies that it judges by, as a verdict names them; none that anybody wrote, if it has no files.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether running totals play a part. A verdict counts only while they are as they were.
    fn uses_totals(&self) -> bool {
        false
    }

    /// Whether a verdict may depend on the time, so that it has to be asked for again before the effect starts.
    fn goes_by_time(&self) -> bool {
        false
    }

    /// The time zone whose calendar and clock policies read.
    fn zone(&self) -> Zone {
        Zone::UTC
    }

    /// What the time that has passed since a call was judged has made of its verdict, if that must keep it from happening now; see [`JudgedCall`].
    fn overtaken(&self, _call: &JudgedCall<'_>, _now: Time) -> Option<Sentence> {
        None
    }
}

/// Holds everything consequential, under the one requirement of the configuration.
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
