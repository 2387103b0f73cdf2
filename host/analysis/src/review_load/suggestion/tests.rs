//! A suggested policy fits this host: it loads without a warning, it clears the calls on which it
//! is based, and it clears no call with more money.

use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::totals::counters;
use holdshort_gate::{
    Action, Consequence, Digest, EffectClass, FunctionType, RecordedTotal, Requirement, Reviewers, RunId, Time, Total,
};
use serde_json::json;

use super::*;
use holdshort_agent as agent;
use holdshort_policy::cases::Cases;
use holdshort_policy::load::Source;
use holdshort_policy::{CallQuestion, CedarPolicy, Defaults, People, Policy, Verdict};

fn proposal(action: &Action, facts: &Value) -> Proposal {
    Proposal {
        action: action.clone(),
        summary: String::new(),
        exhibits: Vec::new(),
        similar_calls: Vec::new(),
        preconditions: Value::Null,
        facts: facts.clone(),
        consequence: None,
        connector: "test".into(),
        class: EffectClass::Idempotent,
        requirement: Requirement::plain(Reviewers::Any, 1, 1_000),
        policy: PolicyRecord::new(Digest::of(b"policy")),
    }
}

fn load(text: &str, types: &Types) -> CedarPolicy {
    let source = Source {
        path: "suggested.cedar".into(),
        text: format!("{text}permit (principal, action == Action::\"decide\", resource);\n"),
    };
    let base = Defaults::new(|_| Requirement::plain(Reviewers::Any, 1, 1_000));
    let loaded = CedarPolicy::load(&[source], types, People::new(vec!["alice".into()], BTreeMap::new()), base);
    let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    assert!(loaded.warnings().is_empty(), "{:?}\n{text}", loaded.warnings());
    loaded
}

/// Whether the policy clears a call if the agent has already made this many calls with this much
/// money on the same day.
fn clears(
    policy: &CedarPolicy,
    agent: &'static str,
    action: &Action,
    ty: &FunctionType,
    facts: &Value,
    before: (u64, u64),
) -> bool {
    let agent = &AgentName::from(agent);
    let (run, now) = (RunId("r".into()), Time(1_767_268_800_000_000));
    let sums: BTreeMap<String, u64> = totals::money(action).into_keys().map(|currency| (currency, before.1)).collect();
    let total = Total { count: before.0, sums };
    let totals: Vec<RecordedTotal> = counters(&run, agent, action.capability(), now)
        .into_iter()
        .map(|counter| RecordedTotal { counter, total: total.clone() })
        .collect();
    let judged = policy.judge(&CallQuestion {
        started_by: &"alice".into(),
        agent,
        run: &run,
        action,
        ty,
        facts,
        consequence: Consequence::High,
        totals: &totals,
        now,
    });
    judged.verdict == Verdict::Clear
}

fn suggested(seen: &[(Action, Value)], types: &Types, fullest: &DayMax) -> Option<SuggestedPolicy> {
    let mut all = seen.iter().map(|(action, facts)| SharedProperties::of(&proposal(action, facts), types));
    let first = all.next()??;
    let shared = all.try_fold(first, |mut shared, other| {
        shared.join(&other?);
        Some(shared)
    });
    shared?.policy("like", &"the \"agent\"".into(), seen[0].0.capability(), fullest)
}

/// For each capability, the calls of the cases in `policies/cases.toml` count as approved. The suggested policy must
/// clear these calls.
#[test]
fn calls_of_ours_are_cleared_by_what_is_suggested_of_them() {
    let consequential = ["deployment", "email", "payments"].map(agent::interface);
    let all = agent::functions().unwrap().into_iter().map(|import| (import.capability, import.ty));
    let types: Types = all.filter(|(of, _)| consequential.iter().any(|own| own == of.interface())).collect();
    let types = types.with_facts(holdshort_connectors::facts());
    let Cases { case } = toml::from_str(include_str!("../../../../policies/cases.toml")).unwrap();
    let mut seen = BTreeMap::<Capability, Vec<(Action, Value)>>::new();
    for case in &case {
        let Ok((action, _)) = case.action(&types) else { continue };
        // One case has an amount that no policy can compare. Nothing is suggested for such a call.
        if SharedProperties::of(&proposal(&action, &case.facts), &types).is_some() {
            seen.entry(action.capability().clone()).or_default().push((action, case.facts.clone()));
        } else {
            assert_eq!(case.name, "an amount that no policy can compare");
        }
    }
    assert_eq!(seen.len(), 3);
    let mut texts = String::new();
    for (capability, seen) in &seen {
        let sums = ["EUR", "USD"].map(|currency| (currency.to_owned(), 1_000_000)).into();
        let suggested = suggested(seen, &types, &DayMax { count: 3, sums }).unwrap();
        texts += &format!("{}open: {:?}\n\n", suggested.text, suggested.open);
        let policy = load(&suggested.text, &types);
        for (action, facts) in seen {
            let clears =
                |before| clears(&policy, "the \"agent\"", action, types.get(capability).unwrap(), facts, before);
            assert!(clears((2, 0)), "{action:?} {facts}\n{}", suggested.text);
            assert!(!clears((3, 0)), "the fullest day is full\n{}", suggested.text);
        }
    }
    for part in [
        "principal == Agent::\"the \\\"agent\\\"\"",
        "[\"EUR\", \"USD\"]",
        "resource.arguments.transfer.amount.currency == \"EUR\" && resource.arguments.transfer.amount.minor_units <= ",
        "[\"landlord\", \"stranger\"].contains(resource.arguments.transfer.payee)",
    ] {
        let money = part == "[\"EUR\", \"USD\"]";
        assert!(money != texts.contains(part), "`{part}` in\n{texts}");
    }
}

fn everything() -> FunctionType {
    let text = || WitType::String;
    let some = |ty| WitType::Option(Box::new(ty));
    let list = |ty| WitType::List(Box::new(ty));
    let money = WitType::Record(vec![("minor-units".into(), WitType::U64), ("currency".into(), text())]);
    let inner = WitType::Record(vec![("in".into(), some(WitType::S32)), ("b-c".into(), WitType::Bool)]);
    let each = [
        ("flag", WitType::Bool),
        ("small", WitType::U8),
        ("signed", WitType::S64),
        ("float", WitType::F64),
        ("letter", WitType::Char),
        ("word", text()),
        ("like", some(text())),
        ("kind", WitType::Enum(vec!["a".into(), "b".into()])),
        ("flags", WitType::Flags(vec!["r".into(), "w".into()])),
        ("pair", WitType::Tuple(vec![WitType::U8, text()])),
        ("choice", WitType::Variant(vec![("one".into(), None), ("two".into(), Some(text()))])),
        ("maybe", some(some(WitType::U8))),
        ("bytes", list(WitType::U8)),
        ("words", list(text())),
        ("records", list(inner.clone())),
        ("inner", some(inner)),
        ("amount", money.clone()),
        ("tip", some(money)),
    ];
    FunctionType { params: each.map(|(name, ty)| (name.to_owned(), ty)).into(), result: None }
}

/// A random value of a type.
fn value(ty: &WitType, dice: &mut impl FnMut(u64) -> u64) -> Value {
    match ty {
        WitType::Bool => json!(dice(2) == 0),
        WitType::U8 => json!(dice(4)),
        WitType::S32 => json!(i64::try_from(dice(7)).unwrap() - 3),
        WitType::U64 => json!(dice(10_000).to_string()),
        WitType::S64 => json!((i64::try_from(dice(100)).unwrap() - 50).to_string()),
        WitType::F64 => json!(0.5),
        WitType::Char => json!(["x", "\"", "\\", "\u{202e}", "\n"][usize::try_from(dice(5)).unwrap()]),
        WitType::String => {
            json!(["EUR", "USD", "it's", "\"", "\u{0}", "ü", "\u{1f642}"][usize::try_from(dice(7)).unwrap()])
        }
        WitType::Enum(names) => json!(names[usize::try_from(dice(2)).unwrap()]),
        WitType::Flags(names) => json!(names[..usize::try_from(dice(3)).unwrap()]),
        WitType::Tuple(types) => types.iter().map(|ty| value(ty, dice)).collect(),
        WitType::Variant(_) if dice(2) == 0 => json!("one"),
        WitType::Variant(_) => json!({ "two": "EUR" }),
        WitType::Option(_) if dice(2) == 0 => Value::Null,
        WitType::Option(inner) if matches!(**inner, WitType::Option(_)) => json!({ "some": value(inner, dice) }),
        WitType::Option(inner) => value(inner, dice),
        WitType::List(item) if **item == WitType::U8 => json!(["", "AAAA", "AAA="][usize::try_from(dice(3)).unwrap()]),
        WitType::List(item) => (0..dice(3)).map(|_| value(item, dice)).collect(),
        WitType::Record(types) => {
            types.iter().map(|(name, ty)| (name.clone(), value(ty, dice))).collect::<serde_json::Map<_, _>>().into()
        }
        other => panic!("no values of {other:?}"),
    }
}

#[test]
fn whatever_was_seen_is_cleared_and_no_more_money() {
    let (ty, capability) = (everything(), "acme:all/things@1.0.0#do-it".parse::<Capability>().unwrap());
    let types: Types = [(capability.clone(), ty.clone())].into_iter().collect();
    let mut seed = 3_u64;
    let mut dice = move |n: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % n
    };
    let action = |arguments: &Value| Action::new(Digest::of(b"c"), capability.clone(), &ty, arguments).unwrap();
    let (mut suggestions, mut none, mut bounded) = (0, 0, 0);
    for round in 0..60 {
        let mut seen: Vec<Action> = Vec::new();
        for _ in 0..=round % 12 {
            let mut arguments = value(&WitType::Record(ty.params.clone()), &mut dice);
            if round % 3 > 0 {
                arguments["amount"]["currency"] = json!("EUR");
            }
            if round % 3 == 1 {
                arguments["tip"] = Value::Null;
            }
            let variants = [arguments["choice"] == "one"];
            if variants[0] {
                arguments["choice"] = json!({ "one": null });
            }
            seen.push(action(&arguments));
        }
        let facts = Value::Null;
        let pairs: Vec<_> = seen.iter().map(|action| (action.clone(), facts.clone())).collect();
        let currency = |one: &Action| one.arguments()["amount"]["currency"].as_str().unwrap().to_owned();
        let sums = seen.iter().map(|one| (currency(one), 1_000_000)).collect();
        let Some(suggested) = suggested(&pairs, &types, &DayMax { count: 9, sums }) else {
            none += 1;
            continue;
        };
        suggestions += 1;
        let policy = load(&suggested.text, &types);
        let most = seen
            .iter()
            .map(|one| one.arguments()["amount"]["minor-units"].as_str().unwrap().parse::<u64>().unwrap())
            .max()
            .unwrap();
        for one in &seen {
            assert!(
                clears(&policy, "the \"agent\"", one, &ty, &facts, (8, 0)),
                "{}\n{}",
                one.arguments(),
                suggested.text
            );
            assert!(!clears(&policy, "another", one, &ty, &facts, (8, 0)), "{}", suggested.text);
            let open = suggested.open.contains(&"context.totals.agent_today.sum".to_owned());
            bounded += u32::from(!open);
            let full = clears(&policy, "the \"agent\"", one, &ty, &facts, (8, 1_000_001));
            assert!(!full || open, "the day's sum is bounded, or said to be open: {}", suggested.text);
            let mut dearer = one.arguments().clone();
            dearer["amount"]["minor-units"] = json!((most + 1).to_string());
            assert!(!clears(&policy, "the \"agent\"", &action(&dearer), &ty, &facts, (8, 0)), "{}", suggested.text);
        }
    }
    assert!(bounded > 20, "{bounded} whose sum is bounded");
    assert!(suggestions > 30 && none > 0, "{suggestions} suggestions, {none} times none");
}
