//! The output of a command, and the files with the expected output.
//!
//! `HOLDSHORT_BLESS=1 cargo test -p holdshort --test cli` rewrites the files in `tests/data/errors` and
//! `tests/data/cli`. Read the changes before you commit them.

use std::fs;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::{Folder, Host, top};

/// How a command ended.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("what a command says is text");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Said {
    /// Fails unless the command ended with this code.
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// The results of the command, as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs the command line in a folder.
pub fn holdshort(folder: &Folder, arguments: &[&str]) -> Said {
    folder.run(arguments).into()
}

/// Runs a command that must fail, and compares all its output with the file `name`.
pub fn fails(name: &str, folder: &Folder, arguments: &[&str]) -> Said {
    let said = holdshort(folder, arguments);
    let shown = |argument: &&str| {
        if argument.is_empty() || argument.contains(' ') { format!("'{argument}'") } else { (*argument).to_owned() }
    };
    let command = arguments.iter().map(shown).collect::<Vec<_>>().join(" ");
    let code = said.code.map_or("by a signal".into(), |code| code.to_string());
    let text = format!("$ holdshort {command}\n{}{}exit {code}\n", said.out, said.err);
    is_expected("errors", &format!("{name}.txt"), &normal(&text, folder));
    said
}

/// Runs a command that must succeed, and compares its results with the file `name`. Wrapped lines are joined first,
/// because the wrapping depends on the length of the folder's name.
pub fn prints(name: &str, folder: &Folder, arguments: &[&str]) -> Said {
    let said = holdshort(folder, arguments).exits(0);
    let (mut lines, mut joined) = (said.out.lines(), String::new());
    joined += lines.next().unwrap_or_default();
    for line in lines {
        joined += &line.trim_start().strip_prefix("┊ ").map_or_else(|| format!("\n{line}"), str::to_owned);
    }
    is_expected("cli", &format!("{name}.txt"), &normal(&(joined + "\n"), folder));
    said
}

/// Sends a request that must be refused, and compares the answer with the file `name`.
pub fn refused(name: &str, folder: &Folder, host: &Host, path: &str, body: Option<&Value>) -> Value {
    let (status, problem) = host.request(&host.token, path, body);
    let method = if body.is_some() { "POST" } else { "GET" };
    document(name, folder, &json!({ "request": format!("{method} {path}"), "status": status, "problem": problem }));
    problem
}

/// Compares a document with the file `name`.
pub fn document(name: &str, folder: &Folder, document: &Value) {
    is_expected("errors", &format!("{name}.json"), &normal(&format!("{document:#}\n"), folder));
}

pub fn is_expected(kind: &str, file: &str, found: &str) {
    let path = top().join("tests/data").join(kind).join(file);
    if std::env::var_os("HOLDSHORT_BLESS").is_some() {
        fs::write(&path, found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == found, "{} should hold:\n{found}", path.display());
}

/// The text with a fixed word in place of each value that changes from run to run.
pub fn normal(text: &str, folder: &Folder) -> String {
    let text = text.replace(folder.path().to_str().unwrap(), "FOLDER").replace(top().to_str().unwrap(), "PROJECT");
    let (mut shown, mut rest) = (String::new(), text.as_str());
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let length = if let Some(length) = time(rest) {
            shown.push_str("TIME");
            length
        } else if word > 0 {
            shown.push_str(&named(&rest[..word], &shown));
            word
        } else {
            shown.push(first);
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    shown
}

/// The length of a point in time at the beginning of the text.
fn time(text: &str) -> Option<usize> {
    let shape = "dddd-dd-ddTdd:dd:dd";
    let fits = |(c, s): (char, char)| if s == 'd' { c.is_ascii_digit() } else { c == s };
    let begins = text.len() > shape.len() && text.chars().zip(shape.chars()).all(fits);
    begins.then(|| text.find('Z').map(|end| end + 1)).flatten()
}

fn named(word: &str, before: &str) -> String {
    let hex = word.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
    let digits = word.chars().all(|c| c.is_ascii_digit());
    let name = match word.len() {
        64 if hex => "DIGEST",
        40 if hex => "COMMIT",
        12 if hex && !digits => "COMMIT12",
        16 if word.starts_with("06") && word.chars().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase()) => "RUN",
        _ if digits && before.ends_with("process ") => "NUMBER",
        _ if digits && before.ends_with("127.0.0.1:") => "PORT",
        _ => word,
    };
    name.to_owned()
}

#[test]
fn what_changes_each_time_is_named() {
    let folder = Folder::new(&[], "");
    let text = format!(
        "{}/x at 2026-11-25T10:09:47.216492Z, http://127.0.0.1:7411/y, process 12; 06h14bpdc71h03qb.4 sha256:{} is 9",
        folder.path().display(),
        "0a".repeat(32)
    );
    let expected = "FOLDER/x at TIME, http://127.0.0.1:PORT/y, process NUMBER; RUN.4 sha256:DIGEST is 9";
    assert_eq!(normal(&text, &folder), expected);
}
