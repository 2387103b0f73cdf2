//! Text that is longer than the screen.

use super::screen::Input;
use crate::review::screen::rows;
use crate::review::terminal::Line;

/// Rows, and how far they have been read.
#[derive(Default)]
pub(super) struct Reading {
    rows: Vec<Line>,
    top: usize,
    /// Rows on the screen at a time, the last time.
    height: usize,
    /// Whether the end has been on the screen.
    pub(super) ended: bool,
}

impl Reading {
    /// A text from its beginning.
    pub(super) fn new(lines: &[Line], columns: usize) -> Self {
        Self { rows: rows(lines, columns), ..Self::default() }
    }

    /// The same text as before, for another width or with other words of the host's; it has been read as far as before.
    pub(super) fn again(&mut self, lines: &[Line], columns: usize) {
        self.rows = rows(lines, columns);
    }

    /// What stands on a screen with room for so many rows. From now on that much has been read.
    pub(super) fn view(&mut self, height: usize) -> Vec<Line> {
        self.height = height;
        self.top = self.top.min(self.rows.len().saturating_sub(height));
        self.ended |= height > 0 && self.top + height >= self.rows.len();
        self.rows.iter().skip(self.top).take(height).cloned().collect()
    }

    /// How much of it is above the lower edge, in per cent.
    pub(super) fn share(&self) -> usize {
        100 * (self.top + self.height).min(self.rows.len()) / self.rows.len().max(1)
    }

    /// Scrolls, if that is what was meant.
    pub(super) fn scroll(&mut self, input: &Input) {
        // One row of the page before stays.
        let page = self.height.saturating_sub(1).max(1);
        self.top = match input {
            Input::Down | Input::Char('j') => self.top + 1,
            Input::Up | Input::Char('k') => self.top.saturating_sub(1),
            Input::PageDown | Input::Char(' ') => self.top + page,
            Input::PageUp | Input::Char('b') => self.top.saturating_sub(page),
            Input::Home | Input::Char('g') => 0,
            Input::End | Input::Char('G') => usize::MAX - self.height,
            Input::Char(_) | Input::Paste(_) | Input::Enter | Input::Escape | Input::Backspace | Input::Stop => {
                self.top
            }
        };
    }

    /// Scrolls so that these rows can be seen.
    pub(super) fn show(&mut self, rows: std::ops::Range<usize>, height: usize) {
        self.top = self.top.max(rows.end.saturating_sub(height)).min(rows.start);
    }
}
