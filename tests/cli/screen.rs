//! The full screen of `holdshort review`, as a person uses it: the keys they type, and what the screen then shows.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Folder, HOLDSHORT, top};

/// A program that has a terminal for itself.
pub struct Screen {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    last: Value,
}

impl Screen {
    /// Starts the program in a folder, on a terminal with this many columns and rows.
    pub fn open(folder: &Folder, size: (u16, u16), arguments: &[&str], more: &[(&str, &str)]) -> Self {
        let mut environment =
            json!({ "PATH": std::env::var("PATH").unwrap(), "USER": "olivia", "TERM": "xterm-256color" });
        for (name, value) in more {
            environment[*name] = Value::from(*value);
        }
        let command = [&[HOLDSHORT], arguments].concat();
        let order = json!({ "command": command, "folder": folder.path(), "size": size, "environment": environment });
        let mut child = Command::new("python3")
            .arg(top().join("tests/cli/screen.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 gives the terminal");
        let (mut to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        writeln!(to, "{order}").unwrap();
        Self { child, to, from, last: Value::Null }
    }

    fn step(&mut self, step: &Value) -> &mut Self {
        writeln!(self.to, "{step}").unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        self.last = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{step}: {error}: {line}"));
        assert_eq!(self.last["failed"], Value::Null, "{step} on\n{}", self.text());
        assert_eq!(self.last["unknown"], json!([]), "nothing acts on the terminal that should not");
        self
    }

    /// Types these keys.
    pub fn keys(&mut self, keys: &str) -> &mut Self {
        self.step(&json!({ "type": keys }))
    }

    /// Waits until each of these texts is on the screen.
    pub fn sees(&mut self, texts: &[&str]) -> &mut Self {
        self.step(&json!({ "see": texts }))
    }

    pub fn resize(&mut self, columns: u16, rows: u16) -> &mut Self {
        self.step(&json!({ "size": [columns, rows] }))
    }

    pub fn signal(&mut self, signal: i32) -> &mut Self {
        self.step(&json!({ "signal": signal }))
    }

    /// The text on the screen.
    pub fn text(&self) -> String {
        self.last["screen"].as_str().unwrap_or_default().to_owned()
    }

    /// Every byte that the program has written so far.
    pub fn raw(&self) -> String {
        self.last["raw"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the program has ended with this code, and has restored the terminal.
    pub fn ends(&mut self, code: i64) {
        self.step(&json!({ "end": true }));
        assert_eq!(self.last["code"], code, "{}", self.raw());
        assert_eq!(self.last["restored"], true, "the terminal as it was: {:?}", self.raw());
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The driver ends the program when its own input ends.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
