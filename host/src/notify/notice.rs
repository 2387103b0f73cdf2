//! Decides which events of the journal cause a notification, and collects its content.

use holdshort_gate::{
    AgentName, Call, CallNumber, Event, JournalId, Phase, RecordedChoice, Requirement, ReviewerName, Run, RunId, Time,
};
use holdshort_journal::{JournalEntry, Position};

/// The kinds of notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A call waits for decisions: for the first time, again, or in its next stage.
    Held,
    /// A deadline is near.
    Reminder,
    /// A call was approved, rejected or answered.
    Decided,
    /// A deadline passed without a decision or without a start of the effect.
    Expired,
    /// A run was cancelled or ended, and with it a call that was held or not yet started.
    Withdrawn,
    /// An effect started and its outcome is unknown.
    InDoubt,
    Delayed,
    Finished,
    /// A run ended without a result.
    Failed,
    /// An operator tests the target.
    Test,
}

impl Kind {
    /// The notification's `type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Held => "approval.held",
            Self::Reminder => "approval.reminder",
            Self::Decided => "approval.decided",
            Self::Expired => "approval.expired",
            Self::Withdrawn => "approval.cancelled",
            Self::InDoubt => "effect.in-doubt",
            Self::Delayed => "run.delayed",
            Self::Finished => "run.finished",
            Self::Failed => "run.failed",
            Self::Test => "test",
        }
    }

    /// Whether the notification asks a reviewer to act, so that it is obsolete after the action.
    pub(super) fn asks(self) -> bool {
        matches!(self, Self::Held | Self::Reminder | Self::InDoubt)
    }
}

/// The content of a notification. It has neither arguments nor a digest, so nobody can decide with
/// it.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The id. It is the same for every attempt and after every restart. No other notification has it.
    pub id: String,
    pub kind: Kind,
    /// The time of the event.
    pub at: Time,
    pub run: RunId,
    pub agent: AgentName,
    pub started_by: ReviewerName,
    /// The call, unless the notification is about a run.
    pub call: Option<NoticeCall>,
    /// The outcome, or the reason why the call is held again, in the host's words.
    pub outcome: Option<String>,
    /// Whether the approvals of the earlier stage are complete and the next stage is asked.
    pub next_stage: bool,
}

/// The part of a notification about a call.
#[derive(Clone, Debug)]
pub struct NoticeCall {
    pub number: CallNumber,
    pub capability: String,
    /// The connector's summary. It quotes the agent, so it may be shown only in visible form.
    pub summary: String,
    /// The revision, from 1. It grows by one with each edit, and each time the call is held again.
    pub revision: u32,
    pub deadline: Option<Time>,
    /// The requirement; `None` if the call was refused without a reviewer.
    pub requirement: Option<Requirement>,
    pub edited_by: Option<ReviewerName>,
    /// The current stage, counted from 0.
    pub stage: usize,
    /// The number of escalations so far.
    pub level: usize,
}

impl Notice {
    /// The kind of notification for an event, decided by the event alone.
    pub(super) fn kind(event: &Event) -> Option<Kind> {
        match event {
            Event::CallHeld { .. }
            | Event::CallRevised { .. }
            | Event::CallReheld { .. }
            | Event::CallEscalated { .. } => Some(Kind::Held),
            Event::DecisionMade { .. } => Some(Kind::Decided),
            Event::CallExpired { .. } => Some(Kind::Expired),
            Event::CallCancelled { .. } => Some(Kind::Withdrawn),
            Event::EffectInDoubt { .. } => Some(Kind::InDoubt),
            Event::RunDelayed { told, .. } => told.then_some(Kind::Delayed),
            Event::RunFinished { result: Ok(_) } => Some(Kind::Finished),
            Event::RunFinished { result: Err(_) }
            | Event::RunTrapped { .. }
            | Event::RunCancelled { .. }
            | Event::RunDiverged { .. } => Some(Kind::Failed),
            Event::RunCreated { .. }
            | Event::RoutineReturned { .. }
            | Event::CallCleared { .. }
            | Event::CallRefused { .. }
            | Event::GrantMade { .. }
            | Event::GrantRevoked { .. }
            | Event::CallAnswered { .. }
            | Event::EffectStarted { .. }
            | Event::EffectPostponed { .. }
            | Event::EffectSucceeded { .. }
            | Event::EffectFailed { .. }
            | Event::EffectLookedUp { .. }
            | Event::EffectResolved { .. }
            | Event::TimerSet { .. }
            | Event::TimerFired { .. } => None,
        }
    }

    /// The notification for an event, if there is one. `run` and `call` are the states right after
    /// the event, so the content is the same at any time.
    pub(super) fn of(journal: &JournalId, entry: &JournalEntry, run: &Run, call: Option<&Call>) -> Option<Self> {
        let event = &entry.recorded.event;
        let mut kind = Self::kind(event)?;
        if let Some(call) = call.filter(|call| kind == Kind::Decided && call.phase == Phase::Held && !answers(event)) {
            // Single approvals and edits cause no notification: a new revision has a notification of its own. But the
            // last approval of a stage notifies the reviewers of the next stage.
            if !begins_a_stage(event, call) {
                return None;
            }
            kind = Kind::Held;
        }
        let Position(position) = entry.position;
        Some(Self {
            id: id(journal, &position.to_string(), kind),
            kind,
            at: entry.recorded.at,
            run: entry.run.clone(),
            agent: run.agent.clone(),
            started_by: run.started_by.clone(),
            call: call.map(NoticeCall::of),
            outcome: outcome(event),
            next_stage: kind == Kind::Held && matches!(event, Event::DecisionMade { .. }),
        })
    }

    /// The reminder for a held call.
    pub(super) fn reminder(journal: &JournalId, id_of_run: &RunId, run: &Run, call: &Call, now: Time) -> Self {
        let place = format!("{id_of_run}-{}-{}", call.number, call.revision);
        Self {
            id: id(journal, &place, Kind::Reminder),
            kind: Kind::Reminder,
            at: now,
            run: id_of_run.clone(),
            agent: run.agent.clone(),
            started_by: run.started_by.clone(),
            call: Some(NoticeCall::of(call)),
            outcome: None,
            next_stage: false,
        }
    }

    /// A notification for testing a target.
    pub fn test(drawn: &str, now: Time) -> Self {
        let id = format!("msg_{drawn}_test");
        let (kind, run, agent, started_by) = (Kind::Test, RunId("test".into()), "test".into(), ReviewerName::default());
        Self { id, kind, at: now, run, agent, started_by, call: None, outcome: None, next_stage: false }
    }
}

impl NoticeCall {
    fn of(call: &Call) -> Self {
        Self {
            number: call.number,
            capability: call.action().capability().to_string(),
            summary: call.proposal().map(|proposal| proposal.summary.clone()).unwrap_or_default(),
            revision: call.revision,
            deadline: call.deadline(),
            requirement: call.requirement().cloned(),
            edited_by: call.edited_by.clone(),
            stage: call.stage,
            level: call.level,
        }
    }
}

/// Standard Webhooks signs `id.timestamp.body`, so an id must not contain a dot.
fn id(journal: &JournalId, place: &str, kind: Kind) -> String {
    format!("msg_{}_{place}_{}", journal.0, kind.name().replace('.', "-"))
}

/// Whether an approval completed its stage and began the next: the current stage has no approvals yet.
fn begins_a_stage(event: &Event, call: &Call) -> bool {
    let approves =
        matches!(event, Event::DecisionMade { decision, .. } if matches!(decision.verdict, RecordedChoice::Approve));
    let last = call.votes.last().is_some_and(|vote| vote.at == call.changed_at && vote.stage + 1 == call.stage);
    approves && last && call.votes.iter().all(|vote| vote.stage < call.stage)
}

/// Whether the event is an answer. An answer leaves the call held until the next event, which the same transaction
/// writes.
fn answers(event: &Event) -> bool {
    matches!(event, Event::DecisionMade { decision, .. } if matches!(decision.verdict, RecordedChoice::Respond(_)))
}

/// The outcome in the host's words. It contains names, and no text of an agent or a reviewer.
fn outcome(event: &Event) -> Option<String> {
    Some(match event {
        Event::CallRevised { by, revision, .. } => format!("edited by {by}: revision {revision}"),
        Event::CallReheld { revision, .. } => format!("the facts have changed: revision {revision}"),
        Event::CallEscalated { level, .. } => format!("no decision in time: escalation {level}"),
        Event::DecisionMade { decision, .. } => {
            let verb = match decision.verdict {
                RecordedChoice::Approve => "approved",
                RecordedChoice::Reject => "rejected",
                RecordedChoice::Respond(_) => "answered",
                RecordedChoice::Edit(_) => "edited",
            };
            format!("{verb} by {}", decision.reviewer)
        }
        Event::RunDelayed { delayed, .. } => {
            format!("the host tried {} times; the page of the run shows the reason", delayed.tries)
        }
        Event::RunFinished { result: Ok(_) } => "finished".into(),
        Event::RunFinished { result: Err(_) } => "returned an error".into(),
        Event::RunTrapped { .. } => "trapped".into(),
        Event::RunDiverged { .. } => "diverged from its journal".into(),
        Event::RunCancelled { by, .. } => format!("cancelled by {by}"),
        Event::RunCreated { .. }
        | Event::RoutineReturned { .. }
        | Event::CallCleared { .. }
        | Event::CallHeld { .. }
        | Event::CallRefused { .. }
        | Event::GrantMade { .. }
        | Event::GrantRevoked { .. }
        | Event::CallAnswered { .. }
        | Event::CallExpired { .. }
        | Event::CallCancelled { .. }
        | Event::EffectStarted { .. }
        | Event::EffectPostponed { .. }
        | Event::EffectSucceeded { .. }
        | Event::EffectFailed { .. }
        | Event::EffectInDoubt { .. }
        | Event::EffectLookedUp { .. }
        | Event::EffectResolved { .. }
        | Event::TimerSet { .. }
        | Event::TimerFired { .. } => return None,
    })
}
