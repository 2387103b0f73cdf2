//! The report of the figures. Programs get it as JSON; the page and the terminal make texts from it.

use holdshort_gate::WaitEnd;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::tally::{OTHER, Table, Tally};
use super::times::Times;
use super::{ReviewLoad, approval_patterns};

/// The review load: the calls, the decisions and their times, and suggestions for fewer decisions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Stats)]
pub struct LoadReport {
    /// The runs that ended.
    pub runs: RunFigures,
    /// The figures of all calls.
    pub calls: CallFigures,
    /// The figures of the calls of each capability.
    pub by_capability: Vec<CallRow>,
    /// The figures of the calls of each agent.
    pub by_agent: Vec<CallRow>,
    /// The figures of the calls of each determining policy. A call with several determining policies counts for each of them.
    pub by_policy: Vec<CallRow>,
    /// The decisions of each group. A decision of a reviewer in several groups counts for each of them.
    pub by_group: Vec<PeopleRow>,
    /// The decisions of each group on each capability.
    pub by_group_and_capability: Vec<PeopleRow>,
    /// The decisions of each reviewer.
    pub by_reviewer: Vec<PeopleRow>,
    /// Suggested changes of policy after which reviewers decide on fewer calls, or fewer reviewers decide on a call.
    pub suggestions: Vec<Suggestion>,
}

/// The figures of the runs that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunFigures {
    /// The number of runs that ended.
    pub ended: u64,
    /// The average number of held calls of a run, over its whole life; null if no run ended.
    #[schema(required = true)]
    pub held_per_run: Option<f64>,
    /// The largest number of held calls of a run.
    pub held_most: u64,
    /// The number of runs without a held call.
    pub never_held: u64,
}

/// The figures of calls: verdicts, ends of holds, and decisions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallFigures {
    /// Calls that policy or a grant cleared.
    pub cleared: u64,
    /// Calls that were held for reviewers. Each call counts once.
    pub held: u64,
    /// Calls that were refused without asking a reviewer.
    pub refused: u64,
    /// The share of cleared calls among the cleared, held and refused calls; null if there were no calls.
    #[schema(required = true)]
    pub share_cleared: Option<f64>,
    /// The share of held calls among the cleared, held and refused calls; null if there were no calls.
    #[schema(required = true)]
    pub share_held: Option<f64>,
    /// The share of refused calls among the cleared, held and refused calls; null if there were no calls.
    #[schema(required = true)]
    pub share_refused: Option<f64>,
    /// Holds that ended with an approval. Each revision that reviewers have to decide on is one hold.
    pub approved: u64,
    /// Holds that ended with a rejection.
    pub rejected: u64,
    /// Holds that ended with an answer to a question.
    pub answered: u64,
    /// Holds that ended with an edit.
    pub edited: u64,
    /// Holds that ended at the deadline.
    pub expired: u64,
    /// Holds that ended because the run was cancelled.
    pub cancelled: u64,
    /// Approved or cleared calls whose effect was not started in time.
    pub not_started: u64,
    /// Calls that were held again because facts had changed.
    pub reheld: u64,
    /// The number of escalations.
    pub escalated: u64,
    /// The share of approvals among the holds that ended with an approval, a rejection or an edit; null if there were none.
    #[schema(required = true)]
    pub approval_rate: Option<f64>,
    /// The decisions on the calls.
    pub decisions: DecisionFigures,
}

/// The figures of decisions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DecisionFigures {
    /// The number of approvals. The approving vote of an edit is not counted.
    pub approvals: u64,
    /// The number of rejections, including those that did not stop the call yet.
    pub rejections: u64,
    /// The number of edits.
    pub edits: u64,
    /// The number of answers to questions.
    pub answers: u64,
    /// Approvals that came before the reviewer could have read the new part, at 238 words of 6 bytes a minute.
    pub too_fast: u64,
    /// Decisions that ended a hold or a stage. Their times are in `median_s` and `p95_s`.
    pub timed: u64,
    /// The median of the seconds from the first request to a reviewer until the decision, within 5 %; null if there
    /// were no such decisions.
    #[schema(required = true)]
    pub median_s: Option<f64>,
    /// The 95th percentile of the same times.
    #[schema(required = true)]
    pub p95_s: Option<f64>,
}

/// The figures of the calls of one capability, agent or policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallRow {
    /// The name; `other` for all names after the first 200.
    pub name: String,
    /// The figures of these calls.
    pub calls: CallFigures,
}

/// The decisions of one reviewer or one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PeopleRow {
    /// The name of a reviewer or of a group, or `nobody's group` for reviewers without a group.
    pub name: String,
    /// The capability of the calls; null for all capabilities.
    #[schema(required = true)]
    pub capability: Option<String>,
    /// The figures of the decisions.
    pub decisions: DecisionFigures,
}

/// A change of policy that would lower the review load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Suggestion {
    /// What the host observed and what the operator could change, as a sentence.
    pub text: String,
    /// A Cedar policy that would clear such calls; null if the suggestion has no policy.
    #[schema(required = true)]
    pub policy: Option<String>,
    /// The attributes of the calls that this policy does not compare.
    pub open: Vec<String>,
    /// The number of decisions that reviewers made on these calls.
    pub decisions: u64,
    /// The minutes that these decisions took, with at most 15 minutes for each.
    pub minutes: f64,
}

impl LoadReport {
    pub(super) fn new(review_load: &ReviewLoad) -> Self {
        let people = |name: &str, capability: Option<&str>, tally: &Tally| PeopleRow {
            name: name.into(),
            capability: capability.map(str::to_owned),
            decisions: DecisionFigures::new(tally),
        };
        let mut groups = BTreeMap::<&str, Tally>::new();
        for ((group, _), tally) in review_load.groups.iter() {
            groups.entry(group).or_default().merge_decisions(tally);
        }
        let ended = review_load.ended;
        Self {
            runs: RunFigures {
                ended: ended.runs,
                held_per_run: part(ended.held, ended.runs),
                held_most: ended.most,
                never_held: ended.unheld,
            },
            calls: CallFigures::new(&review_load.all),
            by_capability: rows(&review_load.capabilities),
            by_agent: rows(&review_load.agents),
            by_policy: rows(&review_load.policies),
            by_group: groups.iter().map(|(name, tally)| people(name, None, tally)).collect(),
            by_group_and_capability: review_load
                .groups
                .iter()
                .map(|((name, of), tally)| people(name, Some(of), tally))
                .collect(),
            by_reviewer: review_load.reviewers.iter().map(|(name, tally)| people(name, None, tally)).collect(),
            suggestions: suggestions(review_load),
        }
    }
}

/// The rows of a table in the order of their names.
fn rows(table: &Table<String>) -> Vec<CallRow> {
    table.iter().map(|(name, tally)| CallRow { name: name.clone(), calls: CallFigures::new(tally) }).collect()
}

impl CallFigures {
    fn new(tally: &Tally) -> Self {
        let Tally { cleared, held, refused, reheld, escalated, .. } = *tally;
        let (all, end) = (cleared + held + refused, |end| tally.ends(end));
        Self {
            cleared,
            held,
            refused,
            share_cleared: part(cleared, all),
            share_held: part(held, all),
            share_refused: part(refused, all),
            approved: end(WaitEnd::Approved),
            rejected: end(WaitEnd::Rejected),
            answered: end(WaitEnd::Answered),
            edited: end(WaitEnd::Edited),
            expired: end(WaitEnd::Expired),
            cancelled: end(WaitEnd::Cancelled),
            not_started: end(WaitEnd::NotStarted),
            reheld,
            escalated,
            approval_rate: part(
                end(WaitEnd::Approved),
                end(WaitEnd::Approved) + end(WaitEnd::Rejected) + end(WaitEnd::Edited),
            ),
            decisions: DecisionFigures::new(tally),
        }
    }
}

impl DecisionFigures {
    fn new(tally: &Tally) -> Self {
        let Tally { approvals, rejections, edits, answers, hasty, times, .. } = tally;
        let second = |per_cent| times.quantile_s(per_cent).map(|s| rounded(s, 1_000.0));
        Self {
            approvals: *approvals,
            rejections: *rejections,
            edits: *edits,
            answers: *answers,
            too_fast: *hasty,
            timed: Times::count(times),
            median_s: second(50),
            p95_s: second(95),
        }
    }

    /// The number of decisions.
    pub fn made(&self) -> u64 {
        self.approvals + self.rejections + self.edits + self.answers
    }
}

/// A share, rounded to four digits.
#[allow(clippy::cast_precision_loss, reason = "a share for people")]
fn part(some: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| rounded(some as f64 / of as f64, 10_000.0))
}

/// Rounds a number to a multiple of 1 / `to`.
fn rounded(number: f64, to: f64) -> f64 {
    (number * to).round() / to
}

/// Makes the suggestions: policies that clear calls that are always approved, those with the most decisions first;
/// smaller quorums where reviewers always agreed; and policies that determined no verdict.
fn suggestions(review_load: &ReviewLoad) -> Vec<Suggestion> {
    let mut found: Vec<Suggestion> = Vec::new();
    let mut approval_patterns: Vec<_> = review_load.approval_patterns.always_approved().collect();
    approval_patterns.sort_by_key(|(key, pattern)| (std::cmp::Reverse((pattern.prompts, pattern.work_us)), *key));
    let mut taken = Vec::new();
    for (key, pattern) in approval_patterns {
        let by = if key.policies.is_empty() { "no policy".to_owned() } else { named(&key.policies) };
        let Some((id, suggested)) = review_load.approval_patterns.suggested(key, &review_load.directory, &taken) else {
            continue;
        };
        let minutes = minutes(pattern.work_us);
        let hasty = match pattern.hasty {
            0 => String::new(),
            hasty => format!(" ({hasty} of them faster than the texts can be read, so these approvals mean little)"),
        };
        let text = format!(
            "{by} held {} calls of `{}` to `{}`, and reviewers approved all of them unchanged, in {} decisions{hasty} and {minutes} minutes: consider a policy that clears such calls",
            pattern.approved, key.agent, key.capability, pattern.prompts
        );
        taken.push(id);
        let policy = Some(format!(
            "// {} such calls were approved, and no such call was rejected, edited or left undecided.\n{}",
            pattern.approved, suggested.text
        ));
        found.push(Suggestion { text, policy, open: suggested.open, decisions: pattern.prompts, minutes });
    }
    let told = |text| Suggestion { text, policy: None, open: Vec::new(), decisions: 0, minutes: 0.0 };
    for (policy, Tally { several, split, .. }) in review_load.policies.iter() {
        if *several >= approval_patterns::CALLS_MIN && *split == 0 {
            let text = format!(
                "`{policy}` held {several} calls that several reviewers had to approve, and the reviewers always agreed: consider asking only one reviewer"
            );
            found.push(told(text));
        }
    }
    let Tally { cleared, held, refused, .. } = review_load.all;
    let calls = cleared + held + refused;
    // If policies beyond the limit were counted in the row `other`, a policy without a row may have matched.
    if calls >= approval_patterns::CALLS_MIN && !review_load.policies.has(&OTHER.to_owned()) {
        let unused = review_load.directory.policies.iter().filter(|policy| !review_load.policies.has(policy));
        found.extend(unused.map(|policy| {
            told(format!(
                "`{policy}` determined the verdict on none of {calls} calls: check whether this policy is needed"
            ))
        }));
    }
    found
}

/// The ids of policies as one text.
fn named(policies: &[String]) -> String {
    policies.iter().map(|policy| format!("`{policy}`")).collect::<Vec<_>>().join(" and ")
}

/// Converts microseconds to minutes.
#[allow(clippy::cast_precision_loss, reason = "minutes for people")]
fn minutes(us: u64) -> f64 {
    rounded(us as f64 / 60e6, 10.0)
}
