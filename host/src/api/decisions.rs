//! `/v1/approvals/{id}/decisions`: a reviewer decides. Written down first, answered then.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use holdshort_gate::call::Decided;
use holdshort_gate::command::{Choice, Command, Decide, DecisionOutcome, Revision};
use holdshort_gate::{Call, CallNumber, Digest, Grant, Phase, Refused, RunId, Subject, Time, Verdict};
use holdshort_journal::{Fence, Flushed};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::auth::Reviewer;
use super::forms::{AnyForm, AnyFormShape};
use super::json::Json;
use super::limits::{Input, Path, parse};
use super::message::Message;
use super::openapi::{Posted, Refusals};
use super::problem::{Details, Kind, Problem};
use super::shapes::{ApprovalIdShape, CallStateShape, DigestShape};
use super::{Answer, Api, approvals, grants, ids};
use crate::policy::{JudgedCall, Policy};

/// A decision, whichever form it came in.
pub(crate) struct DecisionRequest {
    pub(crate) kind: DecisionType,
    /// The digest of what was shown; if it is not the current one, nothing happens.
    pub(crate) digest: Digest,
    /// The new arguments of an `edit`, all of them.
    pub(crate) arguments: Option<Value>,
    /// A note, guidance, or the answer in words.
    pub(crate) message: Option<Message>,
    /// In whose place, if that was said.
    pub(crate) stands_for: Option<String>,
    /// The answer of a `respond`, of the function's `ok` type.
    pub(crate) answer: Option<Value>,
    /// The standing grant that an `approve` makes.
    pub(crate) grant: Option<Box<Grant>>,
    /// The function that an `edit` is about, where its form names it.
    pub(crate) capability: Option<String>,
}

impl DecisionRequest {
    /// A decision that says no more than this.
    pub(crate) fn new(kind: DecisionType, digest: Digest) -> Self {
        let (arguments, message, stands_for, answer, grant, capability) = (None, None, None, None, None, None);
        Self { kind, digest, arguments, message, stands_for, answer, grant, capability }
    }
}

/// What a reviewer does.
#[derive(Clone, Copy)]
pub(crate) enum DecisionType {
    /// Do it.
    Approve,
    /// Do this instead, with the arguments given.
    Edit,
    /// Do not.
    Reject,
    /// Answers a question.
    Respond,
}

/// What the agent is told, and the journal keeps, of a rejection without a word.
const NO_REASON: &str = "no reason was given";

/// What a decision led to.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DecisionAnswer {
    /// Where the call stands now.
    #[schema(value_type = CallStateShape)]
    state: &'static str,
    /// The current digest: another one after an edit.
    #[schema(value_type = DigestShape)]
    digest: Digest,
    /// How many more people must approve.
    still_needed: u32,
    /// Whether this very decision had been written down before; it counts once.
    repeated: bool,
}

/// Decides.
///
/// The same decision again has the same answer, so a client that lost a reply sends it again.
#[utoipa::path(post, path = "/v1/approvals/{id}/decisions", operation_id = "decide", tag = "approvals", request_body = AnyFormShape,
    params(("id" = ApprovalIdShape, Path)), responses(Refusals, Posted,
    (status = 200, body = DecisionAnswer, description = "Decided."),
    (status = 202, body = DecisionAnswer, description = "Written down; more people must approve. After an edit that is the editor too, unless the new action rests on evidence that they were shown."),
    (status = 404, body = Details, content_type = "application/problem+json"),
    (status = 409, body = Details, content_type = "application/problem+json", description = "Another digest is current, it was decided before, or it takes no more decisions of this person or no more revisions."),
    (status = 410, body = Details, content_type = "application/problem+json", description = "The approval has expired."),
    (status = 422, body = Details, content_type = "application/problem+json", description = "The decision or its value does not fit the approval.")))]
pub(super) async fn create(
    State(api): State<Api>,
    Path(id): Path<String>,
    reviewer: Reviewer,
    Input(form): Input<AnyForm>,
) -> Answer {
    let (run, number) = ids::approval(&id)?;
    Ok(answered(&decide(&api, &run, number, &reviewer, form.about(&id)?).await?))
}

/// Writes a reviewer's decision, whichever way it came.
pub(crate) async fn decide(
    api: &Api,
    run: &RunId,
    number: CallNumber,
    reviewer: &Reviewer,
    request: DecisionRequest,
) -> Result<Flushed<DecisionOutcome>, Problem> {
    let DecisionRequest { kind, digest, arguments, message, stands_for, answer, grant, capability } = request;
    let message = message.map(String::from);
    let words = message.clone().map(Value::String);
    let (name, signed_in_at) = (reviewer.name().into(), reviewer.signed_in_at(api.journal().now()));
    let stands_for = place(api, run, number, reviewer, digest, stands_for).await?;
    let asked = Asked { run, number, reviewer: name, stands_for, signed_in_at, clearance: digest, message };
    match kind {
        DecisionType::Approve => match grant {
            Some(grant) => {
                grants::check(api, run, number, &grant).await?;
                at_this_time(api, run, number, digest).await?;
                asked.submit(api, Choice::Grant(grant)).await
            }
            // The frequent ones are one write and no read: the gate judges inside the journal's transaction anyway.
            None => {
                at_this_time(api, run, number, digest).await?;
                asked.submit(api, Choice::Approve).await
            }
        },
        DecisionType::Reject => {
            let said = asked.message.clone().filter(|words| !words.trim().is_empty());
            let message = Some(said.unwrap_or_else(|| NO_REASON.into()));
            Asked { message, ..asked }.submit(api, Choice::Reject).await
        }
        DecisionType::Edit => edit(api, asked, capability, arguments.unwrap_or_default()).await,
        DecisionType::Respond => respond(api, asked, answer.or(words).unwrap_or_default()).await,
    }
}

/// Refuses an approval of what policy forbids at this time: its effect would not start either. The call waits on, and may be approved at another time.
/// Where no policy speaks of the time nothing is read.
async fn at_this_time(api: &Api, run: &RunId, number: CallNumber, digest: Digest) -> Result<(), Problem> {
    let Some(policy) = api.setting().present.as_ref().filter(|policy| policy.goes_by_time()) else { return Ok(()) };
    let (subject, call) = approvals::load(api, run, number).await?;
    let waits = call.phase == Phase::Held && call.clearance == Some(digest);
    let Some((proposal, started)) = call.proposal().zip(subject.run.as_ref()).filter(|_| waits) else { return Ok(()) };
    let (started_by, agent) = (&*started.started_by, &*started.agent);
    let judged = JudgedCall { started_by, agent, run, proposal, by_policy: false };
    match policy.overtaken(&judged, api.journal().now()) {
        Some(why) => Err(Problem::new(Kind::NotNow, format!("{why}; approve it at another time")).state("held")),
        None => Ok(()),
    }
}

/// In whose place a reviewer decides. Who stands for nobody needs no look at the call.
async fn place(
    api: &Api,
    run: &RunId,
    number: CallNumber,
    reviewer: &Reviewer,
    digest: Digest,
    named: Option<String>,
) -> Result<Option<String>, Problem> {
    let now = api.journal().now();
    if named.as_deref() == Some(reviewer.name()) {
        return Ok(None);
    }
    if let Some(named) = named {
        if reviewer.stands_for(now).all(|name| name != named) {
            let detail = format!("you do not decide in the place of `{}`", super::shortened(&named));
            return Err(Problem::new(Kind::NotEligible, detail));
        }
        return Ok(Some(named));
    }
    if reviewer.stands_for(now).next().is_none() {
        return Ok(None);
    }
    let (subject, call) = approvals::load(api, run, number).await?;
    let said = |made: &&Decided| made.decision.reviewer == reviewer.name() && made.decision.clearance == digest;
    let still =
        |place: &Option<String>| place.as_ref().is_none_or(|of| reviewer.stands_for(now).any(|name| name == of));
    // Who says it again says it in the same place, while they may.
    let before = call.decisions.iter().rev().find(said).map(|made| made.decision.stands_for.clone());
    if let Some(place) = before.filter(still) {
        return Ok(place);
    }
    let started_by = subject.run.map(|run| run.started_by).unwrap_or_default();
    Ok(reviewer.seat(&call, &started_by, now).map(str::to_owned))
}

/// Reads a decision as the endpoint does, as far as that goes without a journal: whether `id` may be an approval's and `body` a decision.
pub fn check(id: &str, body: &[u8]) -> Result<(), Problem> {
    ids::approval(id)?;
    parse::<AnyForm>(body)?.about(id).map(drop)
}

/// Only what is on disk is answered; that is what the type says.
fn answered(outcome: &Flushed<DecisionOutcome>) -> Response {
    let DecisionOutcome { phase, still_needed, clearance, repeated } = **outcome;
    let status = if phase == "held" { StatusCode::ACCEPTED } else { StatusCode::OK };
    (status, Json(DecisionAnswer { state: phase, digest: clearance, still_needed, repeated })).into_response()
}

/// A decision, but for its choice.
#[derive(Clone)]
struct Asked<'a> {
    run: &'a RunId,
    number: CallNumber,
    reviewer: String,
    stands_for: Option<String>,
    signed_in_at: Time,
    clearance: Digest,
    message: Option<String>,
}

impl Asked<'_> {
    /// The decision as the gate takes it.
    fn decide(self, choice: Choice) -> Decide {
        let Self { reviewer, stands_for, signed_in_at, clearance, message, .. } = self;
        Decide { reviewer, stands_for, signed_in_at, clearance, choice, message }
    }

    /// Writes the decision. The gate judges it on the state that is then in the journal.
    async fn submit(self, api: &Api, choice: Choice) -> Result<Flushed<DecisionOutcome>, Problem> {
        let (run, number) = (self.run, Some(self.number));
        Ok(api.journal().submit(run, number, Fence::None, self.decide(choice)).await?)
    }

    /// Whether the gate would take this kind of decision at all, whatever its value.
    /// Asked before the value is looked at, so that whoever may not decide, or is too late, makes the host do nothing and is told that and nothing else.
    /// Returns what it would lead to if its value were the stand-in's.
    fn may(&self, api: &Api, subject: Subject, call: &Call, stand_in: Choice) -> Result<DecisionOutcome, Problem> {
        let subject = Subject { call: Some(call.clone()), ..subject };
        let (_, outcome) = self.clone().decide(stand_in).decide(&subject, api.journal().now())?;
        Ok(outcome)
    }
}

/// Asks the driver for what the edit would do, outside the transaction; whether it may replace the call is judged inside.
async fn edit(
    api: &Api,
    asked: Asked<'_>,
    capability: Option<String>,
    arguments: Value,
) -> Result<Flushed<DecisionOutcome>, Problem> {
    let (subject, call) = approvals::load(api, asked.run, asked.number).await?;
    let arguments = &call.action().edited(arguments);
    let Some(proposal) = call.proposal().cloned() else {
        return Err(Refused::WrongPhase(call.phase.name()).into());
    };
    let current = Choice::Edit(Box::new(Revision { proposal }));
    let calls = call.action().capability().to_string();
    let other = capability.filter(|name| *name != calls);
    if other.is_none() && is_repeated(&asked, &call, arguments) {
        // The connector is not asked again: it may find by now that what was edited has been done.
        return asked.submit(api, current).await;
    }
    asked.may(api, subject, &call, current)?;
    if let Some(other) = other {
        let detail = format!("an edit cannot make `{}` of `{calls}`", super::shortened(&other));
        return Err(Problem::new(Kind::WrongType, detail));
    }
    let revision = api.driver().revise(asked.run, &call, &asked.reviewer, arguments).await?;
    asked.submit(api, Choice::Edit(Box::new(revision))).await
}

/// The call, and what an edit of it would lead to: `revision`, or one that changes nothing. Nothing is written.
/// Without a digest it is about what is current.
pub(crate) async fn foresee(
    api: &Api,
    run: &RunId,
    number: CallNumber,
    reviewer: &Reviewer,
    digest: Option<Digest>,
    revision: Option<Revision>,
) -> Result<(Call, DecisionOutcome), Problem> {
    let (subject, call) = approvals::load(api, run, number).await?;
    let started_by = subject.run.as_ref().map(|run| run.started_by.clone()).unwrap_or_default();
    let wrong_phase = || Refused::WrongPhase(call.phase.name());
    let clearance = digest.or(call.clearance).ok_or_else(wrong_phase)?;
    let current = || call.proposal().cloned().map(|proposal| Revision { proposal });
    let revision = revision.or_else(current).ok_or_else(wrong_phase)?;
    let (name, signed_in_at) = (reviewer.name().into(), reviewer.signed_in_at(api.journal().now()));
    let stands_for = reviewer.seat(&call, &started_by, api.journal().now()).map(str::to_owned);
    let asked = Asked { run, number, reviewer: name, stands_for, signed_in_at, clearance, message: None };
    let outcome = asked.may(api, subject, &call, Choice::Edit(Box::new(revision)))?;
    Ok((call, outcome))
}

/// Whether this person made this very edit before.
fn is_repeated(asked: &Asked<'_>, call: &Call, arguments: &Value) -> bool {
    let action = call.action();
    action.arguments() == arguments
        && call.decisions.iter().any(|made| {
            let decision = &made.decision;
            decision.reviewer == asked.reviewer
                && decision.clearance == asked.clearance
                && decision.verdict == Verdict::Edit(action.digest())
        })
}

/// The answer is checked against the function's type, because the agent gets it as the function's own result.
async fn respond(api: &Api, asked: Asked<'_>, answer: Value) -> Result<Flushed<DecisionOutcome>, Problem> {
    let (subject, call) = approvals::load(api, asked.run, asked.number).await?;
    asked.may(api, subject, &call, Choice::Respond(answer.clone()))?;
    let answer = api.driver().check_ok_value(&call, &answer).await?;
    asked.submit(api, Choice::Respond(answer)).await
}
