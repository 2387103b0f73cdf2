//! The state on which commands are judged: the store, and on top of it the events staged in this batch.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use holdshort_gate::command::{RequiredState, Subject};
use holdshort_gate::similar::LISTED_MAX;
use holdshort_gate::totals::{self, money};
use holdshort_gate::{
    Call, CallId, CallNumber, Counter, EffectKey, Event, RecordedEvent, RecordedTotal, RunId, SimilarCall, Similarity,
    Time, Total,
};

use crate::error::ReadError;
use crate::rows::StoredRun;
use crate::rows::{CallHint, Hint, JournalEntry, Position, timer};
use crate::secret::Identity;
use crate::store::{Batch, Head, Load, Store, created_run};

/// How many runs are kept in memory between batches. Other runs are read again, so the bound affects only memory.
pub(crate) const RUNS_KEPT_MAX: usize = 1_024;

/// The call number that is stored if a subject has no call. Real calls are numbered from 1.
const NO_CALL: CallNumber = 0;

/// A recently written run.
struct CachedRun {
    subject: Subject,
    /// The call to whose effect the subject's key belongs.
    key_of: CallNumber,
    last_seq: u64,
    /// When the run was last used, as a number that counts the uses of all runs.
    used: u64,
}

/// The recently written runs, and the current batch.
pub(crate) struct Staged {
    identity: Identity,
    head: Head,
    cached: HashMap<RunId, CachedRun>,
    uses: u64,
    batch: Batch,
}

impl Staged {
    pub(crate) fn new(identity: Identity, head: Head) -> Self {
        Self { identity, head, cached: HashMap::new(), uses: 0, batch: Batch::default() }
    }

    /// The batch so far.
    pub(crate) fn batch(&mut self) -> &mut Batch {
        &mut self.batch
    }

    /// The state on which a command about `run` and `call` is judged.
    pub(crate) fn subject(
        &mut self,
        store: &mut dyn Store,
        run: &RunId,
        call: Option<CallNumber>,
        required_state: RequiredState,
    ) -> Result<&Subject, ReadError> {
        let now = |counter| Ok(RecordedTotal { total: total(&self.batch, store, &counter)?, counter });
        let totals: Vec<RecordedTotal> =
            required_state.totals.into_iter().map(now).collect::<Result<_, ReadError>>()?;
        let granted = required_state.grant.map(|of| staged_call(&self.batch, store, &of)).transpose()?.flatten();
        let created_run = required_state.request.map(|key| match self.batch.created_run.get(&key) {
            Some(created_run) => Ok(Some(created_run.clone())),
            None => store.created_run(&key),
        });
        let created_run = created_run.transpose()?.flatten();
        let own = call.map(|call| CallId { run: run.clone(), call });
        let similar_calls = required_state
            .similar_to
            .map(|similarity| similar_calls(&self.batch, store, &similarity, own.as_ref()))
            .transpose()?;
        self.uses += 1;
        if !self.cached.contains_key(run) {
            let mut subject =
                Subject::new(self.identity.id.clone(), run.clone(), self.identity.effect_key(run, NO_CALL));
            let loaded = store.run(run)?;
            let last_seq = loaded.as_ref().map_or(0, |state| state.last_seq);
            subject.run = loaded.map(|state| state.run);
            self.cached.insert(run.clone(), CachedRun { subject, key_of: NO_CALL, last_seq, used: 0 });
        }
        let Some(cached) = self.cached.get_mut(run) else {
            return Err(ReadError::Damaged(format!("run {run} was not kept")));
        };
        cached.used = self.uses;
        cached.subject.totals = totals;
        cached.subject.granted = granted.and_then(|call| call.granted);
        cached.subject.created_run = created_run;
        cached.subject.similar_calls = similar_calls.unwrap_or_default();
        let last = || cached.subject.run.as_ref().and_then(|run| run.last_consequential);
        let wanted = call.or_else(last);
        // A command may just have opened this call. The subject then has the call already, but its key still belongs to
        // the previous call.
        let key_of = wanted.unwrap_or(NO_CALL);
        if cached.key_of != key_of {
            cached.subject.key = self.identity.effect_key(run, key_of);
            cached.key_of = key_of;
        }
        if cached.subject.call.as_ref().map(|call| call.number) != wanted {
            cached.subject.call = None;
            if let Some(wanted) = wanted {
                cached.subject.call = staged_call(&self.batch, store, &CallId { run: run.clone(), call: wanted })?;
            }
        }
        cached.subject.similar_keys = similar_keys(&self.identity, cached.subject.call.as_ref());
        Ok(&cached.subject)
    }

    /// Stages the events of a command: numbers them, applies them, and returns the hint to give after the commit.
    pub(crate) fn stage(
        &mut self,
        store: &mut dyn Store,
        run: &RunId,
        events: Vec<Event>,
        at: Time,
    ) -> Result<Option<Hint>, ReadError> {
        if events.is_empty() {
            return Ok(None);
        }
        let damaged = |why: String| ReadError::Damaged(format!("run {run}: {why}"));
        let cached = self.cached.get_mut(run).ok_or_else(|| damaged("the run was not loaded".into()))?;
        let mut about = None;
        for event in events {
            let before = counted(&cached.subject, event.call());
            cached.subject.apply(&event, at).map_err(|error| damaged(error.to_string()))?;
            let after = counted(&cached.subject, event.call());
            if before != after {
                count(&mut self.batch, store, before, Total::without)?;
                count(&mut self.batch, store, after, Total::with)?;
            }
            count(&mut self.batch, store, spent(&cached.subject, &event, at), Total::with)?;
            cached.last_seq += 1;
            self.head = Head { position: self.head.position + 1, at };
            about = event.call().or(about);
            self.batch.created_run.extend(created_run(run, &event));
            let recorded = RecordedEvent { seq: cached.last_seq, at, event };
            self.batch.events.push(JournalEntry { position: Position(self.head.position), run: run.clone(), recorded });
        }
        let about = cached.subject.call.as_ref().filter(|call| about == Some(call.number));
        if let Some(call) = about {
            self.batch.similar.insert(CallId { run: run.clone(), call: call.number }, call.similarity());
            self.batch.calls.insert((run.clone(), call.number), call.clone());
        }
        let state = cached.subject.run.clone().ok_or_else(|| damaged("the run has no first event".into()))?;
        let hint = Hint {
            position: Position(self.head.position),
            run: run.clone(),
            run_state: state.phase.state(),
            call: about.map(CallHint::new),
            deadline: timer(&state).map(|(_, until)| until).into_iter().chain(about.and_then(Call::deadline)).min(),
        };
        self.batch.runs.insert(run.clone(), StoredRun { run: state, last_seq: cached.last_seq, updated_at: at });
        Ok(Some(hint))
    }

    /// Handles a command that led to no event. A run that does not exist is not kept, because a client can ask about
    /// any number of such runs.
    pub(crate) fn nothing_staged(&mut self, run: &RunId) {
        if self.cached.get(run).is_some_and(|cached| cached.subject.run.is_none()) {
            self.cached.remove(run);
        }
    }

    /// Handles a batch that is on disk: an empty batch begins. `released` are runs without a lease.
    pub(crate) fn committed(&mut self, released: &[RunId]) {
        self.batch = Batch::default();
        self.trim(released);
    }

    /// Keeps memory within its bound. Called only while no event is staged, because staged events exist only in memory
    /// before the commit.
    pub(crate) fn trim(&mut self, released: &[RunId]) {
        for run in released {
            self.cached.remove(run);
        }
        if self.cached.len() > RUNS_KEPT_MAX {
            let mut uses: Vec<u64> = self.cached.values().map(|cached| cached.used).collect();
            let middle = uses.len() / 2;
            let (_, oldest_kept, _) = uses.select_nth_unstable(middle);
            let oldest_kept = *oldest_kept;
            self.cached.retain(|_, cached| cached.used >= oldest_kept);
        }
    }

    /// How many runs are in memory.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.cached.len()
    }

    /// Handles a batch that is not on disk: everything is read again.
    pub(crate) fn reset(&mut self, head: Head) {
        self.cached.clear();
        self.batch = Batch::default();
        self.head = head;
    }
}

/// The counters that count a call, and the money that the call moves by currency, in minor units.
type TotalChange = Option<(Vec<Counter>, BTreeMap<String, u64>)>;

/// The counters and the money of the subject's call, if running totals count the call; `None` if `about` names another
/// call.
pub(crate) fn counted(subject: &Subject, about: Option<CallNumber>) -> TotalChange {
    let call = subject.call.as_ref().filter(|call| about == Some(call.number) && call.counted_at.is_some())?;
    Some((call.counters(&subject.id, subject.run.as_ref()?), money(call.action())))
}

/// What an answer of a model adds to the totals.
pub(crate) fn spent(subject: &Subject, event: &Event, at: Time) -> TotalChange {
    let Event::RoutineReturned { capability, result, .. } = event else { return None };
    let spent = totals::spent(capability, result)?;
    Some((totals::counters(&subject.id, &subject.run.as_ref()?.agent, capability, at).into(), spent))
}

/// A call, with the changes of the batch.
fn staged_call(batch: &Batch, store: &mut dyn Store, of: &CallId) -> Result<Option<Call>, ReadError> {
    let staged = batch.calls.get(&(of.run.clone(), of.call)).cloned();
    staged.map_or_else(|| store.call(&of.run, of.call), |call| Ok(Some(call)))
}

/// The other waiting calls with the same effect or subject, with the changes of the batch. If there are too many, the
/// oldest are taken. The calls are ordered by their ids.
fn similar_calls(
    batch: &Batch,
    store: &mut dyn Store,
    similarity: &Similarity,
    own: Option<&CallId>,
) -> Result<Vec<SimilarCall>, ReadError> {
    let mut ids = BTreeSet::new();
    for digest in std::iter::once(similarity.effect_digest).chain(similarity.about) {
        ids.extend(store.similar_calls(&digest, LISTED_MAX + 1)?);
    }
    ids.retain(|id| !batch.similar.contains_key(id));
    let meets =
        |(_, other): &(&CallId, &Option<Similarity>)| other.as_ref().is_some_and(|other| similarity.meets(other));
    ids.extend(batch.similar.iter().filter(meets).map(|(id, _)| id.clone()));
    let mut found = Vec::new();
    for id in ids.into_iter().filter(|id| own != Some(id)) {
        let call = staged_call(batch, store, &id)?;
        let call = call.filter(|call| call.similarity().is_some_and(|other| similarity.meets(&other)));
        found.extend(call.and_then(|call| call.as_similar_call(id)));
        if found.len() == LISTED_MAX {
            break;
        }
    }
    Ok(found)
}

/// The effect keys of the similar calls that the call's proposal lists.
fn similar_keys(identity: &Identity, call: Option<&Call>) -> Vec<EffectKey> {
    let listed = call.and_then(Call::proposal).map(|proposal| proposal.similar_calls.as_slice()).unwrap_or_default();
    listed.iter().map(|SimilarCall { id, .. }| identity.effect_key(&id.run, id.call)).collect()
}

/// A total, with the changes of the batch.
fn total(batch: &Batch, store: &mut dyn Store, counter: &Counter) -> Result<Total, ReadError> {
    batch.totals.get(counter).map_or_else(|| store.total(counter), |total| Ok(total.clone()))
}

fn count(
    batch: &mut Batch,
    store: &mut dyn Store,
    counts: TotalChange,
    change: fn(&Total, &BTreeMap<String, u64>) -> Total,
) -> Result<(), ReadError> {
    let (counters, money) = counts.unwrap_or_default();
    for counter in counters {
        let total = change(&total(batch, store, &counter)?, &money);
        batch.totals.insert(counter, total);
    }
    Ok(())
}

/// Loads a subject for a reader.
pub(crate) fn load(
    identity: &Identity,
    store: &mut (impl Load + ?Sized),
    run: &RunId,
    call: Option<CallNumber>,
) -> Result<Option<Subject>, ReadError> {
    let Some(StoredRun { run: state, .. }) = store.run(run)? else { return Ok(None) };
    let wanted = call.or(state.last_consequential);
    let key = identity.effect_key(run, wanted.unwrap_or(NO_CALL));
    let mut subject = Subject::new(identity.id.clone(), run.clone(), key);
    subject.run = Some(state);
    if let Some(wanted) = wanted {
        subject.call = store.call(run, wanted)?;
    }
    Ok(Some(subject))
}
