//! Makes every character of a text visible, and removes every effect on the screen.
//!
//! A character that is invisible, reorders its neighbours, combines wrongly or controls a terminal is written as
//! `<U+202E>`; [`characters`] decides which. Of several spellings that Unicode calls equivalent, only the NFC spelling
//! is drawn unchanged. An escape cannot be confused with text: if the text itself contains `<U+`, its `<` is written
//! `<U+003C>`. So two different texts never look the same.
//!
//! Spaces are made visible too. On one line, a space is drawn only between two other characters: nobody can count
//! several spaces in a proportional font, and HTML draws several spaces as one. A block of lines has a fixed font and
//! keeps its spaces, because code and tables need them. In a block, only a space at the end of a line is escaped.
//!
//! Evidence consists of bytes, which may be outside UTF-8. Such a byte is written `<E9>`, and a `<` in the text that
//! would begin such an escape is written `<U+003C>`. So `caf<E9>` and `caf<E8>` are two different lines, and no file
//! can contain a text that looks like either of them.

mod characters;

pub(super) use characters::is_mark;
use characters::{Drawn, walk};

/// A text on one line. A line end is escaped. A space is escaped at the beginning, at the end and after another space.
pub fn line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut after_space = true;
    let mut walked = walk(text).peekable();
    while let Some((c, drawn)) = walked.next() {
        let lost = c == ' ' && (after_space || walked.peek().is_none());
        push(&mut shown, c, lost || drawn != Drawn::Itself);
        after_space = c == ' ';
    }
    shown
}

/// A label of the host for a terminal. It keeps its spaces.
pub fn label(text: &str) -> String {
    drawn_as_it_stands(text)
}

/// A text on one line for a fixed font, as in a log. It keeps its spaces, but a space at the end is escaped.
pub fn fixed(text: &str) -> String {
    match text.strip_suffix(' ') {
        Some(rest) if !rest.is_empty() => drawn_as_it_stands(rest) + "<U+0020>",
        Some(_) | None => drawn_as_it_stands(text),
    }
}

/// Draws a text and keeps all its spaces.
fn drawn_as_it_stands(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    walk(text).for_each(|(c, drawn)| push(&mut shown, c, drawn != Drawn::Itself));
    shown
}

/// The lines of a text for a fixed font. The text is split at each newline.
///
/// A space at the end of a line is escaped, unless the line is only this space: in a diff, an empty line is very often
/// written as one space.
pub fn lines(text: &str) -> Vec<String> {
    text.split('\n').map(fixed).collect()
}

/// The lines of evidence. They are drawn as [`lines`] draws a text, but a byte outside UTF-8 is drawn as `<E9>`.
pub fn byte_lines(bytes: &[u8]) -> Vec<String> {
    bytes.split(|byte| *byte == b'\n').map(byte_line).collect()
}

/// One line of evidence.
pub fn byte_line(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    let mut chunks = bytes.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        let (text, is_first) = (chunk.valid(), shown.is_empty());
        let is_last = chunk.invalid().is_empty() && chunks.peek().is_none();
        let drawn = match text.strip_suffix(' ').filter(|_| is_last && !is_first) {
            Some(rest) => drawn_as_it_stands(rest) + "<U+0020>",
            None if is_last => fixed(text),
            None => drawn_as_it_stands(text),
        };
        push_unlike_bytes(&mut shown, &drawn);
        chunk.invalid().iter().for_each(|byte| shown.push_str(&format!("<{byte:02X}>")));
    }
    shown
}

/// Adds drawn text. If it contains a text that looks like an escaped byte, the `<` of this text is escaped.
fn push_unlike_bytes(shown: &mut String, mut drawn: &str) {
    while let Some((before, rest)) = drawn.split_once('<') {
        let is_like_one = byte_spelling(rest).is_some();
        shown.extend([before, if is_like_one { "<U+003C>" } else { "<" }]);
        drawn = rest;
    }
    shown.push_str(drawn);
}

/// The length of the escape at the beginning of `shown`; `None` if `shown` begins with no escape.
pub(super) fn spelling(shown: &str) -> Option<usize> {
    let rest = shown.strip_prefix('<')?;
    let spelled = rest.strip_prefix("U+").and_then(|code| code.find('>')).map(|end| "U+".len() + end + 1);
    Some(1 + spelled.or_else(|| byte_spelling(rest))?)
}

/// The length of `E9>`, which is an escaped byte without its `<`, at the beginning of `rest`; `None` if it
/// is not there.
fn byte_spelling(rest: &str) -> Option<usize> {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'A'..=b'F');
    matches!(rest.as_bytes(), [high, low, b'>', ..] if is_digit(high) && is_digit(low)).then_some("E9>".len())
}

/// Reads back a text that [`line()`] or the joined [`lines`] wrote. A browser's line ends become newlines. Text that is
/// no escape stays unchanged.
pub fn read(shown: &str) -> String {
    let shown = shown.replace("\r\n", "\n").replace('\r', "\n");
    let mut pieces = shown.split("<U+");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let spelled = piece.split_once('>').and_then(|(code, rest)| Some((character(code)?, rest)));
        match spelled {
            Some((c, rest)) => text.extend([c.encode_utf8(&mut [0; 4]), rest]),
            None => text.extend(["<U+", piece]),
        }
    }
    text
}

fn character(code: &str) -> Option<char> {
    let digits = (4..=6).contains(&code.len()) && code.chars().all(|c| c.is_ascii_hexdigit());
    digits.then(|| u32::from_str_radix(code, 16).ok().and_then(char::from_u32)).flatten()
}

/// Those escaped characters of a text that can deceive a reader, in order. Tabs and line ends deceive nobody, so they
/// are left out.
pub fn hidden(text: &str) -> impl Iterator<Item = char> {
    walk(text).filter(|(c, drawn)| *drawn == Drawn::Suspect && !matches!(c, '\t' | '\r' | '\n')).map(|(c, _)| c)
}

/// The characters that are escaped although honest text has them, such as a separate accent, or a joiner between
/// Persian letters or emoji. Characters that are only another spelling of an ASCII character are left out, because they
/// have a warning of their own as look-alikes.
pub fn apart(text: &str) -> impl Iterator<Item = char> {
    walk(text).filter(|(c, drawn)| *drawn == Drawn::Apart && !characters::spells_ascii(*c)).map(|(c, _)| c)
}

/// Indented JSON that reads back as the same value. A character that cannot be drawn unchanged is written as
/// a JSON escape.
pub fn json(value: &serde_json::Value) -> String {
    escaped(&format!("{value:#}"))
}

/// JSON on one line that reads back as the same value.
pub fn json_line(value: &serde_json::Value) -> String {
    escaped(&value.to_string())
}

/// Replaces each character of a JSON document that cannot be drawn unchanged by a JSON escape.
pub fn escaped(text: &str) -> String {
    if text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    for (c, drawn) in walk(text) {
        // A newline comes only from the serializer's layout, because line ends inside strings are already escaped. `<`
        // is safe, because JSON has no `<U+…>` escapes.
        if drawn != Drawn::Itself && c != '\n' && c != '<' {
            let mut units = [0; 2];
            shown.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            shown.push(c);
        }
    }
    shown
}

fn push(shown: &mut String, c: char, written_out: bool) {
    if written_out {
        shown.push_str(&format!("<U+{:04X}>", u32::from(c)));
    } else {
        shown.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_written_out() {
        let cases = [
            ("invoice\u{202E}fdp.exe", "invoice<U+202E>fdp.exe"),
            ("a\u{200B}b\u{FEFF}c\u{2060}d", "a<U+200B>b<U+FEFF>c<U+2060>d"),
            ("\u{1b}[2J\u{7}\u{9b}1m\u{7f}", "<U+001B>[2J<U+0007><U+009B>1m<U+007F>"),
            ("x\u{E0041}\u{E007F}", "x<U+E0041><U+E007F>"),
            ("\u{2066}a\u{2069}\u{61C}\u{200E}", "<U+2066>a<U+2069><U+061C><U+200E>"),
            ("\u{FFF9}x\u{605}", "<U+FFF9>x<U+0605>"),
            ("❤\u{FE0F}", "❤<U+FE0F>"),
            ("1\u{A0}000\u{3000}", "1<U+00A0>000<U+3000>"),
            ("\u{E000}\u{378}\u{2028}\u{3164}\u{2800}\u{115F}", "<U+E000><U+0378><U+2028><U+3164><U+2800><U+115F>"),
            ("<U+202E> < <u", "<U+003C>U+202E> < <u"),
            ("a\tb\r\nc", "a<U+0009>b<U+000D><U+000A>c"),
            // An accent without a letter, and an accent that changes `=` into `≠`.
            ("\u{301}x =\u{338}", "<U+0301>x =<U+0338>"),
            ("e\u{301}", "e<U+0301>"),
        ];
        for (text, shown) in cases {
            assert_eq!(line(text), shown);
        }
    }

    #[test]
    fn what_can_be_seen_stays() {
        for text in [
            "Grüße, £5 → naïve «ça»",
            "привет",
            "日本語テスト",
            "שלום",
            "نص عربي",
            "नमस्ते",
            "ภาษาไทย",
            "🎉 ok",
            "a <b> &amp; c",
        ] {
            assert_eq!(line(text), text);
        }
    }

    #[test]
    fn json_reads_back_as_the_same() {
        let value = serde_json::json!({"a\u{202E}": ["\u{1b}[2J\n\t<U+0041> é\u{E0041}", null, 1.5], "b\u{301}": "\u{7f}\u{9b}"});
        let text = json(&value);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        assert_eq!(escaped(&text), text, "nothing is left to write out");
    }

    #[test]
    fn what_was_written_out_is_read_back() {
        for text in ["a\u{202E}\u{0}b", "<U+202E>", "<<U+", "a\r\nb \n\t\n", " ", "\u{10FFFF}", "<U+D800>", "<U+41>"] {
            assert_eq!(read(&line(text)), text);
            assert_eq!(read(&lines(text).join("\r\n")), text);
        }
        for text in ["<U+D800>", "<U+41>", "<U+0000041>", "<U+ 041>", "<U+0041", "<U+é>"] {
            assert_eq!(read(text), text, "no spelling of a character");
        }
    }

    /// Different bytes are drawn differently. The test uses examples, and all strings of at most five bytes from a list
    /// of special bytes.
    #[test]
    fn bytes_that_are_no_text_are_drawn_each_as_itself() {
        let cases: [(&[u8], &str); 9] = [
            (b"caf\xe9", "caf<E9>"),
            (b"caf\xe8", "caf<E8>"),
            (b"<E9>", "<U+003C>E9>"),
            (b"<E9> <e9> <BR> <U+00E9>", "<U+003C>E9> <e9> <BR> <U+003C>U+00E9>"),
            ("é\u{202e}".as_bytes(), "é<U+202E>"),
            (b"\xff \x00", "<FF> <U+0000>"),
            (b"x\xc3 ", "x<C3><U+0020>"),
            (b"\xed\xa0\x80", "<ED><A0><80>"),
            (b" ", " "),
        ];
        for (bytes, shown) in cases {
            assert_eq!(byte_line(bytes), shown);
        }
        assert_eq!(byte_lines(b"a\n\xe9 \n"), ["a", "<E9><U+0020>", ""]);
        let alphabet = [b'<', b'U', b'+', b'E', b'9', b'>', b' ', 0xe9, 0xc3, 0xa9, 0];
        let mut seen = std::collections::BTreeSet::new();
        let mut all: Vec<Vec<u8>> = vec![vec![]];
        for _ in 0..5 {
            let longer = all.iter().flat_map(|short| alphabet.map(|byte| [short.as_slice(), &[byte]].concat()));
            all = longer.collect();
            assert!(all.iter().all(|bytes| seen.insert(byte_line(bytes))), "two are drawn alike");
        }
    }

    #[test]
    fn lines_keep_their_ends() {
        assert_eq!(lines("a\n b \n"), ["a", " b<U+0020>", ""]);
        assert_eq!(lines(""), [""]);
    }
}
