//! An action as lines of text for a terminal.
//!
//! No line holds a byte below 0x20, 0x7F or a C1 control; colours are added later by whoever prints, from the [`Tone`].
//! Every line that carries text of the agent begins with something that the host wrote (a label, an indentation, a bar), also where it was wrapped:
//! `│` begins a line of a longer text and `┊` goes on with the line above. So an agent cannot imitate the frame around its words.

use holdshort_gate::{FunctionType, Proposal, RATIONALE, WitType};
use serde_json::{Map, Value};
use unicode_width::UnicodeWidthChar;

use super::changes::Change;
use super::differences::{Difference, differences};
use super::marks::{self, Mark};
use super::outline::{self, Content, Row};
use super::unsaid::unsaid;
use super::visible;

/// Columns that are left for text however deep it stands and however narrow the terminal is.
const TEXT_COLUMNS_MIN: usize = 24;
/// Columns of what begins a line that goes on with the one above.
const GOES_ON_COLUMNS: usize = 4;

/// A line, and what it is; its text is safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    tone: Tone,
    text: String,
}

impl Line {
    /// `text` is visible already.
    pub(super) fn new(tone: Tone, text: String) -> Self {
        Self { tone, text }
    }

    /// What kind of line it is.
    pub fn tone(&self) -> Tone {
        self.tone
    }

    /// What it says.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What kind of line it is, for whoever has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// A heading of the host's.
    Heading,
    /// A warning of the host's.
    Warning,
    /// What would be done, and what the host found out.
    Matter,
    /// What the agent claims.
    Claim,
    /// What an edit takes away.
    Before,
    /// What an edit puts there.
    After,
}

/// What is shown of an action.
#[derive(Clone, Debug)]
pub struct Matter<'a> {
    /// One line by the connector.
    pub summary: &'a str,
    /// What the host knows about the approval, label and text.
    pub facts: &'a [(&'a str, String)],
    /// The arguments.
    pub arguments: &'a Value,
    /// Their types, if known.
    pub function: Option<&'a FunctionType>,
    /// The host's evidence.
    pub exhibits: &'a [ShownExhibit],
    /// What must still hold when the effect starts.
    pub preconditions: &'a Value,
    /// Where the agent's claims do not fit what the host found out, and where what it found out does not tell all.
    pub differences: Vec<Difference>,
}

/// A piece of the host's evidence.
#[derive(Clone, Debug)]
pub struct ShownExhibit {
    /// Its heading.
    pub title: String,
    /// Media type and length.
    pub kind: String,
    /// The whole of it, if it was asked for.
    pub bytes: Option<Vec<u8>>,
}

impl<'a> Matter<'a> {
    /// What is shown of a proposal.
    pub fn of(proposal: &'a Proposal, facts: &'a [(&'a str, String)], exhibits: &'a [ShownExhibit]) -> Self {
        let (summary, arguments) = (proposal.summary.as_str(), proposal.action.arguments());
        let (preconditions, mut differences) = (&proposal.preconditions, differences(proposal));
        differences.extend(unsaid(&proposal.facts));
        Self { summary, facts, arguments, function: None, exhibits, preconditions, differences }
    }

    /// Every warning, in words that are safe to show: what is made to be misread, what is claimed and not so, and what no evidence shows.
    /// With any of them a reviewer has to do more than press a key.
    pub fn warnings(&self) -> Vec<String> {
        let marks = self.marks().into_iter().filter(Mark::alarms).map(|mark| mark.to_string());
        marks.chain(self.differences.iter().map(Difference::to_string)).collect()
    }

    /// How texts are written that are no reason to be wary, but could be taken for others: accents apart, joiners, two directions.
    pub fn notes(&self) -> Vec<String> {
        let marks = self.marks().into_iter().filter(|mark| !mark.alarms()).map(|mark| mark.to_string());
        marks.chain(super::spelled::of_value("", self.arguments)).collect()
    }

    /// Everything that is made to be misread.
    pub fn marks(&self) -> Vec<Mark> {
        let mut marks = marks::of_value("", self.arguments);
        // The summary is made of the arguments; it is looked at for what only it contains, such as a subject line of a commit.
        marks.extend(marks::of_sentence("summary", self.summary));
        marks.extend(marks::of_value("preconditions", self.preconditions));
        for (index, exhibit) in self.exhibits.iter().enumerate() {
            marks.extend(marks::of_sentence(&format!("title of evidence {}", index + 1), &exhibit.title));
        }
        marks
    }
}

/// The whole of an action: the host's summary, warnings, what would be done, the host's evidence, and last the agent's own words.
pub fn action(matter: &Matter<'_>, columns: usize) -> Vec<Line> {
    let mut page = Page::new(columns);
    page.labelled(Tone::Heading, 0, "", matter.summary);
    let warnings = matter.warnings();
    if !warnings.is_empty() {
        page.heading("Look twice");
        warnings.iter().for_each(|warning| page.safe(Tone::Warning, 1, "! ", warning));
        page.labelled(Tone::Matter, 0, "", "");
    }
    for (label, text) in matter.facts {
        page.labelled(Tone::Matter, 1, &format!("{label}: "), text);
    }
    page.heading("What would be done");
    let params = matter.function.map(|function| function.params.as_slice());
    let (done, claimed) = split(matter.arguments);
    page.done(&done, params);
    let notes = matter.notes();
    if !notes.is_empty() {
        page.heading("How its texts are written");
        notes.iter().for_each(|note| page.safe(Tone::Matter, 1, "- ", note));
    }
    if !matter.preconditions.is_null() {
        page.heading("Only if this still holds");
        page.rows(Tone::Matter, outline::outline(matter.preconditions, None));
    }
    if !matter.exhibits.is_empty() {
        page.heading("What the host found out");
    }
    for exhibit in matter.exhibits {
        page.labelled(Tone::Matter, 1, "- ", &format!("{} ({})", exhibit.title, exhibit.kind));
        if let Some(bytes) = &exhibit.bytes {
            page.block(Tone::Matter, 2, &visible::byte_lines(bytes.strip_suffix(b"\n").unwrap_or(bytes)));
        }
    }
    page.claims(claimed, params);
    page.lines
}

/// A call that was refused before anyone was asked: what the host knows about it, what was asked for, and the agent's own words.
pub fn refused(facts: &[(&str, String)], arguments: &Value, columns: usize) -> Vec<Line> {
    let mut page = Page::new(columns);
    page.heading("Refused before anyone was asked; nothing was done");
    facts.iter().for_each(|(label, text)| page.labelled(Tone::Matter, 1, &format!("{label}: "), text));
    page.heading("What was asked for");
    let (done, claimed) = split(arguments);
    page.done(&done, None);
    page.claims(claimed, None);
    page.lines
}

/// What an edit changes, place by place, what stood there first.
pub fn changes(changes: &[Change], columns: usize) -> Vec<Line> {
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

/// A value alone, such as a receipt.
pub fn value(value: &Value, columns: usize) -> Vec<Line> {
    let mut page = Page::new(columns);
    page.rows(Tone::Matter, outline::outline(value, None));
    page.lines
}

/// Words of an agent behind a label of the host's, such as a line of its log; its further lines stand below, behind a bar.
pub fn said(label: &str, words: &str, columns: usize) -> Vec<Line> {
    behind(Tone::Claim, label, words, columns)
}

/// A word of the host's beside the results, such as an error. What it quotes may have several lines: all but the first stand behind a bar.
pub fn note(label: &str, text: &str) -> Vec<Line> {
    behind(Tone::Matter, label, text, usize::MAX)
}

/// What an agent returned, where something of the host's stands beside it: every line behind a bar.
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

/// A heading of the host's, after an empty line.
pub fn heading(text: &str, columns: usize) -> Vec<Line> {
    let mut page = Page::new(columns);
    page.labelled(Tone::Matter, 0, "", "");
    page.heading(&visible::fixed(text));
    page.lines.drain(1..).collect()
}

/// A label and any text behind it, on one line unless it is wrapped.
pub fn row(label: &str, text: &str, columns: usize) -> Vec<Line> {
    let mut page = Page::new(columns);
    page.labelled(Tone::Matter, 0, &visible::label(label), text);
    page.lines
}

/// A warning of the host's, on one line unless it is wrapped.
pub fn warning(text: &str, columns: usize) -> Vec<Line> {
    let mut page = Page::new(columns);
    page.labelled(Tone::Warning, 0, "", text);
    page.lines
}

/// The lines as one text.
pub fn plain(lines: &[Line]) -> String {
    lines.iter().flat_map(|line| [line.text.as_str(), "\n"]).collect()
}

/// The arguments without the agent's reasons, and the reasons.
pub(super) fn split(arguments: &Value) -> (Result<Map<String, Value>, &Value>, Option<&Value>) {
    let Some(fields) = arguments.as_object() else {
        return (Err(arguments), None);
    };
    let mut done = fields.clone();
    done.remove(RATIONALE);
    (Ok(done), fields.get(RATIONALE))
}

/// Lines under way.
struct Page {
    lines: Vec<Line>,
    columns: usize,
}

impl Page {
    fn new(columns: usize) -> Self {
        Self { lines: Vec::new(), columns }
    }

    /// `text` is written by this crate, or made of visible text.
    fn heading(&mut self, text: &str) {
        if !self.lines.is_empty() {
            self.lines.push(Line { tone: Tone::Matter, text: String::new() });
        }
        self.safe(Tone::Heading, 0, "", text);
    }

    /// One line of any text, wrapped.
    fn labelled(&mut self, tone: Tone, depth: usize, label: &str, text: &str) {
        self.safe(tone, depth, label, &visible::fixed(text));
    }

    /// One line of visible text, wrapped. A label that leaves no room beside it stands above.
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

    /// Columns for text beside the bar of a line that goes on.
    fn room(&self, depth: usize) -> usize {
        self.columns.saturating_sub(2 * depth + GOES_ON_COLUMNS).max(TEXT_COLUMNS_MIN)
    }

    /// The arguments without the agent's reasons.
    fn done(&mut self, done: &Result<Map<String, Value>, &Value>, params: Option<&[(String, WitType)]>) {
        match done {
            Ok(fields) if fields.is_empty() => self.safe(Tone::Matter, 1, "", "(without arguments)"),
            Ok(fields) => self.rows(Tone::Matter, outline::arguments(fields, params)),
            Err(value) => self.rows(Tone::Matter, outline::outline(value, None)),
        }
    }

    /// The agent's reasons, last of all.
    fn claims(&mut self, claimed: Option<&Value>, params: Option<&[(String, WitType)]>) {
        let Some(claimed) = claimed else { return };
        self.heading("What the agent says about it (its own words; nobody has checked them)");
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
                Content::Group(note) if note.is_empty() => self.safe(tone, depth, label.trim_end(), ""),
                Content::Inline(text) => self.safe(tone, depth, &label, &text),
                Content::Group(note) => self.safe(tone, depth, &label, &format!("({note})")),
                Content::Block { lines, bytes } => {
                    self.safe(tone, depth, &label, &format!("a text of {} lines, {bytes} bytes", lines.len()));
                    self.block(tone, depth + 1, &lines);
                }
            }
        }
    }
}

/// How wide a text is at most: some terminals draw several signs as one.
pub(super) fn columns_of(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// Parts of at most `room` columns, broken after a space near the end, or before several; `<U+…>` and `<E9>` are never broken. Joined they are the text.
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

/// Where the first thing begins that does not fit any more; nothing, if all fits.
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
