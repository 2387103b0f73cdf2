//! The state of a script while its run goes on: which step is next, and what has happened.
//!
//! The connectors of the script ask for the step of a call when the agent makes the call. Everything else is read from
//! the journal. Before each answer, the journal is read to its end, so what is known does not depend on the time.

use holdshort_gate::{Action, Call, CallNumber, Event, Phase, PolicyVerdict, RecordedEvent, RunId};
use holdshort_journal::{Journal, ReadError, RunFilter};
use serde_json::Value;
use tokio::sync::Mutex;

use super::file::{Decision, End};
use super::outcomes::{Found, Outcome};
use super::steps::{Step, Steps};
use super::values;
use crate::review::{ValueChange, sentences};

/// Events per read.
const CHUNK: usize = 256;
/// The longest sleep of an agent that a script waits for.
const SLEEP_MAX_MICROS: u64 = 60_000_000;

/// A script and its run.
pub(super) struct Play {
    pub(super) steps: Steps,
    journal: Journal,
    state: Mutex<State>,
}

/// What has happened so far.
#[derive(Default)]
struct State {
    run: Option<RunId>,
    after: u64,
    /// The number of steps in order that were used.
    next: usize,
    /// How often each step was used.
    used: Vec<u64>,
    calls: u64,
    open: Option<Open>,
    story: Vec<String>,
    difference: Option<Difference>,
    end: Option<Event>,
}

/// A consequential call that has no answer yet.
struct Open {
    step: usize,
    arguments: Value,
    /// The call, once the journal has it.
    call: Option<Call>,
    /// The number of decisions so far.
    decided: usize,
    /// The attempt in doubt about which a lookup found nothing.
    looked_up: Option<u32>,
}

/// The first thing that is not as the script says.
#[derive(Clone)]
pub(super) struct Difference {
    /// The line of the step.
    pub(super) line: Option<usize>,
    pub(super) expected: String,
    pub(super) found: String,
    /// The places at which arguments differ: expected, and found.
    pub(super) fields: Vec<ValueChange>,
    /// All arguments of the call.
    pub(super) proposed: Option<Value>,
}

/// What the run needs now.
pub(super) enum Need {
    /// Nothing: time passes.
    Nothing,
    /// A decision of the step at this index on a call.
    Decision(CallNumber, usize, Decision),
    /// A reviewer's resolution of an attempt in doubt: its type, and the reviewer's words.
    Resolution(CallNumber, u32, &'static str, String),
    /// The run is over, or the script has failed.
    End,
}

/// What happened, for the report.
pub(super) struct Played {
    pub(super) story: Vec<String>,
    pub(super) difference: Option<Difference>,
    pub(super) end: Option<Event>,
    pub(super) calls: u64,
}

impl Play {
    pub(super) fn new(steps: Steps, journal: Journal) -> Self {
        let state = State { used: vec![0; steps.all.len()], ..State::default() };
        Self { steps, journal, state: Mutex::new(state) }
    }

    /// The step of a call that the agent makes; the step of the open call if a connector looks at it again. `None` if
    /// the script has failed: then the call gets no answer.
    pub(super) async fn step(&self, action: &Action, consequential: bool) -> Option<&Step> {
        let mut state = self.state.lock().await;
        self.catch_up(&mut state).await.ok().filter(|()| state.difference.is_none())?;
        if let Some(open) = &state.open {
            return self.steps.all.get(open.step);
        }
        let step = self.arrive(&mut state, action)?;
        if consequential {
            let arguments = action.arguments().clone();
            state.open = Some(Open { step, arguments, call: None, decided: 0, looked_up: None });
        }
        self.steps.all.get(step)
    }

    /// The answer of the system outside to the open call.
    pub(super) async fn outcome(&self) -> Option<(&Step, &Outcome)> {
        let mut state = self.state.lock().await;
        self.catch_up(&mut state).await.ok().filter(|()| state.difference.is_none())?;
        let step = self.steps.all.get(state.open.as_ref()?.step)?;
        match &step.outcome {
            Some(outcome) => Some((step, outcome)),
            None => {
                state.fail(
                    Some(step),
                    "a call that is not performed".into(),
                    "the call was cleared, and the script does not say what the connector answers".into(),
                );
                None
            }
        }
    }

    /// What the run needs now.
    pub(super) async fn need(&self) -> Result<Need, ReadError> {
        let mut state = self.state.lock().await;
        self.catch_up(&mut state).await?;
        if state.difference.is_some() || state.end.is_some() {
            return Ok(Need::End);
        }
        let Some(Open { step: index, call: Some(call), decided, looked_up, .. }) = &mut state.open else {
            return Ok(Need::Nothing);
        };
        let Some(step) = self.steps.all.get(*index) else { return Ok(Need::Nothing) };
        if let Some(attempt) = looked_up.take()
            && let Some(Outcome::InDoubt(_, Found::ByReviewer(kind, words))) = &step.outcome
        {
            return Ok(Need::Resolution(call.number, attempt, kind, words.clone()));
        }
        if call.phase != Phase::Held {
            return Ok(Need::Nothing);
        }
        if let Some(decision) = step.decisions.get(*decided) {
            *decided += 1;
            return Ok(Need::Decision(call.number, *index, decision.clone()));
        }
        let after =
            if *decided == 0 { "the call is held" } else { "after the decisions of the step, the call is still held" };
        let found = format!(
            "{after}; write each decision into `decide`: \"approve\", {{ reject = \"…\" }}, {{ edit = … }} or {{ answer = \"…\" }}"
        );
        state.fail(Some(step), "no further decision of a reviewer".into(), found);
        Ok(Need::End)
    }

    /// Something is not as step `step` says.
    pub(super) async fn differs(&self, step: usize, expected: String, found: String) {
        self.state.lock().await.fail(self.steps.all.get(step), expected, found);
    }

    /// Ends the play: what happened, and which steps were left.
    pub(super) async fn played(&self) -> Played {
        let mut state = self.state.lock().await;
        if state.difference.is_none() {
            self.check_end(&mut state);
        }
        let State { story, difference, end, calls, .. } = std::mem::take(&mut *state);
        Played { story, difference, end, calls }
    }

    /// Reads the journal to its end.
    async fn catch_up(&self, state: &mut State) -> Result<(), ReadError> {
        if state.run.is_none() {
            let all = RunFilter { states: Vec::new(), before: None, limit: 1 };
            state.run = self.journal.runs(all).await?.pop().map(|row| row.id);
        }
        let Some(run) = state.run.clone() else { return Ok(()) };
        loop {
            let read = self.journal.events(&run, state.after, CHUNK).await?;
            for recorded in read.events {
                self.see(state, &recorded);
            }
            if !read.more {
                return Ok(());
            }
        }
    }

    /// Takes in one event.
    fn see(&self, state: &mut State, RecordedEvent { seq, at, event }: &RecordedEvent) {
        state.after = *seq;
        let call = event.call().map(|call| format!("call {call} ")).unwrap_or_default();
        state.story.push(call + &sentences::sentence(event));
        if let Some(call) = Call::open(event, *at) {
            self.first_verdict(state, call, event);
        } else if let Some(open) = &mut state.open {
            if let Some(call) = &mut open.call {
                // An event that does not fit would be an error of the host, which the host reports itself.
                drop(call.apply(event, *at));
            }
            if let Event::EffectLookedUp { attempt, .. } = event {
                open.looked_up = Some(*attempt);
            }
        }
        let answered = |open: &mut Open| open.call.as_ref().is_some_and(|call| call.answer().is_some());
        if let Some(Open { step, decided, .. }) = state.open.take_if(answered) {
            let step = self.steps.all.get(step);
            let edits = |step: &Step| step.decisions.iter().any(|decision| decision.edit.is_some());
            // An edit may count as the approval, or need one: a step may have both.
            if let Some(step) = step.filter(|step| step.decisions.len() > decided && !edits(step)) {
                let expected = format!("{} decisions", step.decisions.len());
                state.fail(Some(step), expected, format!("the call was over after {decided}"));
            }
        }
        if let Event::TimerSet { until, .. } = event
            && until.0.saturating_sub(at.0) > SLEEP_MAX_MICROS
        {
            state.fail(None, "an agent that does not sleep for long".into(), sentences::sentence(event));
        }
        if let Event::RunDelayed { .. } = event {
            state.fail(None, "a run that goes on".into(), sentences::sentence(event));
        }
        if is_end(event) {
            state.end = Some(event.clone());
        }
    }

    /// Compares the verdict on a new call with the step.
    fn first_verdict(&self, state: &mut State, call: Call, event: &Event) {
        // Arguments over a limit are refused before a connector looks at them.
        let index = match &state.open {
            Some(open) => Some(open.step),
            None => self.arrive(state, call.action()),
        };
        let Some((index, step)) = index.and_then(|index| Some((index, self.steps.all.get(index)?))) else { return };
        let found = match (event, &call.phase) {
            (_, Phase::Held) => PolicyVerdict::Hold,
            (Event::CallRefused { .. }, _) => PolicyVerdict::Refuse,
            (_, _) => PolicyVerdict::Clear,
        };
        let usual = match &step.outcome {
            Some(Outcome::Impossible(_)) => PolicyVerdict::Refuse,
            _ if step.decisions.is_empty() && found == PolicyVerdict::Clear => PolicyVerdict::Clear,
            _ => PolicyVerdict::Hold,
        };
        let expected = step.verdict.unwrap_or(usual);
        let (told, arguments) = (sentences::sentence(event), call.action().arguments().clone());
        state.open = Some(Open { step: index, arguments, call: Some(call), decided: 0, looked_up: None });
        if expected != found {
            state.fail(Some(step), format!("the verdict `{expected}`"), format!("the verdict `{found}`: {told}"));
        } else if let Some(because) = step.because.as_ref().filter(|because| !told.contains(because.as_str())) {
            state.fail(Some(step), format!("a reason with `{because}`"), told);
        }
    }

    /// The step of a new call. A call that no step expects fails the script.
    fn arrive(&self, state: &mut State, action: &Action) -> Option<usize> {
        state.calls += 1;
        let (ordered, whenever) = self.steps.all.split_at_checked(self.steps.ordered)?;
        let any =
            whenever.iter().position(|step| step.capability == *action.capability() && step.unlike(action).is_empty());
        if let Some(any) = any.map(|any| any + self.steps.ordered) {
            let step = self.steps.all.get(any)?;
            let used = state.used.get_mut(any)?;
            *used += 1;
            let (times, used) = (step.times, *used);
            if let Some(times) = times.filter(|times| used > *times) {
                state.fail(Some(step), format!("this call {times} times"), format!("the call was made {used} times"));
                return None;
            }
            return Some(any);
        }
        let proposed = Some(action.arguments().clone());
        let found = format!("call {}: `{}`", state.calls, action.capability());
        let Some(step) = ordered.get(state.next) else {
            let expected = if ordered.is_empty() { "no call" } else { "no further call" };
            let difference = Difference { line: None, expected: expected.into(), found, fields: Vec::new(), proposed };
            state.difference.get_or_insert(difference);
            return None;
        };
        let same = step.capability == *action.capability();
        let fields = if same { step.unlike(action) } else { Vec::new() };
        if !same || !fields.is_empty() {
            let expected = format!("`{}`", step.capability);
            state.difference.get_or_insert(Difference { line: Some(step.line), expected, found, fields, proposed });
            return None;
        }
        let index = state.next;
        state.next += 1;
        state.used.get_mut(index).into_iter().for_each(|used| *used += 1);
        Some(index)
    }

    /// Compares the end of the run with what the script says about it.
    fn check_end(&self, state: &mut State) {
        let (Some(event), end) = (state.end.take(), &self.steps.end) else { return };
        let told = sentences::sentence(&event);
        if !end.is(&event) {
            state.fail(None, end.wanted(), told);
        } else if let Some((step, used)) = self.unused(state) {
            let (times, plural) = (step.times.unwrap_or(1), if step.times == Some(1) { "" } else { "s" });
            let expected = match step.times {
                Some(_) => format!("`{}`, {times} time{plural}", step.capability),
                None => format!("`{}`", step.capability),
            };
            state.fail(Some(step), expected, format!("the call was made {used} times, and then {told}"));
        } else if let Some(calls) = end.calls.filter(|calls| *calls != state.calls) {
            let found = format!("{} calls", state.calls);
            state.fail(None, format!("{calls} calls"), found);
        }
        state.end = Some(event);
    }

    /// The first step that was not used as often as it must be.
    fn unused(&self, state: &State) -> Option<(&Step, u64)> {
        let as_often = |step: &Step, used: u64| step.times.map_or(used > 0, |times| used == times);
        let mut all = self.steps.all.iter().zip(state.used.iter().copied());
        all.find(|(step, used)| !as_often(step, *used))
    }
}

/// Whether the run ended with this event.
fn is_end(event: &Event) -> bool {
    matches!(
        event,
        Event::RunFinished { .. } | Event::RunTrapped { .. } | Event::RunCancelled { .. } | Event::RunDiverged { .. }
    )
}

impl End {
    /// Whether a run may end with this event.
    fn is(&self, event: &Event) -> bool {
        let has = |part: &Option<String>, text: &str| part.as_ref().is_none_or(|part| text.contains(part.as_str()));
        let is = |whole: &Option<String>, text: &str| whole.as_ref().is_none_or(|whole| whole == text);
        let fails = self.err.is_some() || self.err_contains.is_some();
        if let Event::RunTrapped { reason } = event {
            return self.trapped.is_some() && has(&self.trapped, reason);
        }
        let Event::RunFinished { result } = event else { return false };
        match result {
            Ok(text) => !fails && self.trapped.is_none() && is(&self.ok, text) && has(&self.ok_contains, text),
            Err(text) => fails && is(&self.err, text) && has(&self.err_contains, text),
        }
    }

    /// What the script says about the end.
    fn wanted(&self) -> String {
        let whole = |what: &str, text: &Option<String>| text.as_ref().map(|text| format!("{what} `{text}`"));
        let all = [
            whole("the result", &self.ok),
            whole("a result that contains", &self.ok_contains),
            whole("the error", &self.err),
            whole("an error that contains", &self.err_contains),
            whole("a run that is stopped because of", &self.trapped),
        ];
        let said: Vec<String> = all.into_iter().flatten().collect();
        if said.is_empty() { "a run that ends with `ok`".into() } else { said.join(", and ") }
    }
}

impl State {
    fn fail(&mut self, step: Option<&Step>, expected: String, found: String) {
        let proposed = self.open.as_ref().map(|open| open.arguments.clone());
        let line = step.map(|step| step.line);
        self.difference.get_or_insert(Difference { line, expected, found, fields: Vec::new(), proposed });
    }
}

impl Step {
    /// The places at which the arguments of a call are not as the step says.
    fn unlike(&self, action: &Action) -> Vec<ValueChange> {
        let (found, mut all) = (action.arguments(), Vec::new());
        if !self.arguments.is_null() {
            values::unequal(&self.arguments, Some(found), "", &mut all);
        }
        if !self.contains.is_null() {
            values::uncontained(&self.contains, Some(found), "", &mut all);
        }
        for place in &self.absent {
            if let Some(value) = values::at(found, place).filter(|value| !value.is_null()) {
                all.push(ValueChange { place: place.clone(), before: None, after: Some(value.clone()) });
            }
        }
        all
    }
}
