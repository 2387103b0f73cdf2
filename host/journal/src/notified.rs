//! Notification cursors: the position of each target, and the calls of which the target was reminded.
//!
//! Cursors are in the journal because they must outlive the host. They are not events, because they change nothing
//! about a run: if a cursor is lost, notifications are sent again.

use std::collections::{BTreeMap, BTreeSet};

use holdshort_gate::{Call, CallId, Phase, RunId, Time};

use crate::error::ReadError;
use crate::journal::Journal;
use crate::rows::Position;

/// A note about the notifications that were sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotificationRecord {
    /// The target was notified up to this position, or the host gave up sending the messages.
    Delivered {
        /// The target.
        target: String,
        /// The last event about which the target needs no further message.
        up_to: Position,
    },
    /// The list of the configured targets. The cursors of all other targets are removed, so that a target that is
    /// configured again begins anew.
    KeepOnly {
        /// The names of the targets.
        targets: Vec<String>,
    },
    /// The target was reminded of a held call. The note is removed once the call has another revision or is no longer
    /// held.
    Reminded {
        /// The target.
        target: String,
        /// The call.
        call: CallId,
        /// The revision of which the target was reminded.
        revision: u32,
    },
}

impl Journal {
    /// The position up to which a target was notified; `None` for a new target.
    pub async fn notified_up_to(&self, target: &str) -> Result<Option<Position>, ReadError> {
        let target = target.to_owned();
        self.read(move |reader| reader.notified_up_to(&target)).await
    }

    /// Held calls of which the target should be reminded: their deadline is after the first time of `between` and not
    /// after the second, and the target was not reminded of their current revision. The earliest deadline comes first.
    pub async fn to_remind(&self, target: &str, between: (Time, Time), limit: usize) -> Result<Vec<CallId>, ReadError> {
        let target = target.to_owned();
        self.read(move |reader| reader.to_remind(&target, between, limit)).await
    }
}

/// Whether a reminder of `revision` still fits the call: the call is held and has this revision.
pub(crate) fn stands(call: &Call, revision: u32) -> bool {
    call.phase == Phase::Held && call.revision == revision
}

/// The notes of the store in memory.
#[derive(Default)]
pub(crate) struct Notifications {
    up_to: BTreeMap<String, Position>,
    reminded: BTreeSet<(String, CallId, u32)>,
}

impl Notifications {
    /// Stores a note. `call` is the call that the note is about.
    pub(crate) fn record_notification(&mut self, note: &NotificationRecord, call: Option<&Call>) {
        match note {
            NotificationRecord::Delivered { target, up_to } => drop(self.up_to.insert(target.clone(), *up_to)),
            NotificationRecord::KeepOnly { targets } => {
                self.up_to.retain(|target, _| targets.contains(target));
                self.reminded.retain(|(target, ..)| targets.contains(target));
            }
            NotificationRecord::Reminded { target, call: id, revision } => {
                if call.is_some_and(|call| stands(call, *revision)) {
                    self.reminded.insert((target.clone(), id.clone(), *revision));
                }
            }
        }
    }

    /// Removes the reminders that no longer fit a changed call.
    pub(crate) fn changed(&mut self, run: &RunId, call: &Call) {
        let same = |id: &CallId| id.run == *run && id.call == call.number;
        self.reminded.retain(|(_, id, revision)| !same(id) || stands(call, *revision));
    }

    pub(crate) fn notified_up_to(&self, target: &str) -> Option<Position> {
        self.up_to.get(target).copied()
    }

    pub(crate) fn was_reminded(&self, target: &str, id: &CallId, revision: u32) -> bool {
        self.reminded.contains(&(target.to_owned(), id.clone(), revision))
    }
}
