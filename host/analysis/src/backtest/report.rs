//! The report of a backtest. An agent's texts are stored as they are; the code that shows them
//! makes special characters visible.

use holdshort_gate::{AgentName, Digest, Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::review_load::GroupLoad;
use super::steps::{ProposalOutcome, RecordedProposal, ReviewerWords};
use super::{JudgedProposal, Verdict};

/// The maximum number of listed calls of each kind. All calls are counted.
pub const LISTED_MAX: usize = 50;

/// The result of a backtest.
#[derive(Clone, Debug, PartialEq)]
pub struct BacktestReport {
    /// The digest of the candidate's files.
    pub digest: Digest,
    /// Probable mistakes in the candidate's files.
    pub warnings: Vec<String>,
    /// Calls proposed earlier are not judged.
    pub since: Time,
    /// When the first and the last judged call were proposed; `None` if no call was judged.
    pub between: Option<(Time, Time)>,
    /// Calls that the candidate would have cleared although a reviewer rejected them and they were
    /// not approved later.
    pub rejected_but_cleared: CallSample,
    /// Calls that the candidate would have refused although they were approved, by reviewers or by
    /// a grant.
    pub approved_but_refused: CallSample,
    /// Verdicts on calls as first proposed.
    pub calls: OutcomeTable,
    /// Verdicts on later revisions, after an edit or a changed fact.
    pub revisions: OutcomeTable,
    /// The review load, actual and under the candidate: for everybody, then for each group.
    pub burden: Vec<GroupLoad>,
    /// The number of calls with an evaluation error.
    pub errors: u64,
    /// The texts of the first evaluation errors. Equal texts are listed once.
    pub first_errors: Vec<String>,
    /// Calls that policy refused and that the candidate cannot judge, because the facts of refused
    /// calls are not recorded.
    pub without_facts: u64,
    /// Calls that were not judged because this host does not offer their capability now.
    pub not_judged: Vec<NotJudged>,
    /// Calls that were refused without asking policy, for example because their arguments are too long.
    pub without_policy: u64,
}

/// Calls that were not judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotJudged {
    /// The capability.
    pub capability: String,
    /// The number of calls.
    pub calls: u64,
}

/// A number of calls, and the first of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallSample {
    /// The number of calls.
    pub count: u64,
    /// The first of these calls.
    pub first: Vec<BacktestedCall>,
}

/// A listed call.
#[derive(Clone, Debug, PartialEq)]
pub struct BacktestedCall {
    /// The run, a dot and the call's number.
    pub id: String,
    /// The revision.
    pub revision: u32,
    /// The summary in the host's words.
    pub summary: String,
    /// The agent.
    pub agent: AgentName,
    /// The time of the decision.
    pub at: Time,
    /// The reviewers who decided.
    pub by: Vec<String>,
    /// The last message of these reviewers.
    pub said: Option<String>,
    /// The candidate's policies that determined its verdict.
    pub determining: Vec<String>,
    /// The candidate's reason, if it would have refused the call.
    pub why: Option<String>,
}

/// What happened to calls, and the candidate's verdicts on them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutcomeTable(pub Vec<OutcomeRow>);

/// Calls with the same outcome, and the candidate's verdicts on them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = BacktestRow)]
pub struct OutcomeRow {
    /// What really happened: `cleared`, `cleared by a grant`, `approved`, `edited`, `rejected`,
    /// `answered`, `expired`, `cancelled`, `waiting` or `refused`.
    pub recorded: String,
    /// The number of these calls that the candidate would have cleared.
    pub clear: u64,
    /// The number of these calls that the candidate would have held.
    pub hold: u64,
    /// The number of these calls that the candidate would have refused.
    pub refuse: u64,
}

impl OutcomeTable {
    pub(super) fn new() -> Self {
        Self(
            ProposalOutcome::ALL
                .iter()
                .map(|outcome| OutcomeRow { recorded: outcome.name().into(), ..OutcomeRow::default() })
                .collect(),
        )
    }

    pub(super) fn count(&mut self, outcome: ProposalOutcome, verdict: &Verdict) {
        let index = ProposalOutcome::ALL.iter().position(|known| *known == outcome);
        let Some(row) = index.and_then(|index| self.0.get_mut(index)) else { return };
        match verdict {
            Verdict::Clear => row.clear += 1,
            Verdict::Hold => row.hold += 1,
            Verdict::Refuse(_) => row.refuse += 1,
        }
    }

    /// The sum of all rows.
    pub fn all(&self) -> OutcomeRow {
        let sum = |all: OutcomeRow, row: &OutcomeRow| OutcomeRow {
            clear: all.clear + row.clear,
            hold: all.hold + row.hold,
            refuse: all.refuse + row.refuse,
            recorded: "all".into(),
        };
        self.0.iter().fold(OutcomeRow::default(), sum)
    }
}

impl BacktestReport {
    pub(super) fn new(digest: Digest, since: Time) -> Self {
        Self {
            digest,
            warnings: Vec::new(),
            since,
            between: None,
            rejected_but_cleared: CallSample::default(),
            approved_but_refused: CallSample::default(),
            calls: OutcomeTable::new(),
            revisions: OutcomeTable::new(),
            burden: Vec::new(),
            errors: 0,
            first_errors: Vec::new(),
            without_facts: 0,
            not_judged: Vec::new(),
            without_policy: 0,
        }
    }

    pub(super) fn took_part(&mut self, asked: &RecordedProposal) {
        let first = self.between.map_or(asked.now, |(first, _)| first);
        self.between = Some((first, asked.now));
    }
}

impl CallSample {
    /// Counts a call, and lists it if it is among the first.
    pub(super) fn add(&mut self, found: impl FnOnce() -> BacktestedCall) {
        self.count += 1;
        if self.first.len() < LISTED_MAX {
            self.first.push(found());
        }
    }
}

impl BacktestedCall {
    pub(super) fn new(JudgedProposal { asked, judgement }: &JudgedProposal, at: Time, said: &ReviewerWords) -> Self {
        let why = match &judgement.verdict {
            Verdict::Refuse(why) => Some(why.to_string()),
            Verdict::Clear | Verdict::Hold => None,
        };
        Self {
            id: format!("{}.{}", asked.key.0, asked.key.1),
            revision: asked.life.call.revision,
            summary: asked.life.call.proposal().map(|proposal| proposal.summary.clone()).unwrap_or_default(),
            agent: asked.by.agent.clone(),
            at,
            by: said.by.clone(),
            said: said.words.clone(),
            determining: judgement.record.determining.clone(),
            why,
        }
    }
}
