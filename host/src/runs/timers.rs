//! What happens though nobody does anything: approvals lapse, sleeping runs wake. One task for all of them.
//!
//! **Invariant:** A run in memory fires its own timers. Only the timers of parked runs are fired here: fired for a run in memory, each timer
//! would cost a replay.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use holdshort_gate::command::{Expire, FireTimer};
use holdshort_journal::{Due, Fence, Journal, ReadError};
use tokio::sync::broadcast::error::RecvError;

use super::Inner;

/// The longest the task sleeps without looking, should the clock be set meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// The pause after deadlines that could not be fired: the journal is failing, or somebody else was quicker.
const LOOK_AGAIN_SOON: Duration = Duration::from_millis(250);

/// The pause when all that is due was left to the runs' own tasks, should one of them park its run instead.
const LEFT_TO_OTHERS: Duration = Duration::from_millis(20);

/// How many deadlines are handled at a time; they share a flush.
const CHUNK: usize = 256;

/// Fires every deadline of the journal when it is due, for ever.
pub(super) async fn run(host: Arc<Inner>) {
    let mut hints = host.journal.hints();
    loop {
        let pause = match fire(&host).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::error!(%error, "deadlines cannot be read; looking again");
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
                    // A deadline that is later than the next look is found by that look: every approval has one, mostly a distant one.
                    Ok(hint) if hint.deadline.is_some_and(|at| at.0 < wake_at) => break,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }
}

/// Fires what is due, and returns how long to wait for the next.
async fn fire(host: &Inner) -> Result<Duration, ReadError> {
    let journal = &host.journal;
    loop {
        let due = journal.due(journal.now(), CHUNK).await?;
        // A run in memory fires its timer itself and goes on in place; were it fired here, the run would have to be replayed.
        let is_ours = |due: &&Due| match due {
            Due::Timer { run, .. } => !host.live().contains_key(run),
            Due::Call { .. } => true,
        };
        let ours: Vec<&Due> = due.iter().filter(is_ours).collect();
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

/// Fires one deadline; whether it was written. A refusal means that somebody was quicker, which is as good.
async fn fire_one(journal: &Journal, due: &Due) -> bool {
    let submitted = match due {
        Due::Call { run, call } => journal.submit(run, Some(*call), Fence::None, Expire).await.map(drop),
        Due::Timer { run, timer } => {
            journal.submit(run, None, Fence::None, FireTimer { timer: *timer }).await.map(drop)
        }
    };
    if let Err(error) = &submitted {
        tracing::debug!(?due, %error, "a deadline was not fired");
    }
    submitted.is_ok()
}
