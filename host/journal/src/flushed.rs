//! The proof that something is on disk.

use std::ops::Deref;

use holdshort_gate::Permit;

/// A value whose events are durable. Only this crate can make one, and only after a COMMIT that succeeded.
///
/// It can be looked at and passed on; it is neither cloned, nor built, nor read back from anywhere.
#[derive(Debug)]
#[must_use = "what was written should be acted on or answered"]
pub struct Flushed<T>(T);

impl<T> Flushed<T> {
    // INVARIANT: called only with the output of a command whose transaction has been committed.
    pub(crate) fn after_commit(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for Flushed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A permit whose start is on disk: what a connector needs to perform.
pub type Authorized = Flushed<Permit>;
