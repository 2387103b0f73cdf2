//! A serialisable description of WIT types, and the one JSON form of their values.
//!
//! [`WitType::normalise`] is the only way into an [`Action`](crate::Action): it checks a value against its type and
//! returns the one spelling that is digested, shown and executed. `wit/README.md` documents the form for users.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

/// A WIT type that may appear in a gated interface. Resources, streams and futures are missing here, because they have
/// no value that could be shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WitType {
    Bool,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    F32,
    F64,
    Char,
    String,
    List(Box<WitType>),
    Tuple(Vec<WitType>),
    Record(Vec<(String, WitType)>),
    Variant(Vec<(String, Option<WitType>)>),
    Enum(Vec<String>),
    Flags(Vec<String>),
    Option(Box<WitType>),
    Result { ok: Option<Box<WitType>>, err: Option<Box<WitType>> },
}

/// The type of a function: its named parameters and its result.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FunctionType {
    /// Name and type of each parameter, in order.
    pub params: Vec<(String, WitType)>,
    /// The type of the function's result, if it returns a value.
    pub result: Option<WitType>,
}

/// A value that is not of its type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}`: expected {expected}, found {found}")]
pub struct Mismatch {
    /// The place of the mismatch, such as `message.to[2]`; `value` for the whole value.
    pub path: String,
    /// The required type, in words.
    pub expected: String,
    /// The value that was found, shortened.
    pub found: String,
}

impl FunctionType {
    /// Checks `arguments` (an object keyed by parameter name) and returns their normal form.
    pub fn normalise_arguments(&self, arguments: &Value) -> Result<Value, Mismatch> {
        record(&self.params, arguments, &mut Path(Vec::new()))
    }
}

impl WitType {
    /// Checks `value` against this type and returns its normal form.
    pub fn normalise(&self, value: &Value) -> Result<Value, Mismatch> {
        self.at(value, &mut Path(Vec::new()))
    }

    /// Describes in words, for messages, how a value of the type looks in JSON. Only the outermost shape is described.
    pub fn name(&self) -> String {
        let names =
            |names: &mut dyn Iterator<Item = &String>| names.map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
        match self {
            Self::Bool => "true or false".into(),
            Self::U8 => "a whole number from 0 to 255".into(),
            Self::U16 => "a whole number from 0 to 65535".into(),
            Self::U32 => "a whole number from 0 to 4294967295".into(),
            Self::S8 => "a whole number from -128 to 127".into(),
            Self::S16 => "a whole number from -32768 to 32767".into(),
            Self::S32 => "a whole number from -2147483648 to 2147483647".into(),
            Self::U64 => "a string of digits (a u64)".into(),
            Self::S64 => "a string of digits (an s64)".into(),
            Self::F32 | Self::F64 => "a finite number".into(),
            Self::Char => "a string of one character".into(),
            Self::String => "a string".into(),
            Self::List(inner) if **inner == Self::U8 => "bytes as padded base64".into(),
            Self::List(_) => "an array".into(),
            Self::Tuple(types) => format!("an array of {}", types.len()),
            Self::Record(fields) => format!("an object with {}", names(&mut fields.iter().map(|(n, _)| n))),
            Self::Variant(cases) => format!("an object with one of {}", names(&mut cases.iter().map(|(n, _)| n))),
            Self::Enum(cases) => format!("one of {}", names(&mut cases.iter())),
            Self::Flags(flags) => format!("an array with any of {}", names(&mut flags.iter())),
            Self::Option(inner) => format!("null or {}", inner.name()),
            Self::Result { .. } => "an object with `ok` or `err`".into(),
        }
    }

    /// Normalises `value`. `path` leads from the whole value to this part; only errors use it.
    fn at(&self, value: &Value, path: &mut Path) -> Result<Value, Mismatch> {
        let wrong = |path: &Path| path.mismatch(self.name(), value);
        match self {
            Self::List(inner) if **inner != Self::U8 => {
                let items = value.as_array().ok_or_else(|| wrong(path))?;
                sequence(items.iter().map(|item| (&**inner, item)), path)
            }
            Self::Tuple(types) => match value.as_array() {
                Some(items) if items.len() == types.len() => sequence(types.iter().zip(items), path),
                Some(_) | None => Err(wrong(path)),
            },
            Self::Record(fields) => record(fields, value, path),
            Self::Variant(cases) => {
                let (name, payload) = single(value).ok_or_else(|| wrong(path))?;
                let (_, inner) = cases.iter().find(|(case, _)| case == name).ok_or_else(|| wrong(path))?;
                tagged(name, inner.as_ref(), payload, path)
            }
            Self::Option(_) if value.is_null() => Ok(Value::Null),
            Self::Option(inner) if matches!(**inner, Self::Option(_)) => match single(value) {
                Some(("some", payload)) => tagged("some", Some(inner), payload, path),
                Some(_) | None => Err(path.mismatch("null or an object with `some`".into(), value)),
            },
            Self::Option(inner) => inner.at(value, path),
            Self::Result { ok, err } => match single(value) {
                Some(("ok", payload)) => tagged("ok", ok.as_deref(), payload, path),
                Some(("err", payload)) => tagged("err", err.as_deref(), payload, path),
                Some(_) | None => Err(wrong(path)),
            },
            Self::Bool
            | Self::U8
            | Self::U16
            | Self::U32
            | Self::U64
            | Self::S8
            | Self::S16
            | Self::S32
            | Self::S64
            | Self::F32
            | Self::F64
            | Self::Char
            | Self::String
            | Self::List(_)
            | Self::Enum(_)
            | Self::Flags(_) => self.plain(value).ok_or_else(|| wrong(path)),
        }
    }

    /// The normal form of a value without inner values, or of a list of bytes; `None` if the value is not of this type.
    fn plain(&self, value: &Value) -> Option<Value> {
        match self {
            Self::Bool => value.as_bool().map(Value::Bool),
            Self::U8 => integer(value, 0, u8::MAX.into()),
            Self::U16 => integer(value, 0, u16::MAX.into()),
            Self::U32 => integer(value, 0, u32::MAX.into()),
            Self::S8 => integer(value, i8::MIN.into(), i8::MAX.into()),
            Self::S16 => integer(value, i16::MIN.into(), i16::MAX.into()),
            Self::S32 => integer(value, i32::MIN.into(), i32::MAX.into()),
            Self::U64 => digits::<u64>(value),
            Self::S64 => digits::<i64>(value),
            Self::F32 => float32(value),
            Self::F64 => value.as_f64().and_then(float64),
            Self::Char => value.as_str().filter(|text| text.chars().count() == 1).map(Value::from),
            Self::String => value.as_str().map(Value::from),
            // The decoder takes one spelling only: padded, and without stray bits at the end.
            Self::List(_) => BASE64.decode(value.as_str()?).ok().map(|_| value.clone()),
            Self::Enum(cases) => cases.iter().any(|case| value.as_str() == Some(case)).then(|| value.clone()),
            Self::Flags(flags) => {
                let set: Vec<&str> = value.as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?;
                let known = set.iter().all(|name| flags.iter().any(|flag| flag == name));
                let declared =
                    flags.iter().filter(|flag| set.contains(&flag.as_str())).map(|flag| Value::from(flag.as_str()));
                known.then(|| declared.collect())
            }
            Self::Tuple(_) | Self::Record(_) | Self::Variant(_) | Self::Option(_) | Self::Result { .. } => None,
        }
    }
}

/// The steps from the whole value to the part that is checked.
struct Path(Vec<Step>);

enum Step {
    Field(String),
    Index(usize),
}

impl Path {
    /// Adds a step to the path, calls `inner`, and removes the step again.
    fn within<T>(&mut self, step: Step, inner: impl FnOnce(&mut Self) -> T) -> T {
        self.0.push(step);
        let result = inner(self);
        self.0.pop();
        result
    }

    /// The error for this path. The value in it is shortened: a person reads the error, and the value may be megabytes.
    fn mismatch(&self, expected: String, found: &Value) -> Mismatch {
        let mut path = String::new();
        for step in &self.0 {
            match step {
                Step::Field(name) if path.is_empty() => path.push_str(name),
                Step::Field(name) => path.extend([".", name.as_str()]),
                Step::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        if path.is_empty() {
            path.push_str("value");
        }
        let text = found.to_string();
        let mut short: String = text.chars().take(60).collect();
        if short.len() < text.len() {
            short.push('…');
        }
        Mismatch { path, expected, found: short }
    }
}

/// Normalises a record. Every field of the type must be there, even if its value is null, and there must be no other
/// field. So equal records have equal bytes, and each value in a cleared record has a type.
fn record(fields: &[(String, WitType)], value: &Value, path: &mut Path) -> Result<Value, Mismatch> {
    let expected = || WitType::Record(fields.to_vec()).name();
    let object = value.as_object().ok_or_else(|| path.mismatch(expected(), value))?;
    if let Some((name, extra)) = object.iter().find(|(name, _)| !fields.iter().any(|(field, _)| field == *name)) {
        return Err(path
            .within(Step::Field(name.clone()), |path| path.mismatch(format!("no such field; {}", expected()), extra)));
    }
    // A `BTreeMap` sorts the fields by name. Any package can turn on a feature of `serde_json` that does not sort.
    let mut normal = BTreeMap::new();
    for (name, ty) in fields {
        let field = path.within(Step::Field(name.clone()), |path| match object.get(name) {
            Some(field) => ty.at(field, path),
            None => Err(Mismatch { found: "nothing".into(), ..path.mismatch(ty.name(), &Value::Null) }),
        })?;
        normal.insert(name.clone(), field);
    }
    Ok(Value::Object(normal.into_iter().collect()))
}

/// Normalises items in their order, each by its own type.
fn sequence<'a>(items: impl Iterator<Item = (&'a WitType, &'a Value)>, path: &mut Path) -> Result<Value, Mismatch> {
    items.enumerate().map(|(index, (ty, item))| path.within(Step::Index(index), |path| ty.at(item, path))).collect()
}

/// The field of an object that has exactly one field. The cases of a variant have this form.
fn single(value: &Value) -> Option<(&str, &Value)> {
    let object = value.as_object()?;
    let (name, payload) = object.iter().next()?;
    (object.len() == 1).then_some((name.as_str(), payload))
}

/// Normalises a case with its payload. A case without a payload carries null, so that every case has the same form.
fn tagged(name: &str, ty: Option<&WitType>, payload: &Value, path: &mut Path) -> Result<Value, Mismatch> {
    let payload = path.within(Step::Field(name.into()), |path| match ty {
        Some(ty) => ty.at(payload, path),
        None if payload.is_null() => Ok(Value::Null),
        None => Err(path.mismatch("null".into(), payload)),
    })?;
    Ok(Value::Object(Map::from_iter([(name.to_owned(), payload)])))
}

/// The integer, if it is between `min` and `max`. A number with a point is refused even if it is whole, because an
/// integer has one spelling.
fn integer(value: &Value, min: i64, max: i64) -> Option<Value> {
    let number = value.as_i64()?;
    (min..=max).contains(&number).then(|| number.into())
}

/// The normal form of an integer of 64 bits, which is a string of digits. A JSON integer is accepted too, because
/// people may write one in an edit; serde_json reads it without rounding.
fn digits<T: std::str::FromStr + ToString>(value: &Value) -> Option<Value> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let normal = text.parse::<T>().ok()?.to_string();
    (normal == text).then_some(Value::String(normal))
}

/// The normal form of a finite number. −0 becomes 0, so that equal values have equal bytes; whole numbers are spelled
/// as integers.
fn float64(number: f64) -> Option<Value> {
    // Integers up to 2^53 are exact as floating-point numbers too; RFC 8785 spells them without a point.
    if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 {
        #[allow(clippy::cast_possible_truncation, reason = "in range by the line above")]
        return Some(Value::from(number as i64));
    }
    Number::from_f64(number).map(Value::Number)
}

/// The shortest decimal that denotes this f32, so that 0.1 stays `0.1` and does not become the f64 next to it.
fn float32(value: &Value) -> Option<Value> {
    #[allow(clippy::cast_possible_truncation, reason = "rounding to the type is the point")]
    let narrow = value.as_f64()? as f32;
    narrow.is_finite().then(|| narrow.to_string().parse::<f64>().ok()).flatten().and_then(float64)
}
