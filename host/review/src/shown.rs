//! Text that may be shown. Whoever prints takes nothing else, so that there is no way round this room.
//!
//! **Invariant:** The outputs of the program and its log take `Shown` and nothing else. A text that the host quotes in an error stands behind a
//! bar from its second line on, and an entry of the log is one line, so no agent and no program writes a line of the host's. `tests/tidy.rs`
//! holds that nothing else opens an output.

use std::fmt;

use serde_json::Value;

use super::terminal::{self, Line, Tone};
use super::visible;

/// Whole lines in which every character can be seen and none acts on the screen, apart from the ends of lines, and colours where they were asked for.
///
/// Only this room makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    /// Reviewed lines, as they are.
    pub fn plain(lines: &[Line]) -> Self {
        Self(terminal::plain(lines))
    }

    /// Reviewed lines in the colours of their tones.
    pub fn painted(lines: &[Line]) -> Self {
        // The only escape sequences that this program prints; the lines themselves can hold none.
        let painted = lines.iter().map(|line| match colour(line.tone()) {
            Some(code) => format!("\u{1b}[{code}m{}\u{1b}[0m\n", line.text()),
            None => format!("{}\n", line.text()),
        });
        Self(painted.collect())
    }

    /// A text that is the whole of what is printed, line by line, for programs: nothing of the host's stands beside it that it could imitate.
    pub fn text(text: &str) -> Self {
        let whole = text.strip_suffix('\n').unwrap_or(text);
        Self(visible::lines(whole).iter().flat_map(|line| [line.as_str(), "\n"]).collect())
    }

    /// Indented JSON that reads back as the same value.
    pub fn json(value: &Value) -> Self {
        Self(visible::json(value) + "\n")
    }

    /// The same on one line.
    pub fn json_line(value: &Value) -> Self {
        Self(visible::json_line(value) + "\n")
    }

    /// An entry of the host's log, on one line whatever it quotes.
    pub fn entry(entry: &str) -> Self {
        Self(visible::fixed(entry.trim_end_matches('\n')) + "\n")
    }

    /// An entry of the host's log that is a JSON document on one line.
    pub fn json_entry(entry: &str) -> Self {
        Self(visible::escaped(entry.trim_end_matches('\n')) + "\n")
    }

    /// A question, with a space behind it for the answer.
    pub fn question(question: &str) -> Self {
        Self(visible::line(question) + " ")
    }

    /// An empty line.
    pub fn gap() -> Self {
        Self("\n".into())
    }

    /// The bytes to write.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn colour(tone: Tone) -> Option<&'static str> {
    match tone {
        Tone::Heading => Some("1"),
        Tone::Warning => Some("1;33"),
        Tone::Claim => Some("2"),
        Tone::Before => Some("31"),
        Tone::After => Some("32"),
        Tone::Matter => None,
    }
}
