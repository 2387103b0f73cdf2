//! Values in a script: a part of the arguments that must be equal, and results of which a part is written.
//!
//! TOML has no `null`, so a value may also be JSON text.

use holdshort_gate::{FunctionType, Mismatch, WitType};
use serde_json::{Map, Value};

use super::file::members;
use crate::review::{ValueChange, visible};
use holdshort_common::once::once;

/// A value as it is written, or the value of its JSON text if it is text that must be a table.
pub(super) fn table(written: &Value) -> Result<Value, String> {
    if let Value::String(text) = written { json(text) } else { Ok(written.clone()) }
}

/// A value of type `ty`: text is JSON text, unless the type is a text.
pub(super) fn value(ty: Option<&WitType>, written: &Value) -> Result<Value, String> {
    match (ty, written) {
        (Some(ty), Value::String(text)) if ty.normalise(written).is_err() => json(text),
        (None, Value::String(text)) => json(text),
        _ => Ok(written.clone()),
    }
}

fn json(text: &str) -> Result<Value, String> {
    once(text.as_bytes()).map_err(|error| format!("write a table, or JSON in quotes; the text is not JSON: {error}"))
}

/// The normal form of some of the arguments of a function.
pub(super) fn partial_arguments(function: &FunctionType, written: &Value) -> Result<Value, Mismatch> {
    partial(&WitType::Record(function.params.clone()), written, "")
}

/// The normal form of a value in which members of records may be missing.
fn partial(ty: &WitType, written: &Value, place: &str) -> Result<Value, Mismatch> {
    match (ty, written) {
        (WitType::Record(fields), Value::Object(object)) => {
            let member = |(name, member): (&String, &Value)| match fields.iter().find(|(field, _)| field == name) {
                Some((_, ty)) => Ok((name.clone(), partial(ty, member, &joined(place, name))?)),
                None => Err(Mismatch {
                    path: joined(place, name),
                    expected: format!("a member of {}", ty.name()),
                    found: "another name".into(),
                }),
            };
            object.iter().map(member).collect::<Result<Map<_, _>, _>>().map(Value::Object)
        }
        (WitType::Option(inner), Value::Object(_)) => partial(inner, written, place),
        _ => ty.normalise(written).map_err(|wrong| within(place, wrong)),
    }
}

/// Checks that arguments can have this place. A name that a type does not have would be absent in each call.
pub(super) fn place(function: &FunctionType, place: &str) -> Result<(), String> {
    let mut ty = &WitType::Record(function.params.clone());
    for name in place.split('.') {
        while let WitType::Option(inner) = ty {
            ty = inner;
        }
        let WitType::Record(fields) = ty else { return Ok(()) };
        let found = fields.iter().find(|(field, _)| field == name);
        ty = found.map(|(_, ty)| ty).ok_or_else(|| format!("there is no `{name}` in {}", ty.name()))?;
    }
    Ok(())
}

/// A value of type `ty` from its written part. A missing member is null if its type allows it, or else the argument of
/// the same type, because a receipt repeats what was done. Without `arguments`, only the written part is checked.
pub(super) fn filled(
    ty: &WitType,
    written: &Value,
    function: &FunctionType,
    arguments: Option<&Value>,
) -> Result<Value, Mismatch> {
    let WitType::Record(fields) = ty else { return ty.normalise(written) };
    let mut whole = written.clone();
    let mut left_out = Vec::new();
    for (name, ty) in fields.iter().filter(|(name, _)| written.get(name).is_none()) {
        let argument = function.params.iter().find(|(_, param)| param == ty).map(|(param, _)| param);
        let value = match (argument, arguments) {
            (Some(param), Some(arguments)) => arguments.get(param).cloned(),
            (Some(_), None) => {
                left_out.push(name);
                None
            }
            (None, _) => matches!(ty, WitType::Option(_)).then_some(Value::Null),
        };
        if let (Some(value), Some(object)) = (value, whole.as_object_mut()) {
            object.insert(name.clone(), value);
        }
    }
    let checked = fields.iter().filter(|(name, _)| !left_out.contains(&name));
    WitType::Record(checked.cloned().collect()).normalise(&whole)
}

/// The arguments with some of them changed, as a reviewer edits them.
pub(super) fn edited(arguments: &Value, edit: &Value) -> Value {
    let Value::Object(edits) = edit else { return edit.clone() };
    let mut whole = arguments.as_object().cloned().unwrap_or_default();
    for (name, edit) in edits {
        let before = whole.get(name).cloned().unwrap_or_default();
        whole.insert(name.clone(), edited(&before, edit));
    }
    Value::Object(whole)
}

/// The places at which `arguments` differ from the part that must be equal.
pub(super) fn unequal(expected: &Value, found: Option<&Value>, place: &str, all: &mut Vec<ValueChange>) {
    match (expected, found) {
        (Value::Object(_), Some(Value::Object(inner))) => {
            for (name, member) in members(expected) {
                unequal(member, inner.get(name), &joined(place, name), all);
            }
        }
        (expected, Some(found)) if expected == found => {}
        (expected, found) => {
            all.push(ValueChange { place: place.into(), before: Some(expected.clone()), after: found.cloned() });
        }
    }
}

/// The places at which `arguments` do not contain what they must contain.
pub(super) fn uncontained(expected: &Value, found: Option<&Value>, place: &str, all: &mut Vec<ValueChange>) {
    match (expected, found) {
        (Value::Object(_), Some(Value::Object(inner))) => {
            for (name, member) in members(expected) {
                uncontained(member, inner.get(name), &joined(place, name), all);
            }
        }
        (Value::String(part), Some(Value::String(text))) if text.contains(part.as_str()) => {}
        (Value::Array(parts), Some(Value::Array(items))) if parts.iter().all(|part| items.contains(part)) => {}
        (part, Some(Value::Array(items))) if items.contains(part) => {}
        (expected, found) => {
            let before = Value::String(format!("contains {expected}"));
            all.push(ValueChange { place: place.into(), before: Some(before), after: found.cloned() });
        }
    }
}

/// The value at a place such as `message.in-reply-to`.
pub(super) fn at<'a>(value: &'a Value, place: &str) -> Option<&'a Value> {
    place.split('.').try_fold(value, |value, name| value.get(name))
}

fn joined(place: &str, name: &str) -> String {
    let name = visible::line(name);
    if place.is_empty() { name } else { format!("{place}.{name}") }
}

fn within(place: &str, wrong: Mismatch) -> Mismatch {
    let path = match wrong.path.as_str() {
        "value" if !place.is_empty() => place.to_owned(),
        path if place.is_empty() => path.to_owned(),
        path if path.starts_with('[') => format!("{place}{path}"),
        path => format!("{place}.{path}"),
    };
    Mismatch { path, ..wrong }
}
