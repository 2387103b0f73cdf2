//! Converts between a value of a WIT type and the fields of a form.
//!
//! A [`Draft`] has the shape of the type and keeps the content of each field, valid or not, so
//! typed text is never lost. A field shows text in its visible form: an invisible character appears
//! as `<U+…>` and is read back from it. A field therefore hides nothing, and an untouched field
//! returns exactly its value, although browsers change line ends.

mod parts;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use holdshort_gate::WitType;
use serde_json::{Map, Value};

use crate::review::Text;
use holdshort_common::once::once;

pub(super) use parts::{Kind, Part, parts};

/// Types nested deeper than this are edited as JSON.
const DEPTH_MAX: usize = 6;

/// The name of a field: the path to its position in the value, in numbers that the host chose.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name(String);

impl Name {
    /// The name of the field for the whole value.
    pub(super) fn root() -> Self {
        Self("v".into())
    }

    fn part(&self, index: usize) -> Self {
        Self(format!("{}.{index}", self.0))
    }

    fn of(&self, what: &'static str) -> Self {
        Self(format!("{}.{what}", self.0))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The fields that a browser sent.
pub(super) struct Sent<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Sent<'a> {
    pub(super) fn new(fields: &'a [(String, String)]) -> Self {
        Self(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect())
    }

    fn has(&self, name: &Name) -> bool {
        self.0.contains_key(name.0.as_str())
    }

    fn text(&self, name: &Name) -> &'a str {
        self.0.get(name.0.as_str()).copied().unwrap_or_default()
    }

    /// The index of the chosen option. Without a choice it is out of range.
    fn index(&self, name: &Name) -> usize {
        self.text(name).parse().unwrap_or(usize::MAX)
    }
}

/// Errors by field name.
pub(super) type Wrong = BTreeMap<Name, Text>;

/// The content of a form's fields.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Draft {
    /// The text of a field for a text, a number, bytes or JSON.
    Typed(String),
    Ticked(bool),
    /// The chosen option.
    Picked(usize),
    Flags(Vec<bool>),
    /// An optional value; the fields keep their content if the value is switched off.
    Maybe(bool, Box<Draft>),
    /// A record or a tuple: a fixed number of parts.
    All(Vec<Draft>),
    List(Vec<Draft>),
    /// A variant: the chosen case and its payload. `new` marks a case chosen just now, whose fields
    /// are still empty.
    Case {
        picked: usize,
        payload: Option<Box<Draft>>,
        new: bool,
    },
}

/// The kind of field or group that a form has for a type.
enum Shape<'a> {
    Text,
    Number,
    Json,
    Tick,
    Pick(&'a [String]),
    Flags(&'a [String]),
    Maybe(&'a WitType),
    /// A record with named fields, or a tuple with unnamed ones.
    All(Vec<(Option<&'a str>, &'a WitType)>),
    List(&'a WitType),
    Case(Vec<(&'a str, Option<&'a WitType>)>),
}

impl<'a> Shape<'a> {
    fn of(ty: &'a WitType, depth: usize) -> Self {
        match ty {
            WitType::Bool => Self::Tick,
            WitType::Char | WitType::String => Self::Text,
            WitType::U8
            | WitType::U16
            | WitType::U32
            | WitType::U64
            | WitType::S8
            | WitType::S16
            | WitType::S32
            | WitType::S64
            | WitType::F32
            | WitType::F64 => Self::Number,
            WitType::Enum(cases) => Self::Pick(cases),
            WitType::Flags(flags) => Self::Flags(flags),
            WitType::List(inner) if **inner == WitType::U8 => Self::Text,
            _ if depth >= DEPTH_MAX => Self::Json,
            WitType::List(inner) => Self::List(inner),
            WitType::Option(inner) => Self::Maybe(inner),
            WitType::Tuple(types) => Self::All(types.iter().map(|ty| (None, ty)).collect()),
            WitType::Record(fields) => Self::All(fields.iter().map(|(name, ty)| (Some(name.as_str()), ty)).collect()),
            WitType::Variant(cases) => {
                Self::Case(cases.iter().map(|(name, ty)| (name.as_str(), ty.as_ref())).collect())
            }
            WitType::Result { ok, err } => Self::Case(vec![("ok", ok.as_deref()), ("err", err.as_deref())]),
        }
    }
}

impl Draft {
    /// Fills the fields with `value`, or leaves them empty.
    pub(super) fn of(ty: &WitType, value: Option<&Value>, depth: usize) -> Self {
        let word = value.and_then(Value::as_str);
        let within = |ty: &WitType, value: Option<&Value>| Box::new(Self::of(ty, value, depth + 1));
        match Shape::of(ty, depth) {
            Shape::Text => Self::Typed(word.unwrap_or_default().into()),
            Shape::Number => Self::Typed(
                value.map(|value| word.map_or_else(|| value.to_string(), str::to_owned)).unwrap_or_default(),
            ),
            Shape::Json => Self::Typed(value.map(|value| Text::json(value).to_string()).unwrap_or_default()),
            Shape::Tick => Self::Ticked(value == Some(&Value::Bool(true))),
            Shape::Pick(cases) => Self::Picked(cases.iter().position(|case| word == Some(case)).unwrap_or(0)),
            Shape::Flags(flags) => {
                let set = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                Self::Flags(flags.iter().map(|flag| set.iter().any(|set| set == flag.as_str())).collect())
            }
            Shape::Maybe(inner) => {
                let some = value.filter(|value| !value.is_null());
                let inside = if nested(inner) { some.and_then(|some| some.get("some")) } else { some };
                Self::Maybe(some.is_some(), within(inner, inside))
            }
            Shape::All(parts) => {
                let part = |(index, (name, ty)): (usize, &(Option<&str>, &WitType))| {
                    let value = value.and_then(|value| name.map_or_else(|| value.get(index), |name| value.get(name)));
                    *within(ty, value)
                };
                Self::All(parts.iter().enumerate().map(part).collect())
            }
            Shape::List(inner) => {
                let items = value.and_then(Value::as_array).into_iter().flatten();
                Self::List(items.map(|item| *within(inner, Some(item))).collect())
            }
            Shape::Case(cases) => {
                let found = cases.iter().position(|(name, _)| value.is_some_and(|value| value.get(name).is_some()));
                let picked = found.unwrap_or(0);
                let case = cases.get(picked);
                let value = case.and_then(|(name, _)| value?.get(name));
                let payload = case.and_then(|(_, ty)| *ty).map(|ty| within(ty, value));
                Self::Case { picked, payload, new: false }
            }
        }
    }

    /// Reads the fields that a browser sent. It drops items marked for removal, adds the requested
    /// item, and gives a newly chosen case empty fields.
    pub(super) fn posted(ty: &WitType, name: &Name, sent: &Sent<'_>, depth: usize) -> Self {
        let within = |ty: &WitType, name: &Name| Self::posted(ty, name, sent, depth + 1);
        match Shape::of(ty, depth) {
            Shape::Text | Shape::Number | Shape::Json => Self::Typed(Text::typed(sent.text(name))),
            Shape::Tick => Self::Ticked(sent.has(name)),
            Shape::Pick(_) => Self::Picked(sent.index(name)),
            Shape::Flags(flags) => Self::Flags((0..flags.len()).map(|index| sent.has(&name.part(index))).collect()),
            Shape::Maybe(inner) => Self::Maybe(sent.has(&name.of("given")), Box::new(within(inner, &name.part(0)))),
            Shape::All(parts) => {
                let part = |(index, (_, ty)): (usize, &(Option<&str>, &WitType))| within(ty, &name.part(index));
                Self::All(parts.iter().enumerate().map(part).collect())
            }
            Shape::List(inner) => {
                let there = (0..).map(|index| name.part(index)).take_while(|item| sent.has(&item.of("item")));
                let kept = there.filter(|item| !sent.has(&item.of("remove")));
                let mut items: Vec<Self> = kept.map(|item| within(inner, &item)).collect();
                if sent.text(&Name("more".into())) == name.0 {
                    items.push(Self::of(inner, None, depth + 1));
                }
                Self::List(items)
            }
            Shape::Case(cases) => {
                let picked = sent.index(name);
                let same = picked == sent.index(&name.of("was"));
                let payload = cases
                    .get(picked)
                    .and_then(|(_, ty)| *ty)
                    .map(|ty| Box::new(if same { within(ty, &name.part(0)) } else { Self::of(ty, None, depth + 1) }));
                Self::Case { picked, new: !same && payload.is_some(), payload }
            }
        }
    }

    /// The value in its normal form. Errors are added to `wrong`.
    pub(super) fn value(&self, ty: &WitType, name: &Name, depth: usize, wrong: &mut Wrong) -> Value {
        match (self, Shape::of(ty, depth)) {
            (Self::Typed(text), Shape::Text) => fitting(ty, text, Some(text.as_str().into()), name, wrong),
            (Self::Typed(text), Shape::Number) => fitting(ty, text, number(ty, text.trim()), name, wrong),
            (Self::Typed(text), Shape::Json) => fitting(ty, text, once(text.as_bytes()).ok(), name, wrong),
            (Self::Ticked(yes), Shape::Tick) => Value::Bool(*yes),
            (Self::Picked(index), Shape::Pick(cases)) => picked(cases.get(*index), name, wrong),
            (Self::Flags(set), Shape::Flags(flags)) => {
                let both = flags.iter().zip(set).filter(|(_, set)| **set);
                both.map(|(flag, _)| Value::from(flag.as_str())).collect()
            }
            (Self::Maybe(false, _), Shape::Maybe(_)) => Value::Null,
            (Self::Maybe(true, draft), Shape::Maybe(inner)) => {
                let value = draft.value(inner, &name.part(0), depth + 1, wrong);
                if nested(inner) { tagged("some", value) } else { value }
            }
            (Self::All(drafts), Shape::All(parts)) => {
                let values = drafts.iter().zip(&parts).enumerate();
                let values =
                    values.map(|(index, (draft, (_, ty)))| draft.value(ty, &name.part(index), depth + 1, wrong));
                if matches!(ty, WitType::Tuple(_)) {
                    return values.collect();
                }
                let names = parts.iter().filter_map(|(name, _)| name.map(str::to_owned));
                Value::Object(names.zip(values.collect::<Vec<_>>()).collect())
            }
            (Self::List(items), Shape::List(inner)) => {
                let items = items.iter().enumerate();
                items.map(|(index, item)| item.value(inner, &name.part(index), depth + 1, wrong)).collect()
            }
            (Self::Case { picked: index, payload, new }, Shape::Case(cases)) => {
                if *new {
                    let told = "the form now shows the fields of the new choice: fill in these fields";
                    wrong.insert(name.clone(), Text::line(told));
                }
                let Some((case, ty)) = cases.get(*index) else { return picked(None, name, wrong) };
                let payload = payload.as_deref().zip(*ty);
                let payload = payload.map(|(draft, ty)| draft.value(ty, &name.part(0), depth + 1, wrong));
                tagged(case, payload.unwrap_or_default())
            }
            // A draft always matches its type, so this case does not occur.
            _ => picked(None, name, wrong),
        }
    }
}

/// Whether an option of this type needs an explicit `some` in JSON.
fn nested(inner: &WitType) -> bool {
    matches!(inner, WitType::Option(_))
}

fn tagged(name: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value)]))
}

fn fitting(ty: &WitType, typed: &str, value: Option<Value>, name: &Name, wrong: &mut Wrong) -> Value {
    let normal = value.and_then(|value| ty.normalise(&value).ok());
    normal.unwrap_or_else(|| {
        let found: String = typed.chars().take(60).collect();
        let more = if found.len() < typed.len() { "…" } else { "" };
        wrong.insert(name.clone(), Text::line(&format!("expected {}, found `{found}{more}`", expected(ty))));
        Value::Null
    })
}

fn picked(case: Option<&String>, name: &Name, wrong: &mut Wrong) -> Value {
    case.map_or_else(
        || {
            wrong.insert(name.clone(), Text::line("choose one"));
            Value::Null
        },
        |case| case.as_str().into(),
    )
}

/// Reads a number without rounding: integers of 64 bits stay text, as in JSON form, and other integers are read as
/// JSON. Floats are read as `f64`.
fn number(ty: &WitType, text: &str) -> Option<Value> {
    if matches!(ty, WitType::F32 | WitType::F64) {
        text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from)
    } else if matches!(ty, WitType::U64 | WitType::S64) {
        Some(text.into())
    } else {
        once(text.as_bytes()).ok()
    }
}

/// The accepted input of a field, in words.
fn expected(ty: &WitType) -> String {
    if *ty == WitType::U64 {
        format!("a whole number from 0 to {}", u64::MAX)
    } else if *ty == WitType::S64 {
        format!("a whole number from {} to {}", i64::MIN, i64::MAX)
    } else if *ty == WitType::Char {
        "one character".into()
    } else {
        ty.name()
    }
}
