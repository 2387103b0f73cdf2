//! The file of a script, as its author writes it. `host/TESTING.md` documents it for authors.

use std::collections::BTreeMap;
use std::fmt;

use holdshort_gate::{Consequence, PolicyVerdict, ReviewerName};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use toml::Spanned;

/// The whole file.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::cli) struct File {
    /// The agent's task, unless the command line gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) task: Option<String>,
    /// The calls that the agent must make, in this order.
    #[serde(default)]
    pub(in crate::cli) call: Vec<Step>,
    /// Calls that the agent may make at any time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::cli) whenever: Vec<Step>,
    /// What the run must end with.
    #[serde(default)]
    pub(in crate::cli) end: End,
}

/// A call that is expected, and what happens to it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::cli) struct Step {
    /// The full name of the function, or its interface and its name, as `email#send-email`.
    pub(in crate::cli) function: Spanned<String>,
    /// Arguments that must be equal. Members that are not named here may have any value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) arguments: Option<Spanned<Value>>,
    /// Texts that must contain these texts, and lists that must contain these items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) contains: Option<Spanned<Value>>,
    /// Arguments that must have no value, as `message.in-reply-to`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::cli) absent: Vec<Spanned<String>>,
    /// The verdict of policy on the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) verdict: Option<Spanned<PolicyVerdict>>,
    /// A part of the reason for a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) because: Option<String>,
    /// The facts for policy that the connector finds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) facts: Option<Spanned<Value>>,
    /// How much is at stake, as the connector says it; `high` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) consequence: Option<Consequence>,
    /// The decisions of reviewers on a held call.
    #[serde(default, deserialize_with = "one_or_more", skip_serializing_if = "Vec::is_empty")]
    pub(in crate::cli) decide: Vec<Decision>,
    /// The value of a successful call: a routine result, or the receipt of an effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) ok: Option<Spanned<Value>>,
    /// The error value of a routine call, or the reason why an effect did not happen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) err: Option<Spanned<Value>>,
    /// The value of a routine function whose type is not `result`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) returns: Option<Spanned<Value>>,
    /// The reason why the connector finds the call impossible, so that nobody is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) impossible: Option<String>,
    /// The reason why the outcome of the effect is unknown at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) in_doubt: Option<String>,
    /// What is found out about an effect in doubt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) found: Option<Finding>,
    /// How often the call must be made, under `[[whenever]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) times: Option<u64>,
}

/// What is found out about an effect in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) enum Finding {
    /// The effect happened; `ok` has the receipt.
    Done,
    /// The effect did not happen. With `err`, a reviewer says so, else a lookup.
    NotDone,
    /// The outcome stays unknown, and a reviewer gives up; `err` may have the reviewer's words.
    Abandoned,
}

/// The decision of one reviewer: exactly one of the first four members.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::cli) struct Decision {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) approve: Option<bool>,
    /// The guidance for the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) reject: Option<String>,
    /// The answer to a question: words, or a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) answer: Option<Value>,
    /// The arguments that the reviewer changes; the others stay as proposed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) edit: Option<Value>,
    /// The reviewer; the local operator by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) by: Option<ReviewerName>,
}

/// What the run must end with: `ok` by default.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::cli) struct End {
    /// The whole result of a successful run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) ok: Option<String>,
    /// A part of this result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) ok_contains: Option<String>,
    /// The whole error that the agent returns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) err: Option<String>,
    /// A part of this error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) err_contains: Option<String>,
    /// A part of the reason why the run was stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) trapped: Option<String>,
    /// The number of calls, without lines for the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) calls: Option<u64>,
}

impl Step {
    /// A call of this function, of which nothing more is said.
    pub(super) fn of(function: String) -> Self {
        Self {
            function: Spanned::new(0..0, function),
            arguments: None,
            contains: None,
            absent: Vec::new(),
            verdict: None,
            because: None,
            facts: None,
            consequence: None,
            decide: Vec::new(),
            ok: None,
            err: None,
            returns: None,
            impossible: None,
            in_doubt: None,
            found: None,
            times: None,
        }
    }
}

/// Reads `"approve"`, one table, or an array of tables.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Decision>, D::Error> {
    struct OneOrMore;
    impl<'de> Visitor<'de> for OneOrMore {
        type Value = Vec<Decision>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("\"approve\", a table such as { reject = \"Shorter.\" }, or an array of such tables")
        }

        fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Self::Value, E> {
            match word {
                "approve" => Ok(vec![Decision { approve: Some(true), ..Decision::default() }]),
                other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
            }
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            Decision::deserialize(MapAccessDeserializer::new(map)).map(|one| vec![one])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(items))
        }
    }
    deserializer.deserialize_any(OneOrMore)
}

/// The members of a table, sorted: a value that is no table has none.
pub(super) fn members(value: &Value) -> BTreeMap<&str, &Value> {
    value.as_object().into_iter().flatten().map(|(name, member)| (name.as_str(), member)).collect()
}
