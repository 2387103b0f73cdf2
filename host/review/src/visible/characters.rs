//! Decides how each character is drawn, by its Unicode properties and its neighbours. The fonts of a machine
//! do not matter.
//!
//! A text is read in clusters: a base character and the marks drawn on it. **Invariant:** a character drawn as itself
//! is visible in every font that has it (`tests/browser/ink.rs` measures all of them). Of two texts that Unicode calls
//! equivalent, at most one is drawn as itself.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_normalizer::properties::CanonicalCompositionBorrowed;
use icu_properties::props::{
    DefaultIgnorableCodePoint, Emoji, ExtendedPictographic, GeneralCategory, HangulSyllableType, Ideographic,
    IndicSyllabicCategory, Script,
};
use icu_properties::script::ScriptWithExtensions;
use icu_properties::{CodePointMapData, CodePointSetData};

/// The maximum number of marks on a letter that belong to the letter's own script. A Burmese syllable has five.
const MARKS_MAX: usize = 6;
/// The maximum number of marks above or below each other. No script needs more, and a higher pile would
/// cover other lines.
const STACKED_MAX: usize = 3;
/// The maximum number of accents on a Latin, Greek or Cyrillic letter, as in Vietnamese.
const ACCENTS_MAX: usize = 2;

/// The ways to draw a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drawn {
    Itself,
    /// The character is escaped, because it would look like the beginning of an escape of the host.
    Escaped,
    /// The character is escaped, because readers cannot see it or cannot tell it from another spelling. It has no
    /// warning, because honest text has it at this place.
    Apart,
    /// The character is escaped, with a warning.
    Suspect,
}

/// Each character and the way to draw it.
pub(super) fn walk(text: &str) -> impl Iterator<Item = (char, Drawn)> {
    let mut at = 0;
    let pieces = std::iter::from_fn(move || {
        let (before, rest) = text.split_at_checked(at)?;
        let (piece, after) = rest.split_at_checked(piece_len(rest)).filter(|(piece, _)| !piece.is_empty())?;
        at += piece.len();
        let judged: Vec<(char, Drawn)> = if piece.len() > 1 && piece.is_ascii() {
            piece.char_indices().map(|(at, c)| (c, ascii(c, piece.get(at + 1..).unwrap_or_default(), after))).collect()
        } else {
            Cluster { before, after, piece }.judge()
        };
        Some(judged)
    });
    pieces.flatten()
}

/// The length in bytes of the next piece of a text: a run of ASCII characters, or one cluster.
fn piece_len(rest: &str) -> usize {
    match rest.bytes().take_while(u8::is_ascii).count() {
        ascii if ascii == rest.len() => ascii,
        ascii if ascii > 1 => ascii - 1,
        _ => {
            let mut chars = rest.char_indices();
            let first = chars.next().map_or('\0', |(_, first)| first);
            let mut last = first;
            let goes_on = |c: char, last: char| {
                is_mark(c) || is_jamo(c) && is_hangul(last) || composed(last, c) || first == FLAG && is_tag(c)
            };
            let end = chars.find(|(_, c)| !goes_on(*c, std::mem::replace(&mut last, *c)));
            end.map_or(rest.len(), |(end, _)| end)
        }
    }
}

fn ascii(c: char, rest: &str, after: &str) -> Drawn {
    let begins_ours = || {
        rest.starts_with("U+") || rest == "U" && after.starts_with('+') || rest.is_empty() && after.starts_with("U+")
    };
    match c {
        '<' if begins_ours() => Drawn::Escaped,
        ' '..='~' => Drawn::Itself,
        _ => Drawn::Suspect,
    }
}

/// A base character with its marks, and the text around them.
struct Cluster<'a> {
    before: &'a str,
    piece: &'a str,
    after: &'a str,
}

impl Cluster<'_> {
    fn judge(&self) -> Vec<(char, Drawn)> {
        let mut chars = self.piece.chars();
        let Some(base) = chars.next() else { return Vec::new() };
        let first = self.first(base);
        // If Unicode has several spellings of this cluster, only the NFC spelling is drawn unchanged.
        let is_nfc = ComposingNormalizerBorrowed::new_nfc().is_normalized(self.piece);
        let marks = chars.enumerate().map(|(number, mark)| {
            let drawn = self.mark(base, number, mark);
            let alone = first != Drawn::Itself || !is_nfc;
            (mark, if drawn == Drawn::Itself && alone { Drawn::Apart } else { drawn })
        });
        std::iter::once((base, first)).chain(marks).collect()
    }

    /// The way to draw the base character.
    fn first(&self, base: char) -> Drawn {
        if base.is_ascii() {
            return ascii(base, "", self.after);
        }
        let looks = has_a_look(base) && !is_mark(base) && !is_jamo(base);
        let itself = ComposingNormalizerBorrowed::new_nfc().is_normalized(base.encode_utf8(&mut [0; 4]));
        match looks {
            true if itself => Drawn::Itself,
            // The character is not in NFC: another character looks exactly the same.
            true => Drawn::Apart,
            false if self.joins(base) || self.spaces(base) => Drawn::Apart,
            false => Drawn::Suspect,
        }
    }

    /// The way to draw a mark that follows `number` other marks on `base`.
    fn mark(&self, base: char, number: usize, mark: char) -> Drawn {
        if is_jamo(mark) && is_hangul(base)
            || self.is_joined(base, mark)
            || is_tag(mark) && self.is_flag()
            || self.varies(base, number, mark)
        {
            return Drawn::Apart;
        }
        if is_accent(mark, base) && number < ACCENTS_MAX {
            let steady = STEADY_ACCENTS.contains(&mark) && !UNDOTTED.contains(&base);
            return if steady { Drawn::Itself } else { Drawn::Apart };
        }
        let stacked = |c: &char| category(*c) == GeneralCategory::NonspacingMark;
        let stacked_before = self.piece.chars().skip(1).take(number).filter(stacked).count();
        if !belongs(mark, base) || number >= MARKS_MAX || stacked(&mark) && stacked_before >= STACKED_MAX {
            return Drawn::Suspect;
        }
        let stacks = is_stacker(mark);
        let stacked = self.piece.ends_with(mark)
            && self.after.chars().next().is_some_and(|next| next.is_alphabetic() && script(next) == script(base));
        if stacks && !stacked { Drawn::Apart } else { Drawn::Itself }
    }

    /// Whether the mark selects one of several pictures or forms of its base: emoji, keycaps, Han, Mongolian.
    fn varies(&self, base: char, number: usize, mark: char) -> bool {
        let is_emoji = CodePointSetData::new::<Emoji>().contains(base) && !base.is_ascii();
        let is_keycap = self.piece.chars().skip(1).eq(['\u{FE0F}', '\u{20E3}'])
            && (base.is_ascii_digit() || base == '#' || base == '*');
        match mark {
            '\u{FE0E}' | '\u{FE0F}' if number == 0 => is_emoji || is_keycap,
            '\u{20E3}' => is_keycap,
            '\u{E0100}'..='\u{E01EF}' => number == 0 && CodePointSetData::new::<Ideographic>().contains(base),
            '\u{180B}'..='\u{180D}' | '\u{180F}' => script(base) == Script::Mongolian,
            _ => false,
        }
    }

    /// Whether the cluster is the flag of England, Scotland or Wales. No other flag is spelled with tags.
    fn is_flag(&self) -> bool {
        let tags: String = self.piece.chars().skip(1).filter_map(|c| char::from_u32(u32::from(c) - 0xE0000)).collect();
        ["gbeng\u{7f}", "gbsct\u{7f}", "gbwls\u{7f}"].contains(&tags.as_str())
    }

    /// Whether the character has a correct use here: it joins or separates letters, separates words in a script without
    /// spaces, or joins emoji.
    fn joins(&self, c: char) -> bool {
        let (before, after) = (self.before.chars().next_back(), self.after.chars().next());
        let both = |scripts: &[Script]| {
            let mut scripts = scripts.iter().filter(|script| before.is_some_and(|before| has(before, **script)));
            let ends = after.is_none_or(|after| !after.is_alphanumeric() && !is_mark(after));
            scripts.any(|script| ends || after.is_some_and(|after| has(after, *script)))
        };
        match c {
            ZWJ => both(&JOINED) || self.joins_emoji(),
            '\u{200C}' => both(&JOINED),
            '\u{200B}' => after.is_some_and(|after| has_a_look(after) && after != ' ') && both(&WITHOUT_SPACES),
            _ => false,
        }
    }

    fn joins_emoji(&self) -> bool {
        let is_picture = |c: char| CodePointSetData::new::<ExtendedPictographic>().contains(c);
        let before = self.before.trim_end_matches(|c| c == '\u{FE0F}' || ('\u{1F3FB}'..='\u{1F3FF}').contains(&c));
        before.chars().next_back().is_some_and(is_picture) && self.after.chars().next().is_some_and(is_picture)
    }

    /// Whether the space is a no-break space between two words, or a wide space between two Chinese, Japanese or Korean
    /// characters.
    fn spaces(&self, c: char) -> bool {
        let is_wide = |c: char| {
            [Script::Han, Script::Hiragana, Script::Katakana, Script::Hangul].iter().any(|wide| has(c, *wide))
        };
        let seen = |beside: Option<char>| {
            beside.is_some_and(|beside| beside != ' ' && has_a_look(beside) && (c != '\u{3000}' || is_wide(beside)))
        };
        ['\u{A0}', '\u{202F}', '\u{3000}'].contains(&c)
            && seen(self.before.chars().next_back())
            && seen(self.after.chars().next())
    }

    /// Whether a joiner stands between a letter and its mark, as in Marathi and Bengali.
    fn is_joined(&self, joiner: char, mark: char) -> bool {
        let letter = self.before.chars().next_back();
        [ZWJ, '\u{200C}'].contains(&joiner) && letter.is_some_and(|letter| belongs(mark, letter))
    }
}

const ZWJ: char = '\u{200D}';
/// The black flag, which is the base character of flags that are spelled with tags.
const FLAG: char = '\u{1F3F4}';
/// Scripts that use joiners.
const JOINED: [Script; 17] = [
    Script::Arabic,
    Script::Syriac,
    Script::Mongolian,
    Script::Nko,
    Script::Devanagari,
    Script::Bengali,
    Script::Gurmukhi,
    Script::Gujarati,
    Script::Oriya,
    Script::Tamil,
    Script::Telugu,
    Script::Kannada,
    Script::Malayalam,
    Script::Sinhala,
    Script::Khmer,
    Script::Myanmar,
    Script::Tibetan,
];
/// Scripts without spaces between words. Their texts may contain an invisible space where a line may break.
const WITHOUT_SPACES: [Script; 4] = [Script::Thai, Script::Lao, Script::Khmer, Script::Myanmar];
/// The accents of languages in Latin, Greek and Cyrillic. They are above or below the letter, or are a horn, a comma, a
/// cedilla or an ogonek.
const ACCENTS: [char; 29] = [
    '\u{300}', '\u{301}', '\u{302}', '\u{303}', '\u{304}', '\u{306}', '\u{307}', '\u{308}', '\u{309}', '\u{30A}',
    '\u{30B}', '\u{30C}', '\u{30F}', '\u{311}', '\u{313}', '\u{314}', '\u{31B}', '\u{323}', '\u{324}', '\u{325}',
    '\u{326}', '\u{327}', '\u{328}', '\u{329}', '\u{32D}', '\u{331}', '\u{342}', '\u{345}', '\u{358}',
];
/// Accents that nobody can confuse with another accent. They are drawn unchanged on letters without a precomposed
/// character: Yoruba `ẹ́`, Lithuanian `r̃`, Russian `а́`.
const STEADY_ACCENTS: [char; 8] =
    ['\u{300}', '\u{301}', '\u{302}', '\u{303}', '\u{304}', '\u{308}', '\u{30C}', '\u{323}'];
/// Letters without their dot. With an accent, such a letter looks like the dotted letter with the same accent.
const UNDOTTED: [char; 2] = ['\u{131}', '\u{237}'];
/// Characters that draw nothing, although Unicode does not count them as spaces: the empty Braille pattern, the object
/// replacement character, the null notehead, blank and rotating hieroglyph characters, the Khitan filler.
const BLANKS: [char; 7] = ['\u{2800}', '\u{FFFC}', '\u{1D159}', '\u{13441}', '\u{13442}', '\u{13440}', '\u{16FE4}'];

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

fn script(c: char) -> Script {
    ScriptWithExtensions::new().get_script_val(c)
}

/// Whether this script uses the character. Other scripts may use it too.
fn has(c: char, script: Script) -> bool {
    ScriptWithExtensions::new().has_script(c, script)
}

/// Whether the character is drawn on the character before it.
pub(crate) fn is_mark(c: char) -> bool {
    !c.is_ascii()
        && matches!(
            category(c),
            GeneralCategory::NonspacingMark | GeneralCategory::SpacingMark | GeneralCategory::EnclosingMark
        )
}

/// Whether NFC replaces the character by an ASCII character, as it does with the Kelvin sign.
pub(super) fn spells_ascii(c: char) -> bool {
    !c.is_ascii() && ComposingNormalizerBorrowed::new_nfc().normalize(c.encode_utf8(&mut [0; 4])).is_ascii()
}

fn is_tag(c: char) -> bool {
    ('\u{E0020}'..='\u{E007F}').contains(&c)
}

/// Whether the character is a Hangul vowel or final consonant in decomposed spelling, which takes no column of its own.
fn is_jamo(c: char) -> bool {
    matches!(
        CodePointMapData::<HangulSyllableType>::new().get(c),
        HangulSyllableType::VowelJamo | HangulSyllableType::TrailingJamo
    )
}

fn is_hangul(c: char) -> bool {
    CodePointMapData::<HangulSyllableType>::new().get(c) != HangulSyllableType::NotApplicable
}

fn composed(first: char, second: char) -> bool {
    !second.is_ascii() && CanonicalCompositionBorrowed::new().compose(first, second).is_some()
}

/// Whether the character is invisible and puts the next letter below the letter before it.
fn is_stacker(c: char) -> bool {
    let class = CodePointMapData::<IndicSyllabicCategory>::new().get(c);
    class == IndicSyllabicCategory::InvisibleStacker || class == IndicSyllabicCategory::NumberJoiner || c == '\u{2D7F}'
}

fn is_accent(mark: char, base: char) -> bool {
    let european = [Script::Latin, Script::Greek, Script::Cyrillic].contains(&script(base)) && base.is_alphabetic();
    european && (ACCENTS.contains(&mark) || composed(base, mark))
}

/// Whether the mark belongs to the script of `base`, as a vowel sign does. A mark without a script of its own belongs
/// only to the scripts for which Unicode lists it, and never to Latin, Greek or Cyrillic.
fn belongs(mark: char, base: char) -> bool {
    let own = script(base);
    let inherits =
        script(mark) == Script::Inherited && ![Script::Latin, Script::Greek, Script::Cyrillic].contains(&own);
    own != Script::Common
        && own != Script::Latin
        && category(mark) != GeneralCategory::EnclosingMark
        && (script(mark) == own || inherits && has(mark, own))
        && has_a_look(mark)
}

/// Whether the character is visible and has no other effect.
fn has_a_look(c: char) -> bool {
    let ghost = matches!(
        category(c),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::Surrogate
            | GeneralCategory::PrivateUse
            | GeneralCategory::Unassigned
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::SpaceSeparator
    );
    c == ' ' || !ghost && !BLANKS.contains(&c) && !CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}
