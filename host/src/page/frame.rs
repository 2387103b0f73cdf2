//! The frame of every page, and the error page.

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use holdshort_gate::{ReviewerName, Time};
use holdshort_journal::ReadError;

use crate::api::Api;
use crate::api::problem::{Kind, Problem};
use crate::api::sessions::Session;
use crate::review::Text;
use crate::review::sentences;
use holdshort_common::aside;

/// A page or an error page.
pub(super) type PageResult = Result<Response, ErrorPage>;

/// The purpose in the seals of forms that change only the session.
pub(super) const ANY: &str = "any";

/// The frame around a page.
#[derive(Debug)]
pub(super) struct Frame {
    /// The active entry of the navigation; empty for none.
    pub(super) here: &'static str,
    /// The signed-in reviewer.
    pub(super) reviewer: Option<Text>,
    /// The seal of the sign-out form.
    pub(super) seal: Seal,
}

/// A form's seal in base64.
///
/// A seal is an HMAC under the session's key. It proves that the host made the form for this
/// session and for this purpose.
#[derive(Debug, Default)]
pub(super) struct Seal(String);

impl std::fmt::Display for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A signed-in reviewer. A handler with this argument cannot be reached without a session.
pub(super) struct Signed(pub(super) Session);

impl FromRequestParts<Api> for Signed {
    type Rejection = ErrorPage;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, ErrorPage> {
        let session = parts.extensions.get::<Session>().cloned();
        Ok(Self(session.ok_or_else(|| Problem::new(Kind::Unauthenticated, "sign in first"))?))
    }
}

impl Signed {
    /// The frame of a page for this reviewer.
    pub(super) fn frame(&self, here: &'static str) -> Frame {
        Frame { here, reviewer: Some(Text::line(self.name().as_str())), seal: self.seal(ANY) }
    }

    /// The reviewer's name.
    pub(super) fn name(&self) -> &ReviewerName {
        self.0.reviewer().name()
    }

    /// The seal of a form for the purpose `what`.
    pub(super) fn seal(&self, what: &str) -> Seal {
        Seal(self.0.seal(what))
    }
}

/// Renders a page.
pub(super) fn page(template: &impl Template) -> PageResult {
    let failed = || Problem::new(Kind::Internal, "the host failed; the host's log has details");
    Ok(Html(render(template).ok_or_else(failed)?).into_response())
}

/// Renders a template. If that fails, the error is in the host's log.
fn render(template: &impl Template) -> Option<String> {
    template.render().map_err(|error| tracing::error!(%error, "a page could not be made")).ok()
}

/// Renders a page whose length depends on an agent or a reviewer, on a separate thread.
pub(super) async fn long_page(template: impl Template + Send + 'static) -> PageResult {
    aside::for_people(move || page(&template)).await?
}

/// An error as a page.
#[derive(Debug)]
pub(super) struct ErrorPage {
    problem: Problem,
    back: Option<Text>,
    /// The reviewer's typed text, which the page gives back.
    typed: Option<Text>,
}

impl ErrorPage {
    /// An error page with a link back to an approval.
    pub(super) fn at(problem: Problem, approval: &str) -> Self {
        Self { back: Some(Text::line(approval)), ..Self::from(problem) }
    }

    /// Adds the text of a form that was refused.
    pub(super) fn with(self, typed: Option<&str>) -> Self {
        let typed = typed.filter(|typed| !typed.trim().is_empty());
        Self { typed: typed.map(Text::field), ..self }
    }
}

impl From<Problem> for ErrorPage {
    fn from(problem: Problem) -> Self {
        Self { problem, back: None, typed: None }
    }
}

impl From<ReadError> for ErrorPage {
    fn from(error: ReadError) -> Self {
        Problem::from(error).into()
    }
}

impl From<aside::Failed> for ErrorPage {
    fn from(error: aside::Failed) -> Self {
        Problem::new(Kind::Internal, error.to_string()).into()
    }
}

#[derive(Template)]
#[template(path = "trouble.html")]
struct TroublePage {
    frame: Frame,
    title: &'static str,
    detail: Text,
    back: Option<Text>,
    typed: Option<Text>,
}

impl IntoResponse for ErrorPage {
    fn into_response(self) -> Response {
        let frame = Frame { here: "", reviewer: None, seal: Seal::default() };
        let kind = self.problem.kind();
        let (title, detail) = (kind.title(), Text::line(self.problem.detail()));
        let shown = TroublePage { frame, title, detail, back: self.back, typed: self.typed };
        let status: StatusCode = kind.status();
        render(&shown).map_or_else(|| status.into_response(), |html| (status, Html(html)).into_response())
    }
}

/// A time in three forms: exact, as readable UTC, and as the distance from now. It is shown to the second.
#[derive(Debug)]
pub(super) struct ShownTime {
    pub(super) exact: Text,
    pub(super) utc: Text,
    pub(super) about: Text,
}

impl ShownTime {
    pub(super) fn new(at: Time, now: Time) -> Self {
        let seconds = at.0.abs_diff(now.0) / 1_000_000;
        let span = match seconds {
            0..60 => format!("{seconds} s"),
            60..3_600 => format!("{} min", seconds / 60),
            3_600..172_800 => format!("{} h", seconds / 3_600),
            _ => format!("{} days", seconds / 86_400),
        };
        let about = if at > now { format!("in {span}") } else { format!("{span} ago") };
        let exact = sentences::at(at);
        let utc = exact.replace('T', " ").replace('Z', " UTC");
        Self { exact: Text::line(&exact), utc: Text::line(&utc), about: Text::line(&about) }
    }
}
