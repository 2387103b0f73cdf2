//! Resolves an effect in doubt (`/approvals/{id}/resolution`).
//!
//! The seal covers the approval and the attempt, so a form resolves only the attempt that its page
//! showed.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use holdshort_gate::{Call, EffectClass, Phase, RunId, Subject};

use super::frame::{ErrorPage, PageResult, Seal, ShownTime, Signed};
use super::status::barred;
use crate::api::limits::{Form, Path};
use crate::api::message::Message;
use crate::api::problem::{Kind, Problem};
use crate::api::resolutions::{self, ResolutionRequest, ResolutionType};
use crate::api::{Api, ids};
use crate::review::{Item, Text, sentences};
use holdshort_common::once::once;

/// The data of the form; `parts::resolving` lays it out.
#[derive(Debug)]
pub(super) struct Resolving {
    /// The id of the approval.
    pub(super) id: Text,
    pub(super) call: u32,
    pub(super) attempt: u32,
    pub(super) summary: Text,
    pub(super) seal: Seal,
    /// Why the outcome is unknown.
    pub(super) reason: Text,
    /// The time and the result of the host's lookup.
    pub(super) found: Option<(ShownTime, Text)>,
    /// The possible resolutions, and where to check.
    pub(super) if_lost: Option<Text>,
    /// Whether the effect may be sent again.
    pub(super) again: bool,
    /// The receipt that the agent gets after `done`; `None` if the reviewer must write one.
    pub(super) receipt: Option<Vec<Item>>,
    /// The reason why this reviewer may not resolve the effect.
    pub(super) barred: Option<Text>,
}

/// The form for a call in doubt; `None` for any other call.
pub(super) fn resolving(api: &Api, signed: &Signed, run: &RunId, subject: &Subject, call: &Call) -> Option<Resolving> {
    let (Phase::InDoubt { reason }, Some(proposal)) = (&call.phase, call.proposal()) else { return None };
    let id = format!("{run}.{}", call.number);
    let now = api.journal().now();
    let if_lost = sentences::if_lost(proposal.class, api.driver().if_lost(call).as_deref());
    Some(Resolving {
        call: call.number,
        attempt: call.attempts,
        summary: Text::line(&proposal.summary),
        seal: signed.seal(&to_resolve(&id, call.attempts)),
        reason: Text::line(reason),
        found: call.looked_up.as_ref().map(|found| (ShownTime::new(found.at, now), Text::line(&found.evidence))),
        if_lost: if_lost.as_deref().map(Text::line),
        again: proposal.class == EffectClass::Idempotent,
        receipt: api.driver().default_receipt(run, call).map(|receipt| Item::all(&receipt, None)),
        barred: barred(subject, call, signed.name()),
        id: Text::line(&id),
    })
}

/// The purpose that the seal of a resolution covers.
fn to_resolve(id: &str, attempt: u32) -> String {
    format!("resolve {id} {attempt}")
}

/// Records the resolution.
pub(super) async fn create(State(api): State<Api>, signed: Signed, Path(id): Path<String>, form: Form) -> PageResult {
    let (run, number) = ids::approval(&id)?;
    let failed = |problem: Problem| ErrorPage::at(problem, &id);
    let attempt = form.field("attempt").and_then(|attempt| attempt.parse().ok());
    let attempt: u32 = attempt
        .ok_or_else(|| failed(Problem::new(Kind::BadRequest, "the form has no attempt; open the page again")))?;
    signed.0.check(&to_resolve(&id, attempt), form.field("seal").unwrap_or_default()).map_err(failed)?;
    let request = request(attempt, &form).map_err(failed)?;
    let _written = resolutions::resolve(&api, &run, number, signed.0.reviewer(), request).await.map_err(failed)?;
    Ok(Redirect::to(&format!("/approvals/{run}.{number}")).into_response())
}

fn request(attempt: u32, form: &Form) -> Result<ResolutionRequest, Problem> {
    let kind = match form.field("resolution") {
        Some("done") => ResolutionType::Done,
        Some("not-done") => ResolutionType::NotDone,
        Some("abandon") => ResolutionType::Abandon,
        Some("send-again") => ResolutionType::SendAgain,
        Some(_) | None => return Err(Problem::new(Kind::BadRequest, "choose how the effect is resolved")),
    };
    let receipt = form.field("receipt").map(|text| once(text.as_bytes())).transpose();
    let receipt =
        receipt.map_err(|error| Problem::new(Kind::BadRequest, format!("the receipt is not JSON: {error}")))?;
    Ok(ResolutionRequest { kind, attempt, receipt, message: Message::of(form, "message")? })
}
