//! Holdshort's gate: the steps that are legal for a call, as pure functions over the journal's events.
//!
//! The gate reads no clock, no file, no network and no random number; time and secrets are arguments.
//! A caller (the journal) loads a [`Subject`], runs a [`Command`] on it inside a write transaction, and stores the
//! resulting events.
//! Recovery feeds the same events to the same [`Subject::apply`].
//!
//! Read in this order: [`action`] (what an agent proposes), [`clearance`] (what a decision is about), [`condition`]
//! (which facts must still hold when the effect starts), [`beside`] (which other calls wait), [`event`] (what the
//! journal keeps), [`call`], [`phase`] and [`run`] (the life of a call and of a run), [`decision`] (what reviewers
//! decide), [`approval`] (who must decide), [`totals`] (what was cleared in a series), [`grant`] (what is cleared in
//! advance), [`command`] (every legal step), [`permit`] (what a legal start gives to a connector).

pub mod action;
pub mod approval;
mod attempts;
pub mod beside;
pub mod call;
pub mod clearance;
pub mod command;
pub mod condition;
pub mod decision;
pub mod event;
pub mod feasible;
pub mod grant;
pub mod ids;
mod name;
mod named;
pub mod permit;
pub mod phase;
mod recorded;
pub mod run;
#[cfg(feature = "schema")]
pub mod schema;
mod standing;
pub mod totals;
mod votes;
mod wait_end;
pub mod wit_type;
mod written;

pub use action::{Action, Capability, RATIONALE};
pub use approval::{Demand, Escalation, Requirement, Reviewers};
pub use beside::Likeness;
pub use call::Call;
pub use clearance::{Beside, Clearance, Consequence, EffectClass, ExhibitRef, PolicyVerdict, Proposal};
pub use command::{Command, Refused, Subject};
pub use condition::Mark;
pub use decision::{Decision, LIMIT, RefusalReason, Resolution, Verdict};
pub use event::{Delayed, Event, Request, RunLimits};
pub use grant::{Grant, Granted, RevokedBy};
pub use ids::{CallId, CallNumber, Digest, EffectKey, JournalId, RunId, Seq, Time};
pub use name::{AgentName, ReviewerName};
pub use named::UnknownName;
pub use permit::Permit;
pub use phase::{Answer, CallState, Phase};
pub use recorded::Recorded;
pub use run::{Made, Run, RunPhase, RunState};
pub use standing::Waiting;
pub use totals::{Counted, Counter, Scope, Total};
pub use votes::Vote;
pub use wait_end::WaitEnd;
pub use wit_type::{FunctionType, Mismatch, WitType};
