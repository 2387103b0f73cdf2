//! Lists of calls and decisions. Indices and projected columns choose the rows; only the rows of the page are read, by
//! [`row`](super::row).

use holdshort_gate::{AgentName, CallId, CallState, Digest, RunId, Time};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params_from_iter};

use super::codec::{integer, limit, natural};
use super::row::{CallLocation, PLACE, call_row, decision_row, grant_row};
use crate::error::ReadError;
use crate::history::DecisionKind;
use crate::history::words;
use crate::inbox::Rank;
use crate::lists::{CallFilter, CallOrder, CallRow, DecisionFilter, DecisionRow, GrantFilter, GrantRow};
use crate::rows::Position;

/// Lists calls: for each state, one query reads rows in the order of the index. Of the rows of all states together, the
/// first ones are kept. The cursor is a place in that order, so it stays valid when the row from which it was made gets
/// another place.
pub(super) fn calls(connection: &Connection, filter: &CallFilter) -> Result<Vec<CallRow>, ReadError> {
    let ranked = matches!(filter.order, CallOrder::Ranked(_));
    let every = if ranked { &CallState::ALL[..] } else { &[] };
    let states = if filter.states.is_empty() { every } else { &filter.states };
    let mut found = each_state(states, |state| {
        let mut wanted = Conditions::of_calls(filter, state);
        match filter.order {
            CallOrder::Proposed(after) => {
                wanted.add_some("calls.position > ?", after.map(|Position(after)| integer(after)));
            }
            CallOrder::Ranked(after) => {
                let (Rank(rank), Position(position)) = after.unwrap_or((Rank(0), Position(0)));
                wanted.add("(calls.rank, calls.position) > (?, ?)", integer(rank));
                wanted.values.push(integer(position).into());
            }
        }
        let order = if ranked { "calls.rank, calls.position" } else { "calls.position" };
        let select = format!(
            "SELECT calls.rank, {PLACE} FROM calls CROSS JOIN runs ON runs.number = calls.run \
             {} ORDER BY {order} LIMIT {}",
            wanted.sql(),
            limit(filter.limit)
        );
        let mut statement = connection.prepare_cached(&select)?;
        let location = |row: &Row<'_>| Ok((Rank(natural(row.get(0)?)), CallLocation::read(row, 1)?));
        let places = statement.query_map(params_from_iter(wanted.values), location)?;
        Ok(places.collect::<rusqlite::Result<Vec<_>>>()?)
    })?;
    found.sort_by_key(|(rank, location)| (ranked.then_some(*rank), location.position));
    found.truncate(filter.limit);
    found.into_iter().map(|(_, location)| call_row(connection, &location)).collect()
}

/// Finds waiting calls by the beginning of a digest of their effect or their subject. Each of the two queries uses its
/// own index and gives the oldest calls first.
pub(super) fn similar_calls(connection: &Connection, digest: &Digest, most: usize) -> Result<Vec<CallId>, ReadError> {
    let mut found = Vec::new();
    for select in LIKE {
        let mut statement = connection.prepare_cached(select)?;
        let id = |row: &Row<'_>| Ok(CallId { run: RunId(row.get(0)?), call: row.get(1)? });
        for id in statement.query_map((key(digest), limit(most)), id)? {
            found.push(id?);
        }
    }
    Ok(found)
}

/// The queries of [`similar_calls`], one for each column. `CROSS JOIN` keeps SQLite from reading the runs first.
pub(super) const LIKE: [&str; 2] = [
    "SELECT runs.id, calls.call FROM calls CROSS JOIN runs ON runs.number = calls.run \
     WHERE calls.deed = ?1 ORDER BY calls.position LIMIT ?2",
    "SELECT runs.id, calls.call FROM calls CROSS JOIN runs ON runs.number = calls.run \
     WHERE calls.about = ?1 ORDER BY calls.position LIMIT ?2",
];

/// The performed call of a kind that was proposed last.
pub(super) fn last_performed(connection: &Connection, kind: &Digest) -> Result<Option<CallId>, ReadError> {
    let id = |row: &Row<'_>| Ok(CallId { run: RunId(row.get(0)?), call: row.get(1)? });
    Ok(connection.prepare_cached(LAST_PERFORMED)?.query_row([kind.bytes()], id).optional()?)
}

/// The query for it. `CROSS JOIN` keeps SQLite from reading the runs first.
pub(super) const LAST_PERFORMED: &str = "SELECT runs.id, calls.call FROM calls CROSS JOIN runs ON runs.number = calls.run \
     WHERE calls.kind = ?1 ORDER BY calls.position DESC LIMIT 1";

/// The beginning of a digest, by which calls are indexed.
pub(super) fn key(digest: &Digest) -> i64 {
    digest.bytes().iter().take(8).fold(0, |key, byte| key << 8 | i64::from(*byte))
}

/// Counts with projected columns only, up to the filter's limit.
pub(super) fn count_calls(connection: &Connection, filter: &CallFilter) -> Result<usize, ReadError> {
    let counts = each_state(&filter.states, |state| {
        let wanted = Conditions::of_calls(filter, state);
        let limit = limit(filter.limit);
        let select = format!("SELECT count(*) FROM (SELECT 1 FROM calls {} LIMIT {limit})", wanted.sql());
        let mut statement = connection.prepare_cached(&select)?;
        let count: i64 = statement.query_row(params_from_iter(wanted.values), |row| row.get(0))?;
        Ok(vec![usize::try_from(count).unwrap_or(usize::MAX)])
    })?;
    Ok(counts.into_iter().sum::<usize>().min(filter.limit))
}

/// Reads from the newest decision to the oldest, by position or by the index of reviewers. A search reads only the
/// decisions about the calls that it finds.
pub(super) fn decisions(connection: &Connection, filter: &DecisionFilter) -> Result<Vec<DecisionRow>, ReadError> {
    let mut wanted = Conditions::default();
    let mut from = "decisions".to_owned();
    if let Some(search) = &filter.search {
        let words: Vec<String> = words(search).map(|word| format!("\"{word}\"*")).collect();
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let most = DecisionFilter::FOUND_MAX;
        from = format!(
            "(SELECT rowid AS call FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT {most}) AS found \
             CROSS JOIN decisions ON decisions.call = found.call"
        );
        wanted.values.push(words.join(" AND ").into());
    }
    wanted.add_some(
        "decisions.reviewer = (SELECT number FROM names WHERE text = ?)",
        filter.by.clone().map(String::from),
    );
    wanted.among("decisions.kind", filter.kinds.iter().map(|kind| Value::from(kind_number(*kind))));
    wanted.among("calls.phase", filter.states.iter().map(|state| Value::from(state.as_str().to_owned())));
    wanted.of(filter.run.as_ref(), filter.agent.as_ref(), filter.capability.as_ref());
    let bound = |at: Option<Time>| at.map(|at| first_since(connection, at)).transpose();
    wanted.add_some("decisions.position >= ?", bound(filter.from)?);
    wanted.add_some("decisions.position < ?", bound(filter.until)?);
    wanted.add_some("decisions.position < ?", filter.before.map(|Position(before)| integer(before)));
    let select = format!(
        "SELECT decisions.position, coalesce(decisions.since, calls.position), {PLACE} FROM {from} \
         CROSS JOIN calls ON calls.position = decisions.call CROSS JOIN runs ON runs.number = calls.run \
         {} ORDER BY decisions.position DESC LIMIT {}",
        wanted.sql(),
        limit(filter.limit)
    );
    let mut statement = connection.prepare_cached(&select)?;
    let location = |row: &Row<'_>| {
        Ok((Position(natural(row.get(0)?)), Position(natural(row.get(1)?)), CallLocation::read(row, 2)?))
    };
    let places = statement.query_map(params_from_iter(wanted.values), location)?;
    let places = places.collect::<rusqlite::Result<Vec<_>>>()?;
    places.into_iter().map(|(at, since, location)| decision_row(connection, at, since, &location)).collect()
}

/// Reads from the newest grant to the oldest. No index finds the valid grants, because few grants are valid at the same
/// time.
pub(super) fn grants(connection: &Connection, filter: &GrantFilter) -> Result<Vec<GrantRow>, ReadError> {
    let mut wanted = Conditions::default();
    wanted.add_some("NOT grants.revoked AND grants.until > ?", filter.standing_at.map(|Time(at)| integer(at)));
    wanted.of(None, filter.agent.as_ref(), filter.capability.as_ref());
    wanted.add_some("grants.position < ?", filter.before.map(|Position(before)| integer(before)));
    let select = format!(
        "SELECT grants.granted, runs.id, calls.call, calls.position FROM grants CROSS JOIN calls ON calls.position = grants.position \
         CROSS JOIN runs ON runs.number = calls.run {} ORDER BY grants.position DESC LIMIT {}",
        wanted.sql(),
        limit(filter.limit)
    );
    let mut statement = connection.prepare_cached(&select)?;
    let mut rows = statement.query(params_from_iter(wanted.values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(grant_row(connection, row)?);
    }
    Ok(found)
}

/// The number that stands for a kind of decision in the tables.
pub(super) fn kind_number(kind: DecisionKind) -> i64 {
    kind as i64
}

/// The first position whose event was written at `at` or later. Time never goes back in a journal, so a binary search
/// finds the position without an index.
fn first_since(connection: &Connection, at: Time) -> Result<i64, ReadError> {
    let last = "SELECT coalesce(max(position), 0) FROM events";
    let last: i64 = connection.prepare_cached(last)?.query_row([], |row| row.get(0))?;
    let mut statement =
        connection.prepare_cached("SELECT at FROM events WHERE position >= ?1 ORDER BY position LIMIT 1")?;
    let (mut low, mut high) = (1, last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let written: i64 = statement.query_row([middle], |row| row.get(0))?;
        if natural(written) >= at.0 { high = middle } else { low = middle + 1 }
    }
    Ok(low)
}

/// Runs a query once for each state, or once for all states. The rows of one state can be read in the order of an
/// index. The limit holds for each query separately. So the caller sorts the rows of all states together and cuts them
/// to the limit again.
pub(super) fn each_state<S: Copy, T>(
    states: &[S],
    mut query: impl FnMut(Option<S>) -> Result<Vec<T>, ReadError>,
) -> Result<Vec<T>, ReadError> {
    if states.is_empty() {
        return query(None);
    }
    let mut found = Vec::new();
    for state in states {
        found.extend(query(Some(*state))?);
    }
    Ok(found)
}

/// The conditions of a WHERE clause, with their values.
#[derive(Default)]
pub(super) struct Conditions {
    sql: Vec<String>,
    pub(super) values: Vec<Value>,
}

impl Conditions {
    /// The conditions of a filter, for calls in one state or in any state.
    fn of_calls(filter: &CallFilter, state: Option<CallState>) -> Self {
        let mut wanted = Self::default();
        wanted.add_some("calls.phase = ?", state.map(|state| state.as_str().to_owned()));
        wanted.of(filter.run.as_ref(), filter.agent.as_ref(), filter.capability.as_ref());
        let waits = "calls.everybody <> EXISTS (SELECT 1 FROM exceptions WHERE exceptions.position = calls.position \
                     AND exceptions.reviewer = (SELECT number FROM names WHERE text = ?))";
        if !filter.waiting_for.is_empty() {
            wanted.sql.push(format!("({})", vec![waits; filter.waiting_for.len()].join(" OR ")));
            wanted.values.extend(filter.waiting_for.iter().cloned().map(String::from).map(Value::from));
        }
        wanted
    }

    /// Conditions on the run, the agent and the capability.
    fn of(&mut self, run: Option<&RunId>, agent: Option<&AgentName>, capability: Option<&String>) {
        self.add_some("calls.run = (SELECT number FROM runs WHERE id = ?)", run.map(|run| run.0.clone()));
        self.add_some("calls.agent = (SELECT number FROM names WHERE text = ?)", agent.cloned().map(String::from));
        self.add_some("calls.capability = (SELECT number FROM names WHERE text = ?)", capability.cloned());
    }

    /// `sql` has one `?`, for `value`. INVARIANT: only text of this program becomes SQL, which `'static` ensures;
    /// values from clients are bound.
    pub(super) fn add(&mut self, sql: &'static str, value: impl Into<Value>) {
        self.sql.push(sql.to_owned());
        self.values.push(value.into());
    }

    /// Adds the condition if there is a value.
    pub(super) fn add_some(&mut self, sql: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(sql, value);
        }
    }

    /// Adds the condition that the column has one of these values; without values, adds no condition.
    fn among(&mut self, column: &'static str, values: impl Iterator<Item = Value>) {
        let before = self.values.len();
        self.values.extend(values);
        if self.values.len() > before {
            let places = vec!["?"; self.values.len() - before].join(", ");
            self.sql.push(format!("{column} IN ({places})"));
        }
    }

    /// All conditions joined, or an empty text, so that a list without a filter has no condition.
    pub(super) fn sql(&self) -> String {
        if self.sql.is_empty() { String::new() } else { format!("WHERE {}", self.sql.join(" AND ")) }
    }
}
