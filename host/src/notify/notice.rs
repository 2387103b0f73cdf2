//! What is told: which events of the journal, and what of them.

use holdshort_gate::{Call, CallNumber, Event, JournalId, Requirement, Run, RunId, Time, Verdict};
use holdshort_journal::{Entry, Position};

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A call waits for a decision, for the first time or again.
    Held,
    /// Its deadline is near.
    Reminder,
    /// It was approved, rejected or answered.
    Decided,
    /// Nobody decided, or the effect did not start, in time.
    Expired,
    /// Its run was cancelled while it waited.
    Withdrawn,
    /// An effect started, and what came of it is unknown.
    InDoubt,
    /// The host cannot bring a run forward.
    Delayed,
    /// A run ended with a result.
    Finished,
    /// A run ended otherwise.
    Failed,
    /// Somebody tries the target.
    Test,
}

impl Kind {
    /// The message's `type`.
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

    /// Whether somebody is asked to do something, which is pointless once it is done.
    pub(super) fn asks(self) -> bool {
        matches!(self, Self::Held | Self::Reminder | Self::InDoubt)
    }
}

/// One message's content. It has neither arguments nor a digest: nobody can decide by it.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The same for every attempt and after every restart, and different from every other's.
    pub id: String,
    /// What it is about.
    pub kind: Kind,
    /// When that happened.
    pub at: Time,
    /// The run.
    pub run: RunId,
    /// The agent's configured name.
    pub agent: String,
    /// Who started the run.
    pub started_by: String,
    /// The call, if it is about one.
    pub call: Option<About>,
    /// How it ended, or why it is asked again, in the host's words.
    pub outcome: Option<String>,
    /// Whether it is asked for because those of the stage before have approved.
    pub next_stage: bool,
}

/// What a message says of a call.
#[derive(Clone, Debug)]
pub struct About {
    /// Its number.
    pub number: CallNumber,
    /// What was asked for.
    pub capability: String,
    /// The host's one line, which quotes the agent: to be shown as visible text only.
    pub summary: String,
    /// 1, and one more for each edit and change of facts.
    pub revision: u32,
    /// When it lapses.
    pub deadline: Option<Time>,
    /// Who must decide; nothing if it was refused before anybody was asked.
    pub requirement: Option<Requirement>,
    /// Who edited it.
    pub edited_by: Option<String>,
    /// The stage that is decided on, from 0.
    pub stage: usize,
    /// How often it was escalated.
    pub level: usize,
}

impl Notice {
    /// What kind of message an event may be worth, by a look at the event alone.
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

    /// The message about an event, if it is worth one: `run` and `call` are as the event left them, so that it says the same whenever it is made.
    pub(super) fn of(journal: &JournalId, entry: &Entry, run: &Run, call: Option<&Call>) -> Option<Self> {
        let event = &entry.recorded.event;
        let mut kind = Self::kind(event)?;
        if let Some(call) = call.filter(|call| kind == Kind::Decided && call.phase.name() == "held" && !answers(event))
        {
            // A vote of several, or an edit, whose new revision is told by itself; but the last vote of a stage asks the people of the next.
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
            call: call.map(About::of),
            outcome: outcome(event),
            next_stage: kind == Kind::Held && matches!(event, Event::DecisionMade { .. }),
        })
    }

    /// The reminder of a held call.
    pub(super) fn reminder(journal: &JournalId, id_of_run: &RunId, run: &Run, call: &Call, now: Time) -> Self {
        let place = format!("{id_of_run}-{}-{}", call.number, call.revision);
        Self {
            id: id(journal, &place, Kind::Reminder),
            kind: Kind::Reminder,
            at: now,
            run: id_of_run.clone(),
            agent: run.agent.clone(),
            started_by: run.started_by.clone(),
            call: Some(About::of(call)),
            outcome: None,
            next_stage: false,
        }
    }

    /// A message that is about nothing.
    pub fn test(drawn: &str, now: Time) -> Self {
        let id = format!("msg_{drawn}_test");
        let (kind, run, agent) = (Kind::Test, RunId("test".into()), "test".into());
        Self { id, kind, at: now, run, agent, started_by: String::new(), call: None, outcome: None, next_stage: false }
    }
}

impl About {
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

/// Standard Webhooks signs `id.timestamp.body`, so that no dot may stand in an id.
fn id(journal: &JournalId, place: &str, kind: Kind) -> String {
    format!("msg_{}_{place}_{}", journal.0, kind.name().replace('.', "-"))
}

/// Whether an approval was the last of its stage: nobody has voted in the stage that is decided on now.
fn begins_a_stage(event: &Event, call: &Call) -> bool {
    let approves =
        matches!(event, Event::DecisionMade { decision, .. } if matches!(decision.verdict, Verdict::Approve));
    let last = call.votes.last().is_some_and(|vote| vote.at == call.changed_at && vote.stage + 1 == call.stage);
    approves && last && call.votes.iter().all(|vote| vote.stage < call.stage)
}

/// An answer leaves the call held until the next event, which is written with it.
fn answers(event: &Event) -> bool {
    matches!(event, Event::DecisionMade { decision, .. } if matches!(decision.verdict, Verdict::Respond(_)))
}

/// How it ended, without a word of the agent's or of anybody else's but names.
fn outcome(event: &Event) -> Option<String> {
    Some(match event {
        Event::CallRevised { by, revision, .. } => format!("edited by {by}: revision {revision}"),
        Event::CallReheld { revision, .. } => format!("what it rested on has changed: revision {revision}"),
        Event::CallEscalated { level, .. } => format!("nobody decided in time: escalation {level}"),
        Event::DecisionMade { decision, .. } => {
            let verb = match decision.verdict {
                Verdict::Approve => "approved",
                Verdict::Reject => "rejected",
                Verdict::Respond(_) => "answered",
                Verdict::Edit(_) => "edited",
            };
            format!("{verb} by {}", decision.reviewer)
        }
        Event::RunDelayed { delayed, .. } => format!("tried {} times in a row; its page says why", delayed.tries),
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
