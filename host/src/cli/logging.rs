//! The host's log on stderr. `RUST_LOG` sets its level, as `tracing` documents.

use tracing_subscriber::EnvFilter;

use super::output::Log;

/// Starts the log with `level`, unless `RUST_LOG` sets another level. Entries are JSON if a program
/// reads them.
pub(super) fn begin(level: &'static str, json: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || Log { json }).with_target(false);
    // If this process already has a log, `try_init` fails and the first log stays. That is
    // intended.
    let _ = if json { log.json().try_init() } else { log.with_ansi(false).try_init() };
}
