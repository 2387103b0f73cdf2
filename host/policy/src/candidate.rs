//! Policies that are tried: what they would say of calls, which is found out in a child.
//!
//! Their text may come over HTTP, and one pattern of it may take long on one text of a call. A child has a limit of CPU time, and gives way to the host.

use std::num::NonZero;

use holdshort_gate::{Action, Consequence, Counted, RunId, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::isolated::Reader;
use super::load::{Problems, Source};
use super::schema::Types;
use super::{CallQuestion, CedarPolicy, Judgement, Policy};

/// How many threads judge: a host has other things to do.
const THREADS_MAX: usize = 2;

/// A question to policy with all that it is about, so that it can be put in another process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Put {
    /// Who started the run.
    pub started_by: String,
    /// The agent's configured name.
    pub agent: String,
    /// The run that asks.
    pub run: RunId,
    /// What it wants to do.
    pub action: Action,
    /// What the host found out about it.
    pub facts: Value,
    /// How much is at stake.
    pub consequence: Consequence,
    /// What was cleared or approved before.
    pub totals: Vec<Counted>,
    /// When it asks.
    pub now: Time,
}

impl Put {
    /// The question as policy is asked it; nothing for a function whose type is not known.
    pub fn question<'a>(&'a self, types: &'a Types) -> Option<CallQuestion<'a>> {
        let Self { started_by, agent, run, action, facts, consequence, totals, now } = self;
        let ty = types.get(action.capability())?;
        Some(CallQuestion { started_by, agent, run, action, ty, facts, consequence: *consequence, totals, now: *now })
    }
}

/// Such policies.
pub struct Candidate {
    policy: CedarPolicy,
    sources: Vec<Source>,
    reader: Reader,
}

impl Candidate {
    pub(super) fn new(policy: CedarPolicy, sources: Vec<Source>, reader: Reader) -> Self {
        Self { policy, sources, reader }
    }

    /// Without a child, for tests.
    #[cfg(test)]
    pub(super) fn in_process(policy: CedarPolicy) -> Self {
        Self::new(policy, Vec::new(), Reader::in_process())
    }

    /// What was read.
    pub fn policy(&self) -> &CedarPolicy {
        &self.policy
    }

    /// The answers, in order; an error if they take more than a child may.
    pub fn judge(&self, types: &Types, puts: &[Put]) -> Result<Vec<Judgement>, Problems> {
        self.reader.judge(&self.sources, &self.policy, types, puts)
    }
}

/// The answers of policies that the operator trusts, in order. Each is about its own call, so several threads judge.
pub fn judge_all(policy: &CedarPolicy, types: &Types, puts: &[Put]) -> Vec<Judgement> {
    let one = |put: &Put| put.question(types).map(|question| policy.judge(&question));
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
    if puts.len() < 2 * threads {
        return puts.iter().filter_map(one).collect();
    }
    let parts = puts.chunks(puts.len().div_ceil(threads));
    std::thread::scope(|scope| {
        let work: Vec<_> =
            parts.map(|part| (part, scope.spawn(|| part.iter().filter_map(one).collect::<Vec<_>>()))).collect();
        // A thread that did not end has judged nothing: its part is judged here.
        let done =
            work.into_iter().map(|(part, work)| work.join().unwrap_or_else(|_| part.iter().filter_map(one).collect()));
        done.flatten().collect()
    })
}
