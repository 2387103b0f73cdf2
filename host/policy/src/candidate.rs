//! Policies under test: a child process computes their verdicts.
//!
//! The text of these policies may come over HTTP, and matching one pattern with one text of a call
//! can take long. So the child has a CPU limit and a low priority.

use super::batch::OwnedQuestion;
use super::isolated::Reader;
use super::load::{Problems, Source};
use super::schema::Types;
use super::{CedarPolicy, Judgement};

/// Policies under test.
pub struct Candidate {
    policy: CedarPolicy,
    sources: Vec<Source>,
    reader: Reader,
}

impl Candidate {
    pub(super) fn new(policy: CedarPolicy, sources: Vec<Source>, reader: Reader) -> Self {
        Self { policy, sources, reader }
    }

    /// Makes a candidate that is judged in this process, for tests.
    pub fn in_process(policy: CedarPolicy) -> Self {
        Self::new(policy, Vec::new(), Reader::in_process())
    }

    /// The policies.
    pub fn policy(&self) -> &CedarPolicy {
        &self.policy
    }

    /// The verdicts on the calls in their order. It is an error if the child exceeds its limits.
    pub fn judge(&self, types: &Types, questions: &[OwnedQuestion]) -> Result<Vec<Judgement>, Problems> {
        self.reader.judge(&self.sources, &self.policy, types, questions)
    }
}
