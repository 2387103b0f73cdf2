//! The host's own log, on stderr. `RUST_LOG` says how much of it, as `tracing` documents.

use tracing_subscriber::EnvFilter;

use super::output::Log;

/// Begins to log: at least `level`, unless the environment says otherwise; as JSON, if a program reads it.
pub(super) fn begin(level: &'static str, json: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || Log { json }).with_target(false);
    // A second subscriber in one process is refused; the first goes on, which is what is wanted.
    let _ = if json { log.json().try_init() } else { log.with_ansi(false).try_init() };
}
