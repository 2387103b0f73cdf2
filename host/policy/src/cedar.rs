//! Judges calls by Cedar policies.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Entities, EntityTypeName, EntityUid, PolicySet, Request,
    Response, Schema,
};
use holdshort_gate::clearance::{JudgedAt, PolicyRecord};
use holdshort_gate::{Capability, Demand, Digest, FunctionType, Requirement, ReviewerName, Reviewers, Time};

use holdshort_words::{Sentence, configured, quote, say};

use super::annotations::ReviewDemand;
use super::load::{ACTIONS, Loaded, PolicyLocation, PolicyProblem, Problems, Source};
use super::partition::{Partition, ReviewerEntity, everybody};
use super::question::{CedarNames, CedarQuestion, of_type, people_entities, uid};
use super::schema::{FactTypes, Types, attribute, schema};
use super::{CallQuestion, JudgedCall, Judgement, People, Policy, Verdict};
use holdshort_config::Zone;

/// The size of the stack on which policies are read.
pub(super) const STACK_BYTES: usize = 64 << 20;

/// Policies that were read and checked against this host's capabilities.
pub struct CedarPolicy {
    pub(super) loaded: Loaded,
    call: Partition,
    pub(super) review: Partition,
    pub(super) decide: Right,
    grant: Right,
    pub(super) names: CedarNames,
    people: People,
    /// The groups, and the reviewers as their members.
    entities: Entities,
    /// The types of the functions.
    types: Types,
    /// The configured requirement for every held call.
    pub(super) base: Defaults,
}

/// A right over a call: to decide on it, or to create a grant with it.
pub(super) struct Right {
    action: EntityUid,
    pub(super) policies: Partition,
    everybody: Vec<ReviewerEntity>,
    /// For each type of call for which the right depends only on the type: the reviewers with the right.
    pub(super) steady: HashMap<EntityTypeName, Vec<ReviewerName>>,
}

/// The settings that come from the configuration: the requirement for held calls, and the time zone.
#[derive(Clone)]
pub struct Defaults {
    requirement: Arc<dyn Fn(Time) -> Requirement + Send + Sync>,
    zone: Zone,
}

impl Defaults {
    /// Makes defaults in UTC. `requirement` gives the configured requirement for a call that is held at a given time.
    pub fn new(requirement: impl Fn(Time) -> Requirement + Send + Sync + 'static) -> Self {
        Self { requirement: Arc::new(requirement), zone: Zone::UTC }
    }

    /// Replaces the time zone.
    #[must_use]
    pub fn in_zone(self, zone: Zone) -> Self {
        Self { zone, ..self }
    }

    /// The configured requirement for a call held at `now`.
    pub(super) fn requirement(&self, now: Time) -> Requirement {
        (self.requirement)(now)
    }
}

impl Right {
    fn new(action: &str, policies: Partition, people: &People, names: &CedarNames) -> Result<Self, String> {
        let uids = people.names().iter().map(|name| of_type(&names.person, name.as_str())).collect();
        let everybody = everybody(people, policies.all(), uids);
        Ok(Self { action: uid("Action", action)?, policies, everybody, steady: HashMap::new() })
    }
}

impl CedarPolicy {
    /// Reads policies in this process. [`PolicySetup`](super::PolicySetup) first tries them in a child.
    pub fn load(sources: &[Source], types: &Types, people: People, base: Defaults) -> Result<Self, Problems> {
        Self::load_on(STACK_BYTES, sources, types, people, base)
    }

    /// Reads policies on a stack of this size.
    pub(super) fn load_on(
        stack_bytes: usize,
        sources: &[Source],
        types: &Types,
        people: People,
        base: Defaults,
    ) -> Result<Self, Problems> {
        let failed = |what: &str| Problems(vec![PolicyProblem { path: "".into(), line: 0, what: what.into() }]);
        std::thread::scope(|scope| {
            let reader = std::thread::Builder::new().stack_size(stack_bytes);
            let read = reader.spawn_scoped(scope, || Self::read(sources, types, people, base));
            let read = read.map_err(|error| failed(&format!("cannot start a thread to read policies: {error}")))?;
            read.join().unwrap_or_else(|_| Err(failed("these policies cannot be read")))
        })
    }

    fn read(sources: &[Source], types: &Types, people: People, base: Defaults) -> Result<Self, Problems> {
        let internal = |what: String| Problems(vec![PolicyProblem { path: "the schema".into(), line: 0, what }]);
        let (schema, _) =
            Schema::from_cedarschema_str(&schema(types)).map_err(|error| internal(format!("{error:?}")))?;
        let names = CedarNames::new(types).map_err(internal)?;
        let names_of = |capability| types.facts(capability).keys().map(|name| attribute(name)).collect();
        let facts = names.types.iter().map(|(capability, ty)| (ty.clone(), names_of(capability))).collect();
        let mut loaded = Loaded::new(sources, &schema, &people, &facts)?;
        let entities = people_entities(&people).map_err(internal)?;
        let mut apart = |set: fn(&mut Loaded) -> &mut PolicySet| {
            Partition::new(std::mem::take(set(&mut loaded)), names.types.values())
        };
        let (call, review) = (apart(|loaded| &mut loaded.call), apart(|loaded| &mut loaded.review));
        let (decide, grant) = (apart(|loaded| &mut loaded.decide), apart(|loaded| &mut loaded.grant));
        let right = |action, policies| Right::new(action, policies, &people, &names).map_err(internal);
        let (decide, grant) = (right("decide", decide)?, right("grant", grant)?);
        let types = types.clone();
        let mut read = Self { loaded, call, review, decide, grant, names, people, entities, types, base };
        read.decide.steady = read.steady(&read.decide).map_err(internal)?;
        read.grant.steady = read.steady(&read.grant).map_err(internal)?;
        Ok(read)
    }

    /// For each type of call for which the right depends only on the type: the reviewers with the right.
    fn steady(&self, right: &Right) -> Result<HashMap<EntityTypeName, Vec<ReviewerName>>, String> {
        let mut steady = HashMap::new();
        for ty in self.names.types.values().filter(|ty| right.policies.depends_only_on_scope(ty)) {
            let (agent, resource) = (of_type(&self.names.agent, ""), of_type(ty, ""));
            let (entities, context) = (self.entities.clone(), Context::empty());
            let query = CedarQuestion { agent, ty: ty.clone(), resource, entities, context };
            let holders =
                self.holders(right, &ReviewerName::default(), &query, &mut PolicyRecord::new(self.loaded.digest))?;
            steady.insert(ty.clone(), holders);
        }
        Ok(steady)
    }

    /// Probable mistakes.
    pub fn warnings(&self) -> &[PolicyProblem] {
        &self.loaded.warnings
    }

    /// Makes policies that are all evaluated for each reviewer, without the optimisations; for tests.
    #[cfg(test)]
    pub(super) fn whole(mut self) -> Self {
        [&mut self.call, &mut self.review].into_iter().for_each(Partition::together);
        for right in [&mut self.decide, &mut self.grant] {
            right.policies.together();
            right.everybody.iter_mut().for_each(|person| person.alike = None);
            right.steady.clear();
        }
        self.loaded.reads.iter_mut().for_each(|(_, is)| *is = true);
        self
    }

    /// The digest of the policy files.
    pub fn digest(&self) -> Digest {
        self.loaded.digest
    }

    /// The configured requirement for a call held at a time.
    pub(super) fn floor(&self, now: Time) -> Requirement {
        self.base.requirement(now)
    }

    /// The known reviewers and groups.
    pub fn people(&self) -> &People {
        &self.people
    }

    /// All policies by id, in the order of the files.
    pub fn locations(&self) -> &[(String, PolicyLocation)] {
        &self.loaded.locations
    }

    /// Whether a policy uses this attribute of the context.
    pub fn uses_attribute(&self, attribute: &str) -> bool {
        self.loaded.reads.iter().any(|(name, is)| *is && *name == attribute)
    }

    /// The type of a function that this host offers.
    pub(super) fn function(&self, capability: &Capability) -> Option<&FunctionType> {
        self.types.get(capability)
    }

    /// The facts of a capability.
    pub fn facts(&self, capability: &Capability) -> FactTypes {
        self.types.facts(capability)
    }

    /// The policies that clear, hold or refuse calls and those on who may decide, in Cedar's JSON form.
    pub fn decisive(&self) -> impl Iterator<Item = serde_json::Value> {
        let policies = self.call.all().policies().chain(self.decide.policies.all().policies());
        policies.filter_map(|policy| policy.to_json().ok())
    }

    /// The number of policies for each action: `call`, `review`, `decide`, `grant`.
    pub fn counts(&self) -> [usize; 4] {
        let about = |action| self.loaded.locations.iter().filter(|(_, place)| place.actions.contains(&action)).count();
        ACTIONS.map(about)
    }

    /// Evaluates the policies of an action that can apply to the call.
    fn ask(
        &self,
        policies: &Partition,
        action: &EntityUid,
        principal: &EntityUid,
        query: &CedarQuestion,
    ) -> Result<Response, String> {
        let (principal, resource, context) = (principal.clone(), query.resource.clone(), query.context.clone());
        let request = Request::new(principal, action.clone(), resource, context, None);
        let request = request.map_err(|error| error.to_string())?;
        Ok(Authorizer::new().is_authorized(&request, policies.for_type(&query.ty), &query.entities))
    }

    /// The configured requirement with the demands of all matching policies, limited to reviewers who may decide.
    fn requirement(
        &self,
        question: &CallQuestion<'_>,
        query: &CedarQuestion,
        record: &mut PolicyRecord,
    ) -> Result<Requirement, String> {
        let base = self.base.requirement(question.now);
        let response = self.ask(&self.review, &self.names.review, &query.agent, query)?;
        let diagnostics = response.diagnostics();
        record.errors.extend(diagnostics.errors().map(ToString::to_string));
        // A policy that could not be evaluated might have demanded more reviewers, so it counts as matching.
        let erred = diagnostics.errors().map(|error| {
            let AuthorizationError::PolicyEvaluationError(error) = error;
            error.policy_id()
        });
        let mut matched: Vec<_> = diagnostics.reason().chain(erred).collect();
        matched.sort();
        record.determining.extend(matched.iter().map(ToString::to_string));
        let demands: Vec<&ReviewDemand> = matched.iter().filter_map(|id| self.loaded.demands.get(*id)).collect();
        record.reasons.extend(demands.iter().filter_map(|demands| demands.why.clone()));
        let deciders = self.holders(&self.decide, question.started_by, query, record)?;
        let mut requirement = joint(&demands, base, &deciders, question.now);
        let grantors = self.holders(&self.grant, question.started_by, query, record)?;
        requirement.grantors = among(&Reviewers::Named(grantors), &deciders);
        Ok(requirement)
    }

    /// The reviewers with this right for the call. If a policy cannot be evaluated for a reviewer, the reviewer has no
    /// right. Reviewers whom no policy can distinguish are evaluated once; the run's starter is evaluated separately.
    fn holders(
        &self,
        right: &Right,
        started_by: &ReviewerName,
        query: &CedarQuestion,
        record: &mut PolicyRecord,
    ) -> Result<Vec<ReviewerName>, String> {
        if let Some(steady) = right.steady.get(&query.ty) {
            return Ok(steady.clone());
        }
        let mut holders = Vec::new();
        let mut said = BTreeMap::<usize, (bool, Vec<String>)>::new();
        for ReviewerEntity { name, uid, alike } in &right.everybody {
            let alike = alike.filter(|_| name != started_by);
            let (may, errors) = match alike.and_then(|alike| said.get(&alike)) {
                Some(said) => said.clone(),
                None => {
                    let response = self.ask(&right.policies, &right.action, uid, query)?;
                    let errors: Vec<String> = response.diagnostics().errors().map(ToString::to_string).collect();
                    (response.decision() == Decision::Allow && errors.is_empty(), errors)
                }
            };
            said.extend(alike.map(|alike| (alike, (may, errors.clone()))));
            holders.extend(may.then(|| name.clone()));
            record.errors.extend(errors);
        }
        Ok(holders)
    }
}

impl Policy for CedarPolicy {
    fn names(&self) -> Vec<String> {
        self.loaded.names()
    }

    fn uses_totals(&self) -> bool {
        self.loaded.uses_totals
    }

    fn model_totals(&self) -> &[&'static str] {
        &self.loaded.model_totals
    }

    fn depends_on_time(&self) -> bool {
        self.loaded.depends_on_time
    }

    fn zone(&self) -> Zone {
        self.base.zone.clone()
    }

    fn forbidden_now(&self, call: &JudgedCall<'_>, now: Time) -> Option<Sentence> {
        call.forbidden_now(self, now)
    }

    /// If the question cannot be evaluated at all, the reviewers are unknown. So the call is refused and not held.
    fn judge(&self, question: &CallQuestion<'_>) -> Judgement {
        let mut record = PolicyRecord::new(self.loaded.digest);
        record.totals = question.totals.to_vec();
        record.judged_at =
            self.depends_on_time().then(|| JudgedAt { at: question.now, zone: self.base.zone.name().to_owned() });
        match self.verdict(question, &mut record) {
            Ok((verdict, requirement)) => Judgement { verdict, requirement, record },
            Err(error) => {
                record.errors.push(error.clone());
                let verdict = Verdict::Refuse(say!("policy cannot be evaluated for the call: {}", quote(error)));
                Judgement { verdict, requirement: self.base.requirement(question.now), record }
            }
        }
    }
}

impl CedarPolicy {
    /// The verdict, and the requirement that applies if the call is held now, or later after a changed fact.
    fn verdict(
        &self,
        question: &CallQuestion<'_>,
        record: &mut PolicyRecord,
    ) -> Result<(Verdict, Requirement), String> {
        let (reads, zone) = (&self.loaded.reads, &self.base.zone);
        let query = CedarQuestion::new(question, &self.names, &self.entities, reads, zone, &mut record.errors)?;
        let response = self.ask(&self.call, &self.names.call, &query.agent, &query)?;
        let mut reasons: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
        reasons.sort();
        record.errors.extend(response.diagnostics().errors().map(ToString::to_string));
        record.determining.extend(reasons.iter().cloned());
        if response.decision() == Decision::Deny && !reasons.is_empty() {
            let why = reasons.iter().map(|id| self.why(id)).collect::<Vec<_>>().join("; ");
            return Ok((
                Verdict::Refuse(say!("policy forbids the call: {}", configured(why))),
                self.base.requirement(question.now),
            ));
        }
        let mut review = PolicyRecord::new(self.loaded.digest);
        let requirement = self.requirement(question, &query, &mut review)?;
        let said = record.determining.iter().chain(&review.determining);
        let material = said.filter_map(|name| self.loaded.material.get(name)).flatten().cloned();
        record.material = material.collect::<BTreeSet<String>>().into_iter().collect();
        if response.decision() == Decision::Allow && record.may_clear() {
            return Ok((Verdict::Clear, requirement));
        }
        record.determining.extend(review.determining);
        record.errors.extend(review.errors);
        record.reasons = review.reasons;
        let met = requirement.can_be_met(self.people.names(), question.started_by, None);
        let refuse = |why| Verdict::Refuse(say!("the requirement of the call cannot be met: {}", configured(why)));
        Ok((met.map_or_else(refuse, |()| Verdict::Hold), requirement))
    }

    /// The operator's reason for a policy or, if there is none, the policy's id.
    fn why(&self, id: &str) -> String {
        let id = cedar_policy::PolicyId::new(id);
        self.call.all().annotation(&id, "why").map_or_else(|| format!("`{id}`"), str::to_owned)
    }
}

/// The joint requirement of several `review` policies and the configuration, limited to reviewers who may decide.
pub(super) fn joint(demands: &[&ReviewDemand], base: Requirement, deciders: &[ReviewerName], now: Time) -> Requirement {
    let each = demands.iter().map(|demands| demands.requirement(&base, now));
    let all = each.reduce(|one, other| one.strictest(&other));
    let mut requirement = with_base(all, base);
    let demanded = requirement.stages.iter_mut().flatten().map(|demand| &mut demand.reviewers);
    let called_in = requirement.escalations.iter_mut().map(|escalation| &mut escalation.reviewers);
    for reviewers in demanded.chain(called_in) {
        *reviewers = among(reviewers, deciders);
    }
    requirement
}

/// Adds the configured requirement. A configured demand is left out if a policy demands at least as many approvals of
/// the same reviewers.
fn with_base(requirement: Option<Requirement>, base: Requirement) -> Requirement {
    let Some(asked) = requirement else { return base };
    let mut stages = asked.stages.clone();
    // A stage without demands is dropped.
    stages.retain(|stage| !stage.is_empty());
    let covered = |demand: &Demand| stages.iter().flatten().any(|other| other.covers(demand));
    let mut floor = base.clone();
    floor.stages =
        base.stages.iter().map(|stage| stage.iter().filter(|demand| !covered(demand)).cloned().collect()).collect();
    Requirement { stages, ..asked }.strictest(&floor)
}

/// The reviewers of a set who may decide.
fn among(reviewers: &Reviewers, deciders: &[ReviewerName]) -> Reviewers {
    Reviewers::Named(deciders.iter().filter(|name| reviewers.includes(name)).cloned().collect())
}
