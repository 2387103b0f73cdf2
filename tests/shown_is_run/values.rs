//! Random typed values, and their seeds.

use holdshort_gate::WitType;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};

/// The first seed. The seeds after it are tried too.
const SEED: u64 = 48;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// The number of cases: `HOLDSHORT_CASES`, or the number for an ordinary test run.
pub fn cases(ordinary: u64) -> u64 {
    number("HOLDSHORT_CASES").unwrap_or(ordinary)
}

/// The seeds to try, in order, beginning with `HOLDSHORT_SEED`.
pub fn seeds() -> impl Iterator<Item = u64> {
    number("HOLDSHORT_SEED").unwrap_or(SEED)..
}

/// A generator that makes the same values from the same seed.
pub fn runner(seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// The command that tries one seed again.
pub fn again(seed: u64, test: &str) -> String {
    format!("HOLDSHORT_SEED={seed} HOLDSHORT_CASES=1 cargo test -p holdshort --test shown_is_run {test}")
}

/// Texts that imitate the renderer's own output, and characters that disappear, reorder or join.
const PIECES: [&str; 40] = [
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
    "What the host found out",
    "  ! ",
    "- ",
    "+ ",
    "日本",
];

/// A text that is often similar to another one.
pub fn text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(PIECES.to_vec());
    prop_oneof![
        4 => prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat()),
        1 => any::<String>(),
    ]
}

/// Names that WIT permits.
fn names() -> impl Strategy<Value = Vec<String>> {
    prop::sample::subsequence(vec!["a", "b", "rationale", "some", "ok", "err", "none", "to-whom"], 1..4)
        .prop_map(|names| names.into_iter().map(str::to_owned).collect())
}

/// A type of an argument.
pub fn wit_type() -> impl Strategy<Value = WitType> {
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

/// Values of a type, from few possibilities, so that many values are similar.
pub fn value(ty: &WitType) -> BoxedStrategy<Value> {
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
