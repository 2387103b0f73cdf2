//! Holdshort's journal: it judges gate commands on the journaled state, and returns proof that their events are on
//! disk.
//!
//! One writer thread takes commands in the order in which they were submitted, judges a batch of them (each command
//! sees what the commands before it staged), writes the batch in one transaction, and answers after COMMIT. Everything
//! that people and the host read is a projection of the events, written in the same transaction. Two stores implement
//! the one port: SQLite, and memory for tests.
//!
//! Read in this order: [`Journal`] (the port, to read), `role` (who writes what), [`Flushed`] (the proof), `writer` and
//! `staged` (a batch), `clock` (the journal's time), `store` (what a store must do), `sqlite`, `memory`, `simulated`.

mod blobs;
mod broadcast;
mod clock;
mod error;
mod fence;
mod flushed;
#[cfg(feature = "simulated")]
mod for_tests;
mod history;
mod inbox;
mod journal;
pub mod kill;
mod lists;
mod memory;
mod notified;
mod recorded;
mod role;
mod rows;
mod secret;
#[cfg(feature = "simulated")]
mod simulated;
mod sqlite;
mod staged;
mod store;
mod submit;
mod writer;

pub use blobs::Blob;
pub use clock::Clock;
pub use error::{OpenError, ReadError, SubmitError};
#[cfg(feature = "simulated")]
pub use fence::Fence;
pub use fence::Lease;
pub use flushed::{Authorized, Flushed};
pub use history::DecisionKind;
pub use inbox::Rank;
pub use journal::Journal;
pub use lists::{CallFilter, CallOrder, CallRow, DecisionFilter, DecisionRow, GrantFilter, GrantRow};
pub use notified::NotificationRecord;
pub use recorded::Recorded;
pub use role::{Desk, Dispatcher, Driver, Notifier, Opened};
pub use rows::{CallHint, Deadline, Events, Health, Hint, JournalEntry, LogLine, Position, RunFilter, RunRow};
#[cfg(feature = "simulated")]
pub use simulated::{Disk, Fault, ManualWriter};
pub use submit::Submitted;
