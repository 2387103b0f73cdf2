//! Measures what the host costs, and prints one table.
//!
//! `cargo bench -p holdshort` measures everything, `cargo bench -p holdshort -- cycles-32` only the figures of this
//! name. The bench uses the disk under `target/`, unless `HOLDSHORT_BENCH_FOLDER` names another folder. Each part that
//! was measured completely is written to `benches/FIGURES.md` too. `cargo bench -p holdshort -- --quick` and
//! `cargo test` run the same code a few times; their times mean nothing.
//!
//! The host is the real one, in this process: sandbox, driver, journal in SQLite, dispatcher, HTTP over loopback. Only
//! the connector belongs to the bench: it performs an effect by appending a line to a file and flushing the file. The
//! part `shipped` uses nothing of the bench: it starts the built program and delivers into a Maildir. Beside every
//! figure that waits for the disk is the time of an `fdatasync` on the same disk, measured just before and after.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench fails by panicking, and prints"
)]
#![allow(unreachable_pub, reason = "modules of a bench")]

#[path = "holdshort/client.rs"]
mod client;
#[path = "holdshort/cycles.rs"]
mod cycles;
#[path = "holdshort/disk.rs"]
mod disk;
#[path = "holdshort/latency.rs"]
mod latency;
#[path = "holdshort/policy.rs"]
mod policy;
#[path = "holdshort/sandbox.rs"]
mod sandbox;
#[path = "holdshort/shipped.rs"]
mod shipped;
#[path = "holdshort/table.rs"]
mod table;
#[path = "holdshort/waiting.rs"]
mod waiting;
#[path = "holdshort/world.rs"]
mod world;

use std::path::PathBuf;

use table::Table;

/// How many times the bench does each thing.
#[derive(Clone, Copy)]
pub struct Size {
    /// Whether this is a full benchmark: with enough runs and calls for the figures in `FIGURES.md`.
    pub is_full: bool,
    pub instances: u32,
    pub calls: u32,
    pub latencies: u32,
    /// The approvals of each round of cycles.
    pub approvals: u32,
    pub entries: u32,
    pub waiting: u32,
    /// The recorded calls that a backtest evaluates.
    pub recorded: u32,
    pub flushes: u32,
}

const MEASURE: Size = Size {
    is_full: true,
    instances: 2_000,
    calls: 20_000,
    latencies: 300,
    approvals: 6_000,
    entries: 30_000,
    waiting: 10_000,
    recorded: 100_000,
    flushes: 200,
};

const QUICK: Size = Size {
    is_full: false,
    instances: 5,
    calls: 50,
    latencies: 3,
    approvals: 20,
    entries: 700,
    waiting: 20,
    recorded: 200,
    flushes: 3,
};

/// A part of the bench: its name, and the function that measures it.
type Part = (&'static str, fn(&Table));

/// The parts, in the order of the table.
const PARTS: &[Part] = &[
    ("sandbox", sandbox::measure),
    ("policy", policy::measure),
    ("latency", latency::measure),
    ("cycles", cycles::measure),
    ("shipped", shipped::measure),
    ("replay", waiting::replay),
    ("waiting", waiting::measure),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if let [mode, folder] = &arguments[..]
        && mode == waiting::RESTARTED
    {
        return waiting::restarted(folder.as_ref());
    }
    // `cargo bench` passes `--bench`, and `cargo test` does not.
    let measures = has("--bench");
    let parts: Vec<String> = arguments.iter().filter(|argument| !argument.starts_with('-')).cloned().collect();
    // `cargo test NAME` runs the tests of that name. This bench is not a test of any name.
    if has("--list") || (!measures && !parts.is_empty()) {
        return;
    }
    let size = if measures && !has("--quick") { MEASURE } else { QUICK };
    let folder = match std::env::var_os("HOLDSHORT_BENCH_FOLDER") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
    };
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(folder).unwrap();
    let table = Table::new(folder.path(), size, parts);
    for (name, measure) in PARTS {
        table.part(name, *measure);
    }
}
