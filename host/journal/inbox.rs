//! What a reviewer looks at first, and for whom a call waits: said once, for every store.

use std::collections::BTreeSet;

use holdshort_gate::{Call, Consequence, Phase, Reviewers, Time};

use crate::lists::Rank;

/// Bits of a rank that hold the deadline; urgency is above them.
const DEADLINE_BITS: u32 = 61;
/// Stands for no deadline, and for those that are later than the year 70,000.
const NO_DEADLINE: u64 = (1 << DEADLINE_BITS) - 1;

/// 0 for what is in doubt, then by consequence.
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

// INVARIANT: the column `rank` of the table `calls` says the same.
pub(crate) fn rank(call: &Call) -> Rank {
    let deadline = call.deadline().map_or(NO_DEADLINE, |Time(at)| at.min(NO_DEADLINE));
    Rank((u64::from(urgency(call)) << DEADLINE_BITS) | deadline)
}

/// How many more people must approve a held call.
pub(crate) fn still_needed(call: &Call) -> u32 {
    match (&call.phase, call.requirement()) {
        (Phase::Held, Some(requirement)) => requirement.still_needed(&call.votes),
        _ => 0,
    }
}

/// For whom a call waits: for everybody but these, or for nobody but these.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct WaitsFor<'a> {
    pub(crate) everybody: bool,
    pub(crate) but: BTreeSet<&'a str>,
}

impl<'a> WaitsFor<'a> {
    /// What is neither held nor in doubt waits for nobody. Whoever has voted need not look again, but may still settle what is in doubt.
    pub(crate) fn of(call: &'a Call, started_by: &'a str) -> Self {
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
        let voted: BTreeSet<&str> = voted.iter().map(|vote| vote.reviewer.as_str()).collect();
        let (everybody, named) = match &requirement.reviewers {
            Reviewers::Any => (true, &[][..]),
            Reviewers::Named(names) => (false, &names[..]),
        };
        let edited_by = call.edited_by.as_deref();
        let may =
            |name: &str| !voted.contains(name) && requirement.admits_approval(name, started_by, edited_by).is_ok();
        let mentioned =
            named.iter().map(String::as_str).chain([started_by]).chain(edited_by).chain(voted.iter().copied());
        Self { everybody, but: mentioned.filter(|name| may(name) != everybody).collect() }
    }

    pub(crate) fn includes(&self, reviewer: &str) -> bool {
        self.everybody != self.but.contains(reviewer)
    }
}
