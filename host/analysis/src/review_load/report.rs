//! The report of the figures. Programs get it as JSON; the page and the terminal make texts from it.

use holdshort_gate::WaitEnd;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::tally::{OTHER, Table, Tally};
use super::times::Times;
use super::{ReviewLoad, approval_patterns};

/// What became of calls, who decided how fast, and what of it could go without people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Stats)]
pub struct LoadReport {
    /// All runs that ended.
    pub runs: RunFigures,
    /// All calls together.
    pub calls: CallFigures,
    /// By capability.
    pub by_capability: Vec<CallRow>,
    /// By agent.
    pub by_agent: Vec<CallRow>,
    /// By the policies that determined what became of a call; one that several determined counts for each.
    pub by_policy: Vec<CallRow>,
    /// By the groups that who decided is in; one who is in several counts for each.
    pub by_group: Vec<PeopleRow>,
    /// The same, and by capability.
    pub by_group_and_capability: Vec<PeopleRow>,
    /// By who decided.
    pub by_reviewer: Vec<PeopleRow>,
    /// What could go without people, or with fewer.
    pub suggestions: Vec<Suggestion>,
}

/// Runs that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunFigures {
    /// How many.
    pub ended: u64,
    /// Calls that were held in one, on average, over its whole life; null if none ended.
    #[schema(required = true)]
    pub held_per_run: Option<f64>,
    /// The most in one.
    pub held_most: u64,
    /// Those in which none was.
    pub never_held: u64,
}

/// What became of calls.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallFigures {
    /// Cleared by policy.
    pub cleared: u64,
    /// Held for people, each call once.
    pub held: u64,
    /// Refused before anybody was asked.
    pub refused: u64,
    /// Of these three, the part that was cleared; null if there was none.
    #[schema(required = true)]
    pub share_cleared: Option<f64>,
    /// The part that was held.
    #[schema(required = true)]
    pub share_held: Option<f64>,
    /// The part that was refused.
    #[schema(required = true)]
    pub share_refused: Option<f64>,
    /// Holds that ended in an approval. Each revision that people have to decide on is a hold of its own.
    pub approved: u64,
    /// In a rejection.
    pub rejected: u64,
    /// In an answer to a question.
    pub answered: u64,
    /// In an edit.
    pub edited: u64,
    /// Because nobody decided in time.
    pub expired: u64,
    /// With their run.
    pub cancelled: u64,
    /// Approved or cleared, and not started in time.
    pub not_started: u64,
    /// Back to people because facts had changed.
    pub reheld: u64,
    /// How often others were called in.
    pub escalated: u64,
    /// Of the holds that were approved, rejected or edited, the part that was approved; null if there was none.
    #[schema(required = true)]
    pub approval_rate: Option<f64>,
    /// What people decided about them.
    pub decisions: DecisionFigures,
}

/// What people decided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DecisionFigures {
    /// Approvals; the vote that comes with an edit is none.
    pub approvals: u64,
    /// Rejections, also those that did not stop the call yet.
    pub rejections: u64,
    /// Edits.
    pub edits: u64,
    /// Answers to questions.
    pub answers: u64,
    /// Approvals that came faster than what was new can be read, at 238 words of 6 bytes a minute.
    pub too_fast: u64,
    /// Decisions that ended a hold, or a stage of it: those whose times follow.
    pub timed: u64,
    /// Half of these took at most so many seconds from when somebody was first asked, give or take 5 %; null if there was none.
    #[schema(required = true)]
    pub median_s: Option<f64>,
    /// 95 of 100 took at most so many.
    #[schema(required = true)]
    pub p95_s: Option<f64>,
}

/// What became of the calls of one name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallRow {
    /// The name; `other` for all beyond the first 200.
    pub name: String,
    /// What became of them.
    pub calls: CallFigures,
}

/// What people of one name decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PeopleRow {
    /// A person, a group, or `nobody's group`.
    pub name: String,
    /// About which capability; null for all.
    #[schema(required = true)]
    pub capability: Option<String>,
    /// What they decided.
    pub decisions: DecisionFigures,
}

/// Suggestions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Suggestion {
    /// What was seen, and what to consider, in a sentence.
    pub text: String,
    /// A policy that would clear such calls, in Cedar; null if there is no text to try.
    #[schema(required = true)]
    pub policy: Option<String>,
    /// The attributes that this policy leaves open.
    pub open: Vec<String>,
    /// Decisions that were made on these calls.
    pub decisions: u64,
    /// Minutes that they took, each counted up to 15.
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
    // If policies beyond the limit were counted together as `other`, a policy without a row may have matched.
    if calls >= approval_patterns::CALLS_MIN && !review_load.policies.has(&OTHER.to_owned()) {
        let unused = review_load.directory.policies.iter().filter(|policy| !review_load.policies.has(policy));
        found.extend(unused.map(|policy| {
            told(format!("`{policy}` determined no verdict on {calls} calls: check whether this policy is needed"))
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
