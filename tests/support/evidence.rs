//! What a test has tried, in numbers, for the table in `tests/README.md`.
#![allow(unreachable_pub, dead_code, clippy::print_stdout, reason = "each test takes this file in where it needs it")]

/// Notes that the test of this name, such as `T8`, has tried `count` of `what`.
///
/// `tests/run` names a folder in `HOLDSHORT_EVIDENCE` and afterwards holds the table against what lies there; without one nothing is noted.
/// Only counts that are the same in every run on any machine belong here: no times, no sizes of memory.
pub fn figure(test: &str, what: &str, count: u64) {
    println!("{test}: {count} {what}");
    if let Some(folder) = std::env::var_os("HOLDSHORT_EVIDENCE") {
        let folder = std::path::Path::new(&folder);
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join(format!("{test} {what}")), count.to_string()).unwrap();
    }
}
