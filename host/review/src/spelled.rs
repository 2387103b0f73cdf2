//! Texts that are named by their code points, because their look does not tell them from others.
//!
//! Two letters of one alphabet can look the same: `Đ` of Croatian, `Ð` of Icelandic and `Ɖ` of Ewe; so can two signs, such as `-` and `‐`, and two
//! spellings of a syllable of Thai or Bengali. And where a machine has no font for a script, all of its letters are one box. Each of them is honest in
//! some text, so none is a warning: a note says the code points. Who compares a name with one that they know compares these too.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, Script};
use icu_properties::script::ScriptWithExtensions;
use serde_json::Value;
use unicode_security::GeneralSecurityProfile;

use super::{outline, visible};

/// A longer text, or one of several lines, is read and not recognised: names, addresses, subjects and references are shorter.
const CHARS_MAX: usize = 200;
/// Dashes that nobody takes for `-`, apostrophes that are in every book, the `i` of Turkish, whose missing dot is seen, and letters of large
/// languages whose doubles are of small ones: the doubles are noted.
const PLAIN: [char; 9] = ['–', '—', '―', '’', 'ı', 'ß', 'ğ', 'Ğ', 'е'];

/// A note for each short text in `value` whose look does not tell what it is.
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

/// Whether it is of a script that many machines have no font for, or whose syllables can be spelled in two ways.
fn is_of_another_script(c: char) -> bool {
    let at_home = [Script::Latin, Script::Greek, Script::Cyrillic, Script::Common, Script::Inherited];
    !c.is_ascii() && !at_home.contains(&ScriptWithExtensions::new().get_script_val(c))
}

/// What a letter is alike within: its own alphabet, to Latin with our digits; signs are alike with all signs.
type Alphabet = Option<Script>;

/// The letters and signs of common use by their alphabet and look.
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

/// None for what no other character is looked for.
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

/// Whether a character of common use looks just like it, or it is one that no language uses today and looks like another.
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
