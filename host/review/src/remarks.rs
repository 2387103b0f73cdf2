//! Warnings about texts that are likely to be misread: look-alike letters, hidden characters, misleading host names.
//!
//! A warning about ordinary text teaches reviewers to ignore warnings. Some spellings are honest in some language, and
//! are escaped only because two different texts must look different. Such a spelling gets a *note*, which is shown but
//! needs no confirmation word.

use std::collections::BTreeSet;
use std::fmt;

use icu_properties::props::{BidiClass, Script};
use icu_properties::script::ScriptWithExtensions;
use icu_properties::{CodePointMapData, PropertyNamesLong};
use serde_json::Value;

use super::warning::Warning;
use super::{lookalikes, outline, visible};

/// One warning or note at one position. Its text is safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The position, as in `message.to[2]`.
    pub place: String,
    pub warning: Warning,
}

impl Remark {
    /// Whether this is a warning, which needs a confirmation word. Otherwise it is a note.
    pub fn alarms(&self) -> bool {
        !matches!(self.warning, Warning::Apart { .. } | Warning::RightToLeft { .. })
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.warning {
            Warning::Hidden { count: 1 } | Warning::Apart { count: 1 } => {
                write!(f, "{}: 1 invisible character, shown as <U+…>", self.place)
            }
            Warning::Hidden { count } | Warning::Apart { count } => {
                write!(f, "{}: {count} invisible characters, shown as <U+…>", self.place)
            }
            Warning::MixedScripts { word, scripts } => {
                write!(f, "{}: \"{word}\" mixes {} letters", self.place, scripts.join(" and "))
            }
            Warning::LooksLike { text, ascii } => {
                write!(f, "{}: \"{text}\" looks like \"{ascii}\", but has other characters", self.place)
            }
            Warning::Digits { digits } => write!(f, "{}: \"{digits}\" has digits of another script", self.place),
            Warning::RightToLeft { parts } => {
                let parts = parts.join(", then ");
                write!(
                    f,
                    "{}: right-to-left letters beside left-to-right letters; the stored order is: {parts}",
                    self.place
                )
            }
            Warning::Host { shown, ascii: Some(ascii) } => {
                write!(f, "{}: the host name \"{shown}\" means the host {ascii}", self.place)
            }
            Warning::Host { shown, ascii: None } => {
                write!(f, "{}: \"{shown}\" looks like a host name, but is not a valid host name", self.place)
            }
        }
    }
}

/// Finds the warnings and notes about all texts in `value`, including the names of fields, in the order in which
/// they are shown.
pub fn of_value(place: &str, value: &Value) -> Vec<Remark> {
    let mut remarks = Vec::new();
    collect(place, value, &mut remarks);
    remarks
}

/// Finds the warnings and notes about one text.
pub fn of_text(place: &str, text: &str) -> Vec<Remark> {
    let mut warnings = Vec::new();
    let (hidden, apart) = (visible::hidden(text).count(), visible::apart(text).count());
    warnings.extend((hidden > 0).then_some(Warning::Hidden { count: hidden }));
    warnings.extend((apart > 0).then_some(Warning::Apart { count: apart }));
    let parts = directions(text);
    warnings.extend((parts.len() > 1).then_some(Warning::RightToLeft { parts }));
    let mixed: Vec<Warning> = words(text).filter_map(mixed_scripts).collect();
    // A word that mixes scripts already has a warning, so it gets no second warning about its look.
    let named =
        |text: &str| mixed.iter().any(|warning| matches!(warning, Warning::MixedScripts { word, .. } if word == text));
    let looks = lookalikes::find(text).into_iter();
    let looks: Vec<Warning> =
        looks.filter(|warning| !matches!(warning, Warning::LooksLike { text, .. } if named(text))).collect();
    warnings.extend(mixed);
    warnings.extend(looks);
    warnings.extend(hosts(text));
    warnings.into_iter().map(|warning| Remark { place: place.into(), warning }).collect()
}

fn collect(place: &str, value: &Value, remarks: &mut Vec<Remark>) {
    match value {
        Value::String(text) => remarks.extend(of_text(place, text)),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(&format!("{place}[{index}]"), item, remarks);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let label = outline::key(name);
                let inner = if place.is_empty() { label } else { format!("{place}.{label}") };
                remarks.extend(of_text(&inner, name));
                collect(&inner, field, remarks);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Finds the warnings and notes about a sentence of the host, including its quotations.
pub fn of_sentence(place: &str, sentence: &str) -> Vec<Remark> {
    holdshort_words::pieces(sentence).into_iter().flat_map(|piece| of_text(place, &piece.text())).collect()
}

/// Splits a text into parts by direction, each in quotation marks. Empty if no character runs from right to left. A
/// character without a direction belongs to the part around it if the letters before and after it have the same
/// direction. Otherwise it belongs to the left-to-right part.
fn directions(text: &str) -> Vec<String> {
    let classes = CodePointMapData::<BidiClass>::new();
    let direction = |c: char| match classes.get(c) {
        _ if is_right_to_left(c) => Some(true),
        BidiClass::LeftToRight | BidiClass::EuropeanNumber | BidiClass::ArabicNumber => Some(false),
        _ => None,
    };
    let mut parts: Vec<(bool, String)> = Vec::new();
    let mut between = String::new();
    for c in text.chars() {
        let Some(rtl) = direction(c) else {
            match parts.last_mut() {
                Some((_, part)) if between.is_empty() && visible::is_mark(c) => part.push(c),
                Some(_) | None => between.push(c),
            }
            continue;
        };
        if parts.last().is_none_or(|(last, _)| *last != rtl) {
            if let Some((false, part)) = parts.last_mut() {
                part.push_str(&std::mem::take(&mut between));
            }
            parts.push((rtl, String::new()));
        }
        if let Some((_, part)) = parts.last_mut() {
            part.push_str(&std::mem::take(&mut between));
            part.push(c);
        }
    }
    if let Some((_, part)) = parts.last_mut() {
        part.push_str(&between);
    }
    if !parts.iter().any(|(rtl, _)| *rtl) {
        return Vec::new();
    }
    parts.iter().map(|(_, part)| format!("\"{}\"", visible::line(part.trim()).replace('"', "<U+0022>"))).collect()
}

fn is_right_to_left(c: char) -> bool {
    let class = CodePointMapData::<BidiClass>::new().get(c);
    class == BidiClass::RightToLeft || class == BidiClass::ArabicLetter
}

/// The words of a text, except ASCII words. A word is a run of letters and digits, with their accents. Any other
/// character (`-`, `.`, `@`, a space) ends a word, because another script may begin after it.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && !visible::is_mark(c)).filter(|word| !word.is_ascii())
}

/// Warns of a word that mixes scripts. Japanese, Korean and Chinese each use several scripts together, which is no
/// reason for a warning (UTS #39, "highly restrictive", without Latin).
fn mixed_scripts(word: &str) -> Option<Warning> {
    const TOGETHER: [&[Script]; 3] = [
        &[Script::Han, Script::Hiragana, Script::Katakana],
        &[Script::Han, Script::Hangul],
        &[Script::Han, Script::Bopomofo],
    ];
    let data = ScriptWithExtensions::new();
    let letters: Vec<char> = word
        .chars()
        .filter(|&c| !visible::is_mark(c))
        .filter(|&c| {
            let extensions = data.get_script_extensions_val(c);
            !extensions.contains(&Script::Common) && !extensions.contains(&Script::Inherited)
        })
        .collect();
    let first = letters.first()?;
    let fits = |c: char, set: &[Script]| set.iter().any(|script| data.has_script(c, *script));
    let one_script =
        data.get_script_extensions_val(*first).iter().any(|script| letters.iter().all(|&c| fits(c, &[script])));
    if one_script || TOGETHER.iter().any(|set| letters.iter().all(|&c| fits(c, set))) {
        return None;
    }
    let names = PropertyNamesLong::<Script>::new();
    let scripts: BTreeSet<&'static str> =
        letters.iter().map(|&c| names.get(data.get_script_val(c)).unwrap_or("unknown")).collect();
    Some(Warning::MixedScripts { word: visible::line(word), scripts: scripts.into_iter().collect() })
}

/// The characters that IDNA treats as a dot.
const DOTS: [char; 4] = ['.', '。', '．', '｡'];

/// Finds host names, and warns of those that a network lookup would understand differently: the text after `@` or
/// `://`, and words with a dot between letters. Plain ASCII needs no warning unless it is the ASCII form of a name
/// in other letters.
fn hosts(text: &str) -> impl Iterator<Item = Warning> {
    let pieces = text.split(|c: char| c.is_whitespace() || "<>()[]{}\"'`,;/\\@?#|=:".contains(c));
    let candidates = pieces.map(|piece| piece.trim_matches('.')).filter(|piece| piece.contains(DOTS));
    candidates.filter_map(|candidate| {
        if candidate.is_ascii() {
            let coded = candidate.to_ascii_lowercase().split('.').any(|label| label.starts_with("xn--"));
            let (unicode, _) = idna::domain_to_unicode(candidate);
            return coded
                .then(|| Warning::Host { shown: visible::line(&unicode), ascii: Some(visible::line(candidate)) });
        }
        // Hebrew and Arabic put a preposition and a hyphen before a name in Latin letters. Such a name gets no warning.
        let bare = candidate.trim_start_matches(|c| visible::is_mark(c) || is_right_to_left(c));
        if bare.strip_prefix('-').is_some_and(str::is_ascii) {
            return None;
        }
        // IDNA converts letters to ASCII. It leaves an escape sequence unchanged, because this is ASCII already, so the
        // result is made visible.
        let ascii = idna::domain_to_ascii(candidate).ok().map(|ascii| visible::line(&ascii));
        // Japanese and Chinese sentences end in a character that browsers treat as a dot. Here it counts as a dot only
        // if the last label is in ASCII.
        let end = candidate.rsplit(DOTS).next().unwrap_or_default();
        let like_one = end.chars().count() >= 2 && end.chars().all(char::is_alphabetic);
        (like_one && (candidate.contains('.') || end.is_ascii()))
            .then(|| Warning::Host { shown: visible::line(candidate), ascii })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(value: &Value) -> Vec<String> {
        of_value("", value).iter().map(Remark::to_string).collect()
    }

    #[test]
    fn look_alikes_are_named() {
        assert_eq!(
            texts(&json!({"to": ["billing@pаypal.com"]})),
            [
                "to[0]: \"pаypal\" mixes Cyrillic and Latin letters",
                "to[0]: the host name \"pаypal.com\" means the host xn--pypal-4ve.com",
            ]
        );
        assert_eq!(texts(&json!({"body": "see https://раураl.com/login"})).len(), 2);
        // All letters are Cyrillic, so the word does not mix scripts. But it imitates a host name.
        assert_eq!(
            texts(&json!({"body": "аррӏе.com"})),
            [
                "body: \"аррӏе\" looks like \"apple\", but has other characters",
                "body: the host name \"аррӏе.com\" means the host xn--80ak6aa92e.com",
            ]
        );
        assert_eq!(
            texts(&json!({"h": "xn--80ak6aa92e.com"})),
            ["h: the host name \"аррӏе.com\" means the host xn--80ak6aa92e.com"]
        );
        assert_eq!(texts(&json!({"x": "a\u{202E}b\u{200B}"})), ["x: 2 invisible characters, shown as <U+…>"]);
        assert_eq!(texts(&json!({"to\u{200B}": 1})).len(), 1);
        assert_eq!(
            texts(&json!({"h": "gооgle。com"}))[1],
            "h: the host name \"gооgle。com\" means the host xn--ggle-55da.com"
        );
        assert_eq!(
            texts(&json!({"n": "שלום 100 אב"})),
            [
                "n: right-to-left letters beside left-to-right letters; the stored order is: \"שלום\", then \"100\", then \"אב\""
            ]
        );
    }

    /// IDNA leaves an escape sequence in a host name unchanged, because it is ASCII. The warning must not contain it.
    #[test]
    fn a_host_brings_no_escape_into_its_mark() {
        for host in ["xn--\u{1b}c.example.org", "e\u{1b}x\u{200B}.org", "e\u{7f}x\u{200B}.org"] {
            let remarks = of_text("summary", host);
            assert!(
                remarks.iter().any(|remark| matches!(remark.warning, Warning::Host { .. })),
                "{host:?}: {remarks:?}"
            );
            assert!(
                !remarks.iter().any(|remark| remark.to_string().contains(char::is_control)),
                "{host:?}: {remarks:?}"
            );
        }
    }

    #[test]
    fn honest_text_has_no_marks() {
        for text in [
            "Hello Alice, version 1.2.3 of v2.0-rc is out; see https://example.org/a?b=c and mail alice@example.org",
            "Grüße aus München",
            "привет мир",
            "日本語のテスト。終わり",
            "한국어 漢字",
            "µ = 10 Ω",
            "a\tb\r\nc",
            "naïve café",
        ] {
            assert_eq!(texts(&json!({"text": text})), [""; 0]);
        }
    }
}
