//! The renderers: every text of the corpus, in every field that is shown, at several widths.

use holdshort::review::terminal::{self, Line, Tone, plain};
use holdshort::review::{Screenful, ShownCall, ShownExhibit, VisibleLines, changes, screen};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::Widget;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use crate::corpus::{Bait, CORPUS, assert_harmless, assert_visible, unwrapped};
use crate::evidence;

/// A width narrower than any real terminal, usual widths, and no limit.
const WIDTHS: [usize; 4] = [20, 60, 100, usize::MAX];
/// The text of the other fields.
const PLAIN: &str = "plain";

/// The arguments of the consequential capabilities as agents send them, with `text` in every text field.
fn calls(text: &str) -> Vec<(&'static str, Value)> {
    let rationale = json!({"summary": text, "confidence": 0.5, "exhibits": [{"title": text, "text": text}]});
    let file = json!({"path": text, "sha256": text});
    vec![
        (
            "email",
            json!({"message": {"to": [text], "cc": [text, PLAIN], "bcc": [text], "subject": text, "body": text, "in-reply-to": text, "attachments": [file]}, "rationale": rationale}),
        ),
        ("deploy", json!({"release": {"target": text, "revision": text, "notes": text}, "rationale": rationale})),
        (
            "transfer",
            json!({"transfer": {"source": text, "payee": text, "amount": {"minor-units": "100", "currency": text}, "reference": text}, "rationale": rationale}),
        ),
        ("ask", json!({"question": {"text": text, "choices": [text, PLAIN]}, "rationale": rationale})),
        ("any other", json!({text: {text: [text, {"a": text}]}})),
    ]
}

/// The parts of a page, besides the arguments, that can contain a text.
struct Around<'a> {
    summary: &'a str,
    fact: &'a str,
    title: &'a str,
    evidence: &'a str,
    precondition: &'a str,
}

impl<'a> Around<'a> {
    /// The text in no part, then in each part alone except the summary, and last in all parts.
    fn each(text: &'a str) -> Vec<Self> {
        let plain = || Self { summary: PLAIN, fact: PLAIN, title: PLAIN, evidence: PLAIN, precondition: PLAIN };
        vec![
            plain(),
            Self { fact: text, ..plain() },
            Self { title: text, ..plain() },
            Self { evidence: text, ..plain() },
            Self { precondition: text, ..plain() },
            Self { summary: text, fact: text, title: text, evidence: text, precondition: text },
        ]
    }

    fn lines(&self, arguments: &Value, columns: usize) -> Vec<Line> {
        let exhibits = [ShownExhibit {
            title: self.title.into(),
            kind: "text/plain, 1 byte".into(),
            bytes: Some(self.evidence.into()),
        }];
        let facts = [("its task", self.fact.to_owned())];
        let preconditions = json!({ "tip": self.precondition });
        let content = ShownCall {
            summary: self.summary,
            facts: &facts,
            arguments,
            function: None,
            exhibits: &exhibits,
            preconditions: &preconditions,
            differences: Vec::new(),
        };
        terminal::action(&content, columns)
    }
}

/// A renderer: its name, and a function that returns the rendered text and those of its lines that are headings.
type Renderer = (&'static str, fn(&Around<'_>, &Value, usize) -> (String, Vec<String>));

/// All renderers of a page. A new renderer needs a line here.
const RENDERERS: [Renderer; 2] = [
    ("terminal", |around, arguments, columns| {
        let lines = around.lines(arguments, columns);
        (plain(&lines), headings(&lines))
    }),
    ("full screen", |around, arguments, columns| {
        let columns = columns.clamp(24, 300);
        let lines = around.lines(arguments, columns);
        (cells(&lines, columns), headings(&lines))
    }),
];

/// The cells of a screen that is high enough for the whole page.
fn cells(lines: &[Line], columns: usize) -> String {
    let body = screen::rows(lines, columns);
    let area = Rect::new(0, 0, columns.try_into().unwrap(), body.len().try_into().unwrap());
    let widths: Vec<usize> = body.iter().map(|row| row.text().width()).collect();
    let mut buffer = Buffer::empty(area);
    (&Screenful { body, colours: true, ..Screenful::default() }).render(area, &mut buffer);
    let mut page = String::new();
    for (y, width) in (0..).zip(widths) {
        let mut x = 0;
        while usize::from(x) < width {
            let symbol = buffer[(x, y)].symbol();
            page.push_str(symbol);
            // The cells after a wide character belong to that character.
            x += u16::try_from(symbol.width()).unwrap().max(1);
        }
        page.push('\n');
    }
    page
}

fn headings(lines: &[Line]) -> Vec<String> {
    let headings = lines.iter().filter(|line| line.tone() == Tone::Heading);
    headings.map(|line| line.text().to_owned()).collect()
}

/// The lines of a page that begin at the left edge, where only the host writes.
fn outer(page: &str) -> Vec<String> {
    page.lines().filter(|line| !line.is_empty() && !line.starts_with("  ")).map(str::to_owned).collect()
}

#[test]
fn every_page_shows_all_of_it_and_is_the_hosts() {
    let mut renderings = 0;
    for (number, bait) in CORPUS.iter().enumerate() {
        // The width changes from text to text, so that every width meets every kind of call.
        let columns = WIDTHS[number % WIDTHS.len()];
        for (call, arguments) in calls(&bait.text) {
            // Calls of `ask` are tried with each of these pages. The other calls are tried only with the last page, in
            // which all parts have the text.
            let skipped = if call == "ask" { 0 } else { 5 };
            for around in Around::each(&bait.text).into_iter().skip(skipped) {
                for (name, render) in RENDERERS {
                    let what = format!("{name}, {call}, {columns} columns: {}", bait.attack);
                    let (page, headings) = render(&around, &arguments, columns);
                    assert_harmless(&page, [bait], &what);
                    assert_visible(&page, bait, &what);
                    // The first heading is the summary. Every other line that begins at the edge must be one of the
                    // host's known headings.
                    let summary = unwrapped(&page).lines().nth(1).unwrap_or_default().to_owned();
                    assert!(around.summary != PLAIN || summary == PLAIN, "{what}: {summary}");
                    let edge = outer(&page);
                    assert!(edge.iter().skip(1).all(|line| HEADINGS.contains(&line.as_str())), "{what}: {edge:#?}");
                    assert!(headings.len() >= edge.len(), "{what}: {edge:#?}");
                    let twice =
                        edge.iter().skip(1).any(|line| edge.iter().skip(1).filter(|other| *other == line).count() > 1);
                    assert!(!twice, "{what}: {edge:#?}");
                    renderings += 1;
                }
            }
        }
        renderings += others(bait, columns);
    }
    evidence::figure("T9", "strings", CORPUS.len().try_into().unwrap());
    evidence::figure("T9", "renderings", renderings);
}

/// The host's headings that fit on one line at these widths. A longer heading continues with a special character.
const HEADINGS: &[&str] = &[
    "Warnings",
    "What would be done",
    "Code points of the texts",
    "Code points of the ",
    "Only if this is still ",
    "Only if this is still true",
    "What the host found out",
    "What the host found ",
    "The agent's rationale (its own words, not verified)",
    "The agent's ",
    "The agent's rationale ",
];

/// The other kinds of printed line, each with the text that the line must begin with.
fn others(bait: &Bait, columns: usize) -> u64 {
    let text = bait.text.as_str();
    let (before, after) =
        (json!({"message": {"to": ["a"], "body": "x"}}), json!({"message": {"to": [text], "body": text}}));
    let facts = [("refused because", text.to_owned())];
    let kinds: [(&str, Vec<Line>, &[&str]); 8] = [
        (
            "a refused call",
            terminal::refused(&facts, &json!({"x": text}), columns),
            &["Refused ", "What the agent requested", "  "],
        ),
        ("an edit", terminal::changes(&changes(&before, &after), columns), &["message.", "  "]),
        ("an edit undone", terminal::changes(&changes(&after, &before), columns), &["message.", "  "]),
        ("a receipt", terminal::value(&json!({"note": text}), columns), &["  "]),
        ("a log line", terminal::said("RUN says: ", text, columns), &["RUN says:", "  │ ", "  ┊ ", "    ┊ "]),
        ("an error", terminal::note("error: ", text), &["error: ", "  │ "]),
        ("a row", terminal::row("RUN  ", text, columns), &["RUN", "  ┊ "]),
        ("what was returned", terminal::returned(text, columns), &["What the agent returned", "What the agent ", "  "]),
    ];
    for (kind, lines, begins) in &kinds {
        let (page, what) = (plain(lines), format!("{kind}, {columns} columns: {}", bait.attack));
        assert_harmless(&page, [bait], &what);
        assert_visible(&page, bait, &what);
        for line in page.lines().filter(|line| !line.is_empty()) {
            assert!(begins.iter().any(|begin| line.starts_with(begin)), "{what}: {line:?}");
        }
        let first = begins[0].trim_end();
        assert!(
            begins[0] == "  "
                || page.matches(&format!("\n{first}")).count()
                    == usize::from(*kind == "an edit" || *kind == "an edit undone"),
            "{what}: {page}"
        );
    }
    // Programs read these values whole. The output has only characters that a terminal can show, and parses back to the
    // same text.
    let value = json!({"note": text, text: [text]});
    for shown in [VisibleLines::json(&value), VisibleLines::json_line(&value)] {
        let shown = shown.to_string();
        assert_harmless(&shown, [bait], &bait.attack);
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value, "{}", bait.attack);
    }
    let entry = VisibleLines::entry(&format!("WARN the program says: {text}\n")).to_string();
    assert_harmless(&entry, [bait], &bait.attack);
    assert!(entry.ends_with('\n') && entry.lines().count() == 1, "{entry:?}");
    kinds.len() as u64 + 3
}

/// Each deceiving text gets exactly the warnings that the corpus lists. A text that only looks odd gets none.
#[test]
fn what_is_disguised_is_marked() {
    let (mut marked, mut wrong) = (0, Vec::new());
    for bait in CORPUS.iter() {
        let arguments = json!({ "x": bait.text });
        let content = ShownCall {
            summary: PLAIN,
            facts: &[],
            arguments: &arguments,
            function: None,
            exhibits: &[],
            preconditions: &Value::Null,
            differences: Vec::new(),
        };
        let found: Vec<String> = content.remarks().iter().map(ToString::to_string).collect();
        let missing = bait.marks.iter().any(|mark| !found.iter().any(|found| found.contains(mark)));
        let more = found.iter().any(|found| !bait.marks.iter().any(|mark| found.contains(mark)));
        if missing || more {
            wrong.push(format!("{}: {}: should be {:?}, and is {found:?}", bait.class, bait.attack, bait.marks));
        }
        let page = plain(&terminal::action(&content, 80));
        assert_eq!(page.contains("\n\nWarnings\n"), !content.warnings().is_empty());
        assert_eq!(page.contains("\n\nCode points of the texts\n"), !content.notes().is_empty());
        marked += usize::from(!found.is_empty());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(marked > 100, "{marked}");
}
