//! The facts that a clearance rests on: the value of each fact that was shown, and how much the value may have changed
//! when the effect starts.
//!
//! A connector states its facts in the preconditions of a proposal, an object keyed by fact name. The facts are shown
//! and digested with everything else, so the connector compares with exactly the text that reviewers saw. A plain value
//! must stay the same. An object of one of these two forms allows more:
//!
//! - `{"shown": "10,000.00 EUR", "at-least": "250.00 EUR"}`: the quantity may change, but not fall below the bound;
//! - `{"shown": 3, "nothing-new-about": "ACME GmbH"}`: three effects about this subject had happened when the fact was
//!   shown. Each effect since then must belong to a similar call that the proposal lists
//!   ([`SimilarCall`](crate::SimilarCall)), because the reviewers who approved were shown those calls.
//!
//! **Invariant:** A value that is not exactly of one of these forms must stay the same. So a mistake in a connector, or
//! an older journal, makes the comparison stricter and never looser.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::ids::{Digest, EffectKey};

/// How a fact may differ from the value that was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The value must stay the same.
    Same(Value),
    /// The value must not be below the bound. Both are quantities of one unit, such as `1,250.00 EUR`.
    AtLeast {
        /// The value that was shown.
        shown: String,
        /// The bound.
        bound: String,
    },
    /// Since the fact was shown, only effects of the listed similar calls may have happened.
    NothingNew {
        /// How many effects about the subject had happened when the fact was shown.
        shown: u64,
        /// The subject, such as a payee. Waiting calls of one capability that name the same subject are similar.
        about: String,
    },
}

/// The mark by which a connector recognises the effect of a similar call: the key and the digest of the effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectMark {
    /// The effect's key.
    pub key: EffectKey,
    /// The effect's digest.
    pub effect_digest: Digest,
}

/// A fact as the connector finds it just before the effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentFact {
    /// The value that the connector finds.
    pub value: Value,
    /// The effects that have happened since the fact was shown; used only for [`Condition::NothingNew`].
    pub since: Vec<EffectMark>,
}

/// A fact that differs from the value that was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactChange {
    /// The fact's name.
    pub fact: String,
    /// The value that was shown, and how it may differ.
    pub condition: Condition,
    /// The value that the connector found.
    pub now: Value,
    /// Whether the clearance allows the difference.
    pub allowed: bool,
}

/// The preconditions lack a fact that the connector compares: another connector wrote the preconditions, or somebody
/// changed them by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the clearance does not contain the values of its material facts")]
pub struct MissingFact;

impl Condition {
    /// Reads a condition from its form in the preconditions.
    pub fn read(stated: &Value) -> Self {
        let field =
            |name: &str| stated.as_object().filter(|fields| fields.len() == 2).and_then(|fields| fields.get(name));
        match (field("shown"), field("at-least"), field("nothing-new-about")) {
            (Some(Value::String(shown)), Some(Value::String(bound)), _) => {
                Self::AtLeast { shown: shown.clone(), bound: bound.clone() }
            }
            (Some(Value::Number(shown)), _, Some(Value::String(about))) if shown.is_u64() => {
                Self::NothingNew { shown: shown.as_u64().unwrap_or(0), about: about.clone() }
            }
            _ => Self::Same(stated.clone()),
        }
    }

    /// The condition in the form that the preconditions use.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Same(shown) => shown.clone(),
            Self::AtLeast { shown, bound } => json!({ "shown": shown, "at-least": bound }),
            Self::NothingNew { shown, about } => json!({ "shown": shown, "nothing-new-about": about }),
        }
    }

    /// The value that was shown.
    pub fn shown(&self) -> Value {
        match self {
            Self::Same(shown) => shown.clone(),
            Self::AtLeast { shown, .. } => json!(shown),
            Self::NothingNew { shown, .. } => json!(shown),
        }
    }

    /// Whether the condition allows the fact as the connector found it. `similar_effects` marks the similar calls that
    /// the proposal lists.
    fn allows(&self, found: &PresentFact, similar_effects: &[EffectMark]) -> bool {
        match self {
            Self::Same(shown) => *shown == found.value,
            Self::AtLeast { bound, .. } => covers(&found.value, bound),
            Self::NothingNew { shown, .. } => {
                let listed = found.since.iter().all(|mark| similar_effects.contains(mark));
                let all = u64::try_from(found.since.len()).ok().and_then(|new| shown.checked_add(new));
                listed && all == found.value.as_u64()
            }
        }
    }
}

/// Every fact that differs from its shown value or does not meet its condition, in the order of the fact names. The
/// connector performs the effect only if each change is allowed.
pub fn changes(
    preconditions: &Value,
    similar_effects: &[EffectMark],
    now: &BTreeMap<&str, PresentFact>,
) -> Result<Vec<FactChange>, MissingFact> {
    let stated = preconditions.as_object().filter(|stated| stated.len() == now.len()).ok_or(MissingFact)?;
    let mut changes = Vec::new();
    for (name, found) in now {
        let condition = Condition::read(stated.get(*name).ok_or(MissingFact)?);
        let allowed = condition.allows(found, similar_effects);
        if allowed && condition.shown() == found.value && found.since.is_empty() {
            continue;
        }
        changes.push(FactChange { fact: (*name).to_owned(), condition, now: found.value.clone(), allowed });
    }
    Ok(changes)
}

/// The preconditions of a call on which no reviewer decides: every fact must stay the same, because policy judged
/// exactly these values.
pub fn unchanged(preconditions: &Value) -> Value {
    let plain = |(name, stated): (&String, &Value)| (name.clone(), Condition::read(stated).shown());
    preconditions.as_object().map_or_else(|| preconditions.clone(), |stated| stated.iter().map(plain).collect())
}

/// The subject that a condition of the proposal names, such as a payee.
pub fn about(preconditions: &Value) -> Option<String> {
    let conditions = preconditions.as_object()?.values().map(Condition::read);
    conditions.into_iter().find_map(|condition| match condition {
        Condition::NothingNew { about, .. } => Some(about),
        Condition::Same(_) | Condition::AtLeast { .. } => None,
    })
}

/// Whether a quantity is at least the bound. Both must have the same unit and the same number of decimals; for any
/// other text the result is false.
fn covers(value: &Value, bound: &str) -> bool {
    let (value, bound) = (value.as_str().and_then(quantity), quantity(bound));
    value.zip(bound).is_some_and(|((value, unit), (bound, same))| unit == same && value >= bound)
}

/// A quantity such as `1,250.00 EUR` in its smallest unit, with the unit and the number of its decimals.
fn quantity(text: &str) -> Option<(i128, (&str, usize))> {
    let (number, unit) = text.split_once(' ')?;
    let (sign, digits) = number.strip_prefix('-').map_or((1, number), |digits| (-1, digits));
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.replace(',', "");
    let plain = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || !plain(&whole) || !plain(decimals) || (digits.contains('.') && decimals.is_empty()) {
        return None;
    }
    let units: i128 = (whole + decimals).parse().ok()?;
    Some((sign * units, (unit, decimals.len())))
}
