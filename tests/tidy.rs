//! The house is in order: who may import whom, how long a file and a function may be, how much is documented, what stands at the top level.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Lines of a file; a sitting.
const FILE_LINES_MAX: usize = 400;
/// Lines of a file of the gate, which is read most.
const GATE_FILE_LINES_MAX: usize = 300;
/// Lines of a function; a screen.
const FUNCTION_LINES_MAX: usize = 60;
/// Per cent of the lines that are documentation.
const DOC_SHARE_MIN: usize = 15;

/// For each room of the host, what it may use of the project. `cli` and `main` wire the parts together and may use everything.
const ARROWS: &[(&str, &[&str])] = &[
    ("agent", &["agent", "holdshort_gate"]),
    ("api", &["api", "kill", "runs", "effects", "review", "policy", "holdshort_gate", "holdshort_journal"]),
    ("config", &["config", "holdshort_gate"]),
    ("connectors", &["connectors", "holdshort_gate", "holdshort_journal"]),
    ("effects", &["effects", "kill", "connectors", "holdshort_gate", "holdshort_journal"]),
    ("policy", &["policy", "holdshort_gate"]),
    ("review", &["review", "holdshort_gate"]),
    ("runs", &["runs", "kill", "agent", "policy", "connectors", "effects", "holdshort_gate", "holdshort_journal"]),
];

/// Words that a room must not contain, with the reason.
const BANNED: &[(&str, &str, &str)] = &[
    ("host/src/runs", "Perform", "the driver never holds what can act"),
    ("host/src/runs", "Authorized", "the driver never holds what can act"),
    ("host/src/agent", "connectors", "the sandbox knows no connector"),
    ("host/src/api", "connectors::", "the endpoint never reaches a connector"),
    ("host/src/connectors", "Journal::", "a connector has no journal, only an `Authorized`"),
    ("host/gate", "std::time", "the gate has no clock"),
    ("host/gate", "std::fs", "the gate does no IO"),
    ("host/gate", "async fn", "the gate is pure"),
];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The Rust files of a folder that are not tests, with their text up to the unit tests.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![top().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            if path.is_dir() && !["tests", "target", "benches"].contains(&name.as_str()) {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
                found.push((path.strip_prefix(top()).unwrap().display().to_string(), code));
            }
        }
    }
    assert!(!found.is_empty(), "no sources under {folder}");
    found
}

#[test]
fn rooms_import_only_what_they_may() {
    let mut wrong = Vec::new();
    for (room, may) in ARROWS {
        for (path, text) in sources(&format!("host/src/{room}")) {
            for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
                for (at, _) in line.match_indices("crate::") {
                    let name: String =
                        line[at + 7..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                    if !name.is_empty() && !may.contains(&name.as_str()) {
                        wrong.push(format!("{path}:{}: `{room}` must not use `{name}`", number + 1));
                    }
                }
            }
            for package in ["holdshort_gate", "holdshort_journal"] {
                if text.contains(package) && !may.contains(&package) {
                    wrong.push(format!("{path}: `{room}` must not use `{package}`"));
                }
            }
        }
    }
    for (folder, word, why) in BANNED {
        for (path, text) in sources(folder) {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in code.filter(|line| line.contains(word)) {
                wrong.push(format!("{path}: `{word}`: {why}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_and_functions_fit() {
    let mut wrong = Vec::new();
    let (mut lines, mut docs) = (0, 0);
    for (path, text) in sources("host") {
        let max = if path.starts_with("host/gate") { GATE_FILE_LINES_MAX } else { FILE_LINES_MAX };
        let count = text.lines().count();
        if count > max {
            wrong.push(format!("{path}: {count} lines, at most {max}"));
        }
        lines += text.lines().filter(|line| !line.trim().is_empty()).count();
        docs += text.lines().filter(|line| line.trim_start().starts_with("//")).count();
        wrong.extend(long_functions(&path, &text));
    }
    println!("{docs} of {lines} lines are documentation");
    if docs * 100 < lines * DOC_SHARE_MIN {
        wrong.push(format!("{docs} of {lines} lines are documentation, at least {DOC_SHARE_MIN} % should be"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A formatted function ends at the first line that closes at its own indentation.
fn long_functions(path: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let is_function = |line: &str| {
        let words: Vec<&str> =
            line.split_whitespace().take_while(|word| !word.contains('(') || word.starts_with("pub(")).collect();
        words.contains(&"fn") && !line.trim_start().starts_with("//")
    };
    let starts = (0..lines.len()).filter(|&start| is_function(lines[start]) && !lines[start].ends_with(';'));
    let long = starts.filter_map(|start| {
        let indent = lines[start].len() - lines[start].trim_start().len();
        let close = format!("{}}}", " ".repeat(indent));
        let length = lines[start..].iter().position(|line| *line == close).map_or(1, |end| end + 1);
        (length > FUNCTION_LINES_MAX).then(|| format!("{path}:{}: a function of {length} lines", start + 1))
    });
    long.collect()
}

#[test]
fn the_checks_above_can_fail() {
    let long = format!("pub(crate) fn f(\n    a: u8,\n) {{\n{}}}\n", "    a();\n".repeat(60));
    assert_eq!(long_functions("x.rs", &long), ["x.rs:1: a function of 64 lines"]);
    assert!(long_functions("x.rs", "fn f() {\n    a();\n}\n").is_empty());
}

#[test]
fn the_top_level_holds_only_what_it_should() {
    let allowed: BTreeSet<&str> = [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "LICENSE",
        "SECURITY.md",
        "host",
        "wit",
        "guest-examples",
        "tests",
        "target",
    ]
    .into();
    for entry in std::fs::read_dir(top()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.starts_with('.') || allowed.contains(name.as_str()), "`{name}` stands at the top level");
    }
}
