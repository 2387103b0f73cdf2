//! The projections for lists: calls, the people for whom they wait, decisions, and search words.

use std::collections::{BTreeMap, HashMap};

use holdshort_gate::command::Subject;
use holdshort_gate::totals::money;
use holdshort_gate::{
    Call, CallNumber, Counter, CreatedRun, Digest, EffectKey, JournalId, RecordedEvent, ReviewerName, Run, RunId,
    Similarity, Total,
};
use rusqlite::{Connection, Transaction};

use super::codec::{EVENT_COLUMNS, integer, json, natural, recorded};
use super::insert::Insert;
use super::lists::{key, kind_number};
use super::load;
use super::notified;
use super::schema::{DROPPED, PROJECTED, PROJECTION};
use crate::error::ReadError;
use crate::history::{DecisionRecord, decision, words_of};
use crate::inbox::{WaitingReviewers, urgency};
use crate::rows::Position;
use crate::rows::StoredRun;
use crate::staged;
use crate::store::{created_run, opens, revises};

impl Insert<'_> {
    /// Writes the projection of a call, which has the columns by which lists filter and order; everything else is read
    /// from the call's events. `opened` is the position at which this batch opened the call. Without it, the call has a
    /// row from an earlier batch, and only the columns that can change are written. `lived` says whether anything other
    /// than the call's grant has changed: a grant may be revoked long after the call is over.
    pub(super) fn call(
        &mut self,
        id: &RunId,
        run: &Run,
        call: &Call,
        similarity: Option<&Similarity>,
        (opened, lived): (Option<u64>, bool),
    ) -> Result<(), ReadError> {
        let (number, phase, urgency) = (self.number(id)?, call.phase.state().as_str(), urgency(call));
        let deadline = call.deadline().map(|at| integer(at.0));
        let (deed, about) = similarity.map(|like| (key(&like.effect_digest), like.about.as_ref().map(key))).unzip();
        let about = about.flatten();
        let waits = WaitingReviewers::of(call, &run.started_by);
        let position: i64 = if let Some(position) = opened {
            let (agent, capability) =
                (self.name(run.agent.as_str())?, self.name(&call.action().capability().to_string())?);
            let insert = "INSERT INTO calls \
                          (position, run, call, phase, deadline, agent, capability, urgency, everybody, deed, about) \
                          VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
            let (position, everybody) = (integer(position), waits.everybody);
            let values =
                (position, number, call.number, phase, deadline, agent, capability, urgency, everybody, deed, about);
            self.execute(insert, values)?;
            position
        } else {
            let update = "UPDATE calls SET phase = ?3, deadline = ?4, urgency = ?5, everybody = ?6, deed = ?7, about = ?8 \
                          WHERE run = ?1 AND call = ?2 RETURNING position";
            let values = (number, call.number, phase, deadline, urgency, waits.everybody, deed, about);
            let position = self.one(update, values)?;
            self.execute("DELETE FROM exceptions WHERE position = ?1", [position])?;
            notified::changed(self.transaction, number, call)?;
            position
        };
        for reviewer in waits.but {
            let reviewer = self.name(reviewer.as_str())?;
            self.execute("INSERT INTO exceptions (position, reviewer) VALUES (?1, ?2)", (position, reviewer))?;
        }
        if call.revision > 1 {
            let left = "UPDATE calls SET attempts = ?2, editor = ?3 WHERE position = ?1";
            self.execute(left, (position, call.attempts, call.edited_by.as_ref().map(ReviewerName::as_str)))?;
        }
        if let Some(kind) = call.performed_kind(&run.agent) {
            self.execute("UPDATE calls SET kind = ?2 WHERE position = ?1", (position, kind.bytes()))?;
        }
        if let Some(granted) = &call.granted {
            let insert = "INSERT OR REPLACE INTO grants (position, until, revoked, granted) VALUES (?1, ?2, ?3, ?4)";
            let (until, revoked) = (integer(granted.grant.until.0), granted.revoked.is_some());
            self.execute(insert, (position, until, revoked, json(granted)?))?;
        }
        if lived && call.answer().is_some() {
            self.words(position, id, run, call)?;
        }
        Ok(())
    }

    /// Writes a running total. A total is one row, which is written once for all changes of a batch.
    pub(super) fn total(&self, counter: &Counter, total: &Total) -> Result<(), ReadError> {
        let insert = "INSERT OR REPLACE INTO totals (counter, total) VALUES (?1, ?2)";
        Ok(self.execute(insert, (json(counter)?, json(total)?))?)
    }

    /// Adds calls and answers of models to the totals.
    fn count(&self, counted: impl Iterator<Item = (Vec<Counter>, BTreeMap<String, u64>)>) -> Result<(), ReadError> {
        for (counters, sums) in counted {
            for counter in counters {
                self.total(&counter, &load::total(self.connection(), &counter)?.with(&sums))?;
            }
        }
        Ok(())
    }

    /// Stores the run that a request with this key created. A key is used once, so the row never changes.
    pub(super) fn created_run(&mut self, key: &Digest, created_run: &CreatedRun) -> rusqlite::Result<()> {
        let run = self.number(&created_run.run)?;
        let insert = "INSERT INTO made (key, run, asks) VALUES (?1, ?2, ?3)";
        self.execute(insert, (key.bytes(), run, created_run.asks.bytes()))
    }

    /// Records that a revision of the call begins at this position. Rows of lists are made from the call's events since
    /// then. The call's row must exist already.
    pub(super) fn revision(&mut self, at: Position, id: &RunId, call: CallNumber) -> rusqlite::Result<()> {
        let run = self.number(id)?;
        self.execute("UPDATE calls SET since = ?3 WHERE run = ?1 AND call = ?2", (run, call, integer(at.0)))
    }

    /// Writes the row of a decision, which never changes. The row is written after the row of its call and after the
    /// revisions before the decision.
    pub(super) fn decision(
        &mut self,
        at: Position,
        id: &RunId,
        call: CallNumber,
        record: DecisionRecord<'_>,
    ) -> rusqlite::Result<()> {
        let kind = kind_number(record.kind);
        let (run, reviewer) = (self.number(id)?, record.by.map(|by| self.name(by.as_str())).transpose()?);
        let insert = "INSERT INTO decisions (position, call, kind, reviewer, since) \
                      SELECT ?1, position, ?4, ?5, since FROM calls WHERE run = ?2 AND call = ?3";
        self.execute(insert, (integer(at.0), run, call, kind, reviewer))
    }

    /// Writes the words by which a finished call is found; a finished call no longer changes. The words are not written
    /// earlier, so that no effect waits for them.
    fn words(&self, position: i64, id: &RunId, run: &Run, call: &Call) -> Result<(), ReadError> {
        let task = load::run(self.connection(), id)?.map(|(_, task)| task).unwrap_or_default();
        let words: Vec<String> = words_of(call, run, &task).into_iter().collect();
        Ok(self.execute("INSERT INTO words (rowid, text) VALUES (?1, ?2)", (position, words.join(" ")))?)
    }
}

/// Makes every projection again from the events, in one transaction. The tables of calls are made again too, because
/// they may be of an older version.
pub(super) fn rebuild(connection: &mut Connection) -> Result<(), ReadError> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(DROPPED)?;
    transaction.execute_batch(PROJECTED)?;
    let id = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, RunId(row.get(1)?)));
    let runs: Vec<(i64, RunId)> =
        transaction.prepare("SELECT number, id FROM runs")?.query_map([], id)?.collect::<rusqlite::Result<_>>()?;
    for (number, id) in runs {
        rebuild_run(&transaction, number, id)?;
    }
    transaction.execute("UPDATE meta SET value = ?1 WHERE key = 'projection'", [PROJECTION.as_bytes()])?;
    transaction.commit()?;
    Ok(())
}

/// Folds one run's events with the gate's own `apply`, as the writer did when the events were new, and writes the run's
/// projections. The subject holds one call at a time, so a call that appears again after another call is taken from
/// `calls`.
fn rebuild_run(transaction: &Transaction<'_>, number: i64, id: RunId) -> Result<(), ReadError> {
    let damaged = |why: String| ReadError::Damaged(format!("run {id}: {why}"));
    // The name and the key are empty, because the state that events lead to depends on neither.
    let mut subject = Subject::new(JournalId(String::new()), id.clone(), EffectKey(String::new()));
    let (mut calls, mut opened) = (BTreeMap::<CallNumber, Call>::new(), HashMap::new());
    let select =
        format!("SELECT {EVENT_COLUMNS}, events.position, events.call FROM events WHERE run = ?1 ORDER BY seq");
    let mut statement = transaction.prepare_cached(&select)?;
    let mut rows = statement.query([number])?;
    // `told` has each revision (with `None`) and each decision (with its kind and reviewer), in the order of events.
    let (mut told, mut requested, mut spent) = (Vec::new(), None, Vec::new());
    let mut before: Option<RecordedEvent> = None;
    while let Some(row) = rows.next()? {
        let (recorded, _) = recorded(transaction, row, 0)?;
        let (position, call): (i64, Option<CallNumber>) = (row.get(5)?, row.get(6)?);
        if let Some(call) = opens(&recorded.event) {
            opened.insert(call, natural(position));
        } else if let Some(call) = call.filter(|call| subject.call.as_ref().map(|call| call.number) != Some(*call)) {
            subject.call = calls.get(&call).cloned();
        }
        requested = created_run(&id, &recorded.event).or(requested);
        subject.apply(&recorded.event, recorded.at).map_err(|error| damaged(error.to_string()))?;
        spent.extend(staged::spent(&subject, &recorded.event, recorded.at));
        if let Some(changed) = subject.call.as_ref().filter(|changed| call == Some(changed.number)) {
            calls.insert(changed.number, changed.clone());
        }
        if let Some(call) = call.filter(|_| revises(&recorded.event)) {
            told.push((Position(natural(position)), call, None));
        }
        if let (Some(call), Some(record)) = (call, decision(&recorded.event, before.as_ref().map(|one| &one.event))) {
            told.push((Position(natural(position)), call, Some((record.kind, record.by.cloned()))));
        }
        before = Some(recorded);
    }
    let (last, run) = before.zip(subject.run).ok_or_else(|| damaged("the run has no first event".into()))?;
    let state = StoredRun { run, last_seq: last.seq, updated_at: last.at };
    let mut insert = Insert::new(transaction);
    insert.run(&id, &state)?;
    if let Some((key, created_run)) = &requested {
        insert.created_run(key, created_run)?;
    }
    for (number, call) in &calls {
        insert.call(&id, &state.run, call, call.similarity().as_ref(), (opened.get(number).copied(), true))?;
    }
    let counted = calls.values().filter(|call| call.counted_at.is_some());
    let counted = counted.map(|call| (call.counters(&id, &state.run), money(call.action())));
    insert.count(counted.chain(spent))?;
    for (position, call, decided) in told {
        match decided {
            Some((kind, by)) => {
                insert.decision(position, &id, call, DecisionRecord { by: by.as_ref(), kind, message: None })?;
            }
            None => insert.revision(position, &id, call)?,
        }
    }
    Ok(())
}
