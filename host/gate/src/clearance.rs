//! The subject of a decision: everything that the decision rests on, under one digest.
//!
//! **Invariant:** The clearance digest covers the effect class of the connector. It does not cover the sentence that
//! tells reviewers how an effect in doubt would be looked up: the host may have another connector by the time of the
//! lookup, with another way to look up.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::action::{Action, canonical};
use crate::approval::Requirement;
use crate::ids::{CallId, CallNumber, Digest, JournalId, RunId, Time};
use crate::totals::RecordedTotal;

/// What the host can do about an effect whose outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum EffectClass {
    /// The remote system recognises the idempotency key: a second attempt with the same key has no second effect.
    Idempotent,
    /// The remote system can be asked whether the effect happened.
    Reconcilable,
    /// The remote system recognises no idempotency key and cannot be asked: only a reviewer can resolve the effect if
    /// its reply was lost.
    OneShot,
    /// A question to a reviewer: there is no effect to perform, and the reviewer's answer is the result.
    Question,
}

/// How much is at stake, by the connector's rules. The inbox is ordered by the consequence, and policies can read it. A
/// call is not held or cleared because of its consequence unless a policy says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Consequence {
    /// Little is at stake: a question, or a message inside the organisation.
    Low,
    /// Other people see the effect, or the effect can be corrected afterwards.
    Medium,
    /// Money or production is at stake, or the stake is unknown.
    #[default]
    High,
}

impl Consequence {
    /// The name for people, programs and policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// One piece of the evidence that the host found. Its bytes are stored under their digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = Exhibit))]
pub struct ExhibitRef {
    /// The heading of the evidence, such as `diff main..3f2a1b`.
    pub title: String,
    /// Media type: `text/plain`, `text/x-diff` or `application/json`.
    pub media: String,
    /// The digest under which the bytes of the evidence are stored.
    pub digest: Digest,
    /// The number of bytes of the evidence.
    pub bytes: u64,
    /// The author of the text, such as `the repository`. Absent for the host's own text and in older journals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whose: Option<String>,
}

crate::named_enum! {
    /// Policy's answer on a consequential call, in one word.
    pub enum PolicyVerdict {
        /// No reviewer is needed.
        Clear = "clear",
        /// Reviewers must decide.
        Hold = "hold",
        /// The call is forbidden.
        Refuse = "refuse",
    }
}

/// When policy judged a call; recorded if the verdict may depend on the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct JudgedAt {
    /// The time that the policies saw, shortly before the verdict was written.
    pub at: Time,
    /// The time zone in which the policies read the time, by its name in the IANA database.
    pub zone: String,
}

/// Policy's reasons for its verdict. They are recorded once; later policies do not change them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = Policy))]
pub struct PolicyRecord {
    /// The digest of the policy set.
    pub digest: Digest,
    /// The policies that determined the verdict.
    pub determining: Vec<String>,
    /// The errors of the evaluation. A call with an error is not cleared, because the policy that failed might have
    /// refused it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// The totals that the verdict used. The verdict is written only if the totals still have these values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub totals: Vec<RecordedTotal>,
    /// The grant that clears the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub grant: Option<CallId>,
    /// The facts that the operator marked as material. They are compared again when the effect starts; if one of them
    /// has changed, the call is held again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub material: Vec<String>,
    /// Why the call is held, in the operator's words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// When policy judged the call, if its policies use the time. An explanation of the verdict uses the same time.
    /// Records of older journals have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub judged_at: Option<JudgedAt>,
}

impl PolicyRecord {
    /// A record for the policy set with this digest, without determining policies.
    pub fn new(digest: Digest) -> Self {
        let none = Vec::new;
        let (determining, errors, material, reasons) = (none(), none(), none(), none());
        Self { digest, determining, errors, totals: Vec::new(), grant: None, material, reasons, judged_at: None }
    }

    /// When policy judged the call. If the record has no time, this is `written`, the time at which the verdict was
    /// written.
    pub fn asked_at(&self, written: Time) -> Time {
        self.judged_at.as_ref().map_or(written, |judged| judged.at)
    }

    /// Removes the grant from the record, also from the determining policies.
    pub(crate) fn remove_grant(&mut self) {
        if let Some(grant) = self.grant.take() {
            let name = format!("grant {grant}");
            self.determining.retain(|one| *one != name);
        }
    }

    /// Whether this record may clear a call: a policy determined the verdict, and no policy failed.
    pub fn may_clear(&self) -> bool {
        !self.determining.is_empty() && self.errors.is_empty()
    }
}

/// A similar call: a call with the same effect or the same subject that waited when a proposal was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = Beside))]
pub struct SimilarCall {
    /// The call.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schema(schema_with = <CallId as utoipa::PartialSchema>::schema))]
    pub id: CallId,
    /// The digest of the call's effect when the call was listed. If the call is edited later, its effect has another
    /// digest: the reviewers of this proposal were not shown the edited effect.
    #[serde(rename = "deed")]
    pub effect_digest: Digest,
    /// The summary of the call.
    pub summary: String,
}

/// An action as policy and reviewers judge it, with the host's findings and the requirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Proposal {
    /// The action that would be performed.
    pub action: Action,
    /// One line that says what would happen, made by the host from the action.
    pub summary: String,
    /// The host's evidence, as it was when the proposal was written. The bytes of each exhibit are stored under its
    /// digest.
    pub exhibits: Vec<ExhibitRef>,
    /// The facts that must still hold when the effect starts, as the connector states them; `null` if there are none. A
    /// plain value must be the same. The value of `{shown, at-least}` must not fall below the bound. The value of
    /// `{shown, nothing-new-about}` may have grown, but only by the effects of the similar calls in the member
    /// `beside`.
    pub preconditions: Value,
    /// The host's facts: an object keyed by the connector's names of the facts. Policies read the facts, and reviewers
    /// see how they differ between two revisions. `null` means that there are no facts, and is not written.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub facts: Value,
    /// How much is at stake. Proposals of older journals have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    pub consequence: Option<Consequence>,
    /// The connector that would perform the action.
    pub connector: String,
    /// What the host can do about the effect if its outcome is unknown.
    pub class: EffectClass,
    /// The requirement that applies while the call is held: from the beginning, or from the time when changed facts
    /// hold it.
    pub requirement: Requirement,
    /// Policy's reasons.
    pub policy: PolicyRecord,
    /// The calls with the same effect or the same subject that waited when the proposal was written. Proposals of older
    /// journals have none.
    #[serde(rename = "beside", default, skip_serializing_if = "Vec::is_empty")]
    pub similar_calls: Vec<SimilarCall>,
}

impl Proposal {
    /// The number of bytes of the host's evidence.
    pub fn evidence_bytes(&self) -> u64 {
        self.exhibits.iter().fold(0, |sum, exhibit| sum.saturating_add(exhibit.bytes))
    }
}

/// A proposal and its place in the journal: everything that the clearance digest covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clearance<'a> {
    /// The journal that the call belongs to.
    pub journal: &'a JournalId,
    /// The run that made the call.
    pub run: &'a RunId,
    /// The call within the run.
    pub call: CallNumber,
    /// The number of the revision, from 1. Each edit and each change of facts begins another revision.
    pub revision: u32,
    /// The proposal.
    pub proposal: &'a Proposal,
}

impl Clearance<'_> {
    /// The digest that a decision names. Two clearances have different digests if they belong to different calls or
    /// revisions, or if anything that a reviewer saw differs.
    pub fn digest(&self) -> Digest {
        let Proposal {
            action,
            summary,
            exhibits,
            preconditions,
            facts,
            consequence,
            connector,
            class,
            requirement,
            policy,
            similar_calls,
        } = self.proposal;
        let mut covered = json!({
            "format": 1,
            "journal": self.journal,
            "run": self.run,
            "call": self.call,
            "revision": self.revision,
            "action": action.digest(),
            "summary": summary,
            "exhibits": exhibits,
            "preconditions": preconditions,
            "connector": connector,
            "class": class,
            "requirement": requirement,
            "policy": policy,
        });
        // An absent member is left out and not written as null. So proposals of older journals, which lack these
        // members, keep their digests.
        if let Some(covered) = covered.as_object_mut() {
            covered.extend((!facts.is_null()).then(|| ("facts".to_owned(), facts.clone())));
            covered.extend((!similar_calls.is_empty()).then(|| ("beside".to_owned(), json!(similar_calls))));
            covered.extend(consequence.map(|consequence| ("consequence".to_owned(), json!(consequence))));
        }
        let bytes = canonical(&covered);
        Digest::tagged("holdshort/clearance", bytes.as_bytes())
    }
}
