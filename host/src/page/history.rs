//! Past decisions (`/history`) with reviewer, time and evidence, and the latest decisions for the
//! inbox.

use std::str::FromStr;

use askama::Template;
use axum::extract::State;
use holdshort_gate::{AgentName, CallState, Digest, ReviewerName, Time};
use holdshort_journal::{DecisionFilter, DecisionKind, DecisionRow, Position};
use serde::Deserialize;

use super::frame::{ErrorPage, Frame, PageResult, ShownTime, Signed, page};
use crate::api::limits::Query;
use crate::api::problem::{Kind, Problem};
use crate::api::{Api, shortened};
use crate::review::{Text, sentences};

/// The maximum number of rows on a page. It is small because a row can be long.
const ROWS: usize = 25;
/// The maximum number of latest decisions that the inbox shows.
const LATELY: usize = 10;
/// The maximum number of exhibits that a row names.
const EXHIBITS: usize = 5;

/// The filter. A form sends an unused field as an empty text, which filters nothing.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HistoryQuery {
    search: String,
    by: String,
    agent: String,
    capability: String,
    kind: String,
    /// The state of the call now.
    outcome: String,
    /// The period in UTC days, both ends included.
    from: String,
    until: String,
    /// The position of the last row of the previous page.
    before: String,
}

#[derive(Template)]
#[template(path = "history.html")]
struct HistoryPage {
    frame: Frame,
    search: Text,
    by: Text,
    agent: Text,
    capability: Text,
    kind: Option<DecisionKind>,
    outcome: Option<CallState>,
    from: Text,
    until: Text,
    kinds: [DecisionKind; DecisionKind::ALL.len()],
    outcomes: [CallState; CallState::ALL.len()],
    agents: Vec<Text>,
    rows: Vec<Row>,
    /// The query of the next page.
    next: Option<Text>,
}

/// A decision in the list.
#[derive(Debug)]
pub(super) struct Row {
    /// The id of the approval.
    pub(super) id: Text,
    pub(super) when: ShownTime,
    /// The reviewer's name; empty if no reviewer decided.
    pub(super) by: Text,
    pub(super) kind: DecisionKind,
    pub(super) message: Option<Text>,
    pub(super) summary: Text,
    pub(super) agent: Text,
    pub(super) capability: Text,
    /// The state of the call.
    pub(super) state: CallState,
    digest: Option<Digest>,
    revision: u32,
    /// Whether the approval's page still shows this revision with its evidence.
    current: bool,
    exhibits: Vec<(Text, Digest)>,
    more_exhibits: usize,
}

impl Row {
    fn new(row: DecisionRow, now: Time) -> Self {
        let exhibit = |one: &holdshort_gate::ExhibitRef| (Text::line(&sentences::short(&one.title)), one.digest);
        Self {
            id: Text::line(&format!("{}.{}", row.call.run, row.call.call)),
            when: ShownTime::new(row.at, now),
            by: Text::line(row.by.unwrap_or_default().as_str()),
            kind: row.kind,
            message: row.message.map(|message| Text::line(&sentences::short(&message))),
            summary: Text::line(&sentences::short(&row.summary)),
            agent: Text::line(row.call.agent.as_str()),
            capability: Text::line(&row.call.capability.to_string()),
            state: row.call.state,
            digest: row.clearance,
            revision: row.revision,
            current: row.revision == row.call.revision,
            exhibits: row.exhibits.iter().take(EXHIBITS).map(exhibit).collect(),
            more_exhibits: row.exhibits.len().saturating_sub(EXHIBITS),
        }
    }
}

/// Shows decisions, newest first.
pub(super) async fn show(State(api): State<Api>, signed: Signed, Query(query): Query<HistoryQuery>) -> PageResult {
    let filter = filter(&query)?;
    let kind = filter.kinds.first().copied();
    let outcome = filter.states.first().copied();
    let now = api.journal().now();
    let rows = api.journal().decisions(filter).await?;
    let next = rows.last().filter(|_| rows.len() == ROWS).map(|row| Text::line(&query.after(row.position)));
    page(&HistoryPage {
        frame: signed.frame("history"),
        search: Text::line(&query.search),
        by: Text::line(&query.by),
        agent: Text::line(&query.agent),
        capability: Text::line(&query.capability),
        kind,
        outcome,
        from: Text::line(&query.from),
        until: Text::line(&query.until),
        kinds: DecisionKind::ALL,
        outcomes: CallState::ALL,
        agents: api.driver().agents().iter().map(|agent| Text::line(agent.name.as_str())).collect(),
        rows: rows.into_iter().map(|row| Row::new(row, now)).collect(),
        next,
    })
}

/// The latest decisions of all reviewers.
pub(super) async fn lately(api: &Api) -> Result<Vec<Row>, ErrorPage> {
    let filter = DecisionFilter { kinds: DecisionKind::BY_PEOPLE.to_vec(), ..DecisionFilter::all(LATELY) };
    let now = api.journal().now();
    Ok(api.journal().decisions(filter).await?.into_iter().map(|row| Row::new(row, now)).collect())
}

fn filter(query: &HistoryQuery) -> Result<DecisionFilter, Problem> {
    let text = |text: &String| Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned);
    let wrong =
        |text: &str, what: &str| Problem::new(Kind::BadRequest, format!("`{}` is not a {what}", shortened(text)));
    let day = |text: &str, days| match text {
        "" => Ok(None),
        text => midnight(text, days).map(Some).ok_or_else(|| wrong(text, "day; write a day like `2026-11-27`")),
    };
    let before = match query.before.as_str() {
        "" => None,
        text => Some(Position(text.parse().map_err(|_| wrong(text, "place in the history"))?)),
    };
    Ok(DecisionFilter {
        by: text(&query.by).map(ReviewerName::new),
        kinds: named(&query.kind).map_err(|_| wrong(&query.kind, "kind of decision"))?,
        states: named(&query.outcome).map_err(|_| wrong(&query.outcome, "state of a call"))?,
        agent: text(&query.agent).map(AgentName::new),
        capability: text(&query.capability),
        from: day(&query.from, 0)?,
        until: day(&query.until, 1)?,
        search: text(&query.search),
        before,
        ..DecisionFilter::all(ROWS)
    })
}

/// The variant that a field of the form names; none if the field is empty.
fn named<T: FromStr>(text: &str) -> Result<Vec<T>, T::Err> {
    if text.is_empty() { Ok(Vec::new()) } else { text.parse().map(|named| vec![named]) }
}

/// The beginning of a UTC day, `days` days after `day`.
pub(super) fn midnight(day: &str, days: i64) -> Option<Time> {
    let day: jiff::civil::Date = day.parse().ok()?;
    let day = day.checked_add(jiff::Span::new().try_days(days).ok()?).ok()?;
    let at = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    u64::try_from(at.as_microsecond()).ok().map(Time)
}

impl HistoryQuery {
    /// The query for the rows after a position.
    fn after(&self, Position(place): Position) -> String {
        let Self { search, by, agent, capability, kind, outcome, from, until, before: _ } = self;
        let fields = [
            ("search", search),
            ("by", by),
            ("agent", agent),
            ("capability", capability),
            ("kind", kind),
            ("outcome", outcome),
            ("from", from),
            ("until", until),
        ];
        let mut next = form_urlencoded::Serializer::new(String::new());
        next.extend_pairs(fields.into_iter().filter(|(_, value)| !value.is_empty()));
        next.append_pair("before", &place.to_string()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_at_midnight_and_the_last_one_is_included() {
        let day = HistoryQuery { from: "1970-01-02".into(), until: "1970-01-02".into(), ..HistoryQuery::default() };
        let filter = filter(&day).unwrap();
        assert_eq!((filter.from, filter.until), (Some(Time(86_400_000_000)), Some(Time(2 * 86_400_000_000))));
        for wrong in ["1969-12-31", "2026-02-30", "yesterday", "9999-12-31x"] {
            assert!(super::filter(&HistoryQuery { from: wrong.into(), ..HistoryQuery::default() }).is_err(), "{wrong}");
        }
    }
}
