//! Tests forms with random values. An untouched field returns the same value, and any returned form
//! gives a value of the type or an error at a field.

use std::cell::Cell;

use holdshort_gate::WitType;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::*;
use crate::review::visible;

/// The random types and values that the renderers are tested with too.
#[path = "../../../../tests/shown_is_run/values.rs"]
#[allow(dead_code, unreachable_pub, reason = "a test of its own, of which the types and values are used here")]
mod values;

/// What a browser sends for an unchanged form, with the line ends of browsers.
fn browser(parts: &[Part]) -> Vec<(String, String)> {
    let value = |part: &Part| match &part.kind {
        Kind::Line(text) | Kind::Number(text, _) => {
            let text = text.to_string();
            assert!(!text.contains(['\r', '\n']), "an input drops line ends: {text:?}");
            Some(text)
        }
        Kind::Area(text) => Some(text.to_string().replace('\n', "\r\n")),
        Kind::Tick(yes) => yes.then(|| "1".into()),
        Kind::Pick(words) => Some(words.iter().position(|(_, picked)| *picked).unwrap_or(0).to_string()),
        Kind::Hidden(value) => Some(value.to_string()),
        Kind::Open | Kind::Close | Kind::More | Kind::Fields => None,
    };
    parts.iter().filter_map(|part| Some((part.name.to_string(), value(part)?))).collect()
}

fn posted(ty: &WitType, fields: &[(String, String)]) -> (Draft, Value, Wrong) {
    let draft = Draft::posted(ty, &Name::root(), &Sent::new(fields), 0);
    let mut wrong = Wrong::new();
    let value = draft.value(ty, &Name::root(), 0, &mut wrong);
    (draft, value, wrong)
}

fn form(ty: &WitType, value: &Value) -> Vec<Part> {
    parts(&Draft::of(ty, Some(value), 0), ty, &Wrong::new())
}

/// A random type and value, within the nesting limit of JSON.
fn typed_value() -> impl Strategy<Value = (WitType, Value)> {
    let value = values::wit_type().prop_flat_map(|ty| {
        let value = values::value(&ty);
        (Just(ty), value)
    });
    (value, 0..=DEPTH_MAX).prop_map(|((ty, value), around)| {
        let value = ty.normalise(&value).unwrap();
        (0..around).fold((ty, value), |(ty, value), _| (WitType::Tuple(vec![ty]), json!([value])))
    })
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

#[test]
fn what_nobody_touches_comes_back() {
    let (fields, json) = (Cell::new(0), Cell::new(0));
    runner(3_000)
        .run(&typed_value(), |(ty, value)| {
            let parts = form(&ty, &value);
            for part in &parts {
                if let Kind::Line(text) | Kind::Area(text) | Kind::Number(text, _) = &part.kind {
                    prop_assert_eq!(visible::hidden(&text.to_string()).count(), 0);
                    fields.set(fields.get() + 1);
                    json.set(json.get() + u32::from(part.hint.to_string().ends_with("as JSON")));
                }
            }
            let (draft, back, wrong) = posted(&ty, &browser(&parts));
            prop_assert_eq!((back, wrong), (value.clone(), Wrong::new()));
            prop_assert_eq!(draft, Draft::of(&ty, Some(&value), 0));
            Ok(())
        })
        .unwrap();
    assert!(fields.get() > 1_000 && json.get() > 100, "{fields:?} {json:?}");
}

/// All typed texts in a draft, in order.
fn typed(draft: &Draft) -> Vec<&str> {
    match draft {
        Draft::Typed(text) => vec![text],
        Draft::Maybe(_, inner) => typed(inner),
        Draft::Case { payload, .. } => payload.as_deref().map(typed).unwrap_or_default(),
        Draft::All(parts) | Draft::List(parts) => parts.iter().flat_map(typed).collect(),
        Draft::Ticked(_) | Draft::Picked(_) | Draft::Flags(_) => Vec::new(),
    }
}

#[test]
fn whatever_is_sent_is_a_value_or_an_error_at_a_field() {
    let (good, bad) = (Cell::new(0), Cell::new(0));
    let change = (any::<prop::sample::Index>(), 0..4u8, values::text());
    let changes = prop::collection::vec(change, 0..4);
    runner(3_000)
        .run(&(typed_value(), changes), |((ty, value), changes)| {
            let mut fields = browser(&form(&ty, &value));
            for (at, what, text) in changes.into_iter().filter(|_| !fields.is_empty()).collect::<Vec<_>>() {
                let at = at.index(fields.len());
                match what {
                    0 if fields.len() > 1 => drop(fields.remove(at)),
                    1 => fields.push((format!("{}.remove", fields[at].0.trim_end_matches(".item")), text)),
                    2 => fields[at].0 = text,
                    _ => fields[at].1 = text,
                }
            }
            let (draft, value, wrong) = posted(&ty, &fields);
            let shown = parts(&draft, &ty, &wrong);
            if wrong.is_empty() {
                prop_assert_eq!(ty.normalise(&value), Ok(value));
                good.set(good.get() + 1);
            } else {
                let at = |name: &Name| shown.iter().any(|part| part.name == *name && part.wrong.is_some());
                prop_assert!(wrong.keys().all(at), "{:?} has no field in {:?}", wrong, shown);
                bad.set(bad.get() + 1);
            }
            // The form shown again keeps all typed text.
            let (again, _, _) = posted(&ty, &browser(&shown));
            let (kept, mut there) = (typed(&draft), typed(&again).into_iter());
            prop_assert!(kept.iter().all(|text| there.any(|other| other == *text)), "{:?} {:?}", again, draft);
            Ok(())
        })
        .unwrap();
    assert!(good.get() > 500 && bad.get() > 500, "{good:?} {bad:?}");
}

fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn record(fields: &[(&str, WitType)]) -> WitType {
    WitType::Record(fields.iter().map(|(name, ty)| ((*name).to_owned(), ty.clone())).collect())
}

#[test]
fn a_field_hides_nothing() {
    let ty = record(&[("to", WitType::String), ("body", WitType::String)]);
    let value = json!({"to": "a\u{200B}b\u{202E}", "body": "one\r\ntwo \n<U+0041>"});
    let parts = form(&ty, &value);
    let Kind::Line(to) = &parts[0].kind else { panic!("{parts:?}") };
    assert_eq!(to.to_string(), "a<U+200B>b<U+202E>");
    assert_eq!(parts[0].remarks[0].to_string(), "to: 2 invisible characters, shown as <U+…>");
    let Kind::Area(body) = &parts[1].kind else { panic!("{parts:?}") };
    assert_eq!(body.to_string(), "one<U+000D>\ntwo<U+0020>\n<U+003C>U+0041>");
    assert_eq!(posted(&ty, &browser(&parts)).1, value);
    // Pasted characters become visible too.
    let (draft, ..) = posted(&ty, &fields(&[("v.0", "x\u{200B}"), ("v.1", "")]));
    let Kind::Line(to) = &super::parts(&draft, &ty, &Wrong::new())[0].kind else { panic!() };
    assert_eq!(to.to_string(), "x<U+200B>");
}

#[test]
fn a_list_grows_and_shrinks() {
    let ty = record(&[("to", WitType::List(Box::new(WitType::String)))]);
    let sent =
        fields(&[("v.0.0.item", "1"), ("v.0.0", "a"), ("v.0.1.item", "1"), ("v.0.1", "b"), ("v.0.0.remove", "1")]);
    assert_eq!(posted(&ty, &sent).1, json!({"to": ["b"]}));
    let more = [sent, fields(&[("more", "v.0")])].concat();
    assert_eq!(posted(&ty, &more).1, json!({"to": ["b", ""]}));
}

#[test]
fn another_case_has_other_fields() {
    let payload = record(&[("minutes", WitType::U8)]);
    let cases = vec![("now".into(), None), ("later".into(), Some(payload)), ("at".into(), Some(WitType::String))];
    let ty = record(&[("when", WitType::Variant(cases))]);
    let sent = fields(&[("v.0", "1"), ("v.0.was", "2"), ("v.0.0", "noon"), ("v.0.0.0", "7")]);
    let (draft, _, wrong) = posted(&ty, &sent);
    assert!(wrong.keys().any(|name| name.to_string() == "v.0"), "what nobody has seen is not sent: {wrong:?}");
    let again = browser(&parts(&draft, &ty, &wrong));
    assert!(again.contains(&("v.0.0.0".into(), String::new())), "fields of the new case, empty: {again:?}");
    let filled = fields(&[("v.0", "1"), ("v.0.was", "1"), ("v.0.0.0", "7")]);
    assert_eq!(posted(&ty, &filled).1, json!({"when": {"later": {"minutes": 7}}}));
    let (_, value, wrong) = posted(&ty, &fields(&[("v.0", "0"), ("v.0.was", "2"), ("v.0.0", "noon")]));
    assert_eq!((value, wrong), (json!({"when": {"now": null}}), Wrong::new()), "it has no fields to fill in");
}

#[test]
fn numbers_are_told_where_they_are_wrong() {
    for (ty, good, bad) in [
        (WitType::U8, "255", "256"),
        (WitType::S8, " -128 ", "1.5"),
        (WitType::U64, "18446744073709551615", "18446744073709551616"),
        (WitType::S64, "-9223372036854775808", "0x1"),
        (WitType::F64, "0.1", "NaN"),
        (WitType::F32, "1e3", "1e99"),
        (WitType::Char, "<U+200B>", "ab"),
        (WitType::List(Box::new(WitType::U8)), "bm9uZQ==", "bm9uZQ"),
    ] {
        let ty = record(&[("x", ty)]);
        assert!(posted(&ty, &fields(&[("v.0", good)])).2.is_empty(), "{ty:?} {good}");
        let (_, _, wrong) = posted(&ty, &fields(&[("v.0", bad)]));
        let text = wrong.values().next().unwrap_or_else(|| panic!("{ty:?} {bad}")).to_string();
        assert!(text.starts_with("expected ") && text.ends_with(&format!("found `{bad}`")), "{text}");
    }
}

#[test]
fn what_is_not_given_is_none() {
    let ty = record(&[("cc", WitType::Option(Box::new(WitType::String)))]);
    assert_eq!(posted(&ty, &fields(&[("v.0.0", "kept in its field")])).1, json!({"cc": null}));
    assert_eq!(posted(&ty, &fields(&[("v.0.given", "1"), ("v.0.0", "")])).1, json!({"cc": ""}));
}
