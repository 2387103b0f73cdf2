//! Grants (`/approvals/{id}/grant`): approve a call and create a grant for calls like it. The steps
//! are the form with the terms, the policy as a preview, and the decision.
//!
//! The seal of the preview covers the digest and the complete grant, so the host accepts exactly
//! the previewed bytes.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use holdshort_gate::totals::money;
use holdshort_gate::{Call, Digest, Grant, Phase, ReviewerName, Run, RunId, Subject};

use super::confirmation::caution;
use super::frame::{ErrorPage, Frame, PageResult, Seal, Signed, page};
use super::inbox;
use crate::api::decisions::{self, DecisionRequest, DecisionType};
use crate::api::grants::{Terms, drafted};
use crate::api::limits::{Form, Path};
use crate::api::message::Message;
use crate::api::problem::{Kind, Problem};
use crate::api::{Api, approvals, ids};
use crate::policy::grants::comparable_parts;
use crate::review::Text;
use holdshort_common::money::Amount;

/// The durations that the form offers: label and milliseconds.
const TIMES: [(&str, u64); 6] = [
    ("an hour", 3_600_000),
    ("two hours", 7_200_000),
    ("eight hours", 28_800_000),
    ("a day", 86_400_000),
    ("a week", 604_800_000),
    ("30 days", 2_592_000_000),
];

#[derive(Template)]
#[template(path = "grant.html")]
struct GrantPage {
    frame: Frame,
    id: Text,
    summary: Text,
    digest: Digest,
    seal: Seal,
    trouble: Option<Text>,
    calls: Text,
    times: Vec<(&'static str, u64, bool)>,
    /// Each currency of the call, with the limit that the reviewer typed into the form's field for this currency.
    sums: Vec<(Text, Text)>,
    /// Positions in the arguments: name, value, and whether the grant lets it vary.
    places: Vec<(Text, Text, bool)>,
}

#[derive(Template)]
#[template(path = "grant_preview.html")]
struct PreviewPage {
    frame: Frame,
    id: Text,
    summary: Text,
    digest: Digest,
    seal: Seal,
    grant: Text,
    policy: Vec<Text>,
}

/// Whether this reviewer may create a grant with a decision on this call now. A call that needs the confirmation word
/// can only be approved without a grant.
pub(super) fn may_grant(subject: &Subject, call: &Call, name: &ReviewerName) -> bool {
    let Some(Run { started_by, .. }) = &subject.run else { return false };
    let alone = |requirement: &holdshort_gate::Requirement| {
        requirement.may_be_granted_by(name, started_by, call.edited_by.as_ref())
    };
    let plain = caution(call.proposal()).is_none();
    call.phase == Phase::Held && call.requirement().is_some_and(alone) && !call.is_question() && plain
}

/// A grant in progress.
struct Granting<'a> {
    api: &'a Api,
    signed: &'a Signed,
    id: &'a str,
    run: RunId,
    call: Call,
    digest: Digest,
}

impl<'a> Granting<'a> {
    /// Starts a grant. It first refuses a reviewer who may not create one, and a call that no longer waits for a
    /// decision.
    async fn begin(api: &'a Api, signed: &'a Signed, id: &'a str) -> Result<Self, ErrorPage> {
        let failed = |kind, detail: &str| ErrorPage::at(Problem::new(kind, detail), id);
        let (run, number) = ids::approval(id)?;
        let (subject, call) = approvals::load(api, &run, number).await?;
        let digest = call.clearance.filter(|_| call.phase == Phase::Held);
        let digest = digest.ok_or_else(|| failed(Kind::NotNow, "the call no longer waits for a decision"))?;
        if !may_grant(&subject, &call, signed.name()) {
            return Err(failed(Kind::NotEligible, "you may not make grants for calls like this one"));
        }
        Ok(Self { api, signed, id, run, call, digest })
    }

    /// The summary of the approved call.
    fn summary(&self) -> Text {
        self.call.proposal().map(|proposal| Text::line(&proposal.summary)).unwrap_or_default()
    }

    /// The form with the content sent before.
    async fn form(&self, sent: Option<&Form>, trouble: Option<&str>) -> PageResult {
        let function =
            self.api.driver().function(&self.call).await.map_err(|error| ErrorPage::from(Problem::from(error)))?;
        let typed =
            |name: &str, otherwise: &str| sent.and_then(|form| form.field(name)).unwrap_or(otherwise).to_owned();
        let lasts = typed("lasts", "7200000");
        let differs = |place: &str| sent.is_some_and(|form| differ(form).any(|named| named == place));
        let place = |place: crate::policy::grants::ArgumentPart| {
            (Text::line(&place.pointer), Text::compact(&place.value), differs(&place.pointer))
        };
        let sum = |currency: &String| (Text::line(currency), Text::line(&typed(&format!("sum-{currency}"), "")));
        let shown = GrantPage {
            frame: self.signed.frame("inbox"),
            id: Text::line(self.id),
            summary: self.summary(),
            digest: self.digest,
            seal: self.signed.seal(&sealed(self.digest, "")),
            trouble: trouble.map(Text::line),
            calls: Text::line(&typed("calls", "10")),
            times: TIMES.iter().map(|(label, ms)| (*label, *ms, ms.to_string() == lasts)).collect(),
            sums: money(self.call.action()).keys().map(sum).collect(),
            places: comparable_parts(&function, self.call.action().arguments()).into_iter().map(place).collect(),
        };
        let answer = page(&shown)?;
        Ok(if trouble.is_some() { (StatusCode::UNPROCESSABLE_ENTITY, answer).into_response() } else { answer })
    }

    /// Shows the policy for the terms, or the form with its error.
    async fn preview(&self, form: &Form) -> PageResult {
        let terms = match self.terms(form) {
            Ok(terms) => terms,
            Err(trouble) => return self.form(Some(form), Some(&trouble)).await,
        };
        let draft = match drafted(self.api, self.id, self.signed.0.reviewer(), &terms).await {
            Ok(draft) => draft,
            Err(problem) => return self.form(Some(form), Some(problem.detail())).await,
        };
        let grant = serde_json::to_value(&draft.grant).map(|grant| Text::compact(&grant));
        let grant = grant.map_err(|error| Problem::new(Kind::Internal, error.to_string()))?;
        page(&PreviewPage {
            frame: self.signed.frame("inbox"),
            id: Text::line(self.id),
            summary: self.summary(),
            digest: self.digest,
            seal: self.signed.seal(&sealed(self.digest, &grant.to_string())),
            grant,
            policy: Text::lines(draft.policy.trim_end()),
        })
    }

    /// The terms in the form.
    fn terms(&self, form: &Form) -> Result<Terms, String> {
        let number = |name: &str| form.field(name).and_then(|text| text.trim().parse::<u64>().ok());
        let calls = number("calls").ok_or("the number of calls must be a whole number")?;
        let lasts_ms = number("lasts").ok_or("write how long the grant lasts")?;
        let mut sums = BTreeMap::new();
        for currency in money(self.call.action()).into_keys() {
            let typed = form.field(&format!("sum-{currency}")).unwrap_or_default().trim().to_owned();
            let amount: Amount = format!("{typed} {currency}").parse()?;
            sums.insert(currency, amount.minor_units.unsigned_abs());
        }
        Ok(Terms { calls, lasts_ms, sums, may_differ: differ(form).map(str::to_owned).collect() })
    }

    /// Sends the previewed grant.
    async fn send(&self, grant: Grant, message: Option<Message>) -> PageResult {
        let request = DecisionRequest {
            message,
            grant: Some(Box::new(grant)),
            ..DecisionRequest::new(DecisionType::Approve, self.digest)
        };
        let reviewer = self.signed.0.reviewer();
        match decisions::decide(self.api, &self.run, self.call.number, reviewer, request).await {
            Ok(decided) => {
                Ok(Redirect::to(&inbox::after(self.api, self.signed, self.id, &decided).await?).into_response())
            }
            Err(problem) => Err(ErrorPage::at(problem, self.id)),
        }
    }
}

/// The positions that may vary.
fn differ(form: &Form) -> impl Iterator<Item = &str> {
    form.0.iter().filter(|(name, _)| name == "differ").map(|(_, value)| value.as_str())
}

/// Shows the form.
pub(super) async fn show(State(api): State<Api>, signed: Signed, Path(id): Path<String>) -> PageResult {
    Granting::begin(&api, &signed, &id).await?.form(None, None).await
}

/// Shows the preview, or creates the grant.
pub(super) async fn create(State(api): State<Api>, signed: Signed, Path(id): Path<String>, form: Form) -> PageResult {
    let wrong = |detail: &str| ErrorPage::at(Problem::new(Kind::BadRequest, detail), &id);
    let digest: Digest = form
        .field("digest")
        .and_then(|digest| digest.parse().ok())
        .ok_or_else(|| wrong("the form has no digest; open the page again"))?;
    let grant = form.field("grant");
    let seal = form.field("seal").unwrap_or_default();
    signed.0.check(&sealed(digest, grant.unwrap_or_default()), seal).map_err(|problem| ErrorPage::at(problem, &id))?;
    let granting = Granting::begin(&api, &signed, &id).await?;
    // The decision uses the digest of the form. If it is outdated, the write is refused.
    let granting = Granting { digest, ..granting };
    match grant {
        Some(grant) => {
            let grant = serde_json::from_str(grant).map_err(|_| wrong("the form has no valid grant"))?;
            let message = Message::of(&form, "message").map_err(|problem| ErrorPage::at(problem, &id))?;
            granting.send(grant, message).await
        }
        None => granting.preview(&form).await,
    }
}

/// The text that a seal covers.
fn sealed(digest: Digest, grant: &str) -> String {
    format!("grant {digest} {grant}")
}
