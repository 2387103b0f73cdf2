//! Converts a question to Cedar: principal, resource, and context.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression as Expression,
};
use holdshort_gate::{Capability, WitType};

use super::schema::{FactTypes, Types, entity_type};
use super::{CallQuestion, People, context, facts, values};
use holdshort_config::Zone;

/// Type names that every question needs, parsed once.
pub(super) struct CedarNames {
    pub(super) call: EntityUid,
    pub(super) review: EntityUid,
    pub(super) agent: EntityTypeName,
    pub(super) person: EntityTypeName,
    /// The types of calls.
    pub(super) types: HashMap<Capability, EntityTypeName>,
    /// The types of the facts of each capability.
    facts: HashMap<Capability, FactTypes>,
}

/// A question in Cedar's form.
pub(super) struct CedarQuestion {
    pub(super) agent: EntityUid,
    pub(super) ty: EntityTypeName,
    pub(super) resource: EntityUid,
    pub(super) entities: Entities,
    pub(super) context: Context,
}

impl CedarNames {
    pub(super) fn new(types: &Types) -> Result<Self, String> {
        let facts = types.iter().map(|(capability, _)| (capability.clone(), types.facts(capability))).collect();
        let types = types.iter().map(|(capability, _)| Ok((capability.clone(), call_type(capability)?)));
        Ok(Self {
            call: uid("Action", "call")?,
            review: uid("Action", "review")?,
            agent: type_name("Agent")?,
            person: type_name("Person")?,
            types: types.collect::<Result<_, String>>()?,
            facts,
        })
    }
}

impl CedarQuestion {
    /// Converts a question. Values that do not fit Cedar are reported in `errors`.
    pub(super) fn new(
        question: &CallQuestion<'_>,
        names: &CedarNames,
        people: &Entities,
        reads: &[(&str, bool)],
        zone: &Zone,
        errors: &mut Vec<String>,
    ) -> Result<Self, String> {
        let capability = question.action.capability();
        let ty = names.types.get(capability).cloned().map_or_else(|| call_type(capability), Ok)?;
        let resource = of_type(&ty, &question.action.digest().to_string());
        let params: Vec<(&str, &WitType)> = question.ty.params.iter().map(|(name, ty)| (name.as_str(), ty)).collect();
        let arguments = values::record(&params, question.action.arguments(), "", errors);
        let types = names.facts.get(capability).into_iter().flatten();
        let types: Vec<(&str, &WitType)> = types.map(|(name, ty)| (name.as_str(), ty)).collect();
        let facts = values::record(&types, &facts::with_checks(question.facts), "facts", errors);
        let attributes = HashMap::from([("arguments".to_owned(), arguments), ("facts".to_owned(), facts)]);
        let call = Entity::new(resource.clone(), attributes, HashSet::new()).map_err(|error| error.to_string())?;
        let agent = of_type(&names.agent, question.agent.as_str());
        let digest = Expression::new_string(question.action.component().to_string());
        let asker = Entity::new(agent.clone(), HashMap::from([("digest".to_owned(), digest)]), HashSet::new())
            .map_err(|error| error.to_string())?;
        let entities = people.clone().add_entities([call, asker], None).map_err(|error| error.to_string())?;
        let started_by = of_type(&names.person, question.started_by.as_str());
        let context = Context::from_pairs(context::context(question, started_by, reads, zone, errors))
            .map_err(|error| error.to_string())?;
        Ok(Self { agent, ty, resource, entities, context })
    }
}

fn type_name(ty: &str) -> Result<EntityTypeName, String> {
    EntityTypeName::from_str(ty).map_err(|error| format!("`{ty}` is not a type for policies: {error}"))
}

/// The type of a capability's calls.
fn call_type(capability: &Capability) -> Result<EntityTypeName, String> {
    let (space, name) = entity_type(capability);
    type_name(&format!("{space}::{name}"))
}

/// The id of an entity of this type.
pub(super) fn of_type(ty: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(ty.clone(), EntityId::new(id))
}

/// Makes an entity's id from a type's name that is not parsed yet. Parsing it costs as much as
/// judging one or two policies.
pub(super) fn uid(ty: &str, id: &str) -> Result<EntityUid, String> {
    Ok(of_type(&type_name(ty)?, id))
}

/// The groups, and the reviewers as their members.
pub(super) fn people_entities(people: &People) -> Result<Entities, String> {
    let mut all = Vec::new();
    for group in people.groups().keys() {
        all.push(Entity::new_no_attrs(uid("Group", group)?, HashSet::new()));
    }
    for name in people.names() {
        let groups = people.groups().iter().filter(|(_, members)| members.contains(name));
        let groups = groups.map(|(group, _)| uid("Group", group)).collect::<Result<_, _>>()?;
        all.push(Entity::new_no_attrs(uid("Person", name.as_str())?, groups));
    }
    Entities::from_entities(all, None).map_err(|error| error.to_string())
}
