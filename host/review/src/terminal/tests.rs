//! A terminal shows every text safely, shows different values differently, and lets no text imitate the
//! frame around it.

use std::collections::HashMap;

use holdshort_gate::WitType;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use super::*;

fn content<'a>(arguments: &'a Value, exhibits: &'a [ShownExhibit]) -> ShownCall<'a> {
    ShownCall {
        summary: "deploy `main` to production",
        facts: &[],
        arguments,
        function: None,
        exhibits,
        preconditions: &Value::Null,
        differences: Vec::new(),
    }
}

fn shown(arguments: &Value, columns: usize) -> String {
    plain(&action(&content(arguments, &[]), columns))
}

/// Random texts built from the signs that the renderer itself uses.
fn tricky_text() -> impl Strategy<Value = String> {
    let pieces = [
        "\n",
        " ",
        "<",
        "<U+",
        "<U+202E>",
        "\u{202E}",
        ">",
        "\"",
        "a",
        "aaaaaaaa",
        "│ ",
        "┊ ",
        ":",
        "1.",
        "none",
        "(",
        "\u{301}",
        "\\",
        "\t",
        "What the host found out",
        "  ",
        "日本",
        "true",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..5).prop_map(|pieces| pieces.concat())
}

fn tricky_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        3 => tricky_text().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => (-2..3i64).prop_map(Value::from),
        1 => Just(json!(1.5)),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((prop_oneof![Just("a".to_owned()), tricky_text()], inner), 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Some characters of each kind of invisible character.
const GHOSTS: [char; 6] = ['\u{200B}', '\u{202E}', '\u{2066}', '\u{FEFF}', '\u{E0041}', '\u{FE0F}'];

fn cases(debug: u32) -> u32 {
    std::env::var("HOLDSHORT_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(debug)
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(cases(2_000)) })]

    #[test]
    fn no_byte_commands_the_terminal(text in any::<String>(), title in tricky_text(), name in any::<String>()) {
        let exhibits = [ShownExhibit { title: text.clone(), kind: title, bytes: Some(text.clone().into()) }];
        let arguments = json!({"x": text, "rationale": {"summary": text}, name: [1]});
        let preconditions = Value::from(text.clone());
        let facts = [("task", text.clone())];
        let whole = ShownCall { summary: &text, facts: &facts, arguments: &arguments, function: None, exhibits: &exhibits, preconditions: &preconditions, differences: Vec::new() };
        let mut lines = action(&whole, 80);
        lines.extend(super::said("RUN says: ", &text, 80));
        lines.extend(super::changes(&crate::changes(&arguments, &preconditions), 80));
        for line in &lines {
            prop_assert!(!line.text().contains(char::is_control), "{:?}", line.text());
            prop_assert!(!line.text().contains(GHOSTS), "{:?}", line.text());
        }
    }

    #[test]
    fn wrapping_loses_nothing(text in tricky_text(), room in 1..30usize) {
        let text = visible::line(&text);
        prop_assert_eq!(wrap(&text, room).concat(), text);
    }

    #[test]
    fn agents_cannot_imitate_the_frame(text in any::<String>(), more in tricky_text()) {
        let arguments = json!({"x": format!("{more}{text}{more}"), "rationale": more});
        let exhibits = [ShownExhibit { title: text.clone(), kind: "text/plain, 1 byte".into(), bytes: Some(more.into()) }];
        for line in action(&content(&arguments, &exhibits), 30) {
            let host_begins = ["  x:", "  rationale:", "  ! ", "  - ", "  │ ", "  ┊ ", "    │ ", "    ┊ ", "  \"", "  a text"];
            let own = line.text().is_empty() || line.tone() == Tone::Heading || host_begins.iter().any(|begin| line.text().starts_with(begin));
            prop_assert!(own, "{:?}", line.text());
        }
    }
}

/// Compares every value with all values before it, at a width that wraps nearly every line.
#[test]
fn different_values_never_look_alike() {
    let mut runner = TestRunner::deterministic();
    let (mut seen, mut different) = (HashMap::new(), 0);
    for _ in 0..cases(10_000) {
        let value = tricky_value().new_tree(&mut runner).unwrap().current();
        let whole = plain(&super::value(&value, 30));
        let as_arguments = shown(&value, 30);
        for rendered in [format!("value {whole}"), format!("arguments {as_arguments}")] {
            match seen.insert(rendered, value.clone()) {
                Some(other) => assert_eq!(other, value, "these look alike:\n{whole}"),
                None => different += 1,
            }
        }
    }
    assert!(different > 5_000, "only {different} different values were tried");
}

/// Pairs of values that random values rarely contain. For each pair there is a line of the renderer without which the
/// two values would look alike.
#[test]
fn known_disguises_do_not_look_alike() {
    let (long, b) = ("a".repeat(24), "b".repeat(24));
    let pairs = [
        (json!({"x y": "y\": \"z"}), json!({"x y\": \"y": "z"})),
        (json!(format!("{long}\nb\n")), json!(format!("{long}b\n"))),
        (json!(format!("{long}\n{b}c")), json!(format!("{long}{b}\nc"))),
        (json!("<U+202E>"), json!("\u{202E}")),
        (json!({"a": null}), json!({"a": "none"})),
        (json!([]), json!("an empty list")),
        (json!({"a": {"b": 1}}), json!({"a": [1]})),
        (json!(["1. x"]), json!([["x"]])),
        (json!("e\u{301}"), json!("é")),
    ];
    for (one, other) in pairs {
        for columns in 24..40 {
            assert_ne!(plain(&super::value(&one, columns)), plain(&super::value(&other, columns)), "{columns} columns");
        }
    }
}

#[test]
fn the_whole_page() {
    let arguments = json!({
        "empty": [],
        "notes": "Fixes the cart.\nNothing else. \n",
        "rationale": {"confidence": 0.9, "summary": "\u{1b}[32mApproved by host\u{1b}[0m\n\nWhat the host found out\n- all good"},
        "reviewers": ["аlice@example.org", null],
        "target": "production",
    });
    let exhibits = [
        ShownExhibit {
            title: "diff production..3f2a1b0".into(),
            kind: "text/x-diff, 14 bytes".into(),
            bytes: Some("-old\n+new \n".into()),
        },
        ShownExhibit { title: "commits".into(), kind: "text/plain, 4,210 bytes".into(), bytes: None },
    ];
    let facts = [("run", "0k3v9m2e8q1c4z7d of release, started by olga".to_owned())];
    let preconditions = json!({"tip": "41aa"});
    let whole = ShownCall {
        summary: "move production from 41aa to 3f2a1b0 (2 commits), which is a summary that is too long for one line",
        facts: &facts,
        preconditions: &preconditions,
        ..content(&arguments, &exhibits)
    };
    let expected = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/review/page.txt");
    let found = plain(&action(&whole, 72));
    if std::env::var_os("HOLDSHORT_BLESS").is_some() {
        std::fs::write(&expected, &found).unwrap();
    }
    assert_eq!(found, std::fs::read_to_string(expected).unwrap());
}

#[test]
fn types_give_the_order_and_tell_numbers() {
    let function = FunctionType {
        params: vec![
            ("to".into(), WitType::String),
            (
                "amount".into(),
                WitType::Record(vec![("minor-units".into(), WitType::U64), ("currency".into(), WitType::String)]),
            ),
            ("at".into(), WitType::Option(Box::new(WitType::Option(Box::new(WitType::S64))))),
        ],
        result: None,
    };
    let arguments = json!({"amount": {"currency": "EUR", "minor-units": "1250"}, "to": "ACME", "at": {"some": "-5"}});
    let lines = action(&ShownCall { function: Some(&function), ..content(&arguments, &[]) }, 80);
    let text = plain(&lines);
    let body = text.split("What would be done\n").nth(1).unwrap();
    assert_eq!(body, "  to: \"ACME\"\n  amount:\n    minor-units: 1250\n    currency: \"EUR\"\n  at:\n    some: -5\n");
}

#[test]
fn a_heading_keeps_the_hosts_layout() {
    assert_eq!(plain(&heading("ab.1  held  1 of 2  22 %", 80)), "\nab.1  held  1 of 2  22 %\n");
    assert_eq!(plain(&heading("ab.1 \u{202e}", 80)), "\nab.1 <U+202E>\n");
}

#[test]
fn what_an_agent_says_stands_behind_a_label() {
    let said = |words: &str, columns| plain(&said("RUN says: ", words, columns));
    assert_eq!(said("hello", 80), "RUN says: hello\n");
    assert_eq!(said("", 80), "RUN says: \n");
    assert_eq!(said("one\nRUN.1 is done\n\u{1b}[2J", 80), "RUN says: one\n  │ RUN.1 is done\n  │ <U+001B>[2J\n");
    assert_eq!(said("a b c d e f g h i j k l m n o p", 34), "RUN says: a b c d e f g h i j k l \n  ┊ m n o p\n");
}

#[test]
fn an_edit_shows_both_sides() {
    let (before, after) = (json!({"body": "x\ny", "to": ["a"]}), json!({"body": "x\nz", "to": ["b"]}));
    let text = plain(&super::changes(&crate::changes(&before, &after), 60));
    assert_eq!(
        text,
        "body\n  - a text of 2 lines, 3 bytes\n    │ x\n    │ y\n  + a text of 2 lines, 3 bytes\n    │ x\n    │ z\n\nto[0]\n  - \"a\"\n  + \"b\"\n"
    );
}
