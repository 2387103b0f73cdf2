//! The subject of a decision: everything it rests on, under one digest.
//!
//! **Invariant:** The clearance covers the connector's class, and not the sentence that says how a lost outcome would be settled: that sentence
//! is the present connector's, which would look it up.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::action::{Action, canonical};
use crate::approval::Requirement;
use crate::ids::{CallId, CallNumber, Digest, JournalId, RunId, Time};
use crate::totals::Counted;

/// What is known about an effect whose outcome was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffectClass {
    /// The far end recognises the key: a second attempt with the same key does nothing twice.
    Idempotent,
    /// The far end can be asked whether it happened.
    Reconcilable,
    /// Neither: only a person can settle a lost reply.
    OneShot,
    /// A question to a person: there is nothing to perform, the answer is the result.
    Question,
}

/// How much is at stake, by the connector's rules. It orders the inbox and decides nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consequence {
    /// Little: a question, a message within the house.
    Low,
    /// An effect that others see, or that can be put right.
    Medium,
    /// Money, production, or nobody knows.
    #[default]
    High,
}

impl Consequence {
    /// Its name for people, programs and policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// A piece of evidence that the host established, kept by digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExhibitRef {
    /// Its heading, such as `diff main..3f2a1b`.
    pub title: String,
    /// Media type: `text/plain`, `text/x-diff` or `application/json`.
    pub media: String,
    /// Where its bytes are kept.
    pub digest: Digest,
    /// How many there are.
    pub bytes: u64,
    /// The author of the words, such as `the repository`; absent for the host's own words and in older journals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whose: Option<String>,
}

/// The time of a verdict that may depend on the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedAt {
    /// The time that policies saw, a little before the verdict was written.
    pub at: Time,
    /// The time zone whose clock they read, by its name in the IANA database.
    pub zone: String,
}

/// Why policy said what it said; written once, never evaluated again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// The digest of the policy set.
    pub digest: Digest,
    /// The policies that determined the verdict.
    pub determining: Vec<String>,
    /// The errors of the evaluation. A policy that could not be evaluated might have said no.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// The totals that the verdict used. It is written only while their values are the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub totals: Vec<Counted>,
    /// The standing grant that clears it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<CallId>,
    /// The facts that the operator has marked as material: they are looked at again when the effect starts, and if one has changed it is held again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub material: Vec<String>,
    /// Why it is held, in the operator's words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// When it judged, if its policies speak of the time: what judges the call again begins with the same moment. Records of journals before it have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_at: Option<JudgedAt>,
}

impl PolicyRecord {
    /// A record for the policy set of this digest, without determining policies.
    pub fn new(digest: Digest) -> Self {
        let none = Vec::new;
        let (determining, errors, material, reasons) = (none(), none(), none(), none());
        Self { digest, determining, errors, totals: Vec::new(), grant: None, material, reasons, judged_at: None }
    }

    /// When policy judged: the recorded time if the time mattered, else `written`.
    pub fn asked_at(&self, written: Time) -> Time {
        self.judged_at.as_ref().map_or(written, |judged| judged.at)
    }

    /// Removes the grant from the record.
    pub(crate) fn let_go(&mut self) {
        if let Some(grant) = self.grant.take() {
            let name = format!("grant {grant}");
            self.determining.retain(|one| *one != name);
        }
    }

    /// Whether this record may clear a call: a policy determined it, and none failed.
    pub fn may_clear(&self) -> bool {
        !self.determining.is_empty() && self.errors.is_empty()
    }
}

/// A call that waited when a proposal was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// The call.
    #[serde(flatten)]
    pub id: CallId,
    /// The digest of its effect. An edit changes the effect, and the changed effect was not shown.
    pub deed: Digest,
    /// The summary of the call.
    pub summary: String,
}

/// An action as it is put to policy and people, with the host's findings and the requirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// What would be done.
    pub action: Action,
    /// One line that says what would happen, made by the host from the action.
    pub summary: String,
    /// The host's evidence, frozen.
    pub exhibits: Vec<ExhibitRef>,
    /// The facts that must still hold when the effect starts, as the connector states them; `null` if there are none. How a fact may differ stands
    /// beside its value, see [`condition`](crate::condition).
    pub preconditions: Value,
    /// The host's findings for policy and for the differences that people are shown: an object by the connector's names; `null` if there are none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub facts: Value,
    /// How much is at stake. Proposals of journals before it have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consequence: Option<Consequence>,
    /// The connector that would perform it.
    pub connector: String,
    /// What a lookup could establish if the outcome were lost.
    pub class: EffectClass,
    /// Who must decide, if it is held (now, or later because the facts changed).
    pub requirement: Requirement,
    /// Policy's reasons.
    pub policy: PolicyRecord,
    /// The calls that waited when it was written and have the same effect or the same subject. Proposals of older journals have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Beside>,
}

impl Proposal {
    /// Bytes of the host's evidence.
    pub fn evidence_bytes(&self) -> u64 {
        self.exhibits.iter().fold(0, |sum, exhibit| sum.saturating_add(exhibit.bytes))
    }
}

/// Where a proposal stands: the part of a clearance that is not in the proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clearance<'a> {
    /// The journal it belongs to.
    pub journal: &'a JournalId,
    /// The run that proposed it.
    pub run: &'a RunId,
    /// The call within the run.
    pub call: CallNumber,
    /// 1, and one more for each edit and each change of facts.
    pub revision: u32,
    /// What is proposed.
    pub proposal: &'a Proposal,
}

impl Clearance<'_> {
    /// The digest that a decision names. Two clearances that differ in anything a reviewer saw, or in place, differ here.
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
            beside,
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
        // A member that an older proposal lacks is not in its digest.
        if let Some(covered) = covered.as_object_mut() {
            covered.extend((!facts.is_null()).then(|| ("facts".to_owned(), facts.clone())));
            covered.extend((!beside.is_empty()).then(|| ("beside".to_owned(), json!(beside))));
            covered.extend(consequence.map(|consequence| ("consequence".to_owned(), json!(consequence))));
        }
        let bytes = canonical(&covered);
        Digest::tagged("holdshort/clearance", bytes.as_bytes())
    }
}
