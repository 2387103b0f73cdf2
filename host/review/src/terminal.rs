//! An action as lines of text for a terminal.
//!
//! A line contains no byte below 0x20, no 0x7F and no C1 control character. The printer adds colours by [`Tone`].
//! **Invariant:** every line with the agent's text begins with text of the host: a label, an indentation or a bar. This
//! also holds after wrapping: `│` begins a line of a longer text, and `┊` continues the line above. So an agent cannot
//! imitate the frame around its words.

use holdshort_gate::{FunctionType, Proposal, RATIONALE, WitType};
use serde_json::{Map, Value};
use unicode_width::UnicodeWidthChar;

use super::changes::ValueChange;
use super::differences::{Difference, differences};
use super::evidence_gaps::evidence_gaps;
use super::outline::{self, Row, RowContent};
use super::remarks::{self, Remark};
use super::visible;

/// The minimum width for text, at any depth and on any terminal.
const TEXT_COLUMNS_MIN: usize = 24;
/// The width of the sign that continues a line.
const GOES_ON_COLUMNS: usize = 4;

/// A line and its tone. The text is safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    tone: Tone,
    text: String,
}

impl Line {
    /// Makes a line from text that is already visible.
    pub(super) fn new(tone: Tone, text: String) -> Self {
        Self { tone, text }
    }

    /// The kind of the line.
    pub fn tone(&self) -> Tone {
        self.tone
    }

    /// The text without its colour.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The kind of a line, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// A heading of the host.
    Heading,
    /// A warning of the host.
    Warning,
    /// The action and the host's evidence.
    Content,
    /// A claim of the agent.
    Claim,
    /// A value that an edit removes.
    Before,
    /// A value that an edit adds.
    After,
}

/// The content of a call on which a reviewer decides.
#[derive(Clone, Debug)]
pub struct ShownCall<'a> {
    /// The connector's summary in one line.
    pub summary: &'a str,
    /// The host's facts about the approval: label and text.
    pub facts: &'a [(&'a str, String)],
    pub arguments: &'a Value,
    /// The types of the arguments, if known.
    pub function: Option<&'a FunctionType>,
    pub exhibits: &'a [ShownExhibit],
    /// The facts that are compared again before the effect starts.
    pub preconditions: &'a Value,
    /// Claims that contradict the facts, and gaps in the evidence.
    pub differences: Vec<Difference>,
}

/// An exhibit of the host's evidence.
#[derive(Clone, Debug)]
pub struct ShownExhibit {
    pub title: String,
    /// The media type and the length.
    pub kind: String,
    /// The content, if it was requested.
    pub bytes: Option<Vec<u8>>,
}

impl<'a> ShownCall<'a> {
    /// Collects the content of a proposal.
    pub fn of(proposal: &'a Proposal, facts: &'a [(&'a str, String)], exhibits: &'a [ShownExhibit]) -> Self {
        let (summary, arguments) = (proposal.summary.as_str(), proposal.action.arguments());
        let (preconditions, mut differences) = (&proposal.preconditions, differences(proposal));
        differences.extend(evidence_gaps(&proposal.facts));
        Self { summary, facts, arguments, function: None, exhibits, preconditions, differences }
    }

    /// The warnings, as safe text: likely misreadings, contradicted claims, and gaps in the evidence. Each of them
    /// requires a confirmation word.
    pub fn warnings(&self) -> Vec<String> {
        let remarks = self.remarks().into_iter().filter(Remark::alarms).map(|remark| remark.to_string());
        remarks.chain(self.differences.iter().map(Difference::to_string)).collect()
    }

    /// The notes about spellings that need no warning, but that a reader could confuse with other spellings, such as
    /// separate accents, joiners and text in two directions.
    pub fn notes(&self) -> Vec<String> {
        let remarks = self.remarks().into_iter().filter(|remark| !remark.alarms()).map(|remark| remark.to_string());
        remarks.chain(super::code_points::of_value("", self.arguments)).collect()
    }

    /// The warnings and notes about all texts of the call that are likely to be misread.
    pub fn remarks(&self) -> Vec<Remark> {
        let mut remarks = remarks::of_value("", self.arguments);
        // The summary is searched too: the connector may add texts that are not in the arguments, such as
        // a commit's subject.
        remarks.extend(remarks::of_sentence("summary", self.summary));
        remarks.extend(remarks::of_value("preconditions", self.preconditions));
        for (index, exhibit) in self.exhibits.iter().enumerate() {
            remarks.extend(remarks::of_sentence(&format!("title of evidence {}", index + 1), &exhibit.title));
        }
        remarks
    }
}

/// The complete content in order: the host's summary, the warnings, the action, the host's evidence, and last the
/// agent's own words.
pub fn action(content: &ShownCall<'_>, columns: usize) -> Vec<Line> {
    let mut page = Page::new(columns);
    page.labelled(Tone::Heading, 0, "", content.summary);
    let warnings = content.warnings();
    if !warnings.is_empty() {
        page.heading("Warnings");
        warnings.iter().for_each(|warning| page.safe(Tone::Warning, 1, "! ", warning));
        page.labelled(Tone::Content, 0, "", "");
    }
    for (label, text) in content.facts {
        page.labelled(Tone::Content, 1, &format!("{label}: "), text);
    }
    page.heading("What would be done");
    let params = content.function.map(|function| function.params.as_slice());
    let (done, claimed) = split(content.arguments);
    page.done(&done, params);
    let notes = content.notes();
    if !notes.is_empty() {
        page.heading("Code points of the texts");
        notes.iter().for_each(|note| page.safe(Tone::Content, 1, "- ", note));
    }
    if !content.preconditions.is_null() {
        page.heading("Only if this is still true");
        page.rows(Tone::Content, outline::outline(content.preconditions, None));
    }
    if !content.exhibits.is_empty() {
        page.heading("What the host found out");
    }
    for exhibit in content.exhibits {
        page.labelled(Tone::Content, 1, "- ", &format!("{} ({})", exhibit.title, exhibit.kind));
        if let Some(bytes) = &exhibit.bytes {
            page.block(Tone::Content, 2, &visible::byte_lines(bytes.strip_suffix(b"\n").unwrap_or(bytes)));
        }
    }
    page.claims(claimed, params);
    page.lines
}

/// A call that was refused before a reviewer was asked: the host's facts, the arguments, and the agent's own words.
pub fn refused(facts: &[(&str, String)], arguments: &Value, columns: usize) -> Vec<Line> {
    let mut page = Page::new(columns);
    page.heading("Refused without asking a reviewer; nothing was done");
    facts.iter().for_each(|(label, text)| page.labelled(Tone::Content, 1, &format!("{label}: "), text));
    page.heading("What the agent requested");
    let (done, claimed) = split(arguments);
    page.done(&done, None);
    page.claims(claimed, None);
    page.lines
}

/// The changes of an edit: each position with its old and its new value.
pub fn changes(changes: &[ValueChange], columns: usize) -> Vec<Line> {
    let mut page = Page::new(columns);
    for change in changes {
        page.heading(&change.place);
        let sides = [(Tone::Before, "-", &change.before), (Tone::After, "+", &change.after)];
        for (tone, sign, value) in sides {
            value.iter().for_each(|value| page.rows(tone, outline::labelled(sign, value, None)));
        }
    }
    page.lines
}

/// A single value, such as a receipt.
pub fn value(value: &Value, columns: usize) -> Vec<Line> {
    let mut page = Page::new(columns);
    page.rows(Tone::Content, outline::outline(value, None));
    page.lines
}

/// An agent's words after a label of the host, such as a log line. Each further line of the words begins with a bar.
pub fn said(label: &str, words: &str, columns: usize) -> Vec<Line> {
    behind(Tone::Claim, label, words, columns)
}

/// A message of the host, such as an error. Each further line of a quotation in it begins with a bar.
pub fn note(label: &str, text: &str) -> Vec<Line> {
    behind(Tone::Content, label, text, usize::MAX)
}

/// An agent's result under a heading of the host. Each line of the result begins with a bar.
pub fn returned(text: &str, columns: usize) -> Vec<Line> {
    let mut page = Page::new(columns);
    page.heading("What the agent returned");
    page.block(Tone::Claim, 1, &visible::lines(text));
    page.lines
}

fn behind(tone: Tone, label: &str, text: &str, columns: usize) -> Vec<Line> {
    let mut page = Page::new(columns);
    let mut lines = visible::lines(text).into_iter();
    page.safe(tone, 0, &visible::label(label), &lines.next().unwrap_or_default());
    page.block(tone, 1, &lines.collect::<Vec<_>>());
    page.lines
}

/// A heading of the host, with an empty line above it.
pub fn heading(text: &str, columns: usize) -> Vec<Line> {
    let mut page = Page::new(columns);
    page.labelled(Tone::Content, 0, "", "");
    page.heading(&visible::fixed(text));
    page.lines.drain(1..).collect()
}

/// A label and a text, on one line if they fit.
pub fn row(label: &str, text: &str, columns: usize) -> Vec<Line> {
    let mut page = Page::new(columns);
    page.labelled(Tone::Content, 0, &visible::label(label), text);
    page.lines
}

/// A warning of the host, on one line if it fits.
pub fn warning(text: &str, columns: usize) -> Vec<Line> {
    let mut page = Page::new(columns);
    page.labelled(Tone::Warning, 0, "", text);
    page.lines
}

/// Joins the lines to one text.
pub fn plain(lines: &[Line]) -> String {
    lines.iter().flat_map(|line| [line.text.as_str(), "\n"]).collect()
}

/// Splits the arguments into the action and the agent's rationale.
pub(super) fn split(arguments: &Value) -> (Result<Map<String, Value>, &Value>, Option<&Value>) {
    let Some(fields) = arguments.as_object() else {
        return (Err(arguments), None);
    };
    let mut done = fields.clone();
    done.remove(RATIONALE);
    (Ok(done), fields.get(RATIONALE))
}

/// The lines that have been written, and the width of the terminal.
struct Page {
    lines: Vec<Line>,
    columns: usize,
}

impl Page {
    fn new(columns: usize) -> Self {
        Self { lines: Vec::new(), columns }
    }

    /// Adds a heading. `text` must be in its visible form.
    fn heading(&mut self, text: &str) {
        if !self.lines.is_empty() {
            self.lines.push(Line { tone: Tone::Content, text: String::new() });
        }
        self.safe(Tone::Heading, 0, "", text);
    }

    /// Adds any text as one line, escaped and wrapped.
    fn labelled(&mut self, tone: Tone, depth: usize, label: &str, text: &str) {
        self.safe(tone, depth, label, &visible::fixed(text));
    }

    /// Adds visible text as one line, wrapped. A label that is too long for this has a line of its own above the text.
    fn safe(&mut self, tone: Tone, depth: usize, label: &str, text: &str) {
        let indent = "  ".repeat(depth);
        let (first, beside) = (format!("{indent}{label}"), 2 * depth + columns_of(label).max(GOES_ON_COLUMNS));
        let (space, needed) = (self.columns.saturating_sub(beside), columns_of(text));
        let above = space < TEXT_COLUMNS_MIN.min(needed) && columns_of(label) > GOES_ON_COLUMNS;
        let room = if above { self.room(depth) } else { space.max(TEXT_COLUMNS_MIN) };
        if above {
            self.lines.push(Line { tone, text: first.trim_end().to_owned() });
        }
        for (number, part) in wrap(text, room).into_iter().enumerate() {
            let line = if number == 0 && !above { format!("{first}{part}") } else { format!("{indent}  ┊ {part}") };
            self.lines.push(Line { tone, text: line });
        }
    }

    /// The width for text after the bar of a continued line.
    fn room(&self, depth: usize) -> usize {
        self.columns.saturating_sub(2 * depth + GOES_ON_COLUMNS).max(TEXT_COLUMNS_MIN)
    }

    /// Adds the arguments without the agent's rationale.
    fn done(&mut self, done: &Result<Map<String, Value>, &Value>, params: Option<&[(String, WitType)]>) {
        match done {
            Ok(fields) if fields.is_empty() => self.safe(Tone::Content, 1, "", "(without arguments)"),
            Ok(fields) => self.rows(Tone::Content, outline::arguments(fields, params)),
            Err(value) => self.rows(Tone::Content, outline::outline(value, None)),
        }
    }

    /// Adds the agent's rationale, after everything else.
    fn claims(&mut self, claimed: Option<&Value>, params: Option<&[(String, WitType)]>) {
        let Some(claimed) = claimed else { return };
        self.heading("The agent's rationale (its own words, not verified)");
        let ty = params.and_then(|params| params.iter().find(|(name, _)| name == RATIONALE)).map(|(_, ty)| ty);
        self.rows(Tone::Claim, outline::outline(claimed, ty));
    }

    fn block(&mut self, tone: Tone, depth: usize, lines: &[String]) {
        let (indent, room) = ("  ".repeat(depth), self.room(depth));
        for line in lines {
            for (number, part) in wrap(line, room).into_iter().enumerate() {
                let bar = if number == 0 { "│" } else { "┊" };
                self.lines.push(Line { tone, text: format!("{indent}{bar} {part}") });
            }
        }
    }

    fn rows(&mut self, tone: Tone, rows: Vec<Row>) {
        for Row { depth, label, content } in rows {
            let depth = depth + 1;
            let label = if label.is_empty() || label.ends_with('.') || label == "-" || label == "+" {
                label
            } else {
                label + ":"
            };
            let label = if label.is_empty() { label } else { label + " " };
            match content {
                RowContent::Group(note) if note.is_empty() => self.safe(tone, depth, label.trim_end(), ""),
                RowContent::Inline(text) => self.safe(tone, depth, &label, &text),
                RowContent::Group(note) => self.safe(tone, depth, &label, &format!("({note})")),
                RowContent::Block { lines, bytes } => {
                    self.safe(tone, depth, &label, &format!("a text of {} lines, {bytes} bytes", lines.len()));
                    self.block(tone, depth + 1, &lines);
                }
            }
        }
    }
}

/// The maximum width of a text. A terminal that draws several characters as one makes the text narrower.
pub(super) fn columns_of(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// Splits a text into parts of at most `room` columns: at a space near the end, before a run of spaces, and never
/// inside `<U+…>` or `<E9>`. The parts, joined, are the text.
pub(super) fn wrap(text: &str, room: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(end) = overflow(rest, room) {
        let (fitting, more) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let space = fitting.rfind(' ').map(|space| match fitting.split_at_checked(space) {
            Some((before, " ")) if more.starts_with(' ') => before.trim_end_matches(' ').len(),
            Some((before, _)) if before.ends_with(' ') => before.trim_end_matches(' ').len(),
            Some(_) | None => space + 1,
        });
        let space = space.filter(|space| 2 * space > end);
        let (part, after) = rest.split_at_checked(space.unwrap_or(end)).unwrap_or((rest, ""));
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    parts
}

/// The position of the first character that no longer fits; `None` if the text fits.
fn overflow(text: &str, room: usize) -> Option<usize> {
    let (mut taken, mut at) = (0, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let atom = visible::spelling(rest).or_else(|| rest.chars().next().map(char::len_utf8)).unwrap_or(1);
        taken += columns_of(rest.get(..atom).unwrap_or(rest));
        if taken > room && at > 0 {
            return Some(at);
        }
        at += atom;
    }
    None
}

#[cfg(test)]
mod tests;
