//! What a run did before a call. A safe call can be part of an unsafe series, and a report counts only for the very commit that was checked:
//! neither shows in the call alone.

use std::collections::BTreeMap;

use holdshort_gate::call::Inconsistent;
use holdshort_gate::{Call, CallNumber, Capability, Event, Phase, Recorded};
use serde_json::{Value, json};

use super::{Exhibit, Previewed};

/// Reports and calls that a reviewer is shown; how many there are in all is said beside them.
const LISTED_MAX: usize = 20;

/// The calls of a run before one of its calls, as the journal has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The checks that this host ran for the run, in their order.
    checks: Vec<Check>,
    /// How often each routine function was called.
    routine: BTreeMap<Capability, u64>,
    /// The consequential calls that were put to policy and people.
    calls: BTreeMap<CallNumber, Call>,
    /// How many were refused before that.
    refused: u64,
}

/// A call of `checks.run` and what was answered.
#[derive(Clone, Debug, PartialEq)]
struct Check {
    call: CallNumber,
    /// `ok` with the report, or `err`.
    result: Value,
}

impl Check {
    fn report(&self, name: &str) -> Option<&Value> {
        self.result.get("ok")?.get(name)
    }

    fn name(&self) -> &str {
        self.report("name").and_then(Value::as_str).unwrap_or_default()
    }

    /// The commit that was checked; none if the check did not run.
    fn commit(&self) -> Option<&str> {
        self.report("revision")?.as_str()
    }

    fn passed(&self) -> bool {
        self.report("passed") == Some(&Value::Bool(true))
    }

    /// One line about it.
    fn line(&self) -> String {
        let call = self.call;
        let Some(commit) = self.commit() else {
            let why = self.result.get("err").and_then(Value::as_str).unwrap_or("no report");
            return format!("call {call} asked for a check that did not run: {}\n", on_one_line(why));
        };
        let count = |name: &str| self.report("counts").and_then(|counts| counts.get(name)?.as_u64());
        let count = |name: &str| count(name).map(|count| format!("; {count} {name}")).unwrap_or_default();
        let counts = ["passed", "failed", "skipped"].map(count).concat();
        let how = match self.report("exit-status").and_then(Value::as_i64) {
            _ if self.passed() => "passed".to_owned(),
            Some(status) => format!("FAILED with exit status {status}"),
            None => "FAILED".to_owned(),
        };
        format!("{}: {how} on {} (call {call}){counts}\n", self.name(), short(commit))
    }
}

impl History {
    /// Goes on with one more event of the run.
    pub fn add(&mut self, recorded: Recorded) -> Result<(), Inconsistent> {
        let Recorded { event, at, .. } = recorded;
        if let Some(call) = Call::open(&event, at) {
            match call.proposal() {
                Some(_) => drop(self.calls.insert(call.number, call)),
                None => self.refused += 1,
            }
        } else if let Event::RoutineReturned { call, capability, result, .. } = event {
            *self.routine.entry(capability.clone()).or_default() += 1;
            // The package's own interfaces alone have such a name, and the host alone answers them.
            if capability.interface().starts_with("holdshort:agent/checks@") {
                self.checks.push(Check { call, result });
            }
        } else if let Some(call) = event.call().and_then(|number| self.calls.get_mut(&number)) {
            call.apply(&event, at)?;
        }
        Ok(())
    }

    /// The earlier calls of a capability that were done, or that a person closed without knowing.
    pub fn done(&self, capability: &Capability) -> impl Iterator<Item = &Call> {
        self.calls
            .values()
            .filter(move |call| call.action().capability() == capability)
            .filter(|call| matches!(call.phase, Phase::Succeeded { .. } | Phase::Unresolved { .. }))
    }

    /// Shows what else the run did, if it did anything.
    pub fn tell(&self, previewed: &mut Previewed) {
        let count = self.calls.len() as u64 + self.refused + self.routine.values().sum::<u64>();
        if count == 0 {
            return;
        }
        let mut text = String::new();
        for (capability, times) in &self.routine {
            text += &format!("{times} × {capability}, which changes nothing\n");
        }
        let calls: Vec<&Call> = self.calls.values().collect();
        let (left_out, listed) = last(&calls);
        text += &left_out;
        for call in listed {
            let summary = call.proposal().map(|proposal| on_one_line(&proposal.summary)).unwrap_or_default();
            text += &format!("call {}, {}: {summary}\n", call.number, call.phase.name());
        }
        if self.refused > 0 {
            text += &format!("{} that were refused before anybody was asked\n", self.refused);
        }
        let title = format!("what this run did before ({count} call{})", if count == 1 { "" } else { "s" });
        previewed.exhibits.push(Exhibit::text(title, text));
    }

    /// Shows the reports on the commit that would be deployed, before all other evidence, and what is known of other commits.
    pub fn tell_checks(&self, commit: &str, previewed: &mut Previewed) {
        let (here, elsewhere): (Vec<&Check>, Vec<&Check>) =
            self.checks.iter().partition(|check| check.commit() == Some(commit));
        let said = match (here.len(), here.iter().filter(|check| !check.passed()).count()) {
            (0, _) => "none".to_owned(),
            (all, 0) => format!("{all} passed"),
            (all, failed) => format!("{failed} of {all} FAILED"),
        };
        let (mut text, listed) = last(&here);
        for check in listed {
            text += &check.line();
            let tail = check.report("output-tail").and_then(Value::as_str).unwrap_or_default();
            tail.lines().for_each(|line| text += &format!("    {line}\n"));
        }
        if here.is_empty() {
            text += "This run had no check run on this commit.\n";
        }
        if !elsewhere.is_empty() {
            let (left_out, listed) = last(&elsewhere);
            text += &format!("\nThese say nothing about this commit:\n{left_out}");
            listed.iter().for_each(|check| text += &check.line());
        }
        let title = format!("checks that this host ran on {}: {said}", short(commit));
        previewed.exhibits.insert(0, Exhibit::text(title, text));
        previewed.fact("checks", facts(&here));
        let others = elsewhere.iter().filter(|check| check.commit().is_some()).count();
        previewed.fact("checks-on-other-commits", json!(others));
    }
}

/// The last of many, and a line about those that are left out.
fn last<T>(all: &[T]) -> (String, &[T]) {
    let left_out = all.len().saturating_sub(LISTED_MAX);
    let line = if left_out == 0 { String::new() } else { format!("(the last {LISTED_MAX} of {})\n", all.len()) };
    (line, all.get(left_out..).unwrap_or_default())
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// What begins a line here is the host's.
fn on_one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// One entry for each check: how it ended the last time, and how often it was run and failed.
fn facts(reports: &[&Check]) -> Value {
    let mut by_name: BTreeMap<&str, Vec<&Check>> = BTreeMap::new();
    reports.iter().for_each(|check| by_name.entry(check.name()).or_default().push(check));
    let fact = |(name, runs): (&str, Vec<&Check>)| {
        let last = runs.last();
        json!({
            "name": name,
            "passed": last.is_some_and(|check| check.passed()),
            "counts": last.and_then(|check| check.report("counts")),
            "runs": runs.len(),
            "failures": runs.iter().filter(|check| !check.passed()).count(),
        })
    };
    by_name.into_iter().map(fact).collect()
}

#[cfg(test)]
mod tests;
