//! Interrupts guests. While a guest runs, the ticker advances the engine's epoch every millisecond;
//! otherwise it sleeps.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

use wasmtime::{Engine, EngineWeak};

const TICK: Duration = Duration::from_millis(1);

/// The number of ticks without a guest after which the ticker sleeps. It does not sleep at once, because waking it
/// takes a system call, which a busy host should not pay for each poll.
const IDLE_TICKS: u32 = 200;

/// Ticks while at least one [`Running`] exists.
pub(super) struct Ticker {
    state: Arc<TickerState>,
    thread: Thread,
}

#[derive(Default)]
struct TickerState {
    running: AtomicUsize,
    touched: AtomicBool,
    asleep: AtomicBool,
    over: AtomicBool,
}

impl Ticker {
    /// Starts the ticker's thread, which ends when the ticker is dropped.
    pub(super) fn start(engine: &Engine) -> io::Result<Self> {
        let state = Arc::new(TickerState::default());
        let (engine, inner) = (engine.weak(), state.clone());
        let thread = std::thread::Builder::new().name("agent-ticker".into()).spawn(move || tick(&engine, &inner))?;
        Ok(Self { state, thread: thread.thread().clone() })
    }

    /// Marks that a guest runs, until the returned value is dropped.
    pub(super) fn running(&self) -> Running<'_> {
        self.state.running.fetch_add(1, Ordering::SeqCst);
        self.state.touched.store(true, Ordering::Relaxed);
        if self.state.asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Running(&self.state)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// While this value exists, the epoch advances.
pub(super) struct Running<'a>(&'a TickerState);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tick(engine: &EngineWeak, state: &TickerState) {
    let mut idle = 0;
    while !state.over.load(Ordering::SeqCst) {
        std::thread::sleep(TICK);
        let Some(engine) = engine.upgrade() else { return };
        engine.increment_epoch();
        let touched = state.touched.swap(false, Ordering::Relaxed);
        idle = if touched || state.running.load(Ordering::SeqCst) > 0 { 0 } else { idle + 1 };
        if idle >= IDLE_TICKS {
            drop(engine);
            sleep(state);
            idle = 0;
        }
    }
}

/// Sleeps until a guest runs.
///
/// INVARIANT: either this function sees that a guest runs, or the guest's thread sees `asleep` and unparks the ticker.
/// The reason is that each of the two writes its own flag before it reads the other's.
fn sleep(state: &TickerState) {
    state.asleep.store(true, Ordering::SeqCst);
    while state.running.load(Ordering::SeqCst) == 0 && !state.over.load(Ordering::SeqCst) {
        std::thread::park();
        if state.touched.load(Ordering::Relaxed) {
            break;
        }
    }
    state.asleep.store(false, Ordering::SeqCst);
}
