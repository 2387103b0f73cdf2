//! The list of grants (`/grants`) and their revocation.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use holdshort_gate::CallId;
use holdshort_journal::{GrantFilter, GrantRow, Position};
use serde::Deserialize;

use super::frame::{Frame, PageResult, Seal, ShownTime, Signed, page};
use crate::api::limits::{Form, Path, Query};
use crate::api::problem::{Kind, Problem};
use crate::api::{Api, approvals, grants, ids};
use crate::review::{Text, sentences};

const ROWS: usize = 50;

/// The query of the list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantsQuery {
    /// The position of the last row of the previous page.
    before: Option<u64>,
}

#[derive(Template)]
#[template(path = "grants.html")]
struct GrantsPage {
    frame: Frame,
    rows: Vec<Row>,
    next: Option<u64>,
}

/// A grant in the list.
#[derive(Debug)]
struct Row {
    id: Text,
    by: Text,
    at: ShownTime,
    agent: Text,
    what: Text,
    terms: Text,
    used: Text,
    status: bool,
    used_up: bool,
    revoked_by: Option<Text>,
}

/// Shows the list.
pub(super) async fn list(State(api): State<Api>, signed: Signed, Query(query): Query<GrantsQuery>) -> PageResult {
    let now = api.journal().now();
    let before = query.before.map(Position);
    let filter = GrantFilter { standing_at: None, agent: None, capability: None, before, limit: ROWS };
    let rows = api.journal().grants(filter).await?;
    let next = rows.last().filter(|_| rows.len() == ROWS).map(|row| row.position.0);
    let row = |row: GrantRow| {
        let status = grants::is_active(&row, now);
        let GrantRow { id, granted, used, .. } = row;
        Row {
            id: Text::line(&id.to_string()),
            by: Text::line(granted.by.as_str()),
            at: ShownTime::new(granted.at, now),
            agent: Text::line(granted.grant.agent.as_str()),
            what: Text::line(granted.grant.capability.function()),
            terms: Text::line(&sentences::granted(&granted.grant)),
            used: Text::line(&sentences::total(&used)),
            status,
            used_up: used.count >= granted.grant.calls,
            revoked_by: granted.revoked.map(|(by, _)| Text::line(&by.to_string())),
        }
    };
    page(&GrantsPage { frame: signed.frame("grants"), rows: rows.into_iter().map(row).collect(), next })
}

#[derive(Template)]
#[template(path = "grant_shown.html")]
struct ShownPage {
    frame: Frame,
    id: Text,
    by: Text,
    at: ShownTime,
    policy: Vec<Text>,
    over: bool,
    revoked: Option<(Text, ShownTime)>,
    seal: Seal,
}

/// Shows one grant as a policy.
pub(super) async fn show(State(api): State<Api>, signed: Signed, Path(id): Path<String>) -> PageResult {
    let (run, number) = ids::approval(&id)?;
    let (_, call) = approvals::load(&api, &run, number).await?;
    // A grant can be revoked even if its component is no longer readable.
    let policy = grants::policy(&api, &CallId { run, call: number }, &call).await;
    let policy =
        policy.unwrap_or_else(|problem| format!("This grant cannot be shown as a policy: {}", problem.detail()));
    let granted = call.granted.ok_or_else(|| Problem::new(Kind::NotFound, "no grant was made with this approval"))?;
    let now = api.journal().now();
    page(&ShownPage {
        frame: signed.frame("grants"),
        id: Text::line(&id),
        by: Text::line(granted.by.as_str()),
        at: ShownTime::new(granted.at, now),
        policy: Text::lines(policy.trim_end()),
        over: now >= granted.grant.until,
        revoked: granted.revoked.map(|(by, at)| (Text::line(&by.to_string()), ShownTime::new(at, now))),
        seal: signed.seal(&to_revoke(&id)),
    })
}

/// Revokes a grant.
pub(super) async fn revoke(State(api): State<Api>, signed: Signed, Path(id): Path<String>, form: Form) -> PageResult {
    signed.0.check(&to_revoke(&id), form.field("seal").unwrap_or_default())?;
    let id = grants::revoked(&api, &id, signed.0.reviewer()).await?;
    Ok(Redirect::to(&format!("/grants/{id}")).into_response())
}

/// The purpose that the seal of a revocation covers.
fn to_revoke(id: &str) -> String {
    format!("revoke {id}")
}
