//! What happens though nobody does anything: approvals lapse, sleeping runs wake. One task for all of them.

use std::sync::Arc;
use std::time::Duration;

use holdshort_gate::command::{Expire, FireTimer};
use holdshort_journal::{Due, Fence, ReadError};
use tokio::sync::broadcast::error::RecvError;

use super::Inner;

/// The longest the task sleeps without looking, should the clock be set meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// How soon to look again when a timer that is due was left to the run's own task, should that task park the run instead.
const LOOK_SOON: Duration = Duration::from_millis(50);

/// How many deadlines are handled at a time.
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
        let sleep = tokio::time::sleep(pause);
        tokio::pin!(sleep);
        loop {
            tokio::select! {
                () = &mut sleep => break,
                hint = hints.recv() => match hint {
                    Ok(hint) if hint.sets_deadline => break,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }
}

/// Fires what is due, and returns how long to wait for the next.
///
/// A run in memory waits for a short sleep itself: it fires the timer and goes on in place. Were the timer fired here, it would have to be replayed.
async fn fire(host: &Inner) -> Result<Duration, ReadError> {
    let journal = &host.journal;
    loop {
        let due = journal.due(journal.now(), CHUNK).await?;
        let (mut fired, mut soonest) = (0, Duration::from_millis(1));
        for due in &due {
            let submitted = match due {
                Due::Timer { run, .. } if host.live().contains_key(run) => {
                    soonest = LOOK_SOON;
                    continue;
                }
                Due::Call { run, call } => journal.submit(run, Some(*call), Fence::None, Expire).await.map(drop),
                Due::Timer { run, timer } => {
                    journal.submit(run, None, Fence::None, FireTimer { timer: *timer }).await.map(drop)
                }
            };
            match submitted {
                Ok(()) => fired += 1,
                Err(error) => tracing::debug!(?due, %error, "a deadline was not fired"),
            }
        }
        // Without progress the journal is failing, or others were quicker; either way there is nothing to hurry for.
        if due.len() < CHUNK || fired == 0 {
            let next = journal.next_deadline().await?;
            let left = next.map_or(LOOK_AGAIN, |at| Duration::from_micros(at.0.saturating_sub(journal.now().0)));
            return Ok(left.clamp(soonest, LOOK_AGAIN));
        }
    }
}
