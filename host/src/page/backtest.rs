//! Backtests (`/backtest`): a form for policies to try on recorded calls, and the report.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use holdshort_gate::Time;
use serde::Deserialize;

use super::frame::{Frame, PageResult, Seal, Signed, page};
use crate::analysis::backtest::{BacktestReport, BacktestedCall, CallSample, NotJudged, OutcomeRow, OutcomeTable};
use crate::api::limits::{Form, Query};
use crate::api::problem::{Kind, Problem};
use crate::api::{Api, backtests};
use crate::policy::load::Source;
use crate::review::Text;

/// The purpose of the form. Its seal is valid for this purpose only.
const SEALED: &str = "backtest";
/// The number of microseconds in a day.
const DAY: u64 = 86_400_000_000;
/// The name of the typed text in error messages.
const NAME: &str = "your policies";

/// The query that fills the form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BacktestQuery {
    /// Policies to try in addition to those in force.
    add: Option<String>,
}

#[derive(Template)]
#[template(path = "backtest.html")]
struct BacktestPage {
    frame: Frame,
    seal: Seal,
    policies: Text,
    add: bool,
    days: Text,
    trouble: Vec<Text>,
    result: Option<ShownBacktest>,
}

/// The report.
#[derive(Debug)]
struct ShownBacktest {
    rejected: u64,
    rejected_first: Vec<BacktestRow>,
    refused: u64,
    refused_first: Vec<BacktestRow>,
    calls: Vec<OutcomeRow>,
    revisions: Vec<OutcomeRow>,
    burden: Vec<ShownLoad>,
    warnings: Vec<Text>,
}

/// A call whose verdict would change, with the decisions on it.
#[derive(Debug)]
struct BacktestRow {
    id: Text,
    revision: u32,
    summary: Text,
    by: Text,
    said: Option<Text>,
    /// The verdict of the tried policies.
    candidate: Text,
}

/// The review load of one group.
#[derive(Debug)]
struct ShownLoad {
    who: Text,
    prompts: u64,
    prompts_then: u64,
    minutes: u64,
    minutes_then: u64,
}

/// Shows the form.
pub(super) async fn show(signed: Signed, Query(query): Query<BacktestQuery>) -> PageResult {
    let text = query.add.unwrap_or_default();
    page(&form(&signed, &text, true, "", Vec::new()))
}

/// The form with its typed content and the errors in it.
fn form(signed: &Signed, policies: &str, add: bool, days: &str, trouble: Vec<Text>) -> BacktestPage {
    BacktestPage {
        frame: signed.frame("policy"),
        seal: signed.seal(SEALED),
        policies: Text::field(policies),
        add,
        days: Text::line(days),
        trouble,
        result: None,
    }
}

/// Runs the backtest that the form asks for.
pub(super) async fn create(State(api): State<Api>, signed: Signed, sent: Form) -> PageResult {
    signed.0.check(SEALED, sent.field("seal").unwrap_or_default())?;
    let text = Text::typed(sent.field("policies").unwrap_or_default());
    let (add, days) = (sent.field("how") != Some("instead"), sent.field("days").unwrap_or_default().trim());
    let tried = match since(&api, days) {
        Ok(since) => backtests::run(&api, vec![Source { path: NAME.into(), text: text.clone() }], add, since).await,
        Err(problem) => Err(problem),
    };
    match tried {
        Ok(report) => {
            page(&BacktestPage { result: Some(outcome(report)), ..form(&signed, &text, add, days, Vec::new()) })
        }
        Err(problem) => {
            let status: StatusCode = problem.kind().status();
            let shown = form(&signed, &text, add, days, Text::lines(problem.detail()));
            Ok((status, page(&shown)?).into_response())
        }
    }
}

/// The beginning of the period, `days` before now.
fn since(api: &Api, days: &str) -> Result<Time, Problem> {
    if days.is_empty() {
        return Ok(Time(0));
    }
    let days: u64 =
        days.parse().map_err(|_| Problem::new(Kind::BadRequest, "the number of days must be a whole number"))?;
    Ok(Time(api.journal().now().0.saturating_sub(days.saturating_mul(DAY))))
}

fn calls(count: u64) -> String {
    if count == 1 { "1 call".into() } else { format!("{count} calls") }
}

/// Turns the report into the texts of the page.
fn outcome(report: BacktestReport) -> ShownBacktest {
    let some = |OutcomeTable(rows): OutcomeTable| {
        rows.into_iter().filter(|row| row.clear + row.hold + row.refuse > 0).collect()
    };
    let listed = |CallSample { first, .. }: CallSample| first.into_iter().map(BacktestRow::from).collect();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "minutes to look at")]
    let burden = report.burden.iter().map(|group| ShownLoad {
        who: Text::line(group.group.as_deref().unwrap_or("everybody")),
        prompts: group.prompts,
        prompts_then: group.prompts_then,
        minutes: group.minutes.round() as u64,
        minutes_then: group.minutes_then.round() as u64,
    });
    let errors = (report.errors > 0)
        .then(|| format!("{}: a policy could not be evaluated, so the verdict is `held`", calls(report.errors)));
    let unknown = report.not_judged.iter();
    let unknown = unknown.map(|NotJudged { capability, calls: count }| {
        let calls = calls(*count);
        format!("not evaluated: {calls} of `{capability}`, because this host does not offer the capability now")
    });
    let unknown_facts = (report.without_facts > 0).then(|| {
        format!(
            "not evaluated: {} that policy refused, because the host records no evidence for refused calls",
            calls(report.without_facts)
        )
    });
    let unasked = (report.without_policy > 0).then(|| {
        format!(
            "not evaluated: {} that were refused before policy was asked, for example because their arguments are too long",
            calls(report.without_policy)
        )
    });
    let errors = errors.into_iter().chain(report.first_errors.iter().cloned());
    let warnings = report.warnings.iter().cloned().chain(errors).chain(unknown).chain(unknown_facts).chain(unasked);
    ShownBacktest {
        warnings: warnings.map(|line| Text::line(&line)).collect(),
        burden: burden.collect(),
        rejected: report.rejected_but_cleared.count,
        rejected_first: listed(report.rejected_but_cleared),
        refused: report.approved_but_refused.count,
        refused_first: listed(report.approved_but_refused),
        calls: some(report.calls),
        revisions: some(report.revisions),
    }
}

impl From<BacktestedCall> for BacktestRow {
    fn from(found: BacktestedCall) -> Self {
        let candidate = found.why.unwrap_or_else(|| format!("cleared by {}", found.determining.join(", ")));
        Self {
            id: Text::line(&found.id),
            revision: found.revision,
            summary: Text::line(&found.summary),
            by: Text::line(&found.by.join(", ")),
            said: found.said.map(|said| Text::line(&said)),
            candidate: Text::line(&candidate),
        }
    }
}
