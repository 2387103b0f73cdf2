//! Finds the attributes inside a value by its type.

use holdshort_gate::WitType;
use serde_json::{Value, json};

use super::attribute::{Attribute, AttributePath, SOMETHING_ELSE, Spelling, TriedValues, numbers};
use super::constants::Constants;
use holdshort_policy::schema::attribute;

/// The number of list items that are inspected.
const ITEMS_MAX: usize = 8;

/// Collects attributes inside a value.
pub(super) struct AttributeCollector<'a> {
    pub(super) root: fn(String) -> AttributePath,
    pub(super) constants: &'a Constants,
    pub(super) made: &'a mut Vec<Attribute>,
}

impl AttributeCollector<'_> {
    /// Adds an attribute with the other values to try.
    fn words(&mut self, from: &Value, tries: Vec<Value>, pointer: String, place: String) {
        let tries: Vec<Value> = tries.into_iter().filter(|tried| tried != from).collect();
        if !tries.is_empty() {
            self.made.push(Attribute::new(
                (self.root)(pointer),
                place,
                TriedValues::Words { from: from.clone(), tries },
            ));
        }
    }

    pub(super) fn add(&mut self, ty: &WitType, value: Option<&Value>, pointer: String, place: String) {
        let Some(value) = value else { return };
        match ty {
            WitType::Record(fields) => {
                for (name, ty) in fields {
                    let place = format!("{place}.{}", attribute(name));
                    self.add(ty, value.get(name), format!("{pointer}/{name}"), place);
                }
            }
            WitType::Tuple(types) => {
                for (index, ty) in types.iter().enumerate() {
                    self.add(ty, value.get(index), format!("{pointer}/{index}"), format!("{place}.item{index}"));
                }
            }
            WitType::Option(inner) => {
                let from_nothing = if value.is_null() { self.constants_of(inner) } else { vec![Value::Null] };
                self.words(value, from_nothing, pointer.clone(), place.clone());
                if !value.is_null() && !matches!(**inner, WitType::Option(_)) {
                    self.add(inner, Some(value), pointer, place);
                }
            }
            WitType::Variant(cases) => {
                let plain =
                    cases.iter().filter(|(_, payload)| payload.is_none()).map(|(name, _)| json!({ name: null }));
                self.words(value, plain.collect(), pointer.clone(), format!("{place}.case"));
                for (name, payload) in cases {
                    if let Some(payload) = payload {
                        let place = format!("{place}.{}", attribute(name));
                        self.add(payload, value.get(name), format!("{pointer}/{name}"), place);
                    }
                }
            }
            WitType::List(item) if **item != WitType::U8 => self.list(item, value, &pointer, &place),
            WitType::List(_) | WitType::Result { .. } => {}
            WitType::U8
            | WitType::U16
            | WitType::U32
            | WitType::U64
            | WitType::S8
            | WitType::S16
            | WitType::S32
            | WitType::S64
            | WitType::F32
            | WitType::F64 => self.number(ty, value, pointer, place),
            WitType::Bool | WitType::Char | WitType::String | WitType::Enum(_) | WitType::Flags(_) => {
                let tries = self.constants_of(ty);
                self.words(value, tries, pointer, place);
            }
        }
    }

    /// Adds a number, with the policies' constants and their neighbours as values to try.
    fn number(&mut self, ty: &WitType, value: &Value, pointer: String, place: String) {
        let decimal = matches!(ty, WitType::F32 | WitType::F64);
        let signed = matches!(ty, WitType::S8 | WitType::S16 | WitType::S32 | WitType::S64);
        if let Some((now, spelling)) = number(value, decimal) {
            let least = if decimal || signed { -i128::from(i64::MAX / 4) } else { 0 };
            let kind = numbers(now, spelling, self.constants, least);
            self.made.push(Attribute::new((self.root)(pointer), place, kind));
        }
    }

    /// Adds a list: with one item less, with one item more, and without items. Then adds its first
    /// items one by one.
    fn list(&mut self, item: &WitType, value: &Value, pointer: &str, place: &str) {
        let Some(items) = value.as_array() else { return };
        let without = |index: usize| {
            let kept = items.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, item)| item.clone());
            json!(kept.collect::<Vec<_>>())
        };
        let more = self.constants_of(item).into_iter().filter(|one| !items.contains(one)).take(ITEMS_MAX);
        let more =
            more.chain(items.last().cloned()).map(|one| json!(items.iter().cloned().chain([one]).collect::<Vec<_>>()));
        let fewer = (0..items.len().min(ITEMS_MAX)).map(without);
        let tries = more.chain(fewer).chain([json!([])]).collect();
        self.words(value, tries, pointer.to_owned(), place.to_owned());
        for (index, one) in items.iter().take(ITEMS_MAX).enumerate() {
            self.add(item, Some(one), format!("{pointer}/{index}"), format!("{place}.items[{index}]"));
        }
    }

    /// The values of this type to try: the constants of the policies, or all values of a small type.
    fn constants_of(&self, ty: &WitType) -> Vec<Value> {
        match ty {
            WitType::Bool => vec![json!(true), json!(false)],
            WitType::Char | WitType::String => self
                .constants
                .texts
                .iter()
                .map(String::as_str)
                .chain([SOMETHING_ELSE])
                .map(|text| json!(text))
                .collect(),
            WitType::Enum(names) => names.iter().map(|name| json!(name)).collect(),
            WitType::Flags(names) => names.iter().map(|name| json!([name])).chain([json!(names), json!([])]).collect(),
            WitType::U64 | WitType::S64 => {
                self.constants.numbers.iter().map(|number| json!(number.to_string())).collect()
            }
            WitType::F32 | WitType::F64 => {
                self.constants.decimals.iter().map(|number| Spelling::Decimal.write(*number)).collect()
            }
            WitType::U8 | WitType::U16 | WitType::U32 | WitType::S8 | WitType::S16 | WitType::S32 => {
                self.constants.numbers.iter().map(|number| Spelling::Plain.write(*number)).collect()
            }
            WitType::List(_)
            | WitType::Tuple(_)
            | WitType::Record(_)
            | WitType::Variant(_)
            | WitType::Result { .. }
            | WitType::Option(_) => Vec::new(),
        }
    }
}

/// Reads a number in JSON. Facts may write it as a number or as a string.
#[allow(clippy::cast_possible_truncation, reason = "ten-thousandths are what policies compare")]
fn number(value: &Value, decimal: bool) -> Option<(i128, Spelling)> {
    if decimal {
        return Some(((value.as_f64()? * 10_000.0).floor() as i128, Spelling::Decimal));
    }
    match value {
        Value::String(digits) => Some((digits.parse().ok()?, Spelling::Digits)),
        Value::Number(number) => Some((number.as_i128()?, Spelling::Plain)),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
