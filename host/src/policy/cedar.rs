//! Judges calls by Cedar policies.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid,
    PolicySet, Request, Response, RestrictedExpression as Expression, Schema,
};
use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::{Capability, Demand, Digest, Requirement, Reviewers, Time, WitType};

use super::apart::{Apart, Person, everybody};
use super::load::{Loaded, Place, Problem, Problems, Source};
use super::schema::{Types, entity_type, schema};
use super::{CallQuestion, Judgement, People, Policy, Verdict, context, facts, values};

/// Policies that were read, and checked against what this host offers.
pub struct CedarPolicy {
    loaded: Loaded,
    call: Apart,
    review: Apart,
    decide: Apart,
    names: Names,
    people: People,
    everybody: Vec<Person>,
    /// Who may decide on calls of a type, where that hangs on nothing else.
    steady: HashMap<EntityTypeName, Vec<String>>,
    /// Groups, and people as their members.
    entities: Entities,
    /// What the configuration asks of every call that is held, whatever policies say.
    base: Base,
}

/// What the configuration asks of a call that is held at a time.
pub type Base = Arc<dyn Fn(Time) -> Requirement + Send + Sync>;

/// Names that every question needs, read once.
struct Names {
    call: EntityUid,
    review: EntityUid,
    decide: EntityUid,
    agent: EntityTypeName,
    person: EntityTypeName,
    /// The types of calls.
    types: HashMap<Capability, EntityTypeName>,
}

/// What is asked about a call, as Cedar has it.
struct Asked {
    agent: EntityUid,
    ty: EntityTypeName,
    resource: EntityUid,
    entities: Entities,
    context: Context,
}

impl Names {
    fn new(types: &Types) -> Result<Self, String> {
        let types = types.keys().map(|capability| Ok((capability.clone(), call_type(capability)?)));
        Ok(Self {
            call: uid("Action", "call")?,
            review: uid("Action", "review")?,
            decide: uid("Action", "decide")?,
            agent: type_name("Agent")?,
            person: type_name("Person")?,
            types: types.collect::<Result<_, String>>()?,
        })
    }
}

impl CedarPolicy {
    /// Reads policies. `base` is what the configuration asks of a call that is held at a time.
    pub fn load(sources: &[Source], types: &Types, people: People, base: Base) -> Result<Self, Problems> {
        let internal = |what: String| Problems(vec![Problem { path: "the schema".into(), line: 0, what }]);
        let (schema, _) =
            Schema::from_cedarschema_str(&schema(types)).map_err(|error| internal(format!("{error:?}")))?;
        let mut loaded = Loaded::new(sources, &schema, &people)?;
        let entities = people_entities(&people).map_err(internal)?;
        let names = Names::new(types).map_err(internal)?;
        let uids = people.names().iter().map(|name| of_type(&names.person, name)).collect();
        let everybody = everybody(&people, &loaded.decide, uids);
        let mut apart =
            |set: fn(&mut Loaded) -> &mut PolicySet| Apart::new(std::mem::take(set(&mut loaded)), names.types.values());
        let call = apart(|loaded| &mut loaded.call);
        let review = apart(|loaded| &mut loaded.review);
        let decide = apart(|loaded| &mut loaded.decide);
        let steady = HashMap::new();
        let mut read = Self { loaded, call, review, decide, names, people, everybody, steady, entities, base };
        let types = read.names.types.values().filter(|ty| read.decide.goes_by_scope(ty)).cloned();
        let steady = types.map(|ty| Ok((ty.clone(), read.steady_deciders(ty)?))).collect::<Result<_, _>>();
        read.steady = steady.map_err(internal)?;
        Ok(read)
    }

    /// Who may decide on any call of a type; asked of a call about which nothing is known.
    fn steady_deciders(&self, ty: EntityTypeName) -> Result<Vec<String>, String> {
        let (agent, resource) = (of_type(&self.names.agent, ""), of_type(&ty, ""));
        let asked = Asked { agent, ty, resource, entities: self.entities.clone(), context: Context::empty() };
        self.deciders("", &asked, &mut PolicyRecord::new(self.loaded.digest))
    }

    /// What is likely to be a mistake.
    pub fn warnings(&self) -> &[Problem] {
        &self.loaded.warnings
    }

    /// The long way: everybody is asked about, by all policies.
    #[cfg(test)]
    pub(super) fn whole(mut self) -> Self {
        [&mut self.call, &mut self.review, &mut self.decide].into_iter().for_each(Apart::together);
        self.everybody.iter_mut().for_each(|person| person.alike = None);
        self.steady.clear();
        self.loaded.speaks_of.iter_mut().for_each(|(_, is)| *is = true);
        self
    }

    /// The digest of the files' texts.
    pub fn digest(&self) -> Digest {
        self.loaded.digest
    }

    /// Whom it knows.
    pub fn people(&self) -> &People {
        &self.people
    }

    /// All policies by name, in the order of the files.
    pub fn places(&self) -> &[(String, Place)] {
        &self.loaded.places
    }

    /// The policies that a verdict may depend on: those about calls, and about who may decide.
    pub(super) fn decisive(&self) -> impl Iterator<Item = &cedar_policy::Policy> {
        self.call.all().policies().chain(self.decide.all().policies())
    }

    /// How many policies there are: about calls, about reviews, about who may decide.
    pub fn counts(&self) -> [usize; 3] {
        [&self.call, &self.review, &self.decide].map(|policies| policies.all().num_of_policies())
    }

    fn ask(
        &self,
        policies: &Apart,
        action: &EntityUid,
        principal: &EntityUid,
        asked: &Asked,
    ) -> Result<Response, String> {
        let (principal, resource, context) = (principal.clone(), asked.resource.clone(), asked.context.clone());
        let request = Request::new(principal, action.clone(), resource, context, None);
        let request = request.map_err(|error| error.to_string())?;
        Ok(Authorizer::new().is_authorized(&request, policies.about(&asked.ty), &asked.entities))
    }

    /// The question in Cedar's terms. What does not fit into them is in `errors`.
    fn asked(&self, question: &CallQuestion<'_>, errors: &mut Vec<String>) -> Result<Asked, String> {
        let capability = question.action.capability();
        let ty = self.names.types.get(capability).cloned().map_or_else(|| call_type(capability), Ok)?;
        let resource = of_type(&ty, &question.action.digest().to_string());
        let params: Vec<(&str, &WitType)> = question.ty.params.iter().map(|(name, ty)| (name.as_str(), ty)).collect();
        let arguments = values::record(&params, question.action.arguments(), "", errors);
        let types = facts::of(capability);
        let types: Vec<(&str, &WitType)> = types.iter().map(|(name, ty)| (*name, ty)).collect();
        let facts = values::record(&types, &facts::with_checks(question.facts), "facts", errors);
        let attributes = HashMap::from([("arguments".to_owned(), arguments), ("facts".to_owned(), facts)]);
        let call = Entity::new(resource.clone(), attributes, HashSet::new()).map_err(|error| error.to_string())?;
        let agent = of_type(&self.names.agent, question.agent);
        let digest = Expression::new_string(question.action.component().to_string());
        let asker = Entity::new(agent.clone(), HashMap::from([("digest".to_owned(), digest)]), HashSet::new())
            .map_err(|error| error.to_string())?;
        let entities = self.entities.clone().add_entities([call, asker], None).map_err(|error| error.to_string())?;
        let started_by = of_type(&self.names.person, question.started_by);
        let context = Context::from_pairs(context::context(question, started_by, &self.loaded.speaks_of, errors))
            .map_err(|error| error.to_string())?;
        Ok(Asked { agent, ty, resource, entities, context })
    }

    /// Who must decide: the strictest of what all matching policies and the configuration ask for, of those who may decide at all.
    fn requirement(
        &self,
        question: &CallQuestion<'_>,
        asked: &Asked,
        record: &mut PolicyRecord,
    ) -> Result<Requirement, String> {
        let base = (self.base)(question.now);
        let response = self.ask(&self.review, &self.names.review, &asked.agent, asked)?;
        let diagnostics = response.diagnostics();
        record.errors.extend(diagnostics.errors().map(ToString::to_string));
        // A policy that erred might have asked for more: it counts as one that matched.
        let erred = diagnostics.errors().map(|error| {
            let AuthorizationError::PolicyEvaluationError(error) = error;
            error.policy_id()
        });
        let mut matched: Vec<_> = diagnostics.reason().chain(erred).collect();
        matched.sort();
        record.determining.extend(matched.iter().map(ToString::to_string));
        let mut requirement: Option<Requirement> = None;
        for asks in matched.iter().filter_map(|id| self.loaded.asks.get(*id)) {
            record.reasons.extend(asks.why.clone());
            let asks = asks.requirement(&base, question.now);
            requirement = Some(requirement.map_or(asks.clone(), |other| other.strictest(&asks)));
        }
        let mut requirement = with_base(requirement, base);
        let deciders = self.deciders(question.started_by, asked, record)?;
        let demanded = requirement.stages.iter_mut().flatten().map(|demand| &mut demand.reviewers);
        let called_in = requirement.escalations.iter_mut().map(|escalation| &mut escalation.reviewers);
        for reviewers in demanded.chain(called_in) {
            *reviewers = among(reviewers, &deciders);
        }
        Ok(requirement)
    }

    /// Everybody who may decide on this call. For whom a policy errs, it might have said no.
    /// Of people whom no policy can tell from one another, but for who started the run, it is asked once.
    fn deciders(&self, started_by: &str, asked: &Asked, record: &mut PolicyRecord) -> Result<Vec<String>, String> {
        if let Some(steady) = self.steady.get(&asked.ty) {
            return Ok(steady.clone());
        }
        let mut deciders = Vec::new();
        let mut said = BTreeMap::<usize, (bool, Vec<String>)>::new();
        for Person { name, uid, alike } in &self.everybody {
            let alike = alike.filter(|_| name != started_by);
            let (may, errors) = match alike.and_then(|alike| said.get(&alike)) {
                Some(said) => said.clone(),
                None => {
                    let response = self.ask(&self.decide, &self.names.decide, uid, asked)?;
                    let errors: Vec<String> = response.diagnostics().errors().map(ToString::to_string).collect();
                    (response.decision() == Decision::Allow && errors.is_empty(), errors)
                }
            };
            said.extend(alike.map(|alike| (alike, (may, errors.clone()))));
            deciders.extend(may.then(|| name.clone()));
            record.errors.extend(errors);
        }
        Ok(deciders)
    }
}

impl Policy for CedarPolicy {
    fn uses_totals(&self) -> bool {
        self.loaded.uses_totals
    }

    /// Where the question itself cannot be put, nobody can be told to be somebody who may decide: it is refused.
    fn judge(&self, question: &CallQuestion<'_>) -> Judgement {
        let mut record = PolicyRecord::new(self.loaded.digest);
        record.totals = question.totals.to_vec();
        match self.verdict(question, &mut record) {
            Ok((verdict, requirement)) => Judgement { verdict, requirement, record },
            Err(error) => {
                record.errors.push(error.clone());
                let verdict = Verdict::Refuse(format!("policy cannot be asked about it: {error}"));
                Judgement { verdict, requirement: (self.base)(question.now), record }
            }
        }
    }
}

impl CedarPolicy {
    /// The verdict, and who must decide, should it be held now or later, because facts have changed.
    fn verdict(
        &self,
        question: &CallQuestion<'_>,
        record: &mut PolicyRecord,
    ) -> Result<(Verdict, Requirement), String> {
        let asked = self.asked(question, &mut record.errors)?;
        let response = self.ask(&self.call, &self.names.call, &asked.agent, &asked)?;
        let mut reasons: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
        reasons.sort();
        record.errors.extend(response.diagnostics().errors().map(ToString::to_string));
        record.determining.extend(reasons.iter().cloned());
        if response.decision() == Decision::Deny && !reasons.is_empty() {
            let why = reasons.iter().map(|id| self.why(id)).collect::<Vec<_>>().join("; ");
            return Ok((Verdict::Refuse(format!("policy forbids it: {why}")), (self.base)(question.now)));
        }
        let mut review = PolicyRecord::new(self.loaded.digest);
        let requirement = self.requirement(question, &asked, &mut review)?;
        if response.decision() == Decision::Allow && record.may_clear() {
            return Ok((Verdict::Clear, requirement));
        }
        record.determining.extend(review.determining);
        record.errors.extend(review.errors);
        record.reasons = review.reasons;
        let met = requirement.can_be_met(self.people.names(), question.started_by, None);
        let refuse = |why| Verdict::Refuse(format!("nobody could clear it: {why}"));
        Ok((met.map_or_else(refuse, |()| Verdict::Hold), requirement))
    }

    /// What the operator wrote about a policy, else its name.
    fn why(&self, id: &str) -> String {
        let id = cedar_policy::PolicyId::new(id);
        self.call.all().annotation(&id, "why").map_or_else(|| format!("`{id}`"), str::to_owned)
    }
}

/// The configuration is the floor. Its quorum is met by whatever asks for as many of the same people in some stage.
fn with_base(requirement: Option<Requirement>, base: Requirement) -> Requirement {
    let Some(asked) = requirement else { return base };
    let mut stages = asked.stages.clone();
    // A stage that no policy asks anything of is none.
    stages.retain(|stage| !stage.is_empty());
    let covered = |demand: &Demand| stages.iter().flatten().any(|other| other.covers(demand));
    let mut floor = base.clone();
    floor.stages =
        base.stages.iter().map(|stage| stage.iter().filter(|demand| !covered(demand)).cloned().collect()).collect();
    Requirement { stages, ..asked }.strictest(&floor)
}

/// Those of `reviewers` who may decide.
fn among(reviewers: &Reviewers, deciders: &[String]) -> Reviewers {
    Reviewers::Named(deciders.iter().filter(|name| reviewers.include(name)).cloned().collect())
}

fn type_name(ty: &str) -> Result<EntityTypeName, String> {
    EntityTypeName::from_str(ty).map_err(|error| format!("`{ty}` is no type for policy: {error}"))
}

/// The type of a capability's calls.
fn call_type(capability: &Capability) -> Result<EntityTypeName, String> {
    let (space, name) = entity_type(capability);
    type_name(&format!("{space}::{name}"))
}

fn of_type(ty: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(ty.clone(), EntityId::new(id))
}

/// Reading a type's name costs as much as judging a policy or two.
fn uid(ty: &str, id: &str) -> Result<EntityUid, String> {
    Ok(of_type(&type_name(ty)?, id))
}

fn people_entities(people: &People) -> Result<Entities, String> {
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
