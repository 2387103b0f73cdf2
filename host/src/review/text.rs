//! Text for a page's templates, which take nothing else that an agent may have written.

use std::fmt;

use serde_json::Value;

use super::visible;

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

    /// A value as indented JSON that reads back as the same value.
    pub fn json(value: &Value) -> Self {
        Self(visible::json(value))
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
