//! Converts WIT values between the engine's form and JSON (`wit/README.md` documents the JSON form
//! for users).
//!
//! The output of [`to_json`] is in normal form: [`WitType::normalise`] would not change it. A
//! property test over random types checks this.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use holdshort_gate::{Mismatch, WitType};
use serde_json::{Map, Value, json};
use wasmtime::component::Val;

/// The error for a value without a JSON form: NaN, infinity, or a value of another type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoJsonForm {
    /// The path to the value, from the outermost field inwards.
    path: Vec<String>,
    what: &'static str,
}

impl NoJsonForm {
    /// Adds the name of the enclosing parameter, field, case or index at the front of the path.
    pub(super) fn within(mut self, name: &str) -> Self {
        self.path.insert(0, name.into());
        self
    }
}

impl fmt::Display for NoJsonForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {}", self.path.join("."), self.what)
    }
}

/// The JSON form of a value of type `ty`, in normal form. A guest can cause an `Err` with a float that is not finite.
/// The guest is then ended, because reviewers could not be shown such a call.
pub(super) fn to_json(value: &Val, ty: &WitType) -> Result<Value, NoJsonForm> {
    const NOT_FINITE: &str = "not a finite number, and only finite numbers can be shown to a reviewer";
    let float = |number: f64| ty.normalise(&json!(number)).map_err(|_| no_form(NOT_FINITE));
    Ok(match (value, ty) {
        (Val::Bool(value), WitType::Bool) => (*value).into(),
        (Val::U8(number), WitType::U8) => (*number).into(),
        (Val::U16(number), WitType::U16) => (*number).into(),
        (Val::U32(number), WitType::U32) => (*number).into(),
        (Val::S8(number), WitType::S8) => (*number).into(),
        (Val::S16(number), WitType::S16) => (*number).into(),
        (Val::S32(number), WitType::S32) => (*number).into(),
        (Val::U64(number), WitType::U64) => number.to_string().into(),
        (Val::S64(number), WitType::S64) => number.to_string().into(),
        (Val::Float32(number), WitType::F32) => float((*number).into())?,
        (Val::Float64(number), WitType::F64) => float(*number)?,
        (Val::Char(char), WitType::Char) => char.to_string().into(),
        (Val::String(text), WitType::String) => text.as_str().into(),
        (Val::List(items), WitType::List(inner)) if **inner == WitType::U8 => bytes_to_json(items)?,
        (Val::List(items), WitType::List(inner)) => sequence(items.iter().map(|item| (item, &**inner)))?,
        (Val::Tuple(items), WitType::Tuple(types)) if items.len() == types.len() => sequence(items.iter().zip(types))?,
        (Val::Record(fields), WitType::Record(types)) if fields.len() == types.len() => record_to_json(fields, types)?,
        (Val::Variant(case, payload), WitType::Variant(cases)) => {
            let (_, ty) = cases.iter().find(|(name, _)| name == case).ok_or_else(foreign)?;
            tagged(case, payload.as_deref(), ty.as_ref())?
        }
        (Val::Enum(case), WitType::Enum(_)) => case.as_str().into(),
        (Val::Flags(set), WitType::Flags(names)) => {
            names.iter().filter(|name| set.contains(name)).map(|name| Value::from(name.as_str())).collect()
        }
        (Val::Option(None), WitType::Option(_)) => Value::Null,
        (Val::Option(Some(value)), WitType::Option(inner)) if matches!(**inner, WitType::Option(_)) => {
            tagged("some", Some(value), Some(inner))?
        }
        (Val::Option(Some(value)), WitType::Option(inner)) => to_json(value, inner)?,
        (Val::Result(Ok(payload)), WitType::Result { ok, .. }) => tagged("ok", payload.as_deref(), ok.as_deref())?,
        (Val::Result(Err(payload)), WitType::Result { err, .. }) => tagged("err", payload.as_deref(), err.as_deref())?,
        _ => return Err(foreign()),
    })
}

/// The error for a value that has no JSON form.
fn no_form(what: &'static str) -> NoJsonForm {
    NoJsonForm { path: Vec::new(), what }
}

/// The error for a value that does not have its WIT type. A guest cannot cause it: the engine has checked the value
/// against the component's type, and the WIT type is read from the same component.
fn foreign() -> NoJsonForm {
    no_form("not a value of its type")
}

/// The JSON form of bytes: one string instead of an array of numbers. The engine still has one value per byte, so long
/// lists of bytes stay expensive.
fn bytes_to_json(items: &[Val]) -> Result<Value, NoJsonForm> {
    let byte = |item: &Val| if let Val::U8(byte) = item { Ok(*byte) } else { Err(foreign()) };
    let bytes = items.iter().map(byte).collect::<Result<Vec<u8>, _>>()?;
    Ok(BASE64.encode(bytes).into())
}

/// The JSON array of several values. An error in a value names it by its index.
fn sequence<'a>(items: impl Iterator<Item = (&'a Val, &'a WitType)>) -> Result<Value, NoJsonForm> {
    let place = |(index, (item, ty)): (usize, (&Val, &WitType))| {
        to_json(item, ty).map_err(|error| error.within(&index.to_string()))
    };
    items.enumerate().map(place).collect()
}

// INVARIANT: the engine lists a record's fields in the order of their declaration, so `zip` pairs
// each field with its type.
fn record_to_json(fields: &[(String, Val)], types: &[(String, WitType)]) -> Result<Value, NoJsonForm> {
    let mut object = Map::new();
    for ((name, field), (_, ty)) in fields.iter().zip(types) {
        object.insert(name.clone(), to_json(field, ty).map_err(|error| error.within(name))?);
    }
    Ok(Value::Object(object))
}

/// The JSON object of a case: its name with its payload, or with null if it has no payload.
fn tagged(case: &str, payload: Option<&Val>, ty: Option<&WitType>) -> Result<Value, NoJsonForm> {
    let payload = match (payload, ty) {
        (Some(payload), Some(ty)) => to_json(payload, ty).map_err(|error| error.within(case))?,
        (None, None) => Value::Null,
        (Some(_), None) | (None, Some(_)) => return Err(foreign()),
    };
    Ok(Value::Object(Map::from_iter([(case.to_owned(), payload)])))
}

/// The value of a JSON form. Other spellings than the normal form, such as leading zeros, are accepted or refused, but
/// never become another value.
pub(super) fn from_json(value: &Value, ty: &WitType) -> Result<Val, Mismatch> {
    // If `build` fails, the gate's check is asked for the position of the error, which `build` cannot report.
    build(value, ty).ok_or_else(|| match ty.normalise(value) {
        Err(mismatch) => mismatch,
        Ok(_) => Mismatch { path: "value".into(), expected: ty.name(), found: "another spelling of this type".into() },
    })
}

/// Builds the engine's value; `None` if the JSON does not fit the type. In this rare case [`from_json`] finds the
/// position of the error.
fn build(value: &Value, ty: &WitType) -> Option<Val> {
    Some(match ty {
        WitType::Bool => Val::Bool(value.as_bool()?),
        WitType::U8 => Val::U8(value.as_u64()?.try_into().ok()?),
        WitType::U16 => Val::U16(value.as_u64()?.try_into().ok()?),
        WitType::U32 => Val::U32(value.as_u64()?.try_into().ok()?),
        WitType::S8 => Val::S8(value.as_i64()?.try_into().ok()?),
        WitType::S16 => Val::S16(value.as_i64()?.try_into().ok()?),
        WitType::S32 => Val::S32(value.as_i64()?.try_into().ok()?),
        WitType::U64 => Val::U64(value.as_str()?.parse().ok()?),
        WitType::S64 => Val::S64(value.as_str()?.parse().ok()?),
        #[allow(clippy::cast_possible_truncation, reason = "the normal form is the shortest decimal of this f32")]
        WitType::F32 => Val::Float32(Some(value.as_f64()? as f32).filter(|number| number.is_finite())?),
        WitType::F64 => Val::Float64(value.as_f64()?),
        WitType::Char => {
            let mut chars = value.as_str()?.chars();
            Val::Char(chars.next().filter(|_| chars.next().is_none())?)
        }
        WitType::String => Val::String(value.as_str()?.into()),
        WitType::List(inner) if **inner == WitType::U8 => {
            Val::List(BASE64.decode(value.as_str()?).ok()?.into_iter().map(Val::U8).collect())
        }
        WitType::List(inner) => {
            Val::List(value.as_array()?.iter().map(|item| build(item, inner)).collect::<Option<_>>()?)
        }
        WitType::Tuple(types) => {
            let items = value.as_array().filter(|items| items.len() == types.len())?;
            Val::Tuple(items.iter().zip(types).map(|(item, ty)| build(item, ty)).collect::<Option<_>>()?)
        }
        WitType::Record(fields) => {
            let object = value.as_object().filter(|object| object.len() == fields.len())?;
            let field = |(name, ty): &(String, WitType)| Some((name.clone(), build(object.get(name)?, ty)?));
            Val::Record(fields.iter().map(field).collect::<Option<_>>()?)
        }
        WitType::Variant(cases) => {
            let (case, payload) = single(value)?;
            let (_, ty) = cases.iter().find(|(name, _)| name == case)?;
            Val::Variant(case.clone(), build_payload(payload, ty.as_ref())?)
        }
        WitType::Enum(cases) => Val::Enum(cases.iter().find(|case| value.as_str() == Some(case))?.clone()),
        WitType::Flags(names) => {
            let flag = |flag: &Value| names.iter().find(|name| flag.as_str() == Some(name)).cloned();
            Val::Flags(value.as_array()?.iter().map(flag).collect::<Option<_>>()?)
        }
        WitType::Option(_) if value.is_null() => Val::Option(None),
        WitType::Option(inner) if matches!(**inner, WitType::Option(_)) => {
            let (_, payload) = single(value).filter(|(case, _)| *case == "some")?;
            Val::Option(Some(Box::new(build(payload, inner)?)))
        }
        WitType::Option(inner) => Val::Option(Some(Box::new(build(value, inner)?))),
        WitType::Result { ok, err } => Val::Result(match single(value)? {
            (case, payload) if case == "ok" => Ok(build_payload(payload, ok.as_deref())?),
            (case, payload) if case == "err" => Err(build_payload(payload, err.as_deref())?),
            _ => return None,
        }),
    })
}

fn single(value: &Value) -> Option<(&String, &Value)> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    object.iter().next()
}

/// Builds the payload of a case. `None`: the payload does not fit. `Some(None)`: the case has no payload, and
/// none is given.
fn build_payload(payload: &Value, ty: Option<&WitType>) -> Option<Option<Box<Val>>> {
    match ty {
        Some(ty) => build(payload, ty).map(|value| Some(Box::new(value))),
        None => payload.is_null().then_some(None),
    }
}
