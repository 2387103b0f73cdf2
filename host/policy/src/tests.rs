//! The optimised judging gives the same verdicts as judging everything, and explanations are true.

use holdshort_gate::totals::counters;
use holdshort_gate::{
    Action, Capability, Consequence, Counted, Digest, FunctionType, Requirement, Reviewers, RunId, Time, Total, WitType,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::cases::verdict;
use super::explain::{Explanation, explain};
use super::load::Source;
use super::schema::Types;
use super::{Base, CallQuestion, CedarPolicy, People, Policy, Verdict};

const DEPLOY: &str = "holdshort:agent/deployment@0.1.0#deploy";

fn types() -> Types {
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
        .collect()
}

fn policies(text: &str) -> CedarPolicy {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let groups =
        [("finance", &["ann", "ben"][..]), ("board", &["cyd", "ben"]), ("all", &["ann", "ben", "cyd", "dan", "eve"])];
    let groups = groups.into_iter().map(|(name, members)| (name.to_owned(), names(members))).collect();
    let people = People::new(names(&["ann", "ben", "cyd", "dan", "eve", "fay"]), groups);
    let base = Base::new(|_| Requirement::plain(Reviewers::Any, 1, 60_000));
    let source = Source { path: "p.cedar".into(), text: text.into() };
    CedarPolicy::load(&[source], &types(), people, base).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

/// A call and its caller.
struct Asks {
    capability: Capability,
    types: Types,
    action: Action,
    agent: String,
    started_by: String,
    run: RunId,
    totals: Vec<Counted>,
}

impl Asks {
    fn new(capability: &str, arguments: &Value) -> Self {
        let (capability, types): (Capability, _) = (capability.parse().unwrap(), types());
        let action =
            Action::new(Digest::of(b"agent"), capability.clone(), types.get(&capability).unwrap(), arguments).unwrap();
        let (run, agent) = (RunId("run".into()), "billing".to_owned());
        let counted = |counter| Counted { counter, total: Total { count: 2, sums: [("EUR".to_owned(), 300)].into() } };
        let totals = counters(&run, &agent, &capability, Time(0)).map(counted).into();
        Self { capability, types, action, agent, started_by: "dan".into(), run, totals }
    }

    fn pay(minor_units: u64) -> Self {
        let amount = json!({"minor-units": minor_units.to_string(), "currency": "EUR"});
        Self::new(
            "acme:bank/pay@1.0.0#pay",
            &json!({"to": "landlord", "amount": amount, "urgent": false, "score": 0.5}),
        )
    }

    fn question(&self) -> CallQuestion<'_> {
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

/// A policy uses the reference that the host found, not the agent's text.
#[test]
fn a_policy_goes_by_the_reference_that_was_found() {
    let policy = policies(
        r#"permit (principal, action == Action::"call", resource is deployment::Deploy)
        when { resource.facts has reference && resource.facts.reference like "refs/heads/release/*" };
        permit (principal, action == Action::"decide", resource);"#,
    );
    for (text, reference, expected) in [
        ("release/1.0", json!("refs/heads/release/1.0"), Verdict::Clear),
        ("refs/heads/release/1.0", json!("refs/heads/release/1.0"), Verdict::Clear),
        ("release/1.0", json!("refs/tags/release/1.0"), Verdict::Hold),
        ("release/1.0", json!("refs/heads/refs/heads/release/1.0"), Verdict::Hold),
        ("release/1.0", json!("refs/heads/feature"), Verdict::Hold),
        ("release/1.0", Value::Null, Verdict::Hold),
        ("refs/heads/release/1.0", Value::Null, Verdict::Hold),
    ] {
        let release = json!({ "target": "production", "revision": text, "notes": "" });
        let asks = Asks::new(DEPLOY, &json!({ "release": release }));
        let facts = json!({ "old-commit": null, "new-commit": "1".repeat(40), "reference": reference });
        let judged = policy.judge(&CallQuestion { facts: &facts, ..asks.question() });
        assert_eq!((judged.verdict, judged.record.errors), (expected, Vec::new()), "{text} {reference}");
    }
    // A call recorded before this fact existed is held.
    let asks =
        Asks::new(DEPLOY, &json!({ "release": { "target": "production", "revision": "release/1.0", "notes": "" } }));
    let facts = json!({ "old-commit": null, "new-commit": "1".repeat(40) });
    assert_eq!(policy.judge(&CallQuestion { facts: &facts, ..asks.question() }).verdict, Verdict::Hold);
}

const RESOURCES: [&str; 4] = [
    "resource",
    "resource is acme::bank::pay::Pay",
    "resource is acme::mail::send::Send",
    "resource == acme::mail::send::Send::\"nothing\"",
];
/// Conditions on any call; the last of them fails.
const CONDITIONS: [&str; 6] = [
    "",
    "when { context.consequence == \"low\" }",
    "unless { context.totals.run.count < 2 }",
    "when { context.run.started_by in Group::\"finance\" }",
    "when { context.totals.today.sum > 100 || Person::\"eve\" in Group::\"board\" }",
    "when { context.totals.today.sum * 9223372036854775807 > 1 }",
];
const AGENTS: [&str; 3] = ["principal", "principal == Agent::\"billing\"", "principal == Agent::\"other\""];
/// Only their names distinguish dan and eve.
const PEOPLE: [&str; 4] =
    ["principal", "principal in Group::\"finance\"", "principal in Group::\"board\"", "principal == Person::\"dan\""];
/// Policies on people.
const DECIDES: [&str; 3] = [
    "when { principal != context.run.started_by }",
    "when { principal == Person::\"cyd\" }",
    "unless { principal in Group::\"all\" }",
];

/// A policy on one of the actions, with its scope written in several ways.
fn policy(actions: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    (actions, any::<bool>(), 0..RESOURCES.len(), 0..CONDITIONS.len() + DECIDES.len(), 0..4usize).prop_map(
        |(action, forbid, resource, condition, who)| {
            let effect = if forbid && action != 1 { "forbid" } else { "permit" };
            let who = if action == 2 { PEOPLE[who] } else { AGENTS[who % AGENTS.len()] };
            let condition = match CONDITIONS.get(condition) {
                Some(condition) => condition,
                None if action == 2 => DECIDES[condition - CONDITIONS.len()],
                None => "",
            };
            let action = ["call", "review", "decide"][action];
            let asks = if action == "review" { "@reviewers(\"finance, dan\") @quorum(\"2\")" } else { "" };
            format!("{asks}\n{effect} ({who}, action == Action::\"{action}\", {})\n{condition};\n", RESOURCES[resource])
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_short_way_says_what_the_long_one_says(
        texts in proptest::collection::vec(policy(0..3), 1..8),
        who in proptest::collection::vec(policy(2..3), 1..4),
    ) {
        let text = texts.concat() + &who.concat();
        let (short, long) = (policies(&text), policies(&text).whole());
        let mail = Asks::new("acme:mail/send@1.0.0#send", &json!({"to": ["a"], "note": null}));
        for mut asks in [Asks::pay(500), mail] {
            for (started_by, agent) in ["ann", "dan", "fay", "nobody"].into_iter().flat_map(|by| [(by, "billing"), (by, "other")]) {
                (asks.started_by, asks.agent) = (started_by.into(), agent.into());
                prop_assert_eq!(short.judge(&asks.question()), long.judge(&asks.question()), "{}", text);
            }
        }
    }
}

/// The changes of an explanation as sentences.
fn changes(explanation: &Explanation) -> Vec<String> {
    let one = |change: &super::explain::Change| {
        let different: Vec<String> =
            change.different.iter().map(|one| format!("{} {} -> {}", one.place, one.from, one.to)).collect();
        format!("{}: {}", change.verdict, different.join(" and "))
    };
    explanation.changes.iter().map(one).collect()
}

fn explained(text: &str, asks: &Asks) -> (&'static str, Vec<String>) {
    let policies = policies(&format!("{text}\npermit (principal, action == Action::\"decide\", resource);"));
    let explanation = explain(&policies, &asks.question(), false);
    (verdict(&explanation.judgement), changes(&explanation))
}

const SMALL: &str = "permit (principal, action == Action::\"call\", resource is acme::bank::pay::Pay) when";

#[test]
fn the_nearest_number_is_found() {
    let (verdict, changes) =
        explained(&format!("{SMALL} {{ resource.arguments.amount.minor_units <= 50000 }};"), &Asks::pay(60_000));
    assert_eq!(
        (verdict, &changes[..]),
        ("hold", &["clear: resource.arguments.amount.minor_units 60000 -> 50000".to_owned()][..])
    );
    // No constant is the boundary itself.
    let sum = format!("{SMALL} {{ context.totals.agent.sum + resource.arguments.amount.minor_units <= 50000 }};");
    let (_, changes) = explained(&sum, &Asks::pay(60_000));
    assert_eq!(changes[0], "clear: resource.arguments.amount.minor_units 60000 -> 49700");
    let (verdict, changes) = explained(&sum, &Asks::pay(49_700));
    assert_eq!(verdict, "clear");
    assert_eq!(
        changes[..2],
        ["hold: resource.arguments.amount.minor_units 49700 -> 49701", "hold: context.totals.agent.sum 300 -> 301"]
    );
}

#[test]
fn every_kind_of_attribute_is_tried() {
    for (condition, expected) in [
        ("resource.arguments.urgent", "clear: resource.arguments.urgent false -> true"),
        ("resource.arguments.to == \"baker\"", "clear: resource.arguments.to \"landlord\" -> \"baker\""),
        ("resource.arguments.to != \"landlord\"", "clear: resource.arguments.to \"landlord\" -> something else"),
        (
            "resource.arguments.amount has amount && resource.arguments.amount.amount.lessThan(decimal(\"500.00\"))",
            "clear: resource.arguments.amount.minor_units 60000 -> 49999",
        ),
        ("resource.arguments.score.greaterThanOrEqual(decimal(\"0.9\"))", "clear: resource.arguments.score 0.5 -> 0.9"),
        ("context.consequence == \"low\"", "clear: context.consequence \"medium\" -> \"low\""),
        ("context.run.started_by in Group::\"finance\"", "clear: context.run.started_by \"dan\" -> \"ann\""),
        ("principal == Agent::\"other\"", "clear: the agent \"billing\" -> \"other\""),
        ("context.totals.today.count >= 10", "clear: context.totals.today.count 2 -> 10"),
        (
            "context.now < datetime(\"2026-01-01T08:00:00Z\")",
            "clear: context.now 2026-01-01T12:00:00Z -> 2026-01-01T07:59:59.999Z",
        ),
        (
            "context.now.toTime() >= duration(\"18h\")",
            "clear: context.now 2026-01-01T12:00:00Z -> 2026-01-01T18:00:00Z",
        ),
    ] {
        let (verdict, changes) = explained(&format!("{SMALL} {{ {condition} }};"), &Asks::pay(60_000));
        assert_eq!(
            (verdict, changes.first().map(String::as_str)),
            ("hold", Some(expected)),
            "{condition}: {changes:?}"
        );
    }
    let outside = "permit (principal, action == Action::\"call\", resource is acme::mail::send::Send)
        when { resource.arguments.to.items.contains(\"boss\") && resource.arguments.to.count <= 2 };";
    let mail = Asks::new("acme:mail/send@1.0.0#send", &json!({"to": ["a"], "note": null}));
    assert_eq!(explained(outside, &mail).1[0], "clear: resource.arguments.to [\"a\"] -> [\"a\",\"boss\"]");
}

#[test]
fn where_no_single_change_would_do_two_are_tried() {
    let both = format!("{SMALL} {{ resource.arguments.urgent && resource.arguments.amount.minor_units < 100 }};");
    let (verdict, changes) = explained(&both, &Asks::pay(60_000));
    let expected =
        "clear: resource.arguments.amount.minor_units 60000 -> 99 and resource.arguments.urgent false -> true";
    assert_eq!((verdict, &changes[..]), ("hold", &[expected.to_owned()][..]));
    let never = format!(
        "{SMALL} {{ resource.arguments.to == \"a\" && resource.arguments.urgent && context.consequence == \"low\" }};"
    );
    assert_eq!(explained(&never, &Asks::pay(60_000)).1, [""; 0]);
}
