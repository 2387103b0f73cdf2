//! Grants, such as "clear the next ten calls like this one for two hours, up to 500 EUR in all". A grant is made with
//! an approval of one call. The grant limits the number of calls, the money and the time.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::{Action, Capability};
use crate::approval::Requirement;
use crate::clearance::Proposal;
use crate::ids::{Digest, Time};
use crate::name::{AgentName, ReviewerName};
use crate::totals::{Total, money};

/// The longest time that a grant may last, in milliseconds: 30 days.
pub const LASTS_MS_MAX: u64 = 30 * 86_400_000;
/// The largest number of calls that a grant may clear.
pub const CALLS_MAX: u64 = 1_000;

/// A permission that clears further calls like one that a reviewer approved. A grant does not clear a call that policy
/// forbids, a call on which policy fails, or a call that needs another approval besides the grantor's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Grant {
    /// The agent, by its configured name.
    pub agent: AgentName,
    /// The digest of the agent's component: the grant holds for exactly this code.
    pub component: Digest,
    /// The capability of the calls.
    pub capability: Capability,
    /// The values that the arguments must have, by JSON pointer.
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub like: BTreeMap<String, Value>,
    /// The largest number of calls that the grant clears, not counting the call with which the grant was made.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 1000))]
    pub calls: u64,
    /// The largest sum of money of these calls, in minor units by currency. Calls in another currency are not cleared.
    #[cfg_attr(feature = "schema", schema(value_type = crate::schema::Sums))]
    pub sums: BTreeMap<String, u64>,
    /// When the grant ends.
    pub until: Time,
}

/// A grant with its grantor, its time and its revocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRecord {
    /// The grant itself.
    pub grant: Grant,
    /// The grantor.
    pub by: ReviewerName,
    /// When the grant was made.
    pub at: Time,
    /// Who or what revoked the grant, and when.
    pub revoked: Option<(RevokedBy, Time)>,
}

/// Who or what ended a grant early. Its text is the reviewer's name, or `changed facts`, which cannot be a reviewer's
/// name because it contains a space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum RevokedBy {
    Reviewer(ReviewerName),
    /// The facts on which the grantor's approval rested have changed.
    ChangedFacts,
}

const CHANGED_FACTS: &str = "changed facts";

impl From<String> for RevokedBy {
    fn from(text: String) -> Self {
        if text == CHANGED_FACTS { Self::ChangedFacts } else { Self::Reviewer(ReviewerName::new(text)) }
    }
}

impl From<RevokedBy> for String {
    fn from(revoked_by: RevokedBy) -> Self {
        revoked_by.to_string()
    }
}

impl fmt::Display for RevokedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reviewer(name) => name.as_str(),
            Self::ChangedFacts => CHANGED_FACTS,
        })
    }
}

/// Why a grant does not clear a call, or cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGranted {
    #[error("there is no such grant")]
    NoSuchGrant,
    #[error("the grant was revoked")]
    Revoked,
    #[error("the grant has expired")]
    Over,
    #[error("the grant is for another agent, or for another version of its code")]
    OtherAgent,
    #[error("the grant is for another capability")]
    OtherCapability,
    #[error("the grant is for calls with a different value of `{0}`")]
    Unlike(String),
    #[error("the grant has cleared all of its calls")]
    UsedUp,
    #[error("the amount is more than what is left of the grant's limit in {0}")]
    TooMuch(String),
    #[error(
        "you cannot make a grant for this call: either the call needs another approval besides yours, or you may not make grants for such calls (add your name to `grantors` under `[approval]`, or permit the action `grant` in a policy)"
    )]
    NotAlone,
    #[error("this call already has a grant: approve the call without a new grant")]
    Another,
    #[error("a grant covers 1 to {CALLS_MAX} calls")]
    Calls,
    #[error("a grant must end in the future, at most 30 days from now")]
    Time,
    #[error("these calls move money: the grant also needs a total amount in {0}")]
    NoSum(String),
}

impl GrantRecord {
    /// The record of a grant that was just made.
    pub(crate) fn new(grant: &Grant, by: &ReviewerName, at: Time) -> Self {
        Self { grant: grant.clone(), by: by.clone(), at, revoked: None }
    }

    /// Whether the grant clears an action of `agent` in a run that `started_by` started. `requirement` is the
    /// requirement under which the call would be held, and `used` is the total of the calls that the grant has cleared
    /// before.
    pub fn clears(
        &self,
        (agent, started_by): (&AgentName, &ReviewerName),
        action: &Action,
        requirement: &Requirement,
        used: &Total,
        now: Time,
    ) -> Result<(), NotGranted> {
        if self.revoked.is_some() {
            return Err(NotGranted::Revoked);
        }
        if now >= self.grant.until {
            return Err(NotGranted::Over);
        }
        self.grant.is_like(agent, action)?;
        if !requirement.may_be_granted_by(&self.by, started_by, None) {
            return Err(NotGranted::NotAlone);
        }
        let after = used.with(&money(action));
        if after.count > self.grant.calls {
            return Err(NotGranted::UsedUp);
        }
        let over = |(currency, sum): &(&String, &u64)| self.grant.sums.get(*currency).is_none_or(|most| *sum > most);
        match after.sums.iter().find(over) {
            Some((currency, _)) => Err(NotGranted::TooMuch(currency.clone())),
            None => Ok(()),
        }
    }
}

impl Grant {
    /// Whether the grant covers an action of `agent`: the agent, the component and the capability are the same, and the
    /// arguments have the values of `like`.
    pub fn is_like(&self, agent: &AgentName, action: &Action) -> Result<(), NotGranted> {
        if *agent != self.agent || action.component() != self.component {
            return Err(NotGranted::OtherAgent);
        }
        if *action.capability() != self.capability {
            return Err(NotGranted::OtherCapability);
        }
        let unlike = |(place, value): &(&String, &Value)| action.arguments().pointer(place) != Some(value);
        self.like.iter().find(unlike).map_or(Ok(()), |(place, _)| Err(NotGranted::Unlike(place.clone())))
    }

    /// Whether `by` may make the grant with a decision on this call: the call fits the grant, the grant has bounds, and
    /// the call needs no approval besides that of `by`.
    pub fn may_be_made(
        &self,
        (agent, started_by): (&AgentName, &ReviewerName),
        (by, edited_by): (&ReviewerName, Option<&ReviewerName>),
        proposal: &Proposal,
        now: Time,
    ) -> Result<(), NotGranted> {
        self.is_like(agent, &proposal.action)?;
        if !proposal.requirement.may_be_granted_by(by, started_by, edited_by) {
            return Err(NotGranted::NotAlone);
        }
        if self.calls == 0 || self.calls > CALLS_MAX {
            return Err(NotGranted::Calls);
        }
        if self.until <= now || self.until > now.plus_ms(LASTS_MS_MAX) {
            return Err(NotGranted::Time);
        }
        let moved = money(&proposal.action);
        let unbounded = moved.keys().find(|currency| !self.sums.contains_key(*currency));
        unbounded.map_or(Ok(()), |currency| Err(NotGranted::NoSum(currency.clone())))
    }
}
