//! The world of one seed: the state that outlives its hosts, and the check that every rule was kept in this world.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use holdshort_gate::{CallState, Digest, Phase, RecordedChoice, Resolution, ReviewerName, RunId};
use holdshort_journal::{Authorized, CallFilter, Disk, Journal, Position, RunFilter};

use crate::book::{Book, Place};
use crate::host::AGENTS;
use crate::outside::Outside;
use crate::weather::{Weather, lock};

/// The number of steps between two separate counts of each phase. Such a count reads the whole store thirteen times.
const COUNTED_EVERY: u32 = 8;

pub struct World {
    /// The agents of this world. The agent that sleeps is only in some worlds, because reading its component takes a
    /// host as long as several calls.
    pub agents: &'static [&'static str],
    pub weather: Arc<Weather>,
    pub disk: Disk,
    pub outside: Mutex<Outside>,
    pub book: Mutex<Book>,
    pub told: Mutex<Told>,
}

/// What people were shown, and which of their requests were acknowledged to them.
#[derive(Default)]
pub struct Told {
    /// The clearances that each person was shown, with the action of each.
    pub shown: BTreeMap<(ReviewerName, Digest), Digest>,
    pub runs: Vec<RunId>,
    pub decisions: Vec<(Place, ReviewerName, Digest, RecordedChoice)>,
    pub resolutions: Vec<(Place, u32, ReviewerName, Resolution)>,
    pub cancelled: Vec<RunId>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let weather = Arc::new(Weather::new(seed));
        let on_disk = weather.clone();
        let disk = Disk::new(seed, move |events| on_disk.fault(events));
        let agents = if seed % 8 == 7 { &AGENTS[..] } else { &AGENTS[..1] };
        Self { agents, weather, disk, outside: Mutex::default(), book: Mutex::default(), told: Mutex::default() }
    }

    /// Reads the events that were written since the last time.
    pub fn read(&self) {
        let mut book = lock(&self.book);
        for entry in self.disk.entries(Position(book.position)) {
            if let Err(why) = book.follow(&entry) {
                self.weather.wrong(format!("event {} of run {}: {why}", entry.position.0, entry.run));
            }
        }
    }

    /// Checks what a connector was given: the start of its attempt is on disk, and nothing has happened to that attempt
    /// since.
    pub fn check_start(&self, authorized: &Authorized) {
        self.read();
        let place = (authorized.run().clone(), authorized.call());
        let book = lock(&self.book);
        let call = book.calls.get(&place);
        let started = call.is_some_and(|call| {
            (&call.phase, call.attempts, call.clearance, call.action())
                == (&Phase::Started, authorized.attempt(), Some(authorized.clearance()), authorized.action())
        });
        if !started {
            self.weather.wrong(format!("an attempt without its start: {:?} of {call:?}", &**authorized));
        }
    }

    /// Checks everything that must be true at any moment. No check waits for a host.
    pub async fn audit(&self, journal: &Journal, step: u32) -> Result<(), String> {
        self.read();
        let arrived = lock(&self.outside).arrive(self.weather.true_now());
        (0..arrived).for_each(|_| self.weather.saw("late arrivals"));
        if let Some(wrong) = self.weather.wrongs().first() {
            return Err(wrong.clone());
        }
        self.conserved(journal).await?;
        if step.is_multiple_of(COUNTED_EVERY) {
            self.counted(journal).await?;
        }
        self.effects_are_allowed()?;
        self.acknowledged_is_written()
    }

    /// Every proposed call has a state, and the journal's own lists agree with its events.
    async fn conserved(&self, journal: &Journal) -> Result<(), String> {
        let all = CallFilter::all(usize::MAX);
        let calls = journal.calls(all).await.map_err(|error| error.to_string())?;
        let all = RunFilter { states: Vec::new(), before: None, limit: usize::MAX };
        let runs = journal.runs(all).await.map_err(|error| error.to_string())?;
        let mut counts = BTreeMap::new();
        for row in &calls {
            *counts.entry(row.state).or_default() += 1;
        }
        let book = lock(&self.book);
        let (phases, sum) = (book.phases(), counts.values().sum::<u64>());
        if counts != phases || sum != book.proposed || calls.len() as u64 != book.proposed {
            return Err(format!("{} proposed, the journal lists {counts:?}, its events say {phases:?}", book.proposed));
        }
        for row in &calls {
            let call = &book.calls[&(row.run.clone(), row.call)];
            let shown = (row.state, row.clearance, row.attempts, row.revision);
            if shown != (call.phase.state(), call.clearance, call.attempts, call.revision) {
                return Err(format!("the journal lists {row:?}, its events say {call:?}"));
            }
        }
        let listed: BTreeMap<_, _> = runs.iter().map(|row| (row.id.clone(), row.state)).collect();
        let folded: BTreeMap<_, _> = book.runs.iter().map(|(id, run)| (id.clone(), run.phase.state())).collect();
        if listed != folded {
            return Err(format!("the journal lists the runs {listed:?}, its events say {folded:?}"));
        }
        Ok(())
    }

    /// The figures for the operator agree with a second count.
    async fn counted(&self, journal: &Journal) -> Result<(), String> {
        let phases = lock(&self.book).phases();
        for phase in CallState::ALL {
            let count = journal
                .count_calls(CallFilter::in_states(&[phase], usize::MAX))
                .await
                .map_err(|error| error.to_string())? as u64;
            if count != phases.get(&phase).copied().unwrap_or_default() {
                return Err(format!("{count} calls are {phase} by the journal's count, and by its events {phases:?}"));
            }
        }
        Ok(())
    }

    /// Each effect outside has one start in the journal for the same bytes, and there are no more effects than were
    /// permitted.
    fn effects_are_allowed(&self) -> Result<(), String> {
        let (book, outside, told) = (lock(&self.book), lock(&self.outside), lock(&self.told));
        let mut happened: BTreeMap<Place, Vec<u32>> = BTreeMap::new();
        for effect in &outside.effects {
            let place = (effect.run.clone(), effect.call);
            let attempt = (effect.run.clone(), effect.call, effect.attempt);
            if book.started.get(&attempt) != Some(&(effect.clearance, effect.action)) {
                return Err(format!("nothing was started for {effect:?}"));
            }
            let times = happened.entry(place.clone()).or_default();
            if times.contains(&effect.attempt) {
                return Err(format!("one attempt, twice: {effect:?}"));
            }
            times.push(effect.attempt);
            let again = book.sent_again.get(&place).copied().unwrap_or_default();
            let by_key = outside.effects.iter().filter(|other| other.key == effect.key).count();
            if times.len() > again as usize + 1 || by_key > 1 {
                return Err(format!(
                    "{times:?} of {effect:?}, which was sent again {again} times; {by_key} with its key"
                ));
            }
        }
        for (place, decision) in &book.decisions {
            let who = (decision.reviewer.clone(), decision.clearance);
            let shown = told.shown.get(&who).is_some_and(|action| book.clearances.get(&who.1) == Some(action));
            if decision.verdict == RecordedChoice::Approve && !shown && !is_editors(&book, place, decision) {
                return Err(format!("{decision:?} on {place:?} by somebody who was shown something else"));
            }
        }
        for (place, call) in &book.calls {
            let real = happened.contains_key(place);
            let known = match call.phase {
                Phase::Succeeded { .. } => real,
                Phase::Failed { .. } => !real,
                Phase::Started | Phase::InDoubt { .. } | Phase::Unresolved { .. } => true,
                Phase::Approved { .. } => !real || call.sent_again,
                _ => !real,
            };
            if !known && !book.settled_by_person.contains(place) {
                return Err(format!("happened outside: {real}, and the journal says {call:?}"));
            }
        }
        Ok(())
    }

    /// Everything that was acknowledged to a person is in the journal.
    fn acknowledged_is_written(&self) -> Result<(), String> {
        let (book, mut told) = (lock(&self.book), lock(&self.told));
        let lost = |what: String| Err(format!("acknowledged and lost: {what}"));
        // An entry that was found once need not be checked again, because the journal only grows.
        for run in told.runs.drain(..).chain(Vec::new()) {
            if !book.runs.contains_key(&run) {
                return lost(format!("run {run}"));
            }
        }
        for run in told.cancelled.drain(..) {
            if !book.cancelled.contains(&run) {
                return lost(format!("the end of run {run}"));
            }
        }
        for (place, who, clearance, verdict) in told.decisions.drain(..) {
            let same = |(at, made): &(Place, holdshort_gate::Decision)| {
                *at == place && made.reviewer == who && made.clearance == clearance && made.verdict == verdict
            };
            if !book.decisions.iter().any(same) {
                return lost(format!("{verdict:?} of {who} on {clearance} at {place:?}"));
            }
        }
        for resolution in told.resolutions.drain(..) {
            if !book.resolutions.contains(&resolution) {
                return lost(format!("{resolution:?}"));
            }
        }
        Ok(())
    }
}

/// Whether an approval was made with the reviewer's own edit: this reviewer edited the call to exactly this action.
fn is_editors(book: &Book, place: &Place, vote: &holdshort_gate::Decision) -> bool {
    let action = book.clearances.get(&vote.clearance);
    let edit = |(at, made): &(Place, holdshort_gate::Decision)| {
        at == place
            && made.reviewer == vote.reviewer
            && matches!(&made.verdict, RecordedChoice::Edit(to) if Some(to) == action)
    };
    book.decisions.iter().any(edit)
}
