//! The command line on a pseudo-terminal.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Folder, HOLDSHORT, top};

/// What a person saw.
#[derive(Debug)]
pub struct Seen {
    /// The exit code as a shell reports it; negative for a signal.
    pub code: i64,
    /// Every byte of the output.
    pub raw: String,
    /// The screen at the end.
    pub screen: String,
}

/// Runs the command line in a folder on a terminal with this many columns; `steps` are texts to wait for, each with the
/// text to type then.
pub fn on_terminal(folder: &Folder, columns: u16, arguments: &[&str], steps: &[(&str, &str)]) -> Seen {
    with_variables(folder, columns, arguments, steps, &[])
}

/// Like `on_terminal`, with these environment variables.
pub fn with_variables(
    folder: &Folder,
    columns: u16,
    arguments: &[&str],
    steps: &[(&str, &str)],
    more: &[(&str, &str)],
) -> Seen {
    let mut environment = json!({ "PATH": std::env::var("PATH").unwrap(), "USER": "olivia", "TERM": "xterm-256color" });
    for (name, value) in more {
        environment[*name] = Value::from(*value);
    }
    let command = [&[HOLDSHORT], arguments].concat();
    let order = json!({
        "command": command,
        "folder": folder.path(),
        "columns": columns,
        "environment": environment,
        "steps": steps,
    });
    let mut python = Command::new("python3")
        .arg(top().join("tests/cli/terminal.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 gives the terminal");
    python.stdin.take().unwrap().write_all(order.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}"));
    let text = |field: &str| seen[field].as_str().unwrap().to_owned();
    assert_eq!((&seen["failed"], &seen["waited_for"]), (&Value::Null, &json!([])), "{}", text("screen"));
    Seen { code: seen["code"].as_i64().unwrap(), raw: text("raw"), screen: text("screen") }
}

impl Seen {
    /// Fails if a character of the progress animation is left on the screen.
    pub fn without_residue(self) -> Self {
        assert!(!self.screen.contains(|c| ('\u{2800}'..='\u{28ff}').contains(&c)), "{}", self.screen);
        self
    }
}
