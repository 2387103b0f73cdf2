//! The edit of an approval (`/approvals/{id}/edit`): a form with the arguments, a preview, and the
//! edit itself.
//!
//! The preview asks the connector and policy as the edit will, and records no event. Its seal covers the digest and the
//! new arguments, so the host accepts exactly the previewed bytes. The agent's rationale cannot be edited, because it
//! is in the agent's own words.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use holdshort_gate::command::{DecisionOutcome, Revision};
use holdshort_gate::{Call, CallNumber, Digest, FunctionType, RATIONALE, RunId, WitType};
use serde_json::Value;

use super::confirmation::{caution, typed};
use super::evidence::{self, Body, Evidence};
use super::form::{Draft, Kind, Name, Part, Sent, Wrong, parts};
use super::frame::{ErrorPage, Frame, PageResult, Seal, Signed, page};
use crate::api::decisions::{self, DecisionRequest, DecisionType};
use crate::api::limits::{Form, Path};
use crate::api::message::Message;
use crate::api::problem::{self, Problem};
use crate::api::{Api, ids};
use crate::review::{Item, Sheet, ShownCall, Text, changes};
use holdshort_common::once::once;

#[derive(Template)]
#[template(path = "edit.html")]
struct EditPage {
    frame: Frame,
    id: Text,
    summary: Text,
    digest: Digest,
    seal: Seal,
    /// An error about the form as a whole.
    trouble: Option<Text>,
    /// Errors about single fields.
    wrong: Wrong,
    parts: Vec<Part>,
}

#[derive(Template)]
#[template(path = "preview.html")]
struct PreviewPage {
    frame: Frame,
    id: Text,
    digest: Digest,
    seal: Seal,
    arguments: Text,
    before: Text,
    sheet: Sheet,
    consequence: &'static str,
    changes: Vec<(Text, Vec<Item>, Vec<Item>)>,
    /// The changed facts: position, old value, new value.
    facts: Vec<(Text, Vec<Item>, Vec<Item>)>,
    holds: Vec<(Text, Vec<Item>, Vec<Item>)>,
    /// Evidence that is new in this revision.
    evidence: Vec<Evidence>,
    /// The state of the call after the edit.
    outcome: DecisionOutcome,
    /// The reason why the edit needs the confirmation word.
    caution: Option<&'static str>,
}

/// An edit in progress.
struct Editing<'a> {
    api: &'a Api,
    signed: &'a Signed,
    id: &'a str,
    run: RunId,
    number: CallNumber,
    call: Call,
    digest: Digest,
    /// The type of the editable arguments: all parameters except the agent's rationale.
    ty: WitType,
}

impl<'a> Editing<'a> {
    /// Starts an edit. It first refuses a reviewer who may not edit, and an outdated digest.
    async fn begin(api: &'a Api, signed: &'a Signed, id: &'a str, digest: Option<Digest>) -> Result<Self, ErrorPage> {
        let failed = |problem: Problem| ErrorPage::at(problem, id);
        let (run, number) = ids::approval(id)?;
        let (call, _) =
            decisions::preview_decision(api, &run, number, signed.0.reviewer(), digest, None).await.map_err(failed)?;
        let ty = editable(api.driver().function(&call).await.map_err(|error| failed(error.into()))?);
        let digest = call.clearance.ok_or_else(|| failed(Problem::not_found("digest to edit")))?;
        Ok(Self { api, signed, id, run, number, call, digest, ty })
    }

    fn draft(&self, arguments: &Value) -> Draft {
        Draft::of(&self.ty, Some(arguments), 0)
    }

    /// Shows the form with its errors.
    fn form(&self, draft: &Draft, wrong: Wrong, trouble: Option<&str>) -> PageResult {
        let shown = EditPage {
            frame: self.signed.frame("inbox"),
            id: Text::line(self.id),
            summary: self.summary(),
            digest: self.digest,
            seal: self.signed.seal(&self.digest.to_string()),
            trouble: trouble.map(Text::line),
            parts: parts(draft, &self.ty, &wrong),
            wrong,
        };
        page(&shown)
    }

    fn summary(&self) -> Text {
        self.call.proposal().map(|proposal| Text::line(&proposal.summary)).unwrap_or_default()
    }

    /// Shows the preview, or the form with its errors.
    async fn preview(&self, draft: &Draft) -> PageResult {
        let mut wrong = Wrong::new();
        let edited = draft.value(&self.ty, &Name::root(), 0, &mut wrong);
        let arguments = self.call.action().edited(edited);
        if !wrong.is_empty() {
            return self.again(draft, wrong, None);
        }
        if arguments == *self.call.action().arguments() {
            return self.again(draft, wrong, Some("nothing is changed yet"));
        }
        match self.api.driver().revise(&self.run, &self.call, self.signed.0.reviewer().name(), &arguments).await {
            Ok(revision) => self.previewed(draft, revision).await,
            Err(error) => self.again(draft, wrong, Some(&error.to_string())),
        }
    }

    fn again(&self, draft: &Draft, wrong: Wrong, trouble: Option<&str>) -> PageResult {
        let form = self.form(draft, wrong, trouble)?;
        Ok((StatusCode::UNPROCESSABLE_ENTITY, form).into_response())
    }

    async fn previewed(&self, draft: &Draft, revision: Revision) -> PageResult {
        let (digest, reviewer) = (self.digest, self.signed.0.reviewer());
        let foreseen = decisions::preview_decision(
            self.api,
            &self.run,
            self.number,
            reviewer,
            Some(digest),
            Some(revision.clone()),
        )
        .await;
        let outcome = match foreseen {
            Ok((_, outcome)) => outcome,
            Err(problem) => return self.again(draft, Wrong::new(), Some(problem.detail())),
        };
        let Revision { proposal: new } = revision;
        let Some(old) = self.call.proposal() else { return Err(Problem::not_found("proposal to edit").into()) };
        let fresh: Vec<_> = new.exhibits.iter().filter(|exhibit| !old.exhibits.contains(exhibit)).cloned().collect();
        let evidence = evidence::these(self.api, &fresh, false).await?;
        let arguments = Text::compact(new.action.arguments());
        let caution = caution([old, &new]);
        page(&PreviewPage {
            frame: self.signed.frame("inbox"),
            id: Text::line(self.id),
            digest,
            seal: self.signed.seal(&sealed(digest, &arguments.to_string(), caution.is_some())),
            arguments,
            before: self.summary(),
            sheet: Sheet::of(&ShownCall::of(&new, &[], &[])),
            consequence: new.consequence.unwrap_or_default().name(),
            changes: Item::changes(&changes(old.action.arguments(), new.action.arguments())),
            facts: Item::changes(&changes(&old.facts, &new.facts)),
            holds: Item::changes(&changes(&old.preconditions, &new.preconditions)),
            evidence,
            outcome,
            caution,
        })
    }

    /// Sends the previewed edit.
    async fn send(&self, arguments: Value, message: Option<Message>) -> PageResult {
        let draft = self.draft(&arguments);
        let request = DecisionRequest {
            arguments: Some(arguments),
            message,
            ..DecisionRequest::new(DecisionType::Edit, self.digest)
        };
        let reviewer = self.signed.0.reviewer();
        match decisions::decide(self.api, &self.run, self.number, reviewer, request).await {
            Ok(_) => Ok(Redirect::to(&format!("/approvals/{0}?decided={0}", self.id)).into_response()),
            Err(problem) => self.again(&draft, Wrong::new(), Some(problem.detail())),
        }
    }
}

/// Shows the form with the current arguments.
pub(super) async fn show(State(api): State<Api>, signed: Signed, Path(id): Path<String>) -> PageResult {
    let editing = Editing::begin(&api, &signed, &id, None).await?;
    editing.form(&editing.draft(editing.call.action().arguments()), Wrong::new(), None)
}

/// Handles a button of the form or of the preview.
pub(super) async fn create(State(api): State<Api>, signed: Signed, Path(id): Path<String>, form: Form) -> PageResult {
    let failed = |problem: Problem| ErrorPage::at(problem, &id);
    let wrong = |detail: &str| failed(Problem::new(problem::Kind::BadRequest, detail));
    let digest: Digest = form
        .field("digest")
        .and_then(|digest| digest.parse().ok())
        .ok_or_else(|| wrong("the form has no digest; open the page again"))?;
    let (action, seal) = (form.field("action"), form.field("seal").unwrap_or_default());
    let previewed = form.field("arguments");
    let plain = previewed.map_or_else(|| digest.to_string(), |arguments| sealed(digest, arguments, false));
    let takes_word = previewed.map(|arguments| sealed(digest, arguments, true));
    let takes_word = takes_word.is_some_and(|what| signed.0.sealed(&what, seal));
    if !takes_word {
        signed.0.check(&plain, seal).map_err(failed)?;
    }
    let editing = Editing::begin(&api, &signed, &id, Some(digest)).await?;
    if let Some(arguments) = previewed {
        let arguments = once(arguments.as_bytes()).map_err(|_| wrong("the arguments are not JSON"))?;
        return match action {
            Some("send") => {
                if takes_word {
                    typed(&form).map_err(failed)?;
                }
                editing.send(arguments, Message::of(&form, "message").map_err(failed)?).await
            }
            Some(_) | None => editing.form(&editing.draft(&arguments), Wrong::new(), None),
        };
    }
    let draft = Draft::posted(&editing.ty, &Name::root(), &Sent::new(&form.0), 0);
    match action {
        Some("preview") => editing.preview(&draft).await,
        // The reviewer asked for one more list item, or for the fields of another case.
        Some(_) | None => editing.form(&draft, Wrong::new(), None),
    }
}

/// The editable parameters: all except the agent's rationale.
fn editable(FunctionType { params, .. }: FunctionType) -> WitType {
    WitType::Record(params.into_iter().filter(|(name, _)| name != RATIONALE).collect())
}

/// The text that a preview's seal covers. The text also says whether the edit needs the confirmation word, so that a
/// changed form cannot avoid the word.
fn sealed(digest: Digest, arguments: &str, takes_word: bool) -> String {
    let how = if takes_word { "edit with the word" } else { "edit" };
    format!("{how} {digest} {arguments}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn form(ty: WitType, value: &Value, sent: Option<&[(String, String)]>) -> String {
        let draft = Draft::of(&ty, Some(value), 0);
        let draft = sent.map_or(draft, |sent| Draft::posted(&ty, &Name::root(), &Sent::new(sent), 0));
        let mut wrong = Wrong::new();
        draft.value(&ty, &Name::root(), 0, &mut wrong);
        let shown = EditPage {
            frame: Frame { here: "", reviewer: None, seal: Seal::default() },
            id: Text::line("run.1"),
            summary: Text::line("send it"),
            digest: Digest::of(b""),
            seal: Seal::default(),
            trouble: None,
            parts: parts(&draft, &ty, &wrong),
            wrong,
        };
        shown.render().unwrap()
    }

    fn all_kinds() -> (WitType, Value) {
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let fields = [
            ("to", WitType::List(Box::new(WitType::String))),
            ("text", WitType::String),
            ("urgent", WitType::Bool),
            ("copies", WitType::U8),
            ("colour", WitType::Enum(named(&["red", "green"]))),
            ("marks", WitType::Flags(named(&["bold", "wide"]))),
            ("cc", WitType::Option(Box::new(WitType::String))),
            ("when", WitType::Variant(vec![("now".into(), None), ("later".into(), Some(WitType::U64))])),
            ("at", WitType::Tuple(vec![WitType::F64, WitType::Char])),
        ];
        let value = json!({
            "to": ["a\"><script>", "b\u{200B}"], "text": "\none\ntwo", "urgent": true, "copies": 3, "colour": "green",
            "marks": ["wide"], "cc": "c", "when": {"later": "7"}, "at": [1.5, "x"],
        });
        (WitType::Record(fields.map(|(name, ty)| (name.to_owned(), ty)).into()), value)
    }

    fn attributes<'a>(html: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
        html.split(name).skip(1).map(|rest| rest.split('"').next().unwrap())
    }

    #[test]
    fn every_field_has_a_label_and_every_error_its_field() {
        let (ty, value) = all_kinds();
        let broken = [("v.3".to_owned(), "256".to_owned()), ("v.7".to_owned(), "9".to_owned())];
        let html = form(ty.clone(), &value, Some(&broken));
        let ids: Vec<&str> = attributes(&html, " id=\"").collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
        let links: Vec<&str> = attributes(&html, "<li><a href=\"#").collect();
        assert!(
            links.contains(&"v.3") && links.contains(&"v.7") && links.iter().all(|to| ids.contains(to)),
            "{links:?}"
        );
        assert!(attributes(&html, "aria-describedby=\"").all(|about| ids.contains(&about)));
        assert!(html.contains("found `256`") && html.contains("a whole number from 0 to 255"), "{html}");
        let html = form(ty, &value, None);
        let labels: BTreeSet<&str> = attributes(&html, "<label for=\"").collect();
        for tag in ["<input id=\"", "<textarea id=\"", "<select id=\""] {
            assert!(
                attributes(&html, tag).count() > 0 && attributes(&html, tag).all(|id| labels.contains(id)),
                "{tag}"
            );
        }
        let boxes = html.matches("type=\"checkbox\"").count();
        assert_eq!(html.matches("<label class=\"choice\"><input type=\"checkbox\"").count(), boxes);
        assert_eq!(html.matches("<fieldset>").count(), html.matches("<fieldset><legend>").count());
        assert!(
            !html.contains("<script>") && !html.contains('\u{200B}') && html.contains("b&#60;U+200B&#62;"),
            "{html}"
        );
        assert!(html.contains(">\n\none\ntwo</textarea>"), "the line end that a parser drops, then the text: {html}");
    }

    #[test]
    fn the_agents_reasons_stay_as_they_are() {
        let text = |name: &str| (name.to_owned(), WitType::String);
        let ty = editable(FunctionType { params: vec![text("to"), text(RATIONALE)], result: None });
        let before = json!({"to": "a", "rationale": "because\u{200B}"});
        let html = form(ty.clone(), &before, None);
        assert!(!html.contains("because") && html.contains("id=\"v.0\"") && !html.contains("id=\"v.1\""), "{html}");
        let sent = [("v.0".to_owned(), "b".to_owned()), ("v.1".to_owned(), "other reasons".to_owned())];
        let edited = Draft::posted(&ty, &Name::root(), &Sent::new(&sent), 0);
        let edited = edited.value(&ty, &Name::root(), 0, &mut Wrong::new());
        assert_eq!(edited, json!({"to": "b"}), "what a form sends for them is no field");
    }
}
