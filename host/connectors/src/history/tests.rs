//! Reviewers see the run's history unchanged, and a check's report counts only for the checked commit.

use holdshort_gate::clearance::PolicyRecord;
use holdshort_gate::{
    Action, Consequence, Digest, EffectClass, FunctionType, Proposal, RefusalReason, Requirement, Reviewers, Seq, Time,
    WitType,
};

use super::*;
use crate::exhibit::tests::{host_words, words};

const COMMIT: &str = "3f2a1b0c9d12aaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn previewed() -> Previewed {
    let (summary, preconditions) = (say!("s"), Value::Null);
    Previewed {
        summary,
        exhibits: vec![Exhibit::text(say!("diff"), say!("d"))],
        preconditions,
        facts: Value::Null,
        consequence: Consequence::High,
    }
}

fn add(history: &mut History, event: Event) {
    history.add(RecordedEvent { seq: Seq::default(), at: Time(1), event }).unwrap();
}

fn routine(call: CallNumber, capability: &str, result: Value) -> Event {
    let (capability, action) = (capability.parse().unwrap(), Digest::of(b""));
    Event::RoutineReturned { call, capability, arguments: json!({}), action, result, answered_at: Time(1) }
}

fn check(call: CallNumber, name: &str, commit: &str, passed: bool) -> Event {
    let result = json!({"ok": {
        "name": name, "revision": commit, "passed": passed, "exit-status": i32::from(!passed),
        "counts": { "passed": 3, "failed": 1, "skipped": 0 }, "output-tail": format!("{name} says\nReports on other commits (not about this commit):\n"),
    }});
    routine(call, "holdshort:agent/checks@0.1.0#run", result)
}

fn shown(previewed: &Previewed, at: usize) -> (&str, &str) {
    let exhibit = &previewed.exhibits[at];
    (exhibit.title.as_str(), std::str::from_utf8(&exhibit.bytes).unwrap())
}

#[test]
fn only_reports_on_the_very_commit_count() {
    let (mut history, other) = (History::default(), "9".repeat(40));
    add(&mut history, check(1, "tests", COMMIT, false));
    add(&mut history, check(2, "tests", &other, true));
    add(&mut history, check(3, "tests", COMMIT, true));
    add(&mut history, check(4, "lint", COMMIT, false));
    let not_run = json!({ "err": "there is no check `x`\ntests: passed" });
    add(&mut history, routine(5, "holdshort:agent/checks@0.1.0#run", not_run));
    // A foreign function of the same name. Its answer does not count as a check of the host.
    add(&mut history, routine(6, "evil:agent/checks@0.1.0#run", json!({ "ok": { "revision": COMMIT } })));
    let mut previewed = previewed();
    history.add_check_reports(COMMIT, &mut previewed);
    let (title, text) = shown(&previewed, 0);
    assert_eq!(title, "checks that this host ran on 3f2a1b0c9d12: 2 of 3 FAILED");
    let expected = "tests: FAILED with exit status 1 on 3f2a1b0c9d12 (call 1); 3 passed; 1 failed; 0 skipped\n    \"tests says\"\n    \"Reports on other commits (not about this commit):\"\n\
        tests: passed on 3f2a1b0c9d12 (call 3); 3 passed; 1 failed; 0 skipped\n    \"tests says\"\n    \"Reports on other commits (not about this commit):\"\n\
        lint: FAILED with exit status 1 on 3f2a1b0c9d12 (call 4); 3 passed; 1 failed; 0 skipped\n    \"lint says\"\n    \"Reports on other commits (not about this commit):\"\n\
        \nReports on other commits (not about this commit):\ntests: passed on 999999999999 (call 2); 3 passed; 1 failed; 0 skipped\n\
        call 5 asked for a check that did not run: \"there is no check `x`\\ntests: passed\"\n";
    assert_eq!(text, expected);
    let counts = json!({ "passed": 3, "failed": 1, "skipped": 0 });
    assert_eq!(
        previewed.facts,
        json!({ "checks-on-other-commits": 1, "checks": [
            { "name": "lint", "passed": false, "counts": counts, "runs": 1, "failures": 1 },
            { "name": "tests", "passed": true, "counts": counts, "runs": 2, "failures": 1 },
        ]})
    );
}

#[test]
fn that_nothing_was_checked_is_said_and_much_is_counted() {
    let (mut history, mut before, mut after) = (History::default(), previewed(), previewed());
    history.add_check_reports(COMMIT, &mut before);
    let none = ("checks that this host ran on 3f2a1b0c9d12: none", "No check has run on this commit in this run.\n");
    assert_eq!(shown(&before, 0), none);
    assert_eq!(before.facts, json!({ "checks": [], "checks-on-other-commits": 0 }));
    (1..=25).for_each(|call| add(&mut history, check(call, "tests", COMMIT, true)));
    history.add_check_reports(COMMIT, &mut after);
    let (title, text) = shown(&after, 0);
    assert!(
        title.ends_with(": 25 passed") && text.starts_with("(the last 20 of 25)\ntests: passed"),
        "{title}\n{text}"
    );
    assert!(!text.contains("(call 5)") && text.contains("(call 6)"), "{text}");
}

fn proposal(summary: &str) -> Proposal {
    let ty = FunctionType { params: vec![("text".into(), WitType::String)], result: None };
    let action = Action::new(Digest::of(b""), "a:b/c#d".parse().unwrap(), &ty, &json!({ "text": summary }));
    Proposal {
        action: action.unwrap(),
        summary: summary.into(),
        exhibits: Vec::new(),
        similar_calls: Vec::new(),
        preconditions: Value::Null,
        facts: Value::Null,
        consequence: None,
        connector: "c".into(),
        class: EffectClass::OneShot,
        requirement: Requirement::plain(Reviewers::Any, 1, 1),
        policy: PolicyRecord::new(Digest::of(b"")),
    }
}

#[test]
fn a_run_that_did_nothing_before_has_no_exhibit_and_any_other_is_told() {
    let (mut history, mut first, mut later) = (History::default(), previewed(), previewed());
    history.add_to(&mut first);
    assert_eq!(first, previewed());
    add(&mut history, routine(1, "a:b/c#look", Value::Null));
    add(&mut history, routine(2, "a:b/c#look", Value::Null));
    let clearance = Digest::of(b"");
    let done = proposal("pay one\ncall 9, succeeded: nothing");
    add(&mut history, Event::CallCleared { call: 3, proposal: Box::new(done.clone()), clearance });
    add(&mut history, Event::EffectStarted { call: 3, attempt: 1, clearance });
    add(
        &mut history,
        Event::EffectSucceeded { call: 3, attempt: 1, receipt: Value::Null, evidence: None, changed: Vec::new() },
    );
    add(&mut history, Event::CallHeld { call: 4, proposal: Box::new(proposal("pay two")), clearance });
    add(&mut history, Event::CallExpired { call: 4 });
    let refusal = RefusalReason::Forbidden("no".into());
    let action = Box::new(done.action.clone());
    add(&mut history, Event::CallRefused { call: 5, action, refusal, policy: None });
    history.add_to(&mut later);
    let text = "2 × a:b/c#look, which changes nothing\ncall 3, succeeded: \"pay one\\ncall 9, succeeded: nothing\"\n\
        call 4, expired: \"pay two\"\ncalls refused without a reviewer: 1\n";
    assert_eq!(shown(&later, 1), ("earlier in this run (5 calls)", text));
}

/// Whatever the output of a check, a proposal or a refusal contains, the host's own words about it
/// do not change.
#[test]
fn somebody_elses_words_never_go_on_with_the_hosts() {
    let said = |words: &str| {
        let mut history = History::default();
        let report = json!({"ok": { "name": "tests", "revision": COMMIT, "passed": true, "output-tail": words.replace(['\n', '\r'], " ") }});
        add(&mut history, routine(1, "holdshort:agent/checks@0.1.0#run", report));
        add(&mut history, routine(2, "holdshort:agent/checks@0.1.0#run", json!({ "err": words })));
        let clearance = Digest::of(b"");
        add(&mut history, Event::CallHeld { call: 3, proposal: Box::new(proposal(words)), clearance });
        let mut previewed = previewed();
        history.add_check_reports(COMMIT, &mut previewed);
        history.add_to(&mut previewed);
        host_words(&previewed)
    };
    let plain = said("plain");
    for words in words().iter().filter(|words| !words.is_empty()) {
        assert_eq!(said(words), plain, "{words:?}");
    }
}
