//! Lists of calls and of decisions: their filters and their rows.

use holdshort_gate::{
    AgentName, Call, CallId, CallNumber, CallState, Capability, Consequence, Digest, EffectClass, Event, ExhibitRef,
    GrantRecord, OpenDemand, ReviewerName, Run, RunId, Time, Total,
};

use crate::history::{DecisionKind, DecisionRecord};
use crate::inbox::{self, Rank};
use crate::rows::Position;

/// The filter and the order of a list of consequential calls.
#[derive(Clone, Debug)]
pub struct CallFilter {
    /// Only calls in these states; empty: all.
    pub states: Vec<CallState>,
    /// Only calls of this run.
    pub run: Option<RunId>,
    /// Only calls of this agent.
    pub agent: Option<AgentName>,
    /// Only calls of this capability, written `package:name/interface@version#function`.
    pub capability: Option<String>,
    /// Only calls that wait for one of these reviewers: held calls that the reviewer could approve and has not
    /// approved, and calls in doubt that the reviewer could resolve. Empty: all.
    pub waiting_for: Vec<ReviewerName>,
    /// The order, and the row after which the list begins.
    pub order: CallOrder,
    /// The largest number of rows.
    pub limit: usize,
}

impl CallFilter {
    /// All calls, at most `limit`, in the order in which they were proposed.
    pub fn all(limit: usize) -> Self {
        Self {
            states: Vec::new(),
            run: None,
            agent: None,
            capability: None,
            waiting_for: Vec::new(),
            order: CallOrder::Proposed(None),
            limit,
        }
    }

    /// All calls in these states.
    pub fn in_states(states: &[CallState], limit: usize) -> Self {
        Self { states: states.to_vec(), ..Self::all(limit) }
    }
}

/// An order of calls, and the place after which a list begins. The place stays valid even if its row is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOrder {
    /// The oldest proposal first.
    Proposed(Option<Position>),
    /// Calls in doubt first; then by consequence, where a missing consequence counts as high; then by deadline, calls
    /// without a deadline last; then the oldest proposal first.
    Ranked(Option<(Rank, Position)>),
}

/// A consequential call in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRow {
    /// The call's run.
    pub run: RunId,
    /// The call's number.
    pub call: CallNumber,
    /// The position of the call's first event.
    pub position: Position,
    /// The place of the call when calls are ranked.
    pub rank: Rank,
    /// The agent.
    pub agent: AgentName,
    /// The reviewer who started the run.
    pub started_by: ReviewerName,
    /// The function that the agent called.
    pub capability: Capability,
    /// The state of the call.
    pub state: CallState,
    /// When the call was proposed.
    pub proposed_at: Time,
    /// When the last event of the call was written.
    pub changed_at: Time,
    /// When the call expires or escalates if nobody acts.
    pub deadline: Option<Time>,
    /// One line that says what would happen; empty if the call was refused.
    pub summary: String,
    /// How much is at stake, if the connector has stated it.
    pub consequence: Option<Consequence>,
    /// The digest that a decision must name now.
    pub clearance: Option<Digest>,
    /// The reviewers who approved the current clearance, in the order of their votes.
    pub approved_by: Vec<ReviewerName>,
    /// How many more reviewers must approve the call; 0 if the call is not held.
    pub still_needed: u32,
    /// The demands that wait for reviewers; empty if the call is not held.
    pub waiting_for: Vec<OpenDemand>,
    /// How many attempts have begun.
    pub attempts: u32,
    /// The number of the revision: 1, and one more for each edit and each change of facts.
    pub revision: u32,
    /// The effect class of the call; `None` if the call was refused.
    pub class: Option<EffectClass>,
}

impl CallRow {
    pub(crate) fn new(id: RunId, run: &Run, position: Position, call: &Call) -> Self {
        Self {
            run: id,
            call: call.number,
            position,
            rank: inbox::rank(call),
            agent: run.agent.clone(),
            started_by: run.started_by.clone(),
            capability: call.action().capability().clone(),
            state: call.phase.state(),
            proposed_at: call.proposed_at,
            changed_at: call.changed_at,
            deadline: call.deadline(),
            summary: call.proposal().map(|proposal| proposal.summary.clone()).unwrap_or_default(),
            consequence: call.proposal().and_then(|proposal| proposal.consequence),
            clearance: call.clearance,
            approved_by: call.votes.iter().map(|vote| vote.reviewer.clone()).collect(),
            still_needed: call.still_needed(),
            waiting_for: call.waiting_for(&run.started_by),
            attempts: call.attempts,
            revision: call.revision,
            class: call.proposal().map(|proposal| proposal.class),
        }
    }
}

/// The filter of a list of decisions.
#[derive(Clone, Debug)]
pub struct DecisionFilter {
    /// Only decisions of this reviewer.
    pub by: Option<ReviewerName>,
    /// Only decisions of these kinds; empty: all.
    pub kinds: Vec<DecisionKind>,
    /// Only decisions about calls that are in these states now; empty: all.
    pub states: Vec<CallState>,
    /// Only decisions about calls of this run.
    pub run: Option<RunId>,
    /// Only decisions about calls of this agent.
    pub agent: Option<AgentName>,
    /// Only decisions about calls of this capability, written `package:name/interface@version#function`.
    pub capability: Option<String>,
    /// Only decisions made at this time or later.
    pub from: Option<Time>,
    /// Only decisions made before this time.
    pub until: Option<Time>,
    /// Only decisions about finished calls that match this text. A call matches if, for each word of the text, its
    /// summary, agent, capability, task or people have a word that begins with it. Text without a letter or digit finds
    /// nothing. If more than [`DecisionFilter::FOUND_MAX`] calls match, the oldest of them are left out.
    pub search: Option<String>,
    /// Only decisions before this position.
    pub before: Option<Position>,
    /// The largest number of rows.
    pub limit: usize,
}

impl DecisionFilter {
    /// The largest number of calls that a search finds. If more calls match, it finds those that were proposed latest.
    pub const FOUND_MAX: usize = 10_000;

    /// Whether a decision matches the filter, apart from the search text and the position at which the list begins.
    pub(crate) fn admits(&self, row: &DecisionRow) -> bool {
        self.by.as_ref().is_none_or(|by| row.by.as_ref() == Some(by))
            && (self.kinds.is_empty() || self.kinds.contains(&row.kind))
            && (self.states.is_empty() || self.states.contains(&row.call.state))
            && self.run.as_ref().is_none_or(|run| *run == row.call.run)
            && self.agent.as_ref().is_none_or(|agent| *agent == row.call.agent)
            && self.capability.as_ref().is_none_or(|wanted| *wanted == row.call.capability.to_string())
            && self.from.is_none_or(|from| row.at >= from)
            && self.until.is_none_or(|until| row.at < until)
    }

    /// All decisions, at most `limit`.
    pub fn all(limit: usize) -> Self {
        Self {
            by: None,
            kinds: Vec::new(),
            states: Vec::new(),
            run: None,
            agent: None,
            capability: None,
            from: None,
            until: None,
            search: None,
            before: None,
            limit,
        }
    }
}

/// A decision about a call: by a reviewer, by policy, or by a deadline.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionRow {
    /// The position of the decision among all events.
    pub position: Position,
    /// When the decision was made.
    pub at: Time,
    /// Who decided. `None` if policy or a deadline decided, or if the run ended without being cancelled.
    pub by: Option<ReviewerName>,
    /// The kind of decision.
    pub kind: DecisionKind,
    /// The reviewer's message.
    pub message: Option<String>,
    /// The clearance digest that the decision rests on; `None` if the call was refused.
    pub clearance: Option<Digest>,
    /// The revision that was decided on.
    pub revision: u32,
    /// The summary of the call at that time.
    pub summary: String,
    /// The host's evidence at that time.
    pub exhibits: Vec<ExhibitRef>,
    /// The call as it is now.
    pub call: CallRow,
}

impl DecisionRow {
    /// The row of a decision. `then` is the event that began the revision that was decided on. The result is `None` if
    /// `then` begins no revision.
    pub(crate) fn new(
        position: Position,
        at: Time,
        record: DecisionRecord<'_>,
        then: &Event,
        call: CallRow,
    ) -> Option<Self> {
        #[allow(clippy::wildcard_enum_match_arm, reason = "only these five begin a revision")]
        let (revision, proposal, clearance) = match then {
            Event::CallCleared { proposal, clearance, .. } | Event::CallHeld { proposal, clearance, .. } => {
                (1, Some(proposal), Some(*clearance))
            }
            Event::CallRevised { revision, proposal, clearance, .. }
            | Event::CallReheld { revision, proposal, clearance, .. } => (*revision, Some(proposal), Some(*clearance)),
            Event::CallRefused { .. } => (1, None, None),
            _ => return None,
        };
        Some(Self {
            position,
            at,
            by: record.by.cloned(),
            kind: record.kind,
            message: record.message.map(str::to_owned),
            clearance,
            revision,
            summary: proposal.map(|proposal| proposal.summary.clone()).unwrap_or_default(),
            exhibits: proposal.map(|proposal| proposal.exhibits.clone()).unwrap_or_default(),
            call,
        })
    }
}

/// The filter of a list of grants.
#[derive(Clone, Debug)]
pub struct GrantFilter {
    /// Only grants that at this time have neither ended nor been revoked.
    pub standing_at: Option<Time>,
    /// Only grants for this agent.
    pub agent: Option<AgentName>,
    /// Only grants for this capability, written `package:name/interface@version#function`.
    pub capability: Option<String>,
    /// Only grants made with a call that was proposed before this position.
    pub before: Option<Position>,
    /// The largest number of rows.
    pub limit: usize,
}

impl GrantFilter {
    /// Whether a grant matches the filter.
    pub(crate) fn admits(&self, GrantRow { position, granted, .. }: &GrantRow) -> bool {
        let standing = |at: Time| granted.revoked.is_none() && granted.grant.until > at;
        self.standing_at.is_none_or(standing)
            && self.agent.as_ref().is_none_or(|agent| *agent == granted.grant.agent)
            && self.capability.as_ref().is_none_or(|wanted| *wanted == granted.grant.capability.to_string())
            && self.before.is_none_or(|before| *position < before)
    }
}

/// A grant in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct GrantRow {
    /// The call with which the grant was made. Its id is also the id of the grant.
    pub id: CallId,
    /// The position at which that call was proposed.
    pub position: Position,
    /// The grant, its grantor, and its revocation.
    pub granted: GrantRecord,
    /// The total of the calls that the grant has cleared so far.
    pub used: Total,
}
