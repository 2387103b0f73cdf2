//! Demands that nobody could meet, found when policies are read and not only when a call is refused because of them.

use std::collections::BTreeMap;

use cedar_policy::{EntityTypeName, Policy, PrincipalConstraint, ResourceConstraint};
use holdshort_gate::feasible::CannotBeMet;
use holdshort_gate::{Requirement, Time};

use super::CedarPolicy;
use super::cedar::asked_together;
use super::load::Problem;

/// What to do about a demand that is too much.
const HINT: &str = "ask for fewer, or for other people, add people to the group, or let more of them `decide`";

impl CedarPolicy {
    /// The policies on `review` whose demand nobody could meet whenever they match, with what the configuration and the policies that always match ask for.
    /// What people who may decide could meet only together with other conditions is not looked into.
    pub(super) fn unmet(&self) -> Vec<Problem> {
        let everybody = self.people().names();
        self.each_demand(|requirement| {
            let met = |starter: &str| requirement.can_be_met(everybody, starter, None);
            let why = match met("") {
                Err(why) => told(&why),
                // Somebody has started the run, and four-eyes leaves them out.
                Ok(()) => {
                    let (first, others) = everybody.split_first()?;
                    let why = met(first).err()?;
                    others
                        .iter()
                        .all(|starter| met(starter).is_err())
                        .then(|| format!("with four-eyes, whoever starts the run: {}", told(&why)))?
                }
            };
            let names = requirement.names().map(|names| names.join(", ")).filter(|names| !names.is_empty());
            let names = names.map(|names| format!(" (of {names})")).unwrap_or_default();
            Some(format!("nobody could clear what it holds, so each such call would be refused: {why}{names}; {HINT}"))
        })
    }

    /// What some calls will be refused for, and may be meant so: nobody may decide on a kind of call at all, or four-eyes leaves too few where certain
    /// people start a run.
    pub fn notes(&self) -> Vec<Problem> {
        let everybody = self.people().names();
        let mut found = self.each_demand(|requirement| {
            let met = |starter: &str| requirement.can_be_met(everybody, starter, None).is_ok();
            let barred: Vec<&str> = everybody.iter().map(String::as_str).filter(|starter| !met(starter)).collect();
            let some = met("") && !barred.is_empty() && barred.len() < everybody.len();
            some.then(|| {
                format!(
                    "with four-eyes too few people are left where {} starts the run, so such calls would be refused; {HINT}",
                    barred.join(" or ")
                )
            })
        });
        // Where no policy is about deciding at all, that is said by itself.
        for ty in self.types_in_order().into_iter().filter(|_| !self.decide.policies.all().is_empty()) {
            if self.deciders(ty).is_some_and(<[String]>::is_empty) {
                let what = format!(
                    "no policy permits anybody to `decide` on `{ty}`, so each such call that would be held is refused"
                );
                found.extend(self.places().first().map(|(_, place)| Problem {
                    path: place.path.clone(),
                    line: 0,
                    what,
                }));
            }
        }
        found
    }

    /// Looks at what each policy on `review` asks for, with those that match every such call too, and tells what is wrong with it once, whatever kinds of
    /// calls it is about.
    fn each_demand(&self, wrong: impl Fn(&Requirement) -> Option<String>) -> Vec<Problem> {
        let mut found = BTreeMap::<(Option<usize>, String), Vec<String>>::new();
        for ty in self.types_in_order() {
            let deciders = self.deciders(ty).unwrap_or(self.people().names());
            let about = self.review.about(ty).policies();
            let (always, sometimes): (Vec<&Policy>, Vec<&Policy>) = about.partition(|one| is_always(one));
            let with = sometimes.into_iter().map(|one| [one].into_iter().chain(always.iter().copied()).collect());
            let sets: Vec<Vec<&Policy>> = std::iter::once(always.clone()).chain(with).collect();
            for together in sets.iter().filter(|_| !deciders.is_empty()) {
                let asks: Vec<_> = together.iter().filter_map(|policy| self.loaded.asks.get(policy.id())).collect();
                let requirement = asked_together(&asks, self.base.requirement(Time(0)), deciders, Time(0));
                let Some(what) = wrong(&requirement) else { continue };
                let mut names = together.iter().map(|policy| policy.id().to_string());
                let first = names.next().and_then(|first| self.places().iter().position(|(name, _)| *name == first));
                let with = names.map(|name| format!(" with `{name}`")).collect::<String>();
                found.entry((first, format!("{with}: {what}"))).or_default().push(ty.to_string());
                // What always matches is asked for beside any other.
                if together.len() == always.len() {
                    break;
                }
            }
        }
        let problem = |((at, what), types): ((Option<usize>, String), Vec<String>)| {
            let (name, place) = at.and_then(|at| self.places().get(at)).or_else(|| self.places().first())?;
            let (who, line) = at.map_or(("[approval]", 0), |_| (name, place.line));
            Some(Problem { path: place.path.clone(), line, what: format!("`{who}`{what} ({})", types.join(", ")) })
        };
        found.into_iter().filter_map(problem).collect()
    }

    /// The types of calls by name.
    fn types_in_order(&self) -> Vec<&EntityTypeName> {
        let mut types: Vec<&EntityTypeName> = self.names.types.values().collect();
        types.sort_by_key(|ty| ty.to_string());
        types
    }

    /// Who may decide on calls of a type, where that does not depend on the call.
    fn deciders(&self, ty: &EntityTypeName) -> Option<&[String]> {
        self.decide.steady.get(ty).map(Vec::as_slice)
    }
}

/// Whether a policy matches every call of the types that its scope names, whoever makes it.
fn is_always(policy: &Policy) -> bool {
    policy.principal_constraint() == PrincipalConstraint::Any
        && matches!(policy.resource_constraint(), ResourceConstraint::Any | ResourceConstraint::Is(_))
        && !policy.has_non_scope_constraint()
}

/// The lack, in words.
fn told(CannotBeMet { stage, needed, found }: &CannotBeMet) -> String {
    let people = if *needed == 1 { "1 person".to_owned() } else { format!("{needed} different people") };
    let left = if *found == 1 { "is left" } else { "are left" };
    format!("stage {stage} takes {people}, and {found} of those who may approve it there {left}")
}
