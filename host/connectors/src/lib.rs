//! Connectors: each previews, answers or performs one capability.
//!
//! Three separate traits give each part of the host only the operations that it may use: the driver previews and
//! answers, and only the dispatcher performs. **Invariant:** performing takes an [`Authorized`].
#![cfg_attr(test, allow(clippy::wildcard_enum_match_arm, reason = "a test fails on whatever it did not expect"))]

pub mod bounds;
pub mod checks;
pub mod child;
pub mod command;
pub mod confined;
pub mod deploy_command;
pub mod deploy_git;
pub mod descriptor;
pub mod exhibit;
pub mod file_drop;
pub mod git;
pub mod guidance;
pub mod history;
pub mod http;
pub mod key;
pub mod ledger;
pub mod maildir;
pub mod message;
pub mod model;
pub mod notices;
pub mod program;
pub mod relative;
pub mod release;
pub mod repository;
pub mod secret;
pub mod smtp;
pub mod workspace;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use holdshort_gate::{
    Action, AgentName, Call, CallId, CallNumber, Capability, Consequence, EffectKey, LIMIT, RunId, Time, WitType,
};
use holdshort_journal::Authorized;
use serde_json::{Map, Value};

use descriptor::{Class, Descriptor, Effect};
pub use exhibit::{EXHIBIT_BYTES_MAX, Exhibit};
use exhibit::{Sentence, Trusted, quote, quote_start, quote_value, say, sentence_error};
use history::History;

use holdshort_common::aside;

/// All connectors. A published function without a connector here is refused.
pub const DESCRIPTORS: [Descriptor; 14] = [
    checks::DESCRIPTOR,
    deploy_command::DESCRIPTOR,
    deploy_git::DESCRIPTOR,
    guidance::DESCRIPTOR,
    http::DESCRIPTOR,
    ledger::DESCRIPTOR,
    LOG,
    maildir::DESCRIPTOR,
    model::DESCRIPTOR,
    repository::DESCRIPTOR,
    smtp::DESCRIPTOR,
    workspace::DESCRIPTOR,
    command::DESCRIPTOR,
    file_drop::DESCRIPTOR,
];

/// The operator's log. The driver writes it, so there is no connector.
pub const LOG: Descriptor =
    Descriptor { section: "", interface: Some("holdshort:agent/log@0.1.0"), functions: &["log"], class: Class::Log };

/// The facts for policies about calls of the published consequential functions: the facts of all connectors that can
/// serve the function.
pub fn facts() -> BTreeMap<Capability, BTreeMap<String, WitType>> {
    let mut all = BTreeMap::<_, BTreeMap<_, _>>::new();
    for descriptor in DESCRIPTORS {
        if let Class::Consequential(_) = descriptor.class {
            descriptor.capabilities().for_each(|of| all.entry(of).or_default().extend(descriptor.facts()));
        }
    }
    for facts in all.values_mut() {
        facts.insert(holdshort_gate::MODEL_UNCERTAINTY.into(), history::model_uncertainty_type());
    }
    all
}

/// The clock of a connector.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// Collects evidence about a call before it is performed, and describes the effect.
pub trait Preview: Send + Sync {
    /// The connector's effect: name, class, facts and preconditions.
    fn effect(&self) -> Effect;

    /// The effect of one call, if its class depends on the call.
    fn effect_of(&self, _: &Action) -> Effect {
        self.effect()
    }

    /// Collects the evidence and changes nothing. Paths in the action are paths in the agent's own workspace.
    fn preview<'a>(
        &'a self,
        agent: &'a AgentName,
        action: &'a Action,
    ) -> BoxFuture<'a, Result<Previewed, CannotPreview>>;

    /// Adds the differences to the last performed call of the same kind ([`kind`](holdshort_gate::similar::kind)).
    fn compare(&self, _: &Action, _last: (&CallId, &Call), _: &mut Previewed) {}

    /// Adds the parts of the run's history that matter for a decision. They come from the journal,
    /// without a lookup.
    fn recall(&self, _: &Action, history: &History, previewed: &mut Previewed) {
        history.add_to(previewed);
    }
}

/// The result of a preview.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previewed {
    /// The summary in one line: recipients, amounts and targets first.
    pub summary: Sentence,
    /// The exhibits, the most important first.
    pub exhibits: Vec<Exhibit>,
    /// The facts that [`Perform::perform`] checks again; `Null` if there are none.
    pub preconditions: Value,
    /// The facts as an object with kebab-case keys, for policy and for comparison with claims;
    /// `Null` if there are none.
    pub facts: Value,
    /// The value at stake.
    pub consequence: Consequence,
}

impl Previewed {
    /// Adds a fact.
    fn fact(&mut self, name: &str, value: Value) {
        if self.facts.is_null() {
            self.facts = Value::Object(Map::new());
        }
        if let Some(facts) = self.facts.as_object_mut() {
            facts.insert(name.into(), value);
        }
    }
}

impl CannotPreview {
    /// The reason as a sentence.
    pub fn sentence(self) -> Sentence {
        let (Self::Impossible(why) | Self::Unavailable(why)) = self;
        why
    }

    /// The evidence would exceed the maximum size, so the call is refused.
    pub fn too_large(title: &Sentence, bytes: u64, instead: &'static str) -> Self {
        Self::Impossible(say!(
            "{}: `{}` is {} bytes, but at most {} bytes are shown to reviewers, and evidence is never cut: {}",
            LIMIT,
            title.clone(),
            bytes,
            EXHIBIT_BYTES_MAX,
            instead
        ))
    }
}

/// Why there is no preview.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotPreview {
    /// The action is impossible as proposed. The agent is told so, and no reviewer is asked.
    #[error("{0}")]
    Impossible(Sentence),
    /// The connector cannot look now; the host retries.
    #[error("{0}")]
    Unavailable(Sentence),
}

impl From<aside::Failed> for CannotPreview {
    fn from(_: aside::Failed) -> Self {
        Self::Unavailable(say!("the host failed at this task: see the host's log"))
    }
}

/// A routine call.
#[derive(Clone, Copy, Debug)]
pub struct RoutineCall<'a> {
    pub agent: &'a AgentName,
    pub run: &'a RunId,
    /// The action with arguments in normal form.
    pub action: &'a Action,
}

/// Answers calls that change nothing outside. A crash may cause a second call.
pub trait Routine: Send + Sync {
    /// The function's complete result in the JSON form of its WIT type. `Err` is the host's
    /// failure: it is retried, and the agent never sees it.
    fn answer<'a>(&'a self, call: RoutineCall<'a>) -> BoxFuture<'a, Result<Value, Unavailable>>;

    /// Whether the connector reads what earlier calls of the run left in the journal, so that they must be there.
    fn reads_the_journal(&self) -> bool {
        false
    }

    /// Whether the connector answers this call. Other calls of the same function may be consequential.
    fn answers(&self, _: &Action) -> bool {
        true
    }
}

/// The connector cannot answer now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub Sentence);

/// The maximum number of attempts of one connector at the same time. Further cleared calls wait.
///
/// A restarted host may find thousands of approved calls. The number suits a mail relay, which
/// usually accepts 50 connections from one client, and some slow attempts do not delay the others.
pub const ATTEMPTS_AT_A_TIME: usize = 32;

/// The number of concurrent attempts if each attempt runs a program. Programs take memory and processors of this
/// machine, and perhaps other resources.
pub const PROGRAMS_AT_A_TIME: usize = 8;

/// Performs effects. Only this trait performs effects, and each attempt needs an [`Authorized`].
pub trait Perform: Send + Sync {
    /// Attempts the effect once.
    fn perform(&self, authorized: Authorized) -> BoxFuture<'_, Attempt>;

    /// The number of concurrent attempts.
    fn attempts_at_a_time(&self) -> usize {
        ATTEMPTS_AT_A_TIME
    }

    /// Looks up whether an attempt in doubt happened, and changes nothing.
    fn lookup<'a>(&'a self, inquiry: &'a Inquiry) -> BoxFuture<'a, Finding>;

    /// The agent's receipt after a reviewer has found out that the attempt happened. `None` if the receipt does not
    /// follow from the action alone.
    fn receipt(&self, inquiry: &Inquiry) -> Option<Value>;
}

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Attempt {
    /// The effect happened. The value is the receipt, which has the function's `ok` type.
    Done(Value),
    /// The effect happened, although facts changed within the limits of the clearance. Each text names a change with
    /// both values.
    DoneDespite(Value, Vec<Sentence>),
    /// The effect did not happen, and cannot happen later.
    NotDone(Sentence),
    /// The effect did not happen and cannot happen later. It may be tried again after this duration under the same
    /// clearance.
    Postponed(Sentence, Duration),
    /// The effect did not happen because a fact changed; the text has both values.
    FactsChanged(Sentence),
    /// The effect may have happened.
    Unknown(Sentence),
}

/// An attempt in doubt.
#[derive(Clone, Debug, PartialEq)]
pub struct Inquiry {
    pub run: RunId,
    pub call: CallNumber,
    pub attempt: u32,
    /// When the attempt was started.
    pub started_at: Time,
    /// The cleared action.
    pub action: Action,
    /// The preconditions of the clearance.
    pub preconditions: Value,
    /// The idempotency key of the call.
    pub key: EffectKey,
}

/// The result of a lookup, with the evidence as text.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// The effect happened.
    Happened {
        /// The receipt, of the function's `ok` type.
        receipt: Value,
        /// The evidence.
        evidence: Sentence,
    },
    /// The effect did not happen, and cannot happen later.
    DidNotHappen {
        /// The evidence.
        evidence: Sentence,
    },
    /// The lookup cannot tell.
    Unknown {
        /// The checks of the lookup, and their results.
        evidence: Sentence,
    },
}
