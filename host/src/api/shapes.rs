//! The shapes of the API that are not the gate's types: times, words, and texts of a fixed form.

mod texts;

use std::fmt;

use holdshort_gate::{CallState, Time};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

pub use texts::{ApprovalIdShape, IdempotencyKeyShape, InstantShape, PagePathShape, PlaceShape, RankedPlaceShape};

/// RFC 3339 in UTC with microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = DateTime, pattern = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$")]
pub struct Moment(pub Time);

/// The text for a time beyond RFC 3339.
const END_OF_TIME: &str = "9999-12-31T23:59:59.999999Z";

impl Moment {
    fn timestamp(self) -> Option<jiff::Timestamp> {
        i64::try_from(self.0.0).ok().and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok())
    }
}

/// The time as people read it, without fractions of a second.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.timestamp() {
            Some(at) => write!(f, "{at:.0}"),
            None => f.write_str("9999-12-31T23:59:59Z"),
        }
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.timestamp() {
            Some(at) => serializer.collect_str(&format_args!("{at:.6}")),
            None => serializer.serialize_str(END_OF_TIME),
        }
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == END_OF_TIME {
            return Ok(Self(Time(u64::MAX)));
        }
        let at = text.parse::<jiff::Timestamp>().map_err(D::Error::custom)?;
        Ok(Self(Time(u64::try_from(at.as_microsecond()).unwrap_or(0))))
    }
}

/// A value in an answer that a client can show even if it does not know the value. A newer host has more states and
/// kinds than an older client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Lenient<T> {
    Known(T),
    /// The part as the host wrote it.
    Unknown(Value),
}

impl<T> From<T> for Lenient<T> {
    fn from(known: T) -> Self {
        Self::Known(known)
    }
}

impl<T: PartialEq> PartialEq<T> for Lenient<T> {
    fn eq(&self, other: &T) -> bool {
        matches!(self, Self::Known(known) if known == other)
    }
}

impl<T: fmt::Display> fmt::Display for Lenient<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(known) => known.fmt(f),
            Self::Unknown(Value::String(word)) => f.write_str(word),
            Self::Unknown(part) => part.fmt(f),
        }
    }
}

/// Makes the schema of a word from a list elsewhere in the code, so that the schema always matches the list.
macro_rules! words {
    ($(#[$doc:meta])* $shape:ident, $name:literal, $all:expr, $description:literal) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $shape;

        impl PartialSchema for $shape {
            fn schema() -> RefOr<Schema> {
                let word = ObjectBuilder::new().schema_type(Type::String).enum_values(Some($all));
                word.description(Some($description)).into()
            }
        }

        impl ToSchema for $shape {
            fn name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
        }
    };
}

words!(
    /// The word for the state of a decision.
    DecisionStateShape, "DecisionState", super::approvals::DECISION_STATES.map(CallState::as_str),
    "The state of the decision; after the start of the effect, whether reviewers (`approved`) or policy (`cleared`) cleared the call."
);
words!(
    /// The word for the state of an effect.
    EffectStateShape, "EffectState", super::approvals::EFFECT_STATES.map(CallState::as_str), "The state of the effect."
);
words!(
    /// The word that selects calls for a list.
    CallStateWordShape, "CallStateFilter", super::inbox::CallStateFilter::names(),
    "A state of a call; `waiting` for calls that are held or in doubt, `open` for all calls that can still change, or `all`."
);
words!(
    /// The word that selects runs for a list.
    RunStateWordShape, "RunStateFilter", super::runs::states(), "A state of a run, or `all`."
);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_rfc_3339_with_microseconds() {
        let text = |micros| serde_json::to_string(&Moment(Time(micros))).unwrap();
        assert_eq!(text(0), "\"1970-01-01T00:00:00.000000Z\"");
        assert_eq!(text(1_767_225_600_000_001), "\"2026-01-01T00:00:00.000001Z\"");
        assert_eq!(text(u64::MAX), format!("\"{END_OF_TIME}\""));
    }

    #[test]
    fn times_are_read_as_they_are_written_and_shown_to_the_second() {
        for (micros, shown) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_767_225_600_999_999, "2026-01-01T00:00:00Z"),
            (u64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            let moment = Moment(Time(micros));
            assert_eq!(serde_json::from_value::<Moment>(json!(moment)).unwrap(), moment);
            assert_eq!(moment.to_string(), shown);
        }
    }

    #[test]
    fn a_client_keeps_a_state_that_it_does_not_know() {
        let read = |word: Value| serde_json::from_value::<Lenient<CallState>>(word).unwrap();
        assert_eq!(read(json!("in-doubt")), CallState::InDoubt);
        let unknown = read(json!("on-fire"));
        assert_eq!((unknown.to_string(), json!(unknown)), ("on-fire".into(), json!("on-fire")));
    }
}
