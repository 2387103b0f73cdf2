//! Test cases for `holdshort policy test` and its page: invented calls with expected verdicts.

use std::collections::BTreeMap;

use holdshort_gate::totals::{MODEL_COST, MODEL_TOKENS, counters, model};
use holdshort_gate::{
    Action, AgentName, Capability, Consequence, Digest, FunctionType, Mismatch, PolicyVerdict, RecordedTotal,
    Requirement, ReviewerName, RunId, Time, Total, WitType,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::batch::OwnedQuestion;
use super::schema::{Types, entity_type};
use super::{Judgement, Policy, Verdict, values};
use holdshort_common::once::once;
use holdshort_config::Zone;

/// A file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cases {
    /// The cases, each under `[[case]]`.
    pub case: Vec<Case>,
}

/// The result of a case.
#[derive(Debug, Serialize)]
pub struct CaseResult {
    pub name: String,
    pub verdict: PolicyVerdict,
    /// The policies that determined the verdict.
    pub by: Vec<String>,
    /// Policies that could not be evaluated.
    pub errors: Vec<String>,
    /// Who must decide, if the call is held.
    pub needs: String,
    /// The reason for a refusal; otherwise empty.
    pub why: String,
    /// The difference from the expectation, if there is one.
    pub differs: Option<String>,
}

impl Cases {
    /// The questions of all cases. A time without an offset is in `zone`.
    pub fn questions(&self, zone: &Zone, types: &Types) -> Result<Vec<OwnedQuestion>, String> {
        let question =
            |case: &Case| case.question(zone, types).map_err(|error| format!("case `{}`: {error}", case.name));
        self.case.iter().map(question).collect()
    }

    /// The results for these verdicts. `needs` writes a requirement as text.
    pub fn results(&self, judgements: Vec<Judgement>, needs: impl Fn(&Requirement) -> String) -> Vec<CaseResult> {
        let tried = |(case, judgement): (&Case, Judgement)| {
            let needs = needs(&judgement.requirement);
            let differs = case.differs(&judgement, &needs);
            let verdict = judgement.verdict.word();
            let why = match judgement.verdict {
                Verdict::Refuse(why) => why.into_string(),
                Verdict::Clear | Verdict::Hold => String::new(),
            };
            let (by, errors) = (judgement.record.determining, judgement.record.errors);
            CaseResult { name: case.name.clone(), verdict, by, errors, needs, why, differs }
        };
        self.case.iter().zip(judgements).map(tried).collect()
    }
}

impl CaseResult {
    /// One line with the verdict, the determining policies, and the requirement or the reason for a
    /// refusal.
    pub fn one_line(&self) -> String {
        let mut line = self.verdict.to_string();
        if !self.by.is_empty() {
            line += &format!(", by {}", self.by.join(", "));
        }
        match self.verdict {
            PolicyVerdict::Hold => line += &format!("; needs {}", self.needs),
            PolicyVerdict::Refuse => line += &format!("; {}", self.why),
            PolicyVerdict::Clear => {}
        }
        line
    }
}

/// An invented call with its expected verdict.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Case {
    /// The case's name.
    pub name: String,
    /// The capability, written as its type in policies (`payments::TransferFunds`) or as its full
    /// name (`holdshort:agent/payments@0.1.0#transfer-funds`).
    pub call: String,
    /// The arguments in the JSON form of WIT values: a table, or JSON text, because TOML has no
    /// `null`.
    pub arguments: Value,
    /// The facts, as a table or as JSON text.
    #[serde(default)]
    pub facts: Value,
    /// How much is at stake; `high` by default.
    #[serde(default)]
    pub consequence: Consequence,
    /// The agent; `agent` by default.
    #[serde(default = "agent")]
    pub agent: AgentName,
    /// Who started the run; `nobody` by default.
    #[serde(default = "nobody")]
    pub started_by: ReviewerName,
    /// The time as RFC 3339. A time without an offset is in the configured time zone. The default
    /// is noon of 2026-01-01 in UTC.
    pub now: Option<String>,
    /// The totals before the call; zero by default.
    #[serde(default)]
    pub totals: CaseTotals,
    /// The expected verdict.
    pub expect: PolicyVerdict,
    /// The expected determining policies in any order.
    pub by: Option<Vec<String>>,
    /// The expected requirement, as `holdshort policy test` prints it.
    pub needs: Option<String>,
}

/// The totals before a call.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct CaseTotals {
    run: CaseTotal,
    agent: CaseTotal,
    agent_today: CaseTotal,
    today: CaseTotal,
}

/// A number of calls, and their money in the call's currency in minor units; and what language models have cost.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct CaseTotal {
    count: u64,
    sum: u64,
    model_cost: u64,
    model_tokens: u64,
}

fn agent() -> AgentName {
    "agent".into()
}

fn nobody() -> ReviewerName {
    "nobody".into()
}

/// Why a case is invalid.
#[derive(Debug, thiserror::Error)]
pub enum BadCase {
    /// There is no such capability.
    #[error("unknown call `{0}`; known calls: {1}")]
    NoSuchCall(String, String),
    /// The arguments do not have the function's type.
    #[error("arguments: {0}")]
    Arguments(#[from] Mismatch),
    /// The time is invalid.
    #[error("`now` is `{0}`: {1}")]
    Time(String, String),
    /// The JSON text is invalid.
    #[error("`{0}` is a text, but not JSON: {1}")]
    Json(&'static str, String),
}

impl Case {
    /// Policy's verdict on the case.
    pub fn judge(&self, policy: &dyn Policy, types: &Types) -> Result<Judgement, BadCase> {
        let question = self.question(&policy.zone(), types)?;
        let question = question.question(types).ok_or_else(|| BadCase::NoSuchCall(self.call.clone(), String::new()))?;
        Ok(policy.judge(&question))
    }

    /// The case as a question to policy.
    fn question(&self, zone: &Zone, types: &Types) -> Result<OwnedQuestion, BadCase> {
        let (action, _) = self.action(types)?;
        let now = match &self.now {
            None => Time(1_767_268_800_000_000),
            Some(text) => zone.moment(text).map_err(|why| BadCase::Time(text.clone(), why))?,
        };
        let (facts, run) = (json("facts", &self.facts)?, RunId("case".into()));
        let totals = self.totals(&run, &action, now);
        let (started_by, agent) = (self.started_by.clone(), self.agent.clone());
        Ok(OwnedQuestion { started_by, agent, run, action, facts, consequence: self.consequence, totals, now })
    }

    /// The action, and the type of its function.
    pub fn action<'a>(&self, types: &'a Types) -> Result<(Action, &'a FunctionType), BadCase> {
        let (capability, ty) = self.capability(types)?;
        let mut arguments = json("arguments", &self.arguments)?;
        if let Some(arguments) = arguments.as_object_mut() {
            fill_fields(&ty.params, arguments);
        }
        Ok((Action::new(Digest::of(b"case"), capability.clone(), ty, &arguments)?, ty))
    }

    fn capability<'a>(&self, types: &'a Types) -> Result<(&'a Capability, &'a FunctionType), BadCase> {
        let name = |capability: &Capability| {
            let (space, name) = entity_type(capability);
            format!("{space}::{name}")
        };
        let found = types.iter().find(|(of, _)| of.to_string() == self.call || name(of) == self.call);
        let known = || types.iter().map(|(of, _)| name(of)).collect::<Vec<_>>().join(", ");
        found.ok_or_else(|| BadCase::NoSuchCall(self.call.clone(), known()))
    }

    fn totals(&self, run: &RunId, action: &Action, now: Time) -> Vec<RecordedTotal> {
        let CaseTotals { run: in_run, agent, agent_today, today } = &self.totals;
        let currency = values::currency(action);
        let total = |one: &CaseTotal| {
            let sums = currency.iter().map(|currency| (currency.clone(), one.sum)).collect::<BTreeMap<_, _>>();
            Total { count: one.count, sums }
        };
        let spent = |one: &CaseTotal| {
            let sums = [(MODEL_COST.to_owned(), one.model_cost), (MODEL_TOKENS.to_owned(), one.model_tokens)];
            Total { count: one.count, sums: sums.into() }
        };
        let scopes = [in_run, agent, agent_today, today];
        let counted = |of: &Capability| counters(run, &self.agent, of, now).into_iter().zip(scopes);
        let own = counted(action.capability()).map(|(counter, one)| RecordedTotal { counter, total: total(one) });
        let model = model();
        let models = model.iter().flat_map(counted).map(|(counter, one)| RecordedTotal { counter, total: spent(one) });
        own.chain(models).collect()
    }

    /// The difference from the expectation, as text; `None` if there is no difference. `needs` is
    /// the requirement as text.
    pub fn differs(&self, judgement: &Judgement, needs: &str) -> Option<String> {
        let found = judgement.verdict.word();
        if found != self.expect {
            return Some(format!("expected the verdict `{}`, but the verdict is `{found}`", self.expect));
        }
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort();
            names.join(", ")
        };
        let by = self.by.as_ref().map(|by| (sorted(by), sorted(&judgement.record.determining)));
        if let Some((expected, found)) = by.filter(|(expected, found)| expected != found) {
            return Some(format!(
                "expected the determining policies `{expected}`, but the determining policies are `{found}`"
            ));
        }
        let wanted = self.needs.as_ref().filter(|wanted| *wanted != needs)?;
        Some(format!("expected the requirement `{wanted}`, but the requirement is `{needs}`"))
    }
}

/// The value of a table or of JSON text.
fn json(name: &'static str, value: &Value) -> Result<Value, BadCase> {
    let Value::String(text) = value else { return Ok(value.clone()) };
    once(text.as_bytes()).map_err(|error| BadCase::Json(name, error.to_string()))
}

/// Adds null for each optional field that is missing, because TOML has no null.
fn fill_fields(fields: &[(String, WitType)], found: &mut Map<String, Value>) {
    for (name, ty) in fields {
        if matches!(ty, WitType::Option(_)) {
            found.entry(name.clone()).or_insert(Value::Null);
        }
        if let Some(value) = found.get_mut(name) {
            fill(ty, value);
        }
    }
}

/// Adds null for each missing optional field at any depth inside a value.
fn fill(ty: &WitType, value: &mut Value) {
    match (ty, value) {
        (WitType::Record(fields), Value::Object(found)) => fill_fields(fields, found),
        (WitType::List(item), Value::Array(items)) => items.iter_mut().for_each(|value| fill(item, value)),
        (WitType::Tuple(types), Value::Array(items)) => {
            types.iter().zip(items).for_each(|(ty, value)| fill(ty, value));
        }
        (WitType::Variant(cases), Value::Object(found)) => {
            for (name, ty) in cases {
                if let (Some(ty), Some(value)) = (ty, found.get_mut(name)) {
                    fill(ty, value);
                }
            }
        }
        (WitType::Result { ok, err }, Value::Object(found)) => {
            for (name, ty) in [("ok", ok), ("err", err)] {
                if let (Some(ty), Some(value)) = (ty, found.get_mut(name)) {
                    fill(ty, value);
                }
            }
        }
        // An option of an option is written `{"some": …}`.
        (WitType::Option(inner), value) => match value.get_mut("some") {
            Some(some) if matches!(**inner, WitType::Option(_)) => fill(inner, some),
            _ => fill(inner, value),
        },
        _ => {}
    }
}
