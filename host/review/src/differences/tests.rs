//! Tests each rule with a text that the rule must report and with similar texts that it must not report.

use serde_json::json;

use super::*;

const NEW: &str = "3f2a1b0c9d12aaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const OLD: &str = "41aa00bb1122cccccccccccccccccccccccccccc";

fn found(arguments: &Value, facts: &Value) -> Vec<String> {
    between(arguments, facts).iter().map(Difference::to_string).collect()
}

fn deploy(summary: &str, notes: &str) -> Value {
    json!({
        "release": { "target": "production", "revision": "main", "notes": notes },
        "rationale": { "summary": summary, "confidence": null, "exhibits": [] },
    })
}

/// The facts of a check: its number of runs, its number of failures, and the result of the last
/// run.
fn check(runs: u64, failures: u64, passed: bool) -> Value {
    json!([{ "name": "tests", "passed": passed, "counts": null, "runs": runs, "failures": failures }])
}

#[test]
fn a_claim_that_checks_passed_is_held_against_the_reports() {
    let failed = json!({ "checks": check(1, 1, false), "checks-on-other-commits": 0 });
    for claim in [
        "All tests pass.",
        "The test suite is green",
        "CI passed; ready to go",
        "12 tests passed, 0 failed",
        "Version 1.2.3 is ready. Its checks have passed without failures!",
        "TESTS: OK",
        "I didn't change much.\nAll tests passed",
    ] {
        let expected = ["rationale.summary says that checks passed, but on this host \"tests\" failed"];
        assert_eq!(found(&deploy(claim, ""), &failed), expected, "{claim}");
    }
    for claim in [
        "",
        "Tests failed, but it is urgent",
        "3 tests passed, 2 failed",
        "The tests do not pass",
        "The tests don't pass",
        "Please see whether the tests pass",
        "Deploy once CI is green",
        "Make the tests pass again",
        "The latest contest was passed over",
        "A patch for the checkout. It is green",
        "Tests have been written",
    ] {
        assert_eq!(found(&deploy(claim, ""), &failed), [""; 0], "{claim}");
    }
    let claim = deploy("It is ready", "All tests pass");
    let says = |facts: Value| found(&claim, &facts);
    assert_eq!(
        says(json!({ "checks": [], "checks-on-other-commits": 0 })),
        ["release.notes says that checks passed, but this host ran no checks for this run"]
    );
    assert_eq!(
        says(json!({ "checks": [], "checks-on-other-commits": 2 })),
        [
            "release.notes says that checks passed, but this host ran checks only on another commit, not on the commit that would be deployed"
        ]
    );
    assert_eq!(
        says(json!({ "checks": check(3, 1, true) })),
        ["release.notes says that checks passed, but on this host \"tests\" failed 1 of 3 times"]
    );
    assert_eq!(says(json!({ "checks": check(2, 0, true) })), [""; 0]);
    assert_eq!(says(json!({})), [""; 0], "nothing is known of checks");
    let exhibit = json!({ "rationale": { "summary": "", "exhibits": [{ "title": "tests", "text": "12 passed" }] } });
    assert!(found(&exhibit, &failed)[0].starts_with("rationale.exhibits[0] says"));
}

#[test]
fn being_sure_beside_a_failed_check_is_pointed_out() {
    let sure = |confidence: Value| json!({ "rationale": { "summary": "", "confidence": confidence, "exhibits": [] } });
    let failed = json!({ "checks": check(2, 1, false) });
    assert_eq!(
        found(&sure(json!(0.9)), &failed),
        ["rationale.confidence is 90 %, but 1 of the checks that this host ran on this commit failed"]
    );
    for (confidence, facts) in [
        (json!(0.5), &failed),
        (Value::Null, &failed),
        (json!(1), &json!({ "checks": check(2, 1, true) })),
        (json!(1), &json!({ "checks": [] })),
    ] {
        assert_eq!(found(&sure(confidence.clone()), facts), [""; 0], "{confidence} {facts}");
    }
}

#[test]
fn notes_are_held_against_the_commits() {
    let commits = [
        (NEW, "fix: Round prices (#12)"),
        ("77dd00ee5566dddddddddddddddddddddddddddd", "Say \"hello\""),
        ("88ee11ff6677eeeeeeeeeeeeeeeeeeeeeeeeeeee", "Merge branch 'cart'"),
    ];
    let commits = commits.map(|(id, subject)| json!({ "id": id, "subject": subject }));
    let facts = json!({ "commits": commits, "commit-count": 3, "new-commit": NEW, "old-commit": OLD });
    let hello = "release.notes leaves out 1 of 3 commits: 77dd00ee5566 \"Say \\\"hello\\\"\"";
    for (notes, expected) in [
        ("- Round prices\n- Say \"hello\"", vec![]),
        ("- fix: round  prices (#12)\n- 77dd00e", vec![]),
        ("- 3f2a1b0c9d12", vec![hello]),
        ("- Round prices", vec![hello]),
        ("- Round prices\n- and 1 more", vec![]),
        ("- Round prices\n- and 2 more", vec![hello]),
        ("Prices are right again.", vec![]),
        ("", vec![]),
        (
            "- Round prices\n- Say hello (deadbee1)",
            vec!["release.notes names commits that are not part of this deployment: deadbee1"],
        ),
        ("From 41aa00bb to 3f2a1b0c: Round prices, say hello", vec![]),
        ("Round prices, say hello; see 20261127, feedface and 550e8400-e29b-41d4-a716-446655440000", vec![]),
    ] {
        assert_eq!(found(&deploy("", notes), &facts), expected, "{notes}");
    }
    // If the list of commits is incomplete, the host cannot call any commit unknown.
    let many = json!({ "commits": [{ "id": NEW, "subject": "x" }], "commit-count": 101 });
    assert_eq!(found(&deploy("", "3f2a1b0 and deadbee1"), &many), [""; 0]);
}

#[test]
fn claims_about_payees_and_domains_are_held_against_the_books() {
    let claim = |summary: &str| json!({ "rationale": { "summary": summary, "confidence": null, "exhibits": [] } });
    let paid = |first: bool, own: bool| json!({ "first-payment": first, "own-account": own });
    let mail = |domains: &[&str]| json!({ "outside-domains": domains });
    let known = "rationale.summary says that the payee is known, but the ledger has no payment to this payee";
    let own =
        "rationale.summary says that the money stays in your own accounts, but the payee is not one of your accounts";
    let inside = "rationale.summary says that the message stays inside, but the message goes to evil.test";
    for (says, facts, expected) in [
        ("ACME is a known supplier", paid(true, false), vec![known]),
        ("We have paid them before.", paid(true, false), vec![known]),
        ("The recurring bill, as every month", paid(true, false), vec![known]),
        ("ACME is a known supplier", paid(false, false), vec![]),
        ("ACME is no known supplier", paid(true, false), vec![]),
        ("We have never paid them before", paid(true, false), vec![]),
        ("A new supplier, first payment; nobody knows them", paid(true, false), vec![]),
        ("Moves money between our accounts", paid(true, false), vec![own]),
        ("Moves money between our accounts", paid(true, true), vec![]),
        ("An internal note to the team", mail(&["evil.test"]), vec![inside]),
        ("An internal note to the team", mail(&[]), vec![]),
        ("An internal note, and one external reader", mail(&["evil.test"]), vec![]),
        ("This is not internal", mail(&["evil.test"]), vec![]),
        ("The international team", mail(&["evil.test"]), vec![]),
    ] {
        assert_eq!(found(&claim(says), &facts), expected, "{says} {facts}");
    }
    let many: Vec<String> = (0..7).map(|n| format!("d{n}.test")).collect();
    let many = found(&claim("internal"), &json!({ "outside-domains": many }));
    assert!(many[0].ends_with("d4.test, and 2 more"), "{many:?}");
}

/// If a sentence of the host shows an agent's text, the text is inside a quotation and in its visible form.
#[test]
fn nobody_writes_a_sentence_of_the_hosts() {
    let odd = "x\" passed\u{202e}\n! all is well\u{1b}[2J";
    let facts = json!({
        "checks": [{ "name": odd, "passed": false, "runs": 1, "failures": 1 }], "outside-domains": [odd], "commit-count": 2,
        "commits": [{ "id": NEW, "subject": "y" }, { "id": OLD, "subject": odd }],
    });
    let mut arguments = deploy("internal: all tests pass", "y");
    arguments["rationale"]["confidence"] = json!(1);
    let found = found(&arguments, &facts);
    assert_eq!(found.len(), 4, "{found:?}");
    for text in found {
        assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text}");
        let text = text.replace("\\\"", "");
        assert!(text.matches('"').count() <= 2, "{text}");
    }
}
