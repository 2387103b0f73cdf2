//! The schema of recorded events.
//!
//! They are described here, like the gate's other types. `tests/http` checks the description: it
//! validates one event of each kind, the events in the gate's golden files, and every event that a
//! host sends.

use utoipa::openapi::schema::{AdditionalProperties, Object, Schema};
use utoipa::openapi::{OneOf, Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::events::FeedEvent;
use super::grants::GrantShape;
use super::history::RunEvent;
use super::shapes::{
    ActionShape, CapabilityShape, DecisionShape, DigestShape, Moment, PolicyShape, ProposalShape, RefusalShape,
};

/// The recorded events by kind. Times are microseconds since 1970.
#[derive(ToSchema)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
#[allow(dead_code, reason = "describes `holdshort_gate::Event`, which is what is written")]
enum EventShape {
    /// A run was created.
    RunCreated {
        agent: String,
        component: DigestShape,
        task: String,
        started_by: String,
        limits: LimitsShape,
        /// SHA-256 of the secret seed of its random numbers.
        seed: DigestShape,
        /// The request that created it, if it had an `Idempotency-Key`.
        request: RequestShape,
    },
    /// A routine call was answered.
    RoutineReturned {
        call: u32,
        #[schema(value_type = CapabilityShape)]
        capability: String,
        #[schema(value_type = Object)]
        arguments: serde_json::Value,
        /// The digest of the action, which replay compares.
        action: DigestShape,
        result: serde_json::Value,
        /// When the agent got the answer: before it was recorded.
        answered_at: u64,
    },
    /// Policy cleared a call; no reviewer is needed.
    CallCleared { call: u32, proposal: ProposalShape, clearance: DigestShape },
    /// A call is held. A decision must name `clearance`.
    CallHeld { call: u32, proposal: ProposalShape, clearance: DigestShape },
    /// A call was refused without a reviewer. `policy` is present if policy refused it.
    CallRefused { call: u32, action: ActionShape, refusal: RefusalShape, policy: PolicyShape },
    /// A reviewer decided.
    DecisionMade { call: u32, decision: DecisionShape },
    /// An edit replaced the arguments. Earlier votes no longer count.
    CallRevised { call: u32, revision: u32, by: String, proposal: ProposalShape, clearance: DigestShape },
    /// Material facts changed before the effect, so the call is held again. Earlier votes no longer
    /// count.
    CallReheld { call: u32, revision: u32, reason: String, proposal: ProposalShape, clearance: DigestShape },
    /// Nobody decided in time, so further reviewers may decide. Earlier votes still count.
    CallEscalated { call: u32, level: usize },
    /// A reviewer created a grant with an approval.
    GrantMade { call: u32, by: String, grant: GrantShape },
    /// The grant created with the call was revoked.
    GrantRevoked { call: u32, by: String },
    /// The host could not bring the run forward and tries again: since when, why, how often in a
    /// row, and whether reviewers are notified.
    RunDelayed { since: u64, reason: String, tries: u32, told: bool },
    /// A question was answered with a value of the function's `ok` type.
    CallAnswered { call: u32, answer: serde_json::Value },
    /// There was no decision in time, or the cleared effect did not start in time.
    CallExpired { call: u32 },
    /// The run was cancelled while the call waited.
    CallCancelled { call: u32 },
    /// An effect is about to be attempted. From now on it may have happened.
    EffectStarted { call: u32, attempt: u32, clearance: DigestShape },
    /// The attempt certainly did not happen. Another one may be made from `until` on, under the
    /// same clearance.
    EffectPostponed { call: u32, attempt: u32, reason: String, until: u64 },
    /// The effect happened. `evidence` says how the host knows, if not from the attempt's own
    /// reply. `changed` lists facts that changed since they were shown, within what the clearance
    /// allowed, each with both values.
    EffectSucceeded {
        call: u32,
        attempt: u32,
        receipt: serde_json::Value,
        evidence: Option<String>,
        changed: Vec<String>,
    },
    /// The effect did not happen.
    EffectFailed { call: u32, attempt: u32, reason: String, evidence: Option<String> },
    /// The effect started, and its outcome is unknown.
    EffectInDoubt { call: u32, attempt: u32, reason: String },
    /// A lookup could not find the outcome of an effect in doubt.
    EffectLookedUp { call: u32, attempt: u32, evidence: String },
    /// A reviewer resolved an effect in doubt.
    EffectResolved { call: u32, attempt: u32, by: String, resolution: SettledShape, message: Option<String> },
    /// The run sleeps until a time of the guest's clock.
    TimerSet { timer: u32, until: u64 },
    /// The run's sleep ended.
    TimerFired { timer: u32 },
    /// The agent returned.
    RunFinished { result: ResultShape },
    /// The agent trapped or exceeded a limit.
    RunTrapped { reason: String },
    /// A reviewer cancelled the run.
    RunCancelled { by: String, reason: Option<String> },
    /// The agent no longer makes the calls that its journal records.
    RunDiverged { place: String, recorded: String, found: String },
}

/// The limits of a run.
#[derive(ToSchema)]
#[schema(as = RunLimits)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "describes `holdshort_gate::RunLimits`")]
struct LimitsShape {
    cpu_ms: u64,
    memory_bytes: u64,
    held_calls: u32,
    calls: u32,
    journal_bytes: u64,
}

/// A request with an `Idempotency-Key`.
#[derive(ToSchema)]
#[schema(as = RequestMark)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "describes `holdshort_gate::Request`")]
struct RequestShape {
    /// The digest of the key and its sender.
    key: DigestShape,
    /// The digest of the request's content.
    asks: DigestShape,
}

/// The resolution of an effect in doubt.
#[derive(ToSchema)]
#[schema(as = Settled)]
#[serde(rename_all = "kebab-case")]
#[allow(dead_code, reason = "describes `holdshort_gate::Resolution`")]
enum SettledShape {
    /// It happened; with the receipt, of the function's `ok` type.
    Done(serde_json::Value),
    /// It did not happen.
    NotDone,
    /// The outcome stays unknown.
    Abandon,
    /// It is attempted again with the same idempotency key.
    SendAgain,
}

/// The agent's result.
#[derive(ToSchema)]
#[schema(as = Returned)]
#[allow(dead_code, reason = "describes a `Result`")]
enum ResultShape {
    /// The agent completed its task.
    Ok(String),
    /// The agent failed, with the reason.
    Err(String),
}

/// The optional members of an event's `data`.
const SOMETIMES: [&str; 3] = ["policy", "request", "changed"];

/// One alternative for each kind, with the members beside `type` and `data`. Except for
/// [`SOMETIMES`], all members are required, and no others are allowed. `data` has a schema of its
/// own, shared by the run's history and the stream.
fn alternatives(description: &str, beside: &[(&str, RefOr<Schema>)]) -> RefOr<Schema> {
    let mut all = OneOf::new();
    all.description = Some(description.into());
    all.items = kinds(|kind, name, _| {
        kind.properties.extend(beside.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())));
        kind.properties.insert("data".into(), Ref::from_schema_name(name).into());
        close(kind);
        RefOr::T(Schema::Object(kind.clone()))
    });
    RefOr::T(Schema::OneOf(all))
}

/// For each kind of event: its schema, the name of its `data` schema, and that schema.
fn kinds<T>(each: impl Fn(&mut Object, &str, Object) -> T) -> Vec<T> {
    let RefOr::T(Schema::OneOf(all)) = EventShape::schema() else { return Vec::new() };
    let objects = all.items.into_iter().filter_map(|kind| match kind {
        RefOr::T(Schema::Object(kind)) => Some(kind),
        RefOr::T(_) | RefOr::Ref(_) => None,
    });
    let one = |(mut kind, word): (Object, &str)| {
        let capital = |part: &str| {
            part.chars().take(1).map(|c| c.to_ascii_uppercase()).chain(part.chars().skip(1)).collect::<String>()
        };
        let name = word.split('-').map(capital).collect::<String>() + "Data";
        let Some(RefOr::T(Schema::Object(mut data))) = kind.properties.remove("data") else { return None };
        close(&mut data);
        data.required.retain(|member| !SOMETIMES.contains(&member.as_str()));
        Some(each(&mut kind, &name, data))
    };
    objects.zip(holdshort_gate::Event::NAMES).filter_map(one).collect()
}

fn close(object: &mut Object) {
    object.required = object.properties.keys().cloned().collect();
    object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
}

/// The schemas that the alternatives refer to.
fn parts(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    EventShape::schemas(schemas);
    schemas.extend(kinds(|_, name, data| (name.to_owned(), RefOr::T(Schema::Object(data)))));
    schemas.push((Moment::name().into(), Moment::schema()));
}

fn moment() -> RefOr<Schema> {
    Ref::from_schema_name(Moment::name()).into()
}

impl PartialSchema for RunEvent {
    fn schema() -> RefOr<Schema> {
        let description = "Something that happened in a run, as it is journaled; `seq` is its number within the run, from 1. Times inside `data` are microseconds since 1970.";
        alternatives(description, &[("seq", u64::schema()), ("at", moment())])
    }
}

impl ToSchema for RunEvent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        parts(schemas);
    }
}

impl PartialSchema for FeedEvent {
    fn schema() -> RefOr<Schema> {
        let description = "The `data` of one event of the stream. `position` is its place among all events of all runs, and also the event's `id`; `type` is also the event's `event`; \
                           the rest is as in a run's history.";
        let number = u64::schema;
        let beside = [("position", number()), ("run", String::schema()), ("seq", number()), ("at", moment())];
        alternatives(description, &beside)
    }
}

impl ToSchema for FeedEvent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        parts(schemas);
    }
}
