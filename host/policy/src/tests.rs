//! The optimised judging gives the same verdicts as judging all policies for all reviewers.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{CallQuestion, Policy, Verdict};

mod asks;

use asks::{Asks, DEPLOY, policies};

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
/// Conditions on any call. The last condition fails with an overflow.
const CONDITIONS: [&str; 6] = [
    "",
    "when { context.consequence == \"low\" }",
    "unless { context.totals.run.count < 2 }",
    "when { context.run.started_by in Group::\"finance\" }",
    "when { context.totals.today.sum > 100 || Person::\"eve\" in Group::\"board\" }",
    "when { context.totals.today.sum * 9223372036854775807 > 1 }",
];
const AGENTS: [&str; 3] = ["principal", "principal == Agent::\"billing\"", "principal == Agent::\"other\""];
/// The principals of policies on `decide`. Dan and eve differ only in their names.
const PEOPLE: [&str; 4] =
    ["principal", "principal in Group::\"finance\"", "principal in Group::\"board\"", "principal == Person::\"dan\""];
/// Policies on who may decide.
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
