//! Puts lines on a full screen.
//!
//! **Invariant:** a [`Screenful`] consists of [`Line`]s, so a cell of the screen contains only text that this package
//! made visible. A full screen differs from printed lines in two ways, and [`rows`] handles both. A line wider than the
//! screen would be cut, so it is wrapped again. A character without width has no cell of its own, so it is escaped.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;
use ratatui::widgets::Widget;
use unicode_width::UnicodeWidthStr;

use super::terminal::{Line, Tone, columns_of, wrap};

/// The beginning of a row that continues the row above.
const GOES_ON: &str = "  ┊ ";

/// A full screen, from top to bottom. The foot is at the lower edge.
#[derive(Clone, Debug, Default)]
pub struct Screenful {
    pub title: Vec<Line>,
    /// The part of the content that fits on the screen.
    pub body: Vec<Line>,
    /// The result of the last command, the current question, and the keys.
    pub foot: Vec<Line>,
    pub colours: bool,
}

/// Wraps the lines to the width of the screen.
pub fn rows(lines: &[Line], columns: usize) -> Vec<Line> {
    lines.iter().flat_map(|line| narrow(line, columns)).collect()
}

fn narrow(line: &Line, columns: usize) -> Vec<Line> {
    let (tone, text) = (line.tone(), with_widths(line.text()));
    let room = columns.saturating_sub(columns_of(GOES_ON)).max(1);
    let first = wrap(&text, columns.max(1)).first().map_or(0, |first| first.len());
    let (first, rest) = text.split_at_checked(first).unwrap_or((&text, ""));
    let begin = std::iter::once(first.to_owned());
    let on = wrap(rest, room).into_iter().filter(|part| !part.is_empty()).map(|part| format!("{GOES_ON}{part}"));
    begin.chain(on).map(|text| Line::new(tone, text)).collect()
}

/// Escapes each character that would have no cell, such as a Hangul vowel without a consonant.
fn with_widths(text: &str) -> String {
    let span = Span::raw(text);
    let signs = span.styled_graphemes(Style::new()).map(|sign| match sign.symbol.width() {
        0 => sign.symbol.chars().map(|c| format!("<U+{:04X}>", u32::from(c))).collect(),
        _ => sign.symbol.to_owned(),
    });
    signs.collect()
}

impl Widget for &Screenful {
    fn render(self, area: Rect, cells: &mut Buffer) {
        let foot = self.foot.len().try_into().unwrap_or(u16::MAX);
        let lower = area.bottom().saturating_sub(foot).max(area.top());
        let above = (area.top()..lower).zip(self.title.iter().chain(&self.body));
        for (y, line) in above.chain((lower..area.bottom()).zip(&self.foot)) {
            let style = if self.colours { style(line.tone()) } else { Style::new() };
            cells.set_stringn(area.x, y, line.text(), area.width.into(), style);
        }
    }
}

fn style(tone: Tone) -> Style {
    match tone {
        Tone::Heading => Style::new().add_modifier(Modifier::BOLD),
        Tone::Warning => Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD),
        Tone::Claim => Style::new().add_modifier(Modifier::DIM),
        Tone::Before => Style::new().fg(Color::Red),
        Tone::After => Style::new().fg(Color::Green),
        Tone::Content => Style::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::terminal;
    use super::*;

    #[test]
    fn whatever_is_too_wide_is_wrapped_and_nothing_is_lost() {
        for text in ["a".repeat(100), "日本語".repeat(20), "<U+202E>".repeat(9), "a b ".repeat(30)] {
            let lines = terminal::row("", &text, usize::MAX);
            for columns in [14, 24, 40, 200] {
                let rows = rows(&lines, columns);
                assert!(rows.iter().all(|row| row.text().width() <= columns), "{columns}: {rows:?}");
                let joined: String = rows.iter().map(|row| row.text().trim_start_matches(GOES_ON)).collect();
                assert_eq!(joined, lines[0].text());
            }
        }
    }

    #[test]
    fn what_has_no_width_is_written_out() {
        let rows = rows(&[Line::new(Tone::Content, "a \u{1161} \u{1112}\u{1161}\u{11ab}".into())], 80);
        assert_eq!(rows[0].text(), "a <U+1161> \u{1112}\u{1161}\u{11ab}");
    }
}
