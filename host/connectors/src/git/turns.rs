//! Limits the number of git processes that run at the same time, because each process may use as much memory and CPU
//! time as its limits allow. A *turn* is the permission to run one process.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The number of processes that run at the same time for one kind of work.
const AT_A_TIME: usize = 4;

/// The turns of one kind of work. Each running process needs one. Clones share the same turns.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    held: Option<Arc<OwnedSemaphorePermit>>,
}

impl Turns {
    /// Lets [`AT_A_TIME`] jobs of one kind run at a time; further jobs wait for their turn.
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(AT_A_TIME)), held: None }
    }

    /// Takes a turn, which lasts as long as the returned value and its copies. A value that already has a turn keeps it
    /// and takes no second one, because it would wait for itself.
    pub(super) async fn take(&self) -> Self {
        let held = match &self.held {
            Some(held) => Some(Arc::clone(held)),
            // The semaphore is never closed.
            None => Arc::clone(&self.all).acquire_owned().await.ok().map(Arc::new),
        };
        Self { all: Arc::clone(&self.all), held }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_few_at_a_time_have_a_turn_and_who_has_one_waits_for_none() {
        let turns = Turns::new();
        let mut held = Vec::new();
        for _ in 0..AT_A_TIME {
            held.push(turns.take().now_or_never().expect("a turn is free"));
        }
        assert!(turns.take().now_or_never().is_none(), "and no more");
        let again = held[0].take().now_or_never().expect("one's own");
        assert!(Turns::new().take().now_or_never().is_some(), "another's work is not held up");
        held.clear();
        assert_eq!(turns.all.available_permits(), AT_A_TIME - 1);
        drop(again);
        assert_eq!(turns.all.available_permits(), AT_A_TIME);
    }
}
