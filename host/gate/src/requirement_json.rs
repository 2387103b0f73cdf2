//! The JSON form of a requirement. A requirement with a single demand keeps the form of the first journals, so that the
//! digests of old clearances stay the same.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::approval::{self, Demand, Escalation, Reviewers};
use crate::ids::Time;

/// Who must approve a held call, how many, and until when.
// The JSON form has either `reviewers` and `quorum`, as in older journals, or `stages`.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = Requirement))]
pub(crate) struct RequirementJson {
    /// The reviewers whose approval counts. Absent if the requirement has `stages`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    reviewers: Option<Reviewers>,
    /// How many different people of `reviewers` must approve. Absent if the requirement has `stages`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    quorum: Option<u32>,
    /// The stages in order. All demands of a stage must be met before the next stage begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    stages: Vec<Vec<Demand>>,
    /// Whether a person may not approve calls of runs that they started, or actions that they edited.
    four_eyes: bool,
    /// How many different reviewers must reject the call before it is rejected; omitted if one is enough.
    #[serde(default = "veto", skip_serializing_if = "is_veto")]
    rejections: u32,
    /// When the call expires or is first escalated; null if never.
    #[cfg_attr(feature = "schema", schema(required = true))]
    expires_at: Option<Time>,
    /// The escalations in order. After the last one the call expires.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    escalations: Vec<Escalation>,
    /// The reviewers who may make a grant with their approval, if the call needs no other approval; omitted if nobody
    /// may.
    #[serde(default = "nobody", skip_serializing_if = "is_nobody")]
    grantors: Reviewers,
    /// The largest time between an approver's sign-in and the approval, in milliseconds; omitted if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    sign_in_within_ms: Option<u64>,
    /// How long after the clearance the effect may still start, in milliseconds.
    start_within_ms: u64,
}

fn veto() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_veto(rejections: &u32) -> bool {
    *rejections == veto()
}

fn nobody() -> Reviewers {
    Reviewers::Named(Vec::new())
}

fn is_nobody(reviewers: &Reviewers) -> bool {
    *reviewers == nobody()
}

impl Serialize for approval::Requirement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RequirementJson::from(self.clone()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for approval::Requirement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RequirementJson::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
    }
}

impl From<approval::Requirement> for RequirementJson {
    fn from(of: approval::Requirement) -> Self {
        let approval::Requirement {
            stages,
            four_eyes,
            rejections,
            expires_at,
            escalations,
            grantors,
            sign_in_within_ms,
            start_within_ms,
        } = of;
        let (reviewers, quorum, stages) = match <[Vec<Demand>; 1]>::try_from(stages) {
            Ok([demands]) => match <[Demand; 1]>::try_from(demands) {
                Ok([Demand { reviewers, quorum }]) => (Some(reviewers), Some(quorum), Vec::new()),
                Err(demands) => (None, None, vec![demands]),
            },
            Err(stages) => (None, None, stages),
        };
        Self {
            reviewers,
            quorum,
            stages,
            four_eyes,
            rejections,
            expires_at,
            escalations,
            grantors,
            sign_in_within_ms,
            start_within_ms,
        }
    }
}

/// A requirement without a stage or a demand.
#[derive(Debug, thiserror::Error)]
#[error("a requirement needs `reviewers` and `quorum`, or `stages`, none of them empty")]
pub(crate) struct NoDemand;

impl TryFrom<RequirementJson> for approval::Requirement {
    type Error = NoDemand;

    fn try_from(written: RequirementJson) -> Result<Self, NoDemand> {
        let stages = match (written.reviewers, written.quorum) {
            (Some(reviewers), Some(quorum)) if written.stages.is_empty() => vec![vec![Demand { reviewers, quorum }]],
            (None, None) if !written.stages.is_empty() && written.stages.iter().all(|stage| !stage.is_empty()) => {
                written.stages
            }
            _ => return Err(NoDemand),
        };
        Ok(Self {
            stages,
            four_eyes: written.four_eyes,
            rejections: written.rejections,
            expires_at: written.expires_at,
            escalations: written.escalations,
            grantors: written.grantors,
            sign_in_within_ms: written.sign_in_within_ms,
            start_within_ms: written.start_within_ms,
        })
    }
}
