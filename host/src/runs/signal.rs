//! Hints for a waiting task. They carry no facts: the journal has them.

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
    /// Returns at the next hint, or at once if there was one since the last.
    pub(super) async fn hinted(&mut self) {
        // The sender outlives the task, which removes it.
        let _ = self.0.changed().await;
    }

    /// Returns once the run has ended, for a task that is busy otherwise.
    pub(super) async fn over(&mut self) {
        if self.0.wait_for(|hinted| hinted.over).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
