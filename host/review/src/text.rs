//! Text for a page's templates. A template accepts an agent's words only as this type.

use std::fmt;

use holdshort_words::Piece;
use serde_json::Value;

use super::{remarks, visible};

/// One line of visible characters, none of which controls the screen. The template escapes HTML.
///
/// Only this package makes values of this type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Makes one line of any text. Line ends in the text are escaped.
    pub fn line(text: &str) -> Self {
        Self(visible::line(text))
    }

    /// Makes lines of any text.
    pub fn lines(text: &str) -> Vec<Self> {
        visible::lines(text).into_iter().map(Self).collect()
    }

    /// Makes lines of any bytes. A byte outside UTF-8 is drawn as `<E9>`.
    pub fn byte_lines(bytes: &[u8]) -> Vec<Self> {
        visible::byte_lines(bytes).into_iter().map(Self).collect()
    }

    /// Makes one line of any bytes.
    pub fn byte_line(bytes: &[u8]) -> Self {
        Self(visible::byte_line(bytes))
    }

    /// Any text as the content of a form's field, with line ends. Characters that a field would hide are escaped, so
    /// the field shows the complete text. [`Text::typed`] reads it back.
    pub fn field(text: &str) -> Self {
        Self(visible::lines(text).join("\n"))
    }

    /// Reads back the text of a form's field, which a reviewer may have changed.
    pub fn typed(field: &str) -> String {
        visible::read(field)
    }

    /// The warnings and notes about a text at a position.
    pub fn remarks(place: &str, text: &str) -> Vec<Self> {
        remarks::of_text(place, text).iter().map(|remark| Self(remark.to_string())).collect()
    }

    /// A value as JSON on one line that reads back as the same value.
    pub fn compact(value: &Value) -> Self {
        Self(visible::json_line(value))
    }

    /// A value as indented JSON that reads back as the same value.
    pub fn json(value: &Value) -> Self {
        Self(visible::json(value))
    }

    /// The text in parts. The flag tells whether a part is a quotation inside a sentence of the host. The page sets
    /// quotations apart, with their own direction.
    pub fn pieces(&self) -> Vec<(bool, Self)> {
        let pieces = holdshort_words::pieces(&self.0).into_iter();
        pieces.map(|piece| (matches!(piece, Piece::Quoted(_)), Self(piece.to_string()))).collect()
    }

    /// Wraps text that this package has already made visible.
    pub(super) fn seen(text: String) -> Self {
        Self(text)
    }

    /// Whether the text has no characters.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
