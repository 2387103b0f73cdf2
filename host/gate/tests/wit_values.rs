//! The JSON form of WIT values: one spelling for each value, of every type.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use holdshort_gate::{FunctionType, WitType};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn any_type() -> impl Strategy<Value = WitType> {
    let names = |prefix: &'static str, n: usize| (0..n).map(move |i| format!("{prefix}-{i}"));
    let leaf = prop::sample::select(vec![
        WitType::Bool,
        WitType::U8,
        WitType::U16,
        WitType::U32,
        WitType::U64,
        WitType::S8,
        WitType::S16,
        WitType::S32,
        WitType::S64,
        WitType::F32,
        WitType::F64,
        WitType::Char,
        WitType::String,
        WitType::Enum(names("case", 3).collect()),
        WitType::Flags(names("flag", 4).collect()),
        WitType::List(Box::new(WitType::U8)),
    ]);
    leaf.prop_recursive(4, 24, 3, move |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        prop_oneof![
            boxed.clone().prop_map(WitType::List),
            boxed.clone().prop_map(WitType::Option),
            prop::collection::vec(inner.clone(), 1..3).prop_map(WitType::Tuple),
            prop::collection::vec(inner.clone(), 1..3)
                .prop_map(move |types| WitType::Record(names("field", 3).zip(types).collect())),
            prop::collection::vec(prop::option::of(inner), 1..3)
                .prop_map(move |types| WitType::Variant(names("case", 3).zip(types).collect())),
            (prop::option::of(boxed.clone()), prop::option::of(boxed))
                .prop_map(|(ok, err)| WitType::Result { ok, err }),
        ]
    })
}

/// A value of `ty` in its normal form.
fn value_of(ty: &WitType) -> BoxedStrategy<Value> {
    let integers = |min: i64, max: i64| (min..=max).prop_map(Value::from).boxed();
    let tagged = |name: &'static str, ty: &Option<Box<WitType>>| {
        let payload = ty.as_deref().map_or_else(|| Just(Value::Null).boxed(), value_of);
        payload.prop_map(move |payload| json!({ name: payload })).boxed()
    };
    match ty {
        WitType::Bool => any::<bool>().prop_map(Value::from).boxed(),
        WitType::U8 => integers(0, u8::MAX.into()),
        WitType::U16 => integers(0, u16::MAX.into()),
        WitType::U32 => integers(0, u32::MAX.into()),
        WitType::S8 => integers(i8::MIN.into(), i8::MAX.into()),
        WitType::S16 => integers(i16::MIN.into(), i16::MAX.into()),
        WitType::S32 => integers(i32::MIN.into(), i32::MAX.into()),
        WitType::U64 => any::<u64>().prop_map(|n| Value::from(n.to_string())).boxed(),
        WitType::S64 => any::<i64>().prop_map(|n| Value::from(n.to_string())).boxed(),
        WitType::F32 | WitType::F64 => (-1_000_i32..1_000).prop_map(|n| json!(f64::from(n) + 0.5)).boxed(),
        WitType::Char => any::<char>().prop_map(|c| Value::from(c.to_string())).boxed(),
        WitType::String => any::<String>().prop_map(Value::from).boxed(),
        WitType::List(inner) if **inner == WitType::U8 => {
            prop::sample::select(vec!["", "AA==", "AAE=", "AAEC"]).prop_map(Value::from).boxed()
        }
        WitType::List(inner) => prop::collection::vec(value_of(inner), 0..3).prop_map(Value::from).boxed(),
        WitType::Tuple(types) => types.iter().map(value_of).collect::<Vec<_>>().prop_map(Value::from).boxed(),
        WitType::Record(fields) => {
            let names: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
            let values: Vec<_> = fields.iter().map(|(_, ty)| value_of(ty)).collect();
            values.prop_map(move |values| Value::Object(names.iter().cloned().zip(values).collect())).boxed()
        }
        WitType::Variant(cases) => {
            let cases: Vec<_> = cases
                .iter()
                .map(|(name, ty)| {
                    let name = name.clone();
                    let payload = ty.as_ref().map_or_else(|| Just(Value::Null).boxed(), value_of);
                    payload.prop_map(move |payload| Value::Object(Map::from_iter([(name.clone(), payload)]))).boxed()
                })
                .collect();
            prop::strategy::Union::new(cases).boxed()
        }
        WitType::Enum(cases) => prop::sample::select(cases.clone()).prop_map(Value::from).boxed(),
        WitType::Flags(flags) => {
            prop::sample::subsequence(flags.clone(), 0..=flags.len()).prop_map(Value::from).boxed()
        }
        WitType::Option(inner) => {
            let nested = matches!(**inner, WitType::Option(_));
            let some = value_of(inner).prop_map(move |value| if nested { json!({ "some": value }) } else { value });
            prop_oneof![Just(Value::Null), some].boxed()
        }
        WitType::Result { ok, err } => prop_oneof![tagged("ok", ok), tagged("err", err)].boxed(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_normal_value_is_its_own_normal_form((ty, value) in any_type().prop_flat_map(|ty| (Just(ty.clone()), value_of(&ty)))) {
        prop_assert_eq!(ty.normalise(&value).unwrap(), value);
    }

    #[test]
    fn types_survive_being_written_down(ty in any_type()) {
        let text = serde_json::to_string(&ty).unwrap();
        prop_assert_eq!(serde_json::from_str::<WitType>(&text).unwrap(), ty);
    }
}

#[test]
fn equal_values_get_one_spelling() {
    let flags = WitType::Flags(vec!["a".into(), "b".into()]);
    for (ty, given, normal) in [
        (&WitType::F64, json!(-0.0), json!(0)),
        (&WitType::F64, json!(2.0), json!(2)),
        (&WitType::F32, json!(0.1), json!(0.1)),
        (&WitType::F32, json!(0.100_000_001_490_116_12), json!(0.1)),
        (&WitType::U64, json!(7), json!("7")),
        (&flags, json!(["b", "a", "b"]), json!(["a", "b"])),
    ] {
        assert_eq!(ty.normalise(&given).unwrap(), normal, "{ty:?} {given}");
    }
}

#[test]
fn what_is_not_of_the_type_is_named_with_its_place() {
    let record =
        WitType::Record(vec![("to".into(), WitType::List(Box::new(WitType::String))), ("n".into(), WitType::U8)]);
    let function = FunctionType { params: vec![("message".into(), record.clone())], result: None };
    let path = |value: &Value| record.normalise(value).unwrap_err().path;
    assert_eq!(path(&json!({"to": ["a", 1], "n": 1})), "to[1]");
    assert_eq!(path(&json!({"to": [], "n": 256})), "n");
    assert_eq!(path(&json!({"to": [], "n": 1, "x": 1})), "x");
    assert_eq!(path(&json!({"to": []})), "n");
    assert_eq!(path(&json!([])), "value");
    assert_eq!(function.normalise_arguments(&json!({"message": {"to": [], "n": -1}})).unwrap_err().path, "message.n");
    let nested = WitType::Option(Box::new(WitType::Option(Box::new(WitType::U8))));
    for (ty, wrong) in [
        (&WitType::U64, json!("007")),
        (&WitType::U64, json!("-1")),
        (&WitType::U64, json!(1.5)),
        (&WitType::U8, json!("1")),
        (&WitType::Char, json!("ab")),
        (&WitType::F32, json!(1e39)),
        (&WitType::List(Box::new(WitType::U8)), json!("AA")),
        (&nested, json!(1)),
    ] {
        assert!(ty.normalise(&wrong).is_err(), "{ty:?} took {wrong}");
    }
}
