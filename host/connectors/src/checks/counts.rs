//! Finds test counts in the last lines of common test runners.
//!
//! The counts are only a claim of the repository's own code, because its program prints them. The exit status decides
//! whether a check passed.

/// The counts of a test run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u32,
    pub(super) failed: u32,
    pub(super) skipped: u32,
}

/// Searches for the last lines that cargo, Python's unittest, pytest, jest and similar runners print, and for TAP.
pub(super) fn find(output: &str) -> Option<Counts> {
    let output = plain(output);
    let lines = || output.lines().map(str::trim);
    cargo(lines())
        .or_else(|| unittest(lines()))
        .or_else(|| lines().rev().find_map(list))
        .or_else(|| tap_totals(lines()))
        .or_else(|| tap(lines()))
}

/// The sum over `test result: ok. 3 passed; 0 failed; 1 ignored; …`, one line per test program.
fn cargo<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Counts> {
    let results = lines.filter_map(|line| line.strip_prefix("test result: ")).filter_map(|line| {
        let (_, counts) = line.split_once(". ")?;
        words(counts.split(';'))
    });
    results.reduce(|sum, one| Counts {
        passed: sum.passed.saturating_add(one.passed),
        failed: sum.failed.saturating_add(one.failed),
        skipped: sum.skipped.saturating_add(one.skipped),
    })
}

/// Reads the lines of Python's runner: `Ran 4 tests in 0.002s`, then `OK`, `OK (skipped=1)` or `FAILED (failures=1,
/// errors=1)`.
fn unittest<'a>(mut lines: impl DoubleEndedIterator<Item = &'a str>) -> Option<Counts> {
    let mut counts = Counts::default();
    let verdict = lines.rfind(|line| !line.is_empty())?;
    let details = match verdict.strip_prefix("OK").or(verdict.strip_prefix("FAILED"))?.trim() {
        "" => "",
        details => details.strip_prefix('(')?.strip_suffix(')')?,
    };
    for part in details.split(", ").filter(|part| !part.is_empty()) {
        let (name, number) = part.split_once('=')?;
        let number: u32 = number.parse().ok()?;
        match name {
            "failures" | "errors" | "unexpected successes" => counts.failed = counts.failed.saturating_add(number),
            "skipped" => counts.skipped = number,
            _ => {}
        }
    }
    let ran = lines.rfind(|line| !line.is_empty())?.strip_prefix("Ran ")?;
    let ran: u32 = ran.split_once(" test")?.0.parse().ok()?;
    counts.passed = ran.checked_sub(counts.failed)?.checked_sub(counts.skipped)?;
    Some(counts)
}

/// Reads a line such as `===== 3 passed, 1 failed in 0.12s =====`, `Tests: 1 failed, 3 passed, 4 total` or `3 passed, 1
/// failed`.
fn list(line: &str) -> Option<Counts> {
    let line = line.trim_matches(['=', ' ']);
    let line = line.strip_prefix("Tests:").unwrap_or(line);
    let (line, _) = line.split_once(" in ").unwrap_or((line, ""));
    words(line.split(','))
}

/// Reads parts such as `3 passed` and `1 failed`. `None` if a part is not a number and a word, or
/// if no word is known.
fn words<'a>(parts: impl Iterator<Item = &'a str>) -> Option<Counts> {
    let (mut counts, mut is_known) = (Counts::default(), false);
    for part in parts.map(str::trim).filter(|part| !part.is_empty()) {
        let (number, word) = part.split_once(' ')?;
        let Ok(number) = number.parse::<u32>() else {
            // Cargo's line ends in `finished in 0.01s`.
            if number == "finished" { continue } else { return None }
        };
        let slot = match word {
            "passed" | "pass" => &mut counts.passed,
            "failed" | "fail" | "failures" | "failure" | "errors" | "error" => &mut counts.failed,
            "skipped" | "ignored" | "pending" | "todo" => &mut counts.skipped,
            _ => continue,
        };
        *slot = slot.saturating_add(number);
        is_known = true;
    }
    is_known.then_some(counts)
}

/// Reads Node's last lines: `# pass 3`, `# fail 0`, `# skipped 1`.
fn tap_totals<'a>(lines: impl DoubleEndedIterator<Item = &'a str> + Clone) -> Option<Counts> {
    let last = |name: &str| {
        let numbers = lines.clone().rev().filter_map(|line| line.strip_prefix("# ").or(line.strip_prefix("ℹ ")));
        numbers.filter_map(|line| line.strip_prefix(name)).find_map(|number| number.trim().parse().ok())
    };
    Some(Counts { passed: last("pass ")?, failed: last("fail ")?, skipped: last("skipped ").unwrap_or(0) })
}

/// Reads the lines of TAP: `ok 1 - name`, `not ok 2`, `ok 3 # SKIP why`, with a plan `1..3` before or after.
fn tap<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Counts> {
    let (mut counts, mut has_plan) = (Counts::default(), false);
    for line in lines {
        let lower = line.to_ascii_lowercase();
        let is_skipped = lower.contains("# skip") || lower.contains("# todo");
        let is_test = |rest: &str| rest.is_empty() || rest.starts_with(' ');
        if line.strip_prefix("1..").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            has_plan = true;
        } else if line.strip_prefix("not ok").is_some_and(is_test) {
            if is_skipped { counts.skipped += 1 } else { counts.failed += 1 }
        } else if line.strip_prefix("ok").is_some_and(is_test) {
            if is_skipped { counts.skipped += 1 } else { counts.passed += 1 }
        }
    }
    has_plan.then_some(counts)
}

/// Removes the control sequences for colours from a text.
fn plain(text: &str) -> String {
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        rest = rest.strip_prefix(|c: char| c.is_ascii_alphabetic()).unwrap_or(rest);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(output: &str, expected: Option<(u32, u32, u32)>) {
        let expected = expected.map(|(passed, failed, skipped)| Counts { passed, failed, skipped });
        assert_eq!(find(output), expected, "{output}");
    }

    #[test]
    fn closing_lines_of_common_runners_are_read() {
        let cargo = "running 4 tests\ntest result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n";
        check(cargo, Some((3, 0, 1)));
        let failed =
            "test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.50s";
        check(&format!("{cargo}\n{failed}"), Some((8, 2, 1)));
        check("\x1b[1mtest result: \x1b[32mok\x1b[0m. 3 passed; 0 failed; 0 ignored", Some((3, 0, 0)));
        check("===== 3 passed, 1 failed in 0.12s =====\n", Some((3, 1, 0)));
        check("=== 2 failed, 310 passed, 4 skipped, 1 warning, 1 error in 9.0s (0:00:09) ===", Some((310, 3, 4)));
        check("Tests:       1 failed, 2 skipped, 3 passed, 6 total\nSnapshots:   0 total\nTime: 1 s", Some((3, 1, 2)));
        check("3 passed, 0 failed", Some((3, 0, 0)));
        check("test_a ... ok\n\n-----\nRan 2 tests in 0.000s\n\nOK\n", Some((2, 0, 0)));
        check("Ran 1 test in 0.000s\n\nOK (skipped=1)\n", Some((0, 0, 1)));
        check("Ran 7 tests in 0.1s\n\nFAILED (failures=1, errors=2, skipped=1)\n", Some((3, 3, 1)));
        check("TAP version 13\n1..4\nok 1 - a\nnot ok 2 - b\nok 3 # SKIP no net\nok 4\n", Some((2, 1, 1)));
        check("ok 1 - a\n# tests 4\n# pass 3\n# fail 1\n# skipped 0\n", Some((3, 1, 0)));
    }

    #[test]
    fn other_output_is_not_counted() {
        for output in [
            "",
            "ok\tgithub.com/x/y\t0.2s",
            "all good",
            "1 file passed through",
            "okay 1\nok 2 go",
            "passed, 1",
            "Ran 1 test in 0.1s\n\nOK (skipped=2)",
        ] {
            check(output, None);
        }
    }
}
