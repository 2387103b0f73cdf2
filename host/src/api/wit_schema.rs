//! Converts a WIT type to a JSON schema, from which clients can build a form.
//!
//! Every value that fits the schema has the type. The host also accepts two kinds of values that do not fit: a `u64` or
//! `s64` written as a number, and a text with as many digits as the largest value has (20 for `u64`, 19 for `s64`).

use holdshort_gate::{Action, FunctionType, RATIONALE, WitType};
use serde_json::{Map, Value, json};

/// The schema of an edit's arguments: an object by parameter. The agent's rationale may be omitted or repeated
/// unchanged.
pub(super) fn edited(function: &FunctionType, action: &Action) -> Value {
    let (said, params): (Vec<_>, Vec<_>) = function.params.iter().cloned().partition(|(name, _)| name == RATIONALE);
    let mut schema = record(&params);
    if let (Some(properties), false) = (schema.get_mut("properties").and_then(Value::as_object_mut), said.is_empty()) {
        properties.insert(RATIONALE.to_owned(), json!({ "const": action.reasons() }));
    }
    schema
}

/// The schema of a function's `ok` type, for answering a question.
pub(super) fn answer(function: &FunctionType) -> Value {
    match &function.result {
        Some(WitType::Result { ok: Some(ok), .. }) => schema(ok),
        Some(_) | None => json!({ "type": "null" }),
    }
}

/// The schema of a type's values.
fn schema(ty: &WitType) -> Value {
    let whole = |min: i64, max: i64| json!({ "type": "integer", "minimum": min, "maximum": max });
    let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    match ty {
        WitType::Bool => json!({ "type": "boolean" }),
        WitType::U8 => whole(0, u8::MAX.into()),
        WitType::U16 => whole(0, u16::MAX.into()),
        WitType::U32 => whole(0, u32::MAX.into()),
        WitType::S8 => whole(i8::MIN.into(), i8::MAX.into()),
        WitType::S16 => whole(i16::MIN.into(), i16::MAX.into()),
        WitType::S32 => whole(i32::MIN.into(), i32::MAX.into()),
        WitType::U64 => text("^(0|[1-9][0-9]{0,18})$"),
        WitType::S64 => text("^(0|-?[1-9][0-9]{0,17})$"),
        WitType::F32 => json!({ "type": "number", "minimum": f32::MIN, "maximum": f32::MAX }),
        WitType::F64 => json!({ "type": "number" }),
        WitType::Char => json!({ "type": "string", "minLength": 1, "maxLength": 1 }),
        WitType::String => json!({ "type": "string" }),
        WitType::List(inner) if **inner == WitType::U8 => text(BASE64),
        WitType::List(inner) => json!({ "type": "array", "items": schema(inner) }),
        WitType::Tuple(types) => {
            let (items, count) = (types.iter().map(schema).collect::<Vec<_>>(), types.len());
            json!({ "type": "array", "prefixItems": items, "minItems": count, "maxItems": count })
        }
        WitType::Record(fields) => record(fields),
        WitType::Variant(cases) => {
            json!({ "oneOf": cases.iter().map(|(name, inner)| case(name, inner.as_ref())).collect::<Vec<_>>() })
        }
        WitType::Enum(cases) => json!({ "enum": cases }),
        WitType::Flags(flags) => json!({ "type": "array", "items": { "enum": flags }, "uniqueItems": true }),
        WitType::Option(inner) if matches!(**inner, WitType::Option(_)) => {
            json!({ "oneOf": [{ "type": "null" }, case("some", Some(inner))] })
        }
        WitType::Option(inner) => json!({ "anyOf": [{ "type": "null" }, schema(inner)] }),
        WitType::Result { ok, err } => json!({ "oneOf": [case("ok", ok.as_deref()), case("err", err.as_deref())] }),
    }
}

/// Padded base64. The pattern accepts one spelling of each value.
const BASE64: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";

/// An object with exactly these members.
fn record(fields: &[(String, WitType)]) -> Value {
    let properties: Map<String, Value> = fields.iter().map(|(name, ty)| (name.clone(), schema(ty))).collect();
    let required: Vec<&String> = fields.iter().map(|(name, _)| name).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// A variant's case: an object with one member, which is null without a payload.
fn case(name: &str, payload: Option<&WitType>) -> Value {
    let payload = payload.map_or_else(|| json!({ "type": "null" }), schema);
    json!({ "type": "object", "properties": { name: payload }, "required": [name], "additionalProperties": false })
}
