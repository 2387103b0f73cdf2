//! Fires deadlines and timers: approvals expire, and sleeping runs wake. One task does this for all
//! runs.
//!
//! **Invariant:** a run in memory fires its own timers, and only timers of parked runs are fired
//! here. Otherwise each timer of a run in memory would cost a replay.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use holdshort_gate::command::{Expire, FireTimer};
use holdshort_journal::{Deadline, Driver, ReadError};
use tokio::sync::broadcast::error::RecvError;

use super::Inner;

/// The longest sleep of the task, because the clock may be set meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// The pause after deadlines could not be fired: the journal fails, or another task was faster.
const LOOK_AGAIN_SOON: Duration = Duration::from_millis(250);

/// The pause if every due timer belongs to a run in memory. Such a run may be parked meanwhile, and its timer is then
/// fired here.
const LEFT_TO_OTHERS: Duration = Duration::from_millis(20);

/// The maximum number of deadlines that are fired together. They share a flush to disk.
const CHUNK: usize = 256;

/// Fires every deadline in the journal when it is due, until the journal closes.
pub(super) async fn run(host: Arc<Inner>) {
    let mut hints = host.journal.hints();
    loop {
        let pause = match fire(&host).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::error!(%error, "deadlines cannot be read; trying again");
                LOOK_AGAIN
            }
        };
        let wake_at = host.journal.now().0.saturating_add(u64::try_from(pause.as_micros()).unwrap_or(u64::MAX));
        let sleep = tokio::time::sleep(pause);
        tokio::pin!(sleep);
        loop {
            tokio::select! {
                () = &mut sleep => break,
                hint = hints.recv() => match hint {
                    // A deadline after the next look is found by that look, so its hint is ignored. Most deadlines in
                    // hints are of approvals and are distant.
                    Ok(hint) if hint.deadline.is_some_and(|at| at.0 < wake_at) => break,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }
}

/// Fires all due deadlines. Returns the pause until the next look.
async fn fire(host: &Inner) -> Result<Duration, ReadError> {
    let journal = &host.journal;
    loop {
        let due = journal.due(journal.now(), CHUNK).await?;
        // A run in memory fires its own timer and continues in place. If the timer were fired here, the run would need
        // a replay.
        let is_ours = |due: &&Deadline| match due {
            Deadline::Timer { run, .. } => !host.live().contains_key(run),
            Deadline::Call(_) => true,
        };
        let ours: Vec<&Deadline> = due.iter().filter(is_ours).collect();
        if ours.is_empty() && !due.is_empty() {
            return Ok(LEFT_TO_OTHERS);
        }
        let fired = join_all(ours.iter().map(|due| fire_one(journal, due))).await;
        if due.is_empty() {
            let next = journal.next_deadline().await?;
            let left = next.map_or(LOOK_AGAIN, |at| Duration::from_micros(at.0.saturating_sub(journal.now().0)));
            return Ok(left.clamp(Duration::from_millis(1), LOOK_AGAIN));
        }
        if !fired.contains(&true) {
            return Ok(LOOK_AGAIN_SOON);
        }
    }
}

/// Fires one deadline. Returns whether it was written. A refusal means that another task was
/// faster.
async fn fire_one(journal: &Driver, due: &Deadline) -> bool {
    let submitted = match due {
        Deadline::Call(call) => journal.submit(call, Expire).await.map(drop),
        Deadline::Timer { run, timer } => journal.submit(run, FireTimer { timer: *timer }).await.map(drop),
    };
    if let Err(error) = &submitted {
        tracing::debug!(?due, %error, "a deadline was not fired");
    }
    submitted.is_ok()
}
