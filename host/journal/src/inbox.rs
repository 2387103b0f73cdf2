//! The order of the inbox, and the people for whom a call waits. Every store uses these rules.
//!
//! **Invariant:** One number, the rank, orders the inbox: the urgency is in the high bits, the deadline in the low
//! bits. SQLite computes the rank in a column of the index by phase and rank, so a page of the inbox and its cursor are
//! a range of that index. The reviewers for whom a call waits are stored as one bit, and as a row for each reviewer who
//! is an exception to the bit.

use std::collections::BTreeSet;

use holdshort_gate::{Call, Consequence, Phase, ReviewerName, Reviewers, Time, Vote};

/// The number of bits of a rank that hold the deadline; the urgency is above them.
const DEADLINE_BITS: u32 = 61;
/// The deadline in the rank of a call without a deadline, or with a deadline later than the year 70,000.
const NO_DEADLINE: u64 = (1 << DEADLINE_BITS) - 1;

/// The urgency of a call: 0 for an effect in doubt, and 1 to 3 by consequence for any other call.
pub(crate) fn urgency(call: &Call) -> u8 {
    if matches!(call.phase, Phase::InDoubt { .. }) {
        return 0;
    }
    match call.proposal().and_then(|proposal| proposal.consequence).unwrap_or_default() {
        Consequence::High => 1,
        Consequence::Medium => 2,
        Consequence::Low => 3,
    }
}

// INVARIANT: the column `rank` of the table `calls` computes the same number.
/// The place of a call in the inbox; smaller is earlier. Calls of the same rank are in the order of their proposals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank(pub u64);

pub(crate) fn rank(call: &Call) -> Rank {
    let deadline = call.deadline().map_or(NO_DEADLINE, |Time(at)| at.min(NO_DEADLINE));
    Rank((u64::from(urgency(call)) << DEADLINE_BITS) | deadline)
}

/// The reviewers for whom a call waits: with `everybody`, all except those in `but`; else only those in `but`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct WaitingReviewers<'a> {
    pub(crate) everybody: bool,
    pub(crate) but: BTreeSet<&'a ReviewerName>,
}

impl<'a> WaitingReviewers<'a> {
    /// A call that is neither held nor in doubt waits for nobody. A held call does not wait for a reviewer who has
    /// voted; a call in doubt does, because that reviewer may still resolve the effect.
    pub(crate) fn of(call: &'a Call, started_by: &'a ReviewerName) -> Self {
        let voted = match call.phase {
            Phase::Held => &call.votes[..],
            Phase::InDoubt { .. } => &[],
            Phase::Refused(_)
            | Phase::Cleared { .. }
            | Phase::Approved { .. }
            | Phase::Started
            | Phase::Succeeded { .. }
            | Phase::Failed { .. }
            | Phase::Unresolved { .. }
            | Phase::Rejected { .. }
            | Phase::Answered { .. }
            | Phase::Expired
            | Phase::Cancelled => return Self::default(),
        };
        let Some(requirement) = call.requirement() else { return Self::default() };
        let voters = |vote: &'a Vote| [Some(&vote.reviewer), vote.stands_for.as_ref()];
        let voted: BTreeSet<&ReviewerName> = voted.iter().flat_map(voters).flatten().collect();
        let edited_by = call.edited_by.as_ref();
        // A reviewer of any stage may resolve an effect in doubt.
        let stage = |stage: usize| stage == call.stage || call.phase != Phase::Held;
        let asked = requirement.stages.iter().enumerate().filter(|(index, _)| stage(*index));
        let asked = asked.flat_map(|(_, demands)| demands).map(|demand| &demand.reviewers);
        let asked: Vec<&Reviewers> = asked.chain(requirement.escalated(call.level)).collect();
        let everybody = asked.iter().any(|reviewers| **reviewers == Reviewers::Any);
        let may = |name: &ReviewerName| {
            !voted.contains(name)
                && requirement.bars(name, started_by, edited_by).is_ok()
                && asked.iter().any(|reviewers| reviewers.includes(name))
        };
        let named = asked.iter().filter_map(|reviewers| match reviewers {
            Reviewers::Any => None,
            Reviewers::Named(names) => Some(names),
        });
        let mentioned = named.flatten().chain([started_by]).chain(edited_by).chain(voted.iter().copied());
        Self { everybody, but: mentioned.filter(|name| may(name) != everybody).collect() }
    }

    pub(crate) fn includes(&self, reviewer: &ReviewerName) -> bool {
        self.everybody != self.but.contains(reviewer)
    }
}
