//! Long evidence, split into pages.
//!
//! The host draws only the requested page and only counts the lines of the other pages. So a page of evidence with two
//! million lines costs as little as a page of short evidence.

use super::text::Text;

/// The maximum number of lines on a page.
const LINES: usize = 1_000;
/// The maximum number of bytes on a page, counted before characters are escaped. A longer line continues on
/// the next page.
const BYTES: usize = 64 * 1024;

/// One page of a long text.
#[derive(Debug)]
pub struct TextPage {
    pub lines: Vec<NumberedLine>,
    /// The number of pages of the text.
    pub pages: usize,
    /// The number of lines of the whole text.
    pub count: usize,
}

/// A line of the text, or the part of a line that is on this page.
#[derive(Debug)]
pub struct NumberedLine {
    /// The line's number in the whole text.
    pub number: usize,
    /// Whether the line began on an earlier page.
    pub goes_on: bool,
    pub text: Text,
}

impl TextPage {
    /// Returns the page with the number `wanted`, counted from 1; `None` after the last page. All pages together
    /// contain the whole text.
    pub fn of(bytes: &[u8], wanted: usize) -> Option<Self> {
        let (mut picked, mut page, mut on_page, mut count) = (Vec::new(), 1, (0, 0), 0);
        for line in bytes.split(|byte| *byte == b'\n') {
            count += 1;
            let (mut rest, mut goes_on) = (Some(line), false);
            while let Some(line) = rest {
                let (part, more) = line.split_at_checked(end(line)).unwrap_or((line, &[]));
                let (lines, taken) = on_page;
                if lines == LINES || lines > 0 && taken + part.len() > BYTES {
                    page += 1;
                    on_page = (0, 0);
                }
                on_page = (on_page.0 + 1, on_page.1 + part.len());
                picked.extend((page == wanted).then_some((count, goes_on, part)));
                (rest, goes_on) = (Some(more).filter(|more| !more.is_empty()), true);
            }
        }
        let drawn = |(number, goes_on, part)| NumberedLine { number, goes_on, text: Text::byte_line(part) };
        let lines: Vec<NumberedLine> = picked.into_iter().map(drawn).collect();
        (!lines.is_empty()).then_some(Self { lines, pages: page, count })
    }
}

/// The number of bytes at the beginning of a line that fit on one page. A character is never split.
fn end(line: &[u8]) -> usize {
    let is_within = |at: &usize| line.get(*at).is_some_and(|byte| byte & 0xC0 == 0x80);
    let last = BYTES.min(line.len());
    (last.saturating_sub(3)..=last).rev().find(|at| !is_within(at)).unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws all pages. Returns their lines, the number of pages, and the length of the longest page in bytes.
    fn all(bytes: &[u8]) -> (Vec<(usize, String)>, usize, usize) {
        let first = TextPage::of(bytes, 1).unwrap();
        let (mut lines, mut longest) = (Vec::<(usize, String)>::new(), 0);
        for page in 1..=first.pages {
            let leaf = TextPage::of(bytes, page).unwrap();
            assert_eq!((leaf.pages, leaf.count), (first.pages, first.count));
            assert!(leaf.lines.len() <= LINES);
            longest = longest.max(leaf.lines.iter().map(|line| line.text.to_string().len()).sum());
            for line in leaf.lines {
                match lines.last_mut().filter(|_| line.goes_on) {
                    Some((number, text)) => {
                        assert_eq!(*number, line.number);
                        text.push_str(&line.text.to_string());
                    }
                    None => lines.push((line.number, line.text.to_string())),
                }
            }
        }
        assert!(TextPage::of(bytes, 0).is_none() && TextPage::of(bytes, first.pages + 1).is_none());
        (lines, first.pages, longest)
    }

    #[test]
    fn all_pages_together_are_the_text_and_none_is_long() {
        let long = "é".repeat(BYTES);
        let texts: [(Vec<u8>, usize); 9] = [
            (b"".to_vec(), 1),
            (b"one".to_vec(), 1),
            (b"\n".repeat(LINES - 1), 1),
            (b"\n".repeat(LINES), 2),
            (b"\n".repeat(100 * LINES), 101),
            (b"0123456789abcdef\n".repeat(3 * LINES), 4),
            ([b"\x00".repeat(BYTES), b"\n".to_vec(), b"\xff".repeat(3 * BYTES)].concat(), 4),
            (format!("a\n{long}\nb").into_bytes(), 4),
            (format!("x{long}{long}").into_bytes(), 5),
        ];
        for (bytes, pages) in texts {
            let (lines, found, longest) = all(&bytes);
            assert_eq!(found, pages, "{} bytes", bytes.len());
            let whole: Vec<(usize, String)> =
                Text::byte_lines(&bytes).iter().enumerate().map(|(at, text)| (at + 1, text.to_string())).collect();
            assert!(lines == whole, "{} bytes are drawn otherwise", bytes.len());
            assert!(longest <= 8 * BYTES, "a page of {longest} bytes");
        }
    }
}
