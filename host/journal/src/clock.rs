//! The journal's time: the clock's time, but never before the last written time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holdshort_gate::Time;

/// Where a journal gets its time from.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// While the clock is behind the last written time, the journal's time goes on at nine tenths of the clock's pace.
///
/// The journal's time must not stand still: if the clock was once years ahead, every deadline set from now on would
/// wait for those years. The pace is slower than the clock's, so that the clock soon catches up after a small
/// correction; it is only a little slower, so that no deadline is much late after a large correction.
const TENTHS: u64 = 9;

/// Tells the time to the journal's readers and its writer.
pub(crate) struct JournalClock {
    clock: Clock,
    last: Mutex<ClockReading>,
}

/// A time of the journal, and what the clock showed at that time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClockReading {
    pub(crate) at: Time,
    clock: Time,
}

impl JournalClock {
    /// A clock for a journal whose last event was written at `last`.
    pub(crate) fn new(clock: Clock, last: Time) -> Self {
        Self { clock, last: Mutex::new(ClockReading { at: last, clock: last }) }
    }

    /// The journal's time now. A moment in which the clock was ahead has no effect on later times if nothing was
    /// written in that moment.
    pub(crate) fn now(&self) -> ClockReading {
        // The clock is read before the lock is taken, because the clock is code of the caller.
        let clock = (self.clock)();
        let mut last = self.last();
        // If the clock was set back, perhaps several times, elapsed time is counted from the earliest reading since
        // then.
        last.clock = last.clock.min(clock);
        let passed = clock.0.saturating_sub(last.clock.0);
        let goes_on = last.at.0.saturating_add(passed.saturating_mul(TENTHS) / 10);
        ClockReading { at: clock.max(Time(goes_on)), clock }
    }

    /// Records that an event was staged with this time. From now on the journal's time is never earlier.
    pub(crate) fn written(&self, moment: ClockReading) {
        let mut last = self.last();
        if moment.at >= last.at {
            *last = moment;
        }
    }

    fn last(&self) -> MutexGuard<'_, ClockReading> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const HOUR: u64 = 3_600_000_000;
    const YEAR: u64 = 365 * 24 * HOUR;

    /// Each line: what the clock shows, whether an event is then written, the expected time, and the reason.
    #[test]
    fn time_goes_on_whatever_the_clock_does() {
        let shows = Arc::new(AtomicU64::new(0));
        let clock = shows.clone();
        let journal_clock = JournalClock::new(Arc::new(move || Time(clock.load(Ordering::Relaxed))), Time(YEAR));
        for (clock, is_written, expected, why) in [
            (YEAR + HOUR, true, YEAR + HOUR, "the clock is right"),
            (11 * YEAR, false, 11 * YEAR, "it jumps, and nobody writes"),
            (YEAR + HOUR + 5, true, YEAR + HOUR + 5, "so that is forgotten"),
            (YEAR + HOUR - 5, true, YEAR + HOUR + 5, "set back a little, time stands still"),
            (YEAR + HOUR + 15, true, YEAR + HOUR + 23, "and goes on somewhat slower"),
            (YEAR + 2 * HOUR, true, YEAR + 2 * HOUR, "until the clock has caught up"),
            (11 * YEAR, true, 11 * YEAR, "it jumps, and somebody writes"),
            (YEAR + 3 * HOUR, false, 11 * YEAR, "never before what was written"),
            (YEAR + 13 * HOUR, false, 11 * YEAR + 9 * HOUR, "but time does not stand still for ten years"),
            (YEAR + 3 * HOUR, false, 11 * YEAR, "set back again, and nothing was written: still not before"),
            (YEAR + 13 * HOUR, true, 11 * YEAR + 9 * HOUR, "as before"),
            (YEAR + 23 * HOUR, true, 11 * YEAR + 18 * HOUR, "and it goes on from what was written"),
            (11 * YEAR + HOUR, true, 11 * YEAR + 18 * HOUR + (10 * YEAR - 22 * HOUR) / 10 * 9, "as if it had passed"),
        ] {
            shows.store(clock, Ordering::Relaxed);
            let moment = journal_clock.now();
            assert_eq!(moment.at, Time(expected), "{why}");
            if is_written {
                journal_clock.written(moment);
            }
        }
    }
}
