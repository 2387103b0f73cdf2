//! Lists of calls and of decisions: their filters and their rows.

use holdshort_gate::{
    Call, CallId, CallNumber, CallState, Capability, Consequence, Digest, EffectClass, Event, ExhibitRef, Granted, Run,
    RunId, Time, Total, Waiting,
};

use crate::history::{DecisionKind, Deed};
use crate::inbox::{self, Rank};
use crate::rows::Position;

/// Which consequential calls to list, and in which order.
#[derive(Clone, Debug)]
pub struct CallFilter {
    /// Only calls in these states; empty: all.
    pub states: Vec<CallState>,
    /// Only calls of this run.
    pub run: Option<RunId>,
    /// Only calls of the agent of this configured name.
    pub agent: Option<String>,
    /// Only calls of this capability, written `package:name/interface@version#function`.
    pub capability: Option<String>,
    /// Only calls that wait for one of these reviewers: held, and they could approve and have not yet; or in doubt, and they could settle it. Empty: all.
    pub waiting_for: Vec<String>,
    /// In which order, and after which row of it.
    pub order: CallOrder,
    /// How many at most.
    pub limit: usize,
}

impl CallFilter {
    /// All calls, so many at most, in the order in which they were proposed.
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

/// An order of calls, and the place after which a list begins. The place stays valid when its row is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOrder {
    /// The oldest proposal first.
    Proposed(Option<Position>),
    /// In doubt first; then by consequence, where a missing one counts as high; then by deadline, calls without one last;
    /// then the oldest proposal.
    Ranked(Option<(Rank, Position)>),
}

/// A consequential call in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRow {
    /// Its run.
    pub run: RunId,
    /// Its number.
    pub call: CallNumber,
    /// Where it was proposed.
    pub position: Position,
    /// Where it comes when calls are ranked.
    pub rank: Rank,
    /// The agent's configured name.
    pub agent: String,
    /// Who started the run.
    pub started_by: String,
    /// What the agent requested.
    pub capability: Capability,
    /// Where it stands.
    pub state: CallState,
    /// When it was proposed.
    pub proposed_at: Time,
    /// When its last event was written.
    pub changed_at: Time,
    /// When it lapses if nobody does anything.
    pub deadline: Option<Time>,
    /// One line that says what would happen; empty if it was refused before anyone looked.
    pub summary: String,
    /// How much is at stake, if the connector said so.
    pub consequence: Option<Consequence>,
    /// The digest that a decision must name now.
    pub clearance: Option<Digest>,
    /// Who has approved what the digest covers, in the order of their votes.
    pub approved_by: Vec<String>,
    /// How many more people must approve it; 0 if it is not held.
    pub still_needed: u32,
    /// The people who still have to decide; absent if it is not held.
    pub waiting_for: Vec<Waiting>,
    /// How many attempts were begun.
    pub attempts: u32,
    /// 1, and one more for each edit and change of facts.
    pub revision: u32,
    /// What a lookup could establish; nothing if it was refused before anyone looked.
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

/// Which decisions to list.
#[derive(Clone, Debug)]
pub struct DecisionFilter {
    /// Only what this person decided.
    pub by: Option<String>,
    /// Only decisions of these kinds; empty: all.
    pub kinds: Vec<DecisionKind>,
    /// Only about calls that are in these states now; empty: all.
    pub states: Vec<CallState>,
    /// Only about calls of this run.
    pub run: Option<RunId>,
    /// Only about calls of the agent of this configured name.
    pub agent: Option<String>,
    /// Only about calls of this capability, written `package:name/interface@version#function`.
    pub capability: Option<String>,
    /// Only what was decided at this time or later.
    pub from: Option<Time>,
    /// Only what was decided before this time.
    pub until: Option<Time>,
    /// Only about calls that are over and whose summary, agent, capability, task and people have a word for each word of this that begins with it.
    /// Text without a letter or digit finds nothing. Of more than [`DecisionFilter::FOUND_MAX`] such calls the oldest are not looked at.
    pub search: Option<String>,
    /// Only what was decided before this place.
    pub before: Option<Position>,
    /// How many at most.
    pub limit: usize,
}

impl DecisionFilter {
    /// How many calls a search brings at most; those that were proposed last.
    pub const FOUND_MAX: usize = 10_000;

    /// Whether it lets a decision through, apart from what it searches for and where it begins.
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

    /// All decisions, so many at most.
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

/// A decision about a call: by a person, by policy, or by time.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionRow {
    /// Its place among all events.
    pub position: Position,
    /// When.
    pub at: Time,
    /// Who; nobody, if policy or time decided, or the run ended by itself.
    pub by: Option<String>,
    /// What.
    pub kind: DecisionKind,
    /// In their words.
    pub message: Option<String>,
    /// The clearance digest that it rested on; absent if the call was refused before anyone was asked.
    pub clearance: Option<Digest>,
    /// The revision that it was about.
    pub revision: u32,
    /// The summary of the call at that time.
    pub summary: String,
    /// The host's evidence at that time.
    pub exhibits: Vec<ExhibitRef>,
    /// The call as it is now.
    pub call: CallRow,
}

impl DecisionRow {
    /// `then` is the event of the revision that was decided on; nothing if it is no event of one.
    pub(crate) fn new(position: Position, at: Time, deed: Deed<'_>, then: &Event, call: CallRow) -> Option<Self> {
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
            by: deed.by.map(str::to_owned),
            kind: deed.kind,
            message: deed.message.map(str::to_owned),
            clearance,
            revision,
            summary: proposal.map(|proposal| proposal.summary.clone()).unwrap_or_default(),
            exhibits: proposal.map(|proposal| proposal.exhibits.clone()).unwrap_or_default(),
            call,
        })
    }
}

/// Which standing grants to list.
#[derive(Clone, Debug)]
pub struct GrantFilter {
    /// Only those that are neither over by then nor taken back.
    pub standing_at: Option<Time>,
    /// Only those for the agent of this configured name.
    pub agent: Option<String>,
    /// Only those for this capability, written `package:name/interface@version#function`.
    pub capability: Option<String>,
    /// Only those that were made with a call that was proposed before this place.
    pub before: Option<Position>,
    /// How many at most.
    pub limit: usize,
}

impl GrantFilter {
    /// Whether it lets a grant through.
    pub(crate) fn admits(&self, GrantRow { position, granted, .. }: &GrantRow) -> bool {
        let standing = |at: Time| granted.revoked.is_none() && granted.grant.until > at;
        self.standing_at.is_none_or(standing)
            && self.agent.as_ref().is_none_or(|agent| *agent == granted.grant.agent)
            && self.capability.as_ref().is_none_or(|wanted| *wanted == granted.grant.capability.to_string())
            && self.before.is_none_or(|before| *position < before)
    }
}

/// A standing grant in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct GrantRow {
    /// The call that it was made with, which names it.
    pub id: CallId,
    /// Where that call was proposed.
    pub position: Position,
    /// What it clears, who made it, and who took it back.
    pub granted: Granted,
    /// What it has cleared so far.
    pub used: Total,
}
