//! The texts of the corpus, and what must be true wherever a text is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;

/// A text, and what its reader must see.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bait {
    /// The class of the attack.
    pub class: String,
    /// What the attack tries.
    pub attack: String,
    /// The text as an agent or program sends it.
    pub text: String,
    /// The visible form of the text, on one line.
    pub shown: String,
    /// What the warnings about the text must say. Empty if the text deceives nobody who sees all of it.
    pub marks: Vec<String>,
}

pub static CORPUS: LazyLock<Vec<Bait>> = LazyLock::new(|| {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/deception/corpus.json");
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "the file itself is plain ASCII");
    serde_json::from_str(&text).unwrap()
});

/// The texts by class.
pub fn classes() -> BTreeMap<&'static str, Vec<&'static Bait>> {
    let mut classes: BTreeMap<&str, Vec<&Bait>> = BTreeMap::new();
    for bait in CORPUS.iter() {
        classes.entry(&bait.class).or_default().push(bait);
    }
    classes
}

/// The characters of the frame and of the host's own words, and the character for bytes that are not text.
const FRAME: &str = "│┊…µ\u{fffd}";

/// Checks the characters of an output that shows these texts. Allowed are the characters of an ASCII screen, those of
/// the frame, and those of `shown`.
pub fn assert_harmless<'a>(output: &str, baits: impl IntoIterator<Item = &'a Bait>, what: &str) {
    let visible: BTreeSet<char> = baits
        .into_iter()
        .flat_map(|bait| bait.shown.chars().chain(bait.marks.iter().flat_map(|mark| mark.chars())))
        .collect();
    let harm = |c: &char| !(*c == '\n' || (' '..='~').contains(c) || FRAME.contains(*c) || visible.contains(c));
    let harm: BTreeSet<String> = output.chars().filter(harm).map(|c| format!("U+{:04X}", u32::from(c))).collect();
    assert!(harm.is_empty(), "{what}: {harm:?} in\n{output:?}");
}

/// Checks that all of a text can be read in an output, line by line if it has several lines. Wrapped lines are joined
/// first.
pub fn assert_visible(output: &str, bait: &Bait, what: &str) {
    // On one line each of several spaces is written as a code. In a block they stay as they are.
    let output = unwrapped(output).replace("<U+0020>", " ");
    for part in bait.shown.split("<U+000A>") {
        // A space at the end of a line is written out if the text stands as a block.
        let part = part.trim_end_matches(' ');
        assert!(output.contains(part), "{what}: no `{part}` of `{}` in\n{output}", bait.attack);
    }
}

/// The text without the line breaks that its width made.
pub fn unwrapped(shown: &str) -> String {
    let mut text = String::new();
    for line in shown.lines() {
        match line.trim_start_matches(' ').strip_prefix("┊ ") {
            Some(rest) => text.push_str(rest),
            None => {
                text.push('\n');
                text.push_str(line);
            }
        }
    }
    text
}

/// Whether no screen draws the character as itself. The ranges are this test's own, not the tables of the host.
fn is_hidden(c: char) -> bool {
    let ranges = [
        0x00..=0x1f,
        0x7f..=0xa0,
        0xad..=0xad,
        0x300..=0x36f,
        0x483..=0x489,
        0x605..=0x605,
        0x61c..=0x61c,
        0x70f..=0x70f,
        0x115f..=0x1160,
        0x1680..=0x1680,
        0x180b..=0x180f,
        0x2000..=0x200f,
        0x2028..=0x202f,
        0x205f..=0x206f,
        0x20d0..=0x20f0,
        0x2800..=0x2800,
        0x3000..=0x3000,
        0x3164..=0x3164,
        0xd800..=0xf8ff,
        0xfdd0..=0xfdef,
        0xfe00..=0xfe0f,
        0xfeff..=0xfeff,
        0xffa0..=0xffa0,
        0xfff0..=0xfffb,
        0xfffe..=0xffff,
        0x1d173..=0x1d17a,
        0x13430..=0x1345f,
        0x1fffe..=0x1ffff,
        0xe0000..=0x0010_ffff,
    ];
    ranges.iter().any(|range| range.contains(&u32::from(c)))
}

#[test]
fn the_corpus_says_itself_what_must_be_seen() {
    assert!(CORPUS.len() >= 200 && classes().len() >= 20, "{} of {} classes", CORPUS.len(), classes().len());
    let mut texts = BTreeSet::new();
    for Bait { class, attack, text, shown, marks } in CORPUS.iter() {
        assert!(texts.insert(text), "{attack}: twice");
        assert!(!shown.contains(is_hidden), "{class}: {attack}: {shown:?}");
        assert!(marks.iter().all(|mark| !mark.is_empty()));
        // A visible character stands in `shown` as itself, and an invisible one as its code point.
        let mut rest = shown.as_str();
        for c in text.chars() {
            let number = format!("<U+{:04X}>", u32::from(c));
            rest = match rest.strip_prefix(&number) {
                Some(after) => after,
                None => {
                    assert!(!is_hidden(c), "{attack}: {number} is not in {shown:?}");
                    rest.strip_prefix(c).unwrap_or_else(|| panic!("{attack}: {shown:?} is not {text:?}, at {rest:?}"))
                }
            };
        }
        assert_eq!(rest, "", "{attack}: {shown:?} is more than {text:?}");
    }
}

#[test]
fn harm_would_be_found() {
    let clean = |text: &str| std::panic::catch_unwind(|| assert_harmless(text, [], "")).is_ok();
    for harm in ["\u{1b}[2J", "a\rb", "\u{7f}", "\u{9b}0m", "\u{202e}", "\u{e0041}", "\u{430}"] {
        assert!(!clean(harm), "{harm:?}");
    }
    assert!(clean("a\n  │ b <U+202E>"));
    assert_eq!(unwrapped("a: b\n    ┊ c\nd"), "\na: bc\nd");
    let bait = &CORPUS[0];
    assert!(std::panic::catch_unwind(|| assert_visible("nothing", bait, "")).is_err());
}
