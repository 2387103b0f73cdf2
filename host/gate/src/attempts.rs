//! How attempts change a call: an attempt begins, ends, is postponed or is in doubt, and a reviewer resolves an effect
//! in doubt.

use crate::call::{Call, LookupResult, Postponement};
use crate::decision::Resolution;
use crate::ids::Time;
use crate::phase::Phase;

impl Call {
    /// Records that an attempt began. From then on the effect may have happened. The call keeps its earlier phase, and
    /// returns to it if the attempt is postponed.
    pub(crate) fn started(&mut self, attempt: u32, at: Time) {
        self.attempts = attempt;
        self.started_at = Some(at);
        self.looked_up = None;
        self.postponed = None;
        self.started_from = Some(std::mem::replace(&mut self.phase, Phase::Started));
    }

    /// Records that the attempt certainly did not happen and that another attempt is allowed. The call has its earlier
    /// clearance again, with the same time limit.
    pub(crate) fn postponed(&mut self, until: Time, reason: &str) {
        self.postponed = Some(Postponement { until, reason: reason.to_owned() });
        self.phase = self.started_from.take().unwrap_or(Phase::Held);
    }

    /// Keeps the finding of a lookup. If the outcome came without a lookup (`None`), the finding of an earlier lookup
    /// stays.
    pub(crate) fn looked_up(&mut self, evidence: Option<&String>, at: Time) {
        if let Some(evidence) = evidence {
            self.looked_up = Some(LookupResult { at, evidence: evidence.clone() });
        }
    }

    /// Applies a reviewer's resolution of an effect in doubt.
    ///
    /// **Invariant:** The text for a resolution without a message never changes. The text is not in the event, and the
    /// agent reads it: with another text, a run of an older journal would be replayed with another answer and could
    /// diverge.
    pub(crate) fn resolved(&mut self, resolution: &Resolution, message: Option<&String>, at: Time) {
        let words = || message.cloned().unwrap_or_else(|| "a person settled it".into());
        self.phase = match resolution {
            Resolution::Done(receipt) => Phase::Succeeded { receipt: receipt.clone() },
            Resolution::NotDone => Phase::Failed { reason: words() },
            Resolution::Abandon => Phase::Unresolved { reason: words() },
            Resolution::SendAgain => {
                self.sent_again = true;
                let within = self.requirement().map_or(0, |requirement| requirement.start_within_ms);
                Phase::Approved { start_by: at.plus_ms(within) }
            }
        };
    }
}
