//! An attribute of a call that an explanation changes, and the values that it tries.

use std::collections::BTreeSet;

use holdshort_gate::{AgentName, ReviewerName, Time};
use serde_json::{Value, json};

use super::constants::Constants;
use super::{AttributeChange, Variant};
use holdshort_policy::Zone;

/// If two attributes are changed together, about this many values of each are tried.
const FEW: usize = 6;
/// A text that probably no policy contains.
pub(super) const SOMETHING_ELSE: &str = "something else";

/// Where an attribute is.
pub(super) enum AttributePath {
    /// In the arguments, by JSON pointer.
    Arguments(String),
    /// In the facts, by JSON pointer.
    Facts(String),
    /// In the total with this index: the count, or the sum in a currency.
    Total(usize, Option<String>),
    /// The time that policies see as `context.now`, with the time zone if policies use it.
    Now(Option<Zone>),
    StartedBy,
    /// The agent's configured name.
    Agent,
    /// How much is at stake, as the connector rates it.
    Consequence,
}

/// How a number is written.
#[derive(Clone, Copy)]
pub(super) enum Spelling {
    /// A JSON number.
    Plain,
    /// A string of digits. This is the JSON form of 64-bit numbers.
    Digits,
    /// A decimal. The number counts ten-thousandths.
    Decimal,
    /// A time. The number counts milliseconds since 1970.
    Moment,
}

/// The values that are tried for an attribute.
pub(super) enum TriedValues {
    /// Numbers. Between two of them, the search can bisect.
    Number { now: i128, spelling: Spelling, tries: BTreeSet<i128> },
    /// Other values, which are tried one by one.
    Words { from: Value, tries: Vec<Value> },
}

/// An attribute of the call.
pub(super) struct Attribute {
    at: AttributePath,
    place: String,
    kind: TriedValues,
}

/// A value of an attribute.
#[derive(Clone)]
pub(super) enum TriedValue {
    Number(i128),
    Word(Value),
}

impl TriedValue {
    pub(super) fn of(number: i128) -> Self {
        Self::Number(number)
    }

    pub(super) fn number(&self) -> Option<i128> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Word(_) => None,
        }
    }
}

impl Attribute {
    pub(super) fn new(at: AttributePath, place: String, kind: TriedValues) -> Self {
        Self { at, place, kind }
    }

    /// The recorded number, if the attribute is a number.
    pub(super) fn number(&self) -> Option<i128> {
        match self.kind {
            TriedValues::Number { now, .. } => Some(now),
            TriedValues::Words { .. } => None,
        }
    }

    /// The values to try, in lists that are each searched from the front: smaller numbers and
    /// larger numbers, the nearest first; or all other values in one list.
    pub(super) fn sides(&self) -> Vec<Vec<TriedValue>> {
        match &self.kind {
            TriedValues::Number { now, tries, .. } => vec![
                tries.range(..now).rev().copied().map(TriedValue::of).collect(),
                tries.range(now + 1..).copied().map(TriedValue::of).collect(),
            ],
            TriedValues::Words { tries, .. } => vec![tries.iter().cloned().map(TriedValue::Word).collect()],
        }
    }

    /// A few of the values to try. Of smaller and of larger numbers, these are the nearest and the
    /// farthest.
    pub(super) fn few(&self) -> Vec<TriedValue> {
        let some = |side: Vec<TriedValue>| {
            let (near, far) = (side.iter().take(FEW / 3), side.last().filter(|_| side.len() > FEW / 3));
            near.chain(far).cloned().collect::<Vec<_>>()
        };
        match self.kind {
            TriedValues::Number { .. } => self.sides().into_iter().flat_map(some).collect(),
            TriedValues::Words { .. } => self.sides().into_iter().flatten().take(FEW).collect(),
        }
    }

    /// Sets the attribute of a variant to a value; `None` if the call has no such attribute.
    pub(super) fn set(&self, variant: &mut Variant, tried: &TriedValue) -> Option<()> {
        let value = self.value(tried);
        match &self.at {
            AttributePath::Arguments(pointer) => *variant.arguments.pointer_mut(pointer)? = value,
            AttributePath::Facts(pointer) => *variant.facts.pointer_mut(pointer)? = value,
            AttributePath::Total(index, currency) => {
                let (total, number) =
                    (&mut variant.totals.get_mut(*index)?.total, u64::try_from(tried.number()?).ok()?);
                match currency {
                    None => total.count = number,
                    Some(currency) => drop(total.sums.insert(currency.clone(), number)),
                }
            }
            AttributePath::Now(_) => variant.now = Time(u64::try_from(tried.number()?).ok()?.checked_mul(1_000)?),
            AttributePath::StartedBy => variant.started_by = ReviewerName::new(value.as_str()?),
            AttributePath::Agent => variant.agent = AgentName::new(value.as_str()?),
            AttributePath::Consequence => variant.consequence = serde_json::from_value(value).ok()?,
        }
        Some(())
    }

    /// The JSON value.
    fn value(&self, tried: &TriedValue) -> Value {
        match (tried, &self.kind) {
            (TriedValue::Word(value), _) => value.clone(),
            (TriedValue::Number(number), TriedValues::Number { spelling, .. }) => spelling.write(*number),
            (TriedValue::Number(number), TriedValues::Words { .. }) => Spelling::Plain.write(*number),
        }
    }

    /// The distance of a value from the recorded value. Between numbers it is relative.
    #[allow(clippy::cast_precision_loss, reason = "it only puts them in an order")]
    pub(super) fn distance(&self, tried: &TriedValue) -> f64 {
        match (self.number(), tried.number()) {
            (Some(now), Some(to)) => to.abs_diff(now) as f64 / now.unsigned_abs().max(1) as f64,
            _ => 1.0,
        }
    }

    /// The change of the attribute to this value, as text.
    pub(super) fn different(&self, tried: &TriedValue) -> AttributeChange {
        let from = match &self.kind {
            TriedValues::Number { now, spelling, .. } => spelling.show(*now),
            TriedValues::Words { from, .. } => shown(from),
        };
        let to = match (tried, &self.kind) {
            (TriedValue::Number(number), TriedValues::Number { spelling, .. }) => spelling.show(*number),
            _ => shown(&self.value(tried)),
        };
        let told = |text: String, number: Option<i128>| match (&self.at, number) {
            (AttributePath::Now(Some(zone)), Some(ms)) => u64::try_from(ms * 1_000)
                .map_or(text.clone(), |micros| format!("{text} ({})", zone.local_time_text(Time(micros)))),
            _ => text,
        };
        let (from, to) = (told(from, self.number()), told(to, tried.number()));
        AttributeChange { place: self.place.clone(), from, to }
    }
}

/// A value as text.
fn shown(value: &Value) -> String {
    if value.as_str() == Some(SOMETHING_ELSE) { SOMETHING_ELSE.into() } else { value.to_string() }
}

impl Spelling {
    #[allow(clippy::cast_precision_loss, reason = "decimals that policies compare are small")]
    pub(super) fn write(self, number: i128) -> Value {
        match self {
            Self::Plain | Self::Moment => {
                i64::try_from(number).map_or_else(|_| json!(u64::try_from(number).ok()), |number| json!(number))
            }
            Self::Digits => json!(number.to_string()),
            Self::Decimal => json!(number as f64 / 10_000.0),
        }
    }

    /// A number in readable notation.
    fn show(self, number: i128) -> String {
        match self {
            Self::Plain | Self::Digits => number.to_string(),
            Self::Decimal => self.write(number).to_string(),
            Self::Moment => {
                let at = i64::try_from(number).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
                at.map_or_else(|| number.to_string(), |at| at.to_string())
            }
        }
    }
}

/// The values to try for a number: the constants of the policies and their neighbours, the number
/// plus and minus one, and the smallest and a very large number.
pub(super) fn numbers(now: i128, spelling: Spelling, constants: &Constants, least: i128) -> TriedValues {
    let mut around: BTreeSet<i128> = match spelling {
        Spelling::Decimal => constants.decimals.clone(),
        Spelling::Moment => constants.moments.clone(),
        // Policies also compare amounts of money in the currency's main unit, as decimals.
        Spelling::Plain | Spelling::Digits => {
            let minor = constants.decimals.iter().flat_map(|decimal| [decimal / 10_000, decimal / 100, decimal / 10]);
            constants.numbers.iter().copied().chain(minor).collect()
        }
    };
    around.extend([now, least, 0]);
    let mut tries: BTreeSet<i128> = around.iter().flat_map(|number| [number - 1, *number, number + 1]).collect();
    if matches!(spelling, Spelling::Plain | Spelling::Digits) {
        // A policy may compare the sum of this number and another one. So these values are tried too: for each
        // constant, the number that is missing to it, and a very large number that still leaves room for a sum.
        tries.extend(constants.numbers.iter().map(|number| number - now));
        tries.insert(i128::from(i64::MAX / 4));
    }
    tries.retain(|number| *number >= least && *number != now);
    TriedValues::Number { now, spelling, tries }
}
