//! Why policy says what it says of a call, and the smallest change of the call that would have changed it.
//!
//! The policies are asked again about calls that differ from the recorded one in one attribute. What is tried comes from the policies themselves: the
//! numbers, texts and times that they compare with, and what lies beside these. Where a number makes a difference, the nearest one that does is
//! searched for by halving. If no single attribute makes a difference, pairs are tried. So what is found is true, and what is not found may still be there.
//!
//! Changed arguments are of the function's type. Facts are as they were recorded: they are not derived anew from other arguments.

mod constants;
mod dials;
mod leaves;

use holdshort_gate::{Action, Consequence, Counted, FunctionType, RunId, Time};
use serde_json::Value;

use super::cases::verdict;
use super::{CallQuestion, CedarPolicy, Judgement, Policy, Verdict};

use constants::Constants;
use dials::{Dial, Notch, dials};

/// How often policies are asked for one explanation: a second or two of work.
const TRIED_MAX: usize = 20_000;
/// How many changes are told.
const CHANGES_MAX: usize = 10;
/// How many of these about the same attribute.
const CHANGES_OF_ONE_MAX: usize = 2;

/// A call that differs from the recorded one.
#[derive(Clone)]
struct Variant {
    arguments: Value,
    facts: Value,
    consequence: Consequence,
    agent: String,
    started_by: String,
    totals: Vec<Counted>,
    now: Time,
}

/// What these policies say of a call, and what would change that.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The answer.
    pub judgement: Judgement,
    /// What would change it, nearest first.
    pub changes: Vec<Change>,
    /// How many calls were tried.
    pub tried: usize,
}

/// A change of the call, and the verdict that it leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// `clear`, `hold` or `refuse`.
    pub verdict: &'static str,
    /// What would be different; one attribute, or two where no single one would do.
    pub different: Vec<Different>,
    /// How far it is from what was recorded; of a number in parts of it.
    distance: f64,
}

/// An attribute that would be different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Different {
    /// As policies call it.
    pub place: String,
    /// What it is.
    pub from: String,
    /// What it would be.
    pub to: String,
}

/// Explains what these policies say of a call. Of some calls people decide in any case, so a verdict that clears counts no more than one that holds.
pub fn explain(policy: &CedarPolicy, question: &CallQuestion<'_>, in_any_case: bool) -> Explanation {
    let judgement = judge(policy, question, in_any_case);
    let variant = Variant {
        arguments: question.action.arguments().clone(),
        facts: question.facts.clone(),
        consequence: question.consequence,
        agent: question.agent.into(),
        started_by: question.started_by.into(),
        totals: question.totals.to_vec(),
        now: question.now,
    };
    let dials = dials(&variant, question, &Constants::of(policy), policy);
    let (action, ty, run) = (question.action, question.ty, question.run);
    let mut search =
        Search { policy, action, ty, run, recorded: &variant, present: verdict(&judgement), in_any_case, tried: 0 };
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

/// The first few, of which not all are about the same.
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

/// The search for what would have changed a verdict.
struct Search<'a> {
    policy: &'a CedarPolicy,
    action: &'a Action,
    ty: &'a FunctionType,
    run: &'a RunId,
    recorded: &'a Variant,
    /// What policy says of the call as it was recorded.
    present: &'static str,
    in_any_case: bool,
    tried: usize,
}

impl Search<'_> {
    /// The verdict with these attributes set, if there can be such a call and not too much was tried.
    fn verdict(&mut self, set: &[(&Dial, &Notch)]) -> Option<&'static str> {
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
        Some(verdict(&judge(self.policy, &question, self.in_any_case)))
    }

    /// The verdict, if it is another one than now.
    fn other(&mut self, set: &[(&Dial, &Notch)]) -> Option<&'static str> {
        self.verdict(set).filter(|verdict| *verdict != self.present)
    }

    /// One attribute at a time.
    fn singles(&mut self, dials: &[Dial]) -> Vec<Change> {
        let mut found = Vec::new();
        for dial in dials {
            for side in dial.sides() {
                // The first that makes a difference is the nearest on its side; of words each may.
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

    /// Two at a time, where one was not enough.
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

    /// The nearest notch of a dial, beside others, that still makes a difference.
    fn change(&mut self, beside: &[(&Dial, &Notch)], dial: &Dial, notch: Notch) -> Option<Change> {
        let notch = self.nearer(beside, dial, notch);
        let set: Vec<(&Dial, &Notch)> = beside.iter().copied().chain([(dial, &notch)]).collect();
        let verdict = self.other(&set)?;
        let distance = set.iter().map(|(dial, notch)| dial.distance(notch)).sum();
        let different = set.iter().map(|(dial, notch)| dial.different(notch)).collect();
        Some(Change { verdict, different, distance })
    }

    /// Halves the way between a number as it is and one that makes a difference.
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
