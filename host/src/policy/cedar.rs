//! Judges calls by Cedar policies.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::str::FromStr;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid,
    PolicySet, Request, Response, RestrictedExpression as Expression, Schema,
};
use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::{Counted, Demand, Requirement, Reviewers, Scope, WitType};

use super::load::{Loaded, Problem, Problems, Source};
use super::schema::{Types, entity_type, schema};
use super::{CallQuestion, Judgement, People, Policy, Verdict, facts, values};

/// Policies that were read, and checked against what this host offers.
pub struct CedarPolicy {
    loaded: Loaded,
    people: People,
    /// Groups, and people as their members.
    entities: Entities,
    /// What the configuration asks of every call that is held, whatever policies say.
    base: Box<dyn Fn(holdshort_gate::Time) -> Requirement + Send + Sync>,
}

/// What is asked about a call, as Cedar has it.
struct Asked {
    agent: EntityUid,
    resource: EntityUid,
    entities: Entities,
    context: Context,
}

impl CedarPolicy {
    /// Reads policies. `base` is what the configuration asks of a call that is held at a time.
    pub fn load(
        sources: &[Source],
        types: &Types,
        people: People,
        base: impl Fn(holdshort_gate::Time) -> Requirement + Send + Sync + 'static,
    ) -> Result<Self, Problems> {
        let internal = |what: String| Problems(vec![Problem { path: "the schema".into(), line: 0, what }]);
        let (schema, _) =
            Schema::from_cedarschema_str(&schema(types)).map_err(|error| internal(format!("{error:?}")))?;
        let loaded = Loaded::new(sources, &schema, &people)?;
        let entities = people_entities(&people).map_err(internal)?;
        Ok(Self { loaded, people, entities, base: Box::new(base) })
    }

    /// What is likely to be a mistake.
    pub fn warnings(&self) -> &[Problem] {
        &self.loaded.warnings
    }

    /// How many policies there are: about calls, about reviews, about who may decide.
    pub fn counts(&self) -> [usize; 3] {
        let Loaded { call, review, decide, .. } = &self.loaded;
        [call, review, decide].map(PolicySet::num_of_policies)
    }

    fn ask(
        &self,
        policies: &PolicySet,
        action: &str,
        principal: &EntityUid,
        asked: &Asked,
    ) -> Result<Response, String> {
        let action = uid("Action", action)?;
        let (principal, resource, context) = (principal.clone(), asked.resource.clone(), asked.context.clone());
        let request = Request::new(principal, action, resource, context, None).map_err(|error| error.to_string())?;
        Ok(Authorizer::new().is_authorized(&request, policies, &asked.entities))
    }

    /// The question in Cedar's terms. What does not fit into them is in `errors`.
    fn asked(&self, question: &CallQuestion<'_>, errors: &mut Vec<String>) -> Result<Asked, String> {
        let (space, name) = entity_type(question.action.capability());
        let resource = uid(&format!("{space}::{name}"), &question.action.digest().to_string())?;
        let params: Vec<(&str, &WitType)> = question.ty.params.iter().map(|(name, ty)| (name.as_str(), ty)).collect();
        let arguments = values::record(&params, question.action.arguments(), "", errors);
        let types = facts::of(question.action.capability());
        let types: Vec<(&str, &WitType)> = types.iter().map(|(name, ty)| (*name, ty)).collect();
        let facts = values::record(&types, &facts::with_checks(question.facts), "facts", errors);
        let attributes = HashMap::from([("arguments".to_owned(), arguments), ("facts".to_owned(), facts)]);
        let call = Entity::new(resource.clone(), attributes, HashSet::new()).map_err(|error| error.to_string())?;
        let agent = uid("Agent", question.agent)?;
        let digest = Expression::new_string(question.action.component().to_string());
        let asker = Entity::new(agent.clone(), HashMap::from([("digest".to_owned(), digest)]), HashSet::new())
            .map_err(|error| error.to_string())?;
        let entities = self.entities.clone().add_entities([call, asker], None).map_err(|error| error.to_string())?;
        let context = Context::from_pairs(context(question, errors)?).map_err(|error| error.to_string())?;
        Ok(Asked { agent, resource, entities, context })
    }

    /// Who must decide: the strictest of what all matching policies and the configuration ask for, of those who may decide at all.
    fn requirement(
        &self,
        question: &CallQuestion<'_>,
        asked: &Asked,
        record: &mut PolicyRecord,
    ) -> Result<Requirement, String> {
        let base = (self.base)(question.now);
        let response = self.ask(&self.loaded.review, "review", &asked.agent, asked)?;
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
        let deciders = self.deciders(asked, record)?;
        let demanded = requirement.stages.iter_mut().flatten().map(|demand| &mut demand.reviewers);
        let called_in = requirement.escalations.iter_mut().map(|escalation| &mut escalation.reviewers);
        for reviewers in demanded.chain(called_in) {
            *reviewers = among(reviewers, &deciders);
        }
        Ok(requirement)
    }

    /// Everybody who may decide on this call. For whom a policy errs, it might have said no.
    fn deciders(&self, asked: &Asked, record: &mut PolicyRecord) -> Result<Vec<String>, String> {
        let mut deciders = Vec::new();
        for name in self.people.names() {
            let response = self.ask(&self.loaded.decide, "decide", &uid("Person", name)?, asked)?;
            let errors: Vec<String> = response.diagnostics().errors().map(ToString::to_string).collect();
            if response.decision() == Decision::Allow && errors.is_empty() {
                deciders.push(name.to_owned());
            }
            record.errors.extend(errors);
        }
        Ok(deciders)
    }
}

impl Policy for CedarPolicy {
    fn names(&self) -> Vec<String> {
        let Loaded { call, review, .. } = &self.loaded;
        call.policies().chain(review.policies()).map(|policy| policy.id().to_string()).collect()
    }

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
        let response = self.ask(&self.loaded.call, "call", &asked.agent, &asked)?;
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
        self.loaded.call.annotation(&id, "why").map_or_else(|| format!("`{id}`"), str::to_owned)
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

fn uid(ty: &str, id: &str) -> Result<EntityUid, String> {
    let ty = EntityTypeName::from_str(ty).map_err(|error| format!("`{ty}` is no type for policy: {error}"))?;
    Ok(EntityUid::from_type_name_and_id(ty, EntityId::new(id)))
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

/// What every question says besides the call itself.
fn context(question: &CallQuestion<'_>, errors: &mut Vec<String>) -> Result<Vec<(String, Expression)>, String> {
    let run = values::of(vec![
        ("id".into(), Expression::new_string(question.run.to_string())),
        ("started_by".into(), Expression::new_entity_uid(uid("Person", question.started_by)?)),
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
    Ok(pairs)
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
