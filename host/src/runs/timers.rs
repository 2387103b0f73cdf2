//! What happens though nobody does anything: approvals lapse, sleeping runs wake. One task for all of them.

use std::time::Duration;

use holdshort_gate::command::{Expire, FireTimer};
use holdshort_journal::{Due, Fence, Journal, ReadError};
use tokio::sync::broadcast::error::RecvError;

/// The longest the task sleeps without looking, should the clock be set meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// How many deadlines are handled at a time.
const CHUNK: usize = 256;

/// Fires every deadline of the journal when it is due, for ever.
pub(super) async fn run(journal: Journal) {
    let mut hints = journal.hints();
    loop {
        let pause = match fire(&journal).await {
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
async fn fire(journal: &Journal) -> Result<Duration, ReadError> {
    loop {
        let due = journal.due(journal.now(), CHUNK).await?;
        let mut fired = 0;
        for due in &due {
            let submitted = match due {
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
            return Ok(left.clamp(Duration::from_millis(1), LOOK_AGAIN));
        }
    }
}
