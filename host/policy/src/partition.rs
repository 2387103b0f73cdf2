//! Partitions policies by call type, so that a call is judged only by policies that can apply to
//! it.
//!
//! The partition changes no verdict: policies for other types could neither match nor fail, because Cedar checks a
//! policy's scope before its conditions. A test compares the verdicts with those of all policies, evaluated for all
//! reviewers.
//!
//! **Invariant:** reviewers who are in the same groups, and whom no policy names, are evaluated
//! once, because policies cannot distinguish them. The reviewer who started the run is evaluated
//! separately. Policies on `decide` without conditions are evaluated when they are read.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{EntityTypeName, EntityUid, Policy, PolicySet, ResourceConstraint};
use holdshort_gate::ReviewerName;

use super::People;

/// The policies of one action: all of them, and for each type of call the policies that can apply.
#[derive(Default)]
pub(super) struct Partition {
    all: PolicySet,
    of: BTreeMap<EntityTypeName, PolicySet>,
}

impl Partition {
    /// Partitions the policies of an action by these types of calls.
    pub(super) fn new<'a>(all: PolicySet, types: impl Iterator<Item = &'a EntityTypeName>) -> Self {
        let about = |ty: &EntityTypeName| {
            let about = all.policies().filter(|policy| can_be_about(policy, ty)).cloned();
            // Policies of one set have different ids, so a subset is a valid set.
            PolicySet::from_policies(about).unwrap_or_else(|_| all.clone())
        };
        let of = types.map(|ty| (ty.clone(), about(ty))).collect();
        Self { all, of }
    }

    /// The policies that can apply to a type of call; all of them for an unknown type.
    pub(super) fn for_type(&self, ty: &EntityTypeName) -> &PolicySet {
        self.of.get(ty).unwrap_or(&self.all)
    }

    /// Whether the policies for a known type depend only on the principal and the type.
    pub(super) fn depends_only_on_scope(&self, ty: &EntityTypeName) -> bool {
        let by_scope = |policy: &Policy| {
            let any = matches!(policy.resource_constraint(), ResourceConstraint::Any | ResourceConstraint::Is(_));
            any && !policy.has_non_scope_constraint()
        };
        self.of.get(ty).is_some_and(|policies| policies.policies().all(by_scope))
    }

    /// All policies.
    pub(super) fn all(&self) -> &PolicySet {
        &self.all
    }

    #[cfg(test)]
    pub(super) fn together(&mut self) {
        self.of.clear();
    }
}

/// Whether a policy's scope admits calls of this type. A call is a member of no other entity, so a scope `in X` admits
/// a call only if `X` is this call.
pub(super) fn can_be_about(policy: &Policy, ty: &EntityTypeName) -> bool {
    match policy.resource_constraint() {
        ResourceConstraint::Any => true,
        ResourceConstraint::Is(of) | ResourceConstraint::IsIn(of, _) => of == *ty,
        ResourceConstraint::In(one) | ResourceConstraint::Eq(one) => one.type_name() == ty,
    }
}

/// A reviewer as a principal of policies.
pub(super) struct ReviewerEntity {
    pub(super) name: ReviewerName,
    pub(super) uid: EntityUid,
    /// Reviewers whom policies cannot distinguish have the same number. The number does not count for the reviewer who
    /// started the run. `None` if a policy names the reviewer.
    pub(super) alike: Option<usize>,
}

/// All reviewers. Reviewers whom these policies cannot distinguish get the same number.
pub(super) fn everybody(people: &People, decide: &PolicySet, uids: Vec<EntityUid>) -> Vec<ReviewerEntity> {
    let named: BTreeSet<EntityUid> = decide.policies().flat_map(Policy::entity_literals).collect();
    let mut kinds = Vec::<Vec<&String>>::new();
    let mut person = |(name, uid): (&ReviewerName, EntityUid)| {
        let groups: Vec<&String> =
            people.groups().iter().filter(|(_, members)| members.contains(name)).map(|(group, _)| group).collect();
        let kind = kinds.iter().position(|kind| *kind == groups).unwrap_or_else(|| {
            kinds.push(groups);
            kinds.len() - 1
        });
        ReviewerEntity { name: name.clone(), alike: (!named.contains(&uid)).then_some(kind), uid }
    };
    people.names().iter().zip(uids).map(&mut person).collect()
}
