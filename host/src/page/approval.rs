//! The page of one approval (`/approvals/{id}`): the action, the host's facts, the agent's words,
//! and the decision forms.

use askama::Template;
use axum::extract::State;
use holdshort_gate::{Call, CallId, Consequence, Digest, EffectClass, Phase, RunId, Subject, Time};
use holdshort_journal::ReadError;
use serde::Deserialize;

use super::confirmation::{caution, titles};
use super::evidence::{self, Body, Evidence};
use super::frame::{Frame, PageResult, Seal, ShownTime, Signed, long_page, page};
use super::grant::may_grant;
use super::resolve::{Resolving, resolving};
use super::status::{LastDecision, Status, barred, before};
use crate::api::limits::{Path, Query};
use crate::api::{Api, approvals, ids, runs};
use crate::review::sentences;
use crate::review::waiting::is_early;
use crate::review::{Item, Sheet, ShownCall, ShownExhibit, Text};

/// The query of the page's address.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApprovalQuery {
    /// `whole`: show all evidence that fits on a page for printing.
    evidence: Option<String>,
    /// `split`: show diffs side by side.
    diff: Option<String>,
    /// The approval that this reviewer decided just before; the page reports its state.
    decided: Option<String>,
}

#[derive(Template)]
#[template(path = "approval.html")]
struct ApprovalPage {
    frame: Frame,
    id: Text,
    run: Text,
    agent: Text,
    capability: Text,
    task: Text,
    started_by: Text,
    asked: ShownTime,
    consequence: &'static str,
    status: Status,
    sheet: Sheet,
    evidence: Vec<Evidence>,
    /// Whether diffs are shown side by side.
    split: bool,
    /// Whether the page contains all evidence, unfolded, so that it can be printed.
    whole: bool,
    /// The parts of the clearance besides the action and the evidence, as label and text.
    facts: Vec<(&'static str, Text)>,
    /// The connector's report of the effect.
    receipt: Vec<Item>,
    digest: Option<Digest>,
    decide: Option<Deciding>,
    resolving: Option<Resolving>,
    before: Option<LastDecision>,
    /// Held calls with the same action that this approval does not name. The approvals of these calls name this call.
    same: Vec<Text>,
}

/// The data for the decision forms.
#[derive(Debug)]
struct Deciding {
    digest: Digest,
    seal: Seal,
    /// The reason why this reviewer may not approve.
    barred: Option<Text>,
    /// The reviewer whose decision these forms make: the signed-in reviewer, or the absent reviewer for whom they act.
    place: Text,
    /// The absent reviewer for whom the signed-in reviewer acts, if any.
    stands_for: Option<Text>,
    /// Whether an earlier stage still needs approvals.
    early: bool,
    /// Whether this reviewer has already approved.
    voted: bool,
    /// Whether this reviewer made the revision with an edit.
    edited: bool,
    /// The choices, if the call is a question.
    question: Option<Vec<Text>>,
    /// Whether this reviewer may create a grant with the approval.
    grants: bool,
    /// The reason why an approval needs the confirmation word.
    caution: Option<&'static str>,
}

/// Shows an approval in any state. The address is permanent.
pub(super) async fn show(
    State(api): State<Api>,
    signed: Signed,
    Path(id): Path<String>,
    Query(query): Query<ApprovalQuery>,
) -> PageResult {
    let (run, number) = ids::approval(&id)?;
    let (subject, call) = approvals::load(&api, &run, number).await?;
    let task = runs::row(&api, &run).await?.task;
    let now = api.journal().now();
    let whole = query.evidence.as_deref() == Some("whole");
    let evidence = evidence::all(&api, &call, whole).await?;
    // If the component is no longer readable, the arguments are shown without their types.
    let function = api.driver().function(&call).await.ok();
    let titles = call.proposal().map(titles).unwrap_or_default();
    let content = content(&call, function.as_ref(), &titles);
    let asks = subject.run.as_ref();
    let (agent, started_by) = asks.map(|run| (run.agent.clone(), run.started_by.clone())).unwrap_or_default();
    let shown = ApprovalPage {
        frame: signed.frame("inbox"),
        id: Text::line(&id),
        run: Text::line(&run.0),
        agent: Text::line(agent.as_str()),
        capability: Text::line(&call.action().capability().to_string()),
        task: Text::line(&task),
        started_by: Text::line(started_by.as_str()),
        asked: ShownTime::new(call.proposed_at, now),
        consequence: call
            .proposal()
            .map_or(Consequence::Low, |proposal| proposal.consequence.unwrap_or_default())
            .name(),
        status: Status::of(&call, &id, &started_by, now),
        sheet: Sheet::of(&content),
        facts: facts(&api, &call),
        receipt: receipt(&call),
        digest: call.clearance,
        decide: deciding(&signed, &subject, &call, now),
        resolving: resolving(&api, &signed, &run, &subject, &call),
        evidence,
        whole,
        split: query.diff.as_deref() == Some("split"),
        before: before(&api, query.decided.as_deref()).await,
        same: same(&api, &run, &call).await?,
    };
    if whole { long_page(shown).await } else { page(&shown) }
}

/// Held calls with the same action, except those that the approval already names.
async fn same(api: &Api, run: &RunId, call: &Call) -> Result<Vec<Text>, ReadError> {
    let of = CallId { run: run.clone(), call: call.number };
    let shown =
        |id: &CallId| call.proposal().is_some_and(|proposal| proposal.similar_calls.iter().any(|one| one.id == *id));
    let same = api.journal().same_waiting(&of).await?;
    Ok(same.iter().filter(|id| !shown(id)).map(|id| Text::line(&id.to_string())).collect())
}

fn content<'a>(
    call: &'a Call,
    function: Option<&'a holdshort_gate::FunctionType>,
    titles: &'a [ShownExhibit],
) -> ShownCall<'a> {
    static NOTHING: serde_json::Value = serde_json::Value::Null;
    match call.proposal() {
        Some(proposal) => ShownCall { function, ..ShownCall::of(proposal, &[], titles) },
        None => ShownCall {
            summary: "",
            facts: &[],
            arguments: call.action().arguments(),
            function,
            exhibits: titles,
            preconditions: &NOTHING,
            differences: Vec::new(),
        },
    }
}

fn facts(api: &Api, call: &Call) -> Vec<(&'static str, Text)> {
    let Some(proposal) = call.proposal() else { return Vec::new() };
    let if_lost = sentences::if_lost(proposal.class, api.driver().if_lost(call).as_deref());
    let lost = if_lost.map(|text| ("if its outcome is unknown", text));
    let revision = ("revision", call.revision.to_string());
    let all = sentences::proposal(proposal).into_iter().chain(lost).chain([revision]);
    all.map(|(label, text)| (label, Text::line(&text))).collect()
}

fn receipt(call: &Call) -> Vec<Item> {
    let done = match &call.phase {
        Phase::Succeeded { receipt } => Some(receipt),
        Phase::Answered { answer } => Some(answer),
        Phase::Refused(_)
        | Phase::Cleared { .. }
        | Phase::Held
        | Phase::Approved { .. }
        | Phase::Rejected { .. }
        | Phase::Expired
        | Phase::Cancelled
        | Phase::Started
        | Phase::Failed { .. }
        | Phase::InDoubt { .. }
        | Phase::Unresolved { .. } => None,
    };
    done.map(|value| Item::all(value, None)).unwrap_or_default()
}

/// The decision forms of a held call.
fn deciding(signed: &Signed, subject: &Subject, call: &Call, now: Time) -> Option<Deciding> {
    let digest = call.clearance.filter(|_| call.phase == Phase::Held)?;
    let started_by = &subject.run.as_ref()?.started_by;
    // A delegate gets the forms of the absent reviewer. Four-eyes also looks at the delegate, who is the person that
    // decides.
    let acting_for = signed.0.reviewer().acting_for(call, started_by, now);
    let name = acting_for.unwrap_or(signed.name());
    let bars = call.requirement().map(|asks| asks.bars(signed.name(), started_by, call.edited_by.as_ref()));
    let own = bars.and_then(Result::err).map(|why| Text::line(&why.to_string()));
    let barred = own.or_else(|| barred(subject, call, name));
    let question = (call.proposal()?.class == EffectClass::Question).then(|| choices(call).map(Text::line).collect());
    Some(Deciding {
        digest,
        seal: signed.seal(&digest.to_string()),
        barred,
        early: is_early(call, name, started_by),
        place: Text::line(name.as_str()),
        stands_for: acting_for.map(|name| Text::line(name.as_str())),
        voted: call.has_vote_of(signed.name()),
        edited: call.edited_by.as_ref() == Some(signed.name()),
        question,
        grants: may_grant(subject, call, signed.name()),
        caution: caution(call.proposal()),
    })
}

/// The choices of a question.
pub(super) fn choices(call: &Call) -> impl Iterator<Item = &str> {
    let choices = call.action().arguments().get("question").and_then(|question| question.get("choices"));
    choices.and_then(serde_json::Value::as_array).into_iter().flatten().filter_map(serde_json::Value::as_str)
}
