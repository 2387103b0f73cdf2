//! Lays out a value for reading. **Invariant:** two different values never have the same outline.
//!
//! Texts stand in quotation marks, or as a block if they have several lines. Numbers, `true`, `false` and `none` stand
//! without quotation marks. An unusual field name stands in quotation marks too, because it could look like a value.

use holdshort_gate::WitType;
use serde_json::{Map, Value};

use super::visible;

/// One row of an outline. All its text is safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The depth of the row's indentation.
    pub depth: usize,
    /// The field's name, or the item's number with a full stop. It is empty for a single value, which has neither.
    pub label: String,
    pub content: RowContent,
}

/// The kinds of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowContent {
    /// A value on one line.
    Inline(String),
    /// A text of several lines.
    Block {
        lines: Vec<String>,
        /// The length of the text in bytes.
        bytes: usize,
    },
    /// A group. Its entries follow, one level deeper. The text says how many entries there are.
    Group(String),
}

/// The outline of `value`. The type, if known, gives the order of fields and marks numbers that
/// JSON stores as text.
pub fn outline(value: &Value, ty: Option<&WitType>) -> Vec<Row> {
    match value {
        // The outermost record has no label, so it gets no row of its own. Only its fields get rows.
        Value::Object(fields) if !fields.is_empty() => arguments(fields, Some(&field_types(ty))),
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            labelled("", value, ty)
        }
    }
}

/// The outline of `value` under a label that the host chose.
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

/// A field's name as a label. It is in quotation marks if it is unusual.
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
        Value::Null => push(RowContent::Inline("none".into())),
        Value::Bool(yes) => push(RowContent::Inline(yes.to_string())),
        Value::Number(number) => push(RowContent::Inline(number.to_string())),
        Value::String(text) => push(self::text(text, ty)),
        Value::Array(items) if items.is_empty() => push(RowContent::Inline("an empty list".into())),
        Value::Array(items) => {
            push(RowContent::Group(if items.len() == 1 {
                "1 entry".into()
            } else {
                format!("{} entries", items.len())
            }));
            for (index, item) in items.iter().enumerate() {
                add(rows, depth + 1, format!("{}.", index + 1), item, entry_type(ty, index));
            }
        }
        Value::Object(fields) if fields.is_empty() => push(RowContent::Inline("an empty record".into())),
        Value::Object(fields) => {
            push(RowContent::Group(String::new()));
            let types = field_types(ty);
            add_fields(rows, depth + 1, fields, &types);
        }
    }
}

/// Adds fields in the order of the type, then the fields that the type does not declare.
fn add_fields(rows: &mut Vec<Row>, depth: usize, fields: &Map<String, Value>, types: &[(String, WitType)]) {
    let declared = types.iter().filter_map(|(name, ty)| Some((name, fields.get(name)?, Some(ty))));
    let others = fields.iter().filter(|(name, _)| !types.iter().any(|(known, _)| known == *name));
    for (name, value, ty) in declared.chain(others.map(|(name, value)| (name, value, None))) {
        add(rows, depth, key(name), value, ty);
    }
}

fn text(text: &str, ty: Option<&WitType>) -> RowContent {
    let number = matches!(plain(ty), Some(WitType::U64 | WitType::S64));
    if number && text.strip_prefix('-').unwrap_or(text).chars().all(|c| c.is_ascii_digit()) && !text.is_empty() {
        RowContent::Inline(text.to_owned())
    } else if text.contains('\n') {
        RowContent::Block { lines: visible::lines(text), bytes: text.len() }
    } else {
        RowContent::Inline(format!("\"{}\"", visible::line(text)))
    }
}

/// The type inside all its options. A value that is present looks the same with and without options.
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
        // In JSON, an option of an option is an object with the field `some`. Any other option is written as
        // its value alone.
        Some(WitType::Option(inner)) if matches!(**inner, WitType::Option(_)) => {
            vec![("some".into(), (**inner).clone())]
        }
        Some(WitType::Option(inner)) => field_types(Some(inner)),
        Some(_) | None => Vec::new(),
    }
}
