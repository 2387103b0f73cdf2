//! Host code at the edge of the world: each connector previews, answers or performs for one capability.
//!
//! The three traits are kept apart so that each room of the host holds only the verbs that it may use:
//! the driver previews and answers, the dispatcher alone performs, and performing takes an [`Authorized`].
#![cfg_attr(test, allow(clippy::wildcard_enum_match_arm, reason = "a test fails on whatever it did not expect"))]

pub mod bounds;
pub mod checks;
pub mod child;
pub mod command;
pub mod confined;
pub mod deploy_command;
pub mod deploy_git;
pub mod exhibit;
pub mod git;
pub mod guidance;
pub mod history;
pub mod key;
pub mod ledger;
pub mod maildir;
pub mod message;
pub mod notices;
pub mod program;
pub mod relative;
pub mod release;
pub mod repository;
pub mod smtp;
pub mod workspace;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use holdshort_gate::{Action, CallNumber, Consequence, EffectClass, EffectKey, LIMIT, RunId, Time};
use holdshort_journal::Authorized;
use serde_json::{Map, Value};

pub use exhibit::{EXHIBIT_BYTES_MAX, Exhibit};
use exhibit::{Known, Sentence, error_said, quote, quote_start, quote_value, say};
use history::History;

use holdshort_common::aside;

/// Where a connector gets its time from.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// What the host itself can establish before an action happens, and how its effect could be settled afterwards.
pub trait Preview: Send + Sync {
    /// The connector's name as it stands in the configuration and in every clearance, such as `git` or `maildir`.
    fn name(&self) -> &str;

    /// What a lookup could establish if the outcome were lost.
    fn class(&self) -> EffectClass;

    /// One sentence for operators and reviewers: what the host looks at if the outcome is lost, and what it can tell from it.
    fn evidence(&self) -> &str;

    /// Looks, and changes nothing. `agent` is who asks, by its configured name: what it may refer to, such as files, is its own.
    fn preview<'a>(&'a self, agent: &'a str, action: &'a Action) -> BoxFuture<'a, Result<Previewed, CannotPreview>>;

    /// Adds to a preview what the run did before the call, as far as it matters to whoever decides. Nothing of it is looked up: the journal has it.
    fn recall(&self, _: &Action, history: &History, previewed: &mut Previewed) {
        history.tell(previewed);
    }
}

/// How an effect could be settled whose outcome was lost. A constant of each connector, so that it can be told before a host is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IfLost {
    /// What a lookup could establish.
    pub class: EffectClass,
    /// [`Preview::evidence`].
    pub evidence: &'static str,
}

/// What a preview found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previewed {
    /// One line that says what would happen: recipients, amounts and targets first.
    pub summary: Sentence,
    /// Evidence, the most telling first.
    pub exhibits: Vec<Exhibit>,
    /// What [`Perform::perform`] will check at the moment of acting; `Null` if nothing.
    pub preconditions: Value,
    /// What the host found out, as an object with kebab-case keys, for policy and for what is pointed out to people; `Null` if there is nothing.
    pub facts: Value,
    /// How much is at stake.
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
    /// In words.
    pub fn sentence(self) -> Sentence {
        let (Self::Impossible(why) | Self::Unavailable(why)) = self;
        why
    }

    /// What would have to be shown is larger than any evidence may be. The call is refused then, as one is whose arguments are too long to be read.
    pub fn too_large(title: &Sentence, bytes: u64, instead: &'static str) -> Self {
        Self::Impossible(say!(
            "{}: `{}` is {} bytes; a reviewer is shown at most {}, and evidence is never cut: {}",
            LIMIT,
            title.clone(),
            bytes,
            EXHIBIT_BYTES_MAX,
            instead
        ))
    }
}

/// Why there is nothing to show a reviewer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotPreview {
    /// The action is impossible as proposed; the agent is told so and nobody is asked.
    #[error("{0}")]
    Impossible(Sentence),
    /// The connector cannot look just now; the host tries again.
    #[error("{0}")]
    Unavailable(Sentence),
}

impl From<aside::Failed> for CannotPreview {
    fn from(_: aside::Failed) -> Self {
        Self::Unavailable(say!("the host failed at this task; its log has details"))
    }
}

/// What a routine call is about.
#[derive(Clone, Copy, Debug)]
pub struct RoutineCall<'a> {
    /// The agent's configured name.
    pub agent: &'a str,
    /// The run.
    pub run: &'a RunId,
    /// What it asks for, with normal-form arguments.
    pub action: &'a Action,
}

/// Answers calls that change nothing outside. At-least-once: a crash may ask twice.
pub trait Routine: Send + Sync {
    /// The function's whole result in the JSON form of its WIT type. `Err` is the host's failure: it is retried, the agent never sees it.
    fn answer<'a>(&'a self, call: RoutineCall<'a>) -> BoxFuture<'a, Result<Value, Unavailable>>;
}

/// The connector cannot answer just now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub Sentence);

/// How many attempts of one connector go on at the same time; what else is cleared waits for its turn.
///
/// A host that starts again may find thousands of approved calls. It is few enough for a mail relay, of which the usual one takes 50 connections from one client,
/// and enough that some that wait for an answer do not hold up the others.
pub const ATTEMPTS_AT_A_TIME: usize = 32;

/// The same where an attempt is a program: each takes this machine's memory and processors, and what it needs beyond them nobody here knows.
pub const PROGRAMS_AT_A_TIME: usize = 8;

/// Acts on the world. The only trait that does, and only with an [`Authorized`].
pub trait Perform: Send + Sync {
    /// Attempts the effect once.
    fn perform(&self, authorized: Authorized) -> BoxFuture<'_, Attempt>;

    /// How many attempts may go on at the same time.
    fn attempts_at_a_time(&self) -> usize {
        ATTEMPTS_AT_A_TIME
    }

    /// Finds out whether an attempt whose outcome was lost has happened. Looks, and changes nothing.
    fn lookup<'a>(&'a self, inquiry: &'a Inquiry) -> BoxFuture<'a, Finding>;

    /// The receipt to hand the agent when a person found that the attempt did happen, if it follows from the action alone.
    fn receipt(&self, inquiry: &Inquiry) -> Option<Value>;
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Attempt {
    /// It happened; what was done, of the function's `ok` type.
    Done(Value),
    /// It happened though facts had changed, as far as the clearance allows; each in words, with both values.
    DoneDespite(Value, Vec<Sentence>),
    /// It did not happen, and cannot happen late.
    NotDone(Sentence),
    /// It certainly did not happen, cannot happen late, and may be tried again after this while under the same clearance.
    Postponed(Sentence, Duration),
    /// It did not happen because a precondition no longer holds; both values are in the text.
    FactsChanged(Sentence),
    /// It may have happened.
    Unknown(Sentence),
}

/// A lost attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Inquiry {
    /// The run.
    pub run: RunId,
    /// The call.
    pub call: CallNumber,
    /// The attempt.
    pub attempt: u32,
    /// When it was started.
    pub started_at: Time,
    /// Exactly what was cleared.
    pub action: Action,
    /// The preconditions of the clearance.
    pub preconditions: Value,
    /// The idempotency key of the call.
    pub key: EffectKey,
}

/// What a lookup established. Each carries the evidence in words.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// It happened.
    Happened {
        /// What was done, of the function's `ok` type.
        receipt: Value,
        /// How that is known.
        evidence: Sentence,
    },
    /// It did not happen and a late arrival is excluded.
    DidNotHappen {
        /// How that is known.
        evidence: Sentence,
    },
    /// It cannot be told.
    Unknown {
        /// What was looked at.
        evidence: Sentence,
    },
}
