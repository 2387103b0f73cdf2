//! A call that is not over, as far as the figures need it: the gate's own state of it, without what the agent wrote.

use std::borrow::Cow;

use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::{Action, Call, CallNumber, Digest, Event, FunctionType, Phase, Proposal, Time, Verdict};
use serde_json::{Value, json};

use super::Known;
use super::tally::End;
use crate::policy::like::Like;

/// How fast people read: 238 words a minute, of English non-fiction, silently (M. Brysbaert, "How many words do we read per minute? A review and
/// meta-analysis of reading rate", Journal of Memory and Language 109, 2019). Diffs and amounts are read more slowly, so whoever is faster than this has not read them.
const WORDS_PER_MINUTE: u64 = 238;
/// Bytes of a word with the space behind it, in the same text; the texts themselves are not loaded to count their words.
const BYTES_PER_WORD: u64 = 6;
/// What one decision counts as work at most: a night in between is none.
const WORK_US_MAX: u64 = 15 * 60 * 1_000_000;

/// Under this name count all standing grants together.
const GRANTS: &str = "standing grants";

/// How long so many bytes take to read, in microseconds.
pub(super) fn reading_us(bytes: u64) -> u64 {
    bytes.saturating_mul(60_000_000) / (WORDS_PER_MINUTE * BYTES_PER_WORD)
}

/// What an event did.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Somebody decided.
    pub(super) made: Option<Made>,
    /// A hold ended.
    pub(super) end: Option<End>,
    /// It went back to people because facts had changed.
    pub(super) reheld: bool,
    /// Others were called in.
    pub(super) escalated: bool,
}

/// A decision of a person's.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) reviewer: String,
    pub(super) verdict: Verdict,
    /// An approval that came faster than what was new can be read.
    pub(super) hasty: bool,
    /// How long after they were first asked, if it ended the hold or a stage of it.
    pub(super) took_us: Option<u64>,
}

/// A call that is not over.
#[derive(Debug)]
pub(super) struct Open {
    call: Call,
    agent: String,
    policies: Vec<String>,
    /// When the stage that is decided on began.
    began: Time,
    /// When others were called in, once for each level.
    escalated: Vec<Time>,
    /// How long what is new in this revision takes to read.
    reading_us: u64,
    /// What was there to read before: the arguments and the exhibits.
    read: Vec<Digest>,
    /// What the revision asks for, if something could be suggested of it.
    like: Option<Like>,
    split: bool,
    /// Decisions so far, and what they count as work.
    pub(super) prompts: u64,
    pub(super) work_us: u64,
    /// Approvals among them that came faster than reading.
    pub(super) hasty: u64,
}

impl Open {
    /// The call that an event begins.
    pub(super) fn new(event: &Event, at: Time, agent: String, known: &Known) -> Option<Self> {
        let mut open = Self {
            call: Call::open(&slim(event), at)?,
            agent,
            policies: Vec::new(),
            began: at,
            escalated: Vec::new(),
            reading_us: 0,
            read: Vec::new(),
            like: None,
            split: false,
            prompts: 0,
            work_us: 0,
            hasty: 0,
        };
        #[allow(clippy::wildcard_enum_match_arm, reason = "nothing else opens a call")]
        match event {
            Event::CallHeld { proposal, .. } => open.begin(proposal, at, known),
            Event::CallCleared { proposal, .. } => open.policies = determining(&proposal.policy),
            Event::CallRefused { policy: Some(policy), .. } => open.policies = determining(policy),
            _ => {}
        }
        Some(open)
    }

    /// A revision begins that people are to decide on.
    fn begin(&mut self, proposal: &Proposal, at: Time, known: &Known) {
        let arguments = proposal.action.canonical_arguments();
        let summary = length(&proposal.summary) + length(&arguments);
        let texts = proposal.exhibits.iter().map(|exhibit| (exhibit.digest, exhibit.bytes));
        let texts: Vec<_> = texts.chain([(Digest::of(arguments.as_bytes()), summary)]).collect();
        let new = texts.iter().filter(|(digest, _)| !self.read.contains(digest)).map(|(_, bytes)| *bytes);
        self.reading_us = reading_us(new.fold(0, u64::saturating_add));
        self.read = texts.into_iter().map(|(digest, _)| digest).collect();
        self.policies = determining(&proposal.policy);
        self.like = Like::of(proposal, &known.types);
        (self.began, self.split) = (at, false);
        self.escalated.clear();
    }

    /// Follows the next event.
    pub(super) fn follow(&mut self, event: &Event, at: Time, known: &Known) -> Step {
        let (stage, was_held) = (self.call.stage, self.call.phase == Phase::Held);
        let own_vote = self.call.is_editors_own(event, at);
        let asked = made_by(event).map(|(_, right_of, _)| self.asked(right_of));
        // What a journal holds can follow.
        let _ = self.call.apply(&slim(event), at);
        self.call.decisions.clear();
        let mut step = Step { end: self.end(event, was_held && !own_vote), ..Step::default() };
        if self.call.stage > stage {
            self.began = at;
        }
        #[allow(clippy::wildcard_enum_match_arm, reason = "what the others do is in the phase")]
        match event {
            Event::CallRevised { proposal, .. } => self.begin(proposal, at, known),
            Event::CallReheld { proposal, .. } => {
                self.begin(proposal, at, known);
                step.reheld = true;
            }
            Event::CallEscalated { .. } => {
                self.escalated.push(at);
                step.escalated = true;
            }
            _ => {}
        }
        if let (Some((reviewer, _, verdict)), Some(asked), false) = (made_by(event), asked, own_vote) {
            step.made = Some(self.made(reviewer, verdict, asked, at, step.end.is_some() || self.call.stage > stage));
        }
        step
    }

    /// What a decision was, and how long it took whoever made it.
    fn made(&mut self, reviewer: &str, verdict: &Verdict, asked: Time, at: Time, ends: bool) -> Made {
        let took_us = at.0.saturating_sub(asked.0);
        self.prompts += 1;
        self.work_us = self.work_us.saturating_add(took_us.min(WORK_US_MAX));
        let edits = matches!(verdict, Verdict::Edit(_));
        self.split |= !self.call.votes.is_empty() && (edits || !self.call.rejections.is_empty());
        let hasty = *verdict == Verdict::Approve && at.0.saturating_sub(self.call.revised_at.0) < self.reading_us;
        self.hasty += u64::from(hasty);
        Made { reviewer: reviewer.to_owned(), verdict: verdict.clone(), hasty, took_us: ends.then_some(took_us) }
    }

    /// When whoever decides with this right was first asked: when the stage began, or when they were called in.
    fn asked(&self, right_of: &str) -> Time {
        let Some(requirement) = self.call.requirement() else { return self.began };
        let level = (0..=self.call.level).find(|level| requirement.admits_in(right_of, self.call.stage, *level));
        let called_in = level.and_then(|level| self.escalated.get(level.checked_sub(1)?));
        called_in.copied().unwrap_or(self.began).max(self.began)
    }

    /// How the hold ended, if it did by this event.
    fn end(&self, event: &Event, was_held: bool) -> Option<End> {
        if let Some((_, _, Verdict::Edit(_))) = made_by(event) {
            return Some(End::Edited);
        }
        match &self.call.phase {
            Phase::Expired => Some(if was_held { End::Expired } else { End::NotStarted }),
            _ if !was_held => None,
            // The answer is an event of its own, written with the decision.
            Phase::Held => {
                made_by(event).filter(|(_, _, verdict)| matches!(verdict, Verdict::Respond(_))).map(|_| End::Answered)
            }
            Phase::Approved { .. } => Some(End::Approved),
            Phase::Rejected { .. } => Some(End::Rejected),
            Phase::Cancelled => Some(End::Cancelled),
            Phase::Answered { .. }
            | Phase::Refused(_)
            | Phase::Cleared { .. }
            | Phase::Started
            | Phase::Succeeded { .. }
            | Phase::Failed { .. }
            | Phase::InDoubt { .. }
            | Phase::Unresolved { .. } => None,
        }
    }

    /// Whether nothing can happen to it any more.
    pub(super) fn is_over(&self) -> bool {
        self.call.answer().is_some()
    }

    /// Its number within the run.
    pub(super) fn number(&self) -> CallNumber {
        self.call.number
    }

    /// What was asked for.
    pub(super) fn capability(&self) -> String {
        self.call.action().capability().to_string()
    }

    /// By whom, as configured.
    pub(super) fn agent(&self) -> &str {
        &self.agent
    }

    /// The policies that determined its verdict.
    pub(super) fn policies(&self) -> &[String] {
        &self.policies
    }

    /// Whether it takes several people.
    pub(super) fn several(&self) -> bool {
        let stages = || self.call.requirement().map(|requirement| &requirement.stages);
        let most = stages().into_iter().flatten().flatten().map(|demand| demand.quorum).max();
        stages().is_some_and(|stages| stages.len() > 1) || most.is_some_and(|most| most > 1)
    }

    /// Whether one approved and another rejected.
    pub(super) fn split(&self) -> bool {
        self.split
    }

    /// What the revision asks for.
    pub(super) fn like(&self) -> Option<&Like> {
        self.like.as_ref()
    }

    /// Whether nobody has edited it, and no fact has changed.
    pub(super) fn is_first_revision(&self) -> bool {
        self.call.revision == 1
    }

    /// Whether it asks a person something.
    pub(super) fn is_question(&self) -> bool {
        self.call.is_question()
    }
}

/// Each policy once.
fn determining(policy: &PolicyRecord) -> Vec<String> {
    // Each grant is another name, and there may be many.
    let grant = policy.grant.as_ref().map(|grant| format!("grant {grant}"));
    let name = |name: &String| if Some(name) == grant.as_ref() { GRANTS.to_owned() } else { name.clone() };
    let mut each: Vec<String> = policy.determining.iter().map(name).collect();
    each.sort();
    each.dedup();
    each
}

/// Bytes, as what is read is measured.
fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

/// Who decided, whose right that used, and what.
fn made_by(event: &Event) -> Option<(&str, &str, &Verdict)> {
    let Event::DecisionMade { decision, .. } = event else { return None };
    let right_of = decision.stands_for.as_deref().unwrap_or(&decision.reviewer);
    Some((&decision.reviewer, right_of, &decision.verdict))
}

/// The same event without what an agent wrote and the host found: the gate follows it just so.
fn slim(event: &Event) -> Cow<'_, Event> {
    #[allow(clippy::wildcard_enum_match_arm, reason = "the others have no proposal")]
    let slim = match event {
        Event::CallCleared { call, proposal, clearance } => {
            Event::CallCleared { call: *call, proposal: light(proposal), clearance: *clearance }
        }
        Event::CallHeld { call, proposal, clearance } => {
            Event::CallHeld { call: *call, proposal: light(proposal), clearance: *clearance }
        }
        Event::CallRevised { call, revision, by, proposal, clearance } => Event::CallRevised {
            call: *call,
            revision: *revision,
            by: by.clone(),
            proposal: light(proposal),
            clearance: *clearance,
        },
        Event::CallReheld { call, revision, proposal, clearance, reason: _ } => Event::CallReheld {
            call: *call,
            revision: *revision,
            reason: String::new(),
            proposal: light(proposal),
            clearance: *clearance,
        },
        _ => return Cow::Borrowed(event),
    };
    Cow::Owned(slim)
}

/// A proposal of the same capability and under the same requirement.
fn light(proposal: &Proposal) -> Box<Proposal> {
    let Proposal { action, consequence, class, requirement, policy, .. } = proposal;
    let without = FunctionType { params: Vec::new(), result: None };
    let bare = Action::new(action.component(), action.capability().clone(), &without, &json!({}));
    Box::new(Proposal {
        action: bare.unwrap_or_else(|_| action.clone()),
        summary: String::new(),
        exhibits: Vec::new(),
        beside: Vec::new(),
        preconditions: Value::Null,
        facts: Value::Null,
        consequence: *consequence,
        connector: String::new(),
        class: *class,
        requirement: requirement.clone(),
        policy: PolicyRecord::new(policy.digest),
    })
}
