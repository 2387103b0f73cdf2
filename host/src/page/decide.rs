//! Receives the decision forms (`/approvals/{id}/decision`).
//!
//! The seal of a form covers the digest. A session can therefore decide only on an approval that
//! the page showed to this session.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use holdshort_gate::{Call, CallNumber, Digest, RunId};
use serde_json::Value;

use super::approval::choices;
use super::confirmation::{caution, typed};
use super::frame::{ErrorPage, PageResult, Signed};
use super::inbox;
use crate::api::decisions::{self, DecisionRequest, DecisionType};
use crate::api::limits::{Form, Path};
use crate::api::message::Message;
use crate::api::problem::{Kind, Problem};
use crate::api::{Api, approvals, ids};

/// Records the decision and redirects to the next approval.
pub(super) async fn create(State(api): State<Api>, signed: Signed, Path(id): Path<String>, form: Form) -> PageResult {
    let (run, number) = ids::approval(&id)?;
    let failed = |problem: Problem| ErrorPage::at(problem, &id).with(form.field("message"));
    let digest: Digest = form
        .field("digest")
        .and_then(|digest| digest.parse().ok())
        .ok_or_else(|| failed(Problem::new(Kind::BadRequest, "the form has no digest; open the page again")))?;
    signed.0.check(&digest.to_string(), form.field("seal").unwrap_or_default()).map_err(failed)?;
    let request = request(&api, &run, number, digest, &form).await?;
    let decided = decisions::decide(&api, &run, number, signed.0.reviewer(), request).await.map_err(failed)?;
    Ok(Redirect::to(&inbox::after(&api, &signed, &id, &decided).await?).into_response())
}

async fn request(
    api: &Api,
    run: &RunId,
    number: CallNumber,
    digest: Digest,
    form: &Form,
) -> Result<DecisionRequest, ErrorPage> {
    let wrong = |detail: &str| ErrorPage::at(Problem::new(Kind::BadRequest, detail), &format!("{run}.{number}"));
    let (_, call) = approvals::load(api, run, number).await?;
    let kind = match form.field("decision") {
        Some("approve") => {
            // The current revision is checked. If the form names an older digest, `decide` refuses the form anyway.
            if caution(call.proposal()).is_some() {
                typed(form).map_err(|problem| ErrorPage::at(problem, &format!("{run}.{number}")))?;
            }
            DecisionType::Approve
        }
        Some("reject") => DecisionType::Reject,
        Some("respond") => DecisionType::Respond,
        Some(_) | None => return Err(wrong("the form has no decision: choose approve, reject or respond")),
    };
    let failed = |problem: Problem| ErrorPage::at(problem, &format!("{run}.{number}")).with(form.field("message"));
    let message = Message::of(form, "message").map_err(failed)?;
    let answer = chosen(&call, form).filter(|_| matches!(kind, DecisionType::Respond)).map(Value::String);
    match (&kind, &answer, &message) {
        (_, Some(_), Some(_)) => {
            return Err(wrong("the form has both a choice and a written answer: send only one of the two"));
        }
        (DecisionType::Respond, None, None) => {
            return Err(wrong("the answer is empty: write an answer, or pick a choice"));
        }
        (_, _, _) => {}
    }
    let stands_for = form.field("place").map(str::to_owned);
    Ok(DecisionRequest { message, answer, stands_for, ..DecisionRequest::new(kind, digest) })
}

/// The selected choice as the agent wrote it. The form sends only the index of the choice, because the page shows
/// choices in visible form.
fn chosen(call: &Call, form: &Form) -> Option<String> {
    let index: usize = form.field("choice")?.parse().ok()?;
    choices(call).nth(index).map(str::to_owned)
}
