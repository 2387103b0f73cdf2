//! `/approvals/{id}/resolution`: a person settles an effect whose outcome was lost.
//!
//! The seal is of the approval and the attempt, so the form that is sent is one that showed this very attempt.
//!
//! **Invariant:** Cancelling is sealed for one run, and settling for one attempt of one call. A form about another attempt, or of another
//! session, changes nothing.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use holdshort_gate::{Call, EffectClass, Phase, RunId, Subject};

use super::frame::{Answer, Seal, Signed, Trouble, When};
use super::standing::barred;
use crate::api::limits::{Form, Path};
use crate::api::message::Message;
use crate::api::problem::{Kind, Problem};
use crate::api::resolutions::{self, ResolutionRequest, ResolutionType};
use crate::api::{Api, ids};
use crate::review::{Item, Text, story};
use holdshort_common::once::once;

/// What the form needs; `parts::resolving` lays it out.
#[derive(Debug)]
pub(super) struct Resolving {
    /// The approval's id.
    pub(super) id: Text,
    pub(super) call: u32,
    pub(super) attempt: u32,
    pub(super) summary: Text,
    pub(super) seal: Seal,
    /// What was seen when the outcome was lost.
    pub(super) reason: Text,
    /// When the host looked, and what it found.
    pub(super) found: Option<(When, Text)>,
    /// How it could be settled, and where a person would look.
    pub(super) if_lost: Option<Text>,
    /// It can be sent again.
    pub(super) again: bool,
    /// What the agent is given with `done` if nobody writes a receipt; nothing if one must be written.
    pub(super) receipt: Option<Vec<Item>>,
    /// Why this reviewer may not settle it, if they may not.
    pub(super) barred: Option<Text>,
}

/// The form for a call that is in doubt; nothing for any other.
pub(super) fn resolving(api: &Api, signed: &Signed, run: &RunId, subject: &Subject, call: &Call) -> Option<Resolving> {
    let (Phase::InDoubt { reason }, Some(proposal)) = (&call.phase, call.proposal()) else { return None };
    let id = format!("{run}.{}", call.number);
    let now = api.journal().now();
    let if_lost = story::if_lost(proposal.class, api.driver().if_lost(call).as_deref());
    Some(Resolving {
        call: call.number,
        attempt: call.attempts,
        summary: Text::line(&proposal.summary),
        seal: signed.seal(&to_resolve(&id, call.attempts)),
        reason: Text::line(reason),
        found: call.looked_up.as_ref().map(|found| (When::new(found.at, now), Text::line(&found.evidence))),
        if_lost: if_lost.as_deref().map(Text::line),
        again: proposal.class == EffectClass::Idempotent,
        receipt: api.driver().default_receipt(run, call).map(|receipt| Item::all(&receipt, None)),
        barred: barred(subject, call, signed.name()),
        id: Text::line(&id),
    })
}

/// What a form must be sealed for to settle an attempt.
fn to_resolve(id: &str, attempt: u32) -> String {
    format!("resolve {id} {attempt}")
}

/// Settles it.
pub(super) async fn create(State(api): State<Api>, signed: Signed, Path(id): Path<String>, form: Form) -> Answer {
    let (run, number) = ids::approval(&id)?;
    let told = |problem: Problem| Trouble::at(problem, &id);
    let attempt = form.field("attempt").and_then(|attempt| attempt.parse().ok());
    let attempt: u32 = attempt.ok_or_else(|| told(Problem::new(Kind::BadRequest, "the form names no attempt")))?;
    signed.0.check(&to_resolve(&id, attempt), form.field("seal").unwrap_or_default()).map_err(told)?;
    let request = request(attempt, &form).map_err(told)?;
    let _written = resolutions::resolve(&api, &run, number, signed.0.reviewer(), request).await.map_err(told)?;
    Ok(Redirect::to(&format!("/approvals/{run}.{number}")).into_response())
}

fn request(attempt: u32, form: &Form) -> Result<ResolutionRequest, Problem> {
    let kind = match form.field("resolution") {
        Some("done") => ResolutionType::Done,
        Some("not-done") => ResolutionType::NotDone,
        Some("abandon") => ResolutionType::Abandon,
        Some("send-again") => ResolutionType::SendAgain,
        Some(_) | None => return Err(Problem::new(Kind::BadRequest, "say how it is settled")),
    };
    let receipt = form.field("receipt").map(|text| once(text.as_bytes())).transpose();
    let receipt =
        receipt.map_err(|error| Problem::new(Kind::BadRequest, format!("the receipt is no JSON: {error}")))?;
    Ok(ResolutionRequest { kind, attempt, receipt, message: Message::of(form, "message")? })
}
