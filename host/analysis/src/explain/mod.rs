//! Explains policy's verdict on a call: the deciding policies, and the smallest change of the call
//! that would alter the verdict.
//!
//! The policies judge variants of the call. Each variant differs from the call in one attribute.
//! The values to try come from the policies: the numbers, texts and times with which they compare,
//! and the neighbours of these. For a number, bisection finds the nearest value with another
//! verdict. If no single attribute is enough, two are changed together. So each reported change
//! really gives another verdict, but there may be changes that are not found.
//!
//! Changed arguments have the function's type. The facts of a variant are the recorded facts,
//! although other arguments might have led to other facts.

mod constants;
mod dial;
mod dials;
mod leaves;
#[cfg(test)]
mod tests;

use holdshort_gate::{
    Action, AgentName, Consequence, FunctionType, PolicyVerdict, RecordedTotal, ReviewerName, RunId, Time,
};
use serde_json::Value;

use holdshort_policy::{CallQuestion, CedarPolicy, Judgement, Policy, Verdict};

use constants::Constants;
use dial::{Dial, Notch};
use dials::dials;

/// The maximum number of judgements for one explanation: one or two seconds of work.
const TRIED_MAX: usize = 20_000;
/// The maximum number of reported changes.
const CHANGES_MAX: usize = 10;
/// The maximum number of reported changes of one attribute.
const CHANGES_OF_ONE_MAX: usize = 2;

/// A variant of the recorded call.
#[derive(Clone)]
struct Variant {
    arguments: Value,
    facts: Value,
    consequence: Consequence,
    agent: AgentName,
    started_by: ReviewerName,
    totals: Vec<RecordedTotal>,
    now: Time,
}

/// The verdict of these policies on a call, and the changes that would alter it.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The verdict.
    pub judgement: Judgement,
    /// The changes, smallest first.
    pub changes: Vec<Change>,
    /// The number of variants tried.
    pub tried: usize,
}

/// A change of the call, with the verdict on the changed call.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The verdict on the changed call.
    pub verdict: PolicyVerdict,
    /// One attribute, or two if no single one suffices.
    pub different: Vec<Different>,
    /// The size of the change, by which changes are sorted. For numbers it is relative.
    distance: f64,
}

/// A changed attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Different {
    /// Its name in policies.
    pub place: String,
    /// The recorded value.
    pub from: String,
    /// The changed value.
    pub to: String,
}

/// Explains these policies' verdict on a call. If reviewers decide `in_any_case`, no difference is
/// made between the verdicts that clear and that hold.
pub fn explain(policy: &CedarPolicy, question: &CallQuestion<'_>, in_any_case: bool) -> Explanation {
    let judgement = judge(policy, question, in_any_case);
    let variant = Variant {
        arguments: question.action.arguments().clone(),
        facts: question.facts.clone(),
        consequence: question.consequence,
        agent: question.agent.clone(),
        started_by: question.started_by.clone(),
        totals: question.totals.to_vec(),
        now: question.now,
    };
    let dials = dials(&variant, question, &Constants::of(policy), policy);
    let (action, ty, run) = (question.action, question.ty, question.run);
    let mut search = Search {
        policy,
        action,
        ty,
        run,
        recorded: &variant,
        present: judgement.verdict.word(),
        in_any_case,
        tried: 0,
    };
    let mut changes = search.singles(&dials);
    if changes.is_empty() {
        changes = search.pairs(&dials);
    }
    changes.sort_by(|one, other| one.distance.total_cmp(&other.distance));
    let tried = search.tried;
    Explanation { judgement, changes: nearest(changes), tried }
}

fn judge(policy: &CedarPolicy, question: &CallQuestion<'_>, in_any_case: bool) -> Judgement {
    let judged = policy.judge(question);
    let verdict = if in_any_case && judged.verdict == Verdict::Clear { Verdict::Hold } else { judged.verdict };
    Judgement { verdict, ..judged }
}

/// The smallest changes, with at most a few of one attribute.
fn nearest(all: Vec<Change>) -> Vec<Change> {
    let mut kept: Vec<Change> = Vec::new();
    let place = |change: &Change| change.different.iter().map(|one| one.place.clone()).collect::<Vec<_>>();
    for change in all {
        let same = kept.iter().filter(|other| place(other) == place(&change)).count();
        if same < CHANGES_OF_ONE_MAX && kept.len() < CHANGES_MAX {
            kept.push(change);
        }
    }
    kept
}

/// The search for changes.
struct Search<'a> {
    policy: &'a CedarPolicy,
    action: &'a Action,
    ty: &'a FunctionType,
    run: &'a RunId,
    recorded: &'a Variant,
    /// The verdict on the recorded call.
    present: PolicyVerdict,
    in_any_case: bool,
    tried: usize,
}

impl Search<'_> {
    /// The verdict on the call with these attributes changed; `None` if there is no such call, or
    /// the limit is reached.
    fn verdict(&mut self, set: &[(&Dial, &Notch)]) -> Option<PolicyVerdict> {
        if self.tried >= TRIED_MAX {
            return None;
        }
        let mut variant = self.recorded.clone();
        for (dial, notch) in set {
            dial.turn(&mut variant, notch)?;
        }
        let old = self.action;
        let action = Action::new(old.component(), old.capability().clone(), self.ty, &variant.arguments).ok()?;
        self.tried += 1;
        let question = CallQuestion {
            started_by: &variant.started_by,
            agent: &variant.agent,
            run: self.run,
            action: &action,
            ty: self.ty,
            facts: &variant.facts,
            consequence: variant.consequence,
            totals: &variant.totals,
            now: variant.now,
        };
        Some(judge(self.policy, &question, self.in_any_case).verdict.word())
    }

    /// The verdict on the changed call, if it differs from the present one.
    fn other(&mut self, set: &[(&Dial, &Notch)]) -> Option<PolicyVerdict> {
        self.verdict(set).filter(|verdict| *verdict != self.present)
    }

    /// Changes of one attribute.
    fn singles(&mut self, dials: &[Dial]) -> Vec<Change> {
        let mut found = Vec::new();
        for dial in dials {
            for side in dial.sides() {
                // Of numbers, the first that gives another verdict is the nearest on its side, so
                // the others are skipped. Other values have no order, and each is tried.
                for notch in side {
                    if self.other(&[(dial, &notch)]).is_some() {
                        found.extend(self.change(&[], dial, notch.clone()));
                        if notch.number().is_some() {
                            break;
                        }
                    }
                }
            }
        }
        found
    }

    /// Changes of two attributes together. They are tried if no single change was found.
    fn pairs(&mut self, dials: &[Dial]) -> Vec<Change> {
        let mut found = Vec::new();
        for (index, one) in dials.iter().enumerate() {
            for other in dials.iter().skip(index + 1) {
                let pairs = one
                    .few()
                    .into_iter()
                    .flat_map(|first| other.few().into_iter().map(move |second| (first.clone(), second)));
                for (first, second) in pairs {
                    if self.other(&[(one, &first), (other, &second)]).is_some() {
                        let first = self.nearer(&[(other, &second)], one, first);
                        found.extend(self.change(&[(one, &first)], other, second));
                        break;
                    }
                }
                if found.len() >= CHANGES_MAX || self.tried >= TRIED_MAX {
                    return found;
                }
            }
        }
        found
    }

    /// Makes a change from a value that gives another verdict, with the attributes in `similar_calls`
    /// changed too. Of numbers, it searches for the nearest.
    fn change(&mut self, beside: &[(&Dial, &Notch)], dial: &Dial, notch: Notch) -> Option<Change> {
        let notch = self.nearer(beside, dial, notch);
        let set: Vec<(&Dial, &Notch)> = beside.iter().copied().chain([(dial, &notch)]).collect();
        let verdict = self.other(&set)?;
        let distance = set.iter().map(|(dial, notch)| dial.distance(notch)).sum();
        let different = set.iter().map(|(dial, notch)| dial.different(notch)).collect();
        Some(Change { verdict, different, distance })
    }

    /// Bisects between the recorded number and a number that gives another verdict.
    fn nearer(&mut self, beside: &[(&Dial, &Notch)], dial: &Dial, notch: Notch) -> Notch {
        let (Some(now), Some(mut far)) = (dial.number(), notch.number()) else { return notch };
        let mut near = now;
        while far.abs_diff(near) > 1 {
            let middle = near + (far - near) / 2;
            let tried = Notch::of(middle);
            let set: Vec<(&Dial, &Notch)> = beside.iter().copied().chain([(dial, &tried)]).collect();
            if self.other(&set).is_some() { far = middle } else { near = middle }
        }
        Notch::of(far)
    }
}
