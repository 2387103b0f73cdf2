//! Reviewed lines as the cells of a full screen.
//!
//! A [`Screenful`] is made of [`Line`]s and nothing else, so that only what this room has made visible reaches a cell. Cells differ from a printed
//! line in two ways, and [`rows`] sees to both: what is too wide for the screen is not shown by anybody, so it is wrapped once more, and a sign
//! without a width of its own has no cell, so it is written out.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;
use ratatui::widgets::Widget;
use unicode_width::UnicodeWidthStr;

use super::terminal::{Line, Tone, columns_of, wrap};

/// What begins a row that goes on with the one above.
const GOES_ON: &str = "  ┊ ";

/// A screenful, top to bottom; the foot stands at the lower edge.
#[derive(Clone, Debug, Default)]
pub struct Screenful {
    /// What this is.
    pub title: Vec<Line>,
    /// As much of the matter as there is room for.
    pub body: Vec<Line>,
    /// What has happened, what is asked, and which keys do something.
    pub foot: Vec<Line>,
    /// Whether colours are wanted.
    pub colours: bool,
}

/// Lines as rows of a screen, each narrow enough for it.
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

/// The text with each sign that would get no cell written out, such as a vowel of Hangul without its consonant.
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
        Tone::Matter => Style::new(),
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
        let rows = rows(&[Line::new(Tone::Matter, "a \u{1161} \u{1112}\u{1161}\u{11ab}".into())], 80);
        assert_eq!(rows[0].text(), "a <U+1161> \u{1112}\u{1161}\u{11ab}");
    }
}
