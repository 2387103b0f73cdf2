//! The status of an approval: its state as a sentence, the decisions, and the effect.

use holdshort_gate::{Call, CallState, EffectClass, Phase, Requirement, ReviewerName, Subject, Time};

use super::frame::ShownTime;
use crate::api::{Api, approvals, ids};
use crate::review::Text;
use crate::review::{sentences, waiting};

/// The status part of an approval's page. The script keeps it up to date.
#[derive(Debug)]
pub(super) struct Status {
    /// The state of the call.
    pub(super) state: CallState,
    /// The state as a sentence.
    pub(super) sentence: Text,
    /// The decisions so far: time, text, and whether the decision still counts.
    pub(super) decisions: Vec<(ShownTime, Text, bool)>,
    /// The grant created with this approval, or the grant that cleared it: id and label.
    pub(super) granted: Option<(Text, Text)>,
    /// The reason why the call is held again, such as changed facts.
    pub(super) reheld: Option<Text>,
    /// The reviewer who edited this revision.
    pub(super) edited_by: Option<Text>,
    pub(super) deadline: Option<ShownTime>,
    /// What happens at the deadline.
    pub(super) then: Option<Text>,
    /// The current stage, counted from 1.
    pub(super) stage: usize,
    /// The reviewers who still have to decide.
    pub(super) waits_for: Vec<Text>,
    /// The reviewers who rejected the call, if more rejections are needed to stop it.
    pub(super) rejected: Option<Text>,
    /// The reasons for the hold, as label and text.
    pub(super) because: Vec<(&'static str, Text)>,
    /// The result of the lookup of an effect in doubt.
    pub(super) looked_up: Option<Text>,
}

/// The approval that was decided just before, with its status now.
#[derive(Debug)]
pub(super) struct LastDecision {
    pub(super) id: Text,
    pub(super) summary: Text,
    pub(super) status: Status,
}

impl Status {
    pub(super) fn of(call: &Call, id: &str, started_by: &ReviewerName, now: Time) -> Self {
        let held = call.proposal().filter(|_| call.phase == Phase::Held);
        let deadline = call.deadline();
        let then = held.filter(|_| deadline.is_some());
        let then = then.map(|proposal| Text::line(&waiting::then(&proposal.requirement, call.level)));
        let waits_for = waiting::who(&call.waiting_for(started_by));
        let said: Vec<ReviewerName> = call.rejections.iter().map(|vote| vote.reviewer.clone()).collect();
        let because = held.map(waiting::because).unwrap_or_default();
        let decided = |made: &holdshort_gate::call::RecordedDecision| {
            let counts = call.clearance.is_none_or(|digest| digest == made.decision.clearance);
            (ShownTime::new(made.at, now), Text::line(&sentences::decided(&made.decision)), counts)
        };
        Self {
            state: call.phase.state(),
            sentence: Text::line(&sentence(call)),
            decisions: call.decisions.iter().map(decided).collect(),
            granted: granted(call, id).map(|(text, grant)| (Text::line(&text), Text::line(&grant))),
            reheld: call.reheld.as_deref().map(Text::line),
            edited_by: call.edited_by.as_ref().map(|name| Text::line(name.as_str())),
            deadline: deadline.map(|deadline| ShownTime::new(deadline, now)),
            then,
            stage: call.stage + 1,
            waits_for: waits_for.iter().map(|who| Text::line(who)).collect(),
            rejected: waiting::rejected(&said, call.rejections_needed()).map(|said| Text::line(&said)),
            because: because.iter().map(|(label, text)| (*label, Text::line(text))).collect(),
            looked_up: call.looked_up.as_ref().map(|found| Text::line(&found.evidence)),
        }
    }
}

fn granted(call: &Call, id: &str) -> Option<(String, String)> {
    let cleared_by = call.proposal().and_then(|proposal| proposal.policy.grant.as_ref());
    let made = call.granted.as_ref().map(|granted| {
        let taken_back = granted.revoked.as_ref().map(|(by, _)| format!("; revoked by {by}")).unwrap_or_default();
        let terms = sentences::granted(&granted.grant);
        (format!("{} made a grant for further calls like this one: {terms}{taken_back}", granted.by), id.to_owned())
    });
    made.or_else(|| cleared_by.map(|grant| (format!("Cleared by the grant {grant}"), grant.to_string())))
}

fn sentence(call: &Call) -> String {
    let question = call.proposal().is_some_and(|proposal| proposal.class == EffectClass::Question);
    let needed = call.still_needed();
    if let (Phase::Cleared { .. } | Phase::Approved { .. }, Some(postponed)) = (&call.phase, &call.postponed) {
        let (attempt, until) = (call.attempts, sentences::at(postponed.until));
        return format!(
            "is cleared; attempt {attempt} did not happen, and the next attempt is at {until}: {}",
            postponed.reason
        );
    }
    match &call.phase {
        Phase::Held if question => "waits for an answer".into(),
        Phase::Held if needed == 1 => "waits for 1 approval".into(),
        Phase::Held => format!("waits for {needed} approvals"),
        Phase::Refused(reason) => format!("was refused without asking a reviewer: {}", sentences::refused(reason)),
        Phase::Cleared { .. } => "was cleared by policy; the effect has not started".into(),
        Phase::Approved { .. } => "is approved; the effect has not started".into(),
        Phase::Rejected { .. } => "was rejected; nothing was done".into(),
        Phase::Answered { .. } => "was answered".into(),
        Phase::Expired => "expired; nothing was done".into(),
        Phase::Cancelled => "was cancelled; nothing was done".into(),
        Phase::Started => "is being done".into(),
        Phase::Succeeded { .. } => "is done".into(),
        Phase::Failed { reason } => format!("was tried and did not happen: {reason}"),
        Phase::InDoubt { reason } => format!("is in doubt: the effect may have happened. {reason}"),
        Phase::Unresolved { reason } => format!("was closed with an unknown outcome: {reason}"),
    }
}

/// The reason why this reviewer may not approve the call, if there is one.
pub(super) fn barred(subject: &Subject, call: &Call, name: &ReviewerName) -> Option<Text> {
    let started_by = &subject.run.as_ref()?.started_by;
    // Reviewers of any stage may resolve an effect in doubt, as in the gate.
    let may = if call.phase == Phase::Held {
        call.admits_approval(name, started_by)
    } else {
        let bars = |requirement: &Requirement| requirement.bars(name, started_by, call.edited_by.as_ref());
        call.admits(name).and_then(|()| call.requirement().map_or(Ok(()), bars))
    };
    let why = may.err()?;
    Some(Text::line(&why.to_string()))
}

/// The status of the approval that was decided just before, if `id` names one.
pub(super) async fn before(api: &Api, id: Option<&str>) -> Option<LastDecision> {
    let (run, number) = ids::approval(id?).ok()?;
    let (subject, call) = approvals::load(api, &run, number).await.ok()?;
    let started_by = subject.run.map(|run| run.started_by).unwrap_or_default();
    let summary = Text::line(&call.proposal()?.summary);
    Some(LastDecision {
        id: Text::line(id?),
        summary,
        status: Status::of(&call, id?, &started_by, api.journal().now()),
    })
}
