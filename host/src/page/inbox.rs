//! The inbox (`/`): waiting approvals in order of urgency. It also finds the page to show after a decision.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::State;
use holdshort_gate::command::DecisionOutcome;
use holdshort_gate::{AgentName, CallState, OpenDemand, Reviewers, RunState, Time};
use holdshort_journal::{CallFilter, CallOrder, CallRow, Flushed, Position, Rank};
use serde::Deserialize;

use super::frame::{ErrorPage, Frame, PageResult, ShownTime, Signed, page};
use super::history;
use super::status::{LastDecision, before};
use crate::api::Api;
use crate::api::limits::Query;
use crate::api::problem::{Kind, Problem};
use crate::review::{Text, waiting};

const ROWS: usize = 50;

/// The highest number of delayed runs that the page counts.
const DELAYED_MAX: usize = 100;

/// The filter of the inbox.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InboxQuery {
    /// The approval that was decided just before.
    decided: Option<String>,
    /// `everybody`: include approvals that wait for others. Otherwise the list has only approvals that wait for the
    /// signed-in reviewer.
    waits_for: Option<String>,
    /// Only this agent, unless empty.
    agent: Option<String>,
    /// Only this capability, unless empty.
    capability: Option<String>,
    /// The position of the last row of the previous page.
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "inbox.html")]
struct InboxPage {
    frame: Frame,
    before: Option<LastDecision>,
    everybody: bool,
    agents: Vec<Choice>,
    capabilities: Vec<Choice>,
    filtered: bool,
    rows: Vec<Row>,
    /// The number of delayed runs, at most [`DELAYED_MAX`].
    delayed: usize,
    lately: Vec<history::Row>,
    /// The query of the next page.
    next: Option<Text>,
}

/// An option of a filter.
#[derive(Debug)]
struct Choice {
    name: Text,
    chosen: bool,
}

/// An approval in the list.
#[derive(Debug)]
struct Row {
    id: Text,
    agent: Text,
    capability: Text,
    summary: Text,
    state: CallState,
    consequence: &'static str,
    approved_by: Vec<Text>,
    still_needed: u32,
    /// The reviewers who still have to decide; empty if every reviewer may decide.
    waits_for: Vec<Text>,
    asked: ShownTime,
    deadline: Option<ShownTime>,
}

/// Shows the inbox.
pub(super) async fn show(State(api): State<Api>, signed: Signed, Query(query): Query<InboxQuery>) -> PageResult {
    let everybody = query.waits_for.as_deref() == Some("everybody");
    let rows = api.journal().calls(filter(&signed, api.journal().now(), &query, everybody, ROWS)?).await?;
    let next = rows.last().filter(|_| rows.len() == ROWS).map(|last| Text::line(&onwards(&query, last)));
    let (agents, capabilities) = choices(&api, &query);
    let filtered = agents.iter().chain(&capabilities).any(|choice| choice.chosen);
    let now = api.journal().now();
    page(&InboxPage {
        frame: signed.frame("inbox"),
        before: before(&api, query.decided.as_deref()).await,
        everybody,
        agents,
        capabilities,
        filtered,
        rows: rows.iter().map(|row| Row::new(row, now)).collect(),
        delayed: api.journal().count_runs(RunState::Delayed, DELAYED_MAX).await?,
        lately: history::lately(&api).await?,
        next,
    })
}

/// The address of the page after a recorded decision: the reviewer's next approval, or the inbox.
pub(super) async fn after(
    api: &Api,
    signed: &Signed,
    decided: &str,
    _written: &Flushed<DecisionOutcome>,
) -> Result<String, ErrorPage> {
    let waiting = api.journal().calls(filter(signed, api.journal().now(), &InboxQuery::default(), false, 2)?).await?;
    let next = waiting.iter().map(|row| format!("{}.{}", row.run, row.call)).find(|id| id != decided);
    Ok(next.map_or_else(|| format!("/?decided={decided}"), |next| format!("/approvals/{next}?decided={decided}")))
}

fn filter(
    signed: &Signed,
    now: Time,
    query: &InboxQuery,
    everybody: bool,
    limit: usize,
) -> Result<CallFilter, ErrorPage> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let after = query.after.as_deref().map(cursor).transpose()?;
    Ok(CallFilter {
        agent: given(&query.agent).map(AgentName::new),
        capability: given(&query.capability),
        waiting_for: if everybody { Vec::new() } else { signed.0.reviewer().may_act_for(now) },
        order: CallOrder::Ranked(after),
        ..CallFilter::in_states(&CallState::WAITING, limit)
    })
}

/// Reads a position in the ranked list, from the link of the previous page.
fn cursor(text: &str) -> Result<(Rank, Position), ErrorPage> {
    let numbers = text.split_once('-').and_then(|(rank, position)| Some((rank.parse().ok()?, position.parse().ok()?)));
    let wrong = || Problem::new(Kind::BadRequest, "this is not a page of the inbox; open the first page");
    Ok(numbers.map(|(rank, position)| (Rank(rank), Position(position))).ok_or_else(wrong)?)
}

/// The query for the rows after `last`.
fn onwards(query: &InboxQuery, last: &CallRow) -> String {
    let mut next = form_urlencoded::Serializer::new(String::from("?"));
    let given = [("waits_for", &query.waits_for), ("agent", &query.agent), ("capability", &query.capability)];
    next.extend_pairs(given.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))));
    next.append_pair("after", &format!("{}-{}", last.rank.0, last.position.0)).finish()
}

/// The filter's options: the configured agents and their consequential capabilities.
fn choices(api: &Api, query: &InboxQuery) -> (Vec<Choice>, Vec<Choice>) {
    let agents = api.driver().agents();
    let offered = agents.iter().flat_map(|agent| agent.capabilities()).filter(|offered| offered.consequential);
    let capabilities: BTreeSet<String> = offered.map(|offered| offered.capability.to_string()).collect();
    let choice = |name: &str, chosen: &Option<String>| Choice {
        name: Text::line(name),
        chosen: chosen.as_deref().is_some_and(|chosen| chosen == name),
    };
    (
        agents.iter().map(|agent| choice(agent.name.as_str(), &query.agent)).collect(),
        capabilities.iter().map(|name| choice(name, &query.capability)).collect(),
    )
}

/// The reviewers who still have to decide; empty if every reviewer may decide.
fn waits_for(row: &CallRow) -> Vec<Text> {
    let named = |one: &&OpenDemand| one.stages > 1 || one.reviewers != Reviewers::Any;
    let named: Vec<OpenDemand> = row.waiting_for.iter().filter(named).cloned().collect();
    waiting::who(&named).iter().map(|who| Text::line(who)).collect()
}

impl Row {
    fn new(row: &CallRow, now: holdshort_gate::Time) -> Self {
        Self {
            id: Text::line(&format!("{}.{}", row.run, row.call)),
            agent: Text::line(row.agent.as_str()),
            capability: Text::line(&row.capability.to_string()),
            summary: Text::line(&row.summary),
            state: row.state,
            consequence: row.consequence.unwrap_or_default().name(),
            approved_by: row.approved_by.iter().map(|name| Text::line(name.as_str())).collect(),
            still_needed: row.still_needed,
            waits_for: waits_for(row),
            asked: ShownTime::new(row.proposed_at, now),
            deadline: row.deadline.map(|at| ShownTime::new(at, now)),
        }
    }
}
