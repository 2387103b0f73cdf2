//! The schema of the gate's types. The gate is pure and knows no HTTP, so its types are described here. `tests/http.rs`
//! validates every answer against these descriptions.

mod texts;
mod totals;

use holdshort_gate::{CallState, RunState, Time};
use holdshort_journal::DecisionKind;
use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use texts::text;
pub use texts::{
    ApprovalIdShape, CapabilityShape, CurrencyShape, DigestShape, IdempotencyKeyShape, InstantShape, PagePathShape,
    PlaceShape, RankedPlaceShape, RunIdShape, SumsShape,
};
pub use totals::{CallIdShape, CountedShape, TotalShape};

/// A time for clients: RFC 3339 in UTC with microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Moment(pub Time);

/// The text for a time beyond RFC 3339.
const END_OF_TIME: &str = "9999-12-31T23:59:59.999999Z";

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let micros = i64::try_from(self.0.0).ok();
        match micros.and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok()) {
            Some(at) => serializer.collect_str(&format_args!("{at:.6}")),
            None => serializer.serialize_str(END_OF_TIME),
        }
    }
}

impl PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        let pattern = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$";
        let schema = text(pattern, "RFC 3339 in UTC with microseconds.");
        schema.format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).into()
    }
}

impl ToSchema for Moment {}

/// A word from a list elsewhere in the code, so that the schema always matches it.
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
    /// Where a call stands.
    CallStateShape, "CallState", CallState::ALL.map(CallState::as_str), "The state of a call: decision and effect in one word."
);
words!(
    /// The decision's side of it.
    DecisionStateShape, "DecisionState", super::approvals::DECISION_STATES.map(CallState::as_str),
    "The state of the decision; once the effect has started, whether people (`approved`) or policy (`cleared`) had cleared it."
);
words!(
    /// The effect's side of it.
    EffectStateShape, "EffectState", super::approvals::EFFECT_STATES.map(CallState::as_str), "The state of the effect."
);
words!(
    /// What was decided.
    DecisionKindShape, "DecisionKind", DecisionKind::ALL.map(DecisionKind::as_str),
    "A reviewer's decision `approve`, `edit`, `reject` or `respond`; a reviewer's resolution of an effect in doubt: `done`, `not-done`, `abandon`, `send-again`; \
     `cancel` of the run; `expire`; and policy's `clear` and `refuse`."
);
words!(
    /// Where a run stands.
    RunStateShape, "RunState", RunState::ALL.map(RunState::as_str), "The state of a run."
);
words!(
    /// Which calls are listed.
    CallStateWordShape, "CallStateFilter", super::inbox::CallStateFilter::names(),
    "A state of a call; `waiting` for what is held or in doubt, `open` for every call that can still change, or `all`."
);
words!(
    /// Which runs are listed.
    RunStateWordShape, "RunStateFilter", super::runs::states(), "A state of a run, or `all`."
);

/// The content that a decision rests on, exactly as it is digested: together with journal, run, call and revision it
/// gives the `digest` that a decision names. Times are microseconds since 1970.
#[derive(Debug, ToSchema)]
#[schema(as = Proposal)]
#[serde(deny_unknown_fields)]
pub struct ProposalShape {
    /// The action.
    pub action: ActionShape,
    /// One line that describes the action, written by the host.
    pub summary: String,
    /// The exhibits of the evidence; their bytes are under `/v1/approvals/{id}/exhibits/{digest}`.
    pub exhibits: Vec<ExhibitShape>,
    /// The facts that are compared again before the effect starts, as the connector states them; null for none. A fact
    /// is a value that must be the same, or an object: `{shown, at-least}` must not fall below the bound; for `{shown,
    /// nothing-new-about}`, nothing may have been added except by the calls in `beside`.
    pub preconditions: serde_json::Value,
    /// The facts that the host found, an object by the connector, see host/CONFIGURATION.md; omitted if there are none.
    #[schema(required = false)]
    pub facts: serde_json::Value,
    /// The value at stake, by which reviewers set priorities. Missing in proposals of older journals.
    #[schema(required = false)]
    pub consequence: ConsequenceShape,
    /// The connector that would perform it.
    pub connector: String,
    /// What a lookup can establish if the outcome is lost.
    pub class: ClassShape,
    /// The requirement.
    pub requirement: RequirementShape,
    /// Policy's verdict with its reasons.
    pub policy: PolicyShape,
    /// Calls that waited at the time of the proposal and have the same action (with the same `deed`) or the same
    /// subject; omitted if there are none.
    #[schema(required = false)]
    pub beside: Vec<BesideShape>,
}

/// A call that waits beside a proposal.
#[derive(Debug, ToSchema)]
#[schema(as = Beside)]
#[serde(deny_unknown_fields)]
pub struct BesideShape {
    /// The run's id.
    pub run: String,
    /// The call's number.
    pub call: u32,
    /// A digest of its action: capability and arguments without the rationale.
    pub deed: DigestShape,
    /// The summary of its action.
    pub summary: String,
}

/// The value at stake.
#[derive(Debug, ToSchema)]
#[schema(as = Consequence)]
#[serde(rename_all = "kebab-case")]
pub enum ConsequenceShape {
    /// A question, or a message inside the company.
    Low,
    /// Visible to others, or reversible.
    Medium,
    /// Money, production, or unknown.
    High,
}

/// A capability, its arguments, and the calling component.
#[derive(Debug, ToSchema)]
#[schema(as = Action)]
#[serde(deny_unknown_fields)]
pub struct ActionShape {
    /// The calling component.
    pub component: DigestShape,
    /// The capability.
    #[schema(value_type = CapabilityShape)]
    pub capability: String,
    /// An object by parameter name, in the JSON form of WIT values.
    #[schema(value_type = Object)]
    pub arguments: serde_json::Value,
}

/// An exhibit of the evidence.
#[derive(Debug, ToSchema)]
#[schema(as = Exhibit)]
#[serde(deny_unknown_fields)]
pub struct ExhibitShape {
    /// The title.
    pub title: String,
    /// The media type; it is always served as plain text.
    pub media: String,
    /// The digest under which it is stored.
    pub digest: DigestShape,
    /// The length in bytes.
    pub bytes: u64,
    /// The author of the words, such as `the repository`; missing if they are the host's.
    pub whose: Option<String>,
}

/// What a lookup can establish about an effect whose outcome is lost.
#[derive(Debug, ToSchema)]
#[schema(as = EffectClass)]
#[serde(rename_all = "kebab-case")]
pub enum ClassShape {
    Idempotent,
    Reconcilable,
    OneShot,
    Question,
}

/// Who must approve, how many, and until when.
#[derive(Debug, ToSchema)]
#[schema(as = Requirement)]
#[serde(deny_unknown_fields)]
pub struct RequirementShape {
    /// The reviewers, if the requirement is one group with one quorum; otherwise see `stages`.
    #[schema(required = false)]
    pub reviewers: ReviewersShape,
    /// How many different reviewers must approve, with `reviewers`.
    #[schema(required = false)]
    pub quorum: u32,
    /// The stages in order. All demands of a stage must be met before the next begins.
    #[schema(required = false)]
    pub stages: Vec<Vec<DemandShape>>,
    /// How many different reviewers must reject to stop the call; omitted if one suffices.
    #[schema(required = false)]
    pub rejections: u32,
    /// The escalations in order, each adding reviewers after a deadline. After the last one the call expires.
    #[schema(required = false)]
    pub escalations: Vec<EscalationShape>,
    /// The reviewers who may create a grant if their approval alone clears the call; omitted if none may.
    #[schema(required = false)]
    pub grantors: ReviewersShape,
    /// The maximum age of an approver's sign-in; omitted if there is none.
    #[schema(required = false)]
    pub sign_in_within_ms: u64,
    /// Whether a person is excluded from approving calls of runs that they started, or actions that they edited.
    pub four_eyes: bool,
    /// When the call expires or is first escalated, in microseconds since 1970; null if never.
    #[schema(required = true)]
    pub expires_at: Option<u64>,
    /// How long after its clearance the effect may still start.
    pub start_within_ms: u64,
}

/// A number of approvals from a group.
#[derive(Debug, ToSchema)]
#[schema(as = Demand)]
#[serde(deny_unknown_fields)]
pub struct DemandShape {
    /// The reviewers whose approval counts.
    pub reviewers: ReviewersShape,
    /// How many different reviewers must approve.
    pub quorum: u32,
}

/// An open demand of the current stage.
#[derive(Debug, ToSchema)]
#[schema(as = Waiting)]
#[serde(deny_unknown_fields)]
pub struct WaitingShape {
    /// The stage, from 1.
    pub stage: usize,
    /// The number of stages.
    pub stages: usize,
    /// The reviewers whose approval would count now, without those who approved already and those excluded by
    /// four-eyes.
    pub reviewers: ReviewersShape,
    /// How many more of them must approve.
    pub more: u32,
}

/// The reviewers added after a deadline.
#[derive(Debug, ToSchema)]
#[schema(as = Escalation)]
#[serde(deny_unknown_fields)]
pub struct EscalationShape {
    /// The reviewers whose approval then counts for every demand.
    pub reviewers: ReviewersShape,
    /// The new deadline, in milliseconds after the escalation.
    pub within_ms: u64,
}

/// A set of reviewers.
#[derive(Debug, ToSchema)]
#[schema(as = WhoDecides)]
#[serde(rename_all = "kebab-case")]
pub enum ReviewersShape {
    /// Every reviewer.
    Any,
    /// These reviewers, by name.
    Named(Vec<String>),
}

/// Policy's verdict with its reasons.
#[derive(Debug, ToSchema)]
#[schema(as = Policy)]
#[serde(deny_unknown_fields)]
pub struct PolicyShape {
    /// The digest of the policies.
    pub digest: DigestShape,
    /// The policies that determined the verdict.
    pub determining: Vec<String>,
    /// Evaluation errors. With any of them the call is held.
    #[schema(required = false)]
    pub errors: Vec<String>,
    /// The running totals that the verdict used.
    #[schema(required = false)]
    pub totals: Vec<CountedShape>,
    /// The grant that cleared it.
    #[schema(required = false)]
    pub grant: CallIdShape,
    /// The material facts, marked by policy: they are compared again when the effect starts, and if one has changed the
    /// call is held again.
    #[schema(required = false)]
    pub material: Vec<String>,
    /// Why it is held, in the operator's words.
    #[schema(required = false)]
    pub reasons: Vec<String>,
    /// The time of the verdict, if a policy depends on the time.
    #[schema(required = false)]
    pub judged_at: JudgedAtShape,
}

/// The time that policies saw.
#[derive(Debug, ToSchema)]
#[schema(as = JudgedAt)]
#[serde(deny_unknown_fields)]
pub struct JudgedAtShape {
    /// In microseconds since 1970.
    pub at: u64,
    /// The time zone of policies, by its IANA name.
    pub zone: String,
}

/// One reviewer's decision.
#[derive(Debug, ToSchema)]
#[schema(as = Decision)]
#[serde(deny_unknown_fields)]
pub struct DecisionShape {
    /// The reviewer.
    pub reviewer: String,
    /// The absent reviewer for whom it was made, if any.
    #[schema(required = false)]
    pub stands_for: String,
    /// The digest that the reviewer named.
    pub clearance: DigestShape,
    /// The kind of decision.
    pub verdict: VerdictShape,
    /// The reviewer's message.
    #[schema(required = true)]
    pub message: Option<String>,
}

/// A decision's kind.
#[derive(Debug, ToSchema)]
#[schema(as = Verdict)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictShape {
    /// Approve.
    Approve,
    /// Reject.
    Reject,
    /// Answer a question.
    Respond(serde_json::Value),
    /// Edit; with the digest of the new action.
    Edit(DigestShape),
}

/// Why a call was refused without a reviewer.
#[derive(Debug, ToSchema)]
#[schema(as = RefusalReason)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalShape {
    /// Forbidden by policy, a limit or the display limit.
    Forbidden(String),
    /// Impossible as proposed.
    Invalid(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_with_microseconds() {
        let text = |micros| serde_json::to_string(&Moment(Time(micros))).unwrap();
        assert_eq!(text(0), "\"1970-01-01T00:00:00.000000Z\"");
        assert_eq!(text(1_767_225_600_000_001), "\"2026-01-01T00:00:00.000001Z\"");
        assert_eq!(text(u64::MAX), format!("\"{END_OF_TIME}\""));
    }
}
