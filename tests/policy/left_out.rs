//! Cases of `policy test` can be written for functions of any type, although TOML has no null (T40 in the table of
//! `tests/README.md`).

use holdshort::policy::schema::Types;
use holdshort::policy::{CedarPolicy, Defaults};
use holdshort_gate::{FunctionType, Requirement, Reviewers, WitType};

use super::{DECIDE, cases, evidence, inline, people};

/// An optional value can be left out wherever the type permits it. A variant case without a payload, and every null,
/// can be written as JSON.
#[test]
fn what_may_be_nothing_can_be_left_out_of_a_case() {
    let text = || WitType::String;
    let option = |ty: WitType| WitType::Option(Box::new(ty));
    let list = |ty: WitType| WitType::List(Box::new(ty));
    let record = |fields: &[(&str, WitType)]| {
        WitType::Record(fields.iter().map(|(name, ty)| ((*name).to_owned(), ty.clone())).collect())
    };
    let nested = record(&[("a", text()), ("b", option(text()))]);
    let choice = WitType::Variant(vec![("plain".into(), None), ("with".into(), Some(nested.clone()))]);
    let outcome = WitType::Result { ok: Some(Box::new(nested.clone())), err: None };
    // The type of the parameter `x`, the arguments as the case writes them, and a condition that must hold for them.
    let table: Vec<(WitType, &str, &str)> = vec![
        (option(text()), "{}", "!(resource.arguments has x)"),
        (option(text()), "{ x = \"a\" }", "resource.arguments has x && resource.arguments.x == \"a\""),
        (option(text()), "'{}'", "!(resource.arguments has x)"),
        (option(text()), "'{\"x\": null}'", "!(resource.arguments has x)"),
        (option(text()), "'{\"x\": \"a\"}'", "resource.arguments has x && resource.arguments.x == \"a\""),
        (option(WitType::U64), "{}", "!(resource.arguments has x)"),
        (option(list(text())), "{}", "!(resource.arguments has x)"),
        (option(nested.clone()), "{}", "!(resource.arguments has x)"),
        (option(nested.clone()), "{ x = { a = \"a\" } }", "resource.arguments has x && !(resource.arguments.x has b)"),
        (nested.clone(), "{ x = { a = \"a\" } }", "!(resource.arguments.x has b)"),
        (
            record(&[("inner", nested.clone())]),
            "{ x = { inner = { a = \"a\" } } }",
            "!(resource.arguments.x.inner has b)",
        ),
        (list(nested.clone()), "{ x = [{ a = \"a\" }, { a = \"b\", b = \"c\" }] }", "resource.arguments.x.count == 2"),
        (
            WitType::Tuple(vec![text(), nested.clone()]),
            "{ x = [\"t\", { a = \"a\" }] }",
            "!(resource.arguments.x.item1 has b)",
        ),
        (
            choice.clone(),
            "{ x = { with = { a = \"a\" } } }",
            "resource.arguments.x has with && !(resource.arguments.x.with has b)",
        ),
        (choice, "'{\"x\": {\"plain\": null}}'", "resource.arguments.x.case == \"plain\""),
        (
            outcome.clone(),
            "{ x = { ok = { a = \"a\" } } }",
            "resource.arguments.x has ok && !(resource.arguments.x.ok has b)",
        ),
        (outcome, "'{\"x\": {\"err\": null}}'", "resource.arguments.x.case == \"err\""),
        (option(option(text())), "{}", "!(resource.arguments has x)"),
        (
            option(option(nested)),
            "{ x = { some = { a = \"a\" } } }",
            "resource.arguments has x && resource.arguments.x has some && !(resource.arguments.x.some has b)",
        ),
        (WitType::Tuple(vec![option(text()), text()]), "'{\"x\": [null, \"a\"]}'", "!(resource.arguments.x has item0)"),
    ];
    for (ty, arguments, condition) in &table {
        let function = FunctionType { params: vec![("x".into(), ty.clone())], result: None };
        let types: Types = [("acme:crm/contacts@1.0.0#find".parse().unwrap(), function)].into_iter().collect();
        let permit =
            format!("permit (principal, action == Action::\"call\", resource) when {{ {condition} }};\n{DECIDE}");
        let base = Defaults::new(|_| Requirement::plain(Reviewers::Any, 1, 600_000));
        let policy =
            CedarPolicy::load(&[inline(&permit)], &types, people(), base).unwrap_or_else(|why| panic!("{why}"));
        let case = format!(
            "[[case]]\nname = \"x\"\ncall = \"acme::crm::contacts::Find\"\narguments = {arguments}\nexpect = \"clear\"\n"
        );
        let judgement = cases(&case)[0].judge(&policy, &types);
        let judgement = judgement.unwrap_or_else(|why| panic!("{arguments}: {why}"));
        assert_eq!(judgement.verdict.word().as_str(), "clear", "{arguments} {condition}: {judgement:?}");
    }
    evidence::figure("T40", "ways to leave out of a case what may be nothing", table.len() as u64);
}

/// A required value must still be given, and a text that is not JSON is reported as such.
#[test]
fn what_must_be_there_is_asked_for() {
    let function = FunctionType { params: vec![("x".into(), WitType::String)], result: None };
    let types: Types = [("acme:crm/contacts@1.0.0#find".parse().unwrap(), function)].into_iter().collect();
    for (arguments, why) in
        [("{}", "found nothing"), ("'{'", "not JSON"), ("'[]'", "expected"), ("'{\"x\": null}'", "expected a string")]
    {
        let case = format!(
            "[[case]]\nname = \"x\"\ncall = \"acme::crm::contacts::Find\"\narguments = {arguments}\nexpect = \"clear\"\n"
        );
        let refused = cases(&case)[0].action(&types).unwrap_err().to_string();
        assert!(refused.contains(why), "{arguments}: {refused}");
    }
}

/// Each condition that `host/CONFIGURATION.md` gives as an example is accepted unchanged.
#[test]
fn the_ways_to_say_it_are_taken() {
    let page = std::fs::read_to_string(super::root("host/CONFIGURATION.md")).unwrap();
    let table = page.split("| what is meant | how it is written |").nth(1).unwrap().split("\n\n").next().unwrap();
    let whole: Vec<&str> = table.lines().filter_map(|row| row.split_once(" | `")?.1.strip_suffix("` |")).collect();
    assert_eq!(whole.len(), 7, "{table}");
    let closed = WitType::Variant(vec![("open".into(), None), ("closed".into(), Some(WitType::String))]);
    let params = vec![("limit".into(), WitType::Option(Box::new(WitType::U32))), ("state".into(), closed)];
    let find = ("acme:crm/contacts@1.0.0#find".parse().unwrap(), FunctionType { params, result: None });
    let types: Types = super::types().iter().map(|(of, ty)| (of.clone(), ty.clone())).chain([find]).collect();
    let types = types.with_facts(holdshort::connectors::facts());
    for condition in &whole {
        let scope = match () {
            () if condition.contains(".message.") => "resource is email::SendEmail",
            () if condition.contains(".transfer.") => "resource is payments::TransferFunds",
            () if condition.contains("context") => "resource",
            () => "resource is acme::crm::contacts::Find",
        };
        let text = format!("permit (principal, action == Action::\"call\", {scope}) when {{ {condition} }};\n{DECIDE}");
        let base = Defaults::new(|_| Requirement::plain(Reviewers::Any, 1, 600_000));
        let read = CedarPolicy::load(&[inline(&text)], &types, people(), base);
        assert!(read.is_ok_and(|policy| policy.warnings().is_empty()), "{text}");
    }
    evidence::figure("T40", "idioms of the operator's page, each taken as it stands there", whole.len() as u64);
}
