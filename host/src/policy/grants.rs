//! Standing grants as the policies that they are: what "like this" means, and the text that is shown before one is made.
//!
//! The gate itself holds a grant to what it says; the text is for people, in the words of the policies beside which it stands.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cedar_policy::{Context, RestrictedExpression as Expression};
use holdshort_gate::{CallId, FunctionType, Grant, WitType};
use serde_json::Value;

use super::schema::{attribute, entity_type, is_money, optional};
use super::values;
use crate::money;

/// What an agent claims is another claim with each call: nothing is like it.
const CLAIMS: &str = "/rationale";

/// A part of the arguments that is alike in two calls, or is not.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Where it is: a JSON pointer into the arguments.
    pub pointer: String,
    /// What stands there.
    pub value: Value,
}

/// The places of a call's arguments that a grant can hold others to: all but what the agent claims, and how much money it is.
pub fn places(ty: &FunctionType, arguments: &Value) -> Vec<Place> {
    let mut found = Vec::new();
    for (name, ty) in &ty.params {
        collect(ty, arguments.get(name), format!("/{name}"), &mut found);
    }
    found.retain(|place| !within(&place.pointer, CLAIMS));
    found
}

/// Records are looked into, everything else is alike as a whole.
fn collect(ty: &WitType, value: Option<&Value>, pointer: String, found: &mut Vec<Place>) {
    let (WitType::Record(fields), Some(value)) = (ty, value) else {
        return found.extend(value.map(|value| Place { pointer, value: value.clone() }));
    };
    let bounded = |name: &str| is_money(ty) && name == "minor-units";
    for (name, ty) in fields.iter().filter(|(name, _)| !bounded(name)) {
        collect(ty, value.get(name), format!("{pointer}/{name}"), found);
    }
}

fn within(pointer: &str, place: &str) -> bool {
    pointer.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What other calls must have in common with this one, when these places may differ.
pub fn like(ty: &FunctionType, arguments: &Value, may_differ: &[String]) -> Result<BTreeMap<String, Value>, String> {
    let mut all = places(ty, arguments);
    for place in may_differ {
        if !all.iter().any(|one| within(&one.pointer, place)) {
            let known = all.iter().map(|one| one.pointer.as_str()).collect::<Vec<_>>().join(", ");
            return Err(format!("`{place}` is no place in the arguments of this call; there are {known}"));
        }
    }
    all.retain(|one| !may_differ.iter().any(|place| within(&one.pointer, place)));
    Ok(all.into_iter().map(|Place { pointer, value }| (pointer, value)).collect())
}

/// A grant as a policy. `context.granted` is what it has cleared before, `context.moved` the money of the call, by currency.
/// It is an error if it cannot be said so, and what cannot be shown is not to be granted.
pub fn text(made: Option<(&CallId, &str)>, grant: &Grant, ty: &FunctionType) -> Result<String, String> {
    let (space, name) = entity_type(&grant.capability);
    let mut errors = Vec::new();
    let mut says = vec![format!("principal.digest == {:?}", grant.component.to_string())];
    for (pointer, value) in &grant.like {
        says.push(condition(ty, pointer, value, &mut errors).ok_or_else(|| format!("`{pointer}` is no place in it"))?);
    }
    says.push(format!("context.now < {}", written(values::moment(grant.until, &mut errors))));
    says.push(format!("context.granted.calls < {}", grant.calls));
    for (currency, units) in &grant.sums {
        says.push(format!("context.granted.{currency} + context.moved.{currency} <= {units}"));
    }
    if let Some(error) = errors.first() {
        return Err(format!("it cannot be said as a policy: {error}"));
    }
    let sums = grant.sums.iter().map(|(currency, units)| format!(" and {} in all", money::show(*units, currency)));
    let mut text =
        format!("// At most {} calls{}; nothing in another currency.\n", grant.calls, sums.collect::<String>());
    if let Some((id, by)) = made {
        // Writing to a string cannot fail.
        let _ = write!(text, "@id(\"grant {id}\") @description({:?})\n", format!("made by {by}"));
    }
    let _ = write!(
        text,
        "permit (\n    principal == Agent::{:?},\n    action == Action::\"call\",\n    resource is {space}::{name}\n) when {{\n    {}\n}};\n",
        grant.agent,
        says.join(" &&\n    ")
    );
    Ok(text)
}

/// What a place must be, in Cedar.
fn condition(ty: &FunctionType, pointer: &str, value: &Value, errors: &mut Vec<String>) -> Option<String> {
    let mut steps = pointer.split('/').skip(1);
    let first = steps.next()?;
    let (mut parent, mut name, mut at) = ("resource.arguments".to_owned(), first, of_name(&ty.params, first)?);
    for step in steps {
        let WitType::Record(fields) = at else { return None };
        parent = format!("{parent}.{}", attribute(name));
        (name, at) = (step, of_name(fields, step)?);
    }
    let (absent, inner) = optional(at);
    let name = attribute(name);
    if absent && value.is_null() {
        return Some(format!("!({parent} has {name})"));
    }
    let is = format!("{parent}.{name} == {}", written(values::expression(inner, value, pointer, errors)?));
    Some(if absent { format!("{parent} has {name} && {is}") } else { is })
}

/// A value as it stands in a policy.
fn written(value: Expression) -> String {
    let value = Context::from_pairs([("value".to_owned(), value)]).ok().and_then(|context| context.get("value"));
    value.map_or_else(String::new, |value| value.to_string())
}

fn of_name<'a>(fields: &'a [(String, WitType)], name: &str) -> Option<&'a WitType> {
    fields.iter().find(|(field, _)| field == name).map(|(_, ty)| ty)
}
