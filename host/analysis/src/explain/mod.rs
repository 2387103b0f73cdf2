//! Explains policy's verdict on a call: the deciding policies, and the smallest change of the call
//! that would alter the verdict.
//!
//! The policies judge variants of the call. Each variant differs from the call in one attribute. The values to try come
//! from the policies: the numbers, texts and times with which they compare, and the neighbours of these. For a number,
//! bisection finds the nearest value with another verdict. If no single attribute is enough, two are changed together.
//! Every reported change was tried and gives another verdict. There may be further changes that this search does not
//! find.
//!
//! Changed arguments have the function's type. The facts of a variant are the recorded facts,
//! although other arguments might have led to other facts.

mod attribute;
mod attributes;
mod constants;
#[cfg(test)]
mod tests;
mod value_attributes;

use holdshort_gate::{
    Action, AgentName, Consequence, FunctionType, PolicyVerdict, RecordedTotal, ReviewerName, RunId, Time,
};
use serde_json::Value;

use holdshort_policy::{CallQuestion, CedarPolicy, Judgement, Policy, Verdict};

use attribute::{Attribute, TriedValue};
use attributes::attributes;
use constants::Constants;

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
    pub changes: Vec<DecisiveChange>,
    /// The number of variants tried.
    pub tried: usize,
}

/// A change of the call, with the verdict on the changed call.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisiveChange {
    /// The verdict on the changed call.
    pub verdict: PolicyVerdict,
    /// The changed attribute, or two changed attributes if no change of a single attribute suffices.
    pub different: Vec<AttributeChange>,
    /// The size of the change, by which changes are sorted. For numbers it is relative.
    distance: f64,
}

/// A changed attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeChange {
    /// The attribute's name in policies.
    pub place: String,
    /// The recorded value.
    pub from: String,
    /// The changed value.
    pub to: String,
}

/// Explains these policies' verdict on a call. With `in_any_case`, reviewers decide even if policies
/// clear the call, so the verdict `Clear` counts as `Hold`.
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
    let attributes = attributes(&variant, question, &Constants::of(policy), policy);
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
    let mut changes = search.singles(&attributes);
    if changes.is_empty() {
        changes = search.pairs(&attributes);
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

/// The smallest changes, and at most a few for each attribute.
fn nearest(all: Vec<DecisiveChange>) -> Vec<DecisiveChange> {
    let mut kept: Vec<DecisiveChange> = Vec::new();
    let place = |change: &DecisiveChange| change.different.iter().map(|one| one.place.clone()).collect::<Vec<_>>();
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
    fn verdict(&mut self, set: &[(&Attribute, &TriedValue)]) -> Option<PolicyVerdict> {
        if self.tried >= TRIED_MAX {
            return None;
        }
        let mut variant = self.recorded.clone();
        for (attribute, tried) in set {
            attribute.set(&mut variant, tried)?;
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

    /// The verdict on the changed call, if it differs from the verdict on the recorded call.
    fn other(&mut self, set: &[(&Attribute, &TriedValue)]) -> Option<PolicyVerdict> {
        self.verdict(set).filter(|verdict| *verdict != self.present)
    }

    /// Changes of one attribute.
    fn singles(&mut self, attributes: &[Attribute]) -> Vec<DecisiveChange> {
        let mut found = Vec::new();
        for attribute in attributes {
            for side in attribute.sides() {
                // The first number that gives another verdict is the nearest on its side, so the
                // numbers after it are skipped. Other values have no order, and each is tried.
                for tried in side {
                    if self.other(&[(attribute, &tried)]).is_some() {
                        found.extend(self.change(&[], attribute, tried.clone()));
                        if tried.number().is_some() {
                            break;
                        }
                    }
                }
            }
        }
        found
    }

    /// Changes of two attributes together. They are tried if no single change was found.
    fn pairs(&mut self, attributes: &[Attribute]) -> Vec<DecisiveChange> {
        let mut found = Vec::new();
        for (index, one) in attributes.iter().enumerate() {
            for other in attributes.iter().skip(index + 1) {
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

    /// Makes a change from a value that gives another verdict, with the attributes in `beside` changed
    /// too. If the value is a number, the change has the nearest number that bisection finds.
    fn change(
        &mut self,
        beside: &[(&Attribute, &TriedValue)],
        attribute: &Attribute,
        tried: TriedValue,
    ) -> Option<DecisiveChange> {
        let tried = self.nearer(beside, attribute, tried);
        let set: Vec<(&Attribute, &TriedValue)> = beside.iter().copied().chain([(attribute, &tried)]).collect();
        let verdict = self.other(&set)?;
        let distance = set.iter().map(|(attribute, tried)| attribute.distance(tried)).sum();
        let different = set.iter().map(|(attribute, tried)| attribute.different(tried)).collect();
        Some(DecisiveChange { verdict, different, distance })
    }

    /// Bisects between the recorded number and a number that gives another verdict.
    fn nearer(&mut self, beside: &[(&Attribute, &TriedValue)], attribute: &Attribute, tried: TriedValue) -> TriedValue {
        let (Some(now), Some(mut far)) = (attribute.number(), tried.number()) else { return tried };
        let mut near = now;
        while far.abs_diff(near) > 1 {
            let middle = near + (far - near) / 2;
            let tried = TriedValue::of(middle);
            let set: Vec<(&Attribute, &TriedValue)> = beside.iter().copied().chain([(attribute, &tried)]).collect();
            if self.other(&set).is_some() { far = middle } else { near = middle }
        }
        TriedValue::of(far)
    }
}
