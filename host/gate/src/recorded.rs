//! An event as the journal keeps it.

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::ids::{Seq, Time};

/// An event with its place in the run's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedEvent {
    /// The event's number within its run. The first event has number 1.
    pub seq: Seq,
    /// When it was written.
    pub at: Time,
    /// The event itself.
    #[serde(flatten)]
    pub event: Event,
}
