//! Questions to policy with all their data, and the verdicts on many of them.

use std::num::NonZero;

use holdshort_gate::{Action, AgentName, Consequence, RecordedTotal, ReviewerName, RunId, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::schema::Types;
use super::{CallQuestion, CedarPolicy, Judgement, Policy};

/// The number of threads that judge. There are few, because a host has other work too.
const THREADS_MAX: usize = 2;

/// A question to policy with all its data, so that it can be sent to another process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OwnedQuestion {
    /// The reviewer who started the run.
    pub started_by: ReviewerName,
    pub agent: AgentName,
    pub run: RunId,
    pub action: Action,
    pub facts: Value,
    pub consequence: Consequence,
    /// The totals of the earlier calls that were cleared or approved.
    pub totals: Vec<RecordedTotal>,
    /// The time that policies see as `context.now`.
    pub now: Time,
}

impl OwnedQuestion {
    /// The question for policy; `None` for a function of unknown type.
    pub fn question<'a>(&'a self, types: &'a Types) -> Option<CallQuestion<'a>> {
        let Self { started_by, agent, run, action, facts, consequence, totals, now } = self;
        let ty = types.get(action.capability())?;
        Some(CallQuestion { started_by, agent, run, action, ty, facts, consequence: *consequence, totals, now: *now })
    }
}

/// The verdicts on the questions, in their order. A question about a function of unknown type gets
/// no verdict. Questions do not depend on each other, so several threads judge. There are no limits of
/// time and memory here, so policies that are not trusted must be judged in a child process.
pub fn judge_all(policy: &CedarPolicy, types: &Types, questions: &[OwnedQuestion]) -> Vec<Judgement> {
    let one = |put: &OwnedQuestion| put.question(types).map(|question| policy.judge(&question));
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
    if questions.len() < 2 * threads {
        return questions.iter().filter_map(one).collect();
    }
    let parts = questions.chunks(questions.len().div_ceil(threads));
    std::thread::scope(|scope| {
        let work: Vec<_> =
            parts.map(|part| (part, scope.spawn(|| part.iter().filter_map(one).collect::<Vec<_>>()))).collect();
        // If a thread failed, this thread judges the failed thread's part of the calls.
        let done =
            work.into_iter().map(|(part, work)| work.join().unwrap_or_else(|_| part.iter().filter_map(one).collect()));
        done.flatten().collect()
    })
}
