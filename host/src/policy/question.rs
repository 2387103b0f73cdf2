//! A question in Cedar's terms: who asks, what the call is, and everything that policies can speak of beside it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::str::FromStr;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression as Expression,
};
use holdshort_gate::{Capability, Counted, Scope, WitType};

use super::schema::{Types, entity_type};
use super::{CallQuestion, People, facts, values};

/// Names that every question needs, read once.
pub(super) struct Names {
    pub(super) call: EntityUid,
    pub(super) review: EntityUid,
    pub(super) agent: EntityTypeName,
    pub(super) person: EntityTypeName,
    /// The types of calls.
    pub(super) types: HashMap<Capability, EntityTypeName>,
}

/// What is asked about a call, as Cedar has it.
pub(super) struct Asked {
    pub(super) agent: EntityUid,
    pub(super) ty: EntityTypeName,
    pub(super) resource: EntityUid,
    pub(super) entities: Entities,
    pub(super) context: Context,
}

impl Names {
    pub(super) fn new(types: &Types) -> Result<Self, String> {
        let types = types.keys().map(|capability| Ok((capability.clone(), call_type(capability)?)));
        Ok(Self {
            call: uid("Action", "call")?,
            review: uid("Action", "review")?,
            agent: type_name("Agent")?,
            person: type_name("Person")?,
            types: types.collect::<Result<_, String>>()?,
        })
    }
}

impl Asked {
    /// The question in Cedar's terms. What does not fit into them is in `errors`.
    pub(super) fn new(
        question: &CallQuestion<'_>,
        names: &Names,
        people: &Entities,
        errors: &mut Vec<String>,
    ) -> Result<Self, String> {
        let capability = question.action.capability();
        let ty = names.types.get(capability).cloned().map_or_else(|| call_type(capability), Ok)?;
        let resource = of_type(&ty, &question.action.digest().to_string());
        let params: Vec<(&str, &WitType)> = question.ty.params.iter().map(|(name, ty)| (name.as_str(), ty)).collect();
        let arguments = values::record(&params, question.action.arguments(), "", errors);
        let types = facts::of(capability);
        let types: Vec<(&str, &WitType)> = types.iter().map(|(name, ty)| (*name, ty)).collect();
        let facts = values::record(&types, &facts::with_checks(question.facts), "facts", errors);
        let attributes = HashMap::from([("arguments".to_owned(), arguments), ("facts".to_owned(), facts)]);
        let call = Entity::new(resource.clone(), attributes, HashSet::new()).map_err(|error| error.to_string())?;
        let agent = of_type(&names.agent, question.agent);
        let digest = Expression::new_string(question.action.component().to_string());
        let asker = Entity::new(agent.clone(), HashMap::from([("digest".to_owned(), digest)]), HashSet::new())
            .map_err(|error| error.to_string())?;
        let entities = people.clone().add_entities([call, asker], None).map_err(|error| error.to_string())?;
        let started_by = of_type(&names.person, question.started_by);
        let context = Context::from_pairs(context(question, started_by, errors)).map_err(|error| error.to_string())?;
        Ok(Self { agent, ty, resource, entities, context })
    }
}

/// A type by its name.
fn type_name(ty: &str) -> Result<EntityTypeName, String> {
    EntityTypeName::from_str(ty).map_err(|error| format!("`{ty}` is no type for policy: {error}"))
}

/// The type of a capability's calls.
fn call_type(capability: &Capability) -> Result<EntityTypeName, String> {
    let (space, name) = entity_type(capability);
    type_name(&format!("{space}::{name}"))
}

/// The name of one thing of a type.
pub(super) fn of_type(ty: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(ty.clone(), EntityId::new(id))
}

/// Reading a type's name costs as much as judging a policy or two.
pub(super) fn uid(ty: &str, id: &str) -> Result<EntityUid, String> {
    Ok(of_type(&type_name(ty)?, id))
}

/// Groups, and people as their members.
pub(super) fn people_entities(people: &People) -> Result<Entities, String> {
    let mut all = Vec::new();
    for group in people.groups.keys() {
        all.push(Entity::new_no_attrs(uid("Group", group)?, HashSet::new()));
    }
    for name in people.names() {
        let groups = people.groups.iter().filter(|(_, members)| members.contains(name));
        let groups = groups.map(|(group, _)| uid("Group", group)).collect::<Result<_, _>>()?;
        all.push(Entity::new_no_attrs(uid("Person", name)?, groups));
    }
    Entities::from_entities(all, None).map_err(|error| error.to_string())
}

/// What every question says besides the call itself.
fn context(question: &CallQuestion<'_>, started_by: EntityUid, errors: &mut Vec<String>) -> Vec<(String, Expression)> {
    let run = values::of(vec![
        ("id".into(), Expression::new_string(question.run.to_string())),
        ("started_by".into(), Expression::new_entity_uid(started_by)),
    ]);
    let mut pairs = vec![
        ("now".to_owned(), values::moment(question.now, errors)),
        ("run".into(), run),
        ("totals".into(), totals(question, errors)),
        ("consequence".into(), Expression::new_string(question.consequence.name().into())),
    ];
    let confidence = question.action.arguments().pointer("/rationale/confidence").and_then(serde_json::Value::as_f64);
    let confidence = confidence.and_then(|confidence| values::single(confidence, "rationale.confidence", errors));
    pairs.extend(confidence.map(|confidence| ("confidence".into(), confidence)));
    pairs
}

/// Counts and sums, by what they are of. A call that moves several currencies has no sum to compare, so whoever asks for one errs, which holds.
fn totals(question: &CallQuestion<'_>, errors: &mut Vec<String>) -> Expression {
    let money = holdshort_gate::totals::money(question.action);
    let currency = values::currency(question.action);
    let mut by_scope = BTreeMap::from(["run", "agent", "agent_today", "today"].map(|scope| (scope, (0, 0))));
    for Counted { counter, total } in question.totals {
        let scope = match &counter.scope {
            Scope::Run(_) => "run",
            Scope::Agent(_) => "agent",
            Scope::AgentDay(..) => "agent_today",
            Scope::Day(_) => "today",
            // What a grant clears is bounded by the grant.
            Scope::Grant(_) => continue,
        };
        let sum = currency.as_ref().and_then(|currency| total.sums.get(currency)).copied().unwrap_or(0);
        by_scope.insert(scope, (total.count, sum));
    }
    let mut long = |number: u64, scope: &str| {
        i64::try_from(number)
            .map(Expression::new_long)
            .map_err(|_| errors.push(format!("the total of `{scope}` is {number}, more than policy can compare")))
            .ok()
    };
    let mut made = Vec::new();
    for (scope, (count, sum)) in by_scope {
        let count = long(count, scope).map(|count| ("count".to_owned(), count));
        let sum = if money.len() > 1 { None } else { long(sum, scope).map(|sum| ("sum".to_owned(), sum)) };
        made.push((scope.to_owned(), values::of(count.into_iter().chain(sum).collect())));
    }
    values::of(made)
}
