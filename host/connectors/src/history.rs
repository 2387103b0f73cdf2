//! The history of a run before a call. A safe call can be part of an unsafe series, and a check's report
//! counts only for the commit that was checked. The call alone shows a reviewer neither the series nor the commit.
//!
//! **Invariant:** the history is computed from the run's events alone, so two hosts show the same
//! history. While the run is in memory, its history stays there too, and each event is read once.
//! After an edit or a changed fact, the history is computed again from the first event.
//!
//! **Invariant:** a report counts only for the commit that it names. An agent names a branch for a
//! check and again for a deployment, and the branch may move in between. So the commits that the
//! host resolved are compared.

mod models;

use std::collections::{BTreeMap, VecDeque};

use holdshort_gate::call::InconsistentEvent;
use holdshort_gate::{Call, CallNumber, Capability, Event, Phase, RecordedEvent, totals};
use serde_json::{Value, json};

use self::models::ModelAnswers;
pub use self::models::model_uncertainty_type;
use super::{Exhibit, Previewed, Sentence, Trusted, quote, say};

/// A reviewer is shown at most this many reports and at most this many calls, and their total numbers.
const LISTED_MAX: usize = 20;

/// The calls of a run before one of its calls.
///
/// **Invariant:** the cost of continuing and showing the history does not grow with the number of calls: it keeps only
/// sums about all finished calls, and lines about a few of the newest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The calls of `checks.run` in the run, by commit. The key `None` has the calls whose check did not run.
    checks: BTreeMap<Option<String>, CommitChecks>,
    /// The number of calls of each routine function.
    routine: BTreeMap<Capability, u64>,
    /// The newest consequential call, until it is answered. A run makes one such call at a time.
    open: Option<Call>,
    /// What language models said.
    models: ModelAnswers,
    /// The number of answered consequential calls. `last` has a line about each of the newest ones.
    answered: u64,
    last: VecDeque<Sentence>,
    /// For each capability and currency: how many calls were done or abandoned in doubt, and the sum of their amounts.
    done: BTreeMap<Capability, BTreeMap<String, (u64, u64)>>,
    /// The number of calls that were refused without asking a reviewer.
    refused: u64,
}

/// The checks on one commit.
#[derive(Clone, Debug, Default, PartialEq)]
struct CommitChecks {
    runs: usize,
    failures: usize,
    by_name: BTreeMap<String, CheckResults>,
    last: VecDeque<CheckCall>,
}

/// The results of one check on one commit.
#[derive(Clone, Debug, Default, PartialEq)]
struct CheckResults {
    runs: usize,
    failures: usize,
    passed: bool,
    counts: Value,
}

/// A call of `checks.run` with its answer.
#[derive(Clone, Debug, PartialEq)]
struct CheckCall {
    call: CallNumber,
    /// `ok` with the report, or `err`.
    result: Value,
}

impl CheckCall {
    fn report(&self, name: &str) -> Option<&Value> {
        self.result.get("ok")?.get(name)
    }

    fn name(&self) -> &str {
        self.report("name").and_then(Value::as_str).unwrap_or_default()
    }

    /// The checked commit; `None` if the check did not run.
    fn commit(&self) -> Option<&str> {
        self.report("revision")?.as_str()
    }

    fn passed(&self) -> bool {
        self.report("passed") == Some(&Value::Bool(true))
    }

    /// One line about the check.
    fn line(&self) -> Sentence {
        let call = self.call;
        let Some(commit) = self.commit() else {
            let why = self.result.get("err").and_then(Value::as_str).unwrap_or("no report");
            return say!("call {} asked for a check that did not run: {}\n", call, quote(why));
        };
        let count = |name: &str| self.report("counts").and_then(|counts| counts.get(name)?.as_u64());
        let count = |name: &'static str| count(name).map(|count| say!("; {} {}", count, name)).unwrap_or_default();
        let counts: Sentence = ["passed", "failed", "skipped"].map(count).into_iter().sum();
        let how = match self.report("exit-status").and_then(Value::as_i64) {
            _ if self.passed() => say!("passed"),
            Some(status) => say!("FAILED with exit status {}", status),
            None => say!("FAILED"),
        };
        say!("{}: {} on {} (call {}){}\n", Trusted::configured(self.name()), how, short(commit), call, counts)
    }
}

impl CommitChecks {
    fn add(&mut self, check: CheckCall) {
        let (failed, passed) = (usize::from(!check.passed()), check.passed());
        self.runs += 1;
        self.failures += failed;
        let counts = check.report("counts").cloned().unwrap_or_default();
        let by_name = self.by_name.entry(check.name().to_owned()).or_default();
        *by_name = CheckResults { runs: by_name.runs + 1, failures: by_name.failures + failed, passed, counts };
        keep(&mut self.last, check);
    }

    /// One entry for each check: its last result, and how often it ran and failed.
    fn facts(&self) -> Value {
        let fact = |(name, by_name): (&String, &CheckResults)| {
            let CheckResults { runs, failures, passed, counts } = by_name;
            json!({ "name": name, "passed": passed, "counts": counts, "runs": runs, "failures": failures })
        };
        self.by_name.iter().map(fact).collect()
    }
}

impl History {
    /// Adds one event of the run.
    pub fn add(&mut self, recorded: RecordedEvent) -> Result<(), InconsistentEvent> {
        let RecordedEvent { event, at, .. } = recorded;
        if let Some(call) = Call::open(&event, at) {
            match call.proposal() {
                Some(_) => self.open = Some(call),
                None => self.refused += 1,
            }
        } else if let Event::RoutineReturned { call, capability, arguments, result, .. } = event {
            if totals::model().as_ref() == Some(&capability) {
                self.models.add(&arguments, &result);
            }
            *self.routine.entry(capability.clone()).or_default() += 1;
            // Only an interface of Holdshort's own package has this name, and only the host answers its functions.
            if capability.interface().starts_with("holdshort:agent/checks@") {
                let check = CheckCall { call, result };
                self.checks.entry(check.commit().map(str::to_owned)).or_default().add(check);
            }
        } else if let Some(open) = self.open.as_mut().filter(|open| event.call() == Some(open.number)) {
            open.apply(&event, at)?;
            if matches!(open.phase, Phase::Approved { .. }) {
                self.models.settled();
            }
        }
        if let Some(answered) = self.open.take_if(|open| open.answer().is_some()) {
            self.close(&answered);
        }
        Ok(())
    }

    /// Adds an answered call. No later event changes the call's outcome.
    fn close(&mut self, call: &Call) {
        // The summary is quoted, because older hosts wrote an agent's words into it without quotation marks.
        let summary = quote(call.proposal().map(|proposal| proposal.summary.as_str()).unwrap_or_default());
        self.answered += 1;
        keep(&mut self.last, say!("call {}, {}: {}\n", call.number, call.phase.state().as_str(), summary));
        if matches!(call.phase, Phase::Succeeded { .. } | Phase::Unresolved { .. }) {
            let sums = self.done.entry(call.action().capability().clone()).or_default();
            for (currency, amount) in totals::money(call.action()) {
                let (count, sum) = sums.entry(currency).or_default();
                (*count, *sum) = (*count + 1, sum.saturating_add(amount));
            }
        }
    }

    /// For each currency: the number of earlier calls of a capability that were done or abandoned in doubt, and the sum
    /// of their amounts.
    pub fn done(&self, capability: &Capability) -> impl Iterator<Item = (&str, u64, u64)> {
        let sums = self.done.get(capability).into_iter().flatten();
        sums.map(|(currency, (count, sum))| (currency.as_str(), *count, *sum))
    }

    /// Adds what language models said, and how unsure they were.
    pub fn add_models_to(&self, previewed: &mut Previewed) {
        self.models.add_to(previewed);
    }

    /// Adds an exhibit about the earlier calls of the run. The reports of checks are in another exhibit.
    pub fn add_to(&self, previewed: &mut Previewed) {
        let count = self.answered + self.refused + self.routine.values().sum::<u64>();
        if count == 0 {
            return;
        }
        let mut text = Sentence::default();
        for (capability, times) in &self.routine {
            text += say!("{} × {}, which changes nothing\n", *times, *capability);
        }
        text += left_out(self.answered, self.last.len());
        self.last.iter().for_each(|line| text += line.clone());
        if self.refused > 0 {
            text += say!("calls refused without a reviewer: {}\n", self.refused);
        }
        let title = say!("earlier in this run ({} call{})", count, if count == 1 { "" } else { "s" });
        previewed.exhibits.push(Exhibit::text(title, text));
    }

    /// Inserts an exhibit before all others. It lists first the reports on the deployed commit, and then the reports
    /// on other commits.
    pub fn add_check_reports(&self, commit: &str, previewed: &mut Previewed) {
        let (commit, none) = (Some(commit.to_owned()), CommitChecks::default());
        let here = self.checks.get(&commit).unwrap_or(&none);
        let elsewhere = || self.checks.iter().filter(|(other, _)| **other != commit);
        let said = match (here.runs, here.failures) {
            (0, _) => say!("none"),
            (all, 0) => say!("{} passed", all),
            (all, failed) => say!("{} of {} FAILED", failed, all),
        };
        let mut text = left_out(here.runs as u64, here.last.len());
        for check in &here.last {
            text += check.line();
            let tail = check.report("output-tail").and_then(Value::as_str).unwrap_or_default();
            tail.lines().for_each(|line| text += say!("    {}\n", quote(line)));
        }
        if here.runs == 0 {
            text += say!("No check has run on this commit in this run.\n");
        }
        let mut last: Vec<&CheckCall> = elsewhere().flat_map(|(_, checks)| &checks.last).collect();
        if !last.is_empty() {
            last.sort_by_key(|check| check.call);
            let listed = last.split_off(last.len().saturating_sub(LISTED_MAX));
            let all: usize = elsewhere().map(|(_, checks)| checks.runs).sum();
            text += say!("\nReports on other commits (not about this commit):\n{}", left_out(all as u64, listed.len()));
            listed.iter().for_each(|check| text += check.line());
        }
        let title = say!("checks that this host ran on {}: {}", short(commit.as_deref().unwrap_or_default()), said);
        previewed.exhibits.insert(0, Exhibit::text(title, text));
        previewed.fact("checks", here.facts());
        let others: usize = elsewhere().filter(|(other, _)| other.is_some()).map(|(_, checks)| checks.runs).sum();
        previewed.fact("checks-on-other-commits", json!(others));
    }
}

/// Appends an entry to a list of the newest entries, and drops the oldest entry if there are too many.
fn keep<T>(last: &mut VecDeque<T>, one: T) {
    if last.len() == LISTED_MAX {
        last.pop_front();
    }
    last.push_back(one);
}

/// A line about entries that are not listed.
fn left_out(all: u64, listed: usize) -> Sentence {
    if all == listed as u64 { say!("") } else { say!("(the last {} of {})\n", listed, all) }
}

fn short(commit: &str) -> Trusted {
    Trusted::configured(commit.get(..12).unwrap_or(commit))
}

#[cfg(test)]
mod tests;
