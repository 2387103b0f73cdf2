//! How a requirement is written down. A requirement with a single demand has the form of the first journals, so that
//! their digests stay the same.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::approval::{self, Demand, Escalation, Reviewers};
use crate::ids::Time;

/// A requirement as JSON in an event: either the older form or the form with stages.
#[derive(Serialize, Deserialize)]
pub(crate) struct Requirement {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reviewers: Option<Reviewers>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quorum: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    stages: Vec<Vec<Demand>>,
    four_eyes: bool,
    #[serde(default = "veto", skip_serializing_if = "is_veto")]
    rejections: u32,
    expires_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    escalations: Vec<Escalation>,
    #[serde(default = "nobody", skip_serializing_if = "is_nobody")]
    grantors: Reviewers,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sign_in_within_ms: Option<u64>,
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
        Requirement::from(self.clone()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for approval::Requirement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Requirement::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
    }
}

impl From<approval::Requirement> for Requirement {
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
#[error("a requirement names `reviewers` and `quorum`, or `stages` that each ask for something")]
pub(crate) struct AsksForNothing;

impl TryFrom<Requirement> for approval::Requirement {
    type Error = AsksForNothing;

    fn try_from(written: Requirement) -> Result<Self, AsksForNothing> {
        let stages = match (written.reviewers, written.quorum) {
            (Some(reviewers), Some(quorum)) if written.stages.is_empty() => vec![vec![Demand { reviewers, quorum }]],
            (None, None) if !written.stages.is_empty() && written.stages.iter().all(|stage| !stage.is_empty()) => {
                written.stages
            }
            _ => return Err(AsksForNothing),
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
