//! `holdshort runs record`: a recorded run as a script. What the run did becomes what a run must do.

use std::collections::BTreeMap;

use holdshort_gate::{
    Answer, Call, CallState, Capability, Event, FunctionType, MODEL_UNCERTAINTY, PolicyVerdict, RecordedChoice,
    RefusalReason, Resolution, ReviewerName, Time,
};
use serde_json::{Map, Value};
use toml::Spanned;

use super::file::{Decision, End, File, Finding, Step};
use crate::agent;
use crate::api::history::EventPage;
use crate::cli::args::RunName;
use crate::cli::client::{self, Client};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;

/// Events per request.
const PAGE: u32 = 500;

/// Prints a run that is over as a script.
pub(in crate::cli) fn record(run: &RunName, client: &Client, output: &Output) -> Result<Exit, Failure> {
    let types = agent::functions().unwrap_or_default().into_iter().chain(agent::http_import());
    let types = types.map(|import| (import.capability, import.ty)).collect();
    let mut recorder = Recorder { types, ..Recorder::default() };
    let mut after = 0;
    loop {
        let query = [("after", after.to_string()), ("limit", PAGE.to_string())];
        let page = client::read::<EventPage>(&client.get(&format!("/runs/{run}/events"), &query)?)?;
        for event in &page.events {
            let known = event.known().ok_or_else(|| {
                cannot(&format!("it has an event `{}`, which this program does not know", event.kind))
            })?;
            recorder.see(&known, event.at.0)?;
        }
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    if !recorder.over {
        return Err(cannot("it is not over").hint("wait for its end, or cancel it"));
    }
    let text = toml::to_string(&recorder.file).map_err(|error| cannot(&error.to_string()))?;
    let text = format!("# Recorded from the run {run}. `holdshort run AGENT.wasm --script FILE` plays it.\n{text}");
    if output.json {
        output.json(&serde_json::json!({ "script": text }))?;
    } else {
        output.text(&text)?;
    }
    Ok(Exit::Done)
}

fn cannot(why: &str) -> Failure {
    Failure::new(Exit::Failed, format!("the run cannot become a script: {why}"))
}

/// Makes a script from events.
#[derive(Default)]
struct Recorder {
    file: File,
    /// The published types of functions, with which receipts become shorter.
    types: BTreeMap<Capability, FunctionType>,
    started_by: Option<ReviewerName>,
    /// The consequential call that is not over, with its step.
    open: Option<(Call, Step)>,
    over: bool,
}

impl Recorder {
    fn see(&mut self, event: &Event, at: Time) -> Result<(), Failure> {
        if let Some(call) = Call::open(event, at) {
            let step = proposed(&call, event);
            self.open = Some((call, step));
        } else if let Some((call, step)) = &mut self.open {
            let before = call.action().arguments().clone();
            call.apply(event, at).map_err(|error| cannot(&error.to_string()))?;
            decided(step, event, &before, self.started_by.as_ref())?;
        }
        if let Some((call, mut step)) = self.open.take_if(|(call, _)| call.answer().is_some()) {
            let ty = self.types.get(call.action().capability());
            answered(&mut step, &call, ty)?;
            self.file.call.push(step);
        }
        if let Event::RunCreated { task, started_by, .. } = event {
            self.file.task = Some(task.clone());
            self.started_by = Some(started_by.clone());
        }
        if let Event::RoutineReturned { capability, arguments, result, .. } = event {
            self.file.call.push(returned(capability, arguments, result));
        }
        if let Some(end) = ended(event)? {
            self.file.end = End { calls: Some(self.file.call.len() as u64), ..end };
            self.over = true;
        }
        Ok(())
    }
}

/// The step of a routine call.
fn returned(capability: &Capability, arguments: &Value, result: &Value) -> Step {
    let mut step = called(capability, arguments);
    match result.as_object().filter(|members| members.len() == 1).and_then(|members| members.iter().next()) {
        Some((case, value)) if case == "ok" => step.ok = Some(written(value)),
        Some((case, value)) if case == "err" => step.err = Some(written(value)),
        _ => step.returns = Some(written(result)),
    }
    step
}

/// The step of a call with these arguments.
fn called(capability: &Capability, arguments: &Value) -> Step {
    let (mut arguments, mut absent) = (arguments.clone(), Vec::new());
    if let Some(members) = arguments.as_object_mut() {
        remove_nulls(members, "", &mut absent);
    }
    let empty = arguments.as_object().is_none_or(Map::is_empty);
    let mut step = Step::of(capability.to_string());
    step.arguments = (!empty).then(|| written(&arguments));
    step.absent = absent.into_iter().map(|place| Spanned::new(0..0, place)).collect();
    step
}

/// TOML has no null: a null member is said to be absent.
fn remove_nulls(members: &mut Map<String, Value>, place: &str, absent: &mut Vec<String>) {
    members.retain(|name, value| {
        let place = format!("{place}{name}");
        if value.is_null() {
            absent.push(place);
            return false;
        }
        if let Some(inner) = value.as_object_mut().filter(|inner| !inner.is_empty()) {
            remove_nulls(inner, &format!("{place}."), absent);
        }
        true
    });
}

/// A value as TOML, or as JSON text if TOML has no form for it. A text is always TOML.
fn written(value: &Value) -> Spanned<Value> {
    Spanned::new(0..0, if has_null(value) { Value::String(value.to_string()) } else { value.clone() })
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(members) => members.values().any(has_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The step of a consequential call, with the first verdict.
fn proposed(call: &Call, event: &Event) -> Step {
    let mut step = called(call.action().capability(), call.action().arguments());
    if let Some(proposal) = call.proposal() {
        let mut facts = proposal.facts.clone();
        if let Some(facts) = facts.as_object_mut() {
            // The host measures it again when the script's model answers.
            facts.remove(MODEL_UNCERTAINTY);
        }
        step.facts = Some(&facts).filter(|facts| facts.is_object()).map(written);
        step.consequence = proposal.consequence;
        if matches!(event, Event::CallCleared { .. }) {
            match proposal.policy.grant {
                // A script has no grants: a reviewer approves.
                Some(_) => step.decide.push(Decision { approve: Some(true), ..Decision::default() }),
                None => step.verdict = Some(Spanned::new(0..0, PolicyVerdict::Clear)),
            }
        }
    }
    if let Event::CallRefused { refusal, .. } = event {
        match refusal {
            RefusalReason::Invalid(reason) => step.impossible = Some(reason.clone()),
            RefusalReason::Forbidden(_) => step.verdict = Some(Spanned::new(0..0, PolicyVerdict::Refuse)),
        }
    }
    step
}

/// Adds a decision, or what is known of the effect.
fn decided(step: &mut Step, event: &Event, before: &Value, started_by: Option<&ReviewerName>) -> Result<(), Failure> {
    let by = |reviewer: &ReviewerName| Some(reviewer.clone()).filter(|reviewer| Some(reviewer) != started_by);
    if let Event::DecisionMade { decision, .. } = event {
        let message = decision.message.clone().unwrap_or_default();
        let (mut approve, mut reject, mut answer) = (None, None, None);
        match &decision.verdict {
            RecordedChoice::Approve => approve = Some(true),
            RecordedChoice::Reject => reject = Some(message),
            RecordedChoice::Respond(value) => answer = Some(value.clone()),
            // The revision that follows has the new arguments.
            RecordedChoice::Edit(_) => return Ok(()),
        }
        step.decide.push(Decision { approve, reject, answer, edit: None, by: by(&decision.reviewer) });
    }
    if let Event::CallRevised { by: editor, proposal, .. } = event {
        let edit = edit(before, proposal.action.arguments()).unwrap_or_default();
        let edit = Some(written(&edit).into_inner());
        step.decide.push(Decision { edit, by: by(editor), ..Decision::default() });
    }
    if let Event::CallReheld { .. } = event {
        // The decisions before this event count no longer.
        step.decide.clear();
    }
    if let Event::EffectInDoubt { reason, .. } = event {
        step.in_doubt = Some(reason.clone());
    }
    if let Event::EffectResolved { resolution, message, .. } = event {
        let words = || Some(Spanned::new(0..0, message.clone().unwrap_or_default().into()));
        match resolution {
            Resolution::Done(_) => {}
            Resolution::NotDone => step.err = words(),
            Resolution::Abandon => (step.found, step.err) = (Some(Finding::Abandoned), words()),
            Resolution::SendAgain => return Err(cannot("a reviewer had an effect attempted once more")),
        }
    }
    if let Event::CallExpired { .. } = event {
        return Err(cannot("a call of it expired"));
    }
    Ok(())
}

/// The members of `after` that differ from `before`; `None` if nothing differs.
fn edit(before: &Value, after: &Value) -> Option<Value> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let member = |(name, value): (&String, &Value)| {
                let change = before.get(name).map_or_else(|| Some(value.clone()), |old| edit(old, value))?;
                Some((name.clone(), change))
            };
            let changed: Map<_, _> = after.iter().filter_map(member).collect();
            (!changed.is_empty()).then_some(Value::Object(changed))
        }
        (before, after) => (before != after).then(|| after.clone()),
    }
}

/// Adds the answer that the agent got.
fn answered(step: &mut Step, call: &Call, ty: Option<&FunctionType>) -> Result<(), Failure> {
    let doubt = step.in_doubt.is_some();
    match (call.phase.state(), call.answer()) {
        (CallState::Succeeded, Some(Answer::Ok(receipt))) => {
            step.ok = Some(written(&shortened(&receipt, call.action().arguments(), ty)));
            step.found = doubt.then_some(Finding::Done);
        }
        (CallState::Failed, Some(Answer::Failed(_))) if doubt => step.found = Some(Finding::NotDone),
        (CallState::Failed, Some(Answer::Failed(reason))) => step.err = Some(Spanned::new(0..0, reason.into())),
        (CallState::Cancelled, _) => return Err(cannot("a call of it was cancelled")),
        _ => {}
    }
    Ok(())
}

/// A receipt without what a script fills in: members that repeat an argument of the same type, and nulls.
fn shortened(receipt: &Value, arguments: &Value, ty: Option<&FunctionType>) -> Value {
    let (Some(ty), Value::Object(members)) = (ty, receipt) else { return receipt.clone() };
    let Some(holdshort_gate::WitType::Record(fields)) = super::steps::ok_type(ty) else { return receipt.clone() };
    let repeats = |name: &String, value: &Value| {
        let field = fields.iter().find(|(field, _)| field == name).map(|(_, ty)| ty);
        let argument =
            ty.params.iter().find(|(_, param)| Some(param) == field).and_then(|(param, _)| arguments.get(param));
        argument.map_or(value.is_null(), |argument| argument == value)
    };
    Value::Object(
        members
            .iter()
            .filter(|(name, value)| !repeats(name, value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    )
}

/// How the run ended, if it ended with this event.
fn ended(event: &Event) -> Result<Option<End>, Failure> {
    let mut end = End::default();
    if let Event::RunCancelled { .. } = event {
        return Err(cannot("a reviewer cancelled it"));
    }
    if let Event::RunDiverged { .. } = event {
        return Err(cannot("it diverged"));
    }
    if let Event::RunTrapped { reason } = event {
        end.trapped = Some(reason.clone());
        return Ok(Some(end));
    }
    let Event::RunFinished { result } = event else { return Ok(None) };
    match result {
        Ok(text) => end.ok = Some(text.clone()),
        Err(text) => end.err = Some(text.clone()),
    }
    Ok(Some(end))
}
