//! The verdicts of policies (T17 in the table of `tests/README.md`): the shipped policies with their cases, the effect
//! of an error, and the faults of a file, in golden tables. `HOLDSHORT_BLESS=1` rewrites the tables.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "support/evidence.rs"]
mod evidence;
#[path = "policy/left_out.rs"]
mod left_out;
#[path = "policy/time.rs"]
mod time;
#[path = "policy/unmet.rs"]
mod unmet;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use holdshort::agent;
use holdshort::connectors;
use holdshort::policy::cases::{Case, Cases};
use holdshort::policy::load::Source;
use holdshort::policy::schema::Types;
use holdshort::policy::{CallQuestion, CedarPolicy, Defaults, People, Policy, Verdict};
use holdshort_gate::{Action, Consequence, Digest, FunctionType, Requirement, ReviewerName, Reviewers, RunId, Time};
use serde_json::{Value, json};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn types() -> Types {
    let consequential = ["deployment", "email", "guidance", "payments"].map(agent::interface);
    let all = agent::functions().unwrap().into_iter().map(|import| (import.capability, import.ty));
    let ours = all.filter(|(capability, _)| consequential.iter().any(|of| of == capability.interface()));
    ours.collect::<Types>().with_facts(connectors::facts())
}

fn people() -> People {
    let names = |names: &[&'static str]| names.iter().map(|name| ReviewerName::from(*name)).collect::<Vec<_>>();
    let groups = [
        ("finance", &["alice", "bob"][..]),
        ("managers", &["carol"]),
        ("release-managers", &["alice", "carol"]),
        ("empty", &[]),
    ];
    let groups: BTreeMap<_, _> = groups.into_iter().map(|(name, members)| (name.to_owned(), names(members))).collect();
    People::new(names(&["alice", "bob", "carol", "olga"]), groups)
}

fn load(sources: &[Source]) -> Result<CedarPolicy, String> {
    let base = Defaults::new(|_| Requirement::plain(Reviewers::Any, 1, 600_000));
    CedarPolicy::load(sources, &types(), people(), base).map_err(|problems| problems.to_string())
}

fn source(path: &str) -> Source {
    let text = std::fs::read_to_string(root(path)).unwrap();
    Source { path: Path::new(path).file_name().unwrap().into(), text }
}

fn inline(text: &str) -> Source {
    Source { path: "p.cedar".into(), text: text.into() }
}

fn golden(name: &str, found: &str) {
    let path = root("tests/data/policy").join(name);
    if std::env::var_os("HOLDSHORT_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{} differs; HOLDSHORT_BLESS=1 writes it anew", path.display());
}

/// The lines of a table about one case.
fn row(case: &Case, policy: &CedarPolicy) -> String {
    let judgement = case.judge(policy, &types()).unwrap();
    let mut text = format!("{}\n  {}", case.name, judgement.verdict.word().as_str());
    if let Verdict::Refuse(why) = &judgement.verdict {
        let _ = write!(text, ": {why}");
    }
    let _ = write!(text, "\n  by: {}", judgement.record.determining.join(", "));
    if judgement.verdict == Verdict::Hold {
        let _ = write!(text, "\n  needs: {}", serde_json::to_string(&judgement.requirement).unwrap());
    }
    for error in &judgement.record.errors {
        let _ = write!(text, "\n  error: {error}");
    }
    text + "\n"
}

fn cases(text: &str) -> Vec<Case> {
    let Cases { case } = toml::from_str(text).unwrap();
    case
}

#[test]
fn the_shipped_policies_say_what_their_cases_expect() {
    let files = ["high-consequence", "low-confidence", "required", "unsure-model"];
    let policy = load(&files.map(|name| source(&format!("host/policies/{name}.cedar")))).unwrap();
    assert!(policy.warnings().is_empty(), "{:?}", policy.warnings());
    let names = policy.names();
    assert!(names.contains(&"small-payments".into()) && names.contains(&"production-takes-two".into()), "{names:?}");
    assert!(policy.counts()[..3].iter().all(|count| *count > 0) && policy.counts()[3] == 0, "{:?}", policy.counts());
    let example = cases(&source("host/src/page/templates/case.toml").text);
    assert!(example.iter().all(|case| case.differs(&case.judge(&policy, &types()).unwrap(), "").is_none()));
    let cases = cases(&source("host/policies/cases.toml").text);
    let mut table = String::new();
    for case in &cases {
        let judgement = case.judge(&policy, &types()).unwrap();
        assert_eq!(judgement.verdict.word(), case.expect, "{}: {judgement:?}", case.name);
        table += &row(case, &policy);
    }
    golden("shipped.txt", &table);
    for word in ["clear", "hold", "refuse"] {
        assert!(cases.iter().any(|case| case.expect.as_str() == word), "no case is expected to be {word}");
    }
}

const TRANSFER: &str = r#"
[[case]]
name = "CASE"
call = "payments::TransferFunds"
arguments = { transfer = { source = "operating", payee = "landlord", amount = { minor-units = "100", currency = "EUR" }, reference = "" }, rationale = { summary = "", exhibits = [] } }
facts = { first-payment = false, balance-after = "9223372036854775807" }
totals = { today = { count = 3, sum = 9223372036854775807 } }
expect = "hold"
"#;

const DECIDE: &str = "permit (principal, action == Action::\"decide\", resource);\n";

/// An error never clears a call, because the verdict of the policy that failed is unknown. If a `forbid` matched, the
/// call is refused in spite of the error.
#[test]
fn an_error_holds_or_refuses() {
    let permit = "@id(\"all\") permit (principal, action == Action::\"call\", resource);\n";
    let call = |id: &str, effect: &str, when: &str| {
        format!(
            "@id(\"{id}\") {effect} (principal, action == Action::\"call\", resource is payments::TransferFunds) when {{ {when} }};\n"
        )
    };
    let overflow = "context.totals.today.sum + resource.arguments.transfer.amount.minor_units > 5";
    let missing = "resource.facts.own_account";
    let true_forbid = call("no", "forbid", "resource.arguments.transfer.payee == \"landlord\"");
    let table = [
        ("nothing is said", String::new(), "hold"),
        ("a permit", permit.to_owned(), "clear"),
        ("a permit and a forbid", format!("{permit}{true_forbid}"), "refuse"),
        ("a permit that errs, by overflow", call("sum", "permit", overflow), "hold"),
        ("a permit that errs beside one that does not", format!("{permit}{}", call("sum", "permit", overflow)), "hold"),
        (
            "a forbid that errs beside a permit, by overflow",
            format!("{permit}{}", call("sum", "forbid", overflow)),
            "hold",
        ),
        (
            "a forbid that errs beside a permit, by a fact that is missing",
            format!("{permit}{}", call("own", "forbid", missing)),
            "hold",
        ),
        (
            "a forbid that matches beside one that errs",
            format!("{true_forbid}{}", call("own", "forbid", missing)),
            "refuse",
        ),
        ("a person who is none", call("who", "permit", "context.run.started_by in Group::\"finance\""), "hold"),
    ];
    let (mut text, mut erred) = (String::new(), 0);
    for (name, policies, expected) in table {
        let policy = load(&[inline(&format!("{policies}{DECIDE}"))]).unwrap();
        let case = &cases(&TRANSFER.replace("CASE", name))[0];
        let judgement = case.judge(&policy, &types()).unwrap();
        assert_eq!(judgement.verdict.word().as_str(), expected, "{name}: {judgement:?}");
        erred += u64::from(!judgement.record.errors.is_empty());
        assert!(judgement.record.errors.is_empty() || expected != "clear");
        text += &row(case, &policy);
    }
    golden("errors.txt", &text);
    assert_eq!(erred, 5);
    evidence::figure("T17", "verdicts with an error, none of which clears", erred);
}

/// A call is not held for reviewers who do not exist or who may not decide.
#[test]
fn what_nobody_can_clear_is_refused() {
    let review = |annotations: &str| {
        format!("@id(\"r\") {annotations} permit (principal, action == Action::\"review\", resource);\n{DECIDE}")
    };
    let finance = "permit (principal in Group::\"finance\", action == Action::\"decide\", resource);\n";
    let table = [
        ("nobody may decide", String::new(), "refuse"),
        ("an empty group", review("@reviewers(\"empty\")"), "refuse"),
        ("three of two", review("@reviewers(\"finance\") @quorum(\"3\")"), "refuse"),
        ("two of two", review("@reviewers(\"finance\") @quorum(\"2\")"), "hold"),
        (
            "two of three, one of whom started it",
            review("@reviewers(\"alice, bob, olga\") @quorum(\"2\") @four_eyes"),
            "hold",
        ),
        (
            "three of three, one of whom started it",
            review("@reviewers(\"alice, bob, olga\") @quorum(\"3\") @four_eyes"),
            "refuse",
        ),
        (
            "managers, who may not decide",
            format!(
                "@id(\"r\") @reviewers(\"managers\") permit (principal, action == Action::\"review\", resource);\n{finance}"
            ),
            "refuse",
        ),
        (
            "whoever comes in later counts",
            review("@reviewers(\"empty\") @within(\"1h\") @escalate(\"managers for 1h\")"),
            "hold",
        ),
        (
            "one person for two stages",
            format!(
                "{}@id(\"s\") @reviewers(\"managers\") @stage(\"2\") permit (principal, action == Action::\"review\", resource);",
                review("@reviewers(\"managers\")")
            ),
            "refuse",
        ),
        (
            "one person for two demands of a stage",
            format!(
                "{}@id(\"s\") @reviewers(\"managers\") permit (principal, action == Action::\"review\", resource);",
                review("@reviewers(\"release-managers\")")
            ),
            "hold",
        ),
    ];
    let mut text = String::new();
    for (name, policies, expected) in table {
        let policy = load(&[inline(&policies)]).unwrap();
        let case = TRANSFER.replace("CASE", name).replace("expect", "started-by = \"olga\"\nexpect");
        let case = &cases(&case)[0];
        assert_eq!(case.judge(&policy, &types()).unwrap().verdict.word().as_str(), expected, "{name}");
        text += &row(case, &policy);
    }
    golden("nobody.txt", &text);
}

/// A policy that could mean something different from what it seems to mean is an error, with its file and line.
#[test]
fn a_bad_policy_is_refused_with_its_line() {
    let bad = [
        "permit (principal, action == Action::\"call\", resource",
        "// one\npermit (principal, action == Action::\"cal\", resource);",
        "\n\npermit (principal, action == Action::\"call\", resource is payments::TransferFunds) when { resource.arguments.transfer.amont.minor_units > 1 };",
        "permit (principal, action == Action::\"call\", resource is payments::TransferFunds) when { resource.arguments.transfer.amount.minor_units > \"5\" };",
        "permit (principal, action == Action::\"call\", resource is payments::TransferFunds) when { context.confidence.lessThan(decimal(\"0.5\")) };",
        "permit (principal, action, resource);",
        "forbid (principal, action == Action::\"review\", resource);",
        "@quorum(\"2\") permit (principal, action == Action::\"call\", resource);",
        "@quorom(\"2\") permit (principal, action == Action::\"review\", resource);",
        "@quorum(\"0\") permit (principal, action == Action::\"review\", resource);",
        "@reviewers(\"finanze\") permit (principal, action == Action::\"review\", resource);",
        "@within(\"4\") permit (principal, action == Action::\"review\", resource);",
        "@within(\"4h\") @escalate(\"managers\") permit (principal, action == Action::\"review\", resource);",
        "@escalate(\"managers for 1h\") permit (principal, action == Action::\"review\", resource);",
        "@material(\"first_paymant\") permit (principal, action == Action::\"review\", resource is payments::TransferFunds);",
        "@material(\"first_payment\") permit (principal, action == Action::\"review\", resource);",
        "permit (principal in Group::\"finanze\", action == Action::\"decide\", resource);",
        "@material(\"first_payment\") forbid (principal, action == Action::\"call\", resource);",
        "@four_eyes(\"yes\") permit (principal, action == Action::\"review\", resource);",
        "@id(\"a\") permit (principal, action == Action::\"call\", resource);\n@id(\"a\")\npermit (principal, action == Action::\"call\", resource);",
        "permit (principal == ?principal, action == Action::\"call\", resource);",
        "permit (principal in Group::\"finance\", action == Action::\"call\", resource);",
    ];
    let mut text = String::new();
    for policy in bad {
        let problem = load(&[inline(policy)]).err().unwrap_or_else(|| panic!("this is taken: {policy}"));
        let _ = write!(text, "{policy}\n=> {problem}\n\n");
    }
    golden("bad.txt", &text);
    assert!(load(&[inline(DECIDE)]).is_ok());
}

/// A call that the host cannot express as a question to the policies is refused. If it were held for all reviewers, the
/// policies on who may decide would have no effect.
#[test]
fn what_policy_cannot_be_asked_about_is_refused() {
    let policy = load(&[inline(DECIDE)]).unwrap();
    let ty = FunctionType { params: Vec::new(), result: None };
    let judge = |capability: &str| {
        let action = Action::new(Digest::of(b""), capability.parse().unwrap(), &ty, &json!({})).unwrap();
        let question = CallQuestion {
            started_by: &"olga".into(),
            agent: &"agent".into(),
            run: &RunId("r".into()),
            action: &action,
            ty: &ty,
            facts: &Value::Null,
            consequence: Consequence::High,
            totals: &[],
            now: Time(0),
        };
        policy.judge(&question)
    };
    assert_eq!(judge("acme:crm/contacts#delete").verdict, Verdict::Hold);
    let refused = judge("acme:crm/contacts#1");
    let Verdict::Refuse(why) = &refused.verdict else { panic!("{refused:?}") };
    assert!(
        why.as_str().starts_with("policy cannot be evaluated for the call: \"`acme::crm::contacts::1` is not a type"),
        "{why}"
    );
    assert_eq!(refused.record.errors.len(), 1);
}
