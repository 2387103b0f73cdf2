//! How events look in the schema: what the journal holds of each kind.
//!
//! As the gate's other types, they are described here. `tests/http` holds that the description is true: it validates one event of each kind against it,
//! those of the gate's golden files, and every event that a host sends.

use utoipa::openapi::schema::{AdditionalProperties, Object, Schema};
use utoipa::openapi::{OneOf, Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::events::FeedEvent;
use super::grants::GrantShape;
use super::history::RunEvent;
use super::shapes::{
    ActionShape, CapabilityShape, DecisionShape, DigestShape, Moment, PolicyShape, ProposalShape, RefusalShape,
};

/// What is journaled, kind by kind. Times in here are microseconds since 1970.
#[derive(ToSchema)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
#[allow(dead_code, reason = "describes `holdshort_gate::Event`, which is what is written")]
enum EventShape {
    /// A run exists.
    RunCreated {
        agent: String,
        component: DigestShape,
        task: String,
        started_by: String,
        limits: LimitsShape,
        /// SHA-256 of the secret seed of its randomness.
        seed: DigestShape,
        /// The request that made it, if it came with an `Idempotency-Key`.
        request: RequestShape,
    },
    /// A routine call was answered.
    RoutineReturned {
        call: u32,
        #[schema(value_type = CapabilityShape)]
        capability: String,
        #[schema(value_type = Object)]
        arguments: serde_json::Value,
        /// The action's digest, which replay compares.
        action: DigestShape,
        result: serde_json::Value,
        /// When it was handed to the agent: before it was written.
        answered_at: u64,
    },
    /// Policy cleared a call; no person is needed.
    CallCleared { call: u32, proposal: ProposalShape, clearance: DigestShape },
    /// A call holds short. A decision must name `clearance`.
    CallHeld { call: u32, proposal: ProposalShape, clearance: DigestShape },
    /// A call was refused before anyone was asked.
    /// `policy` is there if it was policy that refused.
    CallRefused { call: u32, action: ActionShape, refusal: RefusalShape, policy: PolicyShape },
    /// A reviewer decided.
    DecisionMade { call: u32, decision: DecisionShape },
    /// An edit replaced the action; earlier votes fall.
    CallRevised { call: u32, revision: u32, by: String, proposal: ProposalShape, clearance: DigestShape },
    /// Facts that the clearance rested on changed before the effect; earlier votes fall.
    CallReheld { call: u32, revision: u32, reason: String, proposal: ProposalShape, clearance: DigestShape },
    /// Nobody decided in time: others may decide as well from now on. What was decided stands.
    CallEscalated { call: u32, level: usize },
    /// Whoever approved the call had more like it cleared.
    GrantMade { call: u32, by: String, grant: GrantShape },
    /// The grant that was made with the call was taken back.
    GrantRevoked { call: u32, by: String },
    /// The host could not bring the run forward and tries again: since when, why, how often in a row, and whether people are told by a message.
    RunDelayed { since: u64, reason: String, tries: u32, told: bool },
    /// A question was answered, with a value of the function's `ok` type.
    CallAnswered { call: u32, answer: serde_json::Value },
    /// Nobody decided in time, or the cleared effect did not start in time.
    CallExpired { call: u32 },
    /// The run was cancelled while the call waited.
    CallCancelled { call: u32 },
    /// An effect is about to be attempted: from here on it may have happened.
    EffectStarted { call: u32, attempt: u32, clearance: DigestShape },
    /// The attempt certainly did not happen; another one may be made from `until` on, under the same clearance.
    EffectPostponed { call: u32, attempt: u32, reason: String, until: u64 },
    /// It happened. `evidence` is how the host knows, if not from the attempt's own reply; `changed` is there if facts had changed since
    /// they were shown, as far as the clearance allowed it: each in words, with both values.
    EffectSucceeded {
        call: u32,
        attempt: u32,
        receipt: serde_json::Value,
        evidence: Option<String>,
        changed: Vec<String>,
    },
    /// It did not happen.
    EffectFailed { call: u32, attempt: u32, reason: String, evidence: Option<String> },
    /// It started and its outcome is unknown.
    EffectInDoubt { call: u32, attempt: u32, reason: String },
    /// A lookup could not tell what came of an attempt that is in doubt.
    EffectLookedUp { call: u32, attempt: u32, evidence: String },
    /// A person settled an effect that was in doubt.
    EffectResolved { call: u32, attempt: u32, by: String, resolution: SettledShape, message: Option<String> },
    /// The run sleeps, by the guest's clock.
    TimerSet { timer: u32, until: u64 },
    /// Its time came.
    TimerFired { timer: u32 },
    /// The agent returned.
    RunFinished { result: ResultShape },
    /// The agent trapped or passed a limit.
    RunTrapped { reason: String },
    /// A person ended the run.
    RunCancelled { by: String, reason: Option<String> },
    /// The agent no longer does what its journal says it did.
    RunDiverged { place: String, recorded: String, found: String },
}

/// What a run may use.
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

/// A request that came with an `Idempotency-Key`.
#[derive(ToSchema)]
#[schema(as = RequestMark)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "describes `holdshort_gate::Request`")]
struct RequestShape {
    /// The digest of the key and of who sent it.
    key: DigestShape,
    /// The digest of what was asked for.
    asks: DigestShape,
}

/// How a person settled an effect that was in doubt.
#[derive(ToSchema)]
#[schema(as = Settled)]
#[serde(rename_all = "kebab-case")]
#[allow(dead_code, reason = "describes `holdshort_gate::Resolution`")]
enum SettledShape {
    /// It happened; the receipt, of the function's `ok` type.
    Done(serde_json::Value),
    /// It did not happen.
    NotDone,
    /// Nobody will find out.
    Abandon,
    /// It is attempted once more, with the same key.
    SendAgain,
}

/// What an agent returned.
#[derive(ToSchema)]
#[schema(as = Returned)]
#[allow(dead_code, reason = "describes a `Result`")]
enum ResultShape {
    /// It has done its task.
    Ok(String),
    /// It has not, and says why.
    Err(String),
}

/// The members of an event's `data` that are not always there.
const SOMETIMES: [&str; 3] = ["policy", "request", "changed"];

/// One alternative for each kind, with what stands beside `type` and `data`. All members of an event are always there but [`SOMETIMES`], and no others.
/// What stands in `data` is a schema of its own, which the events of a run's history and of the stream share.
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

/// What becomes of each kind of event: its own schema, the name of the schema of its `data`, and that schema.
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

/// What the alternatives refer to.
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
