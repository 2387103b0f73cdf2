//! Figures on the review load (`/stats`), and suggestions that would reduce it. The page shows one
//! moment and does not update.

use askama::Template;
use axum::extract::State;
use holdshort_gate::Time;
use serde::Deserialize;

use super::frame::{Frame, PageResult, Signed, page};
use super::history::midnight;
use crate::analysis::review_load::report::{CallRow, DecisionFigures, LoadReport, PeopleRow, Suggestion};
use crate::analysis::review_load::words;
use crate::api::limits::Query;
use crate::api::problem::{Kind, Problem};
use crate::api::{Api, shortened};
use crate::review::{Text, sentences};

/// The maximum number of rows of a table; rows with the highest load come first. The API gives all rows.
const ROWS: usize = 20;
const TIPS: usize = 5;
/// Columns of the table of calls.
const CALLS: [&str; 10] = [
    "cleared",
    "held",
    "refused",
    "approved",
    "rejected",
    "edited",
    "expired",
    "approval rate",
    "median, p95",
    "too fast",
];
/// Columns of the table of decisions.
const PEOPLE: [&str; 6] = ["approve", "reject", "edit", "respond", "median, p95", "too fast"];

/// The period in UTC days, both ends included. A form sends an unused field as an empty text.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StatsQuery {
    from: String,
    until: String,
}

#[derive(Template)]
#[template(path = "stats.html")]
struct StatsPage {
    frame: Frame,
    from: Text,
    until: Text,
    /// The exact period.
    since: Text,
    before: Text,
    all: Vec<(&'static str, Text)>,
    tables: Vec<Table>,
    tips: Vec<Tip>,
    more_tips: usize,
    notes: &'static str,
}

#[derive(Debug)]
struct Table {
    id: &'static str,
    heading: &'static str,
    columns: &'static [&'static str],
    rows: Vec<(Text, Vec<Text>)>,
    more: usize,
}

/// A suggested policy.
#[derive(Debug)]
struct Tip {
    text: Text,
    policy: Vec<Text>,
    open: Vec<Text>,
    /// The link to a backtest of the suggestion.
    link: Option<Text>,
}

/// Shows the figures.
pub(super) async fn show(State(api): State<Api>, signed: Signed, Query(query): Query<StatsQuery>) -> PageResult {
    let day = |text: &str, days| match text {
        "" => Ok(None),
        text => midnight(text, days).map(Some).ok_or_else(|| {
            let detail = format!("`{}` is not a day; write a day like `2026-11-27`", shortened(text));
            Problem::new(Kind::BadRequest, detail)
        }),
    };
    let window = api.window(day(&query.from, 0)?, day(&query.until, 1)?)?;
    let LoadReport {
        calls,
        runs,
        by_capability,
        by_agent,
        by_policy,
        by_group,
        by_group_and_capability,
        by_reviewer,
        suggestions,
    } = api.stats(window).await?;
    let all = [
        ("calls", words::judged(&calls)),
        ("of those held", words::ends(&calls)),
        ("people", words::decided(&calls.decisions)),
        ("runs", words::runs(&runs)),
    ];
    let tables = vec![
        of_calls("capabilities", "By capability", &by_capability),
        of_calls("agents", "By agent", &by_agent),
        of_calls("policies", "By policy", &by_policy),
        of_people("groups", "By group", &by_group),
        of_people("groups-on", "By group and capability", &by_group_and_capability),
        of_people("reviewers", "By reviewer", &by_reviewer),
    ];
    let exact = |at: Time| Text::line(&sentences::at(at));
    page(&StatsPage {
        frame: signed.frame("stats"),
        from: Text::line(&query.from),
        until: Text::line(&query.until),
        since: exact(window.since),
        before: exact(window.until),
        all: all.into_iter().map(|(name, text)| (name, Text::line(&text))).collect(),
        tables: tables.into_iter().filter(|table| !table.rows.is_empty()).collect(),
        more_tips: suggestions.len().saturating_sub(TIPS),
        tips: suggestions.iter().take(TIPS).map(Tip::new).collect(),
        notes: words::NOTES,
    })
}

/// A table of calls: how many were cleared, held, refused, approved and so on.
fn of_calls(id: &'static str, heading: &'static str, rows: &[CallRow]) -> Table {
    let cells = |CallRow { name, calls }: &CallRow| {
        let counts =
            [calls.cleared, calls.held, calls.refused, calls.approved, calls.rejected, calls.edited, calls.expired];
        let rate = calls.approval_rate.map(words::per_cent).unwrap_or_default();
        let cells = counts.map(|count| count.to_string()).into_iter().chain([rate]).chain(pace(&calls.decisions));
        (Text::line(name), cells.map(|cell| Text::line(&cell)).collect())
    };
    let mut rows: Vec<&CallRow> = rows.iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.calls.held));
    Table {
        id,
        heading,
        columns: &CALLS,
        more: rows.len().saturating_sub(ROWS),
        rows: rows.into_iter().take(ROWS).map(cells).collect(),
    }
}

/// A table of reviewers or groups, with their decisions and how long these took.
fn of_people(id: &'static str, heading: &'static str, rows: &[PeopleRow]) -> Table {
    let cells = |PeopleRow { name, capability, decisions }: &PeopleRow| {
        let DecisionFigures { approvals, rejections, edits, answers, .. } = decisions;
        let name = capability.as_ref().map_or_else(|| name.clone(), |capability| format!("{name}: {capability}"));
        let counts = [approvals, rejections, edits, answers].map(ToString::to_string);
        (Text::line(&name), counts.into_iter().chain(pace(decisions)).map(|cell| Text::line(&cell)).collect())
    };
    let mut rows: Vec<&PeopleRow> = rows.iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.decisions.made()));
    Table {
        id,
        heading,
        columns: &PEOPLE,
        more: rows.len().saturating_sub(ROWS),
        rows: rows.into_iter().take(ROWS).map(cells).collect(),
    }
}

/// How long decisions took, and how many were too fast.
fn pace(decisions: &DecisionFigures) -> [String; 2] {
    let span = |seconds: Option<f64>| seconds.map(words::span).unwrap_or_default();
    let times = [span(decisions.median_s), span(decisions.p95_s)];
    [times.join(if decisions.timed > 0 { ", " } else { "" }), decisions.too_fast.to_string()]
}

impl Tip {
    fn new(suggestion: &Suggestion) -> Self {
        let policy = suggestion.policy.as_deref();
        let query = |text: &str| form_urlencoded::Serializer::new(String::new()).append_pair("add", text).finish();
        Self {
            text: Text::line(&suggestion.text),
            policy: policy.map(|text| text.lines().map(Text::line).collect()).unwrap_or_default(),
            open: suggestion.open.iter().map(|place| Text::line(place)).collect(),
            link: policy.map(|text| Text::line(&query(text))),
        }
    }
}
