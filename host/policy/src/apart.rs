//! Policies kept apart, so that a call is judged by those alone that can be about it.
//!
//! Nothing here changes a verdict: what is left out could neither match nor fail, because a scope is looked at before any condition, and people
//! of whom no policy can tell one from another are asked about once. A test holds that it says what asking all policies of everybody says.
//!
//! **Invariant:** People in the same groups, whom no policy names, are asked about once, except the person who started the run. Where policies on
//! `decide` have no conditions, they are evaluated when they are read.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{EntityTypeName, EntityUid, Policy, PolicySet, ResourceConstraint};

use super::People;

/// The policies about one action: all, and for each type of call those that can be about it.
#[derive(Default)]
pub(super) struct Apart {
    all: PolicySet,
    of: BTreeMap<EntityTypeName, PolicySet>,
}

impl Apart {
    /// All policies of an action, for calls of these types.
    pub(super) fn new<'a>(all: PolicySet, types: impl Iterator<Item = &'a EntityTypeName>) -> Self {
        let about = |ty: &EntityTypeName| {
            let about = all.policies().filter(|policy| can_be_about(policy, ty)).cloned();
            // Policies of one set have different names, so they make a set again.
            PolicySet::from_policies(about).unwrap_or_else(|_| all.clone())
        };
        let of = types.map(|ty| (ty.clone(), about(ty))).collect();
        Self { all, of }
    }

    /// Those that can be about a call of this type; all of them, if it is none that was known when they were read.
    pub(super) fn about(&self, ty: &EntityTypeName) -> &PolicySet {
        self.of.get(ty).unwrap_or(&self.all)
    }

    /// Whether those about a known type of call look at nothing but who asks, and at the type.
    pub(super) fn goes_by_scope(&self, ty: &EntityTypeName) -> bool {
        let by_scope = |policy: &Policy| {
            let any = matches!(policy.resource_constraint(), ResourceConstraint::Any | ResourceConstraint::Is(_));
            any && !policy.has_non_scope_constraint()
        };
        self.of.get(ty).is_some_and(|policies| policies.policies().all(by_scope))
    }

    /// All of them.
    pub(super) fn all(&self) -> &PolicySet {
        &self.all
    }

    #[cfg(test)]
    pub(super) fn together(&mut self) {
        self.of.clear();
    }
}

/// Whether a policy's scope lets any call of this type through. A call has no parents, so it is in nothing but itself.
pub(super) fn can_be_about(policy: &Policy, ty: &EntityTypeName) -> bool {
    match policy.resource_constraint() {
        ResourceConstraint::Any => true,
        ResourceConstraint::Is(of) | ResourceConstraint::IsIn(of, _) => of == *ty,
        ResourceConstraint::In(one) | ResourceConstraint::Eq(one) => one.type_name() == ty,
    }
}

/// Somebody of whom policy can be asked whether they may decide.
pub(super) struct Person {
    pub(super) name: String,
    pub(super) uid: EntityUid,
    /// The same number for people in the same groups, whom no policy names: no policy can tell one from another, but for who started the run.
    pub(super) alike: Option<usize>,
}

/// Everybody, with who is like whom to these policies on `decide`.
pub(super) fn everybody(people: &People, decide: &PolicySet, uids: Vec<EntityUid>) -> Vec<Person> {
    let named: BTreeSet<EntityUid> = decide.policies().flat_map(Policy::entity_literals).collect();
    let mut kinds = Vec::<Vec<&String>>::new();
    let mut person = |(name, uid): (&String, EntityUid)| {
        let groups: Vec<&String> =
            people.groups.iter().filter(|(_, members)| members.contains(name)).map(|(group, _)| group).collect();
        let kind = kinds.iter().position(|kind| *kind == groups).unwrap_or_else(|| {
            kinds.push(groups);
            kinds.len() - 1
        });
        Person { name: name.clone(), alike: (!named.contains(&uid)).then_some(kind), uid }
    };
    people.names().iter().zip(uids).map(&mut person).collect()
}
