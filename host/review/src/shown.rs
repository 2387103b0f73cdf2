//! Text that may be printed. The printing functions take only [`VisibleLines`], so all output goes
//! through this package.

use std::fmt;

use serde_json::Value;

use super::terminal::{self, Line, Tone};
use super::visible;

/// Whole lines of visible characters. The only control characters are line ends and, if the caller asks
/// for them, colours.
///
/// Only this package makes values of this type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisibleLines(String);

impl VisibleLines {
    /// The lines without colours.
    pub fn plain(lines: &[Line]) -> Self {
        Self(terminal::plain(lines))
    }

    /// The lines in the colours of their tones.
    pub fn painted(lines: &[Line]) -> Self {
        // The program prints no other escape sequences. The lines themselves cannot contain any.
        let painted = lines.iter().map(|line| match colour(line.tone()) {
            Some(code) => format!("\u{1b}[{code}m{}\u{1b}[0m\n", line.text()),
            None => format!("{}\n", line.text()),
        });
        Self(painted.collect())
    }

    /// A text that is the complete output of a command, for programs. The output contains no text of the host that this
    /// text could imitate.
    pub fn text(text: &str) -> Self {
        let whole = text.strip_suffix('\n').unwrap_or(text);
        Self(visible::lines(whole).iter().flat_map(|line| [line.as_str(), "\n"]).collect())
    }

    /// Indented JSON that reads back as the same value.
    pub fn json(value: &Value) -> Self {
        Self(visible::json(value) + "\n")
    }

    /// JSON on one line that reads back as the same value.
    pub fn json_line(value: &Value) -> Self {
        Self(visible::json_line(value) + "\n")
    }

    /// An entry of the host's log. It is always one line.
    pub fn entry(entry: &str) -> Self {
        Self(visible::fixed(entry.trim_end_matches('\n')) + "\n")
    }

    /// An entry of the host's log that is a JSON document on one line.
    pub fn json_entry(entry: &str) -> Self {
        Self(visible::escaped(entry.trim_end_matches('\n')) + "\n")
    }

    /// A question, followed by a space for the answer.
    pub fn question(question: &str) -> Self {
        Self(visible::line(question) + " ")
    }

    /// An empty line.
    pub fn gap() -> Self {
        Self("\n".into())
    }

    /// The bytes to print, in UTF-8.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Display for VisibleLines {
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
        Tone::Content => None,
    }
}
