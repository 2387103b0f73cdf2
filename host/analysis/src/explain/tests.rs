//! The changes that an explanation reports really give another verdict.

use serde_json::json;

use super::{DecisiveChange, Explanation, explain};
use asks::{Asks, policies};

#[path = "../../../policy/src/tests/asks.rs"]
mod asks;

/// The changes of an explanation as sentences.
fn changes(explanation: &Explanation) -> Vec<String> {
    let one = |change: &DecisiveChange| {
        let different: Vec<String> =
            change.different.iter().map(|one| format!("{} {} -> {}", one.place, one.from, one.to)).collect();
        format!("{}: {}", change.verdict, different.join(" and "))
    };
    explanation.changes.iter().map(one).collect()
}

fn explained(text: &str, asks: &Asks) -> (&'static str, Vec<String>) {
    let policies = policies(&format!("{text}\npermit (principal, action == Action::\"decide\", resource);"));
    let explanation = explain(&policies, &asks.question(), false);
    (explanation.judgement.verdict.word().as_str(), changes(&explanation))
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
    // The boundary is not itself a constant of the policy.
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
