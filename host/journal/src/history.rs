//! The events that count as decisions, and the words by which finished calls are found.
//!
//! **Invariant:** A decision in the history is a row that never changes. A list shows it with the summary and the
//! evidence that the call had at the time of the decision. The rows need no index by time: time never goes back in a
//! journal, so a binary search over positions finds a time.
//!
//! **Invariant:** A search finds a call once the call is over, by the beginnings of words (FTS5, over words that the
//! host splits itself, so that every store has the same words). The words are not written earlier, because an effect
//! would then have to wait for that write.

use std::collections::BTreeSet;

use holdshort_gate::{Call, Event, RecordedChoice, Resolution, ReviewerName, Run};

/// How many words of a call are used at most; a task may be as long as a book.
const WORDS_MAX: usize = 400;

holdshort_gate::named_enum! {
    /// The kind of a decision about a call: a reviewer's decision `approve`, `edit`, `reject` or `respond`; a
    /// reviewer's resolution of an effect in doubt: `done`, `not-done`, `abandon`, `send-again`; `cancel` of the run;
    /// `expire`; and policy's `clear` and `refuse`.
    // The journal's tables store the number of a kind in this list, so a new kind must be added at the end.
    pub enum DecisionKind {
        /// A reviewer approved.
        Approve = "approve",
        /// A reviewer edited.
        Edit = "edit",
        /// A reviewer rejected.
        Reject = "reject",
        /// A reviewer answered a question.
        Respond = "respond",
        /// A reviewer found that an effect in doubt had happened.
        Done = "done",
        /// A reviewer found that an effect in doubt had not happened.
        NotDone = "not-done",
        /// A reviewer gave up: the outcome of an effect in doubt stays unknown.
        Abandon = "abandon",
        /// A reviewer resolved an effect in doubt with "send again".
        SendAgain = "send-again",
        /// The run was cancelled, or it ended.
        Cancel = "cancel",
        /// The call's time was over.
        Expire = "expire",
        /// Policy cleared the call.
        Clear = "clear",
        /// Policy, a limit or the connector refused the call.
        Refuse = "refuse",
    }
}

impl DecisionKind {
    /// The kinds of decisions that only reviewers make.
    pub const BY_PEOPLE: [Self; 8] = [
        Self::Approve,
        Self::Edit,
        Self::Reject,
        Self::Respond,
        Self::Done,
        Self::NotDone,
        Self::Abandon,
        Self::SendAgain,
    ];
}

/// The decision that an event records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DecisionRecord<'a> {
    pub(crate) by: Option<&'a ReviewerName>,
    pub(crate) kind: DecisionKind,
    pub(crate) message: Option<&'a str>,
}

/// The decision that an event records, if any. `before` is the previous event of the run. It is needed when a cancelled
/// run withdraws its open call: only the previous event says who cancelled the run.
pub(crate) fn decision<'a>(event: &'a Event, before: Option<&'a Event>) -> Option<DecisionRecord<'a>> {
    let record = |by, kind, message: &'a Option<String>| DecisionRecord { by, kind, message: message.as_deref() };
    #[allow(clippy::wildcard_enum_match_arm, reason = "every other event follows from one of these")]
    match event {
        Event::DecisionMade { decision, .. } => {
            let kind = match decision.verdict {
                RecordedChoice::Approve => DecisionKind::Approve,
                RecordedChoice::Edit(_) => DecisionKind::Edit,
                RecordedChoice::Reject => DecisionKind::Reject,
                RecordedChoice::Respond(_) => DecisionKind::Respond,
            };
            Some(record(Some(&decision.reviewer), kind, &decision.message))
        }
        Event::EffectResolved { by, resolution, message, .. } => {
            let kind = match resolution {
                Resolution::Done(_) => DecisionKind::Done,
                Resolution::NotDone => DecisionKind::NotDone,
                Resolution::Abandon => DecisionKind::Abandon,
                Resolution::SendAgain => DecisionKind::SendAgain,
            };
            Some(record(Some(by), kind, message))
        }
        Event::CallCancelled { .. } => match before {
            Some(Event::RunCancelled { by, reason }) => Some(record(Some(by), DecisionKind::Cancel, reason)),
            _ => Some(record(None, DecisionKind::Cancel, &None)),
        },
        Event::CallExpired { .. } => Some(record(None, DecisionKind::Expire, &None)),
        Event::CallCleared { .. } => Some(record(None, DecisionKind::Clear, &None)),
        Event::CallRefused { .. } => Some(record(None, DecisionKind::Refuse, &None)),
        _ => None,
    }
}

/// The words of a text in lower case. Every character that is neither a letter nor a digit separates words.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// The words by which a finished call is found.
pub(crate) fn words_of(call: &Call, run: &Run, task: &str) -> BTreeSet<String> {
    let people = call.decisions.iter().map(|made| made.decision.reviewer.as_str());
    let summary = call.proposal().map_or("", |proposal| &proposal.summary);
    let capability = call.action().capability().to_string();
    let texts =
        [summary, run.agent.as_str(), &capability, run.started_by.as_str()].into_iter().chain(people).chain([task]);
    texts.flat_map(words).take(WORDS_MAX).collect()
}
