//! The sources of a checkout as lines: for the tests that check their form, and for the figures about them.

use std::io;
use std::path::{Path, PathBuf};

/// A Rust file without its unit tests.
pub struct Source {
    /// The path from the top of the checkout, with `/` between its parts.
    pub path: String,
    /// The code up to the unit tests, which stand at the end of the file.
    pub code: String,
}

/// A function with a body.
pub struct Function {
    /// The number of its first line, from 1.
    pub line: usize,
    /// How many lines it has.
    pub lines: usize,
}

/// The Rust files of a folder or a file of the checkout `top`, without tests and benchmarks.
///
/// # Errors
/// A folder or a file cannot be read.
pub fn sources(top: &Path, folder: &str) -> io::Result<Vec<Source>> {
    let (mut found, mut folders) = (Vec::new(), vec![top.join(folder)]);
    // A module may be a single file, with a folder of its tests beside it.
    let file = top.join(folder).with_extension("rs");
    if file.is_file() {
        found.push(source(top, &file)?);
    }
    while let Some(folder) = folders.pop().filter(|folder| folder.is_dir()) {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !["tests", "target", "benches"].contains(&name.as_str()) {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                found.push(source(top, &path)?);
            }
        }
    }
    Ok(found)
}

fn source(top: &Path, path: &PathBuf) -> io::Result<Source> {
    let name = path.strip_prefix(top).unwrap_or(path).display().to_string();
    Ok(Source { path: name, code: code(&std::fs::read_to_string(path)?).to_owned() })
}

/// The text before the unit tests.
pub fn code(text: &str) -> &str {
    let is_tests = |at: &usize| {
        text.get(*at..).is_some_and(|from| from.lines().nth(1).is_some_and(|line| line.ends_with("mod tests {")))
    };
    let tests = text.match_indices("#[cfg(test)]\n").map(|(at, _)| at).find(is_tests);
    tests.and_then(|at| text.get(..at)).unwrap_or(text)
}

/// The functions of formatted code. A function ends at the first line that closes a brace at the function's own
/// indentation.
pub fn functions(code: &str) -> Vec<Function> {
    let lines: Vec<&str> = code.lines().collect();
    let from = |start: usize| lines.iter().skip(start);
    let is_function = |line: &str| {
        let mut words = line.split_whitespace().take_while(|word| !word.contains('(') || word.starts_with("pub("));
        words.any(|word| word == "fn") && !line.trim_start().starts_with("//")
    };
    // A function of a trait may have no body. Then a `;` comes before any `{`.
    let has_body =
        |start| from(start).find(|line| line.ends_with([';', '{', '}'])).is_some_and(|line| !line.ends_with(';'));
    let starts = lines.iter().enumerate().filter(|(start, line)| is_function(line) && has_body(*start));
    let function = |(start, line): (usize, &&str)| {
        let indent = line.len() - line.trim_start().len();
        let close = format!("{}}}", " ".repeat(indent));
        let lines = from(start).position(|line| *line == close).map_or(1, |end| end + 1);
        Function { line: start + 1, lines }
    };
    starts.map(function).collect()
}
