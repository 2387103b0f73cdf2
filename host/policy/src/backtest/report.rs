//! What came out of a trial. Whatever an agent wrote stands in it as it is; who shows it makes it visible.

use holdshort_gate::{Digest, Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::burden::GroupBurden;
use super::steps::{Asked, Outcome, Said};
use super::{Judged, Verdict};

/// How many calls of a kind are listed; all of them are counted.
pub const LISTED_MAX: usize = 50;

/// What came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The digest of the candidate's files.
    pub digest: Digest,
    /// What is likely to be a mistake in them.
    pub warnings: Vec<String>,
    /// Calls that were proposed before are not judged.
    pub since: Time,
    /// When the first and the last of the judged calls were proposed; nothing if there is none.
    pub between: Option<(Time, Time)>,
    /// Calls that a person rejected, that were not approved in the end, and that the candidate would have cleared.
    pub rejected_but_cleared: Listed,
    /// Calls that people approved, themselves or by a standing grant, and the candidate would have refused.
    pub approved_but_refused: Listed,
    /// Calls as they were first proposed.
    pub calls: Table,
    /// Revisions: after an edit, or because facts had changed.
    pub revisions: Table,
    /// What people had to do, and would have had to: everybody, then each group.
    pub burden: Vec<GroupBurden>,
    /// Of how many the candidate could not say what it should.
    pub errors: u64,
    /// The first different ones of these.
    pub first_errors: Vec<String>,
    /// Calls that policy refused, which cannot be judged without their facts: these are not recorded.
    pub without_facts: u64,
    /// Calls of capabilities that this host does not offer now, which are not judged.
    pub not_judged: Vec<NotJudged>,
    /// Calls that were refused before policy was asked, such as arguments that are too long.
    pub without_policy: u64,
}

/// Calls that were not judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NotJudged {
    /// Of which capability.
    pub capability: String,
    /// How many.
    pub calls: u64,
}

/// The first of some calls, and how many there are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listed {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Vec<Found>,
}

/// One of the calls that are worth a look.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The run, a dot and the call's number.
    pub id: String,
    /// Which revision of it.
    pub revision: u32,
    /// What would have happened, in the host's words.
    pub summary: String,
    /// Of which agent.
    pub agent: String,
    /// When people had decided.
    pub at: Time,
    /// Who decided so.
    pub by: Vec<String>,
    /// In their words.
    pub said: Option<String>,
    /// The candidate's policies that determined its verdict.
    pub determining: Vec<String>,
    /// Why the candidate would have refused it.
    pub why: Option<String>,
}

/// What became of calls, and how many of these the candidate would have cleared, held and refused.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table(pub Vec<Row>);

/// What became of some calls, and what the candidate would have answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BacktestRow)]
pub struct Row {
    /// What really became of them: `cleared`, `cleared by a grant`, `approved`, `edited`, `rejected`, `answered`, `expired`, `cancelled`, `waiting` or `refused`.
    pub recorded: String,
    /// How many the candidate would have cleared.
    pub clear: u64,
    /// How many it would have put before people.
    pub hold: u64,
    /// How many it would have refused.
    pub refuse: u64,
}

impl Table {
    pub(super) fn new() -> Self {
        Self(Outcome::ALL.iter().map(|(_, name)| Row { recorded: (*name).into(), ..Row::default() }).collect())
    }

    pub(super) fn count(&mut self, outcome: Outcome, verdict: &Verdict) {
        let index = Outcome::ALL.iter().position(|(known, _)| *known == outcome);
        let Some(row) = index.and_then(|index| self.0.get_mut(index)) else { return };
        match verdict {
            Verdict::Clear => row.clear += 1,
            Verdict::Hold => row.hold += 1,
            Verdict::Refuse(_) => row.refuse += 1,
        }
    }

    /// All rows together.
    pub fn all(&self) -> Row {
        let sum = |all: Row, row: &Row| Row {
            clear: all.clear + row.clear,
            hold: all.hold + row.hold,
            refuse: all.refuse + row.refuse,
            recorded: "all".into(),
        };
        self.0.iter().fold(Row::default(), sum)
    }
}

impl Report {
    pub(super) fn new(digest: Digest, since: Time) -> Self {
        Self {
            digest,
            warnings: Vec::new(),
            since,
            between: None,
            rejected_but_cleared: Listed::default(),
            approved_but_refused: Listed::default(),
            calls: Table::new(),
            revisions: Table::new(),
            burden: Vec::new(),
            errors: 0,
            first_errors: Vec::new(),
            without_facts: 0,
            not_judged: Vec::new(),
            without_policy: 0,
        }
    }

    pub(super) fn took_part(&mut self, asked: &Asked) {
        let first = self.between.map_or(asked.now, |(first, _)| first);
        self.between = Some((first, asked.now));
    }
}

impl Listed {
    /// Counts one more, and lists it if it is among the first.
    pub(super) fn add(&mut self, found: impl FnOnce() -> Found) {
        self.count += 1;
        if self.first.len() < LISTED_MAX {
            self.first.push(found());
        }
    }
}

impl Found {
    pub(super) fn new(Judged { asked, judgement }: &Judged, at: Time, said: &Said) -> Self {
        let why = match &judgement.verdict {
            Verdict::Refuse(why) => Some(why.to_string()),
            Verdict::Clear | Verdict::Hold => None,
        };
        Self {
            id: format!("{}.{}", asked.key.0, asked.key.1),
            revision: asked.revision,
            summary: asked.summary.clone(),
            agent: asked.agent.clone(),
            at,
            by: said.by.clone(),
            said: said.words.clone(),
            determining: judgement.record.determining.clone(),
            why,
        }
    }
}
