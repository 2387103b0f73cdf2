//! Backtests: tries other policies on recorded calls, and compares their verdicts with what really
//! happened.
//!
//! Each call is judged as first proposed, and again for each revision that reviewers decided on,
//! with the recorded arguments, facts, time and starter of the run. If the candidate uses totals,
//! the totals count the calls that were really cleared and approved before. So a backtest reports
//! the candidate's verdict on each of these calls, and not what agents would have done after
//! another verdict.
//!
//! One pass in commit order keeps only the open calls, the open runs and counters. [`review_load`]
//! computes the review load.

mod earlier;
mod report;
mod review_load;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use holdshort_gate::{PolicyVerdict, RecordedEvent, RunId, Time, WaitEnd};

use holdshort_policy::batch::OwnedQuestion;
use holdshort_policy::candidate::Candidate;
use holdshort_policy::load::Problems;
use holdshort_policy::schema::Types;
use holdshort_policy::{Judgement, People, Policy, Verdict};

use earlier::EarlierRevisions;
pub use report::{BacktestReport, BacktestedCall, CallSample, LISTED_MAX, NotJudged, OutcomeRow, OutcomeTable};
pub use review_load::GroupLoad;
use review_load::{AskedApprovals, LoadCounters};
use steps::{BacktestStep, CallKey, ProposalEnd, ProposalOutcome, RecordedProposal, Steps};

/// The number of different evaluation errors that are listed.
const ERRORS_MAX: usize = 20;

/// A backtest in progress.
pub struct Backtest {
    candidate: Candidate,
    types: Types,
    /// Calls proposed earlier are not judged.
    since: Time,
    steps: Steps,
    /// The candidate's verdicts on revisions that reviewers have not decided on yet.
    open: BTreeMap<CallKey, JudgedProposal>,
    /// The candidate's verdicts on earlier revisions of open calls.
    earlier: BTreeMap<CallKey, EarlierRevisions>,
    review_load: LoadCounters,
    report: BacktestReport,
}

/// The candidate's verdict on a proposal.
struct JudgedProposal {
    asked: RecordedProposal,
    judgement: Judgement,
}

impl Backtest {
    /// A backtest of these policies on calls proposed at `since` or later.
    pub fn new(candidate: Candidate, types: Types, since: Time) -> Self {
        let policy = candidate.policy();
        let review_load = LoadCounters::new(policy.people());
        let warnings = policy.warnings().iter().map(ToString::to_string).collect();
        let report = BacktestReport { warnings, ..BacktestReport::new(policy.digest(), since) };
        let steps = Steps::new(policy.uses_totals(), since);
        let (open, earlier) = (BTreeMap::new(), BTreeMap::new());
        Self { candidate, types, since, steps, open, earlier, review_load, report }
    }

    /// Adds events in commit order. Events of a run or call whose beginning is unknown are skipped.
    /// It is an error if judging exceeds the limits of the child process.
    pub fn add(&mut self, events: impl IntoIterator<Item = (RunId, RecordedEvent)>) -> Result<(), Problems> {
        let mut steps = Vec::new();
        for (run, recorded) in events {
            self.steps.follow(run, recorded, &mut steps);
        }
        let asked: Vec<OwnedQuestion> =
            steps.iter().filter_map(|step| step.asked(self.since, &self.types)).map(put).collect();
        let mut judgements = self.candidate.judge(&self.types, &asked)?.into_iter();
        for step in steps {
            let judged = step.asked(self.since, &self.types).is_some();
            match step {
                BacktestStep::Asked(asked) if judged => {
                    if let Some(judgement) = judgements.next() {
                        self.judged(JudgedProposal { asked: *asked, judgement });
                    }
                }
                BacktestStep::Asked(asked) => self.passed_over(&asked),
                BacktestStep::Decided { key, on_behalf_of, at } => {
                    if let Some(open) = self.open.get(&key) {
                        let micros = at.0 - open.asked.now.0.min(at.0);
                        self.review_load.decided(
                            &key,
                            open.asked.life.call.action().capability(),
                            &on_behalf_of,
                            micros,
                        );
                    }
                }
                BacktestStep::Ended { key, end } => {
                    if let Some(judged) = self.open.remove(&key) {
                        self.ended(&key, judged, &end);
                    }
                }
                BacktestStep::Over { key } => drop(self.earlier.remove(&key)),
            }
        }
        Ok(())
    }

    /// Counts a call that cannot be judged, because this host does not offer its capability.
    fn passed_over(&mut self, asked: &RecordedProposal) {
        if asked.life.call.proposed_at >= self.since {
            let capability = asked.life.call.action().capability().to_string();
            match self.report.not_judged.iter_mut().find(|one| one.capability == capability) {
                Some(one) => one.calls += 1,
                None => self.report.not_judged.push(NotJudged { capability, calls: 1 }),
            }
        }
    }

    /// Compares the candidate's verdict with what really happened. While the outcome is unknown, the verdict is kept.
    fn judged(&mut self, mut judged: JudgedProposal) {
        let JudgedProposal { asked, judgement } = &mut judged;
        if let Some(earlier) = self.earlier.get_mut(&asked.key) {
            earlier.bears_on(asked, judgement);
        }
        if asked.life.call.is_question() && judgement.verdict == Verdict::Clear {
            judgement.verdict = Verdict::Hold;
        }
        // The facts of refused calls are not recorded. If the candidate holds such a call with evaluation errors, the
        // missing facts may be the only cause, so the call is not compared.
        let refused = asked.life.verdict == PolicyVerdict::Refuse;
        if refused && judgement.verdict == Verdict::Hold && !judgement.record.errors.is_empty() {
            self.report.without_facts += 1;
            return;
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
        match asked.at_once() {
            Some(outcome) => {
                let mut end = ProposalEnd::at_once(outcome, asked.now);
                end.yes.by.extend(asked.grant().map(|grant| format!("the grant {grant}")));
                self.ended(&key, judged, &end);
            }
            None => drop(self.open.insert(key, judged)),
        }
    }

    /// Counts a proposal with its outcome. A proposal without a decision counts as waiting.
    fn ended(&mut self, key: &CallKey, judged: JudgedProposal, end: &ProposalEnd) {
        let JudgedProposal { asked, judgement } = &judged;
        let call = &asked.life.call;
        let table: &mut OutcomeTable =
            if call.revision == 1 { &mut self.report.calls } else { &mut self.report.revisions };
        table.count(end.outcome, &judgement.verdict);
        // A grant that cleared the call would also clear the call if the candidate held it.
        let held = judgement.verdict == Verdict::Hold && end.outcome != ProposalOutcome::Granted;
        let was = call.requirement().filter(|_| asked.is_held());
        let then = held.then_some(&judgement.requirement);
        self.review_load.add(key, call.action().capability(), AskedApprovals { was, then, level: end.level });
        if matches!(
            (end.outcome, &judgement.verdict),
            (ProposalOutcome::Ended(WaitEnd::Approved) | ProposalOutcome::Granted, Verdict::Refuse(_))
        ) {
            self.report.approved_but_refused.add(|| BacktestedCall::new(&judged, end.at, &end.yes));
        }
        match end.outcome {
            ProposalOutcome::Waiting
            | ProposalOutcome::Ended(WaitEnd::Rejected | WaitEnd::Expired | WaitEnd::Cancelled | WaitEnd::NotStarted) =>
            {
                self.came_to_nothing(key, &judged, end);
            }
            ProposalOutcome::Cleared
            | ProposalOutcome::Granted
            | ProposalOutcome::Ended(WaitEnd::Approved | WaitEnd::Edited) => {
                self.earlier.entry(key.clone()).or_default().add(judged, end);
            }
            ProposalOutcome::Ended(WaitEnd::Answered) | ProposalOutcome::Refused => {}
        }
    }

    /// Lists a call if a revision of it was rejected and the candidate would have cleared a
    /// revision of it.
    fn came_to_nothing(&mut self, key: &CallKey, judged: &JudgedProposal, end: &ProposalEnd) {
        let earlier = self.earlier.get(key);
        let no = if end.no.by.is_empty() { earlier.map(|earlier| &earlier.no) } else { Some(&end.no) };
        let Some(no) = no.filter(|no| !no.by.is_empty()) else { return };
        let of = Some(judged).filter(|judged| judged.judgement.verdict == Verdict::Clear);
        if let Some(of) = of.or_else(|| earlier?.cleared.as_ref()) {
            self.report.rejected_but_cleared.add(|| BacktestedCall::new(of, end.at, no));
        }
    }

    /// The report. Open calls count as waiting.
    pub fn report(mut self) -> BacktestReport {
        for (key, judged) in std::mem::take(&mut self.open) {
            let end = self.steps.waiting(&key, judged.asked.now);
            self.ended(&key, judged, &end);
        }
        self.report.without_policy = self.steps.without_policy;
        self.report.burden = self.review_load.groups();
        self.report
    }
}

/// Builds the question that policy was asked about the proposal.
fn put(asked: &RecordedProposal) -> OwnedQuestion {
    OwnedQuestion {
        started_by: asked.by.started_by.clone(),
        agent: asked.by.agent.clone(),
        run: asked.key.0.clone(),
        action: asked.life.call.action().clone(),
        facts: asked.life.facts().clone(),
        consequence: asked.life.consequence(),
        totals: asked.totals.clone(),
        now: asked.now,
    }
}
