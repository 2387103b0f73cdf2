//! What is around every page, and the page of what went wrong.

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use holdshort_gate::Time;
use holdshort_journal::ReadError;

use crate::api::Api;
use crate::api::problem::{Kind, Problem};
use crate::api::sessions::Session;
use crate::review::Text;
use crate::review::story;
use holdshort_common::aside;

/// A page, or what went wrong.
pub(super) type Answer = Result<Response, Trouble>;

/// The seal of forms that change nothing but the session itself.
pub(super) const ANY: &str = "any";

/// The frame of a page.
#[derive(Debug)]
pub(super) struct Frame {
    /// Which part of the page this is, as the navigation names it; empty for none.
    pub(super) here: &'static str,
    /// Who has signed in.
    pub(super) reviewer: Option<Text>,
    /// For the form that signs out.
    pub(super) seal: Seal,
}

/// A form's seal, which is base64.
#[derive(Debug, Default)]
pub(super) struct Seal(String);

impl std::fmt::Display for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Somebody who has signed in. A handler that takes one cannot be reached without a session.
pub(super) struct Signed(pub(super) Session);

impl FromRequestParts<Api> for Signed {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Trouble> {
        let session = parts.extensions.get::<Session>().cloned();
        Ok(Self(session.ok_or_else(|| Problem::new(Kind::Unauthenticated, "sign in first"))?))
    }
}

impl Signed {
    /// The frame of a page of theirs.
    pub(super) fn frame(&self, here: &'static str) -> Frame {
        Frame { here, reviewer: Some(Text::line(self.name())), seal: self.seal(ANY) }
    }

    /// Who.
    pub(super) fn name(&self) -> &str {
        self.0.reviewer().name()
    }

    /// The seal of a form that may do `what`.
    pub(super) fn seal(&self, what: &str) -> Seal {
        Seal(self.0.seal(what))
    }
}

/// A finished page.
pub(super) fn page(template: &impl Template) -> Answer {
    let html = template.render().map_err(|error| {
        tracing::error!(%error, "a page could not be made");
        Problem::new(Kind::Internal, "the host failed; its log says more")
    })?;
    Ok(Html(html).into_response())
}

/// The same of a page that is as long as somebody else has made it.
pub(super) async fn long_page(template: impl Template + Send + 'static) -> Answer {
    aside::for_people(move || page(&template)).await?
}

/// What went wrong, as a page.
#[derive(Debug)]
pub(super) struct Trouble {
    problem: Problem,
    back: Option<Text>,
    /// What the reviewer had typed, so that it is not lost.
    typed: Option<Text>,
}

impl Trouble {
    /// The page has a way back to an approval.
    pub(super) fn at(problem: Problem, approval: &str) -> Self {
        Self { back: Some(Text::line(approval)), ..Self::from(problem) }
    }

    /// The page gives back what was typed into a form that was not taken.
    pub(super) fn with(self, typed: Option<&str>) -> Self {
        let typed = typed.filter(|typed| !typed.trim().is_empty());
        Self { typed: typed.map(Text::field), ..self }
    }
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        Self { problem, back: None, typed: None }
    }
}

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Self {
        Problem::from(error).into()
    }
}

impl From<aside::Failed> for Trouble {
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

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let frame = Frame { here: "", reviewer: None, seal: Seal::default() };
        let kind = self.problem.kind();
        let (title, detail) = (kind.title(), Text::line(self.problem.detail()));
        let shown = TroublePage { frame, title, detail, back: self.back, typed: self.typed };
        let status: StatusCode = kind.status();
        // A template that fails has said so in the log; what is left to say is the status.
        shown.render().map_or_else(|_| status.into_response(), |html| (status, Html(html)).into_response())
    }
}

/// A moment: exactly, in UTC as people read it, and how long ago or ahead it is. To the second: what is smaller helps nobody.
#[derive(Debug)]
pub(super) struct When {
    pub(super) exact: Text,
    pub(super) utc: Text,
    pub(super) about: Text,
}

impl When {
    pub(super) fn new(at: Time, now: Time) -> Self {
        let seconds = at.0.abs_diff(now.0) / 1_000_000;
        let span = match seconds {
            0..60 => format!("{seconds} s"),
            60..3_600 => format!("{} min", seconds / 60),
            3_600..172_800 => format!("{} h", seconds / 3_600),
            _ => format!("{} days", seconds / 86_400),
        };
        let about = if at > now { format!("in {span}") } else { format!("{span} ago") };
        let exact = story::at(at);
        let utc = exact.replace('T', " ").replace('Z', " UTC");
        Self { exact: Text::line(&exact), utc: Text::line(&utc), about: Text::line(&about) }
    }
}
