//! Grants as policies: the arguments that a further call must share with the approved call, and
//! the text that a reviewer reads before making the grant.
//!
//! The gate enforces grants and does not evaluate the text. The text is only for reviewers, so it is
//! in Cedar, the language of the other policies.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cedar_policy::{Context, RestrictedExpression as Expression};
use holdshort_gate::{CallId, FunctionType, Grant, ReviewerName, WitType};
use serde_json::Value;

use super::schema::{attribute, entity_type, is_money, optional};
use super::values;
use holdshort_common::money;

/// The position of the agent's rationale. A grant does not compare the rationale, because every call has another one.
const CLAIMS: &str = "/rationale";
/// An error repeats at most this many characters of an invalid position.
const POINTER_CHARS_MAX: usize = 100;

/// A part of the arguments that a grant can compare.
#[derive(Clone, Debug, PartialEq)]
pub struct ArgumentPart {
    /// The position as a JSON pointer into the arguments.
    pub pointer: String,
    pub value: Value,
}

/// The parts of a call's arguments that a grant can compare: all except the rationale and amounts
/// of money.
pub fn comparable_parts(ty: &FunctionType, arguments: &Value) -> Vec<ArgumentPart> {
    let mut found = Vec::new();
    for (name, ty) in &ty.params {
        collect(ty, arguments.get(name), format!("/{name}"), &mut found);
    }
    found.retain(|place| !within(&place.pointer, CLAIMS));
    found
}

/// Adds the comparable parts of a value. Records are compared field by field, other values as a
/// whole.
fn collect(ty: &WitType, value: Option<&Value>, pointer: String, found: &mut Vec<ArgumentPart>) {
    let (WitType::Record(fields), Some(value)) = (ty, value) else {
        return found.extend(value.map(|value| ArgumentPart { pointer, value: value.clone() }));
    };
    let bounded = |name: &str| is_money(ty) && name == "minor-units";
    for (name, ty) in fields.iter().filter(|(name, _)| !bounded(name)) {
        collect(ty, value.get(name), format!("{pointer}/{name}"), found);
    }
}

/// Whether `pointer` is the position `place` or a position inside it.
fn within(pointer: &str, place: &str) -> bool {
    pointer.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The argument values that a further call must share with this call, by position. The positions in
/// `may_differ` are left out.
pub fn like(ty: &FunctionType, arguments: &Value, may_differ: &[String]) -> Result<BTreeMap<String, Value>, String> {
    let mut all = comparable_parts(ty, arguments);
    for place in may_differ {
        if !all.iter().any(|one| within(&one.pointer, place)) {
            let known = all.iter().map(|one| one.pointer.as_str()).collect::<Vec<_>>().join(", ");
            let named: String = place.chars().take(POINTER_CHARS_MAX).collect();
            return Err(format!("`{named}` is not a path in the arguments of this call; the paths are: {known}"));
        }
    }
    all.retain(|one| !may_differ.iter().any(|place| within(&one.pointer, place)));
    Ok(all.into_iter().map(|ArgumentPart { pointer, value }| (pointer, value)).collect())
}

/// A grant as a policy. In it, `context.granted` is the total of the calls that the grant has cleared before, and
/// `context.moved` is the call's money by currency. A grant that cannot be written as a policy is an error, because
/// reviewers must be able to read each grant.
pub fn text(made: Option<(&CallId, &ReviewerName)>, grant: &Grant, ty: &FunctionType) -> Result<String, String> {
    let (space, name) = entity_type(&grant.capability);
    let mut errors = Vec::new();
    let mut says = vec![format!("principal.digest == {:?}", grant.component.to_string())];
    for (pointer, value) in &grant.like {
        says.push(
            condition(ty, pointer, value, &mut errors)
                .ok_or_else(|| format!("`{pointer}` is not a path in the arguments"))?,
        );
    }
    says.push(format!("context.now < {}", written(values::moment(grant.until, &mut errors))));
    says.push(format!("context.granted.calls < {}", grant.calls));
    for (currency, units) in &grant.sums {
        says.push(format!("context.granted.{currency} + context.moved.{currency} <= {units}"));
    }
    if let Some(error) = errors.first() {
        return Err(format!("the grant cannot be written as a policy: {error}"));
    }
    let sums = grant.sums.iter().map(|(currency, units)| format!(" and {} in all", money::show(*units, currency)));
    let mut text = format!(
        "// At most {} calls{}; nothing in another currency.\n// The policy compares the arguments of the agent's calls. Facts that the host finds out about a call, such as the commit of a branch, are not compared.\n",
        grant.calls,
        sums.collect::<String>()
    );
    if let Some((id, by)) = made {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "@id(\"grant {id}\") @description({:?})", format!("made by {by}"));
    }
    let _ = write!(
        text,
        "permit (\n    principal == Agent::{:?},\n    action == Action::\"call\",\n    resource is {space}::{name}\n) when {{\n    {}\n}};\n",
        grant.agent,
        says.join(" &&\n    ")
    );
    Ok(text)
}

/// The condition in Cedar that a position has this value.
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

/// A value as it appears in a policy.
fn written(value: Expression) -> String {
    let value = Context::from_pairs([("value".to_owned(), value)]).ok().and_then(|context| context.get("value"));
    value.map_or_else(String::new, |value| value.to_string())
}

/// The type of a field.
fn of_name<'a>(fields: &'a [(String, WitType)], name: &str) -> Option<&'a WitType> {
    fields.iter().find(|(field, _)| field == name).map(|(_, ty)| ty)
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use cedar_policy::{
        Authorizer, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    };
    use holdshort_gate::{Action, Digest, GrantRecord, Requirement, Reviewers, RunId, Time, Total};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn function() -> FunctionType {
        let text = |name: &str| (name.to_owned(), WitType::String);
        let amount = WitType::Record(vec![("minor-units".into(), WitType::U64), text("currency")]);
        let list = WitType::List(Box::new(WitType::String));
        let note = WitType::Option(Box::new(WitType::String));
        let transfer =
            vec![text("payee"), ("amount".into(), amount), ("copies-to".into(), list), ("note".into(), note)];
        let params = vec![
            ("transfer".to_owned(), WitType::Record(transfer)),
            ("urgent".to_owned(), WitType::Bool),
            ("rationale".to_owned(), WitType::Record(vec![text("summary")])),
        ];
        FunctionType { params, result: None }
    }

    fn action(payee: &str, units: u64, urgent: bool, note: Option<&str>, component: &[u8]) -> Action {
        let amount = json!({"minor-units": units.to_string(), "currency": "EUR"});
        let transfer = json!({"payee": payee, "amount": amount, "copies-to": ["a", "b"], "note": note});
        let arguments = json!({"transfer": transfer, "urgent": urgent, "rationale": {"summary": units.to_string()}});
        let capability = "acme:bank/pay@1.0.0#pay-out".parse().unwrap();
        Action::new(Digest::of(component), capability, &function(), &arguments).unwrap()
    }

    fn granted(may_differ: &[&str]) -> GrantRecord {
        let action = action("AC\"ME\\", 10, false, None, b"component");
        let may_differ: Vec<String> = may_differ.iter().map(|place| (*place).to_owned()).collect();
        let grant = Grant {
            agent: "payer".into(),
            component: action.component(),
            capability: action.capability().clone(),
            like: like(&function(), action.arguments(), &may_differ).unwrap(),
            calls: 3,
            sums: BTreeMap::from([("EUR".to_owned(), 100)]),
            until: Time(50_000_000),
        };
        GrantRecord { grant, by: "ann".into(), at: Time(0), revoked: None }
    }

    fn id() -> CallId {
        CallId { run: RunId("run".into()), call: 3 }
    }

    #[test]
    fn a_grant_reads_as_the_policy_that_it_is() {
        let text =
            text(Some((&id(), &"ann \"A\"".into())), &granted(&["/transfer/copies-to"]).grant, &function()).unwrap();
        let component = Digest::of(b"component");
        assert_eq!(
            text,
            format!(
                r#"// At most 3 calls and 1.00 EUR in all; nothing in another currency.
// The policy compares the arguments of the agent's calls. Facts that the host finds out about a call, such as the commit of a branch, are not compared.
@id("grant run.3") @description("made by ann \"A\"")
permit (
    principal == Agent::"payer",
    action == Action::"call",
    resource is acme::bank::pay::PayOut
) when {{
    principal.digest == "{component}" &&
    resource.arguments.transfer.amount.currency == "EUR" &&
    !(resource.arguments.transfer has note) &&
    resource.arguments.transfer.payee == "AC\"ME\\" &&
    resource.arguments.urgent == false &&
    context.now < datetime("1970-01-01T00:00:50.000Z") &&
    context.granted.calls < 3 &&
    context.granted.EUR + context.moved.EUR <= 100
}};
"#
            )
        );
        let unknown = like(&function(), &json!({"transfer": {"payee": "x"}}), &["/transfer/pay".into()]);
        assert_eq!(
            unknown.unwrap_err(),
            "`/transfer/pay` is not a path in the arguments of this call; the paths are: /transfer/payee"
        );
        assert!(
            like(&function(), &json!({"rationale": {"summary": "x"}}), &["/rationale".into()]).is_err(),
            "is never alike"
        );
    }

    /// Whether Cedar permits the action by this text. The policy reads the gate's counters from the context.
    fn cedar_permits(text: &str, agent: &str, action: &Action, used: &Total, now: Time) -> bool {
        let uid = |ty: &str, id: &str| {
            EntityUid::from_type_name_and_id(EntityTypeName::from_str(ty).unwrap(), EntityId::new(id))
        };
        let mut errors = Vec::new();
        let params: Vec<_> = function().params;
        let params: Vec<(&str, &WitType)> = params.iter().map(|(name, ty)| (name.as_str(), ty)).collect();
        let arguments = values::record(&params, action.arguments(), "", &mut errors);
        let of = |id: &EntityUid, name: &str, value| {
            Entity::new(id.clone(), [(name.to_owned(), value)].into(), [].into()).unwrap()
        };
        let (call, asker) = (uid("acme::bank::pay::PayOut", "it"), uid("Agent", agent));
        let digest = Expression::new_string(action.component().to_string());
        let entities = [of(&call, "arguments", arguments), of(&asker, "digest", digest)];
        let long = |number: u64| Expression::new_long(i64::try_from(number).unwrap());
        let moved = holdshort_gate::totals::money(action)["EUR"];
        let spent = used.sums.get("EUR").copied().unwrap_or(0);
        let context = Context::from_pairs([
            ("now".into(), values::moment(now, &mut errors)),
            ("granted".into(), values::of(vec![("calls".into(), long(used.count)), ("EUR".into(), long(spent))])),
            ("moved".into(), values::of(vec![("EUR".into(), long(moved))])),
        ]);
        let request = Request::new(asker, uid("Action", "call"), call, context.unwrap(), None).unwrap();
        let entities = Entities::from_entities(entities, None).unwrap();
        let answer = Authorizer::new().is_authorized(&request, &PolicySet::from_str(text).unwrap(), &entities);
        assert_eq!((answer.diagnostics().errors().count(), errors.len()), (0, 0));
        answer.decision() == Decision::Allow
    }

    proptest! {
        /// The text that reviewers see permits exactly the calls that the gate permits.
        #[test]
        fn cedar_says_of_the_text_what_the_gate_says_of_the_grant(
            (payee, urgent, note) in (prop_oneof![3 => Just("AC\"ME\\"), 1 => Just("ACME")], any::<bool>(), any::<bool>()),
            (component, agent) in (prop_oneof![3 => Just(&b"component"[..]), 1 => Just(&b"x"[..])], prop_oneof![3 => Just("payer"), 1 => Just("x")]),
            (units, spent, count) in (0..60_u64, 0..100_u64, 0..5_u64),
            (now, differ) in (30..70_u64, prop::sample::subsequence(vec!["/transfer/payee", "/urgent", "/transfer/note"], 0..=3)),
        ) {
            let (granted, now) = (granted(&differ), Time(now * 1_000_000));
            let action = action(payee, units, urgent, note.then_some("n"), component);
            let used = Total { count, sums: BTreeMap::from([("EUR".to_owned(), spent)]) };
            let anybody = Requirement { grantors: Reviewers::Any, ..Requirement::plain(Reviewers::Any, 1, 1) };
            let gate = granted.clears((&agent.into(), &"olga".into()), &action, &anybody, &used, now).is_ok();
            let text = text(None, &granted.grant, &function()).unwrap();
            prop_assert_eq!(cedar_permits(&text, agent, &action, &used, now), gate, "{}", text);
        }
    }
}
