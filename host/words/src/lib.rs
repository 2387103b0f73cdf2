//! Sentences of the host that contain foreign words.
//!
//! A reviewer believes the host. So an agent, a committer or a payee must not be able to continue a sentence of the
//! host: in `pay 10.00 EUR to Globex, paid 14 times before`, a payee could be called `Globex, paid 14 times before`.
//! [`say!`] makes a [`Sentence`] from a literal and from values that implement [`HostText`]. `String` does not. Foreign
//! words go in through [`quote`], which adds quotation marks and escapes everything that would end the quotation or
//! look like its end, everything that would begin a new line, and repeated spaces.
//!
//! **Invariant:** outside quotations a sentence has no `"`, so [`pieces`] finds the quotations in its text, and the
//! text outside does not depend on the text inside.

use std::borrow::Cow;
use std::fmt;

use holdshort_gate::{CallId, Capability, Digest, RunId};
use icu_properties::CodePointSetData;
use icu_properties::props::QuotationMark;
use serde_json::Value;
use unicode_security::confusable_detection::skeleton;

/// One or more lines of the host's sentences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sentence(String);

/// Foreign words in quotation marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted(String);

/// A value that may appear in a sentence without quotation marks, because the host wrote or counted it. Its text has no
/// quotation mark and no line end.
pub trait HostText {
    /// The text.
    fn host_text(&self) -> Cow<'_, str>;
}

/// Makes a [`Sentence`] like `format!`, from a literal and [`HostText`] values.
#[macro_export]
macro_rules! say {
    // With `concat!`, the literal cannot name variables, as in `{name}`. Such a variable could have any type.
    ($text:literal $(, $value:expr)* $(,)?) => {{
        // A statement of its own, so that the borrows of the values end before a following `await`.
        let made = $crate::Sentence::__made(::std::format_args!(::std::concat!($text), $($crate::HostText::host_text(&$value)),*));
        made
    }};
}

/// Makes an error of a type that has a method `sentence`. The error is displayed as this sentence, and can be a value
/// in other sentences.
#[macro_export]
macro_rules! sentence_error {
    ($kind:ty) => {
        impl ::std::fmt::Display for $kind {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(&self.sentence(), f)
            }
        }

        impl ::std::error::Error for $kind {}

        impl $crate::HostText for $kind {
            fn host_text(&self) -> ::std::borrow::Cow<'_, str> {
                ::std::borrow::Cow::Owned(self.sentence().into_string())
            }
        }
    };
}

/// Quotes foreign words completely: words of an agent, a program, a relay or the system.
pub fn quote(words: impl fmt::Display) -> Quoted {
    let words = words.to_string();
    let mut quoted = String::with_capacity(words.len() + 2);
    quoted.push('"');
    let mut last = '\0';
    for c in words.chars() {
        let escaped = match c {
            '\n' => Some('n'),
            '\r' => Some('r'),
            '\t' => Some('t'),
            '\\' => Some('\\'),
            ' ' if last == ' ' => Some(' '),
            _ if ends_a_quotation(c, last) => Some(c),
            _ => None,
        };
        quoted.extend(escaped.is_some().then_some('\\'));
        quoted.push(escaped.unwrap_or(c));
        last = c;
    }
    quoted.push('"');
    Quoted(quoted)
}

/// A JSON value as text, with each string in it quoted.
pub fn quote_value(value: &Value) -> Sentence {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => configured(value),
        Value::String(text) => quote(text).into(),
        Value::Array(items) => say!("[{}]", Sentence::join(items.iter().map(quote_value), ",")),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, field)| say!("{}:{}", quote(name), quote_value(field)));
            say!("{{{}}}", Sentence::join(fields, ","))
        }
    }
}

/// A text of the operator or of the host's own tables. It is unchanged, except for quotation marks and line ends. Never
/// use this for foreign words.
pub fn configured(text: impl fmt::Display) -> Sentence {
    Sentence(text.to_string().replace('"', "'").replace(char::is_control, " "))
}

/// The beginning of foreign words, with the number of the omitted characters.
pub fn quote_start(words: &str, chars_max: usize) -> Sentence {
    match words.char_indices().nth(chars_max).and_then(|(end, _)| words.split_at_checked(end)) {
        Some((start, rest)) => say!("{} and {} more characters", quote(start), rest.chars().count()),
        None => quote(words).into(),
    }
}

/// Whether a character looks like `"`, as `”` and `″` do, or looks like `"` together with the character before it, as
/// in `''`.
fn ends_a_quotation(c: char, last: char) -> bool {
    match strokes(c) {
        0 => false,
        1 => strokes(last) > 0,
        _ => true,
    }
}

/// Double quotation marks, double primes and double commas that are in neither Unicode's list of quotation marks nor
/// UTS #39.
const DOUBLE: [char; 10] = [
    '\u{2dd}',
    '\u{2f5}',
    '\u{2f6}',
    '\u{1425}',
    '\u{275d}',
    '\u{275e}',
    '\u{2760}',
    '\u{2e49}',
    '\u{3003}',
    '\u{1145a}',
];
/// Single quotation marks, primes and commas that are in neither list.
const SINGLE: [char; 7] = ['\u{201a}', '\u{275b}', '\u{275c}', '\u{275f}', '\u{2e32}', '\u{2e34}', '\u{2e41}'];
/// Quotation marks that look like a bracket or an arrow, not like `"`.
const BRACKETS: [char; 14] = [
    '«', '»', '‹', '›', '「', '」', '『', '』', '\u{fe41}', '\u{fe42}', '\u{fe43}', '\u{fe44}', '\u{ff62}', '\u{ff63}',
];

/// The number of quotation strokes that a character looks like: two for `"`, one for `'`, zero for others.
fn strokes(c: char) -> usize {
    match c {
        '"' => return 2,
        '\'' | '`' => return 1,
        c if c.is_ascii() || BRACKETS.contains(&c) => return 0,
        c if DOUBLE.contains(&c) || ('\u{1f676}'..='\u{1f678}').contains(&c) => return 2,
        c if SINGLE.contains(&c) => return 1,
        _ => {}
    }
    let looks: Vec<char> = skeleton(c.encode_utf8(&mut [0; 4])).collect();
    let is_stroke = |look: &char| matches!(look, '\'' | '`' | '"' | '‘' | '’' | '“' | '”');
    match looks.iter().all(is_stroke) {
        true => looks.iter().map(|look| if matches!(look, '"' | '“' | '”') { 2 } else { 1 }).sum(),
        false if CodePointSetData::new::<QuotationMark>().contains(c) => 2,
        false => 0,
    }
}

/// A text's look: its skeleton by UTS #39. Two texts with the same look are hard to distinguish.
pub fn look(text: &str) -> String {
    skeleton(text).collect()
}

impl Sentence {
    /// Only for [`say!`].
    #[doc(hidden)]
    pub fn __made(text: fmt::Arguments<'_>) -> Self {
        Self(text.to_string())
    }

    /// Joins sentences with a text of the host.
    pub fn join(sentences: impl IntoIterator<Item = Self>, between: &'static str) -> Self {
        let all: Vec<String> = sentences.into_iter().map(|one| one.0).collect();
        Self(all.join(between))
    }

    /// The text of the sentence.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text of the sentence.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl std::ops::Deref for Sentence {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<&str> for Sentence {
    fn eq(&self, text: &&str) -> bool {
        self.0 == *text
    }
}

impl PartialEq<str> for Sentence {
    fn eq(&self, text: &str) -> bool {
        self.0 == text
    }
}

impl PartialEq<String> for Sentence {
    fn eq(&self, text: &String) -> bool {
        self.0 == *text
    }
}

impl From<Quoted> for Sentence {
    fn from(Quoted(quoted): Quoted) -> Self {
        Self(quoted)
    }
}

impl std::ops::AddAssign for Sentence {
    fn add_assign(&mut self, more: Self) {
        self.0 += &more.0;
    }
}

impl std::ops::Add for Sentence {
    type Output = Self;

    fn add(mut self, more: Self) -> Self {
        self += more;
        self
    }
}

impl std::iter::Sum for Sentence {
    fn sum<I: Iterator<Item = Self>>(sentences: I) -> Self {
        Self::join(sentences, "")
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl HostText for Sentence {
    fn host_text(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0)
    }
}

impl HostText for Quoted {
    fn host_text(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0)
    }
}

/// A constant of the host.
impl From<&'static str> for Sentence {
    fn from(text: &'static str) -> Self {
        say!("{}", text)
    }
}

/// A constant of the host. Foreign text is never `'static`.
impl HostText for &'static str {
    fn host_text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}

macro_rules! host_text {
    ($($kind:ty),*) => {$(
        impl HostText for $kind {
            fn host_text(&self) -> Cow<'_, str> {
                Cow::Owned(self.to_string())
            }
        }
    )*};
}

// The texts of these types consist of digits, or of the few characters that ids and WIT names can have.
host_text!(u8, u16, u32, u64, usize, i32, i64, Digest, CallId, RunId, Capability);

/// A part of a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The host's own words.
    Host(&'a str),
    /// Foreign words with their escapes, as they stand between the quotation marks.
    Quoted(&'a str),
}

impl Piece<'_> {
    /// The words without escapes.
    pub fn text(&self) -> String {
        let Self::Quoted(quoted) = self else { return self.to_string() };
        let mut text = String::with_capacity(quoted.len());
        let mut chars = quoted.chars();
        while let Some(c) = chars.next() {
            text.push(match c {
                '\\' => match chars.next() {
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some('t') => '\t',
                    Some(other) => other,
                    None => '\\',
                },
                c => c,
            });
        }
        text
    }
}

/// Writes the part as it stands in the sentence, with its quotation marks.
impl fmt::Display for Piece<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(text) => f.write_str(text),
            Self::Quoted(text) => write!(f, "\"{text}\""),
        }
    }
}

/// The parts of a sentence's text; together they are the text. A quotation without an end, which no [`Sentence`] has,
/// counts as the host's words.
pub fn pieces(sentence: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut rest) = (Vec::new(), sentence);
    while let Some((host, quoted, after)) = next_quotation(rest) {
        pieces.extend((!host.is_empty()).then_some(Piece::Host(host)));
        pieces.push(Piece::Quoted(quoted));
        rest = after;
    }
    pieces.extend((!rest.is_empty()).then_some(Piece::Host(rest)));
    pieces
}

/// The beginning of a sentence's text. A quotation that does not fit is cut inside its quotation marks.
pub fn beginning(sentence: &str, chars_max: usize) -> String {
    let (mut shown, mut left) = (String::new(), chars_max);
    for piece in pieces(sentence) {
        let whole = piece.to_string();
        let count = whole.chars().count();
        if count > left {
            let start: String = whole.chars().take(left).collect();
            let end = match piece {
                Piece::Host(_) => " …",
                Piece::Quoted(_) if start.len() > 1 => "\" …",
                Piece::Quoted(_) => return shown + "…",
            };
            // A quotation must not be cut within an escape: the `\` before the closing mark would escape the mark.
            let escapes = start.chars().rev().take_while(|c| *c == '\\').count();
            let start = if escapes % 2 == 1 { start.strip_suffix('\\').unwrap_or(&start) } else { &start };
            return shown + start + end;
        }
        shown += &whole;
        left -= count;
    }
    shown
}

/// The sentence with this text, as another process of the host wrote it.
pub fn reread(text: &str) -> Sentence {
    let piece = |piece| match piece {
        Piece::Host(host) => configured(host),
        quoted @ Piece::Quoted(_) => quote(quoted.text()).into(),
    };
    pieces(text).into_iter().map(piece).sum()
}

/// The text before the next quotation, inside it, and after it.
fn next_quotation(text: &str) -> Option<(&str, &str, &str)> {
    let (host, from) = text.split_once('"')?;
    let mut escaped = false;
    let end = from.char_indices().find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    let (quoted, after) = from.split_at_checked(end?.0)?;
    Some((host, quoted, after.strip_prefix('"')?))
}
