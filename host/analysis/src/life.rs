//! The life of one call, from its first verdict to its end: a fold over the call's events. Backtests, figures,
//! suggestions and explanations all use this fold.

use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::{
    Call, Consequence, Event, Phase, PolicyVerdict, RecordedChoice, RecordedEvent, ReviewerName, Time, WaitEnd,
};
use serde_json::Value;

/// How the present revision of a call came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevisionOrigin {
    /// The agent proposed it.
    Proposed,
    /// A reviewer edited the previous revision, which had `level` escalations. `waits_since` is the time of its last
    /// escalation or, without an escalation, the time when it began.
    Edited { level: usize, waits_since: Time },
    /// A fact changed, so the call was held again. Policy was not asked again.
    Reheld,
}

/// The gate's state of a call, policy's verdict on it, and when its reviewers were asked.
#[derive(Clone, Debug)]
pub struct Life {
    pub call: Call,
    pub origin: RevisionOrigin,
    /// The verdict on the present revision: `Hold` after an edit, and the earlier verdict after a changed fact.
    pub verdict: PolicyVerdict,
    /// Policy's record of a call that it refused.
    refused: Option<Box<PolicyRecord>>,
    /// The start of the present stage.
    began: Time,
    /// The time of each escalation of the present revision.
    escalated: Vec<Time>,
}

/// What one event did to a call.
#[derive(Debug)]
pub struct Step<'e> {
    /// The decision of a reviewer. The editor's vote, which an edit includes, does not count as a further decision.
    pub decided: Option<ReviewerDecision<'e>>,
    /// How the call stopped waiting for reviewers or for its effect.
    pub end: Option<WaitEnd>,
    /// Whether the event is the vote that an edit includes.
    pub own_vote: bool,
    /// If the event began a new revision: how this revision came about.
    pub revised: Option<RevisionOrigin>,
    /// Whether the event is an escalation.
    pub escalated: bool,
}

/// The decision of a reviewer.
#[derive(Debug)]
pub struct ReviewerDecision<'e> {
    pub reviewer: &'e ReviewerName,
    /// The absent reviewer if a delegate decided, or else `reviewer`.
    pub on_behalf_of: &'e ReviewerName,
    pub verdict: &'e RecordedChoice,
    /// The time since `on_behalf_of` was first asked: since the start of the stage, or since the escalation that added
    /// this reviewer.
    pub took_us: u64,
    /// Whether the decision ended the hold or a stage.
    pub ends: bool,
}

impl Life {
    /// The call that an event opens; `None` if the event opens no call.
    pub fn open(event: &Event, at: Time) -> Option<Self> {
        let call = Call::open(event, at)?;
        let (verdict, refused) = match (&call.phase, event) {
            (_, Event::CallRefused { policy, .. }) => (PolicyVerdict::Refuse, policy.clone()),
            (Phase::Held, _) => (PolicyVerdict::Hold, None),
            _ => (PolicyVerdict::Clear, None),
        };
        Some(Self { call, origin: RevisionOrigin::Proposed, verdict, refused, began: at, escalated: Vec::new() })
    }

    /// The call after all these events; `None` if they do not follow each other.
    pub fn of(events: &[RecordedEvent]) -> Option<Self> {
        let (first, rest) = events.split_first()?;
        let mut life = Self::open(&first.event, first.at)?;
        rest.iter().try_for_each(|RecordedEvent { event, at, .. }| life.follow(event, *at).map(drop))?;
        Some(life)
    }

    /// Follows the next event of the call; `None` if the event cannot follow, because the journal is damaged.
    pub fn follow<'e>(&mut self, event: &'e Event, at: Time) -> Option<Step<'e>> {
        let Call { stage, level, waits_since, .. } = self.call;
        let held = self.call.phase == Phase::Held;
        let own_vote = self.call.is_editors_own(event, at);
        let mut decided = if own_vote { None } else { self.decided(event, at) };
        self.call.apply(event, at).ok()?;
        let end = WaitEnd::of(event, held, &self.call);
        let next_stage = self.call.stage > stage;
        decided.iter_mut().for_each(|decided| decided.ends = next_stage || end.is_some());
        #[allow(clippy::wildcard_enum_match_arm, reason = "the other events begin no revision")]
        let revised = match event {
            Event::CallRevised { .. } => Some(RevisionOrigin::Edited { level, waits_since }),
            Event::CallReheld { .. } => Some(RevisionOrigin::Reheld),
            _ => None,
        };
        if next_stage {
            self.began = at;
        }
        if let Some(origin) = revised {
            (self.origin, self.began) = (origin, at);
            self.escalated.clear();
        }
        if matches!(revised, Some(RevisionOrigin::Edited { .. })) {
            self.verdict = PolicyVerdict::Hold;
        }
        let escalated = matches!(event, Event::CallEscalated { .. });
        self.escalated.extend(escalated.then_some(at));
        Some(Step { decided, end, own_vote, revised, escalated })
    }

    /// The decision that an event contains. It is read before the event is applied to the call.
    fn decided<'e>(&self, event: &'e Event, at: Time) -> Option<ReviewerDecision<'e>> {
        let Event::DecisionMade { decision, .. } = event else { return None };
        let on_behalf_of = decision.stands_for.as_ref().unwrap_or(&decision.reviewer);
        let took_us = at.0.saturating_sub(self.asked(on_behalf_of).0);
        Some(ReviewerDecision {
            reviewer: &decision.reviewer,
            on_behalf_of,
            verdict: &decision.verdict,
            took_us,
            ends: false,
        })
    }

    /// When this reviewer was first asked about the present stage.
    fn asked(&self, on_behalf_of: &ReviewerName) -> Time {
        let Some(requirement) = self.call.requirement() else { return self.began };
        let level = (0..=self.call.level).find(|level| requirement.admits_in(on_behalf_of, self.call.stage, *level));
        let called_in = level.and_then(|level| self.escalated.get(level.checked_sub(1)?));
        called_in.copied().unwrap_or(self.began).max(self.began)
    }

    /// Policy's record of the verdict; `None` if the call was refused without asking policy.
    pub fn record(&self) -> Option<&PolicyRecord> {
        self.call.proposal().map(|proposal| &proposal.policy).or(self.refused.as_deref())
    }

    /// When policy was asked about the present revision.
    pub fn asked_at(&self) -> Time {
        let written = self.call.revised_at;
        self.record().map_or(written, |record| record.asked_at(written))
    }

    /// The facts of the present revision. The facts of a refused call are not recorded.
    pub fn facts(&self) -> &Value {
        self.call.proposal().map_or(&Value::Null, |proposal| &proposal.facts)
    }

    /// How much is at stake; `high` if this is not recorded.
    pub fn consequence(&self) -> Consequence {
        self.call.proposal().and_then(|proposal| proposal.consequence).unwrap_or_default()
    }
}
