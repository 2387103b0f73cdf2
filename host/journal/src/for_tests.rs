//! Methods of `Journal` that exist only for tests. A test writes with them in every role, and so writes the history
//! that it needs.

use holdshort_gate::{CallNumber, Command, Digest, RunId};

use crate::error::SubmitError;
use crate::fence::{Fence, Lease};
use crate::flushed::Flushed;
use crate::journal::Journal;
use crate::notified::NotificationRecord;
use crate::role::Opened;
use crate::rows::LogLine;
use crate::submit::Submitted;

impl Journal {
    /// The handles of the roles.
    pub fn roles(&self) -> Opened {
        Opened::of(self.clone())
    }

    /// Submits a command of any role.
    pub fn submit<C: Command>(
        &self,
        run: &RunId,
        call: Option<CallNumber>,
        fence: Fence,
        command: C,
    ) -> Submitted<C::Output> {
        self.queue((run, call), fence, command, Vec::new())
    }

    /// See [`Driver::lease`](crate::Driver::lease).
    pub fn lease(&self, run: &RunId) -> Lease {
        self.roles().driver.lease(run)
    }

    /// See [`Driver::put_blob`](crate::Driver::put_blob).
    pub async fn put_blob(&self, bytes: Vec<u8>) -> Result<Flushed<Digest>, SubmitError> {
        self.roles().driver.put_blob(bytes).await
    }

    /// See [`Driver::log`](crate::Driver::log).
    pub fn log(&self, run: &RunId, line: LogLine) {
        self.roles().driver.log(run, line);
    }

    /// See [`Notifier::record_notification`](crate::Notifier::record_notification).
    pub fn record_notification(&self, note: NotificationRecord) -> Submitted<()> {
        self.roles().notifier.record_notification(note)
    }
}
