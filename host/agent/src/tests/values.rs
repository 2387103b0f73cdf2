//! The JSON form of random values of random types.

use holdshort_gate::WitType;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use wasmtime::component::Val;

use super::super::value::{from_json, to_json};

fn names(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("name-{index}")).collect()
}

fn types() -> impl Strategy<Value = WitType> {
    let leaf = prop_oneof![
        Just(WitType::Bool),
        Just(WitType::U8),
        Just(WitType::U16),
        Just(WitType::U32),
        Just(WitType::U64),
        Just(WitType::S8),
        Just(WitType::S16),
        Just(WitType::S32),
        Just(WitType::S64),
        Just(WitType::F32),
        Just(WitType::F64),
        Just(WitType::Char),
        Just(WitType::String),
        (1..4_usize).prop_map(|count| WitType::Enum(names(count))),
        (1..5_usize).prop_map(|count| WitType::Flags(names(count))),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let named = prop::collection::vec(inner.clone(), 1..4)
            .prop_map(|types| names(types.len()).into_iter().zip(types).collect::<Vec<_>>());
        let cases = prop::collection::vec(prop::option::of(inner.clone()), 1..4)
            .prop_map(|types| names(types.len()).into_iter().zip(types).collect());
        let payload = prop::option::of(inner.clone().prop_map(Box::new));
        prop_oneof![
            inner.clone().prop_map(|ty| WitType::List(Box::new(ty))),
            inner.clone().prop_map(|ty| WitType::Option(Box::new(ty))),
            prop::collection::vec(inner, 1..4).prop_map(WitType::Tuple),
            named.prop_map(WitType::Record),
            cases.prop_map(WitType::Variant),
            (payload.clone(), payload).prop_map(|(ok, err)| WitType::Result { ok, err }),
        ]
    })
}

/// Values of a type as the engine makes them: all values that a guest can pass, except numbers without a JSON form.
fn values(ty: &WitType) -> BoxedStrategy<Val> {
    let boxed = |ty: Option<&WitType>| match ty {
        Some(ty) => values(ty).prop_map(|value| Some(Box::new(value))).boxed(),
        None => Just(None).boxed(),
    };
    match ty {
        WitType::Bool => any::<bool>().prop_map(Val::Bool).boxed(),
        WitType::U8 => any::<u8>().prop_map(Val::U8).boxed(),
        WitType::U16 => any::<u16>().prop_map(Val::U16).boxed(),
        WitType::U32 => any::<u32>().prop_map(Val::U32).boxed(),
        WitType::U64 => any::<u64>().prop_map(Val::U64).boxed(),
        WitType::S8 => any::<i8>().prop_map(Val::S8).boxed(),
        WitType::S16 => any::<i16>().prop_map(Val::S16).boxed(),
        WitType::S32 => any::<i32>().prop_map(Val::S32).boxed(),
        WitType::S64 => any::<i64>().prop_map(Val::S64).boxed(),
        WitType::F32 => any::<f32>().prop_map(|number| Val::Float32(number + 0.0)).boxed(),
        WitType::F64 => any::<f64>().prop_map(|number| Val::Float64(number + 0.0)).boxed(),
        WitType::Char => any::<char>().prop_map(Val::Char).boxed(),
        WitType::String => any::<String>().prop_map(Val::String).boxed(),
        WitType::List(inner) => prop::collection::vec(values(inner), 0..5).prop_map(Val::List).boxed(),
        WitType::Tuple(types) => types.iter().map(values).collect::<Vec<_>>().prop_map(Val::Tuple).boxed(),
        WitType::Record(fields) => {
            let names: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
            let values: Vec<_> = fields.iter().map(|(_, ty)| values(ty)).collect();
            values.prop_map(move |values| Val::Record(names.iter().cloned().zip(values).collect())).boxed()
        }
        WitType::Variant(cases) => {
            let case = |(name, ty): &(String, Option<WitType>)| {
                let name = name.clone();
                boxed(ty.as_ref()).prop_map(move |payload| Val::Variant(name.clone(), payload))
            };
            prop::strategy::Union::new(cases.iter().map(case)).boxed()
        }
        WitType::Enum(cases) => prop::sample::select(cases.clone()).prop_map(Val::Enum).boxed(),
        WitType::Flags(names) => prop::sample::subsequence(names.clone(), 0..=names.len()).prop_map(Val::Flags).boxed(),
        WitType::Option(inner) => prop::option::of(values(inner).prop_map(Box::new)).prop_map(Val::Option).boxed(),
        WitType::Result { ok, err } => prop_oneof![
            boxed(ok.as_deref()).prop_map(|payload| Val::Result(Ok(payload))),
            boxed(err.as_deref()).prop_map(|payload| Val::Result(Err(payload))),
        ]
        .boxed(),
    }
}

fn typed_values() -> impl Strategy<Value = (WitType, Val)> {
    types().prop_flat_map(|ty| {
        let values = values(&ty);
        (Just(ty), values)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A value that is converted to JSON and back is the same value, and its JSON is in normal form.
    #[test]
    fn every_value_round_trips((ty, value) in typed_values()) {
        match to_json(&value, &ty) {
            Ok(json) => {
                prop_assert_eq!(ty.normalise(&json).unwrap().to_string(), json.to_string());
                prop_assert_eq!(from_json(&json, &ty).unwrap(), value);
            }
            Err(error) => prop_assert!(error.to_string().contains("not a finite number"), "{}", error),
        }
    }

    /// Any JSON is converted to a value of the type or refused, without a panic. If the gate's check refuses it, this
    /// conversion refuses it too.
    #[test]
    fn foreign_json_is_refused((ty, value) in typed_values(), other in types()) {
        if let Ok(json) = to_json(&value, &ty) {
            match from_json(&json, &other) {
                Ok(_) => prop_assert!(other.normalise(&json).is_ok()),
                Err(mismatch) => prop_assert!(!mismatch.path.is_empty()),
            }
        }
    }
}

#[test]
fn the_form_is_the_documented_one() {
    let record = WitType::Record(vec![
        ("bytes".into(), WitType::List(Box::new(WitType::U8))),
        ("big".into(), WitType::S64),
        ("tenth".into(), WitType::F32),
        ("zero".into(), WitType::F64),
        ("nested".into(), WitType::Option(Box::new(WitType::Option(Box::new(WitType::Bool))))),
        ("flags".into(), WitType::Flags(names(3))),
        ("outcome".into(), WitType::Result { ok: None, err: Some(Box::new(WitType::Char)) }),
    ]);
    let value = Val::Record(vec![
        ("bytes".into(), Val::List(vec![Val::U8(0xde), Val::U8(0xad)])),
        ("big".into(), Val::S64(i64::MIN)),
        ("tenth".into(), Val::Float32(0.1)),
        ("zero".into(), Val::Float64(-0.0)),
        ("nested".into(), Val::Option(Some(Box::new(Val::Option(None))))),
        ("flags".into(), Val::Flags(vec!["name-2".into(), "name-0".into()])),
        ("outcome".into(), Val::Result(Ok(None))),
    ]);
    let json = json!({
        "bytes": "3q0=", "big": "-9223372036854775808", "tenth": 0.1, "zero": 0,
        "nested": { "some": null }, "flags": ["name-0", "name-2"], "outcome": { "ok": null },
    });
    assert_eq!(to_json(&value, &record).unwrap(), json);
}

#[test]
fn a_value_without_form_is_named_by_its_path() {
    let ty = WitType::Record(vec![("rows".into(), WitType::List(Box::new(WitType::F64)))]);
    let value = Val::Record(vec![("rows".into(), Val::List(vec![Val::Float64(1.0), Val::Float64(f64::NAN)]))]);
    let error = to_json(&value, &ty).unwrap_err().within("table").to_string();
    assert!(error.starts_with("`table.rows.1` is not a finite number"), "{error}");
    let foreign = Value::Object(Map::from_iter([("rows".to_owned(), json!([1, "x"]))]));
    assert_eq!(from_json(&foreign, &ty).unwrap_err().path, "rows[1]");
}
