//! Checks that the numbers in `tests/README.md` are those that the tests themselves have noted.
//!
//! `tests/run` lets every test note its figures in a folder. Then it runs this test once more with
//! `HOLDSHORT_EVIDENCE_WHOLE=1`, which compares the table with the figures. With `HOLDSHORT_BLESS=1` in addition, the
//! table is rewritten.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "support/evidence.rs"]
mod evidence;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Only `.ci/run` notes the figure of this test, because only `.ci/run` makes the second build that the test needs.
const NOTED_BY_CI: &str = "T2";

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

fn readme() -> PathBuf {
    top().join("tests/README.md")
}

/// The rows of the first table, and the cells of each row.
fn rows(text: &str) -> Vec<(&str, Vec<&str>)> {
    let table = text.lines().skip_while(|line| !line.starts_with("| T")).take_while(|line| line.starts_with('|'));
    let rows = table.filter(|line| line.starts_with("| T"));
    rows.map(|line| (line, line.trim_matches('|').split('|').map(str::trim).collect())).collect()
}

/// The figures that each test has noted, in the words of the table.
fn noted(folder: &Path) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut entries: Vec<_> = entries.map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().into_string().unwrap();
        let (test, what) = name.split_once(' ').unwrap();
        let count = std::fs::read_to_string(entry.path()).unwrap();
        let figure = match count.split_once(' ') {
            None => format!("{} {what}", grouped(&count)),
            Some((landing, long)) => format!("{} {what} (long run: {})", grouped(landing), grouped(long)),
        };
        found.entry(test.into()).or_default().push(figure);
    }
    found.into_iter().map(|(test, figures)| (test, figures.join("; "))).collect()
}

/// Whether a test left something out. Then its figure may be missing; the other figures must still agree.
fn something_was_skipped() -> bool {
    let list = std::env::var_os("HOLDSHORT_SKIPPED").map(std::fs::read_to_string);
    list.is_some_and(|list| list.is_ok_and(|list| !list.is_empty()))
}

/// Writes `1304117` as `1,304,117`.
fn grouped(digits: &str) -> String {
    let digits: Vec<char> = digits.chars().collect();
    let groups: Vec<String> = digits.rchunks(3).rev().map(|group| group.iter().collect()).collect();
    groups.join(",")
}

#[test]
fn every_figure_is_what_the_tests_have_noted() {
    if std::env::var_os("HOLDSHORT_EVIDENCE_WHOLE").is_none() {
        return;
    }
    let mut noted = noted(Path::new(&std::env::var_os("HOLDSHORT_EVIDENCE").unwrap()));
    let text = std::fs::read_to_string(readme()).unwrap();
    let mut new = text.clone();
    for (row, cells) in rows(&text) {
        let (test, stands) = (cells[0], cells[cells.len() - 1]);
        let Some(figures) = noted.remove(test) else {
            let excused = test == NOTED_BY_CI || something_was_skipped();
            assert!(excused, "tests/README.md has a row for {test}, and no test has noted a figure for it");
            continue;
        };
        let known: Vec<&str> = stands.split("; ").collect();
        if something_was_skipped() && figures.split("; ").all(|figure| known.contains(&figure)) {
            continue;
        }
        let (before, _) = row.rsplit_once(&format!("| {stands} |")).unwrap();
        new = new.replace(row, &format!("{before}| {figures} |"));
    }
    assert!(noted.is_empty(), "no row of tests/README.md is about these: {noted:#?}");
    if std::env::var_os("HOLDSHORT_BLESS").is_some() {
        std::fs::write(readme(), &new).unwrap();
    }
    let differ: Vec<_> = text.lines().zip(new.lines()).filter(|(old, new)| old != new).collect();
    assert!(
        differ.is_empty() || std::env::var_os("HOLDSHORT_BLESS").is_some(),
        "tests/README.md says something else than the tests; `HOLDSHORT_BLESS=1 tests/run` writes it anew: {differ:#?}"
    );
}

#[test]
fn the_table_is_about_what_is_there() {
    let text = std::fs::read_to_string(readme()).unwrap();
    let rows = rows(&text);
    assert!(rows.len() > 10, "{rows:?}");
    for (row, cells) in &rows {
        assert_eq!(cells.len(), 5, "a row is test, promise, what it shows, where, figures: {row}");
        let paths: Vec<&str> = cells[3].split('`').skip(1).step_by(2).collect();
        assert!(!paths.is_empty(), "where? {row}");
        for path in paths {
            assert!(top().join(path).exists(), "there is no {path}: {row}");
        }
    }
}
