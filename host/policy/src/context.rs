//! The context of a question: time, run and totals.

use std::collections::BTreeMap;

use cedar_policy::{EntityUid, RestrictedExpression as Expression};
use holdshort_gate::totals::{MODEL_COST, MODEL_TOKENS, model};
use holdshort_gate::{RecordedTotal, Scope, Time};

use super::{CallQuestion, values};
use holdshort_config::Zone;

/// The context of every question. An expensive attribute that no policy uses is left out.
pub(super) fn context(
    question: &CallQuestion<'_>,
    started_by: EntityUid,
    reads: &[(&str, bool)],
    zone: &Zone,
    errors: &mut Vec<String>,
) -> Vec<(String, Expression)> {
    let run = values::of(vec![
        ("id".into(), Expression::new_string(question.run.to_string())),
        ("started_by".into(), Expression::new_entity_uid(started_by)),
    ]);
    let mut pairs = vec![
        ("run".to_owned(), run),
        ("consequence".into(), Expression::new_string(question.consequence.name().into())),
    ];
    for (name, _) in reads.iter().filter(|(_, is)| *is) {
        let made = match *name {
            "now" => Some(values::moment(question.now, errors)),
            "local" => local(question.now, zone, errors),
            "totals" => Some(totals(question, errors)),
            _ => confidence(question, errors),
        };
        pairs.extend(made.map(|made| ((*name).to_owned(), made)));
    }
    pairs
}

/// The date and the time of day in a zone, with daylight saving time. If an hour occurs twice in a
/// day, `hour`, `minute` and `time` are the same both times.
fn local(now: Time, zone: &Zone, errors: &mut Vec<String>) -> Option<Expression> {
    let Some(at) = zone.at(now) else {
        errors.push(format!("`local` is {} µs after 1970, and policy cannot compare a number so large", now.0));
        return None;
    };
    let weekday = at.strftime("%A").to_string().to_lowercase();
    let text = |text: &str| Expression::new_string(text.to_owned());
    let number = |number: i64| Expression::new_long(number);
    let since_midnight = format!("{}h{}m{}s{}ms", at.hour(), at.minute(), at.second(), at.millisecond());
    let attributes = [
        ("zone", text(zone.name())),
        ("date", text(&at.date().to_string())),
        ("year", number(at.year().into())),
        ("month", number(at.month().into())),
        ("day", number(at.day().into())),
        ("weekday", text(&weekday)),
        ("hour", number(at.hour().into())),
        ("minute", number(at.minute().into())),
        ("time", Expression::new_duration(since_midnight)),
    ];
    Some(values::of(attributes.map(|(name, value)| (name.to_owned(), value)).into()))
}

/// The agent's claimed confidence, if there is one.
fn confidence(question: &CallQuestion<'_>, errors: &mut Vec<String>) -> Option<Expression> {
    let claimed = question.action.arguments().pointer("/rationale/confidence")?.as_f64()?;
    if !(0.0..=1.0).contains(&claimed) {
        errors.push(format!("the agent claims a confidence of {claimed}, but a confidence is a number from 0 to 1"));
        return None;
    }
    values::single(claimed, "rationale.confidence", errors)
}

/// The numbers of calls and their money, and what models have cost, by scope. A call with several currencies has no sum. A
/// policy that uses the missing sum fails, and the call is held.
fn totals(question: &CallQuestion<'_>, errors: &mut Vec<String>) -> Expression {
    let money = holdshort_gate::totals::money(question.action);
    let currency = values::currency(question.action);
    let mut by_scope = BTreeMap::from(["run", "agent", "agent_today", "today"].map(|scope| (scope, (0, 0))));
    let (model, mut spent) = (model(), by_scope.clone());
    for RecordedTotal { counter, total } in question.totals {
        let scope = match &counter.scope {
            Scope::Run(_) => "run",
            Scope::Agent(_) => "agent",
            Scope::AgentDay(..) => "agent_today",
            Scope::Day(_) => "today",
            // Policies get no totals of grants, because the gate enforces the limits of a grant itself.
            Scope::Grant(_) => continue,
        };
        if model.as_ref() == Some(&counter.capability) {
            let sum = |name: &str| total.sums.get(name).copied().unwrap_or(0);
            spent.insert(scope, (sum(MODEL_COST), sum(MODEL_TOKENS)));
            continue;
        }
        let sum = currency.as_ref().and_then(|currency| total.sums.get(currency)).copied().unwrap_or(0);
        by_scope.insert(scope, (total.count, sum));
    }
    let mut long = |number: u64, scope: &str| {
        i64::try_from(number)
            .map(Expression::new_long)
            .map_err(|_| {
                errors.push(format!("the total of `{scope}` is {number}, and policy cannot compare a number so large"))
            })
            .ok()
    };
    let mut made = Vec::new();
    for (scope, (count, sum)) in by_scope {
        let count = long(count, scope).map(|count| ("count".to_owned(), count));
        let sum = if money.len() > 1 { None } else { long(sum, scope).map(|sum| ("sum".to_owned(), sum)) };
        made.push((scope.to_owned(), values::of(count.into_iter().chain(sum).collect())));
    }
    let (mut costs, mut tokens) = (Vec::new(), Vec::new());
    for (scope, (cost, taken)) in spent {
        costs.extend(long(cost, scope).map(|cost| (scope.to_owned(), cost)));
        tokens.extend(long(taken, scope).map(|taken| (scope.to_owned(), taken)));
    }
    made.extend([("model_cost".to_owned(), values::of(costs)), ("model_tokens".to_owned(), values::of(tokens))]);
    values::of(made)
}
