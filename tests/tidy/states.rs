//! States are compared as enum variants and not as text, so that a mistake in a variant's name does not compile.

use super::{code_of, sources, top};

/// The files that define the names of states.
const NAMED: [&str; 4] =
    ["host/gate/src/clearance.rs", "host/gate/src/phase.rs", "host/gate/src/run.rs", "host/gate/src/wait_end.rs"];

/// Lines of code that compare with a word that is spelled like a state and means something else.
const OTHERS: [(&str, &str); 2] = [
    // Words in the report of a test program.
    ("host/connectors/src/checks/counts.rs", "failed"),
    ("host/connectors/src/checks/counts.rs", "finished"),
];

/// The names in the `named!` enums of a file.
fn names(code: &str) -> Vec<&str> {
    let enums = code.split("named_enum! {").skip(1).filter_map(|rest| rest.split("\n}").next());
    enums.flat_map(str::lines).filter_map(|line| line.split_once(" = \"")?.1.strip_suffix("\",")).collect()
}

/// Whether a line of code or of a template compares a value with this name as text, or has the name in a pattern.
fn compares(line: &str, name: &str) -> bool {
    let literal = format!("\"{name}\"");
    let around = line.match_indices(&literal).map(|(at, found)| (&line[..at], &line[at + found.len()..]));
    let mut sides = around.map(|(before, after)| (before.trim_end(), after.trim_start()));
    let before = ["==", "!=", "|"];
    let after = ["==", "!=", "=>", "|", "if "];
    let beside = |(left, right): (&str, &str)| {
        before.iter().any(|sign| left.ends_with(sign)) || after.iter().any(|sign| right.starts_with(sign))
    };
    line.contains(&literal) && (line.contains(".contains(") || line.contains("matches!(") || sides.any(beside))
}

#[test]
fn no_state_is_compared_as_text() {
    let named: Vec<String> = NAMED.iter().map(|file| code_of(&top().join(file))).collect();
    let names: Vec<&str> = named.iter().flat_map(|code| names(code)).collect();
    assert!(
        names.len() == 32 && names.contains(&"refuse") && names.contains(&"in-doubt") && names.contains(&"not-started"),
        "{names:?}"
    );
    let templates =
        std::fs::read_dir(top().join("host/src/page/templates")).unwrap().map(|entry| entry.unwrap().path());
    let templates = templates.map(|path| (path.display().to_string(), std::fs::read_to_string(path).unwrap()));
    let mut wrong = Vec::new();
    for (path, text) in sources("host").into_iter().chain(templates) {
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let meant = |name: &str| !OTHERS.contains(&(path.as_str(), name));
            if names.iter().any(|name| compares(line, name) && meant(name)) {
                wrong.push(format!("{path}: a state is compared as text: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn comparisons_with_text_are_found() {
    for line in [
        "if phase == \"held\" {",
        "if \"held\" != phase {",
        "call: Some(CallHint { number, phase: \"cleared\" | \"held\" }), ..",
        "\"held\" => approve(),",
        "\"held\" if question => answer(),",
        "matches!(state, \"held\")",
        "let waits = [\"waiting\", \"held\"].contains(&state);",
        "{% if row.phase == \"held\" %}",
    ] {
        assert!(compares(line, "held"), "{line}");
    }
    for line in ["let held = say(\"held\");", "CallState::Held => \"held\",", "Held = \"held\",", "x == \"held-back\""]
    {
        assert!(!compares(line, "held"), "{line}");
    }
}
