//! Finds words and signs made of characters that look like other characters (UTS #39,
//! "confusables").

use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, Script};
use icu_properties::script::ScriptWithExtensions;
use unicode_security::GeneralSecurityProfile;
use unicode_security::confusable_detection::skeleton;

use super::visible;
use super::warning::Warning;

/// Signs that have a meaning in an address or an amount. For example, a character that looks like `/` can make one long
/// host name look like `example.com/a`.
const SIGNS: &str = "/\\.:;,@?#&=%<>|";

/// Apostrophes that count as letters, in Hawaiian, Ukrainian and other languages.
const OKINAS: [char; 2] = ['\u{2BB}', '\u{2BC}'];

/// Warns of words that look like an ASCII word but are another word, of digits of other scripts, and of characters that
/// look like [`SIGNS`].
///
/// A word is judged together with the other words of its text. If one of them is clearly in the same script,
/// the letters of the word deceive nobody, and there is no warning. A warning would teach readers of this
/// script to ignore warnings.
pub(super) fn find(text: &str) -> Vec<Warning> {
    if text.is_ascii() {
        return Vec::new();
    }
    let words: Vec<&str> = text
        .split(|c: char| !c.is_alphanumeric() && !visible::is_mark(c))
        .filter(|word| !word.is_ascii() && !word.is_empty())
        .collect();
    let plain: Vec<&str> = words.iter().copied().filter(|word| ascii_look(word).is_none()).collect();
    let at_home = |c: char| plain.iter().any(|word| word.chars().any(|other| same_script(c, other)));
    let mut found: Vec<Warning> = words
        .iter()
        .filter(|word| !word.chars().any(|c| !c.is_ascii() && at_home(c)))
        .filter_map(|word| Some(Warning::LooksLike { text: visible::line(word), ascii: ascii_look(word)? }))
        .collect();
    let foreign = |c: &char| !c.is_ascii() && is_digit(*c) && !at_home(*c);
    let digits: String = text.chars().filter(foreign).collect();
    if !digits.is_empty() {
        found.push(Warning::Digits { digits: visible::line(&digits) });
    }
    found.extend(text.split_whitespace().filter_map(sign));
    found
}

/// The ASCII word that this word looks like, if there is one. Accented letters and common Latin letters do not
/// count as look-alikes.
fn ascii_look(word: &str) -> Option<String> {
    let scripts = ScriptWithExtensions::new();
    let honest = |c: char| {
        u32::from(c) < 0x100 || (scripts.has_script(c, Script::Latin) && GeneralSecurityProfile::identifier_allowed(c))
    };
    // One character with the variation selector for pictures is an emoji, and no word.
    let is_emoji = word.strip_suffix('\u{FE0F}').is_some_and(|letter| letter.chars().count() == 1);
    if is_emoji {
        return None;
    }
    // Such a word gets no warning here. Digits of other scripts have a warning of their own.
    if word.chars().all(|c| honest(c) || OKINAS.contains(&c) || is_digit(c) || visible::is_mark(c)) {
        return None;
    }
    let look = look(word);
    look.is_ascii().then_some(look)
}

/// The text's look, in ASCII where possible. An ASCII character is its own look, although UTS #39 says that `m`
/// looks like `rn`.
fn look(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().filter(|c| !visible::is_mark(*c)) {
        let mut buffer = [0; 4];
        let alone = c.encode_utf8(&mut buffer);
        if c.is_ascii() { shown.push(c) } else { shown.extend(skeleton(alone)) }
    }
    shown
}

/// Warns of a character that stands between ASCII characters and looks like one of [`SIGNS`]. `piece` is a part of a
/// text without white space.
fn sign(piece: &str) -> Option<Warning> {
    let chars: Vec<char> = piece.chars().collect();
    let looks = |c: char| {
        let look = look(&c.to_string());
        !c.is_ascii() && !c.is_alphanumeric() && look.len() == 1 && SIGNS.contains(&look)
    };
    let disguised = chars.windows(3).any(|near| match near {
        [before, c, after] => before.is_ascii_graphic() && looks(*c) && after.is_ascii_graphic(),
        _ => false,
    });
    disguised.then(|| Warning::LooksLike { text: visible::line(piece), ascii: look(piece) })
}

fn is_digit(c: char) -> bool {
    CodePointMapData::<GeneralCategory>::new().get(c) == GeneralCategory::DecimalNumber
}

/// Whether `other` is a letter of one of the scripts of `c`.
fn same_script(c: char, other: char) -> bool {
    const WIDE: [Script; 4] = [Script::Han, Script::Hiragana, Script::Katakana, Script::Hangul];
    let scripts = ScriptWithExtensions::new();
    let script = scripts.get_script_val(other);
    if ('\u{ff00}'..='\u{ffef}').contains(&c) && WIDE.contains(&script) {
        return true;
    }
    script != Script::Common && script != Script::Inherited && other.is_alphabetic() && scripts.has_script(c, script)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(text: &str) -> Vec<(String, String)> {
        let pair = |warning| match warning {
            Warning::LooksLike { text, ascii } => (text, ascii),
            Warning::Digits { digits } => (digits, "digits".into()),
            other => panic!("{other:?}"),
        };
        find(text).into_iter().map(pair).collect()
    }

    #[test]
    fn a_word_of_other_letters_is_named() {
        for (text, shown, ascii) in [
            ("pay АСЕ now", "АСЕ", "ACE"),
            ("раура", "раура", "paypa"),
            ("ΑΒΒ", "ΑΒΒ", "ABB"),
            ("𝐩𝐚𝐲𝐩𝐚𝐥", "𝐩𝐚𝐲𝐩𝐚𝐥", "paypal"),
            ("ｐａｙ", "ｐａｙ", "pay"),
            ("ɑcɡ", "ɑcɡ", "acg"),
            ("৪৪ euros", "৪৪", "digits"),
            ("pay ٠ now", "٠", "digits"),
            ("https://example.com∕login", "https://example.com∕login", "https://example.com/login"),
            ("a․b", "a․b", "a.b"),
        ] {
            assert!(looks(text).contains(&(shown.into(), ascii.into())), "{text}: {:?}", looks(text));
        }
        for text in ["１００", "𝟏𝟎𝟎"] {
            assert_eq!(looks(text), [(text.to_owned(), "digits".to_owned())]);
        }
    }

    #[test]
    fn a_word_among_its_own_is_not() {
        for text in [
            "он хор, все НЕТ рядом",
            "Ελλάδα ΑΒΒ",
            "kapı açık",
            "100 m² nº 5 ª",
            "२०२६ में",
            "don’t — 10–20 “x” …",
            "注意：这是第１条。",
            "naïve café Straße Łódź",
        ] {
            assert_eq!(looks(text), [], "{text}");
        }
    }
}
