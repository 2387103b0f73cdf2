//! Holdshort's gate: the steps that are legal for a call, as pure functions over the journal's events.
//!
//! The gate reads no clock, no file, no network and no random number; time and secrets are arguments. A caller (the
//! journal) loads a [`Subject`], runs a [`Command`] on it inside a write transaction, and stores the resulting events.
//! Recovery applies the stored events with the same function, [`Subject::apply`].
//!
//! Read in this order: [`action`] (what an agent proposes), [`clearance`] (what a decision is about), [`condition`]
//! (which facts must still hold when the effect starts), [`similar`] (which other calls wait), [`event`] (what the
//! journal keeps), [`call`], [`phase`] and [`run`] (the life of a call and of a run), [`decision`] (what reviewers
//! decide), [`approval`] (who must decide), [`totals`] (how many calls were cleared, and how much money they move),
//! [`grant`] (what is cleared in advance), [`command`] (every legal step), [`permit`] (what a connector gets for one
//! attempt).

pub mod action;
pub mod approval;
mod attempts;
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
mod named_enum;
pub mod permit;
pub mod phase;
mod recorded;
mod requirement_json;
pub mod run;
#[cfg(feature = "schema")]
pub mod schema;
pub mod similar;
pub mod totals;
mod votes;
mod wait_end;
mod waiting;
pub mod wit_type;

pub use action::{Action, Capability, RATIONALE};
pub use approval::{Demand, Escalation, Requirement, Reviewers};
pub use call::Call;
pub use clearance::{Clearance, Consequence, EffectClass, ExhibitRef, PolicyVerdict, Proposal, SimilarCall};
pub use command::{Command, Refused, Subject};
pub use condition::EffectMark;
pub use decision::{Decision, LIMIT, MODEL_UNCERTAINTY, RecordedChoice, RefusalReason, Resolution};
pub use event::{Delayed, Event, Request, RunLimits};
pub use grant::{Grant, GrantRecord, RevokedBy};
pub use ids::{CallId, CallNumber, Digest, EffectKey, JournalId, RunId, Seq, Time};
pub use name::{AgentName, ReviewerName};
pub use named_enum::UnknownName;
pub use permit::Permit;
pub use phase::{Answer, CallState, Phase};
pub use recorded::RecordedEvent;
pub use run::{CreatedRun, Run, RunPhase, RunState};
pub use similar::Similarity;
pub use totals::{Counter, RecordedTotal, Scope, Total};
pub use votes::Vote;
pub use wait_end::WaitEnd;
pub use waiting::OpenDemand;
pub use wit_type::{FunctionType, Mismatch, WitType};
