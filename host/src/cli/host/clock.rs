//! The only place that reads the operating system's clock.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use holdshort_gate::Time;
use holdshort_journal::Clock;

/// The system's time in microseconds since 1970.
pub(in crate::cli) fn system_clock() -> Clock {
    Arc::new(|| {
        #[allow(clippy::disallowed_methods, reason = "everything else gets its time from here")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    })
}
