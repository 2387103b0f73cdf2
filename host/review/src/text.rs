//! Text for a page's templates, which take nothing else that an agent may have written.
//!
//! **Invariant:** A summary is stored as text, in the journal and under the digest. `holdshort_words::pieces` finds its quotations again, and a
//! page sets each one apart in its own direction, so right-to-left words do not turn the host's words around.

use std::fmt;

use holdshort_words::Piece;
use serde_json::Value;

use super::{marks, visible};

/// One line in which every character can be seen and none acts on the screen. What HTML would read as markup is escaped by the template.
///
/// Only this room makes one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Any text, on one line.
    pub fn line(text: &str) -> Self {
        Self(visible::line(text))
    }

    /// Any text, line by line.
    pub fn lines(text: &str) -> Vec<Self> {
        visible::lines(text).into_iter().map(Self).collect()
    }

    /// Any bytes, line by line: those that are no text are drawn each as itself.
    pub fn byte_lines(bytes: &[u8]) -> Vec<Self> {
        visible::byte_lines(bytes).into_iter().map(Self).collect()
    }

    /// Any bytes, on one line.
    pub fn byte_line(bytes: &[u8]) -> Self {
        Self(visible::byte_line(bytes))
    }

    /// Any text as it stands in a field of a form, over several lines if it has them.
    /// Where a field would hide a character it is written out, so the field holds all of the text: [`Text::typed`] reads it back.
    pub fn field(text: &str) -> Self {
        Self(visible::lines(text).join("\n"))
    }

    /// The text that stands in a form's field.
    pub fn typed(field: &str) -> String {
        visible::read(field)
    }

    /// The warnings about a text that stands at a place.
    pub fn marks(place: &str, text: &str) -> Vec<Self> {
        marks::of_text(place, text).iter().map(|mark| Self(mark.to_string())).collect()
    }

    /// A value as JSON on one line that reads back as the same value.
    pub fn compact(value: &Value) -> Self {
        Self(visible::json_line(value))
    }

    /// A value as indented JSON that reads back as the same value.
    pub fn json(value: &Value) -> Self {
        Self(visible::json(value))
    }

    /// The text in parts, each with whether it is a quotation in a sentence of the host's: a page sets quotations apart, in their own direction.
    pub fn pieces(&self) -> Vec<(bool, Self)> {
        let pieces = holdshort_words::pieces(&self.0).into_iter();
        pieces.map(|piece| (matches!(piece, Piece::Quoted(_)), Self(piece.to_string()))).collect()
    }

    /// What this room has made visible before.
    pub(super) fn seen(text: String) -> Self {
        Self(text)
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
