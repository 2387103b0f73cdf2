//! Reports what a test leaves out, where a person sees it.
#![allow(unreachable_pub, reason = "each test takes this file in where it needs it")]

use std::fs::OpenOptions;
use std::io::Write;

/// Says that the test on this thread leaves something out, and why.
///
/// The test harness captures the prints of a passing test, but not direct writes to stderr. `tests/run` names a file in
/// `HOLDSHORT_SKIPPED`, and lists its content at the end.
pub fn skipped(why: &str) {
    let line = format!("SKIPPED {}: {why}\n", std::thread::current().name().unwrap_or("a part of a test"));
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    if let Some(path) = std::env::var_os("HOLDSHORT_SKIPPED") {
        let mut list = OpenOptions::new().append(true).create(true).open(path).unwrap();
        list.write_all(line.as_bytes()).unwrap();
    }
}
