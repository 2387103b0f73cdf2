//! How the gate's own types look in the schema. The gate is pure and knows no HTTP, so its types are described here;
//! that the descriptions are true is held by `tests/http.rs`, which validates every answer against them.

mod texts;
mod totals;

use holdshort_gate::{Phase, RunPhase, Time};
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

/// A point in time as clients read it: RFC 3339 in UTC with microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Moment(pub Time);

/// What stands for a time that RFC 3339 cannot write.
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

/// A word out of a list that lives elsewhere in the code, so that the schema cannot fall behind it.
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
    CallStateShape, "CallState", Phase::NAMES, "Where a call stands: decision and effect in one word."
);
words!(
    /// The decision's side of it.
    DecisionStateShape, "DecisionState", super::approvals::DECISION_STATES,
    "Where the decision stands; once the effect has started, what had cleared it: people (`approved`) or policy (`cleared`)."
);
words!(
    /// The effect's side of it.
    EffectStateShape, "EffectState", super::approvals::EFFECT_STATES, "Where the effect stands."
);
words!(
    /// What was decided.
    DecisionKindShape, "DecisionKind", holdshort_journal::DecisionRow::KINDS,
    "A person's `approve`, `edit`, `reject` or `respond`; a person's word on an effect in doubt: `done`, `not-done`, `abandon`, `send-again`; \
     `cancel` of the run; `expire`; and policy's `clear` and `refuse`."
);
words!(
    /// Where a run stands.
    RunStateShape, "RunState", RunPhase::NAMES, "Where a run stands."
);
words!(
    /// Which calls are listed.
    CallStateWordShape, "CallStateFilter", Phase::NAMES.into_iter().chain(super::inbox::MORE_STATES),
    "A state of a call; `waiting` for what is held or in doubt, `open` for every call that can still change, or `all`."
);
words!(
    /// Which runs are listed.
    RunStateWordShape, "RunStateFilter", RunPhase::NAMES.into_iter().chain(["all"]), "A state of a run, or `all`."
);

/// What a decision rests on, exactly as it is digested: with the journal, run, call and revision it makes the `digest` that a decision names.
/// Times in here are microseconds since 1970.
#[derive(Debug, ToSchema)]
#[schema(as = Proposal)]
#[serde(deny_unknown_fields)]
pub struct ProposalShape {
    /// What would be done.
    pub action: ActionShape,
    /// One line that says what would happen, made by the host from the action.
    pub summary: String,
    /// The host's evidence; its bytes are under `/v1/approvals/{id}/exhibits/{digest}`.
    pub exhibits: Vec<ExhibitShape>,
    /// What must still hold when the effect starts, as the connector states it; null if nothing. A fact is a value, which must be the same then, or
    /// an object: `{shown, at-least}`, which may change but not fall below the bound; `{shown, nothing-new-about}`, to which nothing may have been
    /// added but by the calls in `beside`.
    pub preconditions: serde_json::Value,
    /// What the host found out, an object of the connector's, see host/CONFIGURATION.md; left out if there is nothing.
    #[schema(required = false)]
    pub facts: serde_json::Value,
    /// How much is at stake: what people look at first. Left out in proposals of older journals.
    #[schema(required = false)]
    pub consequence: ConsequenceShape,
    /// The connector that would perform it.
    pub connector: String,
    /// What can be found out if the outcome is lost.
    pub class: ClassShape,
    /// Who must decide.
    pub requirement: RequirementShape,
    /// Why policy said what it said.
    pub policy: PolicyShape,
    /// The calls that waited when it was written and would do the same (then `deed` is equal), or are about the same; left out if there are none.
    #[schema(required = false)]
    pub beside: Vec<BesideShape>,
}

/// A call that waits beside a proposal.
#[derive(Debug, ToSchema)]
#[schema(as = Beside)]
#[serde(deny_unknown_fields)]
pub struct BesideShape {
    /// Its run.
    pub run: String,
    /// Its number.
    pub call: u32,
    /// A digest of what it would do: its capability and its arguments without the rationale.
    pub deed: DigestShape,
    /// The line that said what would happen.
    pub summary: String,
}

/// How much is at stake.
#[derive(Debug, ToSchema)]
#[schema(as = Consequence)]
#[serde(rename_all = "kebab-case")]
pub enum ConsequenceShape {
    /// A question, a message within the house.
    Low,
    /// Something that others see, or that can be put right.
    Medium,
    /// Money, production, or nobody knows.
    High,
}

/// A capability, its arguments and the component that asks.
#[derive(Debug, ToSchema)]
#[schema(as = Action)]
#[serde(deny_unknown_fields)]
pub struct ActionShape {
    /// The component that asks.
    pub component: DigestShape,
    /// The function.
    #[schema(value_type = CapabilityShape)]
    pub capability: String,
    /// An object keyed by parameter name, in the JSON form of WIT values.
    #[schema(value_type = Object)]
    pub arguments: serde_json::Value,
}

/// A piece of evidence.
#[derive(Debug, ToSchema)]
#[schema(as = Exhibit)]
#[serde(deny_unknown_fields)]
pub struct ExhibitShape {
    /// Its heading.
    pub title: String,
    /// Its media type; it is served as plain text whatever this says.
    pub media: String,
    /// What it is kept under.
    pub digest: DigestShape,
    /// How many bytes it has.
    pub bytes: u64,
    /// Whose words it is, such as `the repository`; not there if it is what the host says.
    pub whose: Option<String>,
}

/// What can be found out about an effect whose outcome was lost.
#[derive(Debug, ToSchema)]
#[schema(as = EffectClass)]
#[serde(rename_all = "kebab-case")]
pub enum ClassShape {
    Idempotent,
    Reconcilable,
    OneShot,
    Question,
}

/// Who must decide, how many, until when.
#[derive(Debug, ToSchema)]
#[schema(as = Requirement)]
#[serde(deny_unknown_fields)]
pub struct RequirementShape {
    /// Who may decide, if one group's quorum is all that is asked for; else there are `stages`.
    #[schema(required = false)]
    pub reviewers: ReviewersShape,
    /// How many different people must approve, beside `reviewers`.
    #[schema(required = false)]
    pub quorum: u32,
    /// Who must approve, in order: all demands of a stage must be met before the next begins.
    #[schema(required = false)]
    pub stages: Vec<Vec<DemandShape>>,
    /// How many different people must reject it to stop it; left out if one is enough.
    #[schema(required = false)]
    pub rejections: u32,
    /// Who may decide as well when nobody decided in time, in order; after the last of them it expires.
    #[schema(required = false)]
    pub escalations: Vec<EscalationShape>,
    /// Who of those who can clear it alone may make a standing grant with it; left out if nobody may.
    #[schema(required = false)]
    pub grantors: ReviewersShape,
    /// How long ago whoever approves may have signed in at most; left out if that does not matter.
    #[schema(required = false)]
    pub sign_in_within_ms: u64,
    /// Whether who started the run or edited the action is barred from approving it.
    pub four_eyes: bool,
    /// When the approval lapses, or is escalated for the first time, in microseconds since 1970; null if never.
    #[schema(required = true)]
    pub expires_at: Option<u64>,
    /// How long after it was cleared the effect may still start.
    pub start_within_ms: u64,
}

/// So many of these must approve.
#[derive(Debug, ToSchema)]
#[schema(as = Demand)]
#[serde(deny_unknown_fields)]
pub struct DemandShape {
    /// Whose approval counts for it.
    pub reviewers: ReviewersShape,
    /// How many different people.
    pub quorum: u32,
}

/// A demand of the stage that is decided on.
#[derive(Debug, ToSchema)]
#[schema(as = Waiting)]
#[serde(deny_unknown_fields)]
pub struct WaitingShape {
    /// Which stage, from 1.
    pub stage: usize,
    /// How many there are.
    pub stages: usize,
    /// Whose approval would count now: without those who have given it, and those whom four-eyes bars.
    pub reviewers: ReviewersShape,
    /// How many more of them it takes.
    pub more: u32,
}

/// Who may decide as well once nobody decided in time.
#[derive(Debug, ToSchema)]
#[schema(as = Escalation)]
#[serde(deny_unknown_fields)]
pub struct EscalationShape {
    /// Whose approval counts for every demand from then on.
    pub reviewers: ReviewersShape,
    /// How long they have.
    pub within_ms: u64,
}

/// Who may decide.
#[derive(Debug, ToSchema)]
#[schema(as = WhoDecides)]
#[serde(rename_all = "kebab-case")]
pub enum ReviewersShape {
    /// Every reviewer.
    Any,
    /// These, by name.
    Named(Vec<String>),
}

/// Why policy said what it said.
#[derive(Debug, ToSchema)]
#[schema(as = Policy)]
#[serde(deny_unknown_fields)]
pub struct PolicyShape {
    /// The policy set.
    pub digest: DigestShape,
    /// The policies that determined the verdict.
    pub determining: Vec<String>,
    /// What went wrong while policy was asked, if something did: the call is held then, whatever the rest says.
    #[schema(required = false)]
    pub errors: Vec<String>,
    /// The running totals that the verdict rested on, if it did.
    #[schema(required = false)]
    pub totals: Vec<CountedShape>,
    /// The standing grant that cleared it, if one did.
    #[schema(required = false)]
    pub grant: CallIdShape,
    /// The facts that are looked at again when the effect starts, if policy has marked some; if one has changed the call is held again.
    #[schema(required = false)]
    pub material: Vec<String>,
    /// Why it is held, in the operator's words, if policy says so.
    #[schema(required = false)]
    pub reasons: Vec<String>,
    /// When it was judged, where policies speak of the time.
    #[schema(required = false)]
    pub judged_at: JudgedAtShape,
}

/// The moment that policies saw.
#[derive(Debug, ToSchema)]
#[schema(as = JudgedAt)]
#[serde(deny_unknown_fields)]
pub struct JudgedAtShape {
    /// In microseconds since 1970.
    pub at: u64,
    /// The time zone whose calendar and clock they read, by its IANA name.
    pub zone: String,
}

/// One reviewer's decision.
#[derive(Debug, ToSchema)]
#[schema(as = Decision)]
#[serde(deny_unknown_fields)]
pub struct DecisionShape {
    /// Who.
    pub reviewer: String,
    /// In whose place, if it was by delegation.
    #[schema(required = false)]
    pub stands_for: String,
    /// The digest that they named.
    pub clearance: DigestShape,
    /// What they decided.
    pub verdict: VerdictShape,
    /// In their words.
    #[schema(required = true)]
    pub message: Option<String>,
}

/// What a reviewer decided.
#[derive(Debug, ToSchema)]
#[schema(as = Verdict)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictShape {
    /// Do it.
    Approve,
    /// Do not.
    Reject,
    /// The answer to a question.
    Respond(serde_json::Value),
    /// Do this instead; the digest of the new action.
    Edit(DigestShape),
}

/// Why a call was refused before anyone was asked.
#[derive(Debug, ToSchema)]
#[schema(as = RefusalReason)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalShape {
    /// Policy, a limit or the display budget forbids it.
    Forbidden(String),
    /// It cannot be done as proposed.
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
