//! The explanation of a verdict (`/approvals/{id}/explanation`): the deciding policies, and the
//! changes that would alter the verdict.

use askama::Template;
use axum::extract::State;

use holdshort_gate::PolicyVerdict;

use super::frame::{Frame, PageResult, Signed, page};
use super::policy::ShownPolicy;
use crate::api::explanations::{PresentVerdict, RecordedVerdict, explanation};
use crate::api::limits::Path;
use crate::api::{Api, approvals, ids};
use crate::review::{Text, sentences};

#[derive(Template)]
#[template(path = "explanation.html")]
struct ExplanationPage {
    frame: Frame,
    id: Text,
    summary: Text,
    /// The recorded verdict, if policy was asked.
    recorded: Option<&'static str>,
    policies: Vec<ShownPolicy>,
    /// Other recorded details, as label and text.
    more: Vec<(&'static str, Text)>,
    present: Option<ShownVerdict>,
    notes: Vec<Text>,
}

/// The verdict of the policies in force now.
#[derive(Debug)]
struct ShownVerdict {
    /// Whether the policies in force are the recorded ones and give the same verdict.
    same: bool,
    verdict: &'static str,
    policies: Vec<ShownPolicy>,
    more: Vec<(&'static str, Text)>,
    changes: Vec<Text>,
    tried: usize,
}

/// Shows the explanation.
pub(super) async fn show(State(api): State<Api>, signed: Signed, Path(id): Path<String>) -> PageResult {
    let (run, number) = ids::approval(&id)?;
    let (_, call) = approvals::load(&api, &run, number).await?;
    let explained = explanation(&api, &id).await?;
    let capability = || call.action().capability().to_string();
    let summary = call.proposal().map_or_else(capability, |proposal| proposal.summary.clone());
    let then = explained.recorded.as_ref().map(|recorded| recorded.verdict);
    let (recorded, policies, more) = explained.recorded.map(recorded).unwrap_or_default();
    page(&ExplanationPage {
        frame: signed.frame("inbox"),
        id: Text::line(&id),
        summary: Text::line(&summary),
        recorded,
        policies,
        more,
        present: explained.present.map(|verdict| present(verdict, then)),
        notes: explained.notes.iter().map(|note| Text::line(note)).collect(),
    })
}

/// The recorded verdict, its policies and its other details.
fn recorded(verdict: RecordedVerdict) -> (Option<&'static str>, Vec<ShownPolicy>, Vec<(&'static str, Text)>) {
    let reasons = verdict.reasons.iter().map(|why| ("why", Text::line(why)));
    let totals = verdict
        .totals
        .iter()
        .map(|one| ("total before", Text::line(&format!("of {}: {}", one.of, sentences::total(&one.total)))));
    let more = reasons.chain(totals).chain(errors(&verdict.errors)).collect();
    (Some(sentences::judged(verdict.verdict)), verdict.determining.into_iter().map(ShownPolicy::from).collect(), more)
}

/// The present verdict, and the changes that would alter it.
fn present(verdict: PresentVerdict, then: Option<PolicyVerdict>) -> ShownVerdict {
    let why = verdict.why.as_ref().map(|why| ("why", Text::line(why)));
    ShownVerdict {
        same: verdict.same_policies && then == Some(verdict.verdict),
        verdict: sentences::judged(verdict.verdict),
        more: why.into_iter().chain(errors(&verdict.errors)).collect(),
        policies: verdict.determining.into_iter().map(ShownPolicy::from).collect(),
        changes: verdict.changes.iter().map(|change| Text::line(&change.sentence)).collect(),
        tried: verdict.tried,
    }
}

fn errors(errors: &[String]) -> impl Iterator<Item = (&'static str, Text)> {
    errors.iter().map(|error| ("could not be evaluated", Text::line(error)))
}
