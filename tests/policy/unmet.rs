//! Demands that no reviewers could meet are found when the policies are read. The expected texts are in a golden table
//! (T40 in the table of `tests/README.md`).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use holdshort::policy::isolated::Reader;
use holdshort::policy::{CedarPolicy, Defaults, People, PolicySetup};
use holdshort_gate::{Demand, Requirement, ReviewerName, Reviewers};

use super::{DECIDE, TRANSFER, cases, evidence, golden, inline, types};

fn people() -> People {
    let names = |names: &[&'static str]| names.iter().map(|name| ReviewerName::from(*name)).collect::<Vec<_>>();
    let groups =
        [("finance", &["alice", "bob"][..]), ("board", &["carol", "bob"]), ("managers", &["carol"]), ("empty", &[])];
    let groups: BTreeMap<_, _> = groups.into_iter().map(|(name, members)| (name.to_owned(), names(members))).collect();
    People::new(names(&["alice", "bob", "carol", "olga"]), groups)
}

/// What the host says about policies when its configuration requires `quorum` people: the reasons of a refusal, or the
/// warnings and notes.
fn said(text: &str, quorum: u32) -> (bool, Vec<String>) {
    let demand = Demand { reviewers: Reviewers::Any, quorum };
    let base = Defaults::new(move |_| Requirement {
        stages: vec![vec![demand.clone()]],
        ..Requirement::plain(Reviewers::Any, 1, 600_000)
    });
    match PolicySetup::new(vec![inline(text)], types(), people(), base, Reader::in_process()) {
        Ok(setting) => {
            let policies = setting.present.unwrap();
            (true, policies.warnings().iter().chain(&policies.notes()).map(ToString::to_string).collect())
        }
        Err(problems) => (false, problems.0.iter().map(ToString::to_string).collect()),
    }
}

fn review(annotations: &str, scope: &str, when: &str) -> String {
    format!("{annotations} permit (principal, action == Action::\"review\", {scope}){when};\n")
}

#[test]
fn a_demand_that_nobody_could_meet_is_found_when_policies_are_read() {
    let all = |annotations: &str| review(annotations, "resource", "");
    let large = " when { resource.arguments.transfer.amount.minor_units > 5 }";
    let (payments, ask) = ("resource is payments::TransferFunds", "resource is guidance::Ask");
    let decide = |who: &str, scope: &str| format!("permit ({who}, action == Action::\"decide\", {scope});\n");
    // A row: whether the policies are accepted, whether there is a warning, the quorum of the configuration, and the
    // policies.
    let table: Vec<(bool, bool, u32, String)> = vec![
        // There are too few people.
        (false, false, 1, all("@id(\"three\") @reviewers(\"finance\") @quorum(\"3\")") + DECIDE),
        (true, false, 1, all("@id(\"two\") @reviewers(\"finance\") @quorum(\"2\")") + DECIDE),
        (false, false, 1, all("@id(\"none\") @reviewers(\"empty\")") + DECIDE),
        (false, false, 1, all("@id(\"five\") @quorum(\"5\")") + DECIDE),
        (true, false, 1, all("@id(\"four\") @quorum(\"4\")") + DECIDE),
        (false, false, 1, review("@id(\"large\") @reviewers(\"managers\") @quorum(\"2\")", payments, large) + DECIDE),
        (false, false, 1, review("@id(\"ask\") @reviewers(\"empty\")", ask, "") + DECIDE),
        (true, false, 1, review("@id(\"ask\") @reviewers(\"managers\")", ask, "") + DECIDE),
        // The people who are asked may not decide.
        (
            false,
            false,
            1,
            all("@id(\"m\") @reviewers(\"managers\")") + &decide("principal in Group::\"finance\"", "resource"),
        ),
        (
            true,
            false,
            1,
            all("@id(\"b\") @reviewers(\"board\")") + &decide("principal in Group::\"finance\"", "resource"),
        ),
        (
            false,
            false,
            1,
            all("@id(\"b\") @reviewers(\"board\") @quorum(\"2\")")
                + &decide("principal in Group::\"finance\"", "resource"),
        ),
        // When the policies are read, a condition on deciding is taken to exclude no one.
        (
            true,
            false,
            1,
            all("@id(\"m\") @reviewers(\"managers\")")
                + "permit (principal, action == Action::\"decide\", resource) when { context.consequence == \"low\" };\n",
        ),
        // Four-eyes.
        (false, false, 1, all("@id(\"all\") @quorum(\"4\") @four_eyes") + DECIDE),
        (true, true, 1, all("@id(\"f\") @reviewers(\"finance\") @quorum(\"2\") @four_eyes") + DECIDE),
        (true, true, 1, all("@id(\"one\") @reviewers(\"managers\") @four_eyes") + DECIDE),
        (true, false, 1, all("@id(\"three\") @quorum(\"3\") @four_eyes") + DECIDE),
        // Stages: a person counts in one stage only.
        (
            false,
            false,
            1,
            all("@id(\"first\") @reviewers(\"managers\")")
                + &all("@id(\"second\") @reviewers(\"managers\") @stage(\"2\")")
                + DECIDE,
        ),
        (
            false,
            false,
            1,
            all("@id(\"first\") @reviewers(\"managers\")")
                + &review("@id(\"second\") @reviewers(\"managers\") @stage(\"2\")", payments, large)
                + DECIDE,
        ),
        (
            true,
            false,
            1,
            all("@id(\"first\") @reviewers(\"managers\")")
                + &all("@id(\"second\") @reviewers(\"board\") @stage(\"2\")")
                + DECIDE,
        ),
        (
            false,
            false,
            1,
            all("@id(\"first\") @reviewers(\"finance\")")
                + &all("@id(\"second\") @reviewers(\"board\") @stage(\"2\") @quorum(\"2\")")
                + &all("@id(\"third\") @reviewers(\"finance\") @stage(\"3\")")
                + DECIDE,
        ),
        (false, false, 1, all("@id(\"empty\") @reviewers(\"empty\") @stage(\"3\")") + DECIDE),
        // One person may meet two demands of a stage. Two policies need not match the same call.
        (
            true,
            false,
            1,
            all("@id(\"first\") @reviewers(\"managers\")") + &all("@id(\"second\") @reviewers(\"board\")") + DECIDE,
        ),
        (
            true,
            false,
            1,
            review("@id(\"first\") @reviewers(\"managers\")", payments, large)
                + &review(
                    "@id(\"second\") @reviewers(\"managers\") @stage(\"2\")",
                    payments,
                    " unless { resource.arguments.transfer.amount.minor_units > 5 }",
                )
                + DECIDE,
        ),
        // A reviewer who is added by an escalation counts.
        (
            true,
            false,
            1,
            all("@id(\"later\") @reviewers(\"empty\") @within(\"1h\") @escalate(\"managers for 1h\")") + DECIDE,
        ),
        (
            false,
            false,
            1,
            all("@id(\"later\") @reviewers(\"empty\") @within(\"1h\") @escalate(\"empty for 1h\")") + DECIDE,
        ),
        // The configuration gives the minimum.
        (false, false, 3, decide("principal in Group::\"finance\"", "resource")),
        (true, false, 2, decide("principal in Group::\"finance\"", "resource")),
        (
            false,
            false,
            3,
            review("@id(\"m\") @reviewers(\"managers\") @stage(\"2\") @quorum(\"1\")", payments, large)
                + &decide("principal in Group::\"board\"", "resource"),
        ),
        // For some calls no one at all may decide.
        (true, true, 1, decide("principal", payments)),
        (
            true,
            true,
            1,
            String::from("@id(\"c\") permit (principal, action == Action::\"call\", resource is email::SendEmail);\n"),
        ),
    ];
    let mut text = String::new();
    for (taken, warned, quorum, policies) in &table {
        let (found, said) = said(policies, *quorum);
        let _ = write!(text, "# quorum {quorum}\n{policies}=> {}\n", if found { "taken" } else { "refused" });
        for line in &said {
            let _ = writeln!(text, "   {line}");
        }
        assert_eq!((found, !found || *warned), (*taken, !said.is_empty()), "{policies}\n{said:?}");
        text.push('\n');
    }
    golden("unmet.txt", &text);
    evidence::figure("T40", "demands judged by whether anybody could meet them", table.len() as u64);
}

/// For a number with a point, as other languages write it, the error says what Cedar accepts, and Cedar accepts that
/// text.
#[test]
fn a_number_with_a_point_is_answered_with_a_decimal() {
    let load = |condition: &str| {
        let policy = format!(
            "permit (principal, action == Action::\"call\", resource) when {{ context has confidence && {condition} }};\n{DECIDE}"
        );
        said(&policy, 1)
    };
    let mut text = String::new();
    let table = [
        ("context.confidence >= 0.7", "context.confidence.greaterThanOrEqual(decimal(\"0.7\"))"),
        ("context.confidence>=0.7", "context.confidence.greaterThanOrEqual(decimal(\"0.7\"))"),
        ("context.confidence > 0.75", "context.confidence.greaterThan(decimal(\"0.75\"))"),
        ("context.confidence < 0.5", "context.confidence.lessThan(decimal(\"0.5\"))"),
        ("context.confidence <= 0.05", "context.confidence.lessThanOrEqual(decimal(\"0.05\"))"),
        ("context.confidence <= .5", "context.confidence.lessThanOrEqual(decimal(\"0.5\"))"),
        ("context.confidence >= 1.", "context.confidence.greaterThanOrEqual(decimal(\"1.0\"))"),
        ("context.confidence >= 1.0", "context.confidence.greaterThanOrEqual(decimal(\"1.0\"))"),
        ("context.confidence == 0.7", "decimal(\"0.7\")"),
        ("0.7 <= context.confidence", "decimal(\"0.7\")"),
        ("context.confidence >= 7e-1", "context.confidence.greaterThanOrEqual(decimal(\"0.7\"))"),
        ("context.confidence >= 0.70000", "context.confidence.greaterThanOrEqual(decimal(\"0.7\"))"),
        ("context.confidence >= -0.7", "context.confidence.greaterThanOrEqual(decimal(\"-0.7\"))"),
        ("context.confidence >= (0.7)", "decimal(\"0.7\")"),
        ("context.confidence.greaterThan(0.7)", "decimal(\"0.7\")"),
        ("context.confidence >= 1", "greaterThanOrEqual(decimal("),
        ("context.confidence > decimal(\"0.7\")", "greaterThanOrEqual(decimal("),
        ("context.confidence.greaterThan(\"0.7\")", "decimal(\"0.7\")"),
        ("context.confidence.greaterThan(1)", "decimal(\"0.7\")"),
    ];
    for (condition, hint) in table {
        let (taken, said) = load(condition);
        assert!(!taken, "{condition} is taken");
        let _ = writeln!(text, "{condition}\n=> {}\n", said.join("\n   "));
        assert!(said.iter().any(|line| line.contains(hint)), "{condition}: {said:?}");
        if hint.starts_with("context") {
            assert!(load(hint).0, "{hint}");
        }
    }
    golden("decimals.txt", &text);
    for plain in ["context.confidence.greaterThan(decimal(\"0.7\"))", "context.totals.run.count > 7"] {
        assert!(load(plain).0, "{plain}");
    }
    let (_, other) = load("context.confidense.greaterThan(decimal(\"0.7\"))");
    assert!(!other[0].contains("write a number with a point as `decimal"), "{other:?}");
    evidence::figure("T40", "numbers with a point answered with a decimal", table.len() as u64);
}

/// A confidence greater than 1 clears nothing, although it is greater than the least confidence that the policy
/// demands.
#[test]
fn a_confidence_outside_of_its_range_clears_nothing() {
    let permit = "permit (principal, action == Action::\"call\", resource) when { context has confidence && context.confidence.greaterThanOrEqual(decimal(\"0.7\")) };\n";
    let base = Defaults::new(|_| Requirement::plain(Reviewers::Any, 1, 600_000));
    let policy = CedarPolicy::load(&[inline(&format!("{permit}{DECIDE}"))], &types(), people(), base).unwrap();
    for (claimed, expected) in [
        ("0.7", "clear"),
        ("0.99", "clear"),
        ("1.0", "clear"),
        ("0.69", "hold"),
        ("0.0", "hold"),
        ("1.001", "hold"),
        ("2.0", "hold"),
        ("70.0", "hold"),
        ("1e30", "hold"),
        ("-0.8", "hold"),
    ] {
        let rationale = format!("rationale = {{ summary = \"\", confidence = {claimed}, exhibits");
        let case = &cases(&TRANSFER.replace("rationale = { summary = \"\", exhibits", &rationale))[0];
        let judgement = case.judge(&policy, &types()).unwrap();
        let outside = !(0.0..=1.0).contains(&claimed.parse::<f64>().unwrap());
        assert_eq!(
            (judgement.verdict.word().as_str(), !judgement.record.errors.is_empty()),
            (expected, outside),
            "{claimed}"
        );
    }
}
