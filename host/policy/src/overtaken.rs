//! Whether the time alone has overtaken a verdict.
//!
//! Policy is asked once, when a call is proposed, and that verdict stands, whatever becomes of the policies. Where they speak of the time this is not enough:
//! "no deployment on a Friday afternoon" is about when it happens. So the same call is judged twice more, as of then and as of now, and only what
//! differs by that counts. It is asked before an approval is taken and before an effect starts, and can only keep something from happening.

use holdshort_gate::{FunctionType, Proposal, RunId, Time};
use holdshort_words::{Sentence, configured, say};

use super::{CallQuestion, CedarPolicy, Policy, Verdict};

/// A call that was judged, as it was put to policy then.
#[derive(Clone, Copy, Debug)]
pub struct JudgedCall<'a> {
    /// Who started the run.
    pub started_by: &'a str,
    /// The agent's configured name.
    pub agent: &'a str,
    /// Its run.
    pub run: &'a RunId,
    /// What was judged, with the totals and the time of then.
    pub proposal: &'a Proposal,
    /// Whether policy alone has cleared it, and no person and no grant.
    pub by_policy: bool,
}

impl JudgedCall<'_> {
    /// Why it may not happen now, in words: policy forbids it at this time, or no longer clears what nobody else has cleared.
    pub(super) fn overtaken(&self, policy: &CedarPolicy, now: Time) -> Option<Sentence> {
        let proposal = self.proposal;
        let then = proposal.policy.judged_at.as_ref()?.at;
        // A function that this host no longer offers is judged without its arguments, both times alike.
        let unknown = FunctionType { params: Vec::new(), result: None };
        let ty = policy.function(proposal.action.capability()).unwrap_or(&unknown);
        let verdict = |now| {
            let question = CallQuestion {
                started_by: self.started_by,
                agent: self.agent,
                run: self.run,
                action: &proposal.action,
                ty,
                facts: &proposal.facts,
                consequence: proposal.consequence.unwrap_or_default(),
                totals: &proposal.policy.totals,
                now,
            };
            policy.judge(&question).verdict
        };
        let (before, after) = (verdict(then), verdict(now));
        let clock = configured(policy.zone().told(now));
        match (before, after) {
            // Policies that would have refused it then were changed since, which is nothing to a call that waits.
            (Verdict::Refuse(_), _) => None,
            (_, Verdict::Refuse(why)) => Some(say!("{} (it is {})", why, clock)),
            (Verdict::Clear, Verdict::Hold) if self.by_policy => {
                Some(say!("policy no longer clears it (it is {})", clock))
            }
            (_, Verdict::Hold | Verdict::Clear) => None,
        }
    }
}
