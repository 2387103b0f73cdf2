//! A value laid out for reading. Two different values never give the same outline.
//!
//! Texts stand in quotation marks, or as a block of lines when they have more than one; numbers, `true`, `false` and `none` stand bare.
//! A name that is not plain stands in quotation marks as well, so that no name can pretend to be a value.

use holdshort_gate::WitType;
use serde_json::{Map, Value};

use super::visible;

/// One entry of an outline. All text in it is visible text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// How deep it stands.
    pub depth: usize,
    /// A field's name, or an entry's number and a full stop; empty for a value on its own.
    pub label: String,
    /// What stands there.
    pub content: Content,
}

/// What stands at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A value on one line.
    Inline(String),
    /// A text of several lines, with its length in bytes.
    Block {
        /// The lines.
        lines: Vec<String>,
        /// How long the text is.
        bytes: usize,
    },
    /// Entries that follow, one deeper; the note says how many.
    Group(String),
}

/// The outline of `value`. Its type, if it is known, gives the order of fields and tells numbers that JSON spells as text.
pub fn outline(value: &Value, ty: Option<&WitType>) -> Vec<Row> {
    match value {
        // The fields of a record on its own need no row for the whole.
        Value::Object(fields) if !fields.is_empty() => arguments(fields, Some(&field_types(ty))),
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            labelled("", value, ty)
        }
    }
}

/// The outline of `value` under a label of the host's.
pub fn labelled(label: &str, value: &Value, ty: Option<&WitType>) -> Vec<Row> {
    let mut rows = Vec::new();
    add(&mut rows, 0, label.into(), value, ty);
    rows
}

/// The outline of a function's arguments.
pub fn arguments(fields: &Map<String, Value>, params: Option<&[(String, WitType)]>) -> Vec<Row> {
    let mut rows = Vec::new();
    add_fields(&mut rows, 0, fields, params.unwrap_or_default());
    rows
}

/// A name as a label.
pub fn key(name: &str) -> String {
    if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        name.to_owned()
    } else {
        format!("\"{}\"", visible::line(name).replace('"', "<U+0022>"))
    }
}

fn add(rows: &mut Vec<Row>, depth: usize, label: String, value: &Value, ty: Option<&WitType>) {
    let mut push = |content| rows.push(Row { depth, label: label.clone(), content });
    match value {
        Value::Null => push(Content::Inline("none".into())),
        Value::Bool(yes) => push(Content::Inline(yes.to_string())),
        Value::Number(number) => push(Content::Inline(number.to_string())),
        Value::String(text) => push(self::text(text, ty)),
        Value::Array(items) if items.is_empty() => push(Content::Inline("an empty list".into())),
        Value::Array(items) => {
            push(Content::Group(if items.len() == 1 { "1 entry".into() } else { format!("{} entries", items.len()) }));
            for (index, item) in items.iter().enumerate() {
                add(rows, depth + 1, format!("{}.", index + 1), item, entry_type(ty, index));
            }
        }
        Value::Object(fields) if fields.is_empty() => push(Content::Inline("an empty record".into())),
        Value::Object(fields) => {
            push(Content::Group(String::new()));
            let types = field_types(ty);
            add_fields(rows, depth + 1, fields, &types);
        }
    }
}

/// Fields in the order that the type declares; any that it does not know follow.
fn add_fields(rows: &mut Vec<Row>, depth: usize, fields: &Map<String, Value>, types: &[(String, WitType)]) {
    let declared = types.iter().filter_map(|(name, ty)| Some((name, fields.get(name)?, Some(ty))));
    let others = fields.iter().filter(|(name, _)| !types.iter().any(|(known, _)| known == *name));
    for (name, value, ty) in declared.chain(others.map(|(name, value)| (name, value, None))) {
        add(rows, depth, key(name), value, ty);
    }
}

fn text(text: &str, ty: Option<&WitType>) -> Content {
    let number = matches!(plain(ty), Some(WitType::U64 | WitType::S64));
    if number && text.strip_prefix('-').unwrap_or(text).chars().all(|c| c.is_ascii_digit()) && !text.is_empty() {
        Content::Inline(text.to_owned())
    } else if text.contains('\n') {
        Content::Block { lines: visible::lines(text), bytes: text.len() }
    } else {
        Content::Inline(format!("\"{}\"", visible::line(text)))
    }
}

/// The type without the options around it, which a value that is there does not show.
fn plain(ty: Option<&WitType>) -> Option<&WitType> {
    match ty {
        Some(WitType::Option(inner)) => plain(Some(inner)),
        other => other,
    }
}

fn entry_type(ty: Option<&WitType>, index: usize) -> Option<&WitType> {
    match plain(ty) {
        Some(WitType::List(inner)) => Some(inner),
        Some(WitType::Tuple(types)) => types.get(index),
        Some(_) | None => None,
    }
}

fn field_types(ty: Option<&WitType>) -> Vec<(String, WitType)> {
    let some = |name: &str, ty: Option<&WitType>| ty.map(|ty| (name.to_owned(), ty.clone()));
    match ty {
        Some(WitType::Record(fields)) => fields.clone(),
        Some(WitType::Variant(cases)) => cases.iter().filter_map(|(name, ty)| some(name, ty.as_ref())).collect(),
        Some(WitType::Result { ok, err }) => {
            some("ok", ok.as_deref()).into_iter().chain(some("err", err.as_deref())).collect()
        }
        // An option inside an option is an object of its own; any other option is its value.
        Some(WitType::Option(inner)) if matches!(**inner, WitType::Option(_)) => {
            vec![("some".into(), (**inner).clone())]
        }
        Some(WitType::Option(inner)) => field_types(Some(inner)),
        Some(_) | None => Vec::new(),
    }
}
