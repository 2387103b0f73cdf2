//! Runs the fuzzer's corpus in an ordinary test, so that every input worth keeping is tried on every commit.
//!
//! `tests/fuzz` holds the targets and their corpus. A long run needs cargo-fuzz (`cargo install cargo-fuzz`):
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz -s none TARGET /tmp/found tests/fuzz/corpus/TARGET -- -max_total_time=3600`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

#[path = "support/evidence.rs"]
mod evidence;
#[path = "fuzz/targets.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use targets::TARGETS;

/// The limit on the bytes of the whole corpus, so that a clone of the repository stays small.
const CORPUS_BYTES_MAX: u64 = 1 << 20;

/// How many mutants of its corpus an ordinary test run tries on each target.
const MUTANTS: u64 = 4_000;

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
        // Without this check a target could pass by refusing every input or by accepting every input.
        assert!(ends >= 2 && refusals >= 2, "{name}: {ends} entries come to the end, {refusals} are refused");
    }
    assert!(broken.is_empty(), "{broken:?}");
    assert!(bytes <= CORPUS_BYTES_MAX, "{bytes} bytes");
    evidence::figure("T10", "corpus entries", entries);
    evidence::figure("T10", "fuzz targets", TARGETS.len() as u64);
}

/// Inputs near the corpus, drawn from a seed. A fuzzer is guided by the code that an input reaches. This test is not
/// guided, but it runs on every commit. `HOLDSHORT_MUTANTS=100000` sets the number of mutants for each target.
#[test]
fn nothing_near_the_corpus_breaks_its_target() {
    let count = std::env::var("HOLDSHORT_MUTANTS").map_or(MUTANTS, |count| count.parse().expect("a number"));
    let (mut broken, mut tried) = (Vec::new(), 0);
    std::thread::scope(|scope| {
        let work = TARGETS.iter().map(|(name, target)| {
            // Decoding a component takes milliseconds.
            let count = if *name == "component" { count / 20 } else { count };
            scope.spawn(move || {
                let paths: BTreeSet<PathBuf> = fs::read_dir(folder().join("corpus").join(name))
                    .unwrap()
                    .map(|entry| entry.unwrap().path())
                    .collect();
                let corpus: Vec<Vec<u8>> = paths.into_iter().map(|path| fs::read(path).unwrap()).collect();
                let mut random = Random(7);
                let (mut ends, mut broken) = (0, Vec::new());
                for _ in 0..count {
                    let input = mutant(&corpus, &mut random);
                    match catch_unwind(|| target(&input)) {
                        Ok(end) => ends += u64::from(end),
                        Err(_) => broken.push(format!("{name}: {}", String::from_utf8_lossy(&input))),
                    }
                }
                println!("{name}: {ends} of {count} to the end");
                (count, ends, broken)
            })
        });
        for (count, ends, found) in work.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()) {
            assert!(ends > 0, "all that was tried was refused");
            broken.extend(found);
            tried += count;
        }
    });
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    evidence::figure("T10", "mutated inputs", tried);
}

/// Random numbers that are the same on every machine (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }

    /// A range within `len` bytes, in most cases a short one.
    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let from = self.below(len + 1);
        let most = if self.below(4) == 0 { len } else { 12 };
        from..(from + self.below(most + 1)).min(len)
    }
}

/// An entry of the corpus with a few changes.
fn mutant(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        let range = random.range(bytes.len());
        match random.below(6) {
            0 if !bytes.is_empty() => {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
            1 if !bytes.is_empty() => {
                let at = random.below(bytes.len());
                bytes[at] = BYTES[random.below(BYTES.len())];
            }
            2 => drop(bytes.drain(range)),
            3 => {
                let again = bytes[range.clone()].to_vec();
                drop(bytes.splice(range.start..range.start, again));
            }
            4 => {
                let other = &corpus[random.below(corpus.len())];
                let part = other[random.range(other.len())].to_vec();
                drop(bytes.splice(range, part));
            }
            _ => {
                let token = TOKENS[random.below(TOKENS.len())];
                drop(bytes.splice(range.start..range.start, token.bytes()));
            }
        }
    }
    bytes
}

const BYTES: &[u8] = b"\0\x01\x1b\"\\{}[]:,-.0159eE\x7f\x80\xff";
/// Tokens that are likely to matter to a parser of text.
const TOKENS: &[&str] = &[
    "null",
    "true",
    "{}",
    "[]",
    "\"\"",
    "1e999",
    "-0",
    "18446744073709551616",
    "\u{202e}",
    "\u{200b}",
    "\\u0000",
    "\n",
    "\r",
    "@",
    "#",
    "..",
];

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
