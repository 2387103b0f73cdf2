//! Two different values of a type never look alike, whatever they are made of, and have different digests.

use std::collections::HashMap;

use holdshort::review::Matter;
use holdshort::review::terminal::{action, plain};
use holdshort_gate::{Action, Digest, FunctionType, WitType};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};

/// Types that are tried, and values of each; every value is compared with every other one of its type.
const TYPES: usize = 300;
const VALUES: usize = 24;

/// Texts that imitate what the renderer writes itself, and characters that disappear, reorder or join.
const PIECES: [&str; 36] = [
    "a",
    "b",
    "aaaaaaaaaaaa",
    " ",
    "  ",
    "\n",
    "\r",
    "\t",
    "\"",
    "\\",
    "<",
    "<U+",
    "<U+202E>",
    ">",
    "\u{202e}",
    "\u{200b}",
    "\u{feff}",
    "\u{e0041}",
    "\u{301}",
    "e\u{301}",
    "\u{e9}",
    "\u{435}",
    "\u{a0}",
    "\u{2028}",
    "\u{0}",
    "\u{1b}[2J",
    "│ ",
    "┊ ",
    "1.",
    "(2 entries)",
    "a text of 2 lines, 3 bytes",
    "none",
    "an empty list",
    "true",
    "x: ",
    "日本",
];

fn text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(PIECES.to_vec());
    prop_oneof![
        4 => prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat()),
        1 => any::<String>(),
    ]
}

/// Names as WIT has them.
fn names() -> impl Strategy<Value = Vec<String>> {
    prop::sample::subsequence(vec!["a", "b", "rationale", "some", "ok", "err", "none", "to-whom"], 1..4)
        .prop_map(|names| names.into_iter().map(str::to_owned).collect())
}

fn wit_type() -> impl Strategy<Value = WitType> {
    let leaf = prop_oneof![
        Just(WitType::String),
        Just(WitType::String),
        Just(WitType::Bool),
        Just(WitType::U8),
        Just(WitType::S32),
        Just(WitType::U64),
        Just(WitType::S64),
        Just(WitType::F32),
        Just(WitType::F64),
        Just(WitType::Char),
        names().prop_map(WitType::Enum),
        names().prop_map(WitType::Flags),
        Just(WitType::List(Box::new(WitType::U8))),
    ];
    leaf.prop_recursive(3, 10, 3, |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        let optional = || prop::option::of(inner.clone());
        prop_oneof![
            boxed().prop_map(WitType::List),
            boxed().prop_map(WitType::Option),
            prop::collection::vec(inner.clone(), 1..3).prop_map(WitType::Tuple),
            (names(), prop::collection::vec(inner.clone(), 3))
                .prop_map(|(names, types)| WitType::Record(names.into_iter().zip(types).collect())),
            (names(), prop::collection::vec(optional(), 3))
                .prop_map(|(names, types)| WitType::Variant(names.into_iter().zip(types).collect())),
            (optional(), optional())
                .prop_map(|(ok, err)| WitType::Result { ok: ok.map(Box::new), err: err.map(Box::new) }),
        ]
    })
}

/// Values of a type, from few possibilities, so that many are near to each other.
fn value(ty: &WitType) -> BoxedStrategy<Value> {
    let digits = |numbers: Vec<&'static str>| prop::sample::select(numbers).prop_map(Value::from).boxed();
    match ty {
        WitType::Bool => any::<bool>().prop_map(Value::from).boxed(),
        WitType::U8 | WitType::U16 | WitType::U32 => (0..13u8).prop_map(Value::from).boxed(),
        WitType::S8 | WitType::S16 | WitType::S32 => (-12..13i8).prop_map(Value::from).boxed(),
        WitType::U64 => digits(vec!["0", "1", "12", "9007199254740993", "18446744073709551615"]),
        WitType::S64 => digits(vec!["0", "1", "-1", "12", "-9223372036854775808"]),
        WitType::F32 | WitType::F64 => {
            let numbers = vec![0.0, 1.0, -1.0, 0.1, 1.5, 1e21, 1e-7, 12.0, 3.0e38, 0.1 + 0.2];
            prop::sample::select(numbers).prop_map(|number: f64| json!(number)).boxed()
        }
        WitType::Char => any::<char>().prop_map(|c| json!(c.to_string())).boxed(),
        WitType::String => text().prop_map(Value::from).boxed(),
        WitType::List(inner) if **inner == WitType::U8 => digits(vec!["", "AA==", "AAA=", "AAAA", "AAAB", "bm9uZQ=="]),
        WitType::List(inner) => prop::collection::vec(value(inner), 0..3).prop_map(Value::from).boxed(),
        WitType::Tuple(types) => types.iter().map(value).collect::<Vec<_>>().prop_map(Value::from).boxed(),
        WitType::Record(fields) => {
            let names: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
            let values: Vec<_> = fields.iter().map(|(_, ty)| value(ty)).collect();
            values.prop_map(move |values| Value::Object(names.iter().cloned().zip(values).collect())).boxed()
        }
        WitType::Variant(cases) => tagged(cases.iter().map(|(name, ty)| (name.as_str(), ty.as_ref())).collect()),
        WitType::Result { ok, err } => tagged(vec![("ok", ok.as_deref()), ("err", err.as_deref())]),
        WitType::Enum(names) => prop::sample::select(names.clone()).prop_map(Value::from).boxed(),
        WitType::Flags(names) => {
            let most = names.len();
            prop::sample::subsequence(names.clone(), 0..=most).prop_map(Value::from).boxed()
        }
        WitType::Option(inner) if matches!(**inner, WitType::Option(_)) => prop::option::of(value(inner))
            .prop_map(|some| some.map_or(Value::Null, |some| json!({ "some": some })))
            .boxed(),
        WitType::Option(inner) => prop::option::of(value(inner)).prop_map(|some| some.unwrap_or(Value::Null)).boxed(),
    }
}

fn tagged(cases: Vec<(&str, Option<&WitType>)>) -> BoxedStrategy<Value> {
    let case = |(name, ty): (&str, Option<&WitType>)| {
        let name = name.to_owned();
        let payload = ty.map_or_else(|| Just(Value::Null).boxed(), value);
        payload.prop_map(move |payload| Value::Object(Map::from_iter([(name.clone(), payload)]))).boxed()
    };
    prop::strategy::Union::new(cases.into_iter().map(case)).boxed()
}

/// What a terminal of this width shows of some arguments, with and without their types.
fn shown(arguments: &Value, function: Option<&FunctionType>, columns: usize) -> String {
    let matter =
        Matter { summary: "a call", facts: &[], arguments, function, exhibits: &[], preconditions: &Value::Null };
    plain(&action(&matter, columns))
}

#[test]
fn different_values_look_different_and_have_different_digests() {
    let seed = TestRng::from_seed(RngAlgorithm::ChaCha, &[48; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), seed);
    let mut compared = 0;
    for number in 0..TYPES {
        let ty = wit_type().new_tree(&mut runner).unwrap().current();
        let params = vec![("subject".to_owned(), ty.clone()), ("rationale".to_owned(), WitType::String)];
        let function = FunctionType { params, result: None };
        let (mut looks, mut digests) = (HashMap::new(), HashMap::new());
        for _ in 0..VALUES {
            let subject = value(&ty).new_tree(&mut runner).unwrap().current();
            let claim = text().new_tree(&mut runner).unwrap().current();
            let action = Action::new(
                Digest::of(b"component"),
                "a:b/c#d".parse().unwrap(),
                &function,
                &json!({ "subject": subject, "rationale": if number % 2 == 0 { "" } else { claim.as_str() } }),
            );
            let action = action.unwrap_or_else(|error| panic!("{error}: {subject} is no {ty:?}"));
            let arguments = action.arguments().clone();
            if let Some(other) = digests.insert(action.digest(), arguments.clone()) {
                assert_eq!(other, arguments, "two values have the same digest");
            }
            for (how, function, columns) in [(0, None, 100), (1, Some(&function), 100), (2, None, 30)] {
                if let Some(other) = looks.insert((how, shown(&arguments, function, columns)), arguments.clone()) {
                    assert_eq!(other, arguments, "two values of {ty:?} look alike");
                }
            }
        }
        assert_eq!(looks.len(), 3 * digests.len(), "as many looks as values");
        compared += digests.len() * (digests.len() - 1) / 2;
    }
    println!("{compared} pairs were compared, at three looks each");
    assert!(compared > 30_000, "{compared} pairs are too few");
}
