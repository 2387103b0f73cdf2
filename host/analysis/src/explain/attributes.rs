//! All attributes of a call that an explanation changes, one by one.

use std::collections::BTreeSet;

use holdshort_gate::{Consequence, ReviewerName};
use serde_json::{Value, json};

use super::attribute::{Attribute, AttributePath, SOMETHING_ELSE, Spelling, TriedValues, numbers};
use super::constants::Constants;
use super::value_attributes::AttributeCollector;
use super::{CallQuestion, Variant};
use holdshort_policy::schema::attribute;
use holdshort_policy::{CedarPolicy, Policy, Zone, currency};

/// The number of hours before and after the call that are tried. Further away, only whole days are
/// tried.
const HOURS: i128 = 24;
/// The milliseconds of an hour.
const HOUR: i128 = 3_600_000;

/// All attributes of a call.
pub(super) fn attributes(
    variant: &Variant,
    question: &CallQuestion<'_>,
    constants: &Constants,
    policy: &CedarPolicy,
) -> Vec<Attribute> {
    let mut made = Vec::new();
    for (name, ty) in &question.ty.params {
        let (pointer, place) = (format!("/{name}"), format!("resource.arguments.{}", attribute(name)));
        AttributeCollector { root: AttributePath::Arguments, constants, made: &mut made }.add(
            ty,
            variant.arguments.get(name),
            pointer,
            place,
        );
    }
    for (name, ty) in policy.facts(question.action.capability()) {
        let (pointer, place) = (format!("/{name}"), format!("resource.facts.{}", attribute(&name)));
        if !name.starts_with("checks-") {
            AttributeCollector { root: AttributePath::Facts, constants, made: &mut made }.add(
                &ty,
                variant.facts.get(&name),
                pointer,
                place,
            );
        }
    }
    made.extend(checks(&variant.facts, constants));
    if policy.uses_totals() {
        made.extend(totals(variant, question, constants));
    }
    made.push(moments(variant, constants, policy.uses_attribute("local").then(|| policy.zone())));
    let others = |from: &str, all: Vec<&str>| {
        let tries = all.into_iter().filter(|one| *one != from).map(|one| json!(one)).collect();
        TriedValues::Words { from: json!(from), tries }
    };
    let people = policy.people().names().iter().map(ReviewerName::as_str).chain([SOMETHING_ELSE]).collect();
    let started_by = others(question.started_by.as_str(), people);
    made.push(Attribute::new(AttributePath::StartedBy, "context.run.started_by".into(), started_by));
    let agents = constants.agents.iter().map(String::as_str).chain([SOMETHING_ELSE]).collect();
    made.push(Attribute::new(AttributePath::Agent, "the agent".into(), others(question.agent.as_str(), agents)));
    let all = [Consequence::Low, Consequence::Medium, Consequence::High].map(Consequence::name).to_vec();
    made.push(Attribute::new(
        AttributePath::Consequence,
        "context.consequence".into(),
        others(question.consequence.name(), all),
    ));
    made
}

/// The time of the call. The values to try include the times with which the policies compare.
fn moments(variant: &Variant, constants: &Constants, zone: Option<Zone>) -> Attribute {
    let now = i128::from(variant.now.0 / 1_000);
    let mut kind = numbers(now, Spelling::Moment, constants, 0);
    if let TriedValues::Number { tries, .. } = &mut kind {
        let hours = (1..=HOURS).chain((2..8).map(|day| day * HOURS)).flat_map(|hours| [-hours, hours]);
        // `numbers` adds times in the first hour of 1970, which are dropped. Distances are compared with each other,
        // and beside the distance to 1970 every other distance would look small.
        tries.retain(|at| *at > HOUR);
        tries.extend(hours.map(|hours| now + hours * HOUR).filter(|at| *at > 0));
        // Days in policies begin and end at midnight in the zone.
        let days = zone.iter().flat_map(|zone| constants.texts.iter().filter_map(|text| zone.day(text)));
        tries.extend(days.flatten().map(|at| i128::from(at.0 / 1_000)));
        tries.remove(&now);
    }
    Attribute::new(AttributePath::Now(zone), "context.now".into(), kind)
}

/// The running totals, each with count and sum.
fn totals(variant: &Variant, question: &CallQuestion<'_>, constants: &Constants) -> Vec<Attribute> {
    let currency = currency(question.action);
    let names = ["run", "agent", "agent_today", "today"];
    let attributes = variant.totals.iter().zip(names).enumerate().flat_map(|(index, (counted, name))| {
        let number = |now: u64| numbers(i128::from(now), Spelling::Plain, constants, 0);
        let count = Attribute::new(
            AttributePath::Total(index, None),
            format!("context.totals.{name}.count"),
            number(counted.total.count),
        );
        let sum = currency.as_ref().map(|currency| {
            let sum = counted.total.sums.get(currency).copied().unwrap_or(0);
            Attribute::new(
                AttributePath::Total(index, Some(currency.clone())),
                format!("context.totals.{name}.sum"),
                number(sum),
            )
        });
        [count].into_iter().chain(sum)
    });
    attributes.collect()
}

/// The checks of a commit. Each check that a policy might require is tried as passed and as failed.
fn checks(facts: &Value, constants: &Constants) -> Option<Attribute> {
    let found = facts.get("checks")?.as_array()?;
    let name = |check: &Value| check.get("name").and_then(Value::as_str).map(str::to_owned);
    let names: BTreeSet<String> = found.iter().filter_map(name).chain(constants.texts.iter().cloned()).collect();
    let is = |one: &String, passed: bool| {
        found.iter().any(|check| name(check).as_ref() == Some(one) && check.get("passed") == Some(&json!(passed)))
    };
    let with = |one: &String, passed: bool| {
        let others = found.iter().filter(|check| name(check).as_ref() != Some(one)).cloned();
        json!(others.chain([json!({ "name": one, "passed": passed })]).collect::<Vec<_>>())
    };
    let changes = names.iter().flat_map(|one| [(one, true), (one, false)]);
    let tries = changes.filter(|(one, passed)| !is(one, *passed)).map(|(one, passed)| with(one, passed)).collect();
    Some(Attribute::new(
        AttributePath::Facts("/checks".into()),
        "the checks of the commit".into(),
        TriedValues::Words { from: json!(found), tries },
    ))
}
