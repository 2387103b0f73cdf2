//! What is cleared, held or refused, and who must decide.
//!
//! Judging is synchronous and on an immutable snapshot: the same question gets the same answer, and it is asked once per revision of a call.
//! The one implementation holds every consequential call; nothing is ever cleared without a person.

use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::{Action, Digest, Requirement, Reviewers, Time};

/// What policy is asked about a consequential call.
#[derive(Clone, Copy, Debug)]
pub struct CallQuestion<'a> {
    /// Who started the run.
    pub started_by: &'a str,
    /// The agent's configured name.
    pub agent: &'a str,
    /// What it wants to do, with typed arguments.
    pub action: &'a Action,
    /// When it asks.
    pub now: Time,
}

/// Policy's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// What becomes of the call.
    pub verdict: Verdict,
    /// Who must decide, should it be held now or later.
    pub requirement: Requirement,
    /// The policies that determined the verdict, the digest of the set, and what went wrong: with an error nothing is cleared.
    pub record: PolicyRecord,
}

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No person is needed, if some policy determined so and none failed.
    Clear,
    /// It waits for decisions.
    Hold,
    /// It is forbidden, for this reason.
    Refuse(String),
}

/// Judges calls.
pub trait Policy: Send + Sync {
    /// What becomes of this call.
    fn judge(&self, question: &CallQuestion<'_>) -> Judgement;
}

/// Holds everything consequential, under one requirement from the configuration.
#[derive(Clone, Debug)]
pub struct HoldEverything {
    /// Who may decide.
    pub reviewers: Reviewers,
    /// How many different people must approve.
    pub quorum: u32,
    /// Whether who started the run, or edited the action, is barred from approving it.
    pub four_eyes: bool,
    /// How long a call may wait for decisions, in milliseconds; for ever, if absent.
    pub expires_after_ms: Option<u64>,
    /// How long after it was cleared the effect may still start, in milliseconds.
    pub start_within_ms: u64,
}

impl Policy for HoldEverything {
    fn judge(&self, question: &CallQuestion<'_>) -> Judgement {
        let requirement = Requirement {
            reviewers: self.reviewers.clone(),
            quorum: self.quorum,
            four_eyes: self.four_eyes,
            expires_at: self.expires_after_ms.map(|ms| question.now.plus_ms(ms)),
            start_within_ms: self.start_within_ms,
        };
        let digest = Digest::tagged("holdshort/policy/hold-everything", format!("{self:?}").as_bytes());
        let record = PolicyRecord { digest, determining: vec!["hold-everything".into()], errors: Vec::new() };
        Judgement { verdict: Verdict::Hold, requirement, record }
    }
}
