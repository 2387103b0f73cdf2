//! No false alarms: names, mail and payment texts of ordinary people in their own languages (`data/honest`). No two
//! different texts are drawn alike, and no text demands a confirmation word.

use std::collections::BTreeMap;

use holdshort::review::{ShownCall, Text};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::corpus::CORPUS;
use crate::evidence;

#[derive(Deserialize)]
struct Language {
    language: String,
    texts: Vec<String>,
}

fn read<T: for<'a> Deserialize<'a>>(name: &str) -> T {
    let file = format!("{}/../tests/data/honest/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// The warnings and the notes about a text in an action.
fn told(text: &str) -> (Vec<String>, Vec<String>) {
    let arguments = json!({ "x": text });
    let content = ShownCall {
        summary: "pay",
        facts: &[],
        arguments: &arguments,
        function: None,
        exhibits: &[],
        preconditions: &Value::Null,
        differences: Vec::new(),
    };
    (content.warnings(), content.notes())
}

/// Every text, with its kind.
fn honest() -> Vec<(String, String)> {
    let languages: Vec<Language> = read("languages");
    assert!(languages.len() >= 40, "{} languages", languages.len());
    let mut all = Vec::new();
    for Language { language, texts } in languages {
        assert!(texts.len() <= 20);
        all.extend(texts.into_iter().map(|text| (language.clone(), text)));
    }
    for kind in ["decomposed", "emoji"] {
        let texts: Vec<String> = read(kind);
        assert!(texts.len() >= 80, "{kind}: {}", texts.len());
        all.extend(texts.into_iter().map(|text| (kind.to_owned(), text)));
    }
    all
}

#[test]
fn no_language_is_an_alarm() {
    let all = honest();
    let alarms: Vec<String> = all
        .iter()
        .filter_map(|(kind, text)| {
            let (warnings, _) = told(text);
            (!warnings.is_empty()).then(|| format!("{kind}: {text}: {warnings:?}"))
        })
        .collect();
    assert!(alarms.is_empty(), "{} of {}:\n{}", alarms.len(), all.len(), alarms.join("\n"));
    assert!(all.len() >= 600, "{}", all.len());
    evidence::figure("T37", "honest texts without an alarm", all.len() as u64);
}

/// Two spellings of one name are drawn differently, and a text of which a character is written out as a code has a
/// note.
#[test]
fn two_spellings_never_look_the_same() {
    let mut drawn: BTreeMap<String, String> = BTreeMap::new();
    for (kind, text) in honest() {
        let shown = Text::line(&text).to_string();
        if let Some(other) = drawn.insert(shown.clone(), text.clone()) {
            assert_eq!(other, text, "{kind}: both are drawn as {shown}");
        }
        let spaces_alone = shown.replace("<U+0020>", " ") == text;
        assert_eq!(
            shown != text && !spaces_alone,
            told(&text).1.iter().any(|note| note.contains("invisible")),
            "{kind}: {shown}"
        );
    }
}

/// A deceiving text still gets a warning. A text of the corpus gets only a note if honest texts have the same feature;
/// there are about ten such texts.
#[test]
fn what_deceives_is_an_alarm() {
    let (mut alarms, mut noted) = (0, Vec::new());
    for bait in CORPUS.iter().filter(|bait| !bait.marks.is_empty()) {
        match told(&bait.text).0.is_empty() {
            true => noted.push(bait.attack.as_str()),
            false => alarms += 1,
        }
    }
    noted.sort_unstable();
    let expected: Vec<String> = read("noted");
    assert_eq!(noted, expected, "what the corpus marks and nobody is warned of");
    assert!(alarms > 150, "{alarms}");
    // Texts that look like honest texts and are not.
    for text in [
        "alice\u{200c}bob",
        "pay\u{200d}pal",
        "می\u{200b}خواهم",
        "क\u{200c}a",
        "a\u{feff}b",
        "1\u{fe0f}0",
        "A\u{fe0f}",
        "x\u{20e3}",
        "🏴\u{e0067}\u{e0062}\u{e007f}",
        "🏴\u{e0075}\u{e0073}\u{e0063}\u{e0061}\u{e007f}",
        "👍\u{200d}a",
        "\u{200d}👍",
        "ACME\u{fffc} GmbH",
        "ACME\u{2800}",
        "a\u{3164}b",
        "\u{115f}",
        "x\u{1d159}",
        "p\u{337}ay",
        "1\u{301}",
        "a\u{332}",
        "a\u{301}\u{301}\u{301}\u{301}",
        "שלום\u{202e}100",
        "שלום\u{200f}!",
        "100\u{202d}001",
        "\u{2066}100\u{2069}",
        "pаypal",
        "раураӏ.com",
        "ΑCME",
        "١٠٠ EUR",
        "a\u{a0}",
        "\u{3000}x",
        "\u{1161}",
        "\u{16fe4}x",
        "\u{13441}",
    ] {
        assert!(!told(text).0.is_empty(), "{text:?} is no alarm");
    }
}

/// The note with the code points of a text, or an empty text.
fn spelled(text: &str) -> String {
    told(text).1.into_iter().filter(|note| note.contains("in order: U+")).collect()
}

/// On some machine the two texts of each pair are drawn alike. The notes about them must differ.
#[test]
fn what_looks_alike_is_told_apart_by_its_code_points() {
    let pairs = [
        ["Đan", "Ðan"],
        ["Đan", "Ɖan"],
        ["Nǝla", "Nəla"],
        ["Nor-tel", "Nor\u{2010}tel"],
        ["Nor-tel", "Nor\u{2011}tel"],
        ["A-B", "A\u{2212}B"],
        ["A-B", "A\u{2d7}B"],
        ["A-B", "A\u{fe58}B"],
        ["A-B", "A\u{2043}B"],
        ["oƖd", "old"],
        ["Ʒ", "3"],
        ["ȝ", "ʒ"],
        ["แดง", "เเดง"],
        ["กำ", "กํา"],
        ["আ", "অা"],
        ["中山", "中川"],
        ["a¯", "aˉ"],
        ["aʼ", "a՚"],
        ["a´", "a΄"],
        ["ĸ", "ᴋ"],
        ["Ɔ", "Ↄ"],
        ["ɔ", "ↄ"],
        ["Ɛ", "Ꜫ"],
        ["л", "ᴫ"],
    ];
    let alike: Vec<String> = pairs
        .iter()
        .filter(|[one, other]| told(one) == told(other))
        .map(|[one, other]| format!("{one} {other}: {:?}", told(other)))
        .collect();
    assert!(alike.is_empty(), "{alike:#?}");
    assert_eq!(spelled("Đan"), "x: letters and signs that look like others, in order: U+0110");
    assert_eq!(spelled("中山 Ltd."), "x: letters of other scripts, in order: U+4E2D U+5C71");
    evidence::figure("T37", "pairs told apart by their code points", pairs.len() as u64);
}

/// Ordinary text has no note with code points. Otherwise reviewers would stop reading these notes.
#[test]
fn what_has_a_look_of_its_own_has_no_code_points() {
    let noted: Vec<String> = [
        "Jürgen Größmann – AW: „Süd“",
        "Œuvre complète, garçon d’août « 14 h »",
        "¿Cuándo? ¡Atención! n.º 117",
        "Padaria São João",
        "Łukasz Żółć, źdźbło",
        "Příliš žluťoučký kůň",
        "Kapı açık, İstanbul ığdır",
        "Øystein Ærø på Ås",
        "привет мир, ёж",
        "Ελλάδα, καλημέρα",
        "Rent, flat 4B – April 2026 … 50 % × 2",
        "naïve café",
    ]
    .into_iter()
    .map(|text| format!("{text}: {}", spelled(text)))
    .filter(|said| said.contains("U+"))
    .collect();
    assert!(noted.is_empty(), "{noted:#?}");
    assert_eq!(spelled(&"中".repeat(201)), "", "who reads that much knows it by more than its look");
    assert_eq!(spelled("中\n山"), "");
}
