//! Runs slow work for an agent or a reviewer, such as hashing, comparing or drawing a long diff. How much work it is
//! depends on what the agent or the reviewer sends.
//!
//! On a runtime thread such work would block other requests. The runtime's own pool for blocking work is no better
//! place: it has hundreds of threads at full priority. So the work waits in a queue, and a few threads of low priority
//! do it. There are three queues: reviewers' work does not wait for agents' work, and reading workspace files, which
//! can take seconds, does not delay proposals.
//!
//! **Invariant:** the work starts no thread and no process, because they would inherit the low priority.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tokio::sync::oneshot;

/// The number of threads for agents' proposals, and also the number for reviewers.
const THREADS: usize = 2;
/// The niceness of the threads that work for agents. The threads that run agents have the same niceness.
const NICE_AGENTS: i32 = 19;
/// The niceness of the threads that work for reviewers. Their priority is lower than that of the host's other threads,
/// and higher than that of agents' threads.
const NICE_PEOPLE: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

static AGENTS: LazyLock<Sender<Job>> = LazyLock::new(|| queue("aside-agents", THREADS, NICE_AGENTS));
static FILES: LazyLock<Sender<Job>> = LazyLock::new(|| queue("aside-files", 1, NICE_AGENTS));
static PEOPLE: LazyLock<Sender<Job>> = LazyLock::new(|| queue("aside-people", THREADS, NICE_PEOPLE));

/// The work panicked, or no thread could be started for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host failed at this task: see the host's log")]
pub struct Failed;

/// Runs work that an agent requested.
pub async fn for_agents<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failed> {
    done(&AGENTS, work).await
}

/// Reads workspace files for an agent, one request after the other.
pub async fn for_files<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failed> {
    done(&FILES, work).await
}

/// Runs work that a reviewer requested.
pub async fn for_people<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failed> {
    done(&PEOPLE, work).await
}

/// Queues work and waits for its result. If the caller stops waiting before the work begins, the work is skipped.
async fn done<T: Send + 'static>(queue: &Sender<Job>, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failed> {
    let (reply, done) = oneshot::channel();
    let job = move || {
        if !reply.is_closed() {
            drop(reply.send(work()));
        }
    };
    queue.send(Box::new(job)).map_err(|_| Failed)?;
    done.await.map_err(|_| Failed)
}

fn queue(name: &str, threads: usize, nice: i32) -> Sender<Job> {
    let (jobs, waiting) = channel();
    let waiting = Arc::new(Mutex::new(waiting));
    let nice = rustix::process::getpriority_process(None).unwrap_or(0).saturating_add(nice).min(19);
    for _ in 0..threads {
        let waiting = waiting.clone();
        let started = std::thread::Builder::new().name(name.into()).spawn(move || work(&waiting, nice));
        if let Err(error) = started {
            tracing::error!(%error, "cannot start a thread for long work");
        }
    }
    jobs
}

fn work(waiting: &Mutex<Receiver<Job>>, nice: i32) {
    // This affects the current thread only: on Linux each thread has its own priority.
    if let Err(error) = rustix::process::setpriority_process(None, nice) {
        tracing::warn!(%error, "the priority of long work cannot be lowered, so it runs with the priority of the host");
    }
    while let Some(job) = next(waiting) {
        // The panic's message is already on stderr. The caller gets an error, because there is no result.
        drop::<Result<(), Box<dyn Any + Send>>>(catch_unwind(AssertUnwindSafe(job)));
    }
}

/// Takes the next job. One thread at a time waits at the queue, and the others wait for that thread.
fn next(waiting: &Mutex<Receiver<Job>>) -> Option<Job> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    /// The priority of the current thread.
    fn nice() -> i32 {
        rustix::process::getpriority_process(None).unwrap()
    }

    #[tokio::test]
    async fn work_is_done_elsewhere_and_later_than_what_serves_people() {
        let here = (std::thread::current().id(), nice());
        let there = || (std::thread::current().id(), nice());
        let (agents, people) = (for_agents(there).await.unwrap(), for_people(there).await.unwrap());
        let (files, again) = (for_files(there).await.unwrap(), for_files(there).await.unwrap());
        assert!(agents.0 != here.0 && people.0 != here.0 && files.0 != here.0);
        assert_eq!([agents.1, files.1], [(here.1 + NICE_AGENTS).min(19); 2]);
        assert_eq!(files, again, "one thread for all");
        assert_eq!(people.1, (here.1 + NICE_PEOPLE).min(19));
        assert_eq!(nice(), here.1, "and the runtime's threads keep theirs");
    }

    #[tokio::test]
    async fn agents_keep_no_person_waiting_and_a_panic_keeps_nobody() {
        let (free, held) = channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let hold = || {
            let held = held.clone();
            tokio::spawn(for_agents(move || assert!(held.lock().unwrap().recv().is_err())))
        };
        let all: Vec<_> = (0..3 * THREADS).map(|_| hold()).collect();
        tokio::time::sleep(Duration::from_millis(10)).await;
        for _ in 0..3 * THREADS {
            assert_eq!(for_people(|| panic!("as it is meant to")).await, Err::<(), _>(Failed));
        }
        assert_eq!(for_people(|| 1).await, Ok(1));
        drop(free);
        for one in all {
            assert_eq!(one.await.unwrap(), Ok(()));
        }
        assert_eq!(for_agents(|| 2).await, Ok(2));
    }

    /// While one request for files is answered, the other requests wait. A request that nobody waits for any more is
    /// skipped.
    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_begun() {
        let (free, held) = channel::<()>();
        let first = tokio::spawn(for_files(move || held.recv().is_err()));
        let begun = Arc::new(AtomicUsize::new(0));
        let count = || {
            let begun = begun.clone();
            tokio::spawn(for_files(move || begun.fetch_add(1, Ordering::SeqCst)))
        };
        let (left, kept) = (count(), count());
        tokio::task::yield_now().await;
        left.abort();
        assert!(left.await.unwrap_err().is_cancelled());
        drop(free);
        assert!(first.await.unwrap().unwrap());
        assert_eq!(kept.await.unwrap().unwrap(), 0, "the one that was left out is not among them");
    }
}
