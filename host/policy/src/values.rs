//! Converts the JSON form of WIT values to Cedar. Cedar has signed 64-bit integers and no floats. A
//! value that does not fit is an error, and the call is held.

use cedar_policy::RestrictedExpression as Expression;
use holdshort_gate::{Time, WitType, totals};
use serde_json::{Map, Value};

use super::schema::{attribute, is_money, optional};

/// Errors about values. Each names the position of its value.
pub(super) type Errors = Vec<String>;

/// A record with these fields. A missing field, or an optional field with null, is left out.
pub(super) fn record(fields: &[(&str, &WitType)], value: &Value, path: &str, errors: &mut Errors) -> Expression {
    let mut made = Vec::new();
    for (name, ty) in fields {
        let (optional, inner) = optional(ty);
        let found = value.get(*name).filter(|found| !(optional && found.is_null()));
        let Some(found) = found else { continue };
        // An option of an option is written `{"some": …}`.
        let found = match (optional && matches!(inner, WitType::Option(_)), found.get("some")) {
            (true, Some(some)) => some,
            _ => found,
        };
        let path = if path.is_empty() { (*name).to_owned() } else { format!("{path}.{name}") };
        if let Some(expression) = expression(inner, found, &path, errors) {
            made.push((attribute(name), expression));
        }
    }
    of(made)
}

/// A record of these attributes, whose names must differ.
pub(super) fn of(attributes: Vec<(String, Expression)>) -> Expression {
    // `new_record` refuses only a repeated name, and a WIT record repeats none.
    Expression::new_record(attributes).unwrap_or_else(|_| Expression::new_bool(false))
}

pub(super) fn expression(ty: &WitType, value: &Value, path: &str, errors: &mut Errors) -> Option<Expression> {
    Some(match ty {
        WitType::Bool => Expression::new_bool(value.as_bool()?),
        WitType::U8
        | WitType::U16
        | WitType::U32
        | WitType::U64
        | WitType::S8
        | WitType::S16
        | WitType::S32
        | WitType::S64 => Expression::new_long(long(value, path, errors)?),
        WitType::F32 => single(value.as_f64()?, path, errors)?,
        WitType::F64 => decimal(value.as_f64()?, path, errors)?,
        WitType::Char | WitType::String | WitType::Enum(_) => Expression::new_string(value.as_str()?.to_owned()),
        WitType::Flags(_) => {
            let names = value.as_array()?.iter().filter_map(Value::as_str);
            Expression::new_set(names.map(|name| Expression::new_string(name.to_owned())))
        }
        WitType::List(item) if **item == WitType::U8 => {
            let text = value.as_str()?;
            let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
            let bytes = (text.len() / 4 * 3).saturating_sub(padding);
            of(vec![("bytes".into(), Expression::new_long(i64::try_from(bytes).ok()?))])
        }
        WitType::List(item) => list(item, value.as_array()?, path, errors),
        WitType::Tuple(types) => {
            let names: Vec<String> = (0..types.len()).map(|index| format!("item{index}")).collect();
            let items = names.iter().cloned().zip(value.as_array()?.iter().cloned()).collect::<Map<_, _>>();
            let fields: Vec<_> = names.iter().map(String::as_str).zip(types).collect();
            record(&fields, &Value::Object(items), path, errors)
        }
        WitType::Record(_) if is_money(ty) => money(value, path, errors)?,
        WitType::Record(fields) => record(&borrowed(fields), value, path, errors),
        WitType::Variant(cases) => {
            let (name, payload) = value.as_object()?.iter().next()?;
            let ty = cases.iter().find(|(case, _)| case == name).and_then(|(_, ty)| ty.as_ref());
            choice(name, ty, payload, path, errors)
        }
        WitType::Result { ok, err } => {
            let (name, payload) = value.as_object()?.iter().next()?;
            choice(name, if name == "ok" { ok.as_deref() } else { err.as_deref() }, payload, path, errors)
        }
        WitType::Option(_) if value.is_null() => choice("none", None, &Value::Null, path, errors),
        WitType::Option(inner) => choice("some", Some(inner), value.get("some").unwrap_or(value), path, errors),
    })
}

fn borrowed(fields: &[(String, WitType)]) -> Vec<(&str, &WitType)> {
    fields.iter().map(|(name, ty)| (name.as_str(), ty)).collect()
}

fn choice(name: &str, ty: Option<&WitType>, payload: &Value, path: &str, errors: &mut Errors) -> Expression {
    let mut made = vec![("case".to_owned(), Expression::new_string(name.to_owned()))];
    let payload = ty.and_then(|ty| expression(ty, payload, &format!("{path}.{name}"), errors));
    made.extend(payload.map(|payload| (attribute(name), payload)));
    of(made)
}

fn list(item: &WitType, values: &[Value], path: &str, errors: &mut Errors) -> Expression {
    let mut items = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        items.extend(expression(item, value, &format!("{path}[{index}]"), errors));
    }
    let count = i64::try_from(values.len()).unwrap_or(i64::MAX);
    of(vec![("items".into(), Expression::new_set(items)), ("count".into(), Expression::new_long(count))])
}

/// An integer. In JSON, integers of 64 bits are strings and smaller integers are numbers.
fn long(value: &Value, path: &str, errors: &mut Errors) -> Option<i64> {
    let number = value.as_i64().or_else(|| value.as_str().and_then(|digits| digits.parse().ok()));
    if number.is_none() {
        errors.push(format!(
            "`{path}` is {value}, and policy cannot compare a number so large (the limit is a 64-bit signed integer)"
        ));
    }
    number
}

/// A `f32` that was converted to a `f64` for JSON. It becomes the shortest decimal number that
/// gives this `f32`, which is the number that the agent wrote.
#[allow(clippy::cast_possible_truncation, reason = "it comes from an `f32`")]
pub(super) fn single(number: f64, path: &str, errors: &mut Errors) -> Option<Expression> {
    decimal((number as f32).to_string().parse().ok()?, path, errors)
}

/// The number as a Cedar decimal, with four digits after the point. It is rounded down, so that a
/// policy never sees a larger number than the agent gave.
fn decimal(number: f64, path: &str, errors: &mut Errors) -> Option<Expression> {
    let text = format!("{number}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, "0"));
    let (kept, lost) = fraction.split_at(fraction.len().min(4));
    let units = format!("{whole}{kept:0<4}").parse::<i64>().ok();
    let down = i64::from(number < 0.0 && lost.bytes().any(|digit| digit != b'0'));
    let Some(units) = units.and_then(|units| units.checked_sub(down)) else {
        errors.push(format!("`{path}` is {number}, and policy cannot compare this number (a decimal has at most four digits after the point)"));
        return None;
    };
    let (sign, size) = (if units < 0 { "-" } else { "" }, units.unsigned_abs());
    Some(Expression::new_decimal(format!("{sign}{}.{:04}", size / 10_000, size % 10_000)))
}

/// An amount of money as a record with the minor units and the currency unchanged. The record also
/// has the amount in the currency's main unit, if ISO 4217 has the currency and the amount fits.
fn money(value: &Value, path: &str, errors: &mut Errors) -> Option<Expression> {
    let currency = value.get("currency")?.as_str()?.to_owned();
    let units = long(value.get("minor-units")?, &format!("{path}.minor-units"), errors)?;
    let digits = iso_currency::Currency::from_code(&currency).map(|known| known.exponent().unwrap_or(0));
    let mut made = vec![
        ("minor_units".to_owned(), Expression::new_long(units)),
        ("currency".to_owned(), Expression::new_string(currency)),
    ];
    if let Some(amount) = digits.and_then(|digits| main_unit(units, digits)) {
        made.push(("amount".to_owned(), Expression::new_decimal(amount)));
    }
    Some(of(made))
}

/// The amount in a currency's main unit, with this number of digits after the point; `None` if it
/// does not fit Cedar's decimals.
fn main_unit(units: i64, digits: u16) -> Option<String> {
    let one = 10_i64.checked_pow(u32::from(digits)).filter(|_| digits <= 4)?;
    // The largest decimal is 922337203685477.5807.
    let whole = (units / one).checked_mul(10_000).map(|_| units / one)?;
    let width = usize::from(digits);
    Some(if width == 0 { format!("{whole}.0") } else { format!("{whole}.{:0width$}", units % one) })
}

/// The currency of a call's money. `None` without money, or with several currencies.
pub fn currency(action: &holdshort_gate::Action) -> Option<String> {
    let money = totals::money(action);
    if money.len() == 1 { money.into_keys().next() } else { None }
}

/// A time in milliseconds, the precision of Cedar's `datetime`.
pub(super) fn moment(at: Time, errors: &mut Errors) -> Expression {
    let stamp = i64::try_from(at.0 / 1_000).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    if stamp.is_none() {
        errors.push(format!("`now` is {} µs after 1970, and policy cannot compare a number so large", at.0));
    }
    Expression::new_datetime(format!("{:.3}", stamp.unwrap_or(jiff::Timestamp::UNIX_EPOCH)))
}
