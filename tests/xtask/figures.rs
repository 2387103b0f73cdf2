//! The figures of a checkout: the length of its files and functions, its share of documentation, and how many things a
//! maintainer must remember.
//!
//! Two checkouts can be compared by the same figures. The test `tidy` checks the limits.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use crate::sources::{self, Source};

/// The names of a call's phases and a run's states, as the journal and the API write them.
const PHASES: [&str; 20] = [
    "held",
    "cleared",
    "approved",
    "started",
    "succeeded",
    "failed",
    "in-doubt",
    "expired",
    "rejected",
    "cancelled",
    "refused",
    "answered",
    "unresolved",
    "running",
    "waiting",
    "parked",
    "completed",
    "diverged",
    "sleeping",
    "delayed",
];
/// A one-line doc comment with at most this many words only repeats the name.
const FEW_WORDS: usize = 3;

/// The figures of the checkout in `top`, each with its name.
pub fn figures(top: &Path) -> io::Result<Vec<(&'static str, String)>> {
    let all = sources::sources(top, "host")?;
    let files = all.iter().map(|source| source.code.lines().count()).collect();
    let functions =
        all.iter().flat_map(|source| sources::functions(&source.code)).map(|function| function.lines).collect();
    let lines = count(&all, |_| true);
    let docs = count(&all, is_doc);
    let (types, names) = types(&all);
    let architecture = std::fs::read_to_string(top.join("host/ARCHITECTURE.md"))?;
    Ok(vec![
        ("lines of the host without its tests", lines.to_string()),
        ("lines of a file: median / p90 / max", spread(files, &[50, 90, 100])),
        ("lines of a function: median / p90 / p99 / max", spread(functions, &[50, 90, 99, 100])),
        ("lines that are doc comments", per_mille(docs, lines)),
        ("one-line docs of at most three words", short_docs(&all).to_string()),
        ("lines of code with a phase or state as a string", count(&all, names_a_phase).to_string()),
        ("types, and how many names they have", format!("{types} / {names}")),
        ("packages", packages(top)?.to_string()),
        ("lines of ARCHITECTURE.md", architecture.lines().count().to_string()),
    ])
}

fn count(all: &[Source], counts: impl Fn(&str) -> bool) -> usize {
    all.iter().flat_map(|source| source.code.lines()).filter(|line| counts(line.trim())).count()
}

fn is_doc(line: &str) -> bool {
    line.starts_with("///") || line.starts_with("//!")
}

fn names_a_phase(line: &str) -> bool {
    !line.starts_with("//") && PHASES.iter().any(|phase| line.contains(&format!("\"{phase}\"")))
}

/// The number of doc comments of one line with few words, without a doc line before or after.
fn short_docs(all: &[Source]) -> usize {
    let short = |source: &Source| {
        let lines: Vec<&str> = source.code.lines().map(str::trim).collect();
        let doc = |at: Option<usize>| at.and_then(|at| lines.get(at)).is_some_and(|line| is_doc(line));
        let short = |(at, line): (usize, &&str)| {
            let words = line.strip_prefix("///").map_or(usize::MAX, |text| text.split_whitespace().count());
            words <= FEW_WORDS && !doc(at.checked_sub(1)) && !doc(Some(at + 1))
        };
        lines.iter().enumerate().filter(|line| short(*line)).count()
    };
    all.iter().map(short).sum()
}

/// The number of structs, enums and traits, and the number of their different names.
fn types(all: &[Source]) -> (usize, usize) {
    let name = |line: &str| {
        let mut words = line
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .skip_while(|word| ["pub", "crate", "super", "in", ""].contains(word));
        ["struct", "enum", "trait"].contains(&words.next()?).then(|| words.next().map(str::to_owned))?
    };
    let names: Vec<String> = all.iter().flat_map(|source| source.code.lines()).filter_map(name).collect();
    (names.len(), names.iter().collect::<BTreeSet<_>>().len())
}

/// The number of packages of the workspace below `host`, without the packages of its tests.
fn packages(top: &Path) -> io::Result<usize> {
    let below = std::fs::read_dir(top.join("host"))?.collect::<io::Result<Vec<_>>>()?;
    let below = below.iter().filter(|entry| entry.path().join("Cargo.toml").is_file()).count();
    Ok(below + 1)
}

fn spread(mut values: Vec<usize>, at: &[usize]) -> String {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    let value = |per_cent: &usize| values.get(last * per_cent / 100).map_or_else(String::new, usize::to_string);
    at.iter().map(value).collect::<Vec<_>>().join(" / ")
}

fn per_mille(part: usize, whole: usize) -> String {
    let per_mille = part * 1000 / whole.max(1);
    format!("{}.{} %", per_mille / 10, per_mille % 10)
}
