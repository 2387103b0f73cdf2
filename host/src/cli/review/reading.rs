//! Text longer than the screen, with the reading progress.

use super::screen::Input;
use crate::review::screen::rows;
use crate::review::terminal::Line;

/// Rows, and how far the reviewer has read.
#[derive(Default)]
pub(super) struct ReadingProgress {
    rows: Vec<Line>,
    top: usize,
    /// The number of rows on the screen at the last drawing.
    height: usize,
    /// Whether the end has been on the screen.
    pub(super) ended: bool,
}

impl ReadingProgress {
    /// A text, from its beginning.
    pub(super) fn new(lines: &[Line], columns: usize) -> Self {
        Self { rows: rows(lines, columns), ..Self::default() }
    }

    /// Lays out the text again, for another width or with other words of the host. The reading
    /// progress is kept.
    pub(super) fn again(&mut self, lines: &[Line], columns: usize) {
        self.rows = rows(lines, columns);
    }

    /// The rows on a screen of this height. Records whether the end of the text was on the screen.
    pub(super) fn view(&mut self, height: usize) -> Vec<Line> {
        self.height = height;
        self.top = self.top.min(self.rows.len().saturating_sub(height));
        self.ended |= height > 0 && self.top + height >= self.rows.len();
        self.rows.iter().skip(self.top).take(height).cloned().collect()
    }

    /// The part of the text above the lower edge of the screen, in per cent.
    pub(super) fn share(&self) -> usize {
        100 * (self.top + self.height).min(self.rows.len()) / self.rows.len().max(1)
    }

    /// Scrolls if the key is a scrolling key.
    pub(super) fn scroll(&mut self, input: &Input) {
        // One row of the previous page stays visible.
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

    /// Scrolls until these rows are visible.
    pub(super) fn show(&mut self, rows: std::ops::Range<usize>, height: usize) {
        self.top = self.top.max(rows.end.saturating_sub(height)).min(rows.start);
    }
}
