//! Notes how much a test has tried, for the table in `tests/README.md`.
#![allow(unreachable_pub, dead_code, clippy::print_stdout, reason = "each test takes this file in where it needs it")]

/// How often something is tried: before a landing, and in the long run, which `HOLDSHORT_LONG` selects.
#[derive(Clone, Copy)]
pub struct Tries {
    pub landing: u64,
    pub long: u64,
}

impl Tries {
    /// How often the present run tries it.
    pub fn now(self) -> u64 {
        if is_long() { self.long } else { self.landing }
    }

    /// The number of parts that are tried, if each try has `count` parts.
    pub fn times(self, count: u64) -> Self {
        Self { landing: self.landing * count, long: self.long * count }
    }
}

/// Whether this is the long run, which tries more.
pub fn is_long() -> bool {
    std::env::var_os("HOLDSHORT_LONG").is_some()
}

/// Notes a figure that is greater in the long run. The table has both numbers, and each run checks its own.
pub fn scaled(test: &str, what: &str, tried: u64, tries: Tries) {
    assert!(tried >= tries.now(), "{test}: {tried} {what}, and {} should be tried", tries.now());
    if tries.landing == tries.long {
        return figure(test, what, tries.long);
    }
    println!("{test}: {tried} {what}");
    note(test, what, &format!("{} {}", tries.landing, tries.long));
}

/// Notes that the test with this name, such as `T8`, has tried `count` of `what`.
///
/// `tests/run` names a folder in `HOLDSHORT_EVIDENCE`, and afterwards compares the table with the files in it. Without
/// this variable nothing is noted. Only counts that are the same in every run on every machine belong here: no times,
/// and no sizes of memory.
pub fn figure(test: &str, what: &str, count: u64) {
    println!("{test}: {count} {what}");
    note(test, what, &count.to_string());
}

fn note(test: &str, what: &str, count: &str) {
    if let Some(folder) = std::env::var_os("HOLDSHORT_EVIDENCE") {
        let folder = std::path::Path::new(&folder);
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join(format!("{test} {what}")), count).unwrap();
    }
}
