//! A trial of changed policies on the calls that the journal recorded: what would have been cleared, held and refused, beside what really happened.
//!
//! Each call is judged as it was first proposed, and once more for each revision that was put before people; with the recorded arguments, facts, time and
//! starter, and, if the candidate speaks of totals, with those of what really was cleared and approved before it. So it says what the candidate would
//! have answered to each of these calls, not what agents would have done after another answer.
//!
//! One pass in the order of commits; what is kept is the open calls, the runs that go on, and counts. [`burden`] reckons what people had to do.

mod burden;
mod report;
mod steps;

use std::collections::BTreeMap;
use std::num::NonZero;

use holdshort_gate::{EffectClass, Recorded, RunId, Time};

use super::schema::Types;
use super::{CallQuestion, CedarPolicy, Judgement, People, Policy, Verdict};

use burden::Burden;
pub use burden::GroupBurden;
pub use report::{Found, LISTED_MAX, Listed, Report, Row, Table};
use steps::{Asked, Key, Outcome, Step, Steps};

/// How many threads judge: a host has other things to do.
const THREADS_MAX: usize = 2;
/// How many different errors of the candidate are listed.
const ERRORS_MAX: usize = 20;

/// A trial under way.
pub struct Backtest {
    candidate: CedarPolicy,
    types: Types,
    /// Calls that were proposed before are not judged.
    since: Time,
    steps: Steps,
    /// What the candidate said of what people have not decided on yet.
    open: BTreeMap<Key, Judged>,
    burden: Burden,
    report: Report,
}

/// The candidate's answer to what was proposed.
struct Judged {
    asked: Asked,
    judgement: Judgement,
}

impl Backtest {
    /// A trial of these policies on the calls that were proposed at a time or later.
    pub fn new(candidate: CedarPolicy, types: Types, since: Time) -> Self {
        let burden = Burden::new(candidate.people());
        let report = Report::new(candidate.digest(), since);
        let steps = Steps::new(candidate.uses_totals());
        Self { candidate, types, since, steps, open: BTreeMap::new(), burden, report }
    }

    /// Goes on with events in the order of commits. What follows from nothing is passed over.
    pub fn add(&mut self, events: impl IntoIterator<Item = (RunId, Recorded)>) {
        let mut steps = Vec::new();
        for (run, recorded) in events {
            self.steps.follow(run, recorded, &mut steps);
        }
        let asked: Vec<&Asked> = steps.iter().filter_map(|step| step.asked(self.since, &self.types)).collect();
        let mut judgements = judge(&self.candidate, &self.types, &asked).into_iter();
        for step in steps {
            let judged = step.asked(self.since, &self.types).is_some();
            match step {
                Step::Asked(asked) if judged => {
                    if let Some(judgement) = judgements.next() {
                        self.judged(Judged { asked: *asked, judgement });
                    }
                }
                Step::Asked(asked) => self.passed_over(&asked),
                Step::Decided { key, reviewer, at } => {
                    if let Some(open) = self.open.get(&key) {
                        self.burden.decided(
                            &key,
                            open.asked.action.capability(),
                            &reviewer,
                            at.0 - open.asked.now.0.min(at.0),
                        );
                    }
                }
                Step::Ended { key, outcome, by, said, at } => {
                    if let Some(judged) = self.open.remove(&key) {
                        self.ended(&key, &judged, outcome, (by, said), at);
                    }
                }
            }
        }
    }

    /// What cannot be judged is counted by its reason.
    fn passed_over(&mut self, asked: &Asked) {
        if asked.now >= self.since {
            *self.report.not_judged.entry(asked.action.capability().to_string()).or_default() += 1;
        }
    }

    /// What the candidate said is set beside what really happened, now or when that is known.
    fn judged(&mut self, mut judged: Judged) {
        let Judged { asked, judgement } = &mut judged;
        if asked.class == Some(EffectClass::Question) && judgement.verdict == Verdict::Clear {
            judgement.verdict = Verdict::Hold;
        }
        self.report.took_part(asked);
        if !judgement.record.errors.is_empty() {
            self.report.errors += 1;
            for error in &judgement.record.errors {
                if self.report.first_errors.len() < ERRORS_MAX && !self.report.first_errors.contains(error) {
                    self.report.first_errors.push(error.clone());
                }
            }
        }
        let key = asked.key.clone();
        match asked.at_once {
            Some(outcome) => {
                let at = asked.now;
                self.ended(&key, &judged, outcome, (Vec::new(), None), at);
            }
            None => drop(self.open.insert(key, judged)),
        }
    }

    /// People, or time, have decided on what was proposed.
    fn ended(
        &mut self,
        key: &Key,
        Judged { asked, judgement }: &Judged,
        outcome: Outcome,
        (by, said): (Vec<String>, Option<String>),
        at: Time,
    ) {
        let table: &mut Table = if asked.revision == 1 { &mut self.report.calls } else { &mut self.report.revisions };
        table.count(outcome, &judgement.verdict);
        let would = || (judgement.verdict == Verdict::Hold).then_some(&judgement.requirement);
        self.burden.add(key, asked.action.capability(), asked.requirement.as_ref(), would());
        let found = || Found::new(asked, judgement, at, by.clone(), said.clone());
        match (outcome, &judgement.verdict) {
            (Outcome::Rejected, Verdict::Clear) => self.report.rejected_but_cleared.add(found),
            (Outcome::Approved, Verdict::Refuse(_)) => self.report.approved_but_refused.add(found),
            (_, Verdict::Clear | Verdict::Hold | Verdict::Refuse(_)) => {}
        }
    }

    /// What came out. What waits still is counted as waiting.
    pub fn report(mut self) -> Report {
        for (key, judged) in std::mem::take(&mut self.open) {
            let at = judged.asked.now;
            self.ended(&key, &judged, Outcome::Waiting, (Vec::new(), None), at);
        }
        self.report.without_policy = self.steps.without_policy;
        self.report.burden = self.burden.groups();
        self.report
    }
}

/// The candidate's answers, in order. Each is about its own call, so several threads judge.
fn judge(candidate: &CedarPolicy, types: &Types, asked: &[&Asked]) -> Vec<Judgement> {
    let one = |asked: &&Asked| question(types, asked).map(|question| candidate.judge(&question));
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
    if asked.len() < 2 * threads {
        return asked.iter().filter_map(one).collect();
    }
    let parts = asked.chunks(asked.len().div_ceil(threads));
    std::thread::scope(|scope| {
        let work: Vec<_> =
            parts.map(|part| (part, scope.spawn(|| part.iter().filter_map(one).collect::<Vec<_>>()))).collect();
        // A thread that did not end has judged nothing: its part is judged here.
        let done =
            work.into_iter().map(|(part, work)| work.join().unwrap_or_else(|_| part.iter().filter_map(one).collect()));
        done.flatten().collect()
    })
}

/// The question as policy is asked it; nothing for a function whose type is not known.
fn question<'a>(types: &'a Types, asked: &'a Asked) -> Option<CallQuestion<'a>> {
    Some(CallQuestion {
        started_by: &asked.started_by,
        agent: &asked.agent,
        run: &asked.key.0,
        action: &asked.action,
        ty: types.get(asked.action.capability())?,
        facts: &asked.facts,
        consequence: asked.consequence,
        totals: &asked.totals,
        now: asked.now,
    })
}
