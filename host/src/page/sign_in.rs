//! Signing in by a one-time link or a token (`/sign-in`), and signing out (`/sign-out`).
//!
//! Opening the link only shows a form. Sending the form uses the link up.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;

use super::frame::{ANY, Frame, PageResult, Seal, Signed, page};
use crate::api::Api;
use crate::api::limits::{Form, Query};
use crate::api::problem::{Kind, Problem};
use crate::api::secrets::{SignedIn, Tries};
use crate::api::sign_in::is_local;
use crate::review::Text;

/// The query of a sign-in link.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignInQuery {
    code: Option<String>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    frame: Frame,
    /// The reviewer to whom the link's code belongs.
    whose: Option<Text>,
    code: Text,
    next: Text,
    /// Whether the link is used up or expired.
    over: bool,
}

#[derive(Template)]
#[template(path = "led_on.html")]
struct ContinuePage {
    frame: Frame,
    /// The address under the session's own host name.
    link: Text,
}

/// Shows the form. Opening it does not use the link up, so programs that follow links in messages
/// sign nobody in.
pub(super) async fn show(
    State(api): State<Api>,
    tries: Tries,
    headers: HeaderMap,
    Query(query): Query<SignInQuery>,
) -> PageResult {
    let code = query.code.unwrap_or_default();
    // A request without a code does not count as an attempt.
    let found = (!code.is_empty()).then(|| api.whose(&code, &headers, &tries)).transpose();
    let whose = match found {
        Ok(reviewer) => reviewer.map(|reviewer| Text::line(reviewer.name().as_str())),
        Err(problem) if problem.kind() == Kind::TooMany => return Err(problem.into()),
        Err(_) => None,
    };
    let next = query.next.filter(|next| is_local(next)).unwrap_or_else(|| "/".into());
    let frame = Frame { here: "", reviewer: None, seal: Seal::default() };
    let over = !code.is_empty() && whose.is_none();
    page(&SignInPage { frame, whose, code: Text::line(&code), next: Text::line(&next), over })
}

/// Opens a session.
pub(super) async fn create(State(api): State<Api>, tries: Tries, headers: HeaderMap, form: Form) -> PageResult {
    let refused = |detail| Problem::new(Kind::Unauthenticated, detail);
    let next = form.field("next").filter(|next| is_local(next)).unwrap_or("/");
    let signed_in = match (form.field("code"), form.field("token")) {
        (Some(code), None) => SignedIn::Here(api.follow(code, &headers, &tries)?),
        (None, Some(token)) => api.sign_in(&api.owner(token.trim(), &tries)?, &headers, next)?,
        (Some(_), Some(_)) | (None, None) => return Err(refused("you need a link or a token to sign in").into()),
    };
    match signed_in {
        SignedIn::Here(cookie) => Ok(([(header::SET_COOKIE, cookie)], Redirect::to(next)).into_response()),
        // The pages' `form-action` forbids a form to redirect to another host name. So the answer is a page that goes
        // on to the link.
        SignedIn::At(link) => {
            let frame = Frame { here: "", reviewer: None, seal: Seal::default() };
            let shown = page(&ContinuePage { frame, link: Text::line(&link) })?;
            Ok(([(header::REFRESH, format!("0; url={link}"))], shown).into_response())
        }
    }
}

/// Ends the session.
pub(super) async fn end(State(api): State<Api>, signed: Signed, headers: HeaderMap, form: Form) -> PageResult {
    signed.0.check(ANY, form.field("seal").unwrap_or_default())?;
    Ok(([(header::SET_COOKIE, api.sign_out(&headers)?)], Redirect::to("/sign-in")).into_response())
}
