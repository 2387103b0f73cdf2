//! Reads the annotations of `review` policies: who must decide, how many, and until when.
//!
//! **Invariant:** demands add up. If several `review` policies match, the group of each policy must approve, and one
//! reviewer may count for several demands of a stage. The alternative, that only reviewers named by all policies count,
//! would often leave nobody.

use std::collections::BTreeSet;

use cedar_policy::Policy;
use holdshort_gate::{Demand, Escalation, Requirement, Reviewers, Time};

use super::People;
use holdshort_config::nearest;

/// The annotations of a `review` policy, with their meaning.
pub const REVIEW: [(&str, &str); 10] = [
    ("reviewers", "groups and reviewers, such as `finance, alice`; by default everybody who may decide"),
    ("quorum", "how many different reviewers of these must approve; by default 1"),
    (
        "stage",
        "the stage, from 1; a stage must be approved before the reviewers of the next stage are asked; by default 1",
    ),
    ("four_eyes", "`true`: the person who started the run and the person who edited the action cannot approve it"),
    (
        "rejections",
        "how many different reviewers must reject the call to stop it; by default 1, so each reviewer has a veto",
    ),
    ("within", "how long the call waits for decisions, such as `4h`; then the call is rejected, or escalated"),
    ("escalate", "who may also decide after that time, in order: `managers for 2h, board for 1d`"),
    ("start_within", "how long after the clearance the effect may start"),
    ("sign_in_within", "how recently an approver must have signed in, such as `15m`"),
    ("why", "for reviewers: why the call is held"),
];
/// The annotations that every policy may have.
pub const ANY: [&str; 3] = ["id", "description", "why"];
/// An annotation that names the facts to compare again before the effect starts. It is allowed on policies that clear a
/// call or name its reviewers.
pub const MATERIAL: &str = "material";

/// The demand of one `review` policy. Its durations count from the time when a call is held.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ReviewDemand {
    reviewers: Reviewers,
    quorum: u32,
    stage: usize,
    four_eyes: bool,
    rejections: Option<u32>,
    within_ms: Option<u64>,
    escalations: Vec<Escalation>,
    start_within_ms: Option<u64>,
    sign_in_within_ms: Option<u64>,
    pub(super) why: Option<String>,
}

impl ReviewDemand {
    /// Reads the annotations of a policy. An error says what to write instead.
    pub(super) fn read(policy: &Policy, people: &People) -> Result<Self, String> {
        for (name, _) in policy.annotations() {
            // `take(2)` leaves out `why`, which is in both lists.
            let known = || REVIEW.iter().map(|(known, _)| *known).chain(ANY.into_iter().take(2)).chain([MATERIAL]);
            if !known().any(|known| known == name) {
                let near = nearest(name, known()).map(|near| format!("did you mean `@{near}`? "));
                let all = known().map(|known| format!("@{known}")).collect::<Vec<_>>().join(", ");
                return Err(format!(
                    "unknown annotation `@{name}`; {}known annotations: {all}",
                    near.unwrap_or_default()
                ));
            }
        }
        let text = |name: &str| policy.annotation(name).map(str::trim);
        let span = |name: &str| text(name).map(|text| duration(name, text)).transpose();
        let count = |name: &str| text(name).map(|text| count(name, text)).transpose();
        let demands = Self {
            reviewers: text("reviewers").map_or(Ok(Reviewers::Any), |text| people.named(text))?,
            quorum: count("quorum")?.unwrap_or(1),
            stage: count("stage")?.unwrap_or(1) as usize - 1,
            four_eyes: match text("four_eyes") {
                None | Some("false") => false,
                Some("true" | "") => true,
                Some(other) => return Err(format!("`@four_eyes` is `{other}`; write `true` or `false`")),
            },
            rejections: count("rejections")?,
            within_ms: span("within")?,
            escalations: text("escalate").map(|text| escalations(text, people)).transpose()?.unwrap_or_default(),
            start_within_ms: span("start_within")?,
            sign_in_within_ms: span("sign_in_within")?,
            why: text("why").map(str::to_owned),
        };
        if !demands.escalations.is_empty() && demands.within_ms.is_none() {
            return Err("`@escalate` needs the time after which it applies: add `@within(\"4h\")`".into());
        }
        Ok(demands)
    }

    /// The requirement for a call held at `now` if only this demand applies. Where the policy says nothing, `base`
    /// applies.
    pub(super) fn requirement(&self, base: &Requirement, now: Time) -> Requirement {
        let demand = Demand { reviewers: self.reviewers.clone(), quorum: self.quorum };
        let mut stages = vec![Vec::new(); self.stage];
        stages.push(vec![demand]);
        Requirement {
            stages,
            four_eyes: self.four_eyes,
            rejections: self.rejections.unwrap_or(base.rejections),
            expires_at: self.within_ms.map(|ms| now.plus_ms(ms)),
            escalations: self.escalations.clone(),
            grantors: Reviewers::Any,
            sign_in_within_ms: self.sign_in_within_ms,
            start_within_ms: self.start_within_ms.unwrap_or(base.start_within_ms),
        }
    }
}

/// The material facts that a policy names. For every type of call in the policy's scope, the host must know each of
/// these facts.
pub(super) fn material(policy: &Policy, about: &[&BTreeSet<String>]) -> Result<Vec<String>, String> {
    let mut facts = about.first().map(|first| (*first).clone()).unwrap_or_default();
    about.iter().for_each(|known| facts.retain(|fact| known.contains(fact)));
    let named = policy.annotation(MATERIAL).into_iter().flat_map(|text| text.split(',').map(str::trim));
    let known = |name: &str| {
        let near = nearest(name, facts.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`? "));
        let all = facts.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let wrong = || {
            format!(
                "`@material` has `{name}`, but not every call of this policy has this fact; {}known facts: {all}",
                near.unwrap_or_default()
            )
        };
        if facts.contains(name) { Ok(name.to_owned()) } else { Err(wrong()) }
    };
    named.map(known).collect()
}

fn count(name: &str, text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=100).contains(number));
    number.ok_or_else(|| format!("`@{name}` is `{text}`; write a number from 1 to 100"))
}

fn duration(name: &str, text: &str) -> Result<u64, String> {
    holdshort_config::duration_ms(text).map_err(|why| format!("`@{name}`: {why}"))
}

/// Reads a text such as `managers for 2h, board for 1d`.
fn escalations(text: &str, people: &People) -> Result<Vec<Escalation>, String> {
    let one = |part: &str| {
        let (who, span) = part.split_once(" for ").ok_or_else(|| {
            format!("`@escalate` has `{}`; write a group and a time, such as `managers for 2h`", part.trim())
        })?;
        Ok(Escalation { reviewers: people.named(who)?, within_ms: duration("escalate", span.trim())? })
    };
    text.split(',').map(one).collect()
}
