//! The handles of the roles. The type of a handle says what a part of the host may write. Code in which a driver
//! decides, or a desk starts an effect, does not compile.
//!
//! **Invariant:** Only [`Opened`] has handles of roles. A clone of a handle has the same role. Every handle also reads.

use std::ops::Deref;
use std::path::Path;

use holdshort_gate::command::{About, DeskCommand, DispatcherCommand, DriverCommand};
use holdshort_gate::{Digest, RunId};

use crate::blobs::Blob;
use crate::clock::Clock;
use crate::error::{OpenError, SubmitError};
use crate::fence::{Fence, Lease};
use crate::flushed::Flushed;
use crate::journal::Journal;
use crate::notified::NotificationRecord;
use crate::rows::LogLine;
use crate::submit::{LogReservation, Submitted, Task};

/// An open journal: the handle that only reads, and a handle of each role.
pub struct Opened {
    pub journal: Journal,
    pub driver: Driver,
    pub dispatcher: Dispatcher,
    pub desk: Desk,
    pub notifier: Notifier,
}

impl Opened {
    /// Opens the journal at `path`, or creates it: the folder with mode 0700, the files with mode 0600.
    pub fn at(path: &Path, clock: Clock) -> Result<Self, OpenError> {
        Journal::open(path, clock).map(Self::of)
    }

    pub(crate) fn of(journal: Journal) -> Self {
        let [driver, dispatcher, desk, notifier] = std::array::from_fn(|_| journal.clone());
        Self {
            journal,
            driver: Driver(driver),
            dispatcher: Dispatcher(dispatcher),
            desk: Desk(desk),
            notifier: Notifier(notifier),
        }
    }
}

macro_rules! roles {
    ($($(#[$meta:meta])* pub struct $role:ident $(: $command:ident)?;)+) => {$(
        $(#[$meta])*
        #[derive(Clone)]
        pub struct $role(Journal);

        impl Deref for $role {
            type Target = Journal;

            fn deref(&self) -> &Journal {
                &self.0
            }
        }

        $(impl $role {
            /// Judges `command` on the journaled state of the run or the call that `about` names, and writes its
            /// events.
            ///
            /// This method queues the command at once, and not only when the answer is awaited. So the commands of one
            /// task are judged in the order in which the task submits them.
            pub fn submit<C: $command>(&self, about: &C::About, command: C) -> Submitted<C::Output> {
                self.0.queue((about.run(), about.call()), Fence::None, command, Vec::new())
            }
        })?
    )+};
}

roles! {
    /// The handle of the driver: it begins runs, leases them, and fires deadlines.
    pub struct Driver: DriverCommand;
    /// The handle of the dispatcher: it begins effects and records how they end.
    pub struct Dispatcher: DispatcherCommand;
    /// The handle of the desk, at which people decide.
    pub struct Desk: DeskCommand;
    /// The handle of the notifier. It writes no events, only which notifications were sent.
    pub struct Notifier;
}

impl Driver {
    /// The right to drive `run`. The right of an earlier lease of the run ends.
    pub fn lease(&self, run: &RunId) -> Lease {
        Lease::new(&self.0, run)
    }

    /// Stores bytes under their digest. They are on disk when the method returns; storing them again changes nothing.
    pub async fn put_blob(&self, bytes: Vec<u8>) -> Result<Flushed<Digest>, SubmitError> {
        // A component may have up to 128 MiB, and tasks that serve people must not wait for its digest.
        let digested = self.blocking(move || Blob::of(bytes)).await;
        let blob = digested.map_err(|stopped| SubmitError::NotWritten(stopped.to_string()))?;
        self.keep(blob).await
    }

    /// Stores bytes whose digest is already computed.
    pub async fn keep(&self, Blob { digest, bytes }: Blob) -> Result<Flushed<Digest>, SubmitError> {
        let (reply, submitted) = Submitted::new();
        self.send(Task::Blob { digest, bytes, reply });
        submitted.await
    }

    /// Queues a line of a run's log. Log lines are hints for people: if too many bytes wait for the disk, the line is
    /// dropped.
    pub fn log(&self, run: &RunId, line: LogLine) {
        if let Some(waiting) = LogReservation::take(&line, &self.0.0.logs_waiting) {
            self.send(Task::Log(run.clone(), line, waiting));
        }
    }
}

impl Notifier {
    /// Stores a note about notifications. The note is on disk when the answer comes.
    pub fn record_notification(&self, note: NotificationRecord) -> Submitted<()> {
        let (reply, submitted) = Submitted::new();
        self.send(Task::Note(note, reply));
        submitted
    }
}
