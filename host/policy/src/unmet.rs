//! Finds demands that nobody can meet. It finds them when policies are read, before a call is refused because of them.

use std::collections::BTreeMap;

use cedar_policy::{EntityTypeName, Policy, PrincipalConstraint, ResourceConstraint};
use holdshort_gate::feasible::CannotBeMet;
use holdshort_gate::{Requirement, ReviewerName, Time};

use super::CedarPolicy;
use super::cedar::joint;
use super::load::PolicyProblem;

/// The advice for a demand that nobody can meet.
const HINT: &str = "lower the quorum, name other people, add people to the group, or let more people `decide`";

impl CedarPolicy {
    /// The `review` policies whose demand nobody can meet, whatever the call is. Each policy is examined together with
    /// the configuration and with the policies that always match. Combinations of policies with conditions are not
    /// examined.
    pub(super) fn unmet(&self) -> Vec<PolicyProblem> {
        let everybody = self.people().names();
        self.each_demand(|requirement| {
            let met = |starter: &ReviewerName| requirement.can_be_met(everybody, starter, None);
            let why = match met(&ReviewerName::default()) {
                Err(why) => missing_approvals(&why),
                // Only a reviewer can start a run, and four-eyes excludes this reviewer.
                Ok(()) => {
                    let (first, others) = everybody.split_first()?;
                    let why = met(first).err()?;
                    others
                        .iter()
                        .all(|starter| met(starter).is_err())
                        .then(|| format!("with four-eyes, whoever starts the run, {}", missing_approvals(&why)))?
                }
            };
            let names = requirement.names().map(|names| names.join(", ")).filter(|names| !names.is_empty());
            let names = names.map(|names| format!(" (of {names})")).unwrap_or_default();
            Some(format!("the requirement cannot be met, so each such call would be refused: {why}{names}; {HINT}"))
        })
    }

    /// Cases in which policy will refuse some calls, as the operator may want: nobody may decide on a type of call, or
    /// four-eyes leaves too few reviewers if certain reviewers start the run.
    pub fn notes(&self) -> Vec<PolicyProblem> {
        let everybody = self.people().names();
        let mut found = self.each_demand(|requirement| {
            let met = |starter: &ReviewerName| requirement.can_be_met(everybody, starter, None).is_ok();
            let barred: Vec<ReviewerName> = everybody.iter().filter(|starter| !met(starter)).cloned().collect();
            let some = met(&ReviewerName::default()) && !barred.is_empty() && barred.len() < everybody.len();
            some.then(|| {
                format!(
                    "four-eyes leaves too few people if {} starts the run, so such calls would be refused; {HINT}",
                    barred.join(" or ")
                )
            })
        });
        // If there are no policies on `decide` at all, `Loaded::new` has already warned of this.
        for ty in self.types_in_order().into_iter().filter(|_| !self.decide.policies.all().is_empty()) {
            if self.deciders(ty).is_some_and(<[ReviewerName]>::is_empty) {
                let what = format!(
                    "no policy permits anybody to `decide` on `{ty}`, so each such call is refused instead of held"
                );
                found.extend(self.locations().first().map(|(_, place)| PolicyProblem {
                    path: place.path.clone(),
                    line: 0,
                    what,
                }));
            }
        }
        found
    }

    /// Checks the demand of each `review` policy, together with the policies that always match, and reports each error
    /// once.
    fn each_demand(&self, wrong: impl Fn(&Requirement) -> Option<String>) -> Vec<PolicyProblem> {
        let mut found = BTreeMap::<(Option<usize>, String), Vec<String>>::new();
        for ty in self.types_in_order() {
            let deciders = self.deciders(ty).unwrap_or(self.people().names());
            let about = self.review.for_type(ty).policies();
            let (always, sometimes): (Vec<&Policy>, Vec<&Policy>) = about.partition(|one| is_always(one));
            let with = sometimes.into_iter().map(|one| [one].into_iter().chain(always.iter().copied()).collect());
            let sets: Vec<Vec<&Policy>> = std::iter::once(always.clone()).chain(with).collect();
            for together in sets.iter().filter(|_| !deciders.is_empty()) {
                let demands: Vec<_> =
                    together.iter().filter_map(|policy| self.loaded.demands.get(policy.id())).collect();
                let requirement = joint(&demands, self.base.requirement(Time(0)), deciders, Time(0));
                let Some(what) = wrong(&requirement) else { continue };
                let mut names = together.iter().map(|policy| policy.id().to_string());
                let first = names.next().and_then(|first| self.locations().iter().position(|(name, _)| *name == first));
                let with = names.map(|name| format!(" with `{name}`")).collect::<String>();
                found.entry((first, format!("{with}: {what}"))).or_default().push(ty.to_string());
                // The policies that always match are in every combination, so each further combination would repeat
                // this error.
                if together.len() == always.len() {
                    break;
                }
            }
        }
        let problem = |((at, what), types): ((Option<usize>, String), Vec<String>)| {
            let (name, place) = at.and_then(|at| self.locations().get(at)).or_else(|| self.locations().first())?;
            let (who, line) = at.map_or(("[approval]", 0), |_| (name, place.line));
            Some(PolicyProblem {
                path: place.path.clone(),
                line,
                what: format!("`{who}`{what} ({})", types.join(", ")),
            })
        };
        found.into_iter().filter_map(problem).collect()
    }

    /// The types of calls in the order of their names.
    fn types_in_order(&self) -> Vec<&EntityTypeName> {
        let mut types: Vec<&EntityTypeName> = self.names.types.values().collect();
        types.sort_by_key(|ty| ty.to_string());
        types
    }

    /// The reviewers who may decide on a type of call; `None` if this depends on the call.
    fn deciders(&self, ty: &EntityTypeName) -> Option<&[ReviewerName]> {
        self.decide.steady.get(ty).map(Vec::as_slice)
    }
}

/// Whether a policy matches every call of the types in its scope, for any principal.
fn is_always(policy: &Policy) -> bool {
    policy.principal_constraint() == PrincipalConstraint::Any
        && matches!(policy.resource_constraint(), ResourceConstraint::Any | ResourceConstraint::Is(_))
        && !policy.has_non_scope_constraint()
}

/// The missing approvals as text.
fn missing_approvals(CannotBeMet { stage, needed, found }: &CannotBeMet) -> String {
    let people = if *needed == 1 { "1 person".to_owned() } else { format!("{needed} different people") };
    let left = if *found == 1 { "is eligible" } else { "are eligible" };
    format!("stage {stage} needs {people}, but {found} {left}")
}
