//! The journal's time: the clock's, but never before what has been written.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holdshort_gate::Time;

/// Where a journal gets its time from.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// While the clock is behind what was written, the journal's time goes on at nine tenths of its pace.
///
/// It must not stand still: a clock that was once years ahead would then keep every deadline that is set from now on for those years.
/// A little slower than the clock, so that a small correction is made good soon, and hardly slower, so that no deadline is much late after a large one.
const TENTHS: u64 = 9;

/// Tells the time to the journal's readers and its writer.
pub(crate) struct Watch {
    clock: Clock,
    last: Mutex<Moment>,
}

/// A time of the journal, with what the clock showed then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) at: Time,
    clock: Time,
}

impl Watch {
    /// For a journal whose last event was written at `last`.
    pub(crate) fn new(clock: Clock, last: Time) -> Self {
        Self { clock, last: Mutex::new(Moment { at: last, clock: last }) }
    }

    /// The journal's present time. A clock that was ahead for a moment leaves no trace if nothing was written in that moment.
    pub(crate) fn now(&self) -> Moment {
        // Before the lock, because a clock is somebody else's code.
        let clock = (self.clock)();
        let mut last = self.last();
        // The clock was set back, perhaps repeatedly: elapsed time counts from here.
        last.clock = last.clock.min(clock);
        let passed = clock.0.saturating_sub(last.clock.0);
        let goes_on = last.at.0.saturating_add(passed.saturating_mul(TENTHS) / 10);
        Moment { at: clock.max(Time(goes_on)), clock }
    }

    /// An event was staged with this time: there is no earlier one from now on.
    pub(crate) fn written(&self, moment: Moment) {
        let mut last = self.last();
        if moment.at >= last.at {
            *last = moment;
        }
    }

    fn last(&self) -> MutexGuard<'_, Moment> {
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

    /// The clock shows so much; what time is it, and shall it be written?
    #[test]
    fn time_goes_on_whatever_the_clock_does() {
        let shows = Arc::new(AtomicU64::new(0));
        let clock = shows.clone();
        let watch = Watch::new(Arc::new(move || Time(clock.load(Ordering::Relaxed))), Time(YEAR));
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
            let moment = watch.now();
            assert_eq!(moment.at, Time(expected), "{why}");
            if is_written {
                watch.written(moment);
            }
        }
    }
}
