//! The store in memory: for tests of the layers above the journal, and as a second implementation of the port.

mod run;
mod similar;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use holdshort_gate::{
    Call, CallId, CallNumber, Counter, CreatedRun, Digest, Event, RecordedEvent, ReviewerName, Run, RunId, RunState,
    Seq, Time, Total,
};

use self::run::MemoryRun;
use self::similar::SimilarIndex;
use crate::error::ReadError;
use crate::history::{decision, words, words_of};
use crate::inbox::WaitingReviewers;
use crate::lists::{CallFilter, CallOrder, CallRow, DecisionFilter, DecisionRow, GrantFilter, GrantRow};
use crate::notified;
use crate::rows::StoredRun;
use crate::rows::{Deadline, Events, JournalEntry, LogLine, Position, RunFilter, RunRow, timer};
use crate::store::{Batch, Head, Load, Reader, Readers, Store, WriteError, opens, revises};

/// The whole store. It is a cheap handle that serves as the writer, as each reader, and as the maker of readers.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<RwLock<Contents>>);

#[derive(Default)]
struct Contents {
    // INVARIANT: positions are numbered from 1 without gaps, so the event at index `n` has position `n + 1`. `feed`
    // relies on this.
    events: Vec<JournalEntry>,
    runs: BTreeMap<RunId, MemoryRun>,
    blobs: HashMap<Digest, Vec<u8>>,
    notes: notified::Notifications,
    totals: HashMap<Counter, Total>,
    created_run: HashMap<Digest, CreatedRun>,
    similar: SimilarIndex,
}

impl Memory {
    /// Locks the contents for a read. A poisoned lock is used all the same: only a panic in `write` could leave
    /// incomplete data, and `write` does not panic.
    fn kept(&self) -> RwLockReadGuard<'_, Contents> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

// Reads clone the data. A caller may therefore keep a result while the writer goes on, as with the SQLite store.
impl Load for Memory {
    fn run(&mut self, run: &RunId) -> Result<Option<StoredRun>, ReadError> {
        Ok(self.kept().runs.get(run).map(|kept| kept.state.clone()))
    }

    fn call(&mut self, run: &RunId, call: CallNumber) -> Result<Option<Call>, ReadError> {
        Ok(self.kept().runs.get(run).and_then(|kept| kept.calls.get(&call)).and_then(|(_, call)| call.clone()))
    }

    fn total(&mut self, counter: &Counter) -> Result<Total, ReadError> {
        Ok(self.kept().totals.get(counter).cloned().unwrap_or_default())
    }

    fn created_run(&mut self, key: &Digest) -> Result<Option<CreatedRun>, ReadError> {
        Ok(self.kept().created_run.get(key).cloned())
    }

    fn similar_calls(&mut self, digest: &Digest, most: usize) -> Result<Vec<CallId>, ReadError> {
        Ok(self.kept().similar.found(digest, most))
    }
}

impl Store for Memory {
    /// The last event. The head of an empty journal is position 0, as in the SQLite store.
    fn head(&mut self) -> Result<Head, ReadError> {
        let last = self.kept().events.last().map(|last| (last.position.0, last.recorded.at));
        let (position, at) = last.unwrap_or((0, Time(0)));
        Ok(Head { position, at })
    }

    /// Writes the whole batch or nothing, like a transaction: the lock is held until the whole batch is stored, and no
    /// step in between can fail.
    fn write(&mut self, batch: &Batch) -> Result<(), WriteError> {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let kept = &mut *kept;
        for entry in &batch.events {
            let event = &entry.recorded.event;
            if let (Event::RunCreated { task, .. }, Some(state)) = (event, batch.runs.get(&entry.run)) {
                kept.runs.insert(entry.run.clone(), MemoryRun::new(state.clone(), task.clone()));
            }
            if let Some(run) = kept.runs.get_mut(&entry.run) {
                run.events.push(kept.events.len());
                if let Some(call) = opens(event) {
                    run.calls.insert(call, (entry.position, None));
                }
            }
            kept.events.push(entry.clone());
        }
        for (run, state) in &batch.runs {
            if let Some(run) = kept.runs.get_mut(run) {
                run.state = state.clone();
            }
        }
        kept.totals.extend(batch.totals.iter().map(|(counter, total)| (counter.clone(), total.clone())));
        kept.created_run.extend(batch.created_run.clone());
        for ((run, number), call) in &batch.calls {
            if let Some((_, kept)) = kept.runs.get_mut(run).and_then(|run| run.calls.get_mut(number)) {
                *kept = Some(call.clone());
            }
            kept.notes.changed(run, call);
        }
        for (id, similarity) in &batch.similar {
            kept.similar.changed(id, similarity.as_ref());
        }
        for note in &batch.notes {
            let call = match note {
                notified::NotificationRecord::Delivered { .. } | notified::NotificationRecord::KeepOnly { .. } => None,
                notified::NotificationRecord::Reminded { call, .. } => {
                    kept.runs.get(&call.run).and_then(|run| run.call(call.call))
                }
            };
            kept.notes.record_notification(note, call);
        }
        for (digest, bytes) in &batch.blobs {
            kept.blobs.entry(*digest).or_insert_with(|| bytes.clone());
        }
        for (run, line, _) in &batch.logs {
            if let Some(run) = kept.runs.get_mut(run) {
                run.log(line.clone());
            }
        }
        Ok(())
    }

    /// Memory can always be written.
    fn probe(&mut self) -> Result<(), WriteError> {
        Ok(())
    }
}

impl Readers for Memory {
    /// Another handle on the same memory.
    fn reader(&self) -> Result<Box<dyn Reader>, ReadError> {
        Ok(Box::new(self.clone()))
    }
}

/// Every read takes the lock separately. Several reads of one caller may see different states, which the port permits.
impl Reader for Memory {
    /// Finds events by their indices in the list of all events; each run keeps the indices of its events.
    fn events(&mut self, run: &RunId, after: Seq, limit: usize) -> Result<Events, ReadError> {
        let kept = self.kept();
        let places = kept.runs.get(run).map_or(&[][..], |run| &run.events);
        let entries = places.iter().filter_map(|place| kept.events.get(*place));
        let chunk = entries.filter(|entry| entry.recorded.seq > after).take(limit);
        let events: Vec<RecordedEvent> = chunk.map(|entry| entry.recorded.clone()).collect();
        Ok(Events { more: events.len() == limit, events })
    }

    /// Reads from the end of the map, where the newest runs are, because ids sort by time.
    fn runs(&mut self, filter: &RunFilter) -> Result<Vec<RunRow>, ReadError> {
        let kept = self.kept();
        let older = kept.runs.iter().rev().filter(|(id, _)| filter.before.as_ref().is_none_or(|before| *id < before));
        let wanted = |run: &MemoryRun| filter.states.is_empty() || filter.states.contains(&run.state.run.phase.state());
        let row = |(id, run): (&RunId, &MemoryRun)| RunRow::new(id.clone(), run.task.clone(), run.state.clone());
        Ok(older.filter(|(_, run)| wanted(run)).take(filter.limit).map(row).collect())
    }

    /// Takes all matching rows, sorts them, then cuts the list.
    fn calls(&mut self, filter: &CallFilter) -> Result<Vec<CallRow>, ReadError> {
        let mut rows = self.wanted(filter);
        match filter.order {
            CallOrder::Proposed(after) => {
                rows.retain(|row| after.is_none_or(|after| row.position > after));
                rows.sort_by_key(|row| row.position);
            }
            CallOrder::Ranked(after) => {
                rows.retain(|row| after.is_none_or(|after| (row.rank, row.position) > after));
                rows.sort_by_key(|row| (row.rank, row.position));
            }
        }
        rows.truncate(filter.limit);
        Ok(rows)
    }

    fn count_runs(&mut self, state: RunState, most: usize) -> Result<usize, ReadError> {
        let kept = self.kept();
        Ok(kept.runs.values().filter(|run| run.state.run.phase.state() == state).take(most).count())
    }

    fn count_calls(&mut self, filter: &CallFilter) -> Result<usize, ReadError> {
        Ok(self.wanted(filter).len().min(filter.limit))
    }

    fn last_performed(&mut self, kind: &Digest) -> Result<Option<CallId>, ReadError> {
        let kept = self.kept();
        let calls = kept.calls().filter(|(_, run, _, call)| call.performed_kind(&run.state.run.agent) == Some(*kind));
        let last = calls.max_by_key(|(_, _, position, _)| *position);
        Ok(last.map(|(run, _, _, call)| CallId { run: run.clone(), call: call.number }))
    }

    /// Reads from the newest event to the oldest.
    fn decisions(&mut self, filter: &DecisionFilter) -> Result<Vec<DecisionRow>, ReadError> {
        let kept = self.kept();
        let found = filter.search.as_ref().map(|search| kept.found(search));
        let older = kept.events.iter().rev().filter(|entry| filter.before.is_none_or(|before| entry.position < before));
        let rows = older.filter_map(|entry| kept.decision(entry)).filter(|row| {
            let call = (&row.call.run, row.call.call);
            filter.admits(row) && found.as_ref().is_none_or(|found| found.contains(&call))
        });
        Ok(rows.take(filter.limit).collect())
    }

    fn grants(&mut self, filter: &GrantFilter) -> Result<Vec<GrantRow>, ReadError> {
        let kept = self.kept();
        let row = |(run, _, position, call): (&RunId, &MemoryRun, Position, &Call)| {
            let (id, granted) = (CallId { run: run.clone(), call: call.number }, call.granted.clone()?);
            let used = kept.totals.get(&Counter::of_grant(&id, &granted.grant.capability)).cloned().unwrap_or_default();
            Some(GrantRow { id, position, granted, used })
        };
        let mut rows: Vec<GrantRow> = kept.calls().filter_map(row).collect();
        rows.retain(|row| filter.admits(row));
        rows.sort_by_key(|row| std::cmp::Reverse(row.position));
        rows.truncate(filter.limit);
        Ok(rows)
    }

    /// Positions have no gaps, so a position is an index.
    fn feed(&mut self, after: Position, limit: usize) -> Result<Vec<JournalEntry>, ReadError> {
        let after = usize::try_from(after.0).unwrap_or(usize::MAX);
        Ok(self.kept().events.iter().skip(after).take(limit).cloned().collect())
    }

    fn last_position(&mut self) -> Result<Position, ReadError> {
        Ok(self.kept().events.last().map_or(Position(0), |entry| entry.position))
    }

    /// Looks at all deadlines, because this store is for tests.
    fn next_deadline(&mut self) -> Result<Option<Time>, ReadError> {
        Ok(self.deadlines().into_iter().map(|(at, _)| at).min())
    }

    /// Sorts by time; calls and timers with the same time stay in the order of the list.
    fn due(&mut self, now: Time, limit: usize) -> Result<Vec<Deadline>, ReadError> {
        let mut due = self.deadlines();
        due.retain(|(at, _)| *at <= now);
        due.sort_by_key(|(at, _)| *at);
        Ok(due.into_iter().take(limit).map(|(_, due)| due).collect())
    }

    fn blob(&mut self, digest: &Digest) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.kept().blobs.get(digest).cloned())
    }

    fn call_events(&mut self, run: &RunId, number: CallNumber, before: Seq) -> Result<Vec<RecordedEvent>, ReadError> {
        let mut events = self.events(run, 0, usize::MAX)?.events;
        let routine = |event: &Event| matches!(event, Event::RoutineReturned { .. });
        events.retain(|one| one.seq < before && one.event.call() == Some(number) && !routine(&one.event));
        Ok(events)
    }

    /// Folds the call again from its events, as the SQLite store does.
    fn call_as_of(&mut self, run: &RunId, number: CallNumber, at: Position) -> Result<Option<Call>, ReadError> {
        let kept = self.kept();
        let places = kept.runs.get(run).map_or(&[][..], |run| &run.events);
        let mut folded: Option<Call> = None;
        for entry in places.iter().filter_map(|place| kept.events.get(*place)).filter(|entry| entry.position <= at) {
            let RecordedEvent { event, at, .. } = &entry.recorded;
            match &mut folded {
                Some(call) if event.call() == Some(number) => {
                    call.apply(event, *at).map_err(|error| ReadError::Damaged(error.to_string()))?;
                }
                None if opens(event) == Some(number) => folded = Call::open(event, *at),
                Some(_) | None => {}
            }
        }
        Ok(folded)
    }

    fn notified_up_to(&mut self, target: &str) -> Result<Option<Position>, ReadError> {
        Ok(self.kept().notes.notified_up_to(target))
    }

    fn to_remind(&mut self, target: &str, (now, until): (Time, Time), most: usize) -> Result<Vec<CallId>, ReadError> {
        let mut due = self.deadlines();
        let kept = self.kept();
        due.retain(|(at, due)| match due {
            Deadline::Timer { .. } => false,
            Deadline::Call(id) => {
                let call = kept.runs.get(&id.run).and_then(|run| run.call(id.call));
                let waits = |call: &Call| {
                    notified::stands(call, call.revision) && !kept.notes.was_reminded(target, id, call.revision)
                };
                *at > now && *at <= until && call.is_some_and(waits)
            }
        });
        due.sort_by_key(|(at, _)| *at);
        let calls = due.into_iter().filter_map(|(_, due)| match due {
            Deadline::Call(id) => Some(id),
            Deadline::Timer { .. } => None,
        });
        Ok(calls.take(most).collect())
    }

    /// Numbers the lines after the dropped lines, so that a client's cursor stays valid.
    fn log_lines(&mut self, run: &RunId, after: u64, limit: usize) -> Result<Vec<(u64, LogLine)>, ReadError> {
        let kept = self.kept();
        let Some(run) = kept.runs.get(run) else { return Ok(Vec::new()) };
        let numbered = (run.logs_dropped + 1..).zip(run.logs.iter().cloned());
        Ok(numbered.filter(|(number, _)| *number > after).take(limit).collect())
    }
}

impl Contents {
    /// Every consequential call with its run.
    fn calls(&self) -> impl Iterator<Item = (&RunId, &MemoryRun, Position, &Call)> {
        self.runs.iter().flat_map(|(id, run)| {
            run.calls.values().filter_map(move |(position, call)| Some((id, run, *position, call.as_ref()?)))
        })
    }

    /// The decision that an event records, with the revision that was decided on.
    fn decision(&self, entry: &JournalEntry) -> Option<DecisionRow> {
        let event = &entry.recorded.event;
        let run = self.runs.get(&entry.run)?;
        let events = || run.events.iter().filter_map(|place| self.events.get(*place));
        let before = events().take_while(|before| before.position < entry.position).last();
        let record = decision(event, before.map(|before| &before.recorded.event))?;
        let number = event.call()?;
        let (position, now) = run.calls.get(&number)?;
        let until = events().take_while(|event| event.position <= entry.position).map(|entry| &entry.recorded.event);
        let begins = |event: &&Event| event.call() == Some(number) && (opens(event).is_some() || revises(event));
        let then = until.filter(begins).last()?;
        let row = CallRow::new(entry.run.clone(), &run.state.run, *position, now.as_ref()?);
        DecisionRow::new(entry.position, entry.recorded.at, record, then, row)
    }

    /// The newest finished calls that have, for each word of `search`, a word that begins with it.
    fn found(&self, search: &str) -> HashSet<(&RunId, CallNumber)> {
        let wanted: Vec<String> = words(search).collect();
        let mut found: Vec<_> = self
            .calls()
            .filter(|(_, run, _, call)| {
                let words = words_of(call, &run.state.run, &run.task);
                let begins = |wanted: &String| words.iter().any(|word| word.starts_with(wanted.as_str()));
                call.answer().is_some() && !wanted.is_empty() && wanted.iter().all(begins)
            })
            .collect();
        found.sort_by_key(|(_, _, position, _)| std::cmp::Reverse(*position));
        found.iter().take(DecisionFilter::FOUND_MAX).map(|(id, _, _, call)| (*id, call.number)).collect()
    }
}

impl Memory {
    /// The calls that match a filter. The filter's cursor and limit are not applied.
    fn wanted(&self, filter: &CallFilter) -> Vec<CallRow> {
        let kept = self.kept();
        let wanted = kept.calls().filter(|(id, run, _, call)| {
            let Run { agent, started_by, .. } = &run.state.run;
            let waits = |of: &[ReviewerName]| {
                of.iter().any(|reviewer| WaitingReviewers::of(call, started_by).includes(reviewer))
            };
            (filter.states.is_empty() || filter.states.contains(&call.phase.state()))
                && filter.run.as_ref().is_none_or(|run| run == *id)
                && filter.agent.as_ref().is_none_or(|wanted| wanted == agent)
                && filter.capability.as_ref().is_none_or(|wanted| *wanted == call.action().capability().to_string())
                && (filter.waiting_for.is_empty() || waits(&filter.waiting_for))
        });
        wanted.map(|(id, run, position, call)| CallRow::new(id.clone(), &run.state.run, position, call)).collect()
    }

    /// Looks at all calls and timers, which is fast enough for tests; the SQLite store has an index for deadlines.
    fn deadlines(&self) -> Vec<(Time, Deadline)> {
        let kept = self.kept();
        let mut found = Vec::new();
        for (id, run) in &kept.runs {
            let timer = timer(&run.state.run).map(|(timer, at)| (at, Deadline::Timer { run: id.clone(), timer }));
            let calls = run.calls.values().filter_map(|(_, call)| call.as_ref());
            let id_of = |call: &Call| CallId { run: id.clone(), call: call.number };
            let calls = calls.filter_map(|call| Some((call.deadline()?, Deadline::Call(id_of(call)))));
            found.extend(calls.chain(timer));
        }
        found
    }
}
