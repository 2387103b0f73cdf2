//! Two different values of one type must never look alike, and must have different digests.
//!
//! Every value is compared with every other value of its type, in each form in which it is shown.
//! `HOLDSHORT_CASES=10000000` makes a long run. A failure prints the command that repeats it.

use std::collections::HashMap;
use std::hash::Hash;

use holdshort::review::terminal::{self, action, plain};
use holdshort::review::{ShownCall, VisibleLines, changes};
use holdshort_gate::{Action, Digest, FunctionType, WitType};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::evidence;
use crate::values::{again, cases, runner, seeds, text, value, wit_type};

/// The number of values of each type.
const VALUES: usize = 24;
/// The number of pairs that an ordinary test run compares.
const PAIRS: u64 = 100_000;
/// The number of texts of each seed.
const TEXTS: u64 = 2_000;
/// Widths of terminals: a width narrower than any real one, usual widths, and no limit, for programs. Each type is
/// tried at one width.
const WIDTHS: [usize; 7] = [1, 24, 30, 41, 80, 100, usize::MAX];

fn draw<S: Strategy>(strategy: &S, runner: &mut TestRunner) -> S::Value {
    strategy.new_tree(runner).unwrap().current()
}

/// A page that shows these arguments, with or without their types.
fn page(arguments: &Value, function: Option<&FunctionType>, columns: usize) -> String {
    let content = ShownCall {
        summary: "a call",
        facts: &[],
        arguments,
        function,
        exhibits: &[],
        preconditions: &Value::Null,
        differences: Vec::new(),
    };
    plain(&action(&content, columns))
}

/// The review page that shows these arguments. Its style does not indent further from the fifth level on, so a
/// difference in deeper indentation does not count here.
fn browsed(arguments: &Value, function: Option<&FunctionType>) -> String {
    let content = ShownCall {
        summary: "a call",
        facts: &[],
        arguments,
        function,
        exhibits: &[],
        preconditions: &Value::Null,
        differences: Vec::new(),
    };
    let html = holdshort::page::sheet(&content).unwrap();
    let (first, rest) = html.split_once("class=\"item d").unwrap_or((&html, ""));
    let deep = |part: &str| match part.split_once('"') {
        Some((depth, rest)) => format!("{}\"{rest}", depth.parse::<u8>().map_or(0, |depth| depth.min(4))),
        None => part.to_owned(),
    };
    first.to_owned() + &rest.split("class=\"item d").map(deep).collect::<Vec<_>>().join("d")
}

/// A renderer of an action: its name, and a function that returns what it shows. Tests must list each new renderer.
type Look<'a> = (&'static str, &'a dyn Fn(&Value) -> String);

/// A renderer of a text, in the same form.
type TextLook<'a> = (&'static str, &'a dyn Fn(&str) -> String);

/// Remembers the look of a value, and fails if a different value had the same look.
fn distinct<K: Hash + Eq, V: PartialEq + std::fmt::Debug>(seen: &mut HashMap<K, V>, look: K, of: V, what: &str) {
    if let Some(other) = seen.get(&look) {
        assert_eq!(*other, of, "{what}");
    } else {
        seen.insert(look, of);
    }
}

#[test]
fn different_values_look_different_and_have_different_digests() {
    const TEST: &str = "different_values_look_different_and_have_different_digests";
    let (mut compared, wanted) = (0, cases(PAIRS));
    for seed in seeds() {
        compared += values_of_one_type(seed, &again(seed, TEST));
        if compared >= wanted {
            break;
        }
    }
    evidence::figure("T8", "pairs of actions", compared);
}

/// Compares the values of one type, and returns the number of pairs.
fn values_of_one_type(seed: u64, again: &str) -> u64 {
    let mut runner = runner(seed);
    let ty = draw(&wit_type(), &mut runner);
    let params = vec![("subject".to_owned(), ty.clone()), ("rationale".to_owned(), WitType::String)];
    let function = FunctionType { params, result: None };
    let actions: Vec<Action> = (0..VALUES)
        .map(|_| {
            let claim = if seed.is_multiple_of(2) { String::new() } else { draw(&text(), &mut runner) };
            let arguments = json!({ "subject": draw(&value(&ty), &mut runner), "rationale": claim });
            let action = Action::new(Digest::of(b"component"), "a:b/c#d".parse().unwrap(), &function, &arguments);
            action.unwrap_or_else(|error| panic!("{error}: {arguments} is no {ty:?}"))
        })
        .collect();
    let columns = WIDTHS[usize::try_from(seed).unwrap() % WIDTHS.len()];
    let first = actions[0].arguments();
    let looks: [Look<'_>; 7] = [
        ("the review page, by its JSON alone", &|value| browsed(value, None)),
        ("the review page, by its types", &|value| browsed(value, Some(&function))),
        ("the page, by its JSON alone", &|value| page(value, None, columns)),
        ("the page, by its types", &|value| page(value, Some(&function), columns)),
        ("the endpoint's JSON", &|value| VisibleLines::json_line(value).to_string()),
        ("an edit", &|value| plain(&terminal::changes(&changes(first, value), columns))),
        ("an edit that is undone", &|value| plain(&terminal::changes(&changes(value, first), columns))),
    ];
    let mut digests = HashMap::new();
    for action in &actions {
        distinct(&mut digests, action.digest(), action.arguments(), &format!("have the same digest: {again}"));
    }
    for (name, look) in looks {
        let mut seen = HashMap::new();
        for action in &actions {
            let what = format!("look alike in {name} at {columns} columns: {again}");
            distinct(&mut seen, look(action.arguments()), action.arguments(), &what);
        }
        assert_eq!(seen.len(), digests.len(), "as many looks as values in {name}: {again}");
    }
    let different = u64::try_from(digests.len()).unwrap();
    different * (different - 1) / 2
}

/// Texts that are shown on one line: summaries, tasks, log lines, errors, and what an agent returned.
#[test]
fn different_texts_look_different() {
    const TEST: &str = "different_texts_look_different";
    let mut compared = 0;
    // A long run tries more texts in the same proportion as it tries more pairs above.
    let rounds = usize::try_from(cases(PAIRS).div_ceil(PAIRS)).unwrap();
    for seed in seeds().take(rounds) {
        let mut runner = runner(seed);
        let texts: Vec<String> = (0..TEXTS).map(|_| draw(&text(), &mut runner)).collect();
        let columns = WIDTHS[usize::try_from(seed).unwrap() % WIDTHS.len()];
        let summary = |text: &str| {
            let (arguments, preconditions) = (json!({}), Value::Null);
            let facts = [("task", text.to_owned())];
            let content = ShownCall {
                summary: text,
                facts: &facts,
                arguments: &arguments,
                function: None,
                exhibits: &[],
                preconditions: &preconditions,
                differences: Vec::new(),
            };
            plain(&action(&content, columns))
        };
        let looks: [TextLook<'_>; 6] = [
            ("a summary", &summary),
            ("a row of a list", &|text| plain(&terminal::row("1  ", text, columns))),
            ("a label", &|text| plain(&terminal::row(text, "x", columns))),
            ("a line of a log", &|text| plain(&terminal::said("RUN says: ", text, columns))),
            ("an error", &|text| plain(&terminal::note("error: ", text))),
            ("what an agent returned", &|text| plain(&terminal::returned(text, columns))),
        ];
        for (name, look) in looks {
            let mut seen = HashMap::new();
            for text in &texts {
                let what = format!("look alike as {name} at {columns} columns: {}", again(seed, TEST));
                distinct(&mut seen, look(text), text, &what);
            }
            compared = seen.len();
        }
    }
    assert!(compared > 1_000, "{compared} different texts are too few");
}
