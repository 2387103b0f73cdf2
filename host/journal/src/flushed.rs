//! The proof that a value's events are on disk.

use std::ops::Deref;

use holdshort_gate::Permit;

/// A value whose events are durable. Only this crate can make such a value, and only after a COMMIT that succeeded.
///
/// Other code can read the value and pass it on, but can neither clone nor build it, nor read it back from storage.
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

/// A permit whose start is on disk. A connector needs it to perform the effect.
pub type Authorized = Flushed<Permit>;
