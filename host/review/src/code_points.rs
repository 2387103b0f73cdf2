//! Adds a note with the code points of a text if another text can look the same.
//!
//! Letters of one alphabet can look the same: Croatian `Đ`, Icelandic `Ð` and Ewe `Ɖ`. Two signs can look the same,
//! such as `-` and `‐`, and so can two spellings of a Thai or Bengali syllable. Besides, a machine without a font for a
//! script draws all letters of the script as the same box. An honest text can have each of these properties, so the
//! host gives a note and no warning. A reviewer who compares a name with a known name can compare the code points too.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, Script};
use icu_properties::script::ScriptWithExtensions;
use serde_json::Value;
use unicode_security::GeneralSecurityProfile;

use super::{outline, visible};

/// A text that is longer, or has several lines, gets no note, because people read such a text and do not recognise it
/// by its look. Names, addresses, subjects and references are shorter.
const CHARS_MAX: usize = 200;
/// Characters that need no note: dashes that nobody confuses with `-`, common apostrophes, the Turkish `ı` whose
/// missing dot can be seen, and letters of large languages that look like letters of small languages. For such a pair,
/// only the letter of the small language gets the note.
const PLAIN: [char; 9] = ['–', '—', '―', '’', 'ı', 'ß', 'ğ', 'Ğ', 'е'];

/// The notes for the short texts in `value`.
pub(super) fn of_value(place: &str, value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => of_text(place, text).into_iter().collect(),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.flat_map(|(index, item)| of_value(&format!("{place}[{index}]"), item)).collect()
        }
        Value::Object(fields) => {
            let inner = |name: &str| match place {
                "" => outline::key(name),
                place => format!("{place}.{}", outline::key(name)),
            };
            fields.iter().flat_map(|(name, field)| of_value(&inner(name), field)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

/// The note for one text.
fn of_text(place: &str, text: &str) -> Option<String> {
    if text.is_ascii() || text.contains('\n') || text.chars().count() > CHARS_MAX {
        return None;
    }
    let points = |doubtful: &dyn Fn(char) -> bool| {
        let points = text.chars().filter(|c| doubtful(*c)).map(|c| format!("U+{:04X}", u32::from(c)));
        points.collect::<Vec<_>>()
    };
    let (alike, other) = (points(&has_a_double), points(&is_of_another_script));
    let said = [("letters and signs that look like others", alike), ("letters of other scripts", other)];
    let said = said.into_iter().filter(|(_, points)| !points.is_empty());
    let said: Vec<String> = said.map(|(what, points)| format!("{what}, in order: {}", points.join(" "))).collect();
    (!said.is_empty()).then(|| format!("{place}: {}", said.join("; ")))
}

/// Whether the character belongs to a script that many machines' fonts lack, or in which one syllable can have two
/// spellings. These are all scripts except Latin, Greek and Cyrillic.
fn is_of_another_script(c: char) -> bool {
    let at_home = [Script::Latin, Script::Greek, Script::Cyrillic, Script::Common, Script::Inherited];
    !c.is_ascii() && !at_home.contains(&ScriptWithExtensions::new().get_script_val(c))
}

/// The group of characters with which a character can be confused. For a Latin letter or an ASCII digit, these are
/// the Latin letters and the ASCII digits. For a Greek or Cyrillic letter, it is its script. For a sign (`None`), it
/// is all signs.
type Alphabet = Option<Script>;

/// The common letters and signs, grouped by alphabet and look.
static BY_LOOK: LazyLock<HashMap<(Alphabet, String), BTreeSet<char>>> = LazyLock::new(|| {
    let mut all: HashMap<(Alphabet, String), BTreeSet<char>> = HashMap::new();
    for c in ('!'..='\u{1fff}').filter(|c| GeneralSecurityProfile::identifier_allowed(*c) || *c < '\u{100}') {
        if let Some(alphabet) = alphabet(c) {
            all.entry((alphabet, look(c))).or_default().insert(c);
        }
    }
    all
});

fn look(c: char) -> String {
    holdshort_words::look(c.encode_utf8(&mut [0; 4]))
}

/// The alphabet of a character; `None` for characters that are not compared.
fn alphabet(c: char) -> Option<Alphabet> {
    use GeneralCategory as Kind;
    let kind = CodePointMapData::<Kind>::new().get(c);
    let script = ScriptWithExtensions::new().get_script_val(c);
    let is_sign = matches!(kind, Kind::DashPunctuation | Kind::ModifierLetter | Kind::ModifierSymbol)
        || matches!(kind, Kind::MathSymbol | Kind::OtherPunctuation) && "-'".contains(&look(c));
    let is_letter =
        matches!(kind, Kind::UppercaseLetter | Kind::LowercaseLetter | Kind::TitlecaseLetter | Kind::OtherLetter);
    if c.is_ascii_digit() {
        return Some(Some(Script::Latin));
    }
    let is_ours = is_letter && [Script::Latin, Script::Greek, Script::Cyrillic].contains(&script);
    if is_sign { Some(None) } else { is_ours.then_some(Some(script)) }
}

/// Whether another common character of the alphabet has the same look. Also true for a character that is not in common
/// use and looks like another character.
fn has_a_double(c: char) -> bool {
    if c.is_ascii() || PLAIN.contains(&c) || visible::is_mark(c) {
        return false;
    }
    let Some(alphabet) = alphabet(c) else { return false };
    if c > '\u{17f}' && !GeneralSecurityProfile::identifier_allowed(c) && look(c) != c.to_string() {
        return true;
    }
    BY_LOOK.get(&(alphabet, look(c))).is_some_and(|alike| alike.iter().any(|other| *other != c))
}
