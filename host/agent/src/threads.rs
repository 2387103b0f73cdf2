//! The threads that run agents. These threads do nothing else, and no other thread runs an agent.
//!
//! One instruction of an agent, such as a `memory.copy` of all its memory, can keep a thread busy, and nothing can
//! interrupt it. So a thread that serves requests never runs an agent, and agents' threads have a lower priority than
//! the threads that serve requests.
//!
//! **Invariant:** agents' threads start no thread and no process, because it would inherit their low priority. They
//! have no Tokio runtime, so `spawn_blocking` or the start of a child process panics on them, and the first test of
//! code that tries it fails.

use std::any::Any;
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_task::{Runnable, ScheduleInfo, WithInfo};
use futures_util::future::BoxFuture;

/// The niceness of agents' threads: the maximum. If both want the same core, an agent's thread gets a seventieth of the
/// time of a host's thread. So all agents together take less time than one thread of the host. With niceness 10,
/// sixteen agents' threads took nearly half of a busy machine from the host, and requests took five times as long.
/// Beside other programs, agents still progress, because Linux first divides time between sessions and services.
const NICE: i32 = 19;

/// How long an idle thread waits for work.
const IDLE: Duration = Duration::from_secs(10);

/// Runs agents' work. A clone is cheap.
#[derive(Clone)]
pub struct Threads(Option<Arc<Queue>>);

struct Queue {
    state: Mutex<State>,
    work: Condvar,
    threads_max: usize,
    /// The niceness of these threads, 19 at most. It is an absolute value and not a difference, because a new thread
    /// inherits the niceness of the thread that starts it.
    nice: i32,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Runnable>,
    threads: usize,
    idle: usize,
}

impl Threads {
    /// Makes at most `threads_max` threads. Each is started when it is needed.
    pub(super) fn new(threads_max: usize) -> Self {
        let threads_max = threads_max.max(1);
        let nice = rustix::process::getpriority_process(None).unwrap_or(0).saturating_add(NICE).min(19);
        Self(Some(Arc::new(Queue { state: Mutex::default(), work: Condvar::new(), threads_max, nice })))
    }

    /// Makes no threads: work runs on the thread that awaits it. This is for simulations, which have only one thread.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Keeps a value that is used and dropped only on these threads.
    pub fn keep<T: Send + 'static>(&self, value: T) -> Kept<T> {
        Kept { value: Some(value), threads: self.clone() }
    }
}

/// A value that is used and dropped only on agents' threads. It is dropped there because freeing an agent's memory can
/// take as long as running the agent.
pub struct Kept<T: Send + 'static> {
    value: Option<T>,
    threads: Threads,
}

/// The error if the work with a kept value panicked. The value is then lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host failed while it ran the agent: see the host's log")]
pub struct Panicked;

impl<T: Send + 'static> Kept<T> {
    /// Uses the value on one of the threads. If the future is dropped early, the work stops at its next await, and the
    /// value is dropped too.
    pub async fn with<R: Send + 'static>(
        &mut self,
        work: impl for<'a> FnOnce(&'a mut T) -> BoxFuture<'a, R> + Send + 'static,
    ) -> Result<R, Panicked> {
        let mut value = self.value.take().ok_or(Panicked)?;
        let work = async move {
            let done = work(&mut value).await;
            (value, done)
        };
        let (value, done) = match &self.threads.0 {
            Some(queue) => queue.start(work).fallible().await.ok_or(Panicked)?,
            None => work.await,
        };
        self.value = Some(value);
        Ok(done)
    }
}

impl<T: Send + 'static> Drop for Kept<T> {
    fn drop(&mut self) {
        if let (Some(value), Some(queue)) = (self.value.take(), &self.threads.0) {
            queue.start(async move { drop(value) }).detach();
        }
    }
}

impl Queue {
    fn start<R: Send + 'static>(
        self: &Arc<Self>,
        work: impl Future<Output = R> + Send + 'static,
    ) -> async_task::Task<R> {
        let queue = self.clone();
        let schedule = move |runnable, info: ScheduleInfo| queue.push(runnable, info);
        let (runnable, task) = async_task::spawn(work, WithInfo(schedule));
        runnable.schedule();
        task
    }

    /// Queues work, and starts or wakes a thread for it. Work that has only yielded needs no other thread, because its
    /// own thread takes the next work.
    fn push(self: &Arc<Self>, runnable: Runnable, info: ScheduleInfo) {
        let mut state = self.state();
        state.ready.push_back(runnable);
        let needed = state.ready.len() - usize::from(info.woken_while_running);
        if needed > state.idle && state.threads < self.threads_max {
            state.threads += 1;
            drop(state);
            self.start_thread();
        } else if !info.woken_while_running {
            drop(state);
            self.work.notify_one();
        }
    }

    fn start_thread(self: &Arc<Self>) {
        let queue = self.clone();
        if let Err(error) = std::thread::Builder::new().name("agents".into()).spawn(move || queue.work()) {
            tracing::error!(%error, "cannot start a thread for agents");
            let mut state = self.state();
            state.threads -= 1;
            // If no thread is left, all queued work is dropped, and its callers get an error.
            let given_up = if state.threads == 0 { std::mem::take(&mut state.ready) } else { VecDeque::new() };
            drop(state);
            drop(given_up);
        }
    }

    fn work(&self) {
        // This sets the priority of the current thread only: on Linux each thread has its own.
        if let Err(error) = rustix::process::setpriority_process(None, self.nice) {
            tracing::warn!(%error, "the priority of agents cannot be lowered, so they run with the priority of the host");
        }
        while let Some(runnable) = self.next() {
            let ran = catch_unwind(AssertUnwindSafe(|| runnable.run()));
            // The result is ignored: the panic's message is already on stderr, and the caller gets an error.
            drop::<Result<bool, Box<dyn Any + Send>>>(ran);
        }
    }

    /// Takes the work that has waited longest; `None` if no work has come for [`IDLE`].
    fn next(&self) -> Option<Runnable> {
        let mut state = self.state();
        loop {
            if let Some(runnable) = state.ready.pop_front() {
                return Some(runnable);
            }
            state.idle += 1;
            let waited = self.work.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = waited.0;
            state.idle -= 1;
            if waited.1.timed_out() && state.ready.is_empty() {
                state.threads -= 1;
                return None;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
