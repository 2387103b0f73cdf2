//! What is remembered of telling people: how far each target has got, and of which calls it was reminded.
//!
//! It is kept in the journal because it has to outlast the host, and is no event because it changes nothing about a run: losing it means telling again.

use std::collections::{BTreeMap, BTreeSet};

use holdshort_gate::{Call, CallNumber, Phase, RunId};

use crate::rows::Position;

/// Something to remember.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The target has everything up to here, or it was given up.
    Told {
        /// The target.
        target: String,
        /// The last event that it needs not be told any more.
        up_to: Position,
    },
    /// There are these targets and no others: what was remembered of others is forgotten, so that one that comes back begins anew.
    Only {
        /// All of them.
        targets: Vec<String>,
    },
    /// The target was reminded of a held call. Forgotten once the call has another revision, or is held no more.
    Reminded {
        /// The target.
        target: String,
        /// The call's run.
        run: RunId,
        /// The call.
        call: CallNumber,
        /// The revision that it was reminded of.
        revision: u32,
    },
}

/// Whether a reminder of `revision` still says something about the call.
pub(crate) fn stands(call: &Call, revision: u32) -> bool {
    call.phase == Phase::Held && call.revision == revision
}

/// The notes of the store that forgets.
#[derive(Default)]
pub(crate) struct Kept {
    told: BTreeMap<String, Position>,
    reminded: BTreeSet<(String, RunId, CallNumber, u32)>,
}

impl Kept {
    /// Keeps a note; `call` is the call that it is about.
    pub(crate) fn note(&mut self, note: &Note, call: Option<&Call>) {
        match note {
            Note::Told { target, up_to } => drop(self.told.insert(target.clone(), *up_to)),
            Note::Only { targets } => {
                self.told.retain(|target, _| targets.contains(target));
                self.reminded.retain(|(target, ..)| targets.contains(target));
            }
            Note::Reminded { target, run, call: number, revision } => {
                if call.is_some_and(|call| stands(call, *revision)) {
                    self.reminded.insert((target.clone(), run.clone(), *number, *revision));
                }
            }
        }
    }

    /// Forgets what no longer says anything about a call that has changed.
    pub(crate) fn changed(&mut self, run: &RunId, call: &Call) {
        self.reminded
            .retain(|(_, of, number, revision)| of != run || *number != call.number || stands(call, *revision));
    }

    pub(crate) fn told(&self, target: &str) -> Option<Position> {
        self.told.get(target).copied()
    }

    pub(crate) fn was_reminded(&self, target: &str, run: &RunId, call: &Call) -> bool {
        self.reminded.contains(&(target.to_owned(), run.clone(), call.number, call.revision))
    }
}
