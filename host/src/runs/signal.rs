//! Hints that wake a run's task. A hint carries no facts: the task reads them from the journal.

use tokio::sync::watch;

/// The sending half, kept for a run with a task.
pub(super) struct Signal(watch::Sender<Hinted>);

/// The receiving half, held by the run's task.
pub(super) struct Listener(watch::Receiver<Hinted>);

#[derive(Clone, Copy, Default)]
struct Hinted {
    times: u64,
    over: bool,
}

pub(super) fn channel() -> (Signal, Listener) {
    let (sender, receiver) = watch::channel(Hinted::default());
    (Signal(sender), Listener(receiver))
}

impl Signal {
    /// Something that the task waits for may have happened. `over` means that the run has ended.
    pub(super) fn hint(&self, over: bool) {
        self.0.send_modify(|hinted| {
            hinted.times += 1;
            hinted.over |= over;
        });
    }
}

impl Listener {
    /// Returns at the next hint, or at once if a hint came since the last return.
    pub(super) async fn hinted(&mut self) {
        // An error is impossible: the task itself removes the sender, at its end.
        let _ = self.0.changed().await;
    }

    /// Returns once the run has ended; for a task that does other work meanwhile.
    pub(super) async fn over(&mut self) {
        if self.0.wait_for(|hinted| hinted.over).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
