//! The state of one call for the figures: the gate's own state without the agent's texts.

use std::borrow::Cow;

use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::{Action, Call, CallNumber, Digest, Event, FunctionType, Phase, Proposal, Time, Verdict, WaitEnd};
use serde_json::{Value, json};

use super::Known;
use super::like::Like;

/// The speed of silent reading: 238 words a minute for English non-fiction (M. Brysbaert, "How many
/// words do we read per minute? A review and meta-analysis of reading rate", Journal of Memory and
/// Language 109, 2019). Diffs and amounts take longer, so a faster reviewer has not read them.
const WORDS_PER_MINUTE: u64 = 238;
/// The bytes of an English word with its space. The texts are not loaded only to count their words.
const BYTES_PER_WORD: u64 = 6;
/// A decision counts as at most this much work, because a night in between is no work.
const WORK_US_MAX: u64 = 15 * 60 * 1_000_000;

/// The name under which all grants are counted together.
const GRANTS: &str = "grants";

/// The reading time for a number of bytes, in microseconds.
pub(super) fn reading_us(bytes: u64) -> u64 {
    bytes.saturating_mul(60_000_000) / (WORDS_PER_MINUTE * BYTES_PER_WORD)
}

/// The effect of one event on a call.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// The decision that was made.
    pub(super) made: Option<Made>,
    /// The end of a hold.
    pub(super) end: Option<WaitEnd>,
    /// The call was held again because a material fact changed.
    pub(super) reheld: bool,
    /// An escalation added reviewers.
    pub(super) escalated: bool,
}

/// One decision of a reviewer.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) reviewer: String,
    pub(super) verdict: Verdict,
    /// The approval came faster than the new content can be read.
    pub(super) hasty: bool,
    /// The time since the reviewer was first asked, if the decision ended the hold or a stage.
    pub(super) took_us: Option<u64>,
}

/// A call that has not ended.
#[derive(Debug)]
pub(super) struct Open {
    call: Call,
    agent: String,
    policies: Vec<String>,
    /// The start of the current stage.
    began: Time,
    /// The time of each escalation.
    escalated: Vec<Time>,
    /// The reading time of the content that is new in this revision.
    reading_us: u64,
    /// The content of earlier revisions: arguments and exhibits.
    read: Vec<Digest>,
    /// The call's properties for a suggestion, if a policy can express them.
    like: Option<Like>,
    split: bool,
    /// The number of decisions so far, and their work.
    pub(super) prompts: u64,
    pub(super) work_us: u64,
    /// The number of too fast approvals among them.
    pub(super) hasty: u64,
}

impl Open {
    /// Starts a call with its first event.
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

    /// Starts a revision that reviewers decide on.
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
        // The journal contains only events that can happen to the call, so this does not fail.
        let _ = self.call.apply(&slim(event), at);
        self.call.decisions.clear();
        let mut step = Step { end: WaitEnd::of(event, was_held && !own_vote, &self.call), ..Step::default() };
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

    /// Describes a decision and its duration.
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

    /// The time at which this reviewer was first asked: the start of the stage, or the escalation
    /// that added them.
    fn asked(&self, right_of: &str) -> Time {
        let Some(requirement) = self.call.requirement() else { return self.began };
        let level = (0..=self.call.level).find(|level| requirement.admits_in(right_of, self.call.stage, *level));
        let called_in = level.and_then(|level| self.escalated.get(level.checked_sub(1)?));
        called_in.copied().unwrap_or(self.began).max(self.began)
    }

    /// Whether no further event can happen to the call.
    pub(super) fn is_over(&self) -> bool {
        self.call.answer().is_some()
    }

    /// The call's number within its run.
    pub(super) fn number(&self) -> CallNumber {
        self.call.number
    }

    /// The capability's full name.
    pub(super) fn capability(&self) -> String {
        self.call.action().capability().to_string()
    }

    /// The agent's configured name.
    pub(super) fn agent(&self) -> &str {
        &self.agent
    }

    /// The policies that determined the verdict.
    pub(super) fn policies(&self) -> &[String] {
        &self.policies
    }

    /// Whether the call needs several reviewers.
    pub(super) fn several(&self) -> bool {
        let stages = || self.call.requirement().map(|requirement| &requirement.stages);
        let most = stages().into_iter().flatten().flatten().map(|demand| demand.quorum).max();
        stages().is_some_and(|stages| stages.len() > 1) || most.is_some_and(|most| most > 1)
    }

    /// Whether one reviewer approved and another rejected.
    pub(super) fn split(&self) -> bool {
        self.split
    }

    /// The properties of the current revision.
    pub(super) fn like(&self) -> Option<&Like> {
        self.like.as_ref()
    }

    /// Whether the call was neither edited nor held again.
    pub(super) fn is_first_revision(&self) -> bool {
        self.call.revision == 1
    }

    /// Whether the call is a question to a person.
    pub(super) fn is_question(&self) -> bool {
        self.call.is_question()
    }
}

/// The determining policies without repetition.
fn determining(policy: &PolicyRecord) -> Vec<String> {
    // Each grant has a name of its own, and there may be many. They are counted under one name.
    let grant = policy.grant.as_ref().map(|grant| format!("grant {grant}"));
    let name = |name: &String| if Some(name) == grant.as_ref() { GRANTS.to_owned() } else { name.clone() };
    let mut each: Vec<String> = policy.determining.iter().map(name).collect();
    each.sort();
    each.dedup();
    each
}

/// The length in bytes, the measure for reading time.
fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

/// The reviewer who made the decision, the reviewer whose vote it is, and the decision.
fn made_by(event: &Event) -> Option<(&str, &str, &Verdict)> {
    let Event::DecisionMade { decision, .. } = event else { return None };
    let right_of = decision.stands_for.as_deref().unwrap_or(&decision.reviewer);
    Some((&decision.reviewer, right_of, &decision.verdict))
}

/// The event without the agent's texts and the evidence. The gate derives the same state from both
/// forms.
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

/// A proposal with the same capability and requirement, but without content.
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
