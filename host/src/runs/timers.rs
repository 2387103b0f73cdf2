//! What happens though nobody does anything: approvals lapse, sleeping runs wake. One task for all of them.

use std::time::Duration;

use futures_util::future::join_all;
use holdshort_gate::command::{Expire, FireTimer};
use holdshort_journal::{Due, Fence, Journal, ReadError};
use tokio::sync::broadcast::error::RecvError;

/// The longest the task sleeps without looking, should the clock be set meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// The pause after deadlines that could not be fired: the journal is failing, or somebody else was quicker.
const LOOK_AGAIN_SOON: Duration = Duration::from_millis(250);

/// How many deadlines are handled at a time; they share a flush.
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
        let fired = join_all(due.iter().map(|due| fire_one(journal, due))).await;
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
