//! Calls and policies for the tests of this package and of `host/analysis`.

use holdshort_gate::totals::counters;
use holdshort_gate::{
    Action, AgentName, Capability, Consequence, Digest, FunctionType, RecordedTotal, Requirement, ReviewerName,
    Reviewers, RunId, Time, Total, WitType,
};
use holdshort_policy::load::Source;
use holdshort_policy::schema::Types;
use holdshort_policy::{CallQuestion, CedarPolicy, Defaults, People};
use serde_json::{Value, json};

pub(crate) const DEPLOY: &str = "holdshort:agent/deployment@0.1.0#deploy";

pub(crate) fn types() -> Types {
    let money = WitType::Record(vec![("minor-units".into(), WitType::U64), ("currency".into(), WitType::String)]);
    let texts = WitType::List(Box::new(WitType::String));
    let params = |params: &[(&str, &WitType)]| FunctionType {
        params: params.iter().map(|(name, ty)| ((*name).to_owned(), (*ty).clone())).collect(),
        result: None,
    };
    let pay = [("to", &WitType::String), ("amount", &money), ("urgent", &WitType::Bool), ("score", &WitType::F32)];
    let send = [("to", &texts), ("note", &WitType::Option(Box::new(WitType::U8)))];
    let release = ["target", "revision", "notes"].map(|name| (name.to_owned(), WitType::String));
    let deploy = params(&[("release", &WitType::Record(release.into()))]);
    [("acme:bank/pay@1.0.0#pay", params(&pay)), ("acme:mail/send@1.0.0#send", params(&send)), (DEPLOY, deploy)]
        .into_iter()
        .map(|(name, ty)| (name.parse().unwrap(), ty))
        .collect::<Types>()
        .with_facts(holdshort_connectors::facts())
}

pub(crate) fn policies(text: &str) -> CedarPolicy {
    let names = |names: &[&'static str]| names.iter().map(|name| ReviewerName::from(*name)).collect::<Vec<_>>();
    let groups =
        [("finance", &["ann", "ben"][..]), ("board", &["cyd", "ben"]), ("all", &["ann", "ben", "cyd", "dan", "eve"])];
    let groups = groups.into_iter().map(|(name, members)| (name.to_owned(), names(members))).collect();
    let people = People::new(names(&["ann", "ben", "cyd", "dan", "eve", "fay"]), groups);
    let base = Defaults::new(|_| Requirement::plain(Reviewers::Any, 1, 60_000));
    let source = Source { path: "p.cedar".into(), text: text.into() };
    CedarPolicy::load(&[source], &types(), people, base).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

/// A call and its caller.
pub(crate) struct Asks {
    pub(crate) capability: Capability,
    pub(crate) types: Types,
    pub(crate) action: Action,
    pub(crate) agent: AgentName,
    pub(crate) started_by: ReviewerName,
    pub(crate) run: RunId,
    pub(crate) totals: Vec<RecordedTotal>,
}

impl Asks {
    pub(crate) fn new(capability: &str, arguments: &Value) -> Self {
        let (capability, types): (Capability, _) = (capability.parse().unwrap(), types());
        let action =
            Action::new(Digest::of(b"agent"), capability.clone(), types.get(&capability).unwrap(), arguments).unwrap();
        let (run, agent) = (RunId("run".into()), AgentName::from("billing"));
        let counted =
            |counter| RecordedTotal { counter, total: Total { count: 2, sums: [("EUR".to_owned(), 300)].into() } };
        let totals = counters(&run, &agent, &capability, Time(0)).map(counted).into();
        Self { capability, types, action, agent, started_by: "dan".into(), run, totals }
    }

    pub(crate) fn pay(minor_units: u64) -> Self {
        let amount = json!({"minor-units": minor_units.to_string(), "currency": "EUR"});
        Self::new(
            "acme:bank/pay@1.0.0#pay",
            &json!({"to": "landlord", "amount": amount, "urgent": false, "score": 0.5}),
        )
    }

    pub(crate) fn question(&self) -> CallQuestion<'_> {
        CallQuestion {
            started_by: &self.started_by,
            agent: &self.agent,
            run: &self.run,
            action: &self.action,
            ty: self.types.get(&self.capability).unwrap(),
            facts: &Value::Null,
            consequence: Consequence::Medium,
            totals: &self.totals,
            now: Time(1_767_268_800_000_000),
        }
    }
}
