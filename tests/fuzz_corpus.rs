//! The fuzzer's corpus, run by an ordinary test: what was once worth keeping is tried on every commit.
//!
//! `tests/fuzz` holds the targets and their corpus. A long run needs cargo-fuzz (`cargo install cargo-fuzz`):
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz -s none TARGET /tmp/found tests/fuzz/corpus/TARGET -- -max_total_time=3600`
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "support/evidence.rs"]
mod evidence;
#[path = "fuzz/targets.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use targets::TARGETS;

/// Bytes of the whole corpus; what is cloned by everybody stays small.
const CORPUS_BYTES_MAX: u64 = 1 << 20;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn nothing_in_the_corpus_breaks_its_target() {
    let (mut entries, mut bytes) = (0, 0);
    let mut broken = Vec::new();
    for (name, target) in TARGETS {
        let (mut ends, mut refusals) = (0, 0);
        for entry in fs::read_dir(folder().join("corpus").join(name)).unwrap() {
            let path = entry.unwrap().path();
            let input = fs::read(&path).unwrap();
            bytes += input.len() as u64;
            entries += 1;
            match catch_unwind(|| target(&input)) {
                Ok(true) => ends += 1,
                Ok(false) => refusals += 1,
                Err(_) => broken.push(path),
            }
        }
        println!("{name}: {ends} to the end, {refusals} refused");
        // Else it would pass by doing nothing, or by taking everything.
        assert!(ends >= 2 && refusals >= 2, "{name}: {ends} entries come to the end, {refusals} are refused");
    }
    assert!(broken.is_empty(), "{broken:?}");
    assert!(bytes <= CORPUS_BYTES_MAX, "{bytes} bytes");
    evidence::figure("T10", "corpus entries", entries);
    evidence::figure("T10", "fuzz targets", TARGETS.len() as u64);
}

#[test]
fn every_target_has_a_program_and_a_corpus() {
    let known: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&folder().join("corpus")), known);
    assert_eq!(names(&folder().join("fuzz_targets")), known);
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    for name in known {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is built");
        let program = fs::read_to_string(folder().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("targets::{}(bytes)", name.replace('-', "_"))), "{name} runs itself");
    }
}
