//! Finds verdicts that are outdated because time has passed.
//!
//! Policy judges a call when it is proposed, and this verdict stays even if policies change. If
//! policies depend on the time, this is not enough: a policy such as "no deployment on a Friday
//! afternoon" is about the time of the effect. So the present policies judge the call twice more:
//! for the time of the proposal and for the present time. Only a difference between these two
//! verdicts counts. This happens before an approval is recorded and before an effect starts, and it
//! can only prevent an effect.

use holdshort_gate::{AgentName, FunctionType, Proposal, ReviewerName, RunId, Time};
use holdshort_words::{Sentence, configured, say};

use super::{CallQuestion, CedarPolicy, Policy, Verdict};

/// A call that policy has judged, with the content of the question that policy answered.
#[derive(Clone, Copy, Debug)]
pub struct JudgedCall<'a> {
    pub started_by: &'a ReviewerName,
    pub agent: &'a AgentName,
    pub run: &'a RunId,
    /// The judged proposal, with its totals and time.
    pub proposal: &'a Proposal,
    /// Whether policy alone cleared the call, without a reviewer or a grant.
    pub by_policy: bool,
}

impl JudgedCall<'_> {
    /// The reason why the call must not start now: policy forbids it at this time, or no longer
    /// clears a call that policy alone cleared. `None` if there is no such reason.
    pub(super) fn forbidden_now(&self, policy: &CedarPolicy, now: Time) -> Option<Sentence> {
        let proposal = self.proposal;
        let then = proposal.policy.judged_at.as_ref()?.at;
        // If this host no longer offers the function, the call is judged without its arguments, for
        // both times.
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
        let clock = configured(policy.zone().local_time_text(now));
        match (before, after) {
            // The present policies would have refused the call at the time of the proposal too. So
            // the policies have changed, and this does not affect a waiting call.
            (Verdict::Refuse(_), _) => None,
            (_, Verdict::Refuse(why)) => Some(say!("{} (the time is {})", why, clock)),
            (Verdict::Clear, Verdict::Hold) if self.by_policy => {
                Some(say!("policy no longer clears the call (the time is {})", clock))
            }
            (_, Verdict::Hold | Verdict::Clear) => None,
        }
    }
}
